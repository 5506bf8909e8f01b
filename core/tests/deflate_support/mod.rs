//! Ends that have agreed on compression.
#![allow(dead_code, reason = "every scenario uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use sockeye_core::Config;
use sockeye_core::deflate::{
    CodecPool, Compressor, CompressorSettings, Decompressor, Deflate, Negotiated, Policy, accept, offer,
    verify,
};

use super::common::*;

/// "Per-Message Compressed" (RFC 7692 6).
pub(crate) const RSV1: u8 = 0x40;

pub(crate) fn always() -> Deflate {
    Deflate::new().policy(Policy::Always)
}

/// What a server and a client with these settings agree on: the server's view, and the client's.
pub(crate) fn agree(server: &Deflate, client: &Deflate) -> (Negotiated, Negotiated) {
    let (agreed, answer) = accept([offer(client).as_bytes()], server).unwrap();
    (agreed, verify([answer.as_bytes()], client).unwrap().unwrap())
}

/// An end with these settings, whose peer has the defaults.
pub(crate) fn deflating(server: bool, settings: Deflate) -> End {
    deflating_with(server, Config::new().max_send_size(u64::MAX).deflate(settings))
}

pub(crate) fn deflating_with(server: bool, config: Config) -> End {
    let settings = config.deflate.clone().unwrap();
    let (at_server, at_client) = match server {
        true => agree(&settings, &Deflate::new()),
        false => agree(&Deflate::new(), &settings),
    };
    let mut end = End::of(server, config);
    end.connection.enable_deflate(if server { &at_server } else { &at_client });
    end
}

/// Two ends with these settings.
pub(crate) fn deflating_pair(server: Config, client: Config) -> Pair {
    let agreed = agree(&server.deflate.clone().unwrap(), &client.deflate.clone().unwrap());
    let mut pair = Pair::new(Config::new());
    pair.server = End::server(server);
    pair.client = End::client(client);
    pair.server.connection.enable_deflate(&agreed.0);
    pair.client.connection.enable_deflate(&agreed.1);
    pair
}

/// A pool that counts.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    compressors: Mutex<Vec<Compressor>>,
    decompressors: Mutex<Vec<Decompressor>>,
    taken: Mutex<usize>,
}

impl Pool {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn shared(self: &Arc<Self>) -> Arc<dyn CodecPool> {
        self.clone()
    }

    /// How often something was taken that had been given.
    pub(crate) fn taken(&self) -> usize {
        *self.taken.lock().unwrap()
    }

    /// Compressors and decompressors that rest.
    pub(crate) fn resting(&self) -> (usize, usize) {
        (self.compressors.lock().unwrap().len(), self.decompressors.lock().unwrap().len())
    }

    fn count<T>(&self, taken: Option<T>) -> Option<T> {
        *self.taken.lock().unwrap() += usize::from(taken.is_some());
        taken
    }
}

impl CodecPool for Pool {
    // Whatever comes to hand, also one made for other settings, which must do no harm.
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
