//! The `Sec-WebSocket-Key` of a handshake and the `Sec-WebSocket-Accept` that answers it.

use alloc::string::String;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 1.3, 4.2.2).
///
/// This is the SHA-1 of the key followed by a fixed GUID, in base64. It proves that the server
/// speaks WebSocket; it is not a security measure.
///
/// ```
/// use sockeye_core::handshake::accept_key;
///
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &str) -> String {
    accept_value(key.as_bytes())
}

/// Returns whether this is a valid `Sec-WebSocket-Key`: "a nonce consisting of a randomly selected
/// 16-byte value that has been base64-encoded" (RFC 6455 4.1).
///
/// A valid key has 22 characters of base64 and `==`. The last of the 22 carries only two bits, and
/// RFC 4648 3.5 requires its other bits to be zero, which leaves `A`, `Q`, `g` and `w`.
#[must_use]
pub fn is_valid_key(key: &str) -> bool {
    is_valid(key.as_bytes())
}

pub(super) fn accept_value(key: &[u8]) -> String {
    // RFC 6455 1.3.
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

pub(super) fn is_valid(key: &[u8]) -> bool {
    match key {
        [start @ .., b'A' | b'Q' | b'g' | b'w', b'=', b'='] => {
            start.len() == 21 && start.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        }
        _ => false,
    }
}

pub(super) fn encode_nonce(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}
