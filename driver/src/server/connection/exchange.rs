//! Plain HTTP on a WebSocket port: one request and its response at a time.

use sockeye_core::handshake::server::Refusal;
use sockeye_core::http::{Request, Response, Version};

use crate::handshake::opening::Opening;
use crate::runtime::io::{Clock, Io};
use crate::server::api::client::Client;
use crate::server::api::handler::Handler;
use crate::server::api::http_request::HttpRequest;
use crate::server::connection::body::{Body, BodyFailure};
use crate::server::connection::guard::{guarded, report_failure};
use crate::server::connection::response::{complete, send_last, server_error, write_within};
use crate::server::registry::admission::Slot;

/// Lets the handler answer a request. Returns the transport if the connection is kept alive.
pub(crate) async fn answer_request<I: Io + Send, C: Clock + Send, H: Handler>(
    mut opening: Opening<I, C>,
    handler: &H,
    client: &Client,
    request: Request,
    handshake: &mut Option<Slot>,
) -> Option<Opening<I, C>> {
    let settings = &client.entry().port;
    let timeout = settings.body_timeout;
    // RFC 9110 10.1.1: "A server that receives an Expect field value containing a member other than
    // 100-continue MAY respond with a 417 (Expectation Failed) status code".
    if request.headers().tokens("expect").any(|token| !token.eq_ignore_ascii_case("100-continue")) {
        let refused = Response::text(417, "the only supported expectation is 100-continue\n");
        send_last(opening, refused.in_answer_to(&request), timeout).await;
        return None;
    }
    let mut body = Body::new(&request, &mut opening, settings.max_body_size, timeout);
    let mut http_request = HttpRequest::new(&request, &mut body);
    let answer = guarded(|| handler.request(client, &mut http_request)).await;
    let (failed, was_read) = (body.failure.take(), body.is_read());
    let (response, mut keep_alive) = match (answer, failed) {
        (_, Some(BodyFailure::Transport)) => return None,
        (Err(_), Some(BodyFailure::Respond(status, text))) => (Response::text(status, text), false),
        (Ok(Some(response)), _) if promises_tunnel(&request, &response) => {
            (Response::text(501, "this server is not a proxy\n"), false)
        }
        (Ok(Some(response)), failed) => (response, failed.is_none()),
        (Ok(None), _) => (Refusal::NotWebSocket.response(), false),
        (Err(failure), None) => {
            report_failure(handler, client, &failure);
            (server_error(), false)
        }
    };
    // The next request begins after the body, so its start is unknown until the body has been read.
    keep_alive &= was_read && keeps_alive(&request);
    keep_alive &= !response.headers().contains_token("connection", "close");
    keep_alive &= !client.server().is_shutting_down();
    let response = complete(response, keep_alive);
    // From here on the client no longer counts against `max_handshakes`.
    *handshake = None;
    let written = write_within(&mut opening, &response.in_answer_to(&request).encode(), timeout).await;
    if keep_alive && written.is_ok() {
        return Some(opening);
    }
    if written.is_ok() {
        let _ = opening.end_with(&[]).await;
    }
    None
}

/// Returns whether a client would take everything after this response for the contents of a tunnel.
///
/// RFC 9110 9.3.6: "Any 2xx (Successful) response indicates that the sender (and all inbound
/// proxies) will switch to tunnel mode".
fn promises_tunnel(request: &Request, response: &Response) -> bool {
    request.method() == "CONNECT" && matches!(response.status(), 200..=299)
}

/// Returns whether the client keeps the connection open after this request (RFC 9112 9.3).
fn keeps_alive(request: &Request) -> bool {
    let has_option = |token| request.headers().contains_token("connection", token);
    !has_option("close") && (request.version() >= Version::Http11 || has_option("keep-alive"))
}
