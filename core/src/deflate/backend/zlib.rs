//! The backend zlib-rs, used through its safe interface.

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::{Corrupt, CorruptAfter, EMPTY_BLOCK, Inflated, tail};
use crate::deflate::CompressorSettings;

/// The limit in bytes on each step by which the output buffer grows. Each step has to be zeroed
/// first.
const MAX_ROOM: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Available;

pub(crate) struct Encoder {
    deflate: Deflate,
    window: usize,
}

impl Encoder {
    pub(crate) fn new(settings: &CompressorSettings) -> Self {
        // zlib does not support 8 in raw streams. With 9 no distance is beyond 250, because zlib
        // reserves 262 bytes of the window for lookahead.
        let window_bits = settings.window_bits.clamp(9, 15);
        let config = DeflateConfig {
            level: settings.level.clamp(1, 9).into(),
            window_bits: -i32::from(window_bits),
            mem_level: settings.mem_level.clamp(1, 9).into(),
            ..DeflateConfig::default()
        };
        Encoder { deflate: Deflate::new_with_config(config), window: 1 << window_bits }
    }

    /// Starts a new stream as if `history` had been compressed before it. Must be called before the
    /// first use.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.deflate.reset();
        if history.is_empty() {
            return;
        }
        // This fails only in the middle of a stream. Even without the history the output would be
        // valid.
        let _ = self.deflate.set_dictionary(tail(history, self.window));
    }

    /// Continues the stream: appends `input`, compressed, and the empty block of a flush to `out`.
    pub(crate) fn compress(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
        let begin = out.len();
        loop {
            let (taken, given, end) = (self.deflate.total_in(), self.deflate.total_out(), out.len());
            out.resize(end.saturating_add(room_for(input.len())), 0);
            let room = out.get_mut(end..).unwrap_or_default();
            let size = room.len();
            let status = self.deflate.compress(input, room, DeflateFlush::SyncFlush);
            let read = growth(taken, self.deflate.total_in());
            let written = growth(given, self.deflate.total_out());
            out.truncate(end.saturating_add(written));
            input = input.get(read..).unwrap_or_default();
            match status {
                Err(_) | Ok(Status::StreamEnd) => return Err(Corrupt),
                // Room is left, so the flush is complete.
                Ok(_) if written < size && input.is_empty() => break,
                Ok(_) => {}
            }
        }
        // zlib writes nothing if it had no input since the last flush.
        if out.len() == begin {
            out.extend_from_slice(&EMPTY_BLOCK);
        }
        Ok(())
    }
}

/// Returns enough room for the output of incompressible input, up to `MAX_ROOM`. Longer output
/// takes several steps.
fn room_for(input: usize) -> usize {
    let input = input.min(MAX_ROOM);
    (input + input / 8 + 64).min(MAX_ROOM)
}

pub(crate) struct Decoder {
    inflate: Inflate,
    /// Whether no input has arrived since the last message, or since a block with BFINAL.
    at_start: bool,
    /// The bytes of output since the last block with BFINAL, if there was one.
    since_final: Option<usize>,
}

impl Decoder {
    pub(crate) fn new(_available: Available) -> Self {
        // The largest window accepts every stream, so nothing here depends on the peer keeping to a
        // smaller one.
        Decoder { inflate: Inflate::new(false, 15), at_start: true, since_final: None }
    }

    /// Starts a new stream that may refer back to the last 32 KiB of `history`.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.restart();
        self.since_final = None;
        // This does not fail for raw streams. Without the history, references to it would be
        // corrupt, but never yield wrong output.
        let _ = self.inflate.set_dictionary(tail(history, super::MAX_WINDOW));
    }

    /// Inflates `input` into `out` (see [`Inflated`]). Bytes of `out` after the output may be
    /// overwritten.
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
            // zlib only stops at the end of its input or output. This check ends the loop even if
            // it did not.
            if step == (Inflated { read: 0, written: 0 }) {
                return Err(CorruptAfter(total.written));
            }
        }
    }

    /// Ends a message. All of its output must have been read.
    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        if self.at_start {
            return Ok(());
        }
        // RFC 7692 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of
        // the message." They complete an empty block. `Block` stops after that block, so zlib
        // consumes the fifth byte only if the four were something else.
        let (tail, status) = self.step(&[0x00, 0x00, 0xff, 0xff, 0x00], &mut [], InflateFlush::Block);
        if status.is_err() || tail.read != 4 {
            return Err(Corrupt);
        }
        // The completed block may have BFINAL, which was in the message.
        if self.stream_has_ended()? {
            self.restart();
            return Ok(());
        }
        // If another kind of block ended here, it may not have ended on a byte boundary. Then the
        // probe, an empty block, is misread.
        let (probe, status) = self.step(&EMPTY_BLOCK, &mut [], InflateFlush::Block);
        if status.is_err() || probe.read != EMPTY_BLOCK.len() || self.stream_has_ended()? {
            return Err(Corrupt);
        }
        self.at_start = true;
        Ok(())
    }

    /// Returns whether a block with BFINAL has ended.
    fn stream_has_ended(&mut self) -> Result<bool, Corrupt> {
        let (_, status) = self.step(&[], &mut [], InflateFlush::NoFlush);
        Ok(status? == Status::StreamEnd)
    }

    /// Returns how many of the last bytes of output can still be referred to, or `None` if all
    /// output and the history can.
    pub(crate) fn since_final(&self) -> Option<usize> {
        self.since_final
    }

    fn restart(&mut self) {
        self.inflate.reset(false);
        self.at_start = true;
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
        let read = growth(taken, self.inflate.total_in());
        let written = growth(given, self.inflate.total_out());
        self.at_start &= read == 0;
        self.since_final = self.since_final.map(|n| n.saturating_add(written));
        (Inflated { read, written }, status)
    }
}

/// Returns by how much one of zlib's totals grew. It grows by at most the length of a slice, so the
/// result always fits.
fn growth(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}
