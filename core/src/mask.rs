//! Masking (RFC 6455 5.3). The loop itself is in the crate `sockeye-mask`.

/// Masks or unmasks `bytes` in place with `key`.
///
/// `bytes` must start at a multiple of four bytes from the start of the payload.
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

/// Returns the key for the bytes after `len` bytes that were masked with `key`.
#[inline]
pub(crate) fn advance_key(key: [u8; 4], len: usize) -> [u8; 4] {
    let mut key = key;
    key.rotate_left(len % 4);
    key
}
