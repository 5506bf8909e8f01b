//! The opening handshake (RFC 6455 4): from an HTTP request to a [`Connection`](crate::Connection).
//!
//! ```text
//!   server:  ServerHandshake ─▶ Request ─▶ Upgrade ─▶ Accepted { connection, .. }
//!                   │                         ├─────▶ Policy::decide ─▶ Accept
//!                   └─▶ ServerHandshakeError  └─────▶ Rejection, or any Response
//!
//!   client:  Url ─▶ ClientRequest ─▶ ClientHandshake ─▶ Established { connection, .. }
//!                                           └─────────▶ ClientHandshakeError
//! ```
//!
//! Each step is a value that the next one consumes, so the application can take its time between
//! two steps. Bytes after a head stay in the [`RecvBuf`](crate::RecvBuf): they are the connection's
//! first frames.

pub mod client;
pub(crate) mod extensions;
mod key;
pub mod server;

pub use key::{InvalidKey, accept_key, is_valid_key};

/// Returns whether this header belongs to the handshake itself, in either direction. The library
/// alone writes these: a wrong one would break the handshake, or change where the message ends.
fn is_handshake_header(name: &str) -> bool {
    const OWN: [&str; 4] = ["upgrade", "connection", "content-length", "transfer-encoding"];
    const PREFIX: &[u8] = b"sec-websocket-";
    OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
        || name.as_bytes().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
