//! Clients: WebSockets on connections of hyper's client, and with other clients.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use sockeye_core::handshake::client::{BadResponse, UrlError};
use sockeye_core::http::InvalidHeader;
use sockeye_hyper::client::{ConnectError, Handshake, InvalidRequest};
use sockeye_hyper::{CloseCode, Config, client};

use crate::support::{Answer, assert_echo, echo, get, http1, http2, serve, soon};

#[tokio::test]
async fn h17_k1_a_client_of_hyper_opens_a_websocket_over_http_1() {
    let address = serve(echo).await;
    for uri in [format!("ws://{address}/ws?a=b"), format!("http://{address}"), "/path".to_owned()] {
        let mut request = get(&uri);
        let headers = request.headers_mut();
        headers.insert("host", "localhost".parse().unwrap());
        headers.insert("sec-websocket-protocol", "other, chat".parse().unwrap());
        // The headers of the handshake that other libraries make their users write.
        headers.insert("upgrade", "websocket".parse().unwrap());
        headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        let mut http = http1(address).await;
        let opening = client::http1(&mut http, request, Config::new().deflate(true));
        let (mut ws, response) = soon(opening).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(ws.subprotocol(), Some("chat"));
        assert!(ws.deflate().is_some() && ws.io().tcp().is_some());
        assert_echo(&mut ws, &"hello ".repeat(100_000)).await;
        assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
    }
}

#[tokio::test]
async fn h17_k1_a_client_of_hyper_opens_websockets_beside_requests_over_http_2() {
    let address = serve(echo).await;
    let mut http = http2(address).await;
    let mut request = get(&format!("ws://{address}/ws?a=b"));
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    let (mut ws, response) = soon(client::http2(&mut http, request, Config::new())).await.unwrap();
    assert_eq!((response.status(), ws.subprotocol()), (StatusCode::OK, Some("chat")));
    assert_eq!(soon(http.send_request(get("http://localhost/"))).await.unwrap().status(), 400);
    assert_echo(&mut ws, "hello").await;
}

#[tokio::test]
async fn h17_k1_a_refusal_has_the_response_with_its_body() {
    let address = serve(|_| async {
        Response::builder().status(403).header("x-why", "no").body(Full::from("not you")).unwrap()
    })
    .await;
    let uri = format!("ws://{address}/");
    let errors = [
        soon(client::http1(&mut http1(address).await, get(&uri), Config::new())).await.map(drop),
        soon(client::http2(&mut http2(address).await, get(&uri), Config::new())).await.map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "the server refused the handshake with 403 Forbidden");
        let ConnectError::Refused(response) = error else { panic!("{error:?}") };
        assert_eq!(
            (&response.body()[..], &response.headers()["x-why"]),
            (&b"not you"[..], &"no".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn h17_k1_an_invalid_response_is_an_error() {
    async fn wrong_key(request: hyper::Request<hyper::body::Incoming>) -> Answer {
        let mut response = echo(request).await;
        response.headers_mut().insert("sec-websocket-accept", "mine".parse().unwrap());
        response
    }
    let address = serve(wrong_key).await;
    let uri = format!("ws://{address}/");
    let opened = soon(client::http1(&mut http1(address).await, get(&uri), Config::new())).await;
    assert!(matches!(opened, Err(ConnectError::BadResponse(BadResponse::Accept))), "{opened:?}");
}

#[tokio::test]
async fn h17_k1_a_server_that_does_not_answer_is_given_up_and_the_connection_remains() {
    let address = serve(|request| async move {
        if request.uri().path() == "/silent" { std::future::pending().await } else { echo(request).await }
    })
    .await;
    let mut http = http2(address).await;
    let config = Config::new().handshake_timeout(Duration::from_millis(30));
    let opened = soon(client::http2(&mut http, get("ws://localhost/silent"), config)).await;
    assert!(matches!(opened, Err(ConnectError::TimedOut)), "{opened:?}");
    assert_echo(&mut crate::support::open(&mut http).await, "hello").await;
}

#[tokio::test]
async fn h17_k1_a_server_without_the_setting_of_rfc_8441_is_an_error() {
    let (near, far) = tokio::io::duplex(1000);
    let service = hyper::service::service_fn(|request| async {
        Ok::<_, std::convert::Infallible>(echo(request).await)
    });
    let executor = hyper_util::rt::TokioExecutor::new();
    let server = hyper::server::conn::http2::Builder::new(executor);
    tokio::spawn(server.serve_connection(TokioIo::new(far), service));
    let mut http = crate::support::http2_over(near).await;
    let opened = soon(client::http2(&mut http, get("ws://localhost/"), Config::new())).await;
    assert!(matches!(opened, Err(ConnectError::Http(_))), "{opened:?}");
}

#[test]
fn h17_k1_an_invalid_request_is_refused_before_it_is_sent() {
    let error = |request: &http::Request<_>| Handshake::http1(request, Config::new()).unwrap_err();
    let errors =
        [error(&get("/no-host")), error(&get("ftp://localhost/")), error(&get("ws://user@localhost/"))];
    assert!(matches!(errors[0], InvalidRequest::Url(UrlError::Host)));
    assert!(matches!(errors[1], InvalidRequest::Url(UrlError::Scheme)));
    assert!(matches!(errors[2], InvalidRequest::Url(UrlError::UserInfo)));
    let mut request = get("ws://localhost/");
    request.headers_mut().insert("sec-websocket-extensions", "mine".parse().unwrap());
    assert!(matches!(error(&request), InvalidRequest::Header(InvalidHeader::Reserved)));
    let mut request = get("ws://localhost/");
    request.headers_mut().insert("sec-websocket-protocol", "a, a".parse().unwrap());
    assert!(matches!(error(&request), InvalidRequest::Header(InvalidHeader::Subprotocol)));
}

/// reqwest returns the response first, and then a stream of tokio.
#[tokio::test]
async fn h17_k1_any_http_client_with_a_stream_opens_a_websocket() {
    let address = serve(echo).await;
    let request = http::Request::get(format!("ws://{address}/")).body(()).unwrap();
    let handshake = Handshake::http1(&request, Config::new()).unwrap();
    let mut sent = get("/");
    *sent.headers_mut() = handshake.headers().unwrap();
    let response = soon(http1(address).await.send_request(sent)).await.unwrap();

    let opened = handshake.verify(response.status(), response.version(), response.headers()).unwrap();
    let stream = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
    let mut ws = sockeye_tokio::websocket(stream, opened);
    ws.send("hello").await.unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"hello");
}
