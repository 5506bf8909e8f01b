//! Verifying that a 101 answers the request that was sent (RFC 6455 4.1).

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{BadResponse, Established};
use crate::deflate::{self, Deflate, Negotiated};
use crate::handshake::extensions;
use crate::http::{Response, Version};
use crate::{Config, Connection, MaskKeys};

/// The values that the response must match.
#[derive(Debug)]
pub(super) struct Expected {
    /// The value of `Sec-WebSocket-Accept`; `None` for an Extended CONNECT, which has no key.
    pub(super) accept: Option<String>,
    pub(super) subprotocols: Vec<String>,
}

/// Creates the connection that this response opens, after verifying it.
pub(super) fn establish(
    response: Response,
    expected: &Expected,
    masks: MaskKeys,
    config: &Arc<Config>,
) -> Result<Established, BadResponse> {
    let subprotocol = verify(&response, expected)?;
    let deflate = verify_extensions(&response, config.deflate.as_ref())?;
    let mut connection = Connection::client(Arc::clone(config), masks);
    if let Some(deflate) = &deflate {
        connection.enable_deflate(deflate);
    }
    Ok(Established { connection, response, subprotocol, deflate })
}

/// Checks items 2, 3, 4 and 6 of RFC 6455 4.1, "The client MUST validate the server's response as
/// follows". Returns the subprotocol.
fn verify(response: &Response, expected: &Expected) -> Result<Option<String>, BadResponse> {
    if let Some(accept) = &expected.accept {
        verify_upgrade(response, accept)?;
    }
    // "If the response includes a |Sec-WebSocket-Protocol| header field and this header field
    // indicates the use of a subprotocol that was not present in the client's handshake"; 11.3.4
    // allows the field only once in a response.
    match response.headers().at_most_one("sec-websocket-protocol") {
        Ok(None) => Ok(None),
        Ok(Some(value)) => {
            let chosen = expected.subprotocols.iter().find(|name| name.as_bytes() == value);
            chosen.map(|name| Some(name.to_string())).ok_or(BadResponse::Subprotocol)
        }
        Err(_) => Err(BadResponse::Subprotocol),
    }
}

/// Checks items 2, 3 and 4, which apply to HTTP/1.1 only (RFC 8441 5).
fn verify_upgrade(response: &Response, accept: &str) -> Result<(), BadResponse> {
    let headers = response.headers();
    // 4.2.2: "The status line is HTTP/1.1 101"; HTTP/1.0 has no 1xx (RFC 9110 15.2).
    if response.version() < Version::Http11 {
        return Err(BadResponse::HttpVersion);
    }
    // "If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a
    // value that is not an ASCII case-insensitive match for the value "websocket""
    match headers.at_most_one("upgrade") {
        Ok(Some(value)) if value.eq_ignore_ascii_case(b"websocket") => {}
        _ => return Err(BadResponse::Upgrade),
    }
    // "If the response lacks a |Connection| header field or the |Connection| header field doesn't
    // contain a token that is an ASCII case-insensitive match for the value "Upgrade""
    if !headers.contains_token("connection", "upgrade") {
        return Err(BadResponse::Connection);
    }
    // "If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept|
    // contains a value other than the base64-encoded SHA-1 of the concatenation"; 11.3.3: it "MUST
    // NOT appear more than once".
    match headers.at_most_one("sec-websocket-accept") {
        Ok(Some(value)) if value == accept.as_bytes() => Ok(()),
        _ => Err(BadResponse::Accept),
    }
}

/// Checks item 5: "If the response includes a |Sec-WebSocket-Extensions| header field and this
/// header field indicates the use of an extension that was not present in the client's handshake".
/// Compression is the only extension that can be offered.
fn verify_extensions(
    response: &Response,
    offered: Option<&Deflate>,
) -> Result<Option<Negotiated>, BadResponse> {
    let lines = || response.headers().all("sec-websocket-extensions");
    match offered {
        Some(settings) => deflate::verify(lines(), settings).map_err(BadResponse::Deflate),
        // 9.1: "the recipient of such malformed data MUST immediately _Fail the WebSocket
        // Connection_."
        None if !extensions::is_valid(lines()) => Err(BadResponse::MalformedExtensions),
        None if lines().next().is_some() => Err(BadResponse::Extension),
        None => Ok(None),
    }
}
