//! The backend miniz_oxide, which needs neither `std` nor unsafe code.

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

/// The input after which a compressor is reset. miniz_oxide counts its input in a `usize`; a reset
/// at half of its range keeps the counters from overflowing. (This happens after 2 GiB if `usize`
/// has 32 bits, and never if it has 64.)
const MAX_TOTAL_IN: usize = usize::MAX / 2;

/// A compressor of miniz_oxide.
///
/// miniz_oxide has only the largest window. `CompressorOxide::with_params` accepts others, but then
/// only lowers the level, and its distances stay as long. A full flush, however, makes it forget
/// all previous input. This encoder keeps to a smaller window by never letting the compressor know
/// more: when it knows a window's worth of input, it is flushed and primed with the last half of
/// that input.
///
/// Creating one takes 72 KiB of stack (some 300 in debug builds), because miniz_oxide builds it
/// there. No other operation does.
pub(crate) struct Encoder {
    deflate: Box<CompressorOxide>,
    level: u8,
    window: usize,
    /// The bytes that the compressor knows, including the history. No distance is longer.
    known_len: usize,
    /// The last half of the window, if the window is not the largest.
    recent: Vec<u8>,
    /// The input since the compressor was last reset.
    total_in: usize,
}

impl Encoder {
    pub(crate) fn new(settings: &CompressorSettings) -> Self {
        let mut deflate = Box::<CompressorOxide>::default();
        let level = settings.level.clamp(1, 9);
        deflate.set_format_and_level(DataFormat::Raw, level);
        let window = 1 << clamp_window_bits(settings.window_bits);
        Encoder { deflate, level, window, known_len: 0, recent: Vec::new(), total_in: 0 }
    }

    /// Starts a new stream as if `history` had been compressed before it. Must be called before the
    /// first use.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.forget_input();
        if self.window == MAX_WINDOW {
            self.prime(tail(history, MAX_WINDOW));
        } else {
            self.recent.clear();
            self.push_recent(history);
            self.prime_with_recent();
        }
    }

    /// Continues the stream: appends `input`, compressed, and the empty block of a flush to `out`.
    pub(crate) fn compress(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
        if self.total_in > MAX_TOTAL_IN {
            self.forget_input();
        }
        if self.window == MAX_WINDOW {
            return self.deflate(input, TDEFLFlush::Sync, |bytes| out.extend_from_slice(bytes));
        }
        loop {
            // Refresh the window early rather than compress a piece of a few bytes, because each
            // piece takes a separate block.
            if self.window - self.known_len < input.len().min(self.window / 2) {
                self.forget_input();
                self.prime_with_recent();
            }
            let (piece, rest) = input.split_at_checked(self.window - self.known_len).unwrap_or((input, &[]));
            self.deflate(piece, TDEFLFlush::Sync, |bytes| out.extend_from_slice(bytes))?;
            self.known_len += piece.len();
            self.push_recent(piece);
            input = rest;
            if input.is_empty() {
                return Ok(());
            }
        }
    }

    fn forget_input(&mut self) {
        let forgot = self.deflate(&[], TDEFLFlush::Full, |_| ());
        if forgot.is_err() || self.total_in > MAX_TOTAL_IN {
            self.deflate.reset();
            self.total_in = 0;
        }
        self.known_len = 0;
    }

    /// Primes the compressor by compressing `history` and discarding the output. Level 2 is enough
    /// to make all of it known. Level 1 keeps its knowledge in a different form, so an encoder of
    /// level 1 is primed at level 1.
    fn prime(&mut self, history: &[u8]) {
        if history.is_empty() {
            return;
        }
        self.deflate.set_format_and_level(DataFormat::Raw, self.level.min(2));
        // After a failure the next call fails too, and returns the error.
        let _ = self.deflate(history, TDEFLFlush::Sync, |_| ());
        self.deflate.set_format_and_level(DataFormat::Raw, self.level);
        self.known_len = history.len();
    }

    fn prime_with_recent(&mut self) {
        let recent = core::mem::take(&mut self.recent);
        self.prime(&recent);
        self.recent = recent;
    }

    fn push_recent(&mut self, bytes: &[u8]) {
        let half = self.window / 2;
        let bytes = tail(bytes, half);
        self.recent.drain(..(self.recent.len() + bytes.len()).saturating_sub(half));
        self.recent.extend_from_slice(bytes);
    }

    fn deflate(
        &mut self,
        input: &[u8],
        flush: TDEFLFlush,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), Corrupt> {
        self.total_in = self.total_in.saturating_add(input.len());
        let (status, read) = compress_to_output(&mut self.deflate, input, flush, |bytes| {
            sink(bytes);
            true
        });
        if status == TDEFLStatus::Okay && read == input.len() { Ok(()) } else { Err(Corrupt) }
    }
}

/// The room after the window, so that the window slides only once in 8 KiB.
const SLACK: usize = 8 << 10;

/// The room below which the window slides: the longest match, which miniz_oxide needs for its fast
/// loop, and a margin.
const MIN_ROOM: usize = 512;

pub(crate) struct Decoder {
    inflate: Box<DecompressorOxide>,
    /// The bytes that the stream may refer to, followed by room for new output. It never grows.
    ///
    /// Bytes after `end` may belong to another connection, and are never read: miniz_oxide treats
    /// the bytes before `end` as its output, and without wrapping around, a distance beyond them is
    /// an error.
    window: Vec<u8>,
    end: usize,
    /// Whether no input has arrived since the last message, or since a block with BFINAL.
    at_start: bool,
    /// The bytes of output since the last block with BFINAL, if there was one.
    since_final: Option<usize>,
}

impl Decoder {
    pub(crate) fn new(_available: Available) -> Self {
        let window = alloc::vec![0; MAX_WINDOW + SLACK];
        Decoder { inflate: Box::default(), window, end: 0, at_start: true, since_final: None }
    }

    /// Starts a new stream that may refer back to the last 32 KiB of `history`.
    pub(crate) fn reset(&mut self, history: &[u8]) {
        self.restart();
        self.since_final = None;
        let history = tail(history, MAX_WINDOW);
        if let Some(window) = self.window.get_mut(..history.len()) {
            window.copy_from_slice(history);
            self.end = history.len();
        }
    }

    /// Inflates `input` into `out` (see [`Inflated`]). Bytes of `out` after the output may be
    /// overwritten.
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

    /// Ends a message. All of its output must have been read.
    pub(crate) fn finish(&mut self) -> Result<(), Corrupt> {
        if self.at_start {
            return Ok(());
        }
        // RFC 7692 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of
        // the message." They complete an empty block, which ends on a byte boundary.
        let (status, tail) = self.step(&[0x00, 0x00, 0xff, 0xff], 0, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY);
        match status {
            _ if tail.read != 4 => return Err(Corrupt),
            // The completed block has BFINAL, which was in the message.
            TINFLStatus::Done => self.restart(),
            TINFLStatus::BlockBoundary if self.pending_bits() == Some(0) => self.at_start = true,
            _ => return Err(Corrupt),
        }
        Ok(())
    }

    /// Returns how many bits of the last byte belong to the next block, or `None` inside a block.
    fn pending_bits(&self) -> Option<u8> {
        self.inflate.block_boundary_state().map(|state| state.num_bits)
    }

    /// Returns how many of the last bytes of output can still be referred to, or `None` if all
    /// output and the history can.
    pub(crate) fn since_final(&self) -> Option<usize> {
        self.since_final
    }

    fn restart(&mut self) {
        self.inflate.init();
        self.end = 0;
        self.at_start = true;
        self.since_final = Some(0);
    }

    /// Moves the window to the front of the buffer if little room is left after it.
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
        self.at_start &= read == 0;
        self.since_final = self.since_final.map(|n| n.saturating_add(written));
        (status, Inflated { read, written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::backend;

    #[test]
    fn the_compressor_is_reset_before_its_counters_overflow() {
        for window_bits in [8, 15] {
            let available = backend::Available;
            let mut encoder =
                Encoder::new(&CompressorSettings { level: 6, window_bits, mem_level: 8, available });
            let mut decoder = Decoder::new(Available);
            encoder.reset(&[]);
            let plain = [7; 100];
            for _ in 0..4 {
                encoder.total_in = encoder.total_in.max(MAX_TOTAL_IN);
                let (mut sent, mut output) = (Vec::new(), [0; 200]);
                encoder.compress(&plain, &mut sent).unwrap();
                let came = decoder.inflate(&sent, &mut output).unwrap();
                assert!(output[..came.written] == plain);
            }
            assert!(encoder.total_in <= MAX_TOTAL_IN + plain.len());
        }
    }
}
