//! Compressors and decompressors as values, so that a few of them can serve many connections.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::Deflate;
use super::backend::{Available, Decoder, Encoder};

/// "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end" (RFC 7692 7.2.1, item 3).
const TAIL: usize = 4;

/// The limit in bytes on output memory that a compressor keeps between two messages.
const MAX_KEPT_OUTPUT: usize = 64 << 10;

/// The settings of a compressor. Compressors with equal settings are interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompressorSettings {
    pub(super) level: u8,
    pub(super) window_bits: u8,
    pub(super) mem_level: u8,
    pub(super) available: Available,
}

/// The state of a compressor, which takes between 134 and 483 KiB and is expensive to create. See
/// [`CodecPool`].
pub struct Compressor {
    pub(super) settings: CompressorSettings,
    pub(super) encoder: Box<Encoder>,
    out: Vec<u8>,
    last_use: LastUse,
}

/// The connection that used a codec last, and the number of its message. If the same connection
/// takes the codec again for its very next message, the codec continues without a reset.
#[derive(Debug, Default)]
struct LastUse(Option<(Owner, u64)>);

/// The identity of a connection, unique for as long as a copy of it exists.
#[derive(Debug, Clone)]
pub(super) struct Owner(Arc<()>);

/// The state of a decompressor, which takes about 50 KiB. See [`CodecPool`].
pub struct Decompressor {
    pub(super) decoder: Box<Decoder>,
    last_use: LastUse,
}

/// A pool of codecs that no message needs at the moment.
///
/// With the feature `std`, connections use [`codec_pool`](super::codec_pool) by default. Without a
/// pool, each message creates a new codec.
///
/// Codecs are not cleared when they are returned, but before their next use.
///
/// A pool of one codec of each kind, for the connections of a device without the feature `std`:
///
/// ```
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// use sockeye_core::deflate::{CodecPool, Compressor, CompressorSettings, Decompressor};
/// use sockeye_core::{Config, session::Session};
///
/// #[derive(Debug, Default)]
/// struct One {
///     compressor: Mutex<Option<Compressor>>,
///     decompressor: Mutex<Option<Decompressor>>,
/// }
///
/// fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
///     slot.lock().unwrap_or_else(PoisonError::into_inner).take()
/// }
///
/// fn give<T>(slot: &Mutex<Option<T>>, codec: T) {
///     *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(codec);
/// }
///
/// impl CodecPool for One {
///     fn take_compressor(&self, settings: &CompressorSettings) -> Option<Compressor> {
///         take(&self.compressor).filter(|compressor| compressor.settings() == settings)
///     }
///     fn give_compressor(&self, compressor: Compressor) {
///         give(&self.compressor, compressor);
///     }
///     fn take_decompressor(&self) -> Option<Decompressor> {
///         take(&self.decompressor)
///     }
///     fn give_decompressor(&self, decompressor: Decompressor) {
///         give(&self.decompressor, decompressor);
///     }
/// }
///
/// let session = Session::server(Arc::new(Config::new())).with_codec_pool(Arc::new(One::default()));
/// # let _ = session;
/// ```
pub trait CodecPool: Send + Sync + fmt::Debug {
    /// Takes a compressor with these settings from the pool, if it has one.
    fn take_compressor(&self, settings: &CompressorSettings) -> Option<Compressor>;
    /// Returns a compressor to the pool, which drops it if it is full.
    fn give_compressor(&self, compressor: Compressor);
    /// Takes a decompressor from the pool, if it has one.
    fn take_decompressor(&self) -> Option<Decompressor>;
    /// Returns a decompressor to the pool, which drops it if it is full.
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
    /// Takes a compressor from the pool, or creates one. It must be reset before use, unless it
    /// [`continues`](Self::continues).
    pub(super) fn take_or_new(pool: Option<&dyn CodecPool>, settings: CompressorSettings) -> Self {
        let pooled = pool.and_then(|pool| pool.take_compressor(&settings));
        // A faulty pool must not make this connection exceed its negotiated window.
        pooled.filter(|compressor| compressor.settings == settings).unwrap_or_else(|| Compressor {
            settings,
            encoder: Box::new(Encoder::new(&settings)),
            out: Vec::new(),
            last_use: LastUse::default(),
        })
    }

    /// Returns whether message number `last` of `owner` was the last one to use this window.
    pub(super) fn continues(&self, owner: &Owner, last: u64) -> bool {
        self.last_use.is(owner, last)
    }

    /// Records the message that was compressed last, or `None` if no connection may continue with
    /// this window.
    pub(super) fn set_last_use(&mut self, last_use: Option<(&Owner, u64)>) {
        self.last_use.set(last_use);
    }

    pub(super) fn give_back(mut self, pool: Option<&dyn CodecPool>) {
        let Some(pool) = pool else { return };
        if self.out.capacity() > MAX_KEPT_OUTPUT {
            self.out = Vec::new();
        }
        pool.give_compressor(self);
    }

    /// Compresses the next part of a message. The `last` part lacks the tail, which the receiver
    /// appends.
    pub(super) fn compress(&mut self, part: &[u8], last: bool) -> &[u8] {
        self.out.clear();
        if self.encoder.compress(part, &mut self.out).is_err() {
            self.out.clear();
            write_stored_blocks(part, &mut self.out);
        }
        let len = self.out.len().saturating_sub(if last { TAIL } else { 0 });
        self.out.get(..len).unwrap_or_default()
    }

    /// Returns the settings that the compressor was created with.
    #[must_use]
    pub fn settings(&self) -> &CompressorSettings {
        &self.settings
    }
}

/// Writes the part as stored blocks (RFC 1951 3.2.4), followed by an empty one. This is the
/// fallback if an encoder ever fails, and valid for every receiver.
fn write_stored_blocks(part: &[u8], out: &mut Vec<u8>) {
    for block in part.chunks(usize::from(u16::MAX)).chain(core::iter::once(&[][..])) {
        let len = block.len() as u16;
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
}

impl Decompressor {
    /// Takes a decompressor from the pool, or creates one. It must be reset before use, unless it
    /// [`continues`](Self::continues).
    pub(super) fn take_or_new(pool: Option<&dyn CodecPool>, available: Available) -> Self {
        let pooled = pool.and_then(|pool| pool.take_decompressor());
        pooled.unwrap_or_else(|| Decompressor {
            decoder: Box::new(Decoder::new(available)),
            last_use: LastUse::default(),
        })
    }

    /// Returns whether message number `last` of `owner` was the last one to use this window.
    pub(super) fn continues(&self, owner: &Owner, last: u64) -> bool {
        self.last_use.is(owner, last)
    }

    /// Records the message that was inflated last, or `None` if no connection may continue with
    /// this window.
    pub(super) fn set_last_use(&mut self, last_use: Option<(&Owner, u64)>) {
        self.last_use.set(last_use);
    }

    pub(super) fn give_back(self, pool: Option<&dyn CodecPool>) {
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
            write_stored_blocks(&part, &mut out);
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
