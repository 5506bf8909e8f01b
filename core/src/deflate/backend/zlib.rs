//! The backend of zlib-rs, through its safe interface.

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::{Corrupt, CorruptAfter, EMPTY_BLOCK, Inflated, tail};
use crate::deflate::CompressorSettings;

/// The largest piece by which output grows while it is compressed. All of it is zeroed first.
const MAX_ROOM: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Available;

pub(crate) struct Encoder {
    deflate: Deflate,
    window: usize,
}

impl Encoder {
    pub(crate) fn new(settings: &CompressorSettings) -> Self {
        // zlib has no 8 without its own header. With 9 no distance is beyond 250, for it keeps 262 bytes ahead of the window.
        let window_bits = settings.window_bits.clamp(9, 15);
        let config = DeflateConfig {
            level: settings.level.clamp(1, 9).into(),
            window_bits: -i32::from(window_bits),
            mem_level: settings.mem_level.clamp(1, 9).into(),
            ..DeflateConfig::default()
        };
        Encoder { deflate: Deflate::new_with_config(config), window: 1 << window_bits }
    }

    /// Begins a new stream as if `history` had been compressed before it. Always called before the first use.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.deflate.reset();
        if history.is_empty() {
            return;
        }
        // It fails in the middle of a stream only; and a history that is not looked at makes no output wrong.
        let _ = self.deflate.set_dictionary(tail(history, self.window));
    }

    /// Appends `input`, compressed behind what came before, and the empty block of a flush.
    pub(crate) fn compress(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
        let begin = out.len();
        loop {
            let (taken, given, end) = (self.deflate.total_in(), self.deflate.total_out(), out.len());
            out.resize(end.saturating_add(room_for(input.len())), 0);
            let room = out.get_mut(end..).unwrap_or_default();
            let size = room.len();
            let status = self.deflate.compress(input, room, DeflateFlush::SyncFlush);
            let read = since(taken, self.deflate.total_in());
            let written = since(given, self.deflate.total_out());
            out.truncate(end.saturating_add(written));
            input = input.get(read..).unwrap_or_default();
            match status {
                Err(_) | Ok(Status::StreamEnd) => return Err(Corrupt),
                // Room left over: the flush is complete.
                Ok(_) if written < size && input.is_empty() => break,
                Ok(_) => {}
            }
        }
        // zlib does nothing where nothing came since the last flush.
        if out.len() == begin {
            out.extend_from_slice(&EMPTY_BLOCK);
        }
        Ok(())
    }
}

/// Enough for input that cannot be compressed, unless it is long: then it comes in several pieces.
fn room_for(input: usize) -> usize {
    let input = input.min(MAX_ROOM);
    (input + input / 8 + 64).min(MAX_ROOM)
}

pub(crate) struct Decoder {
    inflate: Inflate,
    /// Nothing has come since the last message, or since a block with BFINAL.
    fresh: bool,
    /// Bytes of output behind the last block with BFINAL, if there was one.
    since_final: Option<usize>,
}

impl Decoder {
    pub(crate) fn new(_available: Available) -> Self {
        // All windows: what the peer agreed to is a promise that nothing here depends on.
        Decoder { inflate: Inflate::new(false, 15), fresh: true, since_final: None }
    }

    /// Begins a new stream behind `history`, of which the last 32 KiB count.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.restart();
        self.since_final = None;
        // It does not fail without zlib's header; and without a history what refers to it would be corrupt, never wrong.
        let _ = self.inflate.set_dictionary(tail(history, super::MAX_WINDOW));
    }

    /// See [`Inflated`]. What lies in `out` behind that may be overwritten.
    pub(crate) fn inflate(&mut self, mut input: &[u8], out: &mut [u8]) -> Result<Inflated, CorruptAfter> {
        let (mut total, size) = (Inflated { read: 0, written: 0 }, out.len());
        loop {
            let room = out.get_mut(total.written..).unwrap_or_default();
            let (step, status) = self.step(input, room, InflateFlush::NoFlush);
            total.read = total.read.saturating_add(step.read);
            total.written = total.written.saturating_add(step.written);
            input = input.get(step.read..).unwrap_or_default();
            match status {
                Err(Corrupt) => return Err(CorruptAfter(total.written)),
                Ok(Status::StreamEnd) => self.restart(),
                Ok(_) => {}
            }
            if input.is_empty() || total.written == size {
                return Ok(total);
            }
            // zlib stops at the ends of its input and of its output only: this is for the loop to end whatever it does.
            if step == (Inflated { read: 0, written: 0 }) {
                return Err(CorruptAfter(total.written));
            }
        }
    }

    /// Ends a message, all of whose output has been asked for.
    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        if self.fresh {
            return Ok(());
        }
        // RFC 7692 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." They are the
        // rest of an empty block. `Block` stops behind it, so a fifth byte is left over, unless they were something else.
        let (tail, status) = self.step(&[0x00, 0x00, 0xff, 0xff, 0x00], &mut [], InflateFlush::Block);
        if status.is_err() || tail.read != 4 {
            return Err(Corrupt);
        }
        // That block may have been the last one, with its BFINAL in the message.
        if self.ended()? {
            self.restart();
            return Ok(());
        }
        // If another kind of block ended there, then perhaps not at the end of a byte: an empty block would be misread.
        let (probe, status) = self.step(&EMPTY_BLOCK, &mut [], InflateFlush::Block);
        if status.is_err() || probe.read != EMPTY_BLOCK.len() || self.ended()? {
            return Err(Corrupt);
        }
        self.fresh = true;
        Ok(())
    }

    /// Whether a block with BFINAL has ended.
    fn ended(&mut self) -> Result<bool, Corrupt> {
        let (_, status) = self.step(&[], &mut [], InflateFlush::NoFlush);
        Ok(status? == Status::StreamEnd)
    }

    /// How much of what has come out since the reset can still be referred to, if that is not all of it and the history too.
    pub(crate) fn since_final(&self) -> Option<usize> {
        self.since_final
    }

    fn restart(&mut self) {
        self.inflate.reset(false);
        self.fresh = true;
        self.since_final = Some(0);
    }

    fn step(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        flush: InflateFlush,
    ) -> (Inflated, Result<Status, Corrupt>) {
        let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, out, flush).map_err(|_| Corrupt);
        let read = since(taken, self.inflate.total_in());
        let written = since(given, self.inflate.total_out());
        self.fresh &= read == 0;
        self.since_final = self.since_final.map(|n| n.saturating_add(written));
        (Inflated { read, written }, status)
    }
}

/// By how much one of zlib's totals grew. They never grow beyond what was lent, so it always fits.
fn since(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}
