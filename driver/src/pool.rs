//! Codecs that rest between messages, for all connections of the process.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use sockeye_core::deflate::{CodecPool, Compressor, CompressorSettings, Decompressor};

/// Compressors kept at most: they are in use for a message's length only, so no more are needed than threads run.
const COMPRESSORS: usize = 16;

/// Decompressors, which are in use for as long as a message takes to arrive.
const DECOMPRESSORS: usize = 32;

/// The compressors and decompressors of this process, for [`Connection::set_codec_pool`](sockeye_core::Connection::set_codec_pool):
/// a connection uses one for the length of a message. `WebSocket` does so by itself.
#[must_use]
pub fn codec_pool() -> Arc<dyn CodecPool> {
    static POOL: LazyLock<Arc<Pool>> = LazyLock::new(Arc::default);
    POOL.clone()
}

/// The last one given is the first one taken: it is the one that is in the cache.
#[derive(Debug, Default)]
struct Pool {
    compressors: Mutex<Vec<Compressor>>,
    decompressors: Mutex<Vec<Decompressor>>,
}

impl CodecPool for Pool {
    fn take_compressor(&self, settings: &CompressorSettings) -> Option<Compressor> {
        let mut compressors = lock(&self.compressors);
        let at = compressors.iter().rposition(|compressor| compressor.settings() == settings)?;
        Some(compressors.remove(at))
    }

    fn give_compressor(&self, compressor: Compressor) {
        let mut compressors = lock(&self.compressors);
        // The one that rests longest makes room: its settings may be nobody's any more.
        let oldest = (compressors.len() >= COMPRESSORS).then(|| compressors.remove(0));
        compressors.push(compressor);
        drop(compressors);
        drop(oldest);
    }

    fn take_decompressor(&self) -> Option<Decompressor> {
        lock(&self.decompressors).pop()
    }

    fn give_decompressor(&self, decompressor: Decompressor) {
        let mut decompressors = lock(&self.decompressors);
        if decompressors.len() < DECOMPRESSORS {
            decompressors.push(decompressor);
        }
    }
}

/// No panic can leave a list half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
