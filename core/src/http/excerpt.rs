//! Text of a peer in logs and responses.

use core::fmt;

/// A text that a peer sent, for logs and responses.
///
/// It displays at most [`MAX`](Excerpt::MAX) bytes of the text. Visible ASCII characters are shown
/// as they are; all others, and those with a meaning in HTML, in quotes or in this notation, are
/// shown as `\\x` and two digits. So the text can neither begin a line nor become markup.
///
/// ```
/// use sockeye_core::http::Excerpt;
///
/// let shown = Excerpt::new("<b>\r\nINFO all is well").to_string();
/// assert_eq!(shown, r"\x3cb\x3e\x0d\x0aINFO all is well");
/// ```
#[derive(Clone, Copy)]
pub struct Excerpt<'a>(&'a [u8]);

impl<'a> Excerpt<'a> {
    /// The number of bytes that are shown.
    pub const MAX: usize = 200;

    /// Wraps a text.
    #[must_use]
    pub fn new<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Self {
        Excerpt(text.as_ref())
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for &byte in self.0.iter().take(Self::MAX) {
            match byte {
                b'<' | b'>' | b'&' | b'"' | b'\'' | b'`' | b'\\' => write!(f, "\\x{byte:02x}")?,
                b' '..=b'~' => f.write_char(byte.into())?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        if self.0.len() > Self::MAX { f.write_str("...") } else { Ok(()) }
    }
}

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
