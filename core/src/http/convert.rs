//! Conversions between this crate's heads and those of the `http` crate (feature `http`).

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{HeadError, Request, Response, Version};
use crate::handshake::client::PartsHandshake;

impl From<Version> for http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => http::Version::HTTP_10,
            Version::Http11 => http::Version::HTTP_11,
            Version::Http2 => http::Version::HTTP_2,
        }
    }
}

impl TryFrom<http::Version> for Version {
    type Error = HeadError;

    fn try_from(version: http::Version) -> Result<Self, HeadError> {
        match version {
            http::Version::HTTP_10 => Ok(Version::Http10),
            http::Version::HTTP_11 => Ok(Version::Http11),
            http::Version::HTTP_2 => Ok(Version::Http2),
            _ => Err(HeadError::Version),
        }
    }
}

fn fields(headers: &http::HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// Takes over the head of a request. Ignores the body.
///
/// A CONNECT over HTTP/2 that has a path is an Extended CONNECT (RFC 8441). Its `:protocol` is not
/// part of `http::Request`: check that it is `websocket` before converting.
impl<B> TryFrom<&http::Request<B>> for Request {
    type Error = HeadError;

    fn try_from(request: &http::Request<B>) -> Result<Self, HeadError> {
        let version = Version::try_from(request.version())?;
        let (method, uri) = (request.method().as_str(), request.uri());
        Request::from_parts(method, &uri.to_string(), version, fields(request.headers()))
    }
}

/// Takes over the head of a response. Ignores the body.
impl<B> TryFrom<&http::Response<B>> for Response {
    type Error = HeadError;

    fn try_from(response: &http::Response<B>) -> Result<Self, HeadError> {
        let version = Version::try_from(response.version())?;
        Response::from_parts(response.status().as_u16(), version, fields(response.headers()))
    }
}

/// Converts a response with its content, for the HTTP library to send.
///
/// # Errors
///
/// This fails only if the `http` crate refuses a header that this crate accepts.
impl TryFrom<Response> for http::Response<Vec<u8>> {
    type Error = http::Error;

    fn try_from(response: Response) -> Result<Self, http::Error> {
        let mut builder =
            http::Response::builder().status(response.status()).version(response.version().into());
        for (name, value) in response.headers().iter() {
            builder = builder.header(name, value);
        }
        builder.body(response.content().to_vec())
    }
}

/// Converts the request of a handshake, for the HTTP library to send. For an Extended CONNECT, add
/// the library's extension for `:protocol`, with the value of [`PartsHandshake::protocol`].
///
/// # Errors
///
/// This fails only if the `http` crate refuses a target or header that this crate accepts.
impl TryFrom<&PartsHandshake> for http::Request<()> {
    type Error = http::Error;

    fn try_from(handshake: &PartsHandshake) -> Result<Self, http::Error> {
        let uri = match handshake.protocol() {
            None => http::Uri::builder().path_and_query(handshake.path()),
            Some(_) => http::Uri::builder()
                .scheme(handshake.scheme())
                .authority(handshake.authority())
                .path_and_query(handshake.path()),
        };
        let version = if handshake.protocol().is_some() { Version::Http2 } else { Version::Http11 };
        let mut builder =
            http::Request::builder().method(handshake.method()).uri(uri.build()?).version(version.into());
        for (name, value) in handshake.headers().iter() {
            builder = builder.header(name, value);
        }
        builder.body(())
    }
}
