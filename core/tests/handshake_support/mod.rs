//! Runs the server's side of the opening handshake on bytes.
#![allow(dead_code, reason = "not every test file uses all of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use sockeye_core::handshake::server::{
    Accept, Accepted, Policy, ServerHandshake, ServerHandshakeError, Upgrade,
};
use sockeye_core::http::Request;
use sockeye_core::{Config, Connection, RecvBuf};

/// A valid request for a WebSocket without the empty line at its end, so that tests can add fields.
pub(crate) const OPEN: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// Returns [`OPEN`] with more fields and its empty line.
pub(crate) fn open_with(fields: &str) -> String {
    format!("{OPEN}{fields}\r\n")
}

pub(crate) fn config() -> Arc<Config> {
    Arc::new(Config::new())
}

pub(crate) fn read_request(bytes: &[u8]) -> Result<Option<Request>, ServerHandshakeError> {
    ServerHandshake::new(config()).poll_request(&mut RecvBuf::new(&mut bytes.to_vec()))
}

pub(crate) fn upgrade(text: &str) -> Upgrade {
    Upgrade::new(read_request(text.as_bytes()).unwrap().unwrap()).unwrap()
}

pub(crate) fn accept(text: &str, accept: &Accept) -> Accepted {
    upgrade(text).accept(accept, config()).unwrap()
}

/// Returns the head that a server with the default policy answers with, or `None` if `bytes` is an
/// incomplete request.
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
        Err(rejection) => rejection.response().encode(),
    })
}

pub(crate) fn status_of(answer: &[u8]) -> u16 {
    std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap()
}

/// Writes everything that the connection has queued.
pub(crate) fn transmitted(connection: &mut Connection) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(transmit) = connection.poll_transmit() {
        let slice = transmit.first().to_vec();
        connection.transmitted(slice.len());
        out.extend_from_slice(&slice);
    }
    out
}
