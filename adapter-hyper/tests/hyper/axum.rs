//! The extractor of axum, beside what an application has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use sockeye_hyper::axum::WebSocketUpgrade;
use sockeye_hyper::client::{self, ConnectError};
use sockeye_hyper::{CloseCode, Config, Error, Origins, Policy, WebSocket};
use sockeye_testkit::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::support::{Http2, assert_echo, http1, http2, soon, until};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn request(headers: &[(&str, &str)]) -> http::Request<http_body_util::Empty<bytes::Bytes>> {
    let mut request = crate::support::get("ws://localhost/ws");
    for (name, value) in headers {
        request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    request
}

/// Opens `/ws` over HTTP/1.1 and over HTTP/2.
async fn open_both(address: SocketAddr, headers: &[(&str, &str)]) -> [Result<WebSocket, ConnectError>; 2] {
    let config = Arc::new(Config::new().deflate(true));
    let over_1 = client::http1(&mut http1(address).await, request(headers), config.clone()).await;
    let mut http: Http2 = http2(address).await;
    let over_2 = client::http2(&mut http, request(headers), config).await;
    [over_1, over_2].map(|opened| opened.map(|(ws, _)| ws))
}

fn status<T: std::fmt::Debug>(opened: Result<T, ConnectError>) -> u16 {
    match opened.unwrap_err() {
        ConnectError::Refused(response) => response.status().as_u16(),
        error => panic!("{error:?}"),
    }
}

async fn echo(mut ws: WebSocket) -> Result<(), Error> {
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

#[derive(Clone)]
struct User(String);

/// Middleware that knows the user by the cookie `session`.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let cookies = request.headers().get("cookie").and_then(|value| value.to_str().ok()).unwrap_or("");
    let Some(name) = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session=")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let user = User(name.to_owned());
    request.extensions_mut().insert(user);
    next.run(request).await
}

#[tokio::test]
async fn h17_an_axum_application_with_state_and_an_auth_layer_takes_websockets() {
    #[derive(Clone, Default)]
    struct App {
        greeted: Arc<AtomicUsize>,
    }

    async fn ws(State(app): State<App>, Extension(user): Extension<User>, ws: WebSocketUpgrade) -> Response {
        ws.compression(true).on_upgrade(async move |mut ws: WebSocket| -> Result<(), Error> {
            app.greeted.fetch_add(1, Ordering::Relaxed);
            ws.send(format!("hello {}", user.0)).await?;
            echo(ws).await
        })
    }

    let app = App::default();
    let router = Router::new().route("/ws", any(ws)).layer(from_fn(authenticate)).with_state(app.clone());
    let address = serve(router).await;
    for opened in open_both(address, &[]).await {
        assert_eq!(status(opened), 401);
    }
    for opened in open_both(address, &[("cookie", "a=b; session=anna")]).await {
        let mut ws = opened.unwrap();
        assert!(ws.deflate().is_some());
        assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"hello anna");
        assert_echo(&mut ws, "hello").await;
        assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
    }
    assert_eq!(app.greeted.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn h17_the_layers_of_tower_http_leave_websockets_alone() {
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE);
    let app = Router::new().route("/ws", any(async |ws: WebSocketUpgrade| ws.on_upgrade(echo)));
    let app = app.layer(CompressionLayer::new()).layer(timeout).layer(TraceLayer::new_for_http());
    let address = serve(app.layer(CorsLayer::permissive())).await;
    for opened in open_both(address, &[("accept-encoding", "gzip"), ("origin", "http://localhost")]).await {
        let mut ws = opened.unwrap();
        assert_echo(&mut ws, &"hello ".repeat(1000)).await;
        assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
    }
}

#[tokio::test]
async fn h17_cookies_that_axum_accepts_pass() {
    let app = async |headers: HeaderMap, ws: WebSocketUpgrade| {
        let length = headers["cookie"].len();
        ws.on_upgrade(async move |mut ws: WebSocket| ws.send(length.to_string()).await)
    };
    let address = serve(Router::new().route("/ws", any(app))).await;
    let cookie = format!("a={}", "x".repeat(64_000));
    let mut http = http1(address).await;
    let over_1 = client::http1(&mut http, request(&[("cookie", &cookie)]), Config::new());
    let (mut ws, _) = soon(over_1).await.unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"64002");
    // hyper accepts header lists of 16 KiB over HTTP/2, unless the server sets another limit.
    let cookie = format!("a={}", "x".repeat(15_000));
    let mut http = http2(address).await;
    let over_2 = client::http2(&mut http, request(&[("cookie", &cookie)]), Config::new());
    let (mut ws, _) = soon(over_2).await.unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"15002");
}

#[tokio::test]
async fn h17_the_rejection_of_the_extractor_is_the_right_response() {
    let app = Router::new().route("/ws", any(async |ws: WebSocketUpgrade| ws.on_upgrade(echo)));
    let address = serve(app).await;
    let mut http = http2(address).await;
    let plain = crate::support::get("http://localhost/ws");
    assert_eq!(soon(http.send_request(plain)).await.unwrap().status(), 400);
    let mut wrong = crate::support::get("http://localhost/ws");
    *wrong.method_mut() = http::Method::CONNECT;
    wrong.extensions_mut().insert(hyper::ext::Protocol::from_static("connect-udp"));
    assert_eq!(soon(http.send_request(wrong)).await.unwrap().status(), 501);

    let mut http = http1(address).await;
    for (method, version, expected) in [("POST", "13", 405), ("GET", "8", 426)] {
        let mut request = crate::support::get("/ws");
        *request.method_mut() = method.parse().unwrap();
        for (name, value) in [("host", "a"), ("upgrade", "websocket"), ("connection", "upgrade")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request.headers_mut().insert("sec-websocket-version", version.parse().unwrap());
        soon(http.ready()).await.unwrap();
        let response = soon(http.send_request(request)).await.unwrap();
        assert_eq!(response.status(), expected);
        assert_eq!(response.headers().contains_key("sec-websocket-version"), expected == 426);
        http = http1(address).await;
    }
}

#[tokio::test]
async fn h17_a_handler_chooses_subprotocols_origins_and_limits() {
    let handler = async |ws: WebSocketUpgrade| {
        assert_eq!(ws.upgrade().path(), "/ws");
        let offered: Vec<_> = ws.requested_protocols().map(str::to_owned).collect();
        let ws = ws.protocols(["v2", "v1"]).max_frame_size(10).max_message_size(1000);
        assert_eq!(ws.selected_protocol(), offered.contains(&"v1".to_owned()).then_some("v1"));
        let trusted = Origins::list(["https://app.example"]).unwrap();
        ws.policy(Policy::new().origins(trusted)).on_upgrade(echo)
    };
    let address = serve(Router::new().route("/ws", any(handler))).await;
    for opened in open_both(address, &[("origin", "https://evil.example")]).await {
        assert_eq!(status(opened), 403);
    }
    let headers = [("origin", "https://app.example"), ("sec-websocket-protocol", "v0, v1")];
    for opened in open_both(address, &headers).await {
        let mut ws = opened.unwrap();
        assert_eq!((ws.subprotocol(), ws.deflate()), (Some("v1"), None));
        ws.send("longer than 10").await.unwrap();
        let end = soon(ws.recv()).await.map(|message| message.is_none());
        assert_eq!(ws.close_info().unwrap().code, CloseCode::TOO_BIG, "{end:?}");
    }
    for opened in open_both(address, &[]).await {
        assert_eq!(opened.unwrap().subprotocol(), None);
    }
}

#[tokio::test]
async fn h17_the_maximum_size_of_messages_is_for_both_directions_and_for_one_frame() {
    let handler = async |ws: WebSocketUpgrade| ws.max_message_size(3 << 20).on_upgrade(echo);
    let address = serve(Router::new().route("/ws", any(handler))).await;
    let config = Config::new().max_size(3 << 20);
    let opened = client::http1(&mut http1(address).await, request(&[]), config).await;
    assert_echo(&mut opened.unwrap().0, &"x".repeat(3 << 20)).await;
}

#[tokio::test]
async fn h17_one_handler_returns_a_page_or_opens_a_websocket() {
    let handler = async |ws: Option<WebSocketUpgrade>| match ws {
        Some(ws) => ws.on_upgrade(echo),
        None => Html("<p>a page</p>").into_response(),
    };
    let address = serve(Router::new().route("/ws", any(handler))).await;
    let page = soon(http2(address).await.send_request(crate::support::get("http://localhost/ws"))).await;
    assert_eq!(page.unwrap().headers()["content-type"], "text/html; charset=utf-8");
    for opened in open_both(address, &[]).await {
        assert_echo(&mut opened.unwrap(), "hello").await;
    }
    // An invalid handshake is not a request for the page.
    let invalid = http::Request::get("/ws").header("upgrade", "websocket").header("host", "a");
    let invalid = invalid.body(http_body_util::Empty::new()).unwrap();
    assert_eq!(soon(http1(address).await.send_request(invalid)).await.unwrap().status(), 400);
}

#[tokio::test]
async fn h17_an_upgrade_that_fails_calls_on_failed_and_not_the_handler() {
    let (sender, failed) = oneshot::channel();
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let handler = async move |ws: WebSocketUpgrade| -> Response {
        let sender = sender.lock().unwrap().take().unwrap();
        let _unsent = ws
            .on_failed_upgrade(move |error| sender.send(error.to_string()).unwrap())
            .on_upgrade(async |_: WebSocket| panic!("the connection did not open"));
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    };
    let address = serve(Router::new().route("/ws", any(handler))).await;
    let opened = soon(client::http2(&mut http2(address).await, request(&[]), Config::new())).await;
    assert_eq!(status(opened), 503);
    assert_eq!(soon(failed).await.unwrap(), "hyper has not handed over the connection");
}

#[tokio::test]
async fn h17_a_graceful_shutdown_of_axum_ends_when_the_application_has_closed_its_websockets() {
    let (stop, stopping) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let counter = open.clone();
    let handler = {
        let stopping = stopping.clone();
        async move |ws: WebSocketUpgrade| {
            ws.on_upgrade(async move |mut ws: WebSocket| {
                let mut stopping = stopping;
                counter.fetch_add(1, Ordering::Relaxed);
                let stops = tokio::select! {
                    _ = ws.recv() => false,
                    stopped = stopping.changed() => stopped.is_ok(),
                };
                if stops {
                    let _ = ws.close(CloseCode::GOING_AWAY, "the server stops").await;
                }
                counter.fetch_sub(1, Ordering::Relaxed);
            })
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut signal = stopping;
    let serving = axum::serve(listener, Router::new().route("/ws", any(handler)))
        .with_graceful_shutdown(async move { drop(signal.wait_for(|stop| *stop).await) });
    let serving = tokio::spawn(async move { serving.await });

    let opened = open_both(address, &[]).await.map(Result::unwrap);
    until(|| open.load(Ordering::Relaxed) == 2).await;
    stop.send(true).unwrap();
    for mut ws in opened {
        assert!(soon(ws.recv()).await.unwrap().is_none());
        assert_eq!(ws.close_info().unwrap().code, CloseCode::GOING_AWAY);
    }
    soon(serving).await.unwrap().unwrap();
    assert_eq!(open.load(Ordering::Relaxed), 0);
}
