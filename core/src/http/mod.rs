//! The part of HTTP/1.1 that an opening handshake and plain HTTP on the same port need.
//!
//! It covers heads (RFC 9112 2 to 5), the fields in them (RFC 9110 5) and bodies (RFC 9112 6 and
//! 7). A [`Request`] or a parsed [`Response`] owns one copy of its head's bytes and one index into
//! it.
//!
//! Ambiguous input is refused, never guessed at: request smuggling (RFC 9112 11.2) works when two
//! recipients of the same bytes disagree on where a message ends. One rule differs for a client,
//! because RFC 9112 5.2 demands it: a folded line of a response is read as a space, in any field.

mod body;
#[cfg(feature = "http")]
mod convert;
mod error;
mod excerpt;
mod framing;
mod grammar;
mod headers;
mod parse;
mod reader;
mod request;
mod response;
mod status;

pub use body::{BodyError, BodyEvent, BodyReader};
pub use error::{HeadError, InvalidHeader};
pub use excerpt::Excerpt;
pub use framing::BodyLength;
pub use headers::Headers;
pub use request::{Request, Version};
pub use response::Response;

pub(crate) use grammar::{Authority, is_blank, is_tchar, is_token, trim};
pub(crate) use reader::{HeadKind, HeadReader};
pub(crate) use response::CONTINUE;
