//! HTTP responses: the headers that the server adds, and sending them.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use sockeye_core::http::Response;

use crate::handshake::opening::Opening;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::{Clock, Io};

/// Adds the `Date` and `Connection` headers to a response.
pub(crate) fn complete(response: Response, keep_alive: bool) -> Response {
    // A 1xx is not a final response (RFC 9110 15.2), and after a 101 the client would take the
    // next bytes for frames.
    let mut response = if response.status() < 200 { server_error() } else { response };
    // RFC 9110 6.6.1: "An origin server with a clock MUST generate a Date header field in all 2xx
    // (Successful), 3xx (Redirection), and 4xx (Client Error) responses".
    if !response.headers().contains("date") {
        response = with_header(response, "Date", &httpdate::fmt_http_date(SystemTime::now()));
    }
    response.keep_alive(keep_alive)
}

/// Returns the response for a request that the application failed to answer.
pub(crate) fn server_error() -> Response {
    Response::text(500, "the server could not answer this request\n")
}

/// Adds a header whose name and value the library chose.
fn with_header(response: Response, name: &str, value: &str) -> Response {
    // They are valid. If they were not, the client would get an error, not half a response.
    response.header(name, value).unwrap_or_else(|_| Response::new(500))
}

/// Sends the last response on a connection, and closes the transport once the peer has had time to
/// read it.
pub(crate) async fn send_last<I: Io, C: Clock>(
    mut opening: Opening<I, C>,
    response: Response,
    timeout: Duration,
) {
    // Ignore errors: the connection ends whether or not the peer reads the response.
    if write_within(&mut opening, &complete(response, false).encode(), timeout).await.is_ok() {
        let _ = opening.end_with(&[]).await;
    }
}

/// Writes `bytes`, or fails with [`TimedOut`](io::ErrorKind::TimedOut).
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
    fn h5_the_last_response_says_close_once() {
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
