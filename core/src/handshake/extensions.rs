//! Parsing `Sec-WebSocket-Extensions` (RFC 6455 9.1) in place: one pass checks the grammar, and a
//! second one reads the parameters of the extensions that are of interest.
//!
//! ```text
//! extension-list  = 1#extension
//! extension       = extension-token *( ";" extension-param )
//! extension-param = token [ "=" (token | quoted-string) ]
//! ```
//!
//! "Note that this section is using ABNF syntax/rules from \[RFC2616\], including the "implied *LWS
//! rule"": blanks are allowed around every `,`, `;` and `=`, and "null elements are allowed" in a
//! list (RFC 2616 2.1). The parameters are not such a list, so none may be empty.

use crate::http::{is_blank, is_tchar};

/// An element of the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extension<'a> {
    name: &'a [u8],
    /// The rest of the line after the name. The part that belongs to this element has been
    /// validated.
    rest: &'a [u8],
}

/// A parameter of an extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param<'a> {
    name: &'a [u8],
    pub(crate) value: Option<Value<'a>>,
}

/// The value of a parameter: a token, or the text between the quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(&'a [u8]);

/// The error for a list that does not conform to the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Returns whether the lines form a list of extensions. No line at all is valid, but lines without
/// an element are not: `extension-list` is `1#extension`.
pub(crate) fn is_valid<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut lines = lines.into_iter().peekable();
    let is_present = lines.peek().is_some();
    let mut elements = extensions(lines).peekable();
    (elements.peek().is_some() || !is_present) && elements.all(|element| element.is_ok())
}

/// Returns the elements of all lines, which form one list (RFC 6455 9.1: "this header field MAY be
/// split or combined across multiple lines"). After an error, the rest of that line is skipped.
///
/// Parsing line by line is equivalent to joining the lines first: a quoted string that spans two
/// lines would contain the joining comma, and a value with a comma is not a token.
pub(crate) fn extensions<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Result<Extension<'a>, Malformed>> {
    lines.into_iter().flat_map(|mut rest| core::iter::from_fn(move || extension(&mut rest).transpose()))
}

impl<'a> Extension<'a> {
    /// Returns whether the extension has this name, ignoring case.
    ///
    /// RFC 6455 does not define how names compare. No two registered names differ by case alone, so
    /// ignoring it is safe, and HTTP does the same for most tokens.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    pub(crate) fn params(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let mut rest = self.rest;
        core::iter::from_fn(move || param(&mut rest).ok().flatten())
    }
}

impl Param<'_> {
    /// Returns whether the parameter has this name, ignoring case (see [`Extension::is`]).
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

impl Value<'_> {
    /// Returns the bytes of the token, without quoting. A token cannot contain `\`, so each `\`
    /// here begins a quoted-pair.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied().filter(|&byte| byte != b'\\')
    }
}

/// Takes the next element of a line, and the comma after it.
fn extension<'a>(rest: &mut &'a [u8]) -> Result<Option<Extension<'a>>, Malformed> {
    while take(rest, b',') {}
    if rest.is_empty() {
        return Ok(None);
    }
    let parsed = token(rest).and_then(|name| {
        let extension = Extension { name, rest };
        while param(rest)?.is_some() {}
        if take(rest, b',') || rest.is_empty() { Ok(Some(extension)) } else { Err(Malformed) }
    });
    if parsed.is_err() {
        *rest = &[];
    }
    parsed
}

/// Takes a parameter and the semicolon before it; returns `None` if no semicolon follows.
fn param<'a>(rest: &mut &'a [u8]) -> Result<Option<Param<'a>>, Malformed> {
    if !take(rest, b';') {
        return Ok(None);
    }
    let name = token(rest)?;
    let value = if take(rest, b'=') { Some(value(rest)?) } else { None };
    Ok(Some(Param { name, value }))
}

/// Takes a value. RFC 6455 9.1: "When using the quoted-string syntax variant, the value after
/// quoted-string unescaping MUST conform to the 'token' ABNF."
fn value<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, Malformed> {
    if !take(rest, b'"') {
        return token(rest).map(Value);
    }
    let text = *rest;
    while let [b'\\', byte, tail @ ..] | [byte, tail @ ..] = *rest
        && is_tchar(*byte)
    {
        *rest = tail;
    }
    let length = text.len().saturating_sub(rest.len());
    match (text.get(..length), *rest) {
        (Some(text @ [_, ..]), [b'"', tail @ ..]) => {
            *rest = tail;
            Ok(Value(text))
        }
        _ => Err(Malformed),
    }
}

fn token<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    skip_blanks(rest);
    let length = rest.iter().take_while(|&&byte| is_tchar(byte)).count();
    match rest.split_at_checked(length) {
        Some((token @ [_, ..], tail)) => {
            *rest = tail;
            Ok(token)
        }
        _ => Err(Malformed),
    }
}

/// Skips blanks, then takes this byte if it comes next.
fn take(rest: &mut &[u8], byte: u8) -> bool {
    skip_blanks(rest);
    match *rest {
        [first, tail @ ..] if *first == byte => {
            *rest = tail;
            true
        }
        _ => false,
    }
}

fn skip_blanks(rest: &mut &[u8]) {
    while let [first, tail @ ..] = *rest
        && is_blank(*first)
    {
        *rest = tail;
    }
}
