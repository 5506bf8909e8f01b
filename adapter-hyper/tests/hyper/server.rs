//! Servers: from a request to the response and the WebSocket.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_hyper::{Accept, CloseCode, Config, PendingUpgrade, Refused, is_upgrade};
use sockeye_testkit::frames::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{Answer, BoxError, echo, echo_on, get, http2, open_with, serve, serve_stream, soon};

const HEAD: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends the bytes of a request, and returns the response until the server closes the connection or
/// the text is complete.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    soon(async { while !is_complete(&response) && stream.read_buf(&mut response).await.unwrap() > 0 {} })
        .await;
    String::from_utf8(response).unwrap()
}

fn is_complete(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

#[tokio::test]
async fn h17_hyper_hands_over_the_socket_itself_with_the_frames_that_it_has_read() {
    let (sender, mut openings) = mpsc::unbounded_channel();
    let service = open_with(Config::new(), sender);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for through_auto in [false, true] {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        if through_auto {
            tokio::spawn(serve_stream(stream, service.clone()));
        } else {
            let service = service.clone();
            let service = service_fn(move |request| {
                let answer = service(request);
                async { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
        let mut bytes = format!("{HEAD}\r\n").into_bytes();
        bytes.extend(frame(true, 0x81, "early"));
        client.write_all(&bytes).await.unwrap();

        let mut ws = soon(soon(openings.recv()).await.unwrap()).await.unwrap();
        assert!(ws.io().tcp().is_some_and(|socket| socket.nodelay().unwrap()), "{through_auto}");
        assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"early");
    }
}

#[tokio::test]
async fn h17_a_websocket_on_hyper_over_http_1_echoes_and_closes() {
    let address = serve(echo).await;
    let options = sockeye_tokio::ConnectOptions::new().subprotocol("chat").unwrap().compression(true);
    let url = format!("ws://{address}/ws");
    let connecting = sockeye_tokio::connect_with(&url, options);
    let (mut ws, _) = soon(connecting).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("chat"));
    assert!(ws.deflate().is_some());
    for text in ["hello", &"long ".repeat(100_000)] {
        ws.feed(text).await.unwrap();
        assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), text.as_bytes());
    }
    assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
}

#[cfg(unix)]
#[tokio::test]
async fn h17_unix_sockets_and_other_streams_work_too() {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    tokio::spawn(serve_stream(far, echo));
    converse(near).await;
    let (near, far) = tokio::io::duplex(1000);
    tokio::spawn(serve_stream(far, echo));
    converse(near).await;
}

#[cfg(unix)]
async fn converse<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: S) {
    let request = ClientRequest::new(&"ws://localhost/".parse::<Url>().unwrap());
    let (mut ws, _) = soon(sockeye_tokio::client(stream, request, Config::new())).await.unwrap();
    let text = "text ".repeat(10_000);
    let echoed = soon(async {
        let (sent, echo) = tokio::join!(async { Ok::<_, sockeye_hyper::Error>(()) }, async {
            ws.feed(&text).await?;
            ws.recv().await
        });
        sent.and(echo)
    });
    assert_eq!(echoed.await.unwrap().unwrap().as_bytes(), text.as_bytes());
    assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
}

#[tokio::test]
async fn h17_every_refusal_over_http_1_is_the_right_response() {
    let address = serve(echo).await;
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "this is a WebSocket endpoint"),
        (format!("{}\r\n", HEAD.replace("GET", "POST")), 405, "must be a GET request"),
        (format!("{}\r\n", HEAD.replace("Version: 13", "Version: 8")), 426, "must be 13"),
        (format!("{}\r\n", HEAD.replace("Sec-WebSocket-Key", "X-Key")), 400, "the Sec-WebSocket-Key header"),
        (format!("{HEAD}Origin: https://evil.example\r\n\r\n"), 403, "evil.example"),
        (format!("{HEAD}Content-Length: 2\r\n\r\nhi"), 400, "must not have a body"),
        (format!("{HEAD}Sec-WebSocket-Extensions: ;\r\n\r\n"), 400, "list of extensions"),
    ];
    for (request, status, text) in cases {
        let response = exchange(address, &request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{response}");
        assert!(response.contains(text), "{request}\n{response}");
        let header = match status {
            405 => "allow: get\r\n",
            426 => "sec-websocket-version: 13\r\n",
            _ => "content-type: text/plain",
        };
        assert!(response.to_lowercase().contains(header), "{response}");
    }
}

#[tokio::test]
async fn h17_every_refusal_over_http_2_is_the_right_response() {
    let address = serve(echo).await;
    let mut http = http2(address).await;
    let connect = |protocol, version: &str, origin: &str| {
        let mut request = get("http://localhost/ws");
        *request.method_mut() = hyper::Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        request.extensions_mut().insert(Protocol::from_static(protocol));
        request.headers_mut().insert("sec-websocket-version", version.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request
    };
    let here = "http://localhost";
    let cases = [
        (get("http://localhost/"), 400, "this is a WebSocket endpoint"),
        (connect("connect-udp", "13", here), 501, "must be websocket"),
        (connect("websocket", "12", here), 426, "must be 13"),
        (connect("websocket", "13", "https://evil.example"), 403, "evil.example"),
    ];
    for (request, status, text) in cases {
        let response = soon(http.send_request(request)).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(response.headers().get("connection").is_none());
        assert_eq!(response.headers().contains_key("sec-websocket-version"), status == 426);
        let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(text), "{body:?}");
    }
    let response = soon(http.send_request(connect("websocket", "13", here))).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// Chooses the last subprotocol that is offered, and sets a cookie.
async fn choose(mut request: Request<hyper::body::Incoming>) -> Answer {
    let chosen = async || -> Result<Answer, Refused> {
        let pending = PendingUpgrade::new(&mut request)?;
        if pending.upgrade().path() == "/secret" {
            return Ok(Response::builder().status(401).body(Full::default()).unwrap());
        }
        let last = pending.upgrade().subprotocols().last().unwrap_or("none").to_owned();
        let accept = Accept::new().subprotocol(last).header("Set-Cookie", "a=1").unwrap();
        let (mut response, opening) = pending.accept(&accept, Config::new())?;
        response.headers_mut().append("set-cookie", "b=2".parse().unwrap());
        tokio::spawn(async { echo_on(opening.await?).await.map_err(BoxError::from) });
        Ok(response)
    };
    let mut chosen = chosen;
    chosen().await.unwrap_or_else(|refused| refused.response())
}

#[tokio::test]
async fn h17_an_application_decides_with_headers_and_a_subprotocol_of_its_choice() {
    let address = serve(choose).await;
    let mut http = http2(address).await;
    let mut request = get("ws://localhost/");
    request.headers_mut().insert("sec-websocket-protocol", "one, two".parse().unwrap());
    let opening = sockeye_hyper::client::http2(&mut http, request, Config::new());
    let (ws, response) = soon(opening).await.unwrap();
    assert_eq!((ws.subprotocol(), response.status()), (Some("two"), StatusCode::OK));
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);

    let response = exchange(address, &format!("{}\r\n", HEAD.replace("/ws", "/secret"))).await;
    assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
    let response = exchange(address, &format!("{HEAD}\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    assert!(response.contains("chose a subprotocol that was not offered"), "{response}");
}

#[tokio::test]
async fn h17_a_server_without_upgrades_refuses_or_fails_the_future() {
    let request = Request::get("/").header("host", "a").header("upgrade", "websocket");
    let request = request.header("connection", "upgrade").header("sec-websocket-version", "13");
    let mut request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(()).unwrap();
    let refused = PendingUpgrade::new(&mut request).unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.refusal()), (500, None));

    // hyper offers an upgrade, but the connection is served without `with_upgrades`.
    let (sender, mut openings) = mpsc::unbounded_channel();
    let service = open_with(Config::new(), sender);
    let (mut near, far) = tokio::io::duplex(10_000);
    let service = service_fn(move |request| {
        let answer = service(request);
        async { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service));
    near.write_all(format!("{HEAD}\r\n").as_bytes()).await.unwrap();
    let error = soon(soon(openings.recv()).await.unwrap()).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error}");
}

#[test]
fn h17_a_service_can_tell_plain_requests_from_upgrades() {
    let request = |upgrade: &str| Request::get("/").header("upgrade", upgrade).body(()).unwrap();
    assert!(is_upgrade(&request("WebSocket")));
    assert!(is_upgrade(&request("h2c, websocket")));
    assert!(!is_upgrade(&request("h2c")));
    assert!(!is_upgrade(&Request::new(())));
    let mut connect = Request::connect("http://a/").version(Version::HTTP_2).body(()).unwrap();
    assert!(!is_upgrade(&connect));
    connect.extensions_mut().insert(Protocol::from_static("websocket"));
    assert!(is_upgrade(&connect));
}

#[tokio::test]
async fn h17_plain_requests_and_websockets_share_a_port() {
    let address = serve(|request| async move {
        if is_upgrade(&request) { echo(request).await } else { Response::new(Full::from("a page")) }
    })
    .await;
    let response = exchange(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(response.ends_with("a page"), "{response}");
    let mut http = http2(address).await;
    let response = soon(http.send_request(get("http://localhost/"))).await.unwrap();
    assert_eq!(soon(response.into_body().collect()).await.unwrap().to_bytes(), Bytes::from("a page"));
    let request: Request<Empty<Bytes>> = get("ws://localhost/");
    soon(sockeye_hyper::client::http2(&mut http, request, Config::new())).await.unwrap();
}
