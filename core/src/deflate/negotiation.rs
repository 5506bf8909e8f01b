//! Negotiating the parameters (RFC 7692 5 and 7.1), as pure functions over the values of
//! `Sec-WebSocket-Extensions`.

use alloc::string::{String, ToString};
use core::fmt;

use super::Deflate;
use super::backend::Available;
use super::params::{MAX_WINDOW_BITS, NAME, Params, clamp_window_bits};
use crate::handshake::extensions::extensions;

/// The parameters that both ends agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The direction that this end sends.
    pub own: Context,
    /// The direction that this end receives.
    pub peer: Context,
    pub(super) available: Available,
}

/// The parameters of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The largest window of the compressor, in bits: 8 to 15.
    pub window_bits: u8,
    /// Whether a message may refer back to earlier ones.
    pub takeover: bool,
}

impl Negotiated {
    /// Returns whether a compressed message that was received on a connection with the parameters
    /// `source` can be sent on the connection with these, as it is.
    ///
    /// It can if the message refers to no earlier one, because `source` has no context takeover in
    /// the direction that was received, and if its window is no larger than the one negotiated
    /// here. To make sure of both, negotiate the source with
    /// [`peer_context_takeover(false)`](Deflate::peer_context_takeover) and a suitable
    /// [`peer_window_bits`](Deflate::peer_window_bits).
    ///
    /// A relay forwards such messages frame by frame:
    ///
    /// ```
    /// use sockeye_core::{Connection, Frame, SendError};
    ///
    /// fn relay(frame: &Frame<'_>, from: &Connection, to: &mut Connection) -> Result<(), SendError> {
    ///     let can_relay = match (from.deflate(), to.deflate()) {
    ///         (Some(source), Some(target)) => target.can_relay(&source),
    ///         _ => false,
    ///     };
    ///     // Inflate messages that begin with any other frame with RSV1, and send them whole.
    ///     assert!(can_relay || !frame.flags.rsv1);
    ///     to.send_frame(frame)
    /// }
    /// # let (from, mut to) = (Connection::server(Default::default()), Connection::server(Default::default()));
    /// # relay(&Frame::text("hi"), &from, &mut to).unwrap();
    /// ```
    #[must_use]
    pub fn can_relay(&self, source: &Negotiated) -> bool {
        !source.peer.takeover && source.peer.window_bits <= self.own.window_bits
    }
}

/// The error for a server's answer that does not match the offer (RFC 7692 7: "A client MUST _Fail
/// the WebSocket Connection_").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAnswer {
    /// The answer is not a list of extensions (RFC 6455 9.1).
    Malformed,
    /// The answer has an extension that was not offered (RFC 6455 4.1).
    UnknownExtension,
    /// The answer has permessage-deflate more than once.
    RepeatedExtension,
    /// The answer has a parameter that RFC 7692 7.1 does not define.
    UnknownParameter,
    /// The answer has a parameter more than once.
    RepeatedParameter,
    /// A parameter lacks its value, or has an invalid one.
    ParameterValue,
    /// `client_max_window_bits` is above the offered value (RFC 7692 7.1.2.2).
    ClientWindow,
    /// `server_max_window_bits` is missing, or above the requested value (RFC 7692 7.1.2.1).
    ServerWindow,
    /// `server_no_context_takeover` was requested, but is missing (RFC 7692 7.1.1.1).
    ServerContextTakeover,
}

/// Returns a client's offer: one element of `Sec-WebSocket-Extensions`.
///
/// ```
/// # #[cfg(feature = "_deflate")] {
/// use sockeye_core::deflate::{Deflate, accept, offer, verify};
///
/// let client = Deflate::new().peer_window_bits(12);
/// let server = Deflate::new().context_takeover(false);
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
    let (own, peer) = requested_contexts(settings);
    let params = Params {
        server_no_context_takeover: !peer.takeover,
        client_no_context_takeover: !own.takeover,
        server_max_window_bits: window_param(peer.window_bits),
        // RFC 7692 7.1.2.2: without this parameter "the corresponding extension negotiation
        // response to the offer MUST NOT include the "client_max_window_bits" extension parameter",
        // so a server could not request a smaller window.
        client_max_window_bits: Some(window_param(own.window_bits)),
    };
    params.to_string()
}

/// Accepts the first acceptable of a client's offers. Returns the agreed parameters and the
/// server's answer, or `None` to decline: then the response has no `Sec-WebSocket-Extensions`, and
/// the connection does not compress.
///
/// `offers` are the values of all `Sec-WebSocket-Extensions` lines, in order. Other extensions and
/// unacceptable offers are skipped. If the list is malformed anywhere, the whole list is declined,
/// even the part before the fault: its meaning would be a guess.
#[must_use]
pub fn accept<'a>(
    offers: impl IntoIterator<Item = &'a [u8]>,
    settings: &Deflate,
) -> Option<(Negotiated, String)> {
    let mut offered = None;
    for extension in extensions(offers) {
        // RFC 6455 9.1: "the recipient of such malformed data MUST immediately _Fail the WebSocket
        // Connection_". The caller has to do that; this function only declines the offer.
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

/// Verifies that a server's answer matches what [`offer`] offers with the same settings. Returns
/// the agreed parameters, or `None` if the server declined.
///
/// `answers` are the values of all `Sec-WebSocket-Extensions` lines, in order.
///
/// # Errors
///
/// Returns [`InvalidAnswer`] if the answer does not match: the client must fail the handshake.
pub fn verify<'a>(
    answers: impl IntoIterator<Item = &'a [u8]>,
    settings: &Deflate,
) -> Result<Option<Negotiated>, InvalidAnswer> {
    let (mut answer, mut is_present) = (None, false);
    let lines = answers.into_iter().inspect(|_| is_present = true);
    for extension in extensions(lines) {
        let extension = extension.map_err(|_| InvalidAnswer::Malformed)?;
        // RFC 6455 4.1: "an extension that was not present in the client's handshake".
        if !extension.is(NAME) {
            return Err(InvalidAnswer::UnknownExtension);
        }
        // Only one element was offered, and the RFC does not define what two of them would mean.
        if answer.replace(Params::read(&extension)?).is_some() {
            return Err(InvalidAnswer::RepeatedExtension);
        }
    }
    match answer {
        Some(answer) => check_answer(&answer, settings).map(Some),
        // RFC 6455 9.1: `extension-list` is `1#extension`.
        None if is_present => Err(InvalidAnswer::Malformed),
        None => Ok(None),
    }
}

/// Returns a server's answer to an acceptable offer.
fn answer(offer: &Params, settings: &Deflate) -> Params {
    let (own, peer) = requested_contexts(settings);
    Params {
        // RFC 7692 7.1.1.1: "A server accepts an extension negotiation offer that includes the
        // "server_no_context_takeover" extension parameter by including the
        // "server_no_context_takeover" extension parameter in the corresponding extension
        // negotiation response", and it "MAY include" it "even if the extension negotiation offer
        // [...] didn't include" it.
        server_no_context_takeover: offer.server_no_context_takeover || !own.takeover,
        // 7.1.1.2: "the server may either ignore the parameter or use the parameter to avoid taking
        // over the LZ77 sliding window unnecessarily by including the "client_no_context_takeover"
        // extension parameter". The offer need not have it: "A server MAY include the
        // "client_no_context_takeover" extension parameter in an extension negotiation response."
        client_no_context_takeover: offer.client_no_context_takeover || !peer.takeover,
        // 7.1.2.1: "A server accepts an extension negotiation offer with this parameter by
        // including the "server_max_window_bits" extension parameter [...] with the same or smaller
        // value as the offer", and "MAY include" it "even if the extension negotiation offer [...]
        // didn't include" it. That lets the client inflate with less memory.
        server_max_window_bits: match offer.server_max_window_bits {
            Some(bits) => Some(bits.min(own.window_bits)),
            None => window_param(own.window_bits),
        },
        // 7.1.2.2: "If a received extension negotiation offer doesn't have the
        // "client_max_window_bits" extension parameter, the corresponding extension negotiation
        // response to the offer MUST NOT include the "client_max_window_bits" extension parameter";
        // if it has a value, the answer is "a value equal to or smaller than the received value".
        client_max_window_bits: match offer.client_max_window_bits {
            Some(Some(bits)) => Some(Some(bits.min(peer.window_bits))),
            Some(None) => window_param(peer.window_bits).map(Some),
            None => None,
        },
    }
}

/// Checks an answer. RFC 7692 7: the client fails if it "does not support the configuration that
/// the response represents".
fn check_answer(answer: &Params, settings: &Deflate) -> Result<Negotiated, InvalidAnswer> {
    let (own_limit, peer_limit) = requested_contexts(settings);
    let (peer, mut own) = answer.contexts();
    // The client side of the rules that `answer` quotes: a server that accepts a `server_`
    // parameter includes it, so a server that omits it has not accepted the offer.
    if peer.takeover && !peer_limit.takeover {
        return Err(InvalidAnswer::ServerContextTakeover);
    }
    if peer.window_bits > peer_limit.window_bits {
        return Err(InvalidAnswer::ServerWindow);
    }
    match answer.client_max_window_bits {
        // Unlike in an offer, the parameter must have a value in an answer.
        Some(None) => return Err(InvalidAnswer::ParameterValue),
        Some(Some(bits)) if bits > own_limit.window_bits => return Err(InvalidAnswer::ClientWindow),
        _ => {}
    }
    // 7.1.1.2: "even if the server doesn't include the "client_no_context_takeover" extension
    // parameter in the corresponding extension negotiation response to the offer, the client is not
    // going to use context takeover". The same holds for the window.
    own.window_bits = own.window_bits.min(own_limit.window_bits);
    own.takeover &= own_limit.takeover;
    Ok(Negotiated { own, peer, available: settings.available })
}

impl Params {
    /// Returns the parameters of the server's direction and of the client's, as an answer states
    /// them. 7.1.2.1, 7.1.2.2: without a limit, the window is "up to 32,768 bytes".
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

/// Returns the parameters that this end wants for its own direction and for its peer's.
fn requested_contexts(settings: &Deflate) -> (Context, Context) {
    let context = |bits: u8, takeover: bool| Context { window_bits: clamp_window_bits(bits), takeover };
    let own = context(settings.window_bits, settings.context_takeover);
    let peer = context(settings.peer_window_bits, settings.peer_context_takeover);
    (own, peer)
}

/// Returns the value of a window parameter, or `None` for the largest window, which is the default.
fn window_param(bits: u8) -> Option<u8> {
    Some(bits).filter(|&bits| bits < MAX_WINDOW_BITS)
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidAnswer::Malformed => "the Sec-WebSocket-Extensions header is not a list of extensions",
            InvalidAnswer::UnknownExtension => "the server uses an extension that was not offered",
            InvalidAnswer::RepeatedExtension => "the server's answer repeats permessage-deflate",
            InvalidAnswer::UnknownParameter => {
                "the server's answer has an unknown parameter of permessage-deflate"
            }
            InvalidAnswer::RepeatedParameter => {
                "the server's answer repeats a parameter of permessage-deflate"
            }
            InvalidAnswer::ParameterValue => {
                "the server's answer has an invalid value of a permessage-deflate parameter: window bits must be \
                 8 to 15, and the others have no value"
            }
            InvalidAnswer::ClientWindow => "client_max_window_bits must not be above the offered value",
            InvalidAnswer::ServerWindow => {
                "server_max_window_bits must be present, and not above the requested value"
            }
            InvalidAnswer::ServerContextTakeover => {
                "server_no_context_takeover was requested, but the server's answer lacks it"
            }
        })
    }
}

impl core::error::Error for InvalidAnswer {}
