//! Agreeing on the parameters (RFC 7692 5 and 7.1): pure functions over the values of `Sec-WebSocket-Extensions`.

use alloc::string::{String, ToString};
use core::fmt;

use super::Deflate;
use super::backend::Available;
use super::params::{MAX_WINDOW_BITS, NAME, Params, clamp_window_bits};
use crate::handshake::extensions::extensions;

/// What both ends agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// What this end sends.
    pub own: Context,
    /// What this end receives.
    pub peer: Context,
    pub(super) available: Available,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The largest window that is compressed with, in bits: 8 to 15.
    pub window_bits: u8,
    /// Whether messages may refer back to those before them.
    pub takeover: bool,
}

/// The server's answer is not one to what was offered (RFC 7692 7: "A client MUST _Fail the WebSocket Connection_").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAnswer {
    /// It is not a list of extensions (RFC 6455 9.1).
    Malformed,
    /// It has an extension that was not offered (RFC 6455 4.1).
    UnknownExtension,
    /// It has permessage-deflate more than once.
    RepeatedExtension,
    /// It has a parameter that RFC 7692 7.1 does not define.
    UnknownParameter,
    /// It has a parameter more than once.
    RepeatedParameter,
    /// A parameter has a value that it must not have, or lacks one.
    ParameterValue,
    /// `client_max_window_bits` is above what was offered (RFC 7692 7.1.2.2).
    ClientWindow,
    /// `server_max_window_bits` is missing, or above what was asked for (RFC 7692 7.1.2.1).
    ServerWindow,
    /// `server_no_context_takeover` was asked for and is missing (RFC 7692 7.1.1.1).
    ServerContextTakeover,
}

/// What a client offers: one element of `Sec-WebSocket-Extensions`.
///
/// ```
/// # #[cfg(feature = "_deflate")] {
/// use sockeye_core::deflate::{Deflate, accept, offer, verify};
///
/// let (client, server) = (Deflate::new().peer_window_bits(12), Deflate::new().context_takeover(false));
/// let offer = offer(&client);
/// assert_eq!(offer, "permessage-deflate; server_max_window_bits=12; client_max_window_bits");
/// let (at_server, answer) = accept([offer.as_bytes()], &server).expect("a server that compresses");
/// assert_eq!(answer, "permessage-deflate; server_no_context_takeover; server_max_window_bits=12");
/// let at_client = verify([answer.as_bytes()], &client)?.expect("an answer");
/// assert_eq!((at_client.own, at_client.peer), (at_server.peer, at_server.own));
/// # }
/// # Ok::<(), sockeye_core::deflate::InvalidAnswer>(())
/// ```
#[must_use]
pub fn offer(settings: &Deflate) -> String {
    let (own, peer) = wanted(settings);
    let params = Params {
        server_no_context_takeover: !peer.takeover,
        client_no_context_takeover: !own.takeover,
        server_max_window_bits: below_max(peer.window_bits),
        // RFC 7692 7.1.2.2: without it "the corresponding extension negotiation response to the offer MUST NOT include the
        // "client_max_window_bits" extension parameter", and a server that wants a small window would have to do without.
        client_max_window_bits: Some(below_max(own.window_bits)),
    };
    params.to_string()
}

/// Server: the first acceptable of the offers (the values of all `Sec-WebSocket-Extensions` lines, in order) and the answer to it;
/// `None` when there is none, so that nothing is compressed and the answer has no such line.
///
/// Other extensions are passed over, and so are offers that cannot be accepted. A list that is malformed anywhere offers nothing,
/// not even what stands before the fault: what its sender meant would be a guess.
#[must_use]
pub fn accept<'a>(
    offers: impl IntoIterator<Item = &'a [u8]>,
    settings: &Deflate,
) -> Option<(Negotiated, String)> {
    let mut offered = None;
    for extension in extensions(offers) {
        // RFC 6455 9.1: "the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_", which is for
        // the caller to do; here nothing is taken from it.
        let extension = extension.ok()?;
        // RFC 7692 5: "An element preceding another element has higher preference."
        if offered.is_none() && extension.is(NAME) {
            offered = Params::read(&extension).ok();
        }
    }
    let answer = answer(&offered?, settings);
    let (own, peer) = answer.contexts();
    Some((Negotiated { own, peer, available: settings.available }, answer.to_string()))
}

/// Client: whether the lines of the server's answer fit what [`offer`] offers with the same settings, and what is agreed on then;
/// `None` when the server declined.
///
/// # Errors
///
/// [`InvalidAnswer`]: the handshake must fail.
pub fn verify<'a>(
    answers: impl IntoIterator<Item = &'a [u8]>,
    settings: &Deflate,
) -> Result<Option<Negotiated>, InvalidAnswer> {
    let mut answer = None;
    for extension in extensions(answers) {
        let extension = extension.map_err(|_| InvalidAnswer::Malformed)?;
        // RFC 6455 4.1: "an extension that was not present in the client's handshake".
        if !extension.is(NAME) {
            return Err(InvalidAnswer::UnknownExtension);
        }
        // One element was offered, and what two of them together would mean is nowhere said.
        if answer.replace(Params::read(&extension)?).is_some() {
            return Err(InvalidAnswer::RepeatedExtension);
        }
    }
    answer.map(|answer| check(&answer, settings)).transpose()
}

/// What a server answers to an acceptable offer.
fn answer(offer: &Params, settings: &Deflate) -> Params {
    let (own, peer) = wanted(settings);
    Params {
        // RFC 7692 7.1.1.1: "A server accepts an extension negotiation offer that includes the "server_no_context_takeover"
        // extension parameter by including the "server_no_context_takeover" extension parameter in the corresponding extension
        // negotiation response", and it "MAY include" it "even if the extension negotiation offer [...] didn't include" it.
        server_no_context_takeover: offer.server_no_context_takeover || !own.takeover,
        // 7.1.1.2: "the server may either ignore the parameter or use the parameter to avoid taking over the LZ77 sliding window
        // unnecessarily by including the "client_no_context_takeover" extension parameter". Unasked it is as good: "A server MAY
        // include the "client_no_context_takeover" extension parameter in an extension negotiation response."
        client_no_context_takeover: offer.client_no_context_takeover || !peer.takeover,
        // 7.1.2.1: "A server accepts an extension negotiation offer with this parameter by including the "server_max_window_bits"
        // extension parameter [...] with the same or smaller value as the offer", and "MAY include" it "even if the extension
        // negotiation offer [...] didn't include" it. That lets the client inflate with less memory.
        server_max_window_bits: match offer.server_max_window_bits {
            Some(bits) => Some(bits.min(own.window_bits)),
            None => below_max(own.window_bits),
        },
        // 7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the
        // corresponding extension negotiation response to the offer MUST NOT include the "client_max_window_bits" extension
        // parameter"; if it has a value, the answer is "a value equal to or smaller than the received value".
        client_max_window_bits: match offer.client_max_window_bits {
            Some(Some(bits)) => Some(Some(bits.min(peer.window_bits))),
            Some(None) => below_max(peer.window_bits).map(Some),
            None => None,
        },
    }
}

/// RFC 7692 7: the client fails where it "does not support the configuration that the response represents".
fn check(answer: &Params, settings: &Deflate) -> Result<Negotiated, InvalidAnswer> {
    let (own_limit, peer_limit) = wanted(settings);
    let (peer, mut own) = answer.contexts();
    // The rules that `answer` cites, from the other side: a server that accepts a `server_` parameter includes it, so one that
    // does not has not accepted what was offered.
    if peer.takeover && !peer_limit.takeover {
        return Err(InvalidAnswer::ServerContextTakeover);
    }
    if peer.window_bits > peer_limit.window_bits {
        return Err(InvalidAnswer::ServerWindow);
    }
    match answer.client_max_window_bits {
        // In an answer, unlike in an offer, the parameter has a value.
        Some(None) => return Err(InvalidAnswer::ParameterValue),
        Some(Some(bits)) if bits > own_limit.window_bits => return Err(InvalidAnswer::ClientWindow),
        _ => {}
    }
    // 7.1.1.2: "even if the server doesn't include the "client_no_context_takeover" extension parameter in the corresponding
    // extension negotiation response to the offer, the client is not going to use context takeover"; and so for the window.
    own.window_bits = own.window_bits.min(own_limit.window_bits);
    own.takeover &= own_limit.takeover;
    Ok(Negotiated { own, peer, available: settings.available })
}

impl Params {
    /// What an answer says of the server's direction, and of the client's. 7.1.2.1, 7.1.2.2: without a limit, the window is "up to
    /// 32,768 bytes".
    fn contexts(&self) -> (Context, Context) {
        let context = |bits: Option<u8>, no_takeover: bool| Context {
            window_bits: bits.unwrap_or(MAX_WINDOW_BITS),
            takeover: !no_takeover,
        };
        let server = context(self.server_max_window_bits, self.server_no_context_takeover);
        let client = context(self.client_max_window_bits.flatten(), self.client_no_context_takeover);
        (server, client)
    }
}

/// What this end wants of its own direction, and of its peer's.
fn wanted(settings: &Deflate) -> (Context, Context) {
    let context = |bits: u8, takeover: bool| Context { window_bits: clamp_window_bits(bits), takeover };
    let own = context(settings.window_bits, settings.context_takeover);
    let peer = context(settings.peer_window_bits, settings.peer_context_takeover);
    (own, peer)
}

/// The largest window is what is meant where nothing is said.
fn below_max(bits: u8) -> Option<u8> {
    Some(bits).filter(|&bits| bits < MAX_WINDOW_BITS)
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidAnswer::Malformed => "the Sec-WebSocket-Extensions header is not a list of extensions",
            InvalidAnswer::UnknownExtension => "the server uses an extension that was not offered",
            InvalidAnswer::RepeatedExtension => "the server answers permessage-deflate more than once",
            InvalidAnswer::UnknownParameter => "permessage-deflate is answered with an unknown parameter",
            InvalidAnswer::RepeatedParameter => "permessage-deflate is answered with a parameter twice",
            InvalidAnswer::ParameterValue => {
                "permessage-deflate is answered with an invalid value: the windows have 8 to 15, the others none"
            }
            InvalidAnswer::ClientWindow => "client_max_window_bits must not be above what was offered",
            InvalidAnswer::ServerWindow => "server_max_window_bits must be there and not above what was asked for",
            InvalidAnswer::ServerContextTakeover => "server_no_context_takeover was asked for and must be there",
        })
    }
}

impl core::error::Error for InvalidAnswer {}
