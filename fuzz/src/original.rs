//! The original zlib, in C, as a second opinion: most peers inflate with it.

use flate2::{Decompress, FlushDecompress, Status};

use crate::reference::{TAIL, Takeover};

pub(crate) struct Original {
    takeover: Takeover,
    window_bits: u8,
    inflate: Decompress,
    history: Vec<u8>,
}

/// zlib returned an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Original {
    /// zlib has no raw window of 8 bits, so it gets 9.
    pub(crate) fn new(takeover: Takeover, window_bits: u8) -> Self {
        let window_bits = window_bits.max(9);
        Original { takeover, window_bits, inflate: inflate(window_bits), history: Vec::new() }
    }

    /// Inflates a message in pieces of `room` bytes. With small pieces zlib needs its window; with
    /// large ones it looks into its own output. Returns at most `limit` bytes, and what came before
    /// an error.
    pub(crate) fn message(
        &mut self,
        payload: &[u8],
        limit: u64,
        room: usize,
    ) -> (Vec<u8>, Result<(), Refused>) {
        match self.takeover {
            Takeover::Stream => {}
            Takeover::None => self.inflate = inflate(self.window_bits),
            Takeover::History(_) => {
                self.inflate = inflate(self.window_bits);
                self.inflate.set_dictionary(&self.history).expect("a raw stream takes any");
            }
        }
        if payload.is_empty() {
            // The tail alone is half a block. zlib would expect the rest of it in the next message.
            return (Vec::new(), Ok(()));
        }
        let data = [payload, &TAIL].concat();
        let (mut out, mut used, mut buffer, mut begin) = (Vec::new(), 0, vec![0; room], 0);
        let result = loop {
            let (before, given) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(&data[used..], &mut buffer, FlushDecompress::None);
            used += (self.inflate.total_in() - before) as usize;
            let written = (self.inflate.total_out() - given) as usize;
            out.extend_from_slice(&buffer[..written]);
            if out.len() as u64 > limit {
                out.truncate(limit as usize);
                break Ok(());
            }
            match status {
                Err(_) => break Err(Refused),
                Ok(Status::StreamEnd) => {
                    self.inflate = inflate(self.window_bits);
                    // Nothing may refer back beyond a final block.
                    self.history.clear();
                    begin = out.len();
                    if used >= payload.len() {
                        break Ok(());
                    }
                }
                Ok(_) if written < room => break Ok(()),
                Ok(_) => {}
            }
        };
        if let Takeover::History(limit) = self.takeover {
            self.history.extend_from_slice(&out[begin..]);
            self.history.drain(..self.history.len().saturating_sub(limit));
        }
        (out, result)
    }
}

fn inflate(window_bits: u8) -> Decompress {
    Decompress::new_with_window_bits(false, window_bits)
}
