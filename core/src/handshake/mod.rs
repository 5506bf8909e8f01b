//! The opening handshake (RFC 6455 4): from an HTTP request to a [`Connection`](crate::Connection).
//!
//! ```text
//!   server:  Handshake ─▶ Request ─▶ Upgrade ─▶ Accepted { connection, .. }
//!               │                       ├─────▶ Policy::decide ─▶ Accept
//!               └─▶ HandshakeError      └─────▶ Rejection, or a Response of your own
//!
//!   client:  Url ─▶ Request ─▶ Handshake ─▶ Established { connection, .. }
//!                                  └──────▶ HandshakeError
//! ```
//!
//! Each step is a value that the next one consumes, so a request can be looked at for as long as one likes. Bytes
//! behind a head stay in the [`RecvBuf`](crate::RecvBuf) and are the connection's first frames.

pub mod client;
pub(crate) mod extensions;
mod key;
pub mod server;

pub use key::{accept_key, is_valid_key};

/// Whether this header is part of the handshake itself, in either direction: those are written by the library
/// alone. A wrong one would break the handshake, or end the head's body somewhere else.
fn is_own_header(name: &str) -> bool {
    const OWN: [&str; 4] = ["upgrade", "connection", "content-length", "transfer-encoding"];
    const PREFIX: &[u8] = b"sec-websocket-";
    OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
        || name.as_bytes().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
