//! The backend of miniz_oxide: no `std`, and no unsafe code either.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit};

use super::{Corrupt, CorruptAfter, Inflated, MAX_WINDOW, tail};
use crate::deflate::CompressorSettings;
use crate::deflate::params::clamp_window_bits;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Available;

/// miniz_oxide counts what has passed in a `usize`. No more than half of one does before it begins anew: the counts stay far from
/// their end. (That is 2 GiB where a `usize` has 32 bits, and never where it has 64.)
const MAX_THROUGH: usize = usize::MAX / 2;

/// miniz_oxide knows no windows but the largest: `CompressorOxide::with_params` takes others, but then only lowers the level, and its
/// distances are as long as ever. But its full flush makes it forget all that came before. So a smaller window is held by never letting
/// it know more: when a window's worth is known it forgets all, and learns the last half again, as if that were a history.
///
/// To make one takes 72 KiB of stack (and debug builds some 300), for miniz_oxide makes it there. Nothing else does.
pub(crate) struct Encoder {
    deflate: Box<CompressorOxide>,
    level: u8,
    window: usize,
    /// How much the compressor knows, history included. No distance is longer.
    known: usize,
    /// The last half of the window, if it is a smaller one.
    recent: Vec<u8>,
    through: usize,
}

impl Encoder {
    pub(crate) fn new(settings: &CompressorSettings) -> Self {
        let mut deflate = Box::<CompressorOxide>::default();
        let level = settings.level.clamp(1, 9);
        deflate.set_format_and_level(DataFormat::Raw, level);
        let window = 1 << clamp_window_bits(settings.window_bits);
        Encoder { deflate, level, window, known: 0, recent: Vec::new(), through: 0 }
    }

    /// Begins a new stream as if `history` had been compressed before it. Always called before the first use.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.forget();
        if self.window == MAX_WINDOW {
            self.learn(tail(history, MAX_WINDOW));
        } else {
            self.recent.clear();
            self.remember(history);
            self.learn_recent();
        }
    }

    /// Appends `input`, compressed behind what came before, and the empty block of a flush.
    pub(crate) fn compress(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
        if self.through > MAX_THROUGH {
            self.forget();
        }
        if self.window == MAX_WINDOW {
            return self.run(input, TDEFLFlush::Sync, |bytes| out.extend_from_slice(bytes));
        }
        loop {
            // Rather that than a piece of a few bytes: each has a block of its own.
            if self.window - self.known < input.len().min(self.window / 2) {
                self.forget();
                self.learn_recent();
            }
            let (piece, rest) = input.split_at_checked(self.window - self.known).unwrap_or((input, &[]));
            self.run(piece, TDEFLFlush::Sync, |bytes| out.extend_from_slice(bytes))?;
            self.known += piece.len();
            self.remember(piece);
            input = rest;
            if input.is_empty() {
                return Ok(());
            }
        }
    }

    fn forget(&mut self) {
        let forgot = self.run(&[], TDEFLFlush::Full, |_| ());
        if forgot.is_err() || self.through > MAX_THROUGH {
            self.deflate.reset();
            self.through = 0;
        }
        self.known = 0;
    }

    /// Compresses for nothing. At a low level all of it gets known, too; but the lowest one keeps its knowledge in another way.
    fn learn(&mut self, history: &[u8]) {
        if history.is_empty() {
            return;
        }
        self.deflate.set_format_and_level(DataFormat::Raw, self.level.min(2));
        // A failure is for the next call to say, which would fail as well.
        let _ = self.run(history, TDEFLFlush::Sync, |_| ());
        self.deflate.set_format_and_level(DataFormat::Raw, self.level);
        self.known = history.len();
    }

    fn learn_recent(&mut self) {
        let recent = core::mem::take(&mut self.recent);
        self.learn(&recent);
        self.recent = recent;
    }

    fn remember(&mut self, bytes: &[u8]) {
        let half = self.window / 2;
        let bytes = tail(bytes, half);
        self.recent.drain(..(self.recent.len() + bytes.len()).saturating_sub(half));
        self.recent.extend_from_slice(bytes);
    }

    fn run(&mut self, input: &[u8], flush: TDEFLFlush, mut give: impl FnMut(&[u8])) -> Result<(), Corrupt> {
        self.through = self.through.saturating_add(input.len());
        let (status, read) = compress_to_output(&mut self.deflate, input, flush, |bytes| {
            give(bytes);
            true
        });
        if status == TDEFLStatus::Okay && read == input.len() { Ok(()) } else { Err(Corrupt) }
    }
}

/// Room behind the window, so that it slides with each 8 KiB only.
const SLACK: usize = 8 << 10;

/// The longest match, with which miniz_oxide is in its fast loop, and some more.
const MIN_ROOM: usize = 512;

pub(crate) struct Decoder {
    inflate: Box<DecompressorOxide>,
    /// What the stream may refer to, then room for what comes of it. It never grows.
    ///
    /// What lies behind `end` may be of another connection. It is never read: miniz_oxide takes all before `end` for what it has
    /// written, and without wrapping around a distance beyond that is an error.
    window: Vec<u8>,
    end: usize,
    /// Nothing has come since the last message, or since a block with BFINAL.
    fresh: bool,
    /// Bytes of output behind the last block with BFINAL, if there was one.
    since_final: Option<usize>,
}

impl Decoder {
    pub(crate) fn new(_available: Available) -> Self {
        let window = alloc::vec![0; MAX_WINDOW + SLACK];
        Decoder { inflate: Box::default(), window, end: 0, fresh: true, since_final: None }
    }

    /// Begins a new stream behind `history`, of which the last 32 KiB count.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.restart();
        self.since_final = None;
        let history = tail(history, MAX_WINDOW);
        if let Some(window) = self.window.get_mut(..history.len()) {
            window.copy_from_slice(history);
            self.end = history.len();
        }
    }

    /// See [`Inflated`]. What lies in `out` behind that may be overwritten.
    pub(crate) fn inflate(&mut self, mut input: &[u8], out: &mut [u8]) -> Result<Inflated, CorruptAfter> {
        let (mut total, size) = (Inflated { read: 0, written: 0 }, out.len());
        loop {
            let room = out.get_mut(total.written..).unwrap_or_default();
            self.slide();
            let (status, step) = self.step(input, room.len(), 0);
            let fresh = self.window.get(self.end - step.written..self.end);
            if let (Some(to), Some(from)) = (room.get_mut(..step.written), fresh) {
                to.copy_from_slice(from);
            }
            total.read += step.read;
            total.written += step.written;
            input = input.get(step.read..).unwrap_or_default();
            match status {
                TINFLStatus::Done => {
                    self.restart();
                    if input.is_empty() || total.written == size {
                        return Ok(total);
                    }
                }
                TINFLStatus::NeedsMoreInput => return Ok(total),
                TINFLStatus::HasMoreOutput if total.written == size => return Ok(total),
                TINFLStatus::HasMoreOutput if step.written > 0 => {}
                _ => return Err(CorruptAfter(total.written)),
            }
        }
    }

    /// Ends a message, all of whose output has been asked for.
    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        if self.fresh {
            return Ok(());
        }
        // RFC 7692 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." They are the
        // rest of an empty block, which ends with them and with a byte.
        let (status, tail) = self.step(&[0x00, 0x00, 0xff, 0xff], 0, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY);
        match status {
            _ if tail.read != 4 => return Err(Corrupt),
            // It was the last one, with its BFINAL in the message.
            TINFLStatus::Done => self.restart(),
            TINFLStatus::BlockBoundary if self.held_bits() == Some(0) => self.fresh = true,
            _ => return Err(Corrupt),
        }
        Ok(())
    }

    /// Bits of the last byte that belong to the next block; `None` inside a block.
    fn held_bits(&self) -> Option<u8> {
        self.inflate.block_boundary_state().map(|state| state.num_bits)
    }

    /// How much of what has come out since the reset can still be referred to, if that is not all of it and the history too.
    pub(crate) fn since_final(&self) -> Option<usize> {
        self.since_final
    }

    fn restart(&mut self) {
        self.inflate.init();
        self.end = 0;
        self.fresh = true;
        self.since_final = Some(0);
    }

    /// Keeps a window's worth, where there is little room behind it.
    fn slide(&mut self) {
        if self.window.len() - self.end < MIN_ROOM {
            self.window.copy_within(self.end - MAX_WINDOW..self.end, 0);
            self.end = MAX_WINDOW;
        }
    }

    fn step(&mut self, input: &[u8], room: usize, flags: u32) -> (TINFLStatus, Inflated) {
        let flags = flags | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) =
            decompress_with_limit(&mut self.inflate, input, &mut self.window, self.end, room, flags);
        self.end += written;
        self.fresh &= read == 0;
        self.since_final = self.since_final.map(|n| n.saturating_add(written));
        (status, Inflated { read, written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::backend;

    #[test]
    fn the_counts_of_miniz_oxide_never_come_near_their_end() {
        for window_bits in [8, 15] {
            let available = backend::Available;
            let mut encoder =
                Encoder::new(&CompressorSettings { level: 6, window_bits, mem_level: 8, available });
            let mut decoder = Decoder::new(Available);
            encoder.reset(&[]);
            let plain = [7; 100];
            for _ in 0..4 {
                encoder.through = encoder.through.max(MAX_THROUGH);
                let (mut sent, mut output) = (Vec::new(), [0; 200]);
                encoder.compress(&plain, &mut sent).unwrap();
                let came = decoder.inflate(&sent, &mut output).unwrap();
                assert!(output[..came.written] == plain);
            }
            assert!(encoder.through <= MAX_THROUGH + plain.len());
        }
    }
}
