//! Parsing the bytes of a head into an index of its parts.

use alloc::vec;
use alloc::vec::Vec;

use super::grammar::is_blank;
use super::headers::{Field, Span};
use super::request::Version;
use super::{HeadError, Headers, Request, Response};

/// Heads with up to this many fields are parsed without an allocation. Browsers send about 15.
const INLINE_FIELDS: usize = 32;

/// Parses a complete head, which has `fields` lines after its first.
pub(super) fn parse_request(head: Vec<u8>, fields: usize) -> Result<Request, HeadError> {
    let (mut inline, mut heap) = ([httparse::EMPTY_HEADER; INLINE_FIELDS], Vec::new());
    let mut parsed = httparse::Request::new(header_slots(fields, &mut inline, &mut heap));
    let parsed_end = parsed.parse(&head).map_err(|error| match head_error(error) {
        // The first line is `PROXY TCP4 …`, without an HTTP version.
        _ if head.starts_with(b"PROXY ") => HeadError::LooksLikeProxyProtocol,
        error => error,
    });
    check_end(parsed_end?, &head)?;
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(HeadError::Method);
    };
    let (Some(method), Some(target)) =
        (Span::of(&head, method.as_bytes()), Span::of(&head, target.as_bytes()))
    else {
        return Err(HeadError::Target);
    };
    let index = index(&head, parsed.headers)?;
    Request::validate(Headers::from_parsed(head, index), method, target, version(minor))
}

/// Parses the complete head of a response, which has `fields` lines after its first.
pub(super) fn parse_response(head: Vec<u8>, fields: usize) -> Result<Response, HeadError> {
    let head = unfold(head);
    let (mut inline, mut heap) = ([httparse::EMPTY_HEADER; INLINE_FIELDS], Vec::new());
    let mut parsed = httparse::Response::new(header_slots(fields, &mut inline, &mut heap));
    check_end(parsed.parse(&head).map_err(head_error)?, &head)?;
    // RFC 9110 15: three digits, the first from 1 to 5. The recipient decides how to treat 600 and
    // above.
    let (Some(status @ 100..), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(HeadError::StatusLine);
    };
    let index = index(&head, parsed.headers)?;
    Ok(Response::from_parsed(status, version(minor), Headers::from_parsed(head, index)))
}

/// Joins folded lines. RFC 9112 5.2: a "user agent that receives an obs-fold in a response message
/// […] MUST replace each received obs-fold with one or more SP octets prior to interpreting the
/// field value", where `obs-fold = OWS CRLF RWS`.
///
/// This applies to every field, also to those that decide on the handshake: their joined values are
/// checked like any other. A request is never unfolded: the parser refuses it.
fn unfold(head: Vec<u8>) -> Vec<u8> {
    let is_fold = |at: &[u8]| matches!(at, [b'\r', b'\n', blank] if is_blank(*blank));
    if !head.windows(3).any(is_fold) {
        return head;
    }
    let mut unfolded = Vec::with_capacity(head.len());
    let mut rest = head.as_slice();
    // A blank at the beginning of the first field line continues nothing: the parser refuses it.
    if let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
        let (status_line, fields) = rest.split_at_checked(end.saturating_add(2)).unwrap_or((rest, &[]));
        unfolded.extend_from_slice(status_line);
        rest = fields;
    }
    while let Some(fold) = rest.windows(3).position(is_fold) {
        let (before, after) = rest.split_at_checked(fold).unwrap_or((rest, &[]));
        let end = before.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last.saturating_add(1));
        unfolded.extend_from_slice(before.get(..end).unwrap_or(before));
        unfolded.push(b' ');
        let after = after.get(2..).unwrap_or_default();
        let text = after.iter().position(|byte| !is_blank(*byte)).unwrap_or(after.len());
        rest = after.get(text..).unwrap_or_default();
    }
    unfolded.extend_from_slice(rest);
    unfolded.shrink_to_fit();
    unfolded
}

/// Returns room for the fields that the scan has counted, at most `max_headers`.
fn header_slots<'s, 'b>(
    fields: usize,
    inline: &'s mut [httparse::Header<'b>; INLINE_FIELDS],
    heap: &'s mut Vec<httparse::Header<'b>>,
) -> &'s mut [httparse::Header<'b>] {
    if fields <= INLINE_FIELDS {
        return inline.get_mut(..fields).unwrap_or_default();
    }
    *heap = vec![httparse::EMPTY_HEADER; fields];
    heap
}

/// Checks that the scan and the parser agree on where the head ends. If they differ, one has
/// misread it.
fn check_end(status: httparse::Status<usize>, head: &[u8]) -> Result<(), HeadError> {
    match status {
        httparse::Status::Complete(length) if length == head.len() => Ok(()),
        _ => Err(HeadError::FieldName),
    }
}

fn index(head: &[u8], fields: &[httparse::Header<'_>]) -> Result<Vec<Field>, HeadError> {
    let mut index = Vec::with_capacity(fields.len());
    for field in fields {
        let (name, value) = (Span::of(head, field.name.as_bytes()), Span::of(head, field.value));
        let (Some(name), Some(value)) = (name, value) else {
            return Err(HeadError::TooBig { limit: u32::MAX as usize });
        };
        index.push(Field { name, value });
    }
    Ok(index)
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

fn head_error(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::FieldName,
        httparse::Error::HeaderValue => HeadError::FieldValue,
        httparse::Error::NewLine => HeadError::BareCr,
        httparse::Error::Status => HeadError::StatusLine,
        // The scan has already seen a method and a space, so the target is wrong.
        httparse::Error::Token => HeadError::Target,
        // The scan has counted the lines, so the parser cannot find more.
        httparse::Error::TooManyHeaders => HeadError::FieldName,
        httparse::Error::Version => HeadError::Version,
    }
}
