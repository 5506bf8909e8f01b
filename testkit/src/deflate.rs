//! Ends that have negotiated permessage-deflate, and a codec pool that counts.
//!
//! The settings come from the test: only a core built with `deflate` can make them.

use std::sync::{Arc, Mutex};

use sockeye_core::Config;
use sockeye_core::deflate::{
    CodecPool, Compressor, CompressorSettings, Decompressor, Deflate, Negotiated, accept, offer, verify,
};

use crate::pair::{End, Pair};

/// Negotiates between a server and a client, and returns the result as each of them sees it.
///
/// # Panics
///
/// Panics if they do not agree.
#[must_use]
pub fn agree(server: &Deflate, client: &Deflate) -> (Negotiated, Negotiated) {
    let (at_server, answer) = accept([offer(client).as_bytes()], server).unwrap();
    let at_client = verify([answer.as_bytes()], client).unwrap().unwrap();
    assert_eq!((at_server.own, at_server.peer), (at_client.peer, at_client.own));
    (at_server, at_client)
}

/// Returns two ends with these configurations, which must contain settings for compression.
#[must_use]
pub fn deflating_pair(server: Config, client: Config) -> Pair {
    let agreed = agree(&server.deflate.clone().unwrap(), &client.deflate.clone().unwrap());
    let mut pair = Pair::new(Config::new());
    pair.server = End::server(server);
    pair.client = End::client(client);
    pair.server.connection.enable_deflate(&agreed.0);
    pair.client.connection.enable_deflate(&agreed.1);
    pair
}

/// A pool that counts. It hands out the codec that it received last, even if that was made for
/// other settings. The core must not use such a codec.
#[derive(Debug, Default)]
pub struct Pool {
    compressors: Mutex<Vec<Compressor>>,
    decompressors: Mutex<Vec<Decompressor>>,
    taken: Mutex<usize>,
}

impl Pool {
    /// Returns an empty pool.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns the pool as the core's settings take it.
    #[must_use]
    pub fn shared(self: &Arc<Self>) -> Arc<dyn CodecPool> {
        self.clone()
    }

    /// Returns the number of codecs that were reused.
    #[must_use]
    pub fn taken(&self) -> usize {
        *self.taken.lock().unwrap()
    }

    /// Returns the numbers of compressors and decompressors in the pool.
    #[must_use]
    pub fn resting(&self) -> (usize, usize) {
        (self.compressors.lock().unwrap().len(), self.decompressors.lock().unwrap().len())
    }

    fn count<T>(&self, taken: Option<T>) -> Option<T> {
        *self.taken.lock().unwrap() += usize::from(taken.is_some());
        taken
    }
}

impl CodecPool for Pool {
    fn take_compressor(&self, _: &CompressorSettings) -> Option<Compressor> {
        self.count(self.compressors.lock().unwrap().pop())
    }

    fn give_compressor(&self, compressor: Compressor) {
        self.compressors.lock().unwrap().push(compressor);
    }

    fn take_decompressor(&self) -> Option<Decompressor> {
        self.count(self.decompressors.lock().unwrap().pop())
    }

    fn give_decompressor(&self, decompressor: Decompressor) {
        self.decompressors.lock().unwrap().push(decompressor);
    }
}

/// Returns a pool that keeps no codec, so that every message gets a new one.
#[must_use]
pub fn no_pool() -> Arc<dyn CodecPool> {
    Arc::new(NoPool)
}

#[derive(Debug)]
struct NoPool;

impl CodecPool for NoPool {
    fn take_compressor(&self, _: &CompressorSettings) -> Option<Compressor> {
        None
    }

    fn give_compressor(&self, _: Compressor) {}

    fn take_decompressor(&self) -> Option<Decompressor> {
        None
    }

    fn give_decompressor(&self, _: Decompressor) {}
}
