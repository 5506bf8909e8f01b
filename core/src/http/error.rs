//! What can be wrong with a head, received or about to be sent.

use core::fmt;

/// Why a head that came from the peer is refused. Its text says which rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The first byte is that of a TLS record: a client of `https://` or `wss://` on a plain port.
    LooksLikeTls,
    /// More empty lines than tolerated stand before the request line (RFC 9112 2.2).
    EmptyLines,
    /// The request does not begin with a method, which is a token (RFC 9112 3.1).
    Method,
    /// The target is not a path or an absolute `http` URI, or has characters that a URI has not (RFC 9112 3.2).
    Target,
    /// The version is neither HTTP/1.0 nor HTTP/1.1 (RFC 9112 2.3).
    Version,
    /// The response does not begin with a status line (RFC 9112 4).
    StatusLine,
    /// A line feed without the carriage return that belongs before it (RFC 9112 2.2).
    BareLf,
    /// A carriage return without the line feed that belongs behind it, or something between the version and the end of its line
    /// (RFC 9112 2.2, 3).
    BareCr,
    /// A field's name is not a token that ends at the colon: it has a space or another character, or the line
    /// is folded (RFC 9112 5.1, 5.2).
    FieldName,
    /// A field's value has a control character (RFC 9110 5.5).
    FieldValue,
    /// The head is larger than [`Config::max_head_size`](crate::Config::max_head_size).
    TooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The head has more fields than [`Config::max_headers`](crate::Config::max_headers).
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// An HTTP/1.1 request without `Host` (RFC 9112 3.2).
    MissingHost,
    /// More than one `Host` (RFC 9112 3.2).
    RepeatedHost,
    /// `Host` is not a host with an optional port (RFC 9110 7.2).
    InvalidHost,
    /// `Content-Length` is not a number, or there are several that differ (RFC 9112 6.3).
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 6.1).
    TwoBodyLengths,
    /// `Transfer-Encoding` does not end in its only `chunked`, or comes with HTTP/1.0 (RFC 9112 6.1).
    TransferEncoding,
    /// `Transfer-Encoding` names a coding other than `chunked` (RFC 9112 6.1).
    UnknownTransferCoding,
}

impl HeadError {
    /// The status that a server answers with: 431 above a limit, 501 for an unknown transfer coding, else 400.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            // RFC 6585 5.
            HeadError::TooBig { .. } | HeadError::TooManyFields { .. } => 431,
            // RFC 9112 6.1: "A server that receives a request message with a transfer coding it does not
            // understand SHOULD respond with 501 (Not Implemented)."
            HeadError::UnknownTransferCoding => 501,
            _ => 400,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadError::LooksLikeTls => "looks like TLS; this port speaks plain ws://",
            HeadError::EmptyLines => "too many empty lines before the request line",
            HeadError::Method => "the request must begin with a method and one space",
            HeadError::Target => "the request target must be a path, or an absolute http URI, in ASCII",
            HeadError::Version => "the HTTP version must be 1.1 (or 1.0)",
            HeadError::StatusLine => "the response must begin with an HTTP/1.1 status line",
            HeadError::BareLf => "lines must end in CR LF; one ends in LF alone",
            HeadError::BareCr => "lines must end in CR LF; there is a CR alone, or something behind the HTTP version",
            HeadError::FieldName => {
                "a header line must begin with a token and a colon: no space before the colon, no folded lines"
            }
            HeadError::FieldValue => "a header value has a control character",
            HeadError::TooBig { limit } => return write!(f, "the head is larger than {limit} bytes"),
            HeadError::TooManyFields { limit } => return write!(f, "the head has more than {limit} headers"),
            HeadError::MissingHost => "the Host header is missing",
            HeadError::RepeatedHost => "there is more than one Host header",
            HeadError::InvalidHost => "the Host header must be a host and an optional port",
            HeadError::ContentLength => "Content-Length must be one decimal number",
            HeadError::TwoBodyLengths => "there is a Content-Length besides a Transfer-Encoding",
            HeadError::TransferEncoding => "Transfer-Encoding must end in its only 'chunked', in HTTP/1.1",
            HeadError::UnknownTransferCoding => "Transfer-Encoding may only be 'chunked' here",
        })
    }
}

impl core::error::Error for HeadError {}

/// Why a header cannot be sent. Nothing has been changed by the call that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is not a token (RFC 9110 5.1, 5.6.2): letters, digits and some marks, at least one.
    Name,
    /// The value has a byte that a value may not have (RFC 9110 5.5): a CR or LF would begin another header.
    Value {
        /// Where in the value.
        at: usize,
        /// The byte itself.
        byte: u8,
    },
    /// The header is written by Sockeye itself, or would change where the message ends.
    Reserved,
    /// The subprotocol is not a token (RFC 6455 4.1), or was given before.
    Subprotocol,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidHeader::Name => "a header name must be a token: letters, digits and !#$%&'*+-.^_`|~",
            InvalidHeader::Value { at, byte } => {
                return write!(
                    f,
                    "byte {byte:#04x} at {at} cannot stand there in a header value: no control characters, \
                     no space at either end"
                );
            }
            InvalidHeader::Reserved => "this header is written by the library; leave it out",
            InvalidHeader::Subprotocol => "a subprotocol must be a token, and given once",
        })
    }
}

impl core::error::Error for InvalidHeader {}
