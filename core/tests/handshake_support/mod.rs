//! What the tests of the handshake share.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use sockeye_core::handshake::server::{Accept, Accepted, Handshake, HandshakeError, Policy, Upgrade};
use sockeye_core::http::Request;
use sockeye_core::{Config, Connection, RecvBuf};

pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A valid upgrade without its empty line, so that tests can add fields.
pub(crate) const OPEN: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

pub(crate) fn open_with(fields: &str) -> String {
    format!("{OPEN}{fields}\r\n")
}

pub(crate) fn config() -> Arc<Config> {
    Arc::new(Config::new())
}

pub(crate) fn read_request(bytes: &[u8]) -> Result<Option<Request>, HandshakeError> {
    Handshake::new(config()).poll_request(&mut RecvBuf::new(&mut bytes.to_vec()))
}

pub(crate) fn upgrade(text: &str) -> Upgrade {
    Upgrade::new(read_request(text.as_bytes()).unwrap().unwrap()).unwrap()
}

pub(crate) fn accept(text: &str, accept: &Accept) -> Accepted {
    upgrade(text).accept(accept, config()).unwrap()
}

/// What a server with the default policy answers to these bytes: a head, or nothing yet.
pub(crate) fn answer(bytes: &[u8]) -> Option<Vec<u8>> {
    let request = match read_request(bytes) {
        Ok(None) => return None,
        Ok(Some(request)) => request,
        Err(error) => return Some(error.response().unwrap().encode()),
    };
    let upgrade = match Upgrade::new(request) {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Some(rejection.response().encode()),
    };
    Some(match Policy::new().decide(&upgrade) {
        Ok(accept) => transmitted(&mut upgrade.accept(&accept, config()).unwrap().connection),
        Err(refusal) => upgrade.reject(refusal).response().encode(),
    })
}

pub(crate) fn status_of(answer: &[u8]) -> u16 {
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}

/// Everything that the connection has to write.
pub(crate) fn transmitted(connection: &mut Connection) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(transmit) = connection.poll_transmit() {
        let slice = transmit.first().to_vec();
        connection.transmitted(slice.len());
        out.extend_from_slice(&slice);
    }
    out
}
