//! HTTP responses: what the server adds to them, and sending them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use sockeye_core::http::Response;

use crate::handshake::opening::Opening;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};

/// Makes a response ready to be sent, and says whether the connection goes on.
pub(crate) fn complete(response: Response, keep_alive: bool) -> Response {
    // A 1xx is no answer (RFC 9110 15.2), and behind a 101 the client would take for frames what is none.
    let mut response = if response.status() < 200 { server_error() } else { response };
    // RFC 9110 6.6.1: "An origin server with a clock MUST generate a Date header field in all 2xx (Successful), 3xx
    // (Redirection), and 4xx (Client Error) responses".
    if !response.headers().contains("date") {
        response = with_header(response, "Date", &httpdate::fmt_http_date(SystemTime::now()));
    }
    response.keep_alive(keep_alive)
}

/// What a client is told when the application has failed it.
pub(crate) fn server_error() -> Response {
    Response::text(500, "the server could not answer this request\n")
}

/// Adds a header of our own.
fn with_header(response: Response, name: &str, value: &str) -> Response {
    // They are valid; should they not be, the client gets an error rather than half of an answer.
    response.header(name, value).unwrap_or_else(|_| Response::new(500))
}

/// Sends a response that is the last one, and closes the transport when the peer has had time to read it.
pub(crate) async fn send_last<I: Io, C: Clock>(
    mut opening: Opening<I, C>,
    response: Response,
    timeout: Duration,
) {
    // The peer may be gone; nobody is left to be told.
    if write_within(&mut opening, &complete(response, false).encode(), timeout).await.is_ok() {
        let _ = opening.end_with(&[]).await;
    }
}

pub(crate) async fn write_within<I: Io, C: Clock>(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h5_the_last_response_says_so_once() {
        for value in [None, Some("close"), Some("Upgrade, Close"), Some("keep-alive")] {
            let response = Response::text(200, "bye");
            let response = value
                .into_iter()
                .fold(response, |response, value| with_header(response, "Connection", value));
            let encoded = complete(response, false).encode().to_ascii_lowercase();
            let head = String::from_utf8(encoded).unwrap();
            assert_eq!(head.matches("close").count(), 1, "{head}");
        }
    }
}
