//! The sample handshake of RFC 6455 section 1.3.

/// The `Sec-WebSocket-Key` of the sample: base64 of `the sample nonce`.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The nonce whose key is [`SAMPLE_KEY`].
pub const SAMPLE_NONCE: [u8; 16] = *b"the sample nonce";

/// The `Sec-WebSocket-Accept` that answers [`SAMPLE_KEY`].
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A small valid request for a WebSocket.
pub const UPGRADE_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Returns a valid request for a WebSocket at `path`, with more header lines, each ended by CRLF.
#[must_use]
pub fn upgrade_request(path: &str, header_lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {SAMPLE_KEY}\r\n{header_lines}\r\n"
    )
}
