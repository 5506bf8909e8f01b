//! Determining where the body of a message ends (RFC 9112 6.3).

use super::grammar::trim;
use super::{HeadError, Headers, Version};

/// The length of a message's body, as its head announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// The message has no body.
    None,
    /// `Content-Length`: the body has this many bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`: the last chunk ends the body.
    Chunked,
    /// The end of the connection ends the body. Responses only.
    UntilClose,
}

impl BodyLength {
    /// Returns whether no bytes of a body follow the head.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, BodyLength::None | BodyLength::Length(0))
    }
}

/// Applies RFC 9112 6.3 to a request: without either field it has no body.
pub(super) fn of_request(headers: &Headers, version: Version) -> Result<BodyLength, HeadError> {
    match (transfer_encoding(headers), content_length(headers)?) {
        (Coding::None, None) => Ok(BodyLength::None),
        (Coding::None, Some(length)) => Ok(BodyLength::Length(length)),
        // RFC 9112 6.1: "A server MAY reject a request that contains both Content-Length and
        // Transfer-Encoding".
        (_, Some(_)) => Err(HeadError::TwoBodyLengths),
        // RFC 9112 6.1: in HTTP/1.0 "a server or client that receives [it] MUST treat the message
        // as if the framing is faulty".
        _ if version == Version::Http10 => Err(HeadError::TransferEncoding),
        (Coding::Chunked, None) => Ok(BodyLength::Chunked),
        (Coding::OtherThenChunked, None) => Err(HeadError::UnknownTransferCoding),
        // RFC 9112 6.3: "the server MUST respond with the 400 (Bad Request) status code and then
        // close".
        (Coding::Other, None) => Err(HeadError::TransferEncoding),
    }
}

/// Applies RFC 9112 6.3 to the response to a GET: without either field its body ends with the
/// connection.
pub(super) fn of_response(headers: &Headers, status: u16) -> Result<BodyLength, HeadError> {
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(BodyLength::None);
    }
    match (transfer_encoding(headers), content_length(headers)?) {
        (Coding::None, None) => Ok(BodyLength::UntilClose),
        (Coding::None, Some(length)) => Ok(BodyLength::Length(length)),
        (_, Some(_)) => Err(HeadError::TwoBodyLengths),
        (Coding::Chunked, None) => Ok(BodyLength::Chunked),
        (Coding::OtherThenChunked, None) => Err(HeadError::UnknownTransferCoding),
        (Coding::Other, None) => Ok(BodyLength::UntilClose),
    }
}

enum Coding {
    None,
    Chunked,
    /// Another coding, with `chunked` around it.
    OtherThenChunked,
    Other,
}

fn transfer_encoding(headers: &Headers) -> Coding {
    const NAME: &str = "transfer-encoding";
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let times = headers.elements(NAME).filter(|coding| is_chunked(coding)).count();
    match headers.elements(NAME).last() {
        // An empty field still announces a transfer coding.
        None if headers.contains(NAME) => Coding::Other,
        None => Coding::None,
        // RFC 9112 6.1: "A sender MUST NOT apply the chunked transfer coding more than once".
        Some(last) if is_chunked(last) && times == 1 => {
            if headers.elements(NAME).count() == 1 {
                Coding::Chunked
            } else {
                Coding::OtherThenChunked
            }
        }
        Some(_) => Coding::Other,
    }
}

/// Reads `Content-Length`. RFC 9112 6.3: a list of equal numbers counts as one; any other list is
/// "an unrecoverable error".
fn content_length(headers: &Headers) -> Result<Option<u64>, HeadError> {
    let mut length = None;
    for number in headers.all("content-length").flat_map(|value| value.split(|&b| b == b',')) {
        let number = decimal(trim(number)).ok_or(HeadError::ContentLength)?;
        if length.is_some_and(|before| before != number) {
            return Err(HeadError::ContentLength);
        }
        length = Some(number);
    }
    Ok(length)
}

/// Parses `1*DIGIT`. Unlike `str::parse`, this refuses a plus sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
