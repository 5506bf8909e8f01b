//! Sending the request and waiting for its response.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::verify::{Expected, verify, verify_extensions};
use super::{BadResponse, HandshakeError};
use crate::deflate::Negotiated;
use crate::http::{BodyEvent, BodyReader, HeadReader, Kind, Response};
use crate::time::Deadline;
use crate::{Config, Connection, Instant, MaskKeys, RecvBuf};

/// As much of the body of a refusal is kept: enough for any page that explains it.
const MAX_REFUSAL: usize = 64 << 10;
/// RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final response".
/// A server that sends more of them than this has nothing to say.
const MAX_INTERIM: u8 = 8;

/// An opening handshake under way: a request to send, and a response to wait for.
///
/// *Asking*: [`poll_transmit`](Handshake::poll_transmit), [`poll_response`](Handshake::poll_response),
/// [`poll_timeout`](Handshake::poll_timeout). *Telling*: [`transmitted`](Handshake::transmitted),
/// [`handle_timeout`](Handshake::handle_timeout), [`handle_eof`](Handshake::handle_eof). It ends with a connection
/// or with one error. Redirects are not followed: the request may carry credentials that another host must not see.
pub struct Handshake {
    request: Vec<u8>,
    sent: usize,
    expected: Expected,
    masks: Option<MaskKeys>,
    config: Arc<Config>,
    state: State,
    deadline: Deadline,
    interim: u8,
    received: usize,
}

/// A connection whose opening handshake is done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// The connection. Frames that came right behind the response are still in the `RecvBuf`, for it to read.
    pub connection: Connection,
    /// The 101.
    pub response: Response,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// The compression agreed on.
    pub deflate: Option<Negotiated>,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    /// Not a 101: its body explains why.
    Refused {
        response: Response,
        body: BodyReader,
    },
    Over,
}

impl Handshake {
    pub(super) fn new(
        request: Vec<u8>,
        accept: String,
        subprotocols: Vec<String>,
        masks: MaskKeys,
        config: Arc<Config>,
    ) -> Self {
        Handshake {
            request,
            sent: 0,
            expected: Expected { accept, subprotocols },
            masks: Some(masks),
            config,
            state: State::Head(HeadReader::new(Kind::Response)),
            deadline: Deadline::start(),
            interim: 0,
            received: 0,
        }
    }

    /// The bytes of the request that are still to be written.
    #[must_use]
    pub fn poll_transmit(&self) -> Option<&[u8]> {
        self.request.get(self.sent..).filter(|rest| !rest.is_empty())
    }

    /// Tells how many of those bytes have been written.
    pub fn transmitted(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n).min(self.request.len());
    }

    /// The connection, once a valid 101 has come; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Refused`] with any other response and its body, [`HandshakeError::BadResponse`] for one
    /// that RFC 6455 4.1 has the client fail on. The handshake is over with either.
    pub fn poll_response(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Established>, HandshakeError> {
        let before = input.consumed();
        let polled = self.poll_state(input);
        self.received = self.received.saturating_add(input.consumed().saturating_sub(before));
        if !matches!(polled, Ok(None)) {
            self.end();
        }
        polled
    }

    /// When [`handle_timeout`](Handshake::handle_timeout) is to be called; `None` once the handshake is over. At
    /// first it is due at once, to learn the time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.poll()
    }

    /// Tells the time.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::TimedOut`] when the time is up, or [`HandshakeError::Refused`] when only the rest of a
    /// refusal's body was missing.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        if !self.deadline.handle(now, self.config.handshake_timeout) {
            return Ok(());
        }
        Err(match self.end() {
            State::Refused { response, .. } => HandshakeError::Refused(response.truncate()),
            State::Head(_) | State::Over => HandshakeError::TimedOut { received: self.received },
        })
    }

    /// Tells that the server will send no more, which ends the handshake with the error that it answers:
    /// [`HandshakeError::Eof`], or [`HandshakeError::Refused`] when a refusal's body was under way.
    pub fn handle_eof(&mut self) -> HandshakeError {
        match self.end() {
            State::Head(_) => HandshakeError::Eof { received: self.received },
            State::Refused { response, mut body } => HandshakeError::Refused(match body.handle_eof() {
                Ok(()) => response,
                Err(_) => response.truncate(),
            }),
            State::Over => HandshakeError::Over,
        }
    }

    fn poll_state(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Established>, HandshakeError> {
        while let State::Head(reader) = &mut self.state {
            let head = reader.poll_response(input, &self.config).map_err(BadResponse::Head)?;
            let Some(response) = head else { return Ok(None) };
            match response.status() {
                101 => return self.establish(response).map(Some),
                100..=199 => {
                    if self.interim == MAX_INTERIM {
                        return Err(BadResponse::TooManyInterim.into());
                    }
                    self.interim = self.interim.saturating_add(1);
                    self.state = State::Head(HeadReader::new(Kind::Response));
                }
                _ => {
                    let length = response.body_length().map_err(BadResponse::Head)?;
                    // Any length will do: it is cut where enough of it has come.
                    self.state = State::Refused { response, body: BodyReader::new(length, u64::MAX) };
                }
            }
        }
        self.poll_refusal(input)
    }

    fn establish(&mut self, response: Response) -> Result<Established, HandshakeError> {
        let subprotocol = verify(&response, &self.expected)?;
        let deflate = verify_extensions(&response, self.config.deflate.as_ref())?;
        let masks = self.masks.take().ok_or(HandshakeError::Over)?;
        let mut connection = Connection::client(Arc::clone(&self.config), masks);
        if let Some(deflate) = &deflate {
            connection.enable_deflate(deflate);
        }
        Ok(Established { connection, response, subprotocol, deflate })
    }

    fn poll_refusal(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Established>, HandshakeError> {
        let State::Refused { response, body } = &mut self.state else { return Err(HandshakeError::Over) };
        let is_whole = loop {
            match body.poll_event(input) {
                Ok(None) => return Ok(None),
                Ok(Some(BodyEvent::End)) => break true,
                Ok(Some(BodyEvent::Data(part))) if response.append(part, MAX_REFUSAL) => {}
                // Too much of it, or a malformed rest: the refusal stands all the same.
                Ok(Some(BodyEvent::Data(_))) | Err(_) => break false,
            }
        };
        match core::mem::replace(&mut self.state, State::Over) {
            State::Refused { response, .. } if is_whole => Err(HandshakeError::Refused(response)),
            State::Refused { response, .. } => Err(HandshakeError::Refused(response.truncate())),
            _ => Err(HandshakeError::Over),
        }
    }

    /// Nothing is sent, expected or timed any more.
    fn end(&mut self) -> State {
        self.deadline = Deadline::OFF;
        self.sent = self.request.len();
        core::mem::replace(&mut self.state, State::Over)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the request: it may have credentials in it.
        f.debug_struct("Handshake")
            .field("sent", &self.sent)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
