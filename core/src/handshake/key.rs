//! The `Sec-WebSocket-Key` of a handshake and the `Sec-WebSocket-Accept` that answers it.

use alloc::string::String;
use core::fmt;

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
    check(key.as_bytes()).is_ok()
}

/// The fault of an invalid `Sec-WebSocket-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It is not base64 with padding (RFC 4648 4).
    NotBase64,
    /// It decodes to a number of bytes other than 16 (RFC 6455 4.2.1).
    Length(usize),
    /// It decodes to 16 bytes, but its last character has bits that decoding drops. RFC 4648 3.5
    /// requires that they are zero.
    SpareBits,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidKey::NotBase64 => "the key is not base64 with padding (RFC 4648 section 4)",
            InvalidKey::Length(decoded) => {
                return write!(f, "the key decodes to {decoded} bytes instead of 16");
            }
            InvalidKey::SpareBits => {
                "the key decodes to 16 bytes, but its last character before '==' must be A, Q, g or w: \
                 its unused bits must be zero (RFC 4648 section 3.5)"
            }
        })
    }
}

impl core::error::Error for InvalidKey {}

pub(super) fn accept_value(key: &[u8]) -> String {
    // RFC 6455 1.3.
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Checks a key. RFC 6455 4.2.1: "a base64-encoded (see Section 4 of \[RFC4648\]) value that, when
/// decoded, is 16 bytes in length".
pub(super) fn check(key: &[u8]) -> Result<(), InvalidKey> {
    let (digits, padding) = match key {
        [digits @ .., b'=', b'='] => (digits, 2),
        [digits @ .., b'='] => (digits, 1),
        digits => (digits, 0),
    };
    let is_digit = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if !key.len().is_multiple_of(4) || !digits.iter().all(is_digit) {
        return Err(InvalidKey::NotBase64);
    }
    // Four characters encode three bytes, and each `=` takes one away.
    let decoded = (key.len() / 4).saturating_mul(3).saturating_sub(padding);
    match digits {
        _ if decoded != 16 => Err(InvalidKey::Length(decoded)),
        [.., b'A' | b'Q' | b'g' | b'w'] => Ok(()),
        _ => Err(InvalidKey::SpareBits),
    }
}

pub(super) fn encode_nonce(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}
