//! Pools of codecs that are idle between messages.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::cell::RefCell;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{CodecPool, Compressor, CompressorSettings, Decompressor};

/// Returns a pool that keeps codecs per thread, for programs that run many connections on few
/// threads. Connections use it until
/// [`Connection::set_codec_pool`](crate::Connection::set_codec_pool) sets another one.
#[must_use]
pub fn codec_pool() -> Arc<dyn CodecPool> {
    static POOL: LazyLock<Arc<PerThread>> = LazyLock::new(|| Arc::new(PerThread));
    POOL.clone()
}

/// Returns a pool that the whole process shares, for programs that run each connection on its own
/// thread.
///
/// ```
/// # use std::sync::Arc;
/// use sockeye_core::{Config, Connection, deflate};
///
/// let mut connection = Connection::server(Arc::new(Config::new()));
/// connection.set_codec_pool(&deflate::shared_codec_pool());
/// ```
#[must_use]
pub fn shared_codec_pool() -> Arc<dyn CodecPool> {
    static POOL: LazyLock<Arc<Shared>> = LazyLock::new(Arc::default);
    POOL.clone()
}

/// Idle codecs. The one returned last is taken first: it is still in the cache, and the connection
/// that takes it may have used it before.
#[derive(Debug, Default)]
struct Shelf {
    compressors: Vec<Compressor>,
    decompressors: Vec<Decompressor>,
}

/// The number of idle compressors that a shelf keeps. Most messages are compressed in one call, so
/// few compressors are in use at a time.
const COMPRESSORS: usize = 8;
/// The number of idle decompressors that a shelf keeps. Each is in use for as long as a message
/// takes to arrive.
const DECOMPRESSORS: usize = 16;

impl Shelf {
    fn take_compressor(&mut self, settings: &CompressorSettings) -> Option<Compressor> {
        let at = self.compressors.iter().rposition(|compressor| compressor.settings() == settings)?;
        Some(self.compressors.remove(at))
    }

    /// Keeps a compressor. Returns the one that has been idle longest if there are too many,
    /// because its settings may no longer be in use.
    fn give_compressor(&mut self, compressor: Compressor) -> Option<Compressor> {
        let oldest = (self.compressors.len() >= COMPRESSORS).then(|| self.compressors.remove(0));
        self.compressors.push(compressor);
        oldest
    }

    /// Keeps a decompressor. Returns it if there are too many.
    fn give_decompressor(&mut self, decompressor: Decompressor) -> Option<Decompressor> {
        if self.decompressors.len() >= DECOMPRESSORS {
            return Some(decompressor);
        }
        self.decompressors.push(decompressor);
        None
    }
}

thread_local! {
    static SHELF: RefCell<Shelf> = RefCell::default();
}

#[derive(Debug)]
struct PerThread;

impl PerThread {
    /// Calls `f` with the thread's shelf. Returns `None` while the thread exits.
    fn with<R>(f: impl FnOnce(&mut Shelf) -> R) -> Option<R> {
        SHELF.try_with(|shelf| shelf.try_borrow_mut().ok().map(|mut shelf| f(&mut shelf))).ok()?
    }
}

impl CodecPool for PerThread {
    fn take_compressor(&self, settings: &CompressorSettings) -> Option<Compressor> {
        Self::with(|shelf| shelf.take_compressor(settings)).flatten()
    }

    fn give_compressor(&self, compressor: Compressor) {
        drop(Self::with(|shelf| shelf.give_compressor(compressor)));
    }

    fn take_decompressor(&self) -> Option<Decompressor> {
        Self::with(|shelf| shelf.decompressors.pop()).flatten()
    }

    fn give_decompressor(&self, decompressor: Decompressor) {
        drop(Self::with(|shelf| shelf.give_decompressor(decompressor)));
    }
}

#[derive(Debug, Default)]
struct Shared(Mutex<Shelf>);

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut Shelf) -> R) -> R {
        // A panic leaves the shelf usable: each step leaves it whole.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CodecPool for Shared {
    fn take_compressor(&self, settings: &CompressorSettings) -> Option<Compressor> {
        self.with(|shelf| shelf.take_compressor(settings))
    }

    fn give_compressor(&self, compressor: Compressor) {
        drop(self.with(|shelf| shelf.give_compressor(compressor)));
    }

    fn take_decompressor(&self) -> Option<Decompressor> {
        self.with(|shelf| shelf.decompressors.pop())
    }

    fn give_decompressor(&self, decompressor: Decompressor) {
        drop(self.with(|shelf| shelf.give_decompressor(decompressor)));
    }
}
