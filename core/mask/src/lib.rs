//! Masking for WebSocket (RFC 6455 5.3): exclusive or with a four-byte key. Masking twice restores
//! the original.
//!
//! This crate holds all the `unsafe` of Sockeye's crates, which is two lines, and is small enough
//! to be audited. The loops are plain safe code, written for the compiler's vectoriser. One unsafe
//! line calls the loop that is compiled for AVX2, once the processor is known to have AVX2. On
//! 64 KiB, that loop is 2.5 times as fast as the loop for every x86-64. The other line converts
//! bytes into text after the loop has found them to be ASCII, which saves a second pass.
//!
//! ```
//! // The masked "Hello" of RFC 6455 5.7.
//! let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! assert_eq!(sockeye_mask::unmask_text(&mut payload, [0x37, 0xfa, 0x21, 0x3d]), Ok("Hello"));
//! ```
//!
//! # Features
//!
//! One, which is off by default.
//!
//! | Feature | |
//! |---|---|
//! | `std` | detects AVX2 at run time and uses it; the crate is `no_std` otherwise |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

#[cfg(feature = "std")]
extern crate std;

/// The number of bytes that are checked for ASCII first. Text that is not ASCII usually shows that
/// within these bytes, and then the rest need not be checked.
const LOOK: usize = 1 << 10;

/// The length below which the AVX2 loop is not faster.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
const WIDE: usize = 64;

/// Masks or unmasks `bytes` in place with `key`. `bytes` must start at a multiple of four in the
/// payload.
#[inline]
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    xor::<false>(bytes, key);
}

/// Unmasks `bytes` in place and returns them as text if all of them are ASCII. This takes a single
/// pass.
///
/// # Errors
///
/// Returns the unmasked bytes if one of them is not ASCII. They may still be valid UTF-8.
#[inline]
pub fn unmask_text(bytes: &mut [u8], key: [u8; 4]) -> Result<&str, &[u8]> {
    let (head, tail) = bytes.split_at_mut(bytes.len().min(LOOK));
    let ascii = xor::<true>(head, key);
    // The key needs no rotation: the head's length is a multiple of four, or the tail is empty.
    if ascii && xor::<true>(tail, key) {
        // SAFETY: `xor` has found every byte to be below 0x80, and nothing has changed them since.
        Ok(unsafe { core::str::from_utf8_unchecked(bytes) })
    } else {
        if !ascii {
            xor::<false>(tail, key);
        }
        Err(bytes)
    }
}

/// Applies the key. With `LOOK`, returns whether all resulting bytes are ASCII.
#[inline]
fn xor<const LOOK: bool>(bytes: &mut [u8], key: [u8; 4]) -> bool {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if bytes.len() >= WIDE && std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { xor_avx2::<LOOK>(bytes, key) };
    }
    xor_blocks::<2, LOOK>(bytes, key)
}

/// Applies the key like [`xor`], but is compiled for AVX2. It takes four vectors of 32 bytes at a
/// time, aligned so that none spans two cache lines.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2")]
fn xor_avx2<const LOOK: bool>(bytes: &mut [u8], key: [u8; 4]) -> bool {
    let (head, aligned) = bytes.split_at_mut(bytes.as_ptr().align_offset(32).min(bytes.len()));
    let mut aligned_key = key;
    aligned_key.rotate_left(head.len() % 4);
    // `&` rather than `&&`, because both parts have to be unmasked.
    xor_blocks::<2, LOOK>(head, key) & xor_blocks::<16, LOOK>(aligned, aligned_key)
}

/// Applies the key to blocks of `N` words, so that the compiler uses its widest vectors, then to
/// the rest.
#[inline(always)]
fn xor_blocks<const N: usize, const LOOK: bool>(bytes: &mut [u8], key: [u8; 4]) -> bool {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    let (blocks, words) = words.as_chunks_mut::<N>();
    let mut seen = [0; N];
    for block in blocks {
        for (chunk, seen) in block.iter_mut().zip(&mut seen) {
            let plain = u64::from_ne_bytes(*chunk) ^ word;
            if LOOK {
                *seen |= plain;
            }
            *chunk = plain.to_ne_bytes();
        }
    }
    let mut seen = seen.iter().fold(0, |all, one| all | one);
    for chunk in words {
        let plain = u64::from_ne_bytes(*chunk) ^ word;
        seen |= plain;
        *chunk = plain.to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for chunk in halves {
        let plain = u32::from_ne_bytes(*chunk) ^ half;
        seen |= u64::from(plain);
        *chunk = plain.to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    seen & 0x8080_8080_8080_8080 == 0
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    extern crate alloc;

    use super::*;
    use alloc::vec::Vec;

    const KEY: [u8; 4] = [0x11, 0xa2, 0x44, 0x88];

    fn formula_of_the_rfc(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }

    #[test]
    fn every_length_and_alignment_agrees_with_the_formula_of_the_rfc() {
        let plain: Vec<u8> = (0..400u32).map(|i| (i * 7) as u8).collect();
        for start in 0..9 {
            for end in start..plain.len() {
                let mut bytes = plain.clone();
                mask(&mut bytes[start..end], KEY);
                assert_eq!(bytes[start..end], formula_of_the_rfc(&plain[start..end]), "{start}..{end}");
                assert_eq!(bytes[..start], plain[..start]);
                assert_eq!(bytes[end..], plain[end..]);
            }
        }
    }

    #[test]
    fn a_byte_that_is_not_ascii_is_found_at_every_position() {
        for len in (0..300).chain([1023, 1024, 1025, 1100]) {
            let text: Vec<u8> = (0..len).map(|i| (i % 0x80) as u8).collect();
            let mut masked = formula_of_the_rfc(&text);
            assert_eq!(unmask_text(&mut masked, KEY).map(str::as_bytes), Ok(&text[..]));
            for at in 0..len {
                let mut bytes = text.clone();
                bytes[at] |= 0x80;
                let mut masked = formula_of_the_rfc(&bytes);
                assert_eq!(unmask_text(&mut masked, KEY), Err(&bytes[..]), "{len} bytes, at {at}");
            }
        }
    }
}
