//! The header fields of a head.

use alloc::vec::Vec;
use core::fmt;

use super::grammar::{is_blank, is_field_byte, is_token, trim};
use super::{HeadError, InvalidHeader};

/// The header fields of a message, in order. Names are case-insensitive (RFC 9110 5.1).
///
/// The fields are a plain list rather than a hash map: a message has at most
/// [`Config::max_headers`](crate::Config::max_headers) of them, and a peer cannot flood a list with
/// names that collide.
///
/// ```
/// use sockeye_core::http::Response;
///
/// let response = Response::new(200).header("Vary", "Origin, Accept")?.header("vary", "Cookie")?;
/// let headers = response.headers();
/// assert_eq!(headers.first("VARY"), Some("Origin, Accept"));
/// assert!(headers.contains_token("vary", "cookie"));
/// assert_eq!(headers.tokens("vary").collect::<Vec<_>>(), ["Origin", "Accept", "Cookie"]);
/// # Ok::<(), sockeye_core::http::InvalidHeader>(())
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// The bytes that the fields point into: the whole head if it was received.
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// The position of a field in `Headers::text`. Offsets rather than references, because a struct
/// cannot borrow from itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// A range of `Headers::text`, which is shorter than 4 GiB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Headers {
    /// Returns the number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether the message has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns all fields: names as they were written, values without surrounding blanks.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (as_str(self.slice(field.name)), self.slice(field.value)))
    }

    /// Returns the values of all fields with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        // Comparing bytes saves validating each name as UTF-8.
        let same = |field: &&Field| self.slice(field.name).eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(same).map(|field| self.slice(field.value))
    }

    /// Returns the value of the first field with this name, or `None` if the field is missing or
    /// its value is not UTF-8 (see [`all`](Headers::all) for bytes).
    #[must_use]
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next().and_then(|value| core::str::from_utf8(value).ok())
    }

    /// Returns whether a field with this name is present.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Returns the elements of the comma-separated list that all fields with this name form
    /// together (RFC 9110 5.3, 5.6.1).
    ///
    /// Empty elements are skipped, as 5.6.1.2 requires, and so are elements that are not UTF-8.
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.elements(name).filter_map(|element| core::str::from_utf8(element).ok())
    }

    /// Returns whether the list with this name contains the token, ignoring case.
    #[must_use]
    pub fn contains_token(&self, name: &str, token: &str) -> bool {
        self.elements(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Returns the same elements as [`tokens`](Headers::tokens), and those that are not UTF-8, so
    /// that validation sees them.
    pub(crate) fn elements<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let all = self.all(name).flat_map(|value| value.split(|&b| b == b','));
        all.map(trim).filter(|element| !element.is_empty())
    }

    /// Returns the values of all fields with this name, from the last line to the first.
    pub(crate) fn all_from_last<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().rev();
        let named = fields.filter(|field| self.slice(field.name).eq_ignore_ascii_case(name.as_bytes()));
        named.map(|field| self.slice(field.value))
    }

    /// Returns the elements of the list with this name, from the last to the first.
    pub(crate) fn elements_from_last<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let all = self.all_from_last(name).flat_map(|value| value.rsplit(|&b| b == b','));
        all.map(trim).filter(|element| !element.is_empty())
    }

    /// Returns the value of the only field with this name, `Ok(None)` if there is none, or an error
    /// if the field is repeated.
    pub(crate) fn at_most_one<'a>(&'a self, name: &'a str) -> Result<Option<&'a [u8]>, Repeated> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (value, None) => Ok(value),
            _ => Err(Repeated),
        }
    }

    /// Adds a field, provided that a parser reads it back as exactly this one field.
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        if !is_token(name.as_bytes()) {
            return Err(InvalidHeader::Name);
        }
        if let Some((at, byte)) = invalid_byte(value) {
            return Err(InvalidHeader::Value { at, byte });
        }
        self.push_valid(name, value);
        Ok(())
    }

    /// Adds a field that this crate writes itself or has validated before.
    pub(crate) fn push_valid(&mut self, name: &str, value: &[u8]) {
        let name_start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        let value_start = self.text.len();
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
        if let (Some(name), Some(value)) =
            (Span::new(name_start, name.len()), Span::new(value_start, value.len()))
        {
            self.fields.push(Field { name, value });
        }
    }

    /// Adds the fields of a head that another library has parsed.
    pub(super) fn extend<N: AsRef<str>, V: AsRef<[u8]>>(
        &mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), HeadError> {
        for (name, value) in fields {
            self.push(name.as_ref(), value.as_ref()).map_err(|error| match error {
                InvalidHeader::Value { .. } => HeadError::FieldValue,
                _ => HeadError::FieldName,
            })?;
        }
        Ok(())
    }

    /// Appends text that is not a field, such as the method of a request.
    pub(super) fn push_text(&mut self, text: &str) -> Option<Span> {
        let start = self.text.len();
        self.text.extend_from_slice(text.as_bytes());
        Span::new(start, text.len())
    }

    /// Removes all fields with one of these names.
    pub(crate) fn remove(&mut self, names: &[&str]) {
        let text = &self.text;
        let name_of = |field: &Field| {
            let start = field.name.start as usize;
            text.get(start..start.saturating_add(field.name.len as usize)).unwrap_or_default()
        };
        let is_named =
            |field: &Field| names.iter().any(|name| name_of(field).eq_ignore_ascii_case(name.as_bytes()));
        self.fields.retain(|field| !is_named(field));
    }

    /// Removes those of the first `count` fields that have this name.
    pub(super) fn remove_first(&mut self, name: &str, count: usize) {
        let added = self.fields.split_off(count.min(self.fields.len()));
        self.remove(&[name]);
        self.fields.extend(added);
    }

    /// Appends all fields to a head that is being written, except those whose name `skip` selects.
    pub(crate) fn write(&self, out: &mut Vec<u8>, skip: impl Fn(&str) -> bool) {
        for (name, value) in self.iter().filter(|(name, _)| !skip(name)) {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }

    pub(super) fn from_parsed(text: Vec<u8>, fields: Vec<Field>) -> Self {
        Headers { text, fields }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    pub(super) fn slice(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.text.get(start..start.saturating_add(span.len as usize)).unwrap_or_default()
    }

    pub(super) fn slice_str(&self, span: Span) -> &str {
        as_str(self.slice(span))
    }
}

/// The error for a repeated field that may appear only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeated;

impl Span {
    fn new(start: usize, len: usize) -> Option<Self> {
        Some(Span { start: u32::try_from(start).ok()?, len: u32::try_from(len).ok()? })
    }

    /// Returns the range of `part`, which a parser borrowed from `text`.
    pub(super) fn of(text: &[u8], part: &[u8]) -> Option<Self> {
        Span::new(part.as_ptr().addr().checked_sub(text.as_ptr().addr())?, part.len())
    }
}

/// Converts a part that is ASCII: the parser or `push` has checked it.
fn as_str(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// Returns the first byte that a parser would refuse or strip from the value.
fn invalid_byte(value: &[u8]) -> Option<(usize, u8)> {
    let last = value.len().wrapping_sub(1);
    // RFC 9110 5.5: "A field value does not include leading or trailing whitespace".
    let is_invalid =
        |at: usize, byte: u8| !is_field_byte(byte) || (is_blank(byte) && (at == 0 || at == last));
    value.iter().copied().enumerate().find(|&(at, byte)| is_invalid(at, byte))
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, alloc::string::String::from_utf8_lossy(value))))
            .finish()
    }
}
