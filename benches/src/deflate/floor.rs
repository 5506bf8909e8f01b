//! zlib-rs alone, as the lower bound. It keeps its state between messages, and does without frames,
//! masks, checks of text and allocations.

use std::io::Write;

use super::{Connection, Settings, Text};
use crate::{Memory, RawDeflate, RawInflate};

struct Floor<'t> {
    memory: Memory<'t>,
    deflate: RawDeflate,
    inflate: RawInflate,
    /// The index of the next message of the traffic.
    next: usize,
    buffer: Vec<u8>,
}

pub(super) fn open(memory: Memory<'_>, settings: Settings) -> Box<dyn Connection + '_> {
    let deflate = RawDeflate::new(u32::from(settings.level), settings.takeover);
    Box::new(Floor {
        memory,
        deflate,
        inflate: RawInflate::new(settings.takeover),
        next: 0,
        buffer: Vec::new(),
    })
}

impl Connection for Floor<'_> {
    fn receive(&mut self, show: &mut dyn FnMut(&[u8])) {
        let compressed = &self.memory.traffic().compressed;
        self.inflate.message(&compressed[self.next % compressed.len()], &mut self.buffer);
        self.next += 1;
        show(&self.buffer);
    }

    fn send(&mut self, text: &Text) {
        self.deflate.message(text.text.as_bytes(), &mut self.buffer);
        self.memory.write_all(&self.buffer).expect("writing to memory cannot fail");
    }
}
