//! Compressors and decompressors as values, so that few of them can serve many connections.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::Deflate;
use super::backend::{Available, Decoder, Encoder};

/// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end" (RFC 7692 7.2.1, item 3).
const TAIL: usize = 4;

/// Output memory beyond this is not kept from one message to the next.
const KEEP: usize = 64 << 10;

/// What a compressor is made for; those with equal settings can stand in for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompressorSettings {
    pub(super) level: u8,
    pub(super) window_bits: u8,
    pub(super) mem_level: u8,
    pub(super) available: Available,
}

/// The state of a compressor: between 134 and 483 KiB, by its settings, and costly to make. See [`CodecPool`].
pub struct Compressor {
    pub(super) settings: CompressorSettings,
    pub(super) encoder: Box<Encoder>,
    out: Vec<u8>,
    last_use: LastUse,
}

/// The connection whose message a codec was used for last, and the number of that message: if it is still the connection's last one
/// when the codec comes back, it can go on where it was.
#[derive(Debug, Default)]
struct LastUse(Option<(Owner, u64)>);

/// Tells a connection from all others, for as long as anything knows it.
#[derive(Debug, Clone)]
pub(super) struct Owner(Arc<()>);

/// The state of a decompressor: about 50 KiB. See [`CodecPool`].
pub struct Decompressor {
    pub(super) decoder: Box<Decoder>,
    last_use: LastUse,
}

/// Where codecs rest while no message needs them. The adapters have one; who drives the core by hand may have one for each thread, or
/// do without, and pay for a new codec with each message.
///
/// What is given is not cleared: that is done before the next use.
pub trait CodecPool: Send + Sync + fmt::Debug {
    /// A compressor made for these settings, if there is one.
    fn take_compressor(&self, settings: &CompressorSettings) -> Option<Compressor>;
    /// The way back. A pool that has enough drops it.
    fn give_compressor(&self, compressor: Compressor);
    /// A decompressor, if there is one.
    fn take_decompressor(&self) -> Option<Decompressor>;
    /// The way back.
    fn give_decompressor(&self, decompressor: Decompressor);
}

impl LastUse {
    fn is(&self, owner: &Owner, last: u64) -> bool {
        matches!(&self.0, Some((other, n)) if *n == last && Arc::ptr_eq(&other.0, &owner.0))
    }

    fn set(&mut self, last_use: Option<(&Owner, u64)>) {
        match (&mut self.0, last_use) {
            (Some((old, n)), Some((new, last))) if Arc::ptr_eq(&old.0, &new.0) => *n = last,
            (old, new) => *old = new.map(|(owner, last)| (owner.clone(), last)),
        }
    }
}

impl Owner {
    pub(super) fn new() -> Self {
        Owner(Arc::new(()))
    }
}

impl CompressorSettings {
    pub(super) fn new(deflate: &Deflate, window_bits: u8) -> Self {
        CompressorSettings {
            level: deflate.level.clamp(1, 9),
            window_bits,
            mem_level: deflate.mem_level.clamp(1, 9),
            available: deflate.available,
        }
    }
}

impl Compressor {
    /// From the pool, or made new; to be reset before use.
    pub(super) fn take(pool: Option<&dyn CodecPool>, settings: CompressorSettings) -> Self {
        let pooled = pool.and_then(|pool| pool.take_compressor(&settings));
        // A pool that mixes them up must not cost a window that was agreed on.
        pooled.filter(|compressor| compressor.settings == settings).unwrap_or_else(|| Compressor {
            settings,
            encoder: Box::new(Encoder::new(&settings)),
            out: Vec::new(),
            last_use: LastUse::default(),
        })
    }

    /// Whether its window is as message number `last` of `owner` has left it.
    pub(super) fn goes_on(&self, owner: &Owner, last: u64) -> bool {
        self.last_use.is(owner, last)
    }

    /// Notes whose message it has compressed last, or that its window is nobody's.
    pub(super) fn set_last_use(&mut self, last_use: Option<(&Owner, u64)>) {
        self.last_use.set(last_use);
    }

    pub(super) fn give(mut self, pool: Option<&dyn CodecPool>) {
        let Some(pool) = pool else { return };
        if self.out.capacity() > KEEP {
            self.out = Vec::new();
        }
        pool.give_compressor(self);
    }

    /// The next part of a message; the `last` without the tail that its receiver adds again.
    pub(super) fn compress(&mut self, part: &[u8], last: bool) -> &[u8] {
        self.out.clear();
        if self.encoder.compress(part, &mut self.out).is_err() {
            self.out.clear();
            store(part, &mut self.out);
        }
        let len = self.out.len().saturating_sub(if last { TAIL } else { 0 });
        self.out.get(..len).unwrap_or_default()
    }

    /// What it is made for.
    #[must_use]
    pub fn settings(&self) -> &CompressorSettings {
        &self.settings
    }
}

/// Stored blocks (RFC 1951 3.2.4), an empty one last: right for every receiver, should an encoder ever fail.
fn store(part: &[u8], out: &mut Vec<u8>) {
    for block in part.chunks(usize::from(u16::MAX)).chain(core::iter::once(&[][..])) {
        let len = block.len() as u16;
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
}

impl Decompressor {
    /// From the pool, or made new; to be reset before use.
    pub(super) fn take(pool: Option<&dyn CodecPool>, available: Available) -> Self {
        let pooled = pool.and_then(|pool| pool.take_decompressor());
        pooled.unwrap_or_else(|| Decompressor {
            decoder: Box::new(Decoder::new(available)),
            last_use: LastUse::default(),
        })
    }

    /// As [`Compressor::goes_on`].
    pub(super) fn goes_on(&self, owner: &Owner, last: u64) -> bool {
        self.last_use.is(owner, last)
    }

    /// As [`Compressor::set_last_use`].
    pub(super) fn set_last_use(&mut self, last_use: Option<(&Owner, u64)>) {
        self.last_use.set(last_use);
    }

    pub(super) fn give(self, pool: Option<&dyn CodecPool>) {
        if let Some(pool) = pool {
            pool.give_decompressor(self);
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "_deflate"))]
mod tests {
    use super::*;
    use crate::deflate::backend::Inflated;

    #[test]
    fn stored_blocks_inflate_to_what_was_stored() {
        for size in [0, 1, 65_535, 65_536, 200_000] {
            let (part, mut out) = (alloc::vec![b'x'; size], Vec::new());
            store(&part, &mut out);
            let mut decoder = Decoder::new(Available);
            decoder.reset(&[]);
            let mut inflated = alloc::vec![0; size + 1];
            let wire = &out[..out.len() - TAIL];
            let done = decoder.inflate(wire, &mut inflated).unwrap();
            assert_eq!(done, Inflated { read: wire.len(), written: size });
            assert!(decoder.finish().is_ok() && inflated[..size] == part);
        }
    }
}
