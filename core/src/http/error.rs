//! Errors in heads, received or about to be sent.

use core::fmt;

/// The rule that a head from the peer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The first bytes are a TLS record: a client of `https://` or `wss://` on a plain port.
    LooksLikeTls,
    /// The first bytes of the response are a TLS alert: a client of `ws://` on a port with TLS.
    TlsAlert,
    /// The first bytes are a PROXY protocol header, on a port that does not expect one from this
    /// peer.
    LooksLikeProxyProtocol,
    /// Too many empty lines precede the request line (RFC 9112 2.2).
    EmptyLines,
    /// The request does not begin with a method, which is a token (RFC 9112 3.1).
    Method,
    /// The target is neither a path nor an absolute `http` URI, or has characters that are not
    /// allowed in a URI (RFC 9112 3.2).
    Target,
    /// The version is neither HTTP/1.0 nor HTTP/1.1 (RFC 9112 2.3).
    Version,
    /// The response does not begin with a status line (RFC 9112 4).
    StatusLine,
    /// A line ends in LF without the CR before it (RFC 9112 2.2).
    BareLf,
    /// A CR is not followed by LF, or something follows the version on its line (RFC 9112 2.2, 3).
    BareCr,
    /// A line does not begin with a token and a colon: the name has a space or another forbidden
    /// character, or the line of a request is folded (RFC 9112 5.1, 5.2). In a response, a fold is
    /// read as a space.
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
    /// An HTTP/1.1 request has no `Host` (RFC 9112 3.2).
    MissingHost,
    /// The request has more than one `Host` (RFC 9112 3.2).
    RepeatedHost,
    /// `Host` is not a host with an optional port (RFC 9110 7.2).
    InvalidHost,
    /// `Content-Length` is not a number, or is repeated with different numbers (RFC 9112 6.3).
    ContentLength,
    /// The head has both `Content-Length` and `Transfer-Encoding` (RFC 9112 6.1).
    TwoBodyLengths,
    /// `Transfer-Encoding` does not have `chunked` exactly once and last, or comes with HTTP/1.0
    /// (RFC 9112 6.1).
    TransferEncoding,
    /// `Transfer-Encoding` names a coding other than `chunked` (RFC 9112 6.1).
    UnknownTransferCoding,
}

impl HeadError {
    /// Returns the status for a server's response: 431 above a limit, 501 for an unknown transfer
    /// coding, otherwise 400.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            // RFC 6585 5.
            HeadError::TooBig { .. } | HeadError::TooManyFields { .. } => 431,
            // RFC 9112 6.1: "A server that receives a request message with a transfer coding it
            // does not understand SHOULD respond with 501 (Not Implemented)."
            HeadError::UnknownTransferCoding => 501,
            _ => 400,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadError::LooksLikeTls => "looks like TLS; this port speaks plain ws://",
            HeadError::TlsAlert => "the server answered with TLS; use wss://",
            HeadError::LooksLikeProxyProtocol => {
                "looks like a PROXY protocol header; this port does not expect one from this peer"
            }
            HeadError::EmptyLines => "too many empty lines before the request line",
            HeadError::Method => "the request must begin with a method and one space",
            HeadError::Target => "the request target must be a path or an absolute http URI, in ASCII",
            HeadError::Version => "the HTTP version must be 1.1 or 1.0",
            HeadError::StatusLine => "the response must begin with an HTTP/1.1 status line",
            HeadError::BareLf => "lines must end in CR LF; found an LF without a CR",
            HeadError::BareCr => {
                "lines must end in CR LF; found a CR without an LF, or text after the HTTP version"
            }
            HeadError::FieldName => {
                "a header line must begin with a token and a colon: no space before the colon, no folded lines"
            }
            HeadError::FieldValue => "a header value contains a control character",
            HeadError::TooBig { limit } => return write!(f, "the head is larger than {limit} bytes"),
            HeadError::TooManyFields { limit } => return write!(f, "the head has more than {limit} headers"),
            HeadError::MissingHost => "the Host header is missing",
            HeadError::RepeatedHost => "the Host header must appear only once",
            HeadError::InvalidHost => "the Host header must be a host and an optional port",
            HeadError::ContentLength => "the Content-Length header must be one decimal number",
            HeadError::TwoBodyLengths => "Content-Length and Transfer-Encoding must not appear together",
            HeadError::TransferEncoding => {
                "Transfer-Encoding requires HTTP/1.1, and 'chunked' once, as the last coding"
            }
            HeadError::UnknownTransferCoding => "'chunked' is the only supported Transfer-Encoding",
        })
    }
}

impl core::error::Error for HeadError {}

/// The reason why a header cannot be sent. The call that returns it has changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is not a token (RFC 9110 5.1, 5.6.2): one or more letters, digits and certain
    /// marks.
    Name,
    /// The value has a byte that is not allowed there (RFC 9110 5.5): a CR or LF would begin
    /// another header, and blanks at either end would be lost.
    Value {
        /// The position in the value.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// Sockeye writes this header itself, or the header would change where the message ends.
    Reserved,
    /// The subprotocol is not a token (RFC 6455 4.1), or is repeated.
    Subprotocol,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidHeader::Name => "a header name must be a token: letters, digits and !#$%&'*+-.^_`|~",
            InvalidHeader::Value { at, byte } => {
                return write!(
                    f,
                    "byte {byte:#04x} at position {at} is not allowed in a header value: no control \
                     characters, and no space at either end"
                );
            }
            InvalidHeader::Reserved => "the library writes this header itself; leave it out",
            InvalidHeader::Subprotocol => "a subprotocol must be a token, and must not be repeated",
        })
    }
}

impl core::error::Error for InvalidHeader {}
