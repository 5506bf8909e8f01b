//! A pool of codecs, last in first out.

use std::sync::{Arc, Mutex};

use sockeye_core::deflate::{CodecPool, Compressor, CompressorSettings, Decompressor};

#[derive(Debug, Default)]
pub(crate) struct Pool {
    compressors: Mutex<Vec<Compressor>>,
    decompressors: Mutex<Vec<Decompressor>>,
}

impl Pool {
    pub(crate) fn shared() -> Arc<dyn CodecPool> {
        Arc::new(Pool::default())
    }
}

impl CodecPool for Pool {
    // May return a compressor for other settings, which the core must not use.
    fn take_compressor(&self, _: &CompressorSettings) -> Option<Compressor> {
        self.compressors.lock().expect("never poisoned").pop()
    }

    fn give_compressor(&self, compressor: Compressor) {
        self.compressors.lock().expect("never poisoned").push(compressor);
    }

    fn take_decompressor(&self) -> Option<Decompressor> {
        self.decompressors.lock().expect("never poisoned").pop()
    }

    fn give_decompressor(&self, decompressor: Decompressor) {
        self.decompressors.lock().expect("never poisoned").push(decompressor);
    }
}
