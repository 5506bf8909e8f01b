//! Masking (RFC 6455 5.3), which lives in a crate of its own.

/// Masks or unmasks `bytes` in place with `key`; `bytes` starts at a multiple of four of the payload.
///
/// ```
/// // The masked "Hello" of RFC 6455 5.7.
/// let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// sockeye_core::apply_mask(&mut payload, [0x37, 0xfa, 0x21, 0x3d]);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    sockeye_mask::mask(bytes, key);
}

/// The key for what follows `len` bytes masked with `key`.
#[inline]
pub(crate) fn advance_key(key: [u8; 4], len: usize) -> [u8; 4] {
    let mut key = key;
    key.rotate_left(len % 4);
    key
}
