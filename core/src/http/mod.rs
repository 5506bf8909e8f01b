//! The part of HTTP/1.1 that an opening handshake needs, and a plain HTTP answer on the same port.
//!
//! It is as small as that: heads (RFC 9112 2 to 5), the fields in them (RFC 9110 5), bodies (RFC 9112 6 and 7).
//! A [`Request`] or a parsed [`Response`] owns one copy of its head's bytes and one index into it.
//!
//! What is ambiguous is refused, never guessed: two readers of the same bytes who disagree on where a message
//! ends are how requests are smuggled (RFC 9112 11.2).

mod body;
mod error;
mod framing;
mod grammar;
mod headers;
mod parse;
mod reader;
mod request;
mod response;

pub use body::{BodyError, BodyEvent, BodyReader};
pub use error::{HeadError, InvalidHeader};
pub use framing::BodyLength;
pub use headers::Headers;
pub use request::{Request, Version};
pub use response::Response;

pub(crate) use grammar::{Authority, is_blank, is_tchar, is_token};
pub(crate) use reader::{HeadReader, Kind};
