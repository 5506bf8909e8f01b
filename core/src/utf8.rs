//! Checking text as it arrives (RFC 6455 8.1): the check fails at the first byte that cannot be
//! valid.

use core::fmt;

/// Checks UTF-8 text that arrives in pieces, which may end inside a character.
///
/// It passes on whole characters as `&str`, so that nothing is checked twice, and keeps an
/// incomplete character of at most three bytes.
///
/// ```
/// use sockeye_core::Utf8Stream;
///
/// let (mut utf8, mut text) = (Utf8Stream::new(), String::new());
/// utf8.push("λ".as_bytes().split_at(1).0, |s| text.push_str(s)).unwrap();
/// utf8.push("λ!".as_bytes().split_at(1).1, |s| text.push_str(s)).unwrap();
/// assert!(utf8.is_complete());
/// assert_eq!(text, "λ!");
///
/// // 0xED 0xA0 begins a surrogate, which no third byte can make valid.
/// assert!(Utf8Stream::new().push(&[0xed, 0xa0], |_| ()).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utf8Stream {
    /// The first `len` bytes are an incomplete character.
    partial: [u8; 3],
    len: u8,
}

/// The error for bytes that no continuation can make valid UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUtf8;

impl Utf8Stream {
    /// Creates a stream at the start of a text.
    #[must_use]
    pub const fn new() -> Self {
        Utf8Stream { partial: [0; 3], len: 0 }
    }

    /// Returns whether the text may end here: no character is incomplete.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.len == 0
    }

    /// Checks that the text may end here.
    ///
    /// # Errors
    ///
    /// Returns an error if the last character is incomplete.
    #[inline]
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.is_complete() { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Returns the bytes of the incomplete character.
    pub(crate) fn partial_character(&self) -> &[u8] {
        self.partial.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Checks the next piece, and passes the whole characters to `valid`, in order.
    ///
    /// # Errors
    ///
    /// Returns an error if no continuation can make the text valid UTF-8. Valid text before the
    /// error may have been passed to `valid`.
    #[inline]
    pub fn push(&mut self, piece: &[u8], mut valid: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        let piece = if self.len == 0 { piece } else { self.complete_character(piece, &mut valid)? };
        let (whole, partial) = split_partial_character(piece);
        let text = check_text(whole)?;
        if !text.is_empty() {
            valid(text);
        }
        if !partial.is_empty() {
            self.keep_partial(partial)?;
        }
        Ok(())
    }

    /// Completes the incomplete character with the front of `piece`. Returns the rest of `piece`.
    fn complete_character<'p>(
        &mut self,
        piece: &'p [u8],
        valid: &mut impl FnMut(&str),
    ) -> Result<&'p [u8], InvalidUtf8> {
        let mut rest = piece;
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            let mut character = [0; 4];
            let known = self.partial.iter().take(usize::from(self.len)).chain(Some(byte));
            let mut len = 0;
            for (slot, byte) in character.iter_mut().zip(known) {
                *slot = *byte;
                len += 1;
            }
            let (bytes, _) = character.split_at(len);
            match core::str::from_utf8(bytes) {
                Ok(text) => {
                    self.len = 0;
                    valid(text);
                    return Ok(rest);
                }
                Err(_) => self.keep_partial(bytes)?,
            }
        }
        Ok(rest)
    }

    /// Keeps the first bytes of a character, or returns an error if no character starts with them.
    fn keep_partial(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        match core::str::from_utf8(bytes) {
            Err(error) if error.error_len().is_none() && error.valid_up_to() == 0 => {
                for (slot, byte) in self.partial.iter_mut().zip(bytes) {
                    *slot = *byte;
                }
                self.len = bytes.len() as u8;
                Ok(())
            }
            _ => Err(InvalidUtf8),
        }
    }
}

/// Checks a whole text.
#[inline]
pub(crate) fn check_text(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// Splits off a character at the end that has fewer bytes than its first byte declares.
#[inline]
fn split_partial_character(bytes: &[u8]) -> (&[u8], &[u8]) {
    for len in 1..=bytes.len().min(3) {
        let (front, end) = bytes.split_at(bytes.len() - len);
        let declared = match end.first() {
            Some(0x80..=0xbf) => continue,
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xff) => 4,
            _ => 1,
        };
        return if declared > len { (front, end) } else { (bytes, &[]) };
    }
    (bytes, &[])
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not UTF-8")
    }
}

impl core::error::Error for InvalidUtf8 {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// The verdict of the standard library on the first bytes of a text: `None` while the rest may
    /// make them valid.
    fn std_verdict(bytes: &[u8]) -> Result<Option<&str>, ()> {
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.error_len().is_none() => Ok(None),
            Err(_) => Err(()),
        }
    }

    fn check_every_split(bytes: &[u8]) {
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let (mut utf8, mut text) = (Utf8Stream::new(), String::new());
            let first = utf8.push(head, |s| text.push_str(s));
            assert_eq!(first.is_err(), std_verdict(head).is_err(), "{head:02x?}");
            if first.is_err() {
                continue;
            }
            let second = utf8.push(tail, |s| text.push_str(s));
            match std_verdict(bytes) {
                Ok(Some(whole)) => {
                    assert_eq!((second, utf8.is_complete()), (Ok(()), true), "{head:02x?} {tail:02x?}");
                    assert_eq!(text, whole);
                }
                Ok(None) => {
                    assert_eq!((second, utf8.is_complete()), (Ok(()), false), "{head:02x?} {tail:02x?}")
                }
                Err(()) => assert!(second.is_err(), "{head:02x?} {tail:02x?}"),
            }
        }
    }

    #[test]
    fn every_two_bytes_in_every_split_agree_with_the_standard_library() {
        for pair in 0..=u16::MAX {
            check_every_split(&pair.to_be_bytes());
        }
    }

    #[test]
    fn every_lead_with_every_edge_of_its_continuations_agrees_with_the_standard_library() {
        // The edges in Unicode table 3-7. The test above covers every second byte of every lead.
        let seconds = [0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
        let thirds = [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xf4];
        for lead in 0x80..=0xff {
            for second in seconds {
                for third in thirds {
                    check_every_split(&[lead, second, third]);
                    for fourth in thirds {
                        check_every_split(&[lead, second, third, fourth]);
                        check_every_split(&[b'a', lead, second, third, fourth, b'z']);
                    }
                }
            }
        }
    }

    #[test]
    fn long_text_in_pieces_of_every_size_comes_out_whole() {
        let text = "añ漢🎉".repeat(40);
        for size in 1..80 {
            let (mut utf8, mut out) = (Utf8Stream::new(), String::new());
            for piece in text.as_bytes().chunks(size) {
                utf8.push(piece, |s| out.push_str(s)).unwrap();
            }
            assert!(utf8.is_complete());
            assert_eq!(out, text);
        }
    }
}
