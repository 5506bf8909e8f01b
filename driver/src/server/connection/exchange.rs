//! Plain HTTP on the port: one request and its answer at a time.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use sockeye_core::handshake::server::Refusal;
use sockeye_core::http::{Request, Response, Version};

use crate::handshake::opening::Opening;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::api::http_request::HttpRequest;
use crate::server::connection::body::{Body, Failed};
use crate::server::connection::guard::{guarded_alone, report};
use crate::server::registry::admission::Count;

/// Makes a response ready to be sent, and says whether the connection goes on.
pub(crate) fn finished(response: Response, goes_on: bool) -> Response {
    // A 1xx is no answer (RFC 9110 15.2), and behind a 101 the client would take for frames what is none.
    let mut response = if response.status() < 200 { server_error() } else { response };
    // RFC 9110 6.6.1: "An origin server with a clock MUST generate a Date header field in all 2xx (Successful), 3xx
    // (Redirection), and 4xx (Client Error) responses".
    if !response.headers().contains("date") {
        response = header(response, "Date", &httpdate::fmt_http_date(SystemTime::now()));
    }
    match (goes_on, response.headers().contains("connection")) {
        (true, false) => header(response, "Connection", "keep-alive"),
        // RFC 9112 9.6: "The server SHOULD send a "close" connection option in its final response on that connection", whatever the
        // application has put there. To a response without the field it is added when it is written.
        (false, true) if !response.headers().contains_token("connection", "close") => {
            header(response, "Connection", "close")
        }
        _ => response,
    }
}

/// What a client is told when the application has failed it.
pub(crate) fn server_error() -> Response {
    Response::text(500, "the server could not answer this request\n")
}

/// Adds a header of our own.
fn header(response: Response, name: &str, value: &str) -> Response {
    // They are valid; should they not be, the client gets an error rather than half of an answer.
    response.header(name, value).unwrap_or_else(|_| Response::new(500))
}

/// Whether the connection goes on behind a request and its answer, and with what.
pub(crate) async fn exchange<I: Io + Send, C: Clock + Send, H: Handler>(
    mut opening: Opening<I, C>,
    handler: &H,
    client: &Client,
    request: Request,
    handshake: &mut Option<Count>,
) -> Option<Opening<I, C>> {
    let settings = &client.entry().port;
    let timeout = settings.body_timeout;
    // RFC 9110 10.1.1: "A server that receives an Expect field value containing a member other than 100-continue MAY respond
    // with a 417 (Expectation Failed) status code".
    if request.headers().tokens("expect").any(|token| !token.eq_ignore_ascii_case("100-continue")) {
        let refused = Response::text(417, "nothing but 100-continue can be expected here\n");
        end_with(opening, refused.in_answer_to(&request), timeout).await;
        return None;
    }
    let mut body = Body::new(&request, &mut opening, settings.max_body_size, timeout);
    let mut asked = HttpRequest::new(&request, &mut body);
    let answer = guarded_alone(|| handler.request(client, &mut asked)).await;
    let (failed, skipped) = (body.failed.take(), !body.is_read());
    let (response, mut goes_on) = match (answer, failed) {
        (_, Some(Failed::Io)) => return None,
        (Err(_), Some(Failed::Body(status, text))) => (Response::text(status, text), false),
        (Ok(Some(response)), _) if promises_tunnel(&request, &response) => {
            (Response::text(501, "this is no proxy\n"), false)
        }
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
    let response = finished(response, goes_on);
    // Who reads the answer does not count any more.
    *handshake = None;
    let written = write(&mut opening, &response.in_answer_to(&request).encode(), timeout).await;
    if goes_on && written.is_ok() {
        return Some(opening);
    }
    if written.is_ok() {
        let _ = opening.end_with(&[]).await;
    }
    None
}

/// RFC 9110 9.3.6: "Any 2xx (Successful) response indicates that the sender (and all inbound proxies) will switch to tunnel mode".
fn promises_tunnel(request: &Request, response: &Response) -> bool {
    request.method() == "CONNECT" && matches!(response.status(), 200..=299)
}

/// Sends a response that is the last one, and closes the transport when the peer has had time to read it.
pub(crate) async fn end_with<I: Io, C: Clock>(
    mut opening: Opening<I, C>,
    response: Response,
    timeout: Duration,
) {
    // The peer may be gone; nobody is left to be told.
    if write(&mut opening, &finished(response, false).encode(), timeout).await.is_ok() {
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
        if let Poll::Ready(result) = opening.poll_write(cx, bytes, &mut written) {
            return Poll::Ready(result);
        }
        poll_deadline(&mut opening.clock, cx, deadline).map(|_| Err(io::ErrorKind::TimedOut.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h5_the_last_response_says_so_once() {
        for said in [None, Some("close"), Some("Upgrade, Close"), Some("keep-alive")] {
            let response = Response::text(200, "bye");
            let response =
                said.into_iter().fold(response, |response, said| header(response, "Connection", said));
            let encoded = finished(response, false).encode().to_ascii_lowercase();
            let head = String::from_utf8(encoded).unwrap();
            assert_eq!(head.matches("close").count(), 1, "{head}");
        }
    }
}
