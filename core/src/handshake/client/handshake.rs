//! Sending the request and waiting for its response.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::verify::{Expected, establish};
use super::{BadResponse, ClientHandshakeError};
use crate::deflate::Negotiated;
use crate::http::{BodyEvent, BodyLength, BodyReader, HeadKind, HeadReader, Response};
use crate::time::Deadline;
use crate::{Config, Connection, Instant, MaskKeys, RecvBuf};

/// The limit in bytes on the body of a refusal, which is enough for any error page.
const MAX_REFUSAL: usize = 64 << 10;
/// The limit on 1xx responses. RFC 9110 15.2: "A client MUST be able to parse one or more 1xx
/// responses received prior to a final response". A server that sends more than this is not going
/// to answer. Together they may have [`Config::max_head_size`] bytes.
const MAX_INTERIM: u8 = 8;
/// How long to wait for a body that only the end of the connection ends. Many servers that keep the
/// connection open forget to say that the body is empty.
const UNDELIMITED_WAIT: Duration = Duration::from_millis(500);

/// An opening handshake in progress: a request to send, and a response to wait for.
///
/// Poll it with [`poll_transmit`](ClientHandshake::poll_transmit),
/// [`poll_response`](ClientHandshake::poll_response) and
/// [`poll_timeout`](ClientHandshake::poll_timeout); notify it with
/// [`transmitted`](ClientHandshake::transmitted),
/// [`handle_timeout`](ClientHandshake::handle_timeout) and
/// [`handle_eof`](ClientHandshake::handle_eof). It ends with a connection or one error. It does not
/// follow redirects, because the request may carry credentials that another host must not see.
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye_core::handshake::client::ClientRequest;
/// use sockeye_core::{Config, RecvBuf};
///
/// let request = ClientRequest::new(&"ws://example.com/chat".parse()?);
/// // Both must come from a secure random generator.
/// let (nonce, masks) = (*b"the sample nonce", Box::new(|| [1, 2, 3, 4]));
/// let mut handshake = request.start(nonce, masks, Arc::new(Config::new()));
/// let written = handshake.poll_transmit().map_or(0, <[u8]>::len);
/// handshake.transmitted(written);
///
/// let mut received = *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// let established = handshake.poll_response(&mut RecvBuf::new(&mut received))?;
/// let connection = established.expect("a whole head").connection;
/// # let _ = connection;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientHandshake {
    request: Vec<u8>,
    sent: usize,
    expected: Expected,
    masks: Option<MaskKeys>,
    config: Arc<Config>,
    state: State,
    deadline: Deadline,
    interim: u8,
    /// The bytes of the 1xx responses together.
    interim_size: usize,
    received: usize,
}

/// A connection whose opening handshake is done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// The connection. Frames that arrived right after the response are still in the `RecvBuf`.
    pub connection: Connection,
    /// The 101, or the response to an Extended CONNECT.
    pub response: Response,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// The compression that both ends agreed on.
    pub deflate: Option<Negotiated>,
}

/// Returns the connection and its subprotocol.
impl From<Established> for (Connection, Option<String>) {
    fn from(established: Established) -> Self {
        (established.connection, established.subprotocol)
    }
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    /// The final response is not a 101. Its body may explain why.
    Refused {
        response: Response,
        body: BodyReader,
        /// The deadline of a body that only the end of the connection ends.
        wait: Deadline,
    },
    Over,
}

impl ClientHandshake {
    pub(super) fn new(request: Vec<u8>, expected: Expected, masks: MaskKeys, config: Arc<Config>) -> Self {
        ClientHandshake {
            request,
            sent: 0,
            expected,
            masks: Some(masks),
            config,
            state: State::Head(HeadReader::new(HeadKind::Response)),
            deadline: Deadline::start(),
            interim: 0,
            interim_size: 0,
            received: 0,
        }
    }

    /// Returns the bytes of the request that have not been written yet.
    #[must_use]
    pub fn poll_transmit(&self) -> Option<&[u8]> {
        self.request.get(self.sent..).filter(|rest| !rest.is_empty())
    }

    /// Records that the first `n` of those bytes have been written.
    pub fn transmitted(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n).min(self.request.len());
    }

    /// Returns the connection once a valid 101 has arrived, or `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// Returns [`ClientHandshakeError::Refused`] with the response and its body if the status is
    /// not 101, and [`ClientHandshakeError::BadResponse`] if RFC 6455 4.1 requires the client to
    /// fail. Either ends the handshake. Interim responses (1xx) before the 101 are skipped.
    pub fn poll_response(
        &mut self,
        input: &mut RecvBuf<'_>,
    ) -> Result<Option<Established>, ClientHandshakeError> {
        let before = input.consumed();
        let polled = self.poll_state(input);
        self.received = self.received.saturating_add(input.consumed().saturating_sub(before));
        if !matches!(polled, Ok(None)) {
            self.end();
        }
        polled
    }

    /// Returns when to call [`handle_timeout`](ClientHandshake::handle_timeout), or `None` once the
    /// handshake is over. The first call is due immediately, because the handshake needs to know
    /// the time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let wait = if let State::Refused { wait, .. } = &self.state { wait.poll() } else { None };
        self.deadline.poll().into_iter().chain(wait).min()
    }

    /// Handles the passing of time. Calling it early has no effect.
    ///
    /// # Errors
    ///
    /// Once [`Config::handshake_timeout`] has passed, returns [`ClientHandshakeError::TimedOut`],
    /// or [`ClientHandshakeError::Refused`] if only the rest of a refusal's body was missing.
    ///
    /// It waits less, for 500 ms, if the refusal has neither `Content-Length` nor chunks: the
    /// server may keep the connection open although nothing follows.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ClientHandshakeError> {
        let is_late = self.deadline.handle(now, self.config.handshake_timeout);
        let waited = match &mut self.state {
            State::Refused { wait, .. } => wait.handle(now, UNDELIMITED_WAIT),
            State::Head(_) | State::Over => false,
        };
        if !is_late && !waited {
            return Ok(());
        }
        Err(match self.end() {
            State::Refused { response, .. } => ClientHandshakeError::Refused(response.truncate()),
            State::Head(_) | State::Over => ClientHandshakeError::TimedOut { received: self.received },
        })
    }

    /// Handles the end of the transport, which ends the handshake.
    ///
    /// Returns [`ClientHandshakeError::Eof`], or [`ClientHandshakeError::Refused`] if the body of a
    /// refusal was being received.
    pub fn handle_eof(&mut self) -> ClientHandshakeError {
        match self.end() {
            State::Head(_) => ClientHandshakeError::Eof { received: self.received },
            State::Refused { response, mut body, .. } => {
                ClientHandshakeError::Refused(match body.handle_eof() {
                    Ok(()) => response,
                    Err(_) => response.truncate(),
                })
            }
            State::Over => ClientHandshakeError::Over,
        }
    }

    fn poll_state(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Established>, ClientHandshakeError> {
        while let State::Head(reader) = &mut self.state {
            let (received, before) = (reader.received(), input.consumed());
            let head = reader.poll_response(input, &self.config).map_err(BadResponse::Head)?;
            let Some(response) = head else { return Ok(None) };
            let size = received.saturating_add(input.consumed().saturating_sub(before));
            match response.status() {
                101 => return self.establish(response).map(Some),
                100..=199 => {
                    self.interim_size = self.interim_size.saturating_add(size);
                    if self.interim == MAX_INTERIM || self.interim_size > self.config.max_head_size {
                        return Err(BadResponse::TooManyInterim.into());
                    }
                    self.interim = self.interim.saturating_add(1);
                    self.state = State::Head(HeadReader::new(HeadKind::Response));
                }
                _ => {
                    let length = response.body_length().map_err(BadResponse::Head)?;
                    let is_delimited = length != BodyLength::UntilClose;
                    let wait = if is_delimited { Deadline::OFF } else { Deadline::start() };
                    // No limit here: `poll_refusal` cuts the body at `MAX_REFUSAL`.
                    self.state = State::Refused { response, body: BodyReader::new(length, u64::MAX), wait };
                }
            }
        }
        self.poll_refusal(input)
    }

    fn establish(&mut self, response: Response) -> Result<Established, ClientHandshakeError> {
        let masks = self.masks.take().ok_or(ClientHandshakeError::Over)?;
        Ok(establish(response, &self.expected, masks, &self.config)?)
    }

    fn poll_refusal(&mut self, input: &mut RecvBuf<'_>) -> Result<Option<Established>, ClientHandshakeError> {
        let State::Refused { response, body, .. } = &mut self.state else {
            return Err(ClientHandshakeError::Over);
        };
        let is_whole = loop {
            match body.poll_event(input) {
                Ok(None) => return Ok(None),
                Ok(Some(BodyEvent::End)) => break true,
                Ok(Some(BodyEvent::Data(part))) if response.append(part, MAX_REFUSAL) => {}
                // The body is too long or malformed. The refusal itself is still valid.
                Ok(Some(BodyEvent::Data(_))) | Err(_) => break false,
            }
        };
        match core::mem::replace(&mut self.state, State::Over) {
            State::Refused { response, .. } if is_whole => Err(ClientHandshakeError::Refused(response)),
            State::Refused { response, .. } => Err(ClientHandshakeError::Refused(response.truncate())),
            _ => Err(ClientHandshakeError::Over),
        }
    }

    /// Ends the handshake: stops sending, receiving and the timeout.
    fn end(&mut self) -> State {
        self.deadline = Deadline::OFF;
        self.sent = self.request.len();
        core::mem::replace(&mut self.state, State::Over)
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request may contain credentials, so it is not printed.
        f.debug_struct("ClientHandshake")
            .field("sent", &self.sent)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
