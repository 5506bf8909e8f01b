//! Codecs that rest between messages.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sockeye_core::deflate::{CodecPool, Compressor, CompressorSettings, Decompressor};

/// Codecs of each thread, for [`Connection::set_codec_pool`](sockeye_core::Connection::set_codec_pool): for runtimes that run many
/// connections on few threads. `WebSocket` uses it by itself.
#[must_use]
pub fn codec_pool() -> Arc<dyn CodecPool> {
    static POOL: LazyLock<Arc<PerThread>> = LazyLock::new(|| Arc::new(PerThread));
    POOL.clone()
}

/// Codecs of the whole process, where each connection has a thread of its own.
#[must_use]
pub fn shared_codec_pool() -> Arc<dyn CodecPool> {
    static POOL: LazyLock<Arc<Shared>> = LazyLock::new(Arc::default);
    POOL.clone()
}

/// The last one given is the first one taken: it is the one that is in the cache, and it may be the taker's own.
#[derive(Debug, Default)]
struct Shelf {
    compressors: Vec<Compressor>,
    decompressors: Vec<Decompressor>,
}

/// More than that are not kept. Compressors are in use for the length of a message, most of which are compressed at once;
/// decompressors for as long as a message takes to arrive.
const COMPRESSORS: usize = 8;
const DECOMPRESSORS: usize = 16;

impl Shelf {
    fn take_compressor(&mut self, settings: &CompressorSettings) -> Option<Compressor> {
        let at = self.compressors.iter().rposition(|compressor| compressor.settings() == settings)?;
        Some(self.compressors.remove(at))
    }

    /// Gives what has to make room: the one that rests longest, whose settings may be nobody's any more.
    fn give_compressor(&mut self, compressor: Compressor) -> Option<Compressor> {
        let oldest = (self.compressors.len() >= COMPRESSORS).then(|| self.compressors.remove(0));
        self.compressors.push(compressor);
        oldest
    }

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
    /// `None` while the thread ends.
    fn with<R>(f: impl FnOnce(&mut Shelf) -> R) -> Option<R> {
        SHELF.try_with(|shelf| f(&mut shelf.borrow_mut())).ok()
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
    /// No panic can leave the shelf half changed.
    fn with<R>(&self, f: impl FnOnce(&mut Shelf) -> R) -> R {
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
