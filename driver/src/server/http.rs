//! Plain HTTP on the port: one request and its answer at a time.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use sockeye_core::handshake::server::Refusal;
use sockeye_core::http::{BodyError, BodyEvent, BodyReader, Request, Response, Version};
use sockeye_core::{Instant, RecvBuf};

use super::client::Client;
use super::guard::{guarded_alone, report};
use super::handler::Handler;
use super::hub::Count;
use crate::io::{Clock, Io};
use crate::opening::{Opening, Waited};

/// A plain HTTP request: its head, as a [`Request`], and its body, if it is asked for.
pub struct HttpRequest<'a> {
    head: &'a Request,
    body: &'a mut (dyn PollBody + Send + 'a),
}

impl HttpRequest<'_> {
    /// The whole body; a second call gives nothing. A client that waits to be asked for it (`Expect: 100-continue`) is asked.
    ///
    /// # Errors
    ///
    /// It is above [`Port::max_body_size`](super::Port::max_body_size), malformed, or did not come in time. Return the error: the
    /// client is told.
    pub async fn body(&mut self) -> Result<Vec<u8>, HttpBodyError> {
        let mut body = Vec::new();
        poll_fn(|cx| self.body.poll_body(cx, &mut body)).await?;
        Ok(body)
    }
}

impl Deref for HttpRequest<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.head
    }
}

impl fmt::Debug for HttpRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Why the body of a request could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpBodyError {
    /// It is too big or malformed, or ended too early.
    Body(BodyError),
    /// It did not come in time.
    TimedOut,
    /// The transport broke.
    Io(io::Error),
}

impl HttpBodyError {
    fn status(&self) -> Option<u16> {
        match self {
            HttpBodyError::Body(error) => Some(error.status()),
            HttpBodyError::TimedOut => Some(408),
            HttpBodyError::Io(_) => None,
        }
    }
}

impl fmt::Display for HttpBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpBodyError::Body(error) => error.fmt(f),
            HttpBodyError::TimedOut => f.write_str("the body did not come in time"),
            HttpBodyError::Io(error) => write!(f, "the transport broke in a body: {error}"),
        }
    }
}

impl std::error::Error for HttpBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HttpBodyError::Body(error) => Some(error),
            HttpBodyError::TimedOut => None,
            HttpBodyError::Io(error) => Some(error),
        }
    }
}

/// Makes a response ready to be sent: adds the date (RFC 9110 6.6.1: "An origin server with a clock MUST generate a Date header field
/// in all 2xx (Successful), 3xx (Redirection), and 4xx (Client Error) responses").
pub(super) fn dated(response: Response) -> Response {
    // A 1xx is no answer (RFC 9110 15.2), and behind a 101 the client would take for frames what is none.
    let response = if response.status() < 200 { server_error() } else { response };
    if response.headers().contains("date") {
        return response;
    }
    header(response, "Date", &httpdate::fmt_http_date(SystemTime::now()))
}

/// What a client is told when the application has failed it.
pub(super) fn server_error() -> Response {
    Response::text(500, "the server could not answer this request\n")
}

/// Adds a header of our own.
fn header(response: Response, name: &str, value: &str) -> Response {
    // They are valid; should they not be, the client gets an error rather than half of an answer.
    response.header(name, value).unwrap_or_else(|_| Response::new(500))
}

/// Whether the connection goes on behind a request and its answer, and with what.
pub(super) async fn exchange<I: Io + Send, C: Clock + Send, H: Handler>(
    mut opening: Opening<I, C>,
    handler: &H,
    client: &Client,
    request: Request,
    handshake: &mut Option<Count>,
) -> Option<Opening<I, C>> {
    let settings = &client.entry().port.settings;
    let timeout = settings.body_timeout;
    // RFC 9110 10.1.1: "A server that receives an Expect field value containing a member other than 100-continue MAY respond
    // with a 417 (Expectation Failed) status code".
    if request.headers().tokens("expect").any(|token| !token.eq_ignore_ascii_case("100-continue")) {
        let refused = Response::text(417, "nothing but 100-continue can be expected here\n");
        end_with(opening, &encoded(refused, is_head(&request)), timeout).await;
        return None;
    }
    let mut body = Body {
        reader: BodyReader::new(request.body_length(), settings.max_body_size),
        wants_continue: request.version() >= Version::Http11
            && request.headers().contains_token("expect", "100-continue"),
        opening: &mut opening,
        timeout,
        deadline: None,
        written: 0,
        failed: None,
    };
    let mut asked = HttpRequest { head: &request, body: &mut body };
    let answer = guarded_alone(|| handler.request(client, &mut asked)).await;
    let (failed, skipped) = (body.failed.take(), !body.is_read());
    let (response, mut goes_on) = match (answer, failed) {
        (_, Some(Failed::Io)) => return None,
        (Err(_), Some(Failed::Body(status, text))) => (Response::text(status, text), false),
        (Ok(Some(response)), failed) => (response, failed.is_none()),
        (Ok(None), _) => (Refusal::NotWebSocket.response(), false),
        (Err(failure), None) => {
            report(handler, client, &failure);
            (server_error(), false)
        }
    };
    // Where the next request begins is not known if the body has not been read to its end.
    goes_on &= !skipped && keeps_alive(&request) && !response.headers().contains_token("connection", "close");
    goes_on &= !client.server().is_shutting_down();
    let response = dated(response);
    let response = match (goes_on, response.headers().contains("connection")) {
        (true, false) => header(response, "Connection", "keep-alive"),
        _ => response,
    };
    // Who reads the answer does not count any more.
    *handshake = None;
    let written = write(&mut opening, &encoded(response, is_head(&request)), timeout).await;
    if goes_on && written.is_ok() {
        return Some(opening);
    }
    if written.is_ok() {
        let _ = opening.end_with(&[]).await;
    }
    None
}

/// Whether the answer is to be without its content.
pub(super) fn is_head(request: &Request) -> bool {
    request.method() == "HEAD"
}

/// A response as it goes over the wire. RFC 9110 9.3.2: "The HEAD method is identical to GET except that the server MUST NOT send
/// content in the response."
pub(super) fn encoded(response: Response, is_head: bool) -> Vec<u8> {
    let response = dated(response);
    if is_head { response.encode_head() } else { response.encode() }
}

/// Sends a response that is the last one, and closes the transport when the peer has had time to read it.
pub(super) async fn end_with<I: Io, C: Clock>(
    mut opening: Opening<I, C>,
    response: &[u8],
    timeout: Duration,
) {
    // The peer may be gone; nobody is left to be told.
    if write(&mut opening, response, timeout).await.is_ok() {
        let _ = opening.end_with(&[]).await;
    }
}

async fn write<I: Io, C: Clock>(
    opening: &mut Opening<I, C>,
    bytes: &[u8],
    timeout: Duration,
) -> io::Result<()> {
    let deadline = opening.clock.now() + timeout;
    let mut written = 0;
    let result = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = opening.poll_write(cx, bytes, &mut written) {
                return Poll::Ready(result);
            }
            if opening.clock.now() >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(opening.clock.poll_until(cx, deadline));
        }
    })
    .await;
    opening.clock.cancel();
    result
}

/// RFC 9112 9.3.
fn keeps_alive(request: &Request) -> bool {
    let says = |token| request.headers().contains_token("connection", token);
    !says("close") && (request.version() >= Version::Http11 || says("keep-alive"))
}

/// The body of a request, whatever its transport.
trait PollBody {
    /// Reads what is left of it.
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<(), HttpBodyError>>;
}

struct Body<'o, I, C> {
    reader: BodyReader,
    opening: &'o mut Opening<I, C>,
    /// The client waits to be asked for it.
    wants_continue: bool,
    timeout: Duration,
    deadline: Option<Instant>,
    /// Of the 100.
    written: usize,
    failed: Option<Failed>,
}

/// What the client is told if the application fails with the error of its body.
enum Failed {
    Body(u16, String),
    Io,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<I: Io, C: Clock> Body<'_, I, C> {
    /// Whether nothing of it is left, looking at no more than what has come.
    fn is_read(&mut self) -> bool {
        matches!(self.take(&mut Vec::new()), Ok(true))
    }

    /// Takes what has come of it; `true` when that is all.
    fn take(&mut self, into: &mut Vec<u8>) -> Result<bool, BodyError> {
        let input = &mut self.opening.input;
        let mut view = RecvBuf::new(input.unread());
        let result = loop {
            match self.reader.poll_event(&mut view) {
                Ok(Some(BodyEvent::Data(part))) => into.extend_from_slice(part),
                Ok(Some(BodyEvent::End)) => break Ok(true),
                Ok(None) => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        let used = view.consumed();
        input.consume(used);
        result
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<(), HttpBodyError>> {
        loop {
            if self.take(into).map_err(HttpBodyError::Body)? {
                self.opening.clock.cancel();
                return Poll::Ready(Ok(()));
            }
            let deadline = *self.deadline.get_or_insert_with(|| self.opening.clock.now() + self.timeout);
            if self.wants_continue {
                // RFC 9110 10.1.1: "A server MAY omit sending a 100 (Continue) response if it has already received some or all of
                // the content".
                ready!(self.opening.poll_write(cx, CONTINUE, &mut self.written))
                    .map_err(HttpBodyError::Io)?;
                self.wants_continue = false;
            }
            match ready!(self.opening.poll_wait(cx, Some(deadline))).map_err(HttpBodyError::Io)? {
                Waited::Bytes => self.wants_continue = false,
                Waited::Eof => self.reader.handle_eof().map_err(HttpBodyError::Body)?,
                Waited::Time(_) => return Poll::Ready(Err(HttpBodyError::TimedOut)),
            }
        }
    }
}

impl<I: Io, C: Clock> PollBody for Body<'_, I, C> {
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<Result<(), HttpBodyError>> {
        let result = ready!(self.poll_rest(cx, into));
        if let Err(error) = &result {
            self.failed = Some(match error.status() {
                Some(status) => Failed::Body(status, format!("bad request: {error}\n")),
                None => Failed::Io,
            });
        }
        Poll::Ready(result)
    }
}
