//! Percent-encoding (RFC 3986 2.1).

use alloc::vec::Vec;

/// Decodes `%` and two digits, or returns `None` where a `%` has no two digits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let byte = if *byte == b'%' {
            let [high, low, tail @ ..] = rest else { return None };
            rest = tail;
            digit(*high)?.wrapping_shl(4) | digit(*low)?
        } else {
            *byte
        };
        decoded.push(byte);
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
