//! hyper and a tower service on the ports of a server.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use http::{StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye_core::CloseInfo;
use sockeye_driver::Io;
use sockeye_driver::tls::{ClientTls, ServerTls, TlsIo, connect_tls};
use sockeye_hyper::axum::WebSocketUpgrade;
use sockeye_hyper::client;
use sockeye_hyper::port::TowerService;
use sockeye_hyper::{CloseCode, Config, Policy};
use sockeye_testkit::EventLog;
use sockeye_testkit::tls::{CA, SERVER};
use sockeye_tokio::TokioClock;
use sockeye_tokio::server::{
    Client, Endpoint, Handler, HandlerResult, Inbound, Limits, Port, Refused, Server, ServerHandle,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::support::{assert_echo, get as get_request, http1, http2, http2_over, open, soon, until};

/// Echoes messages, and logs the events with the id of their connection.
#[derive(Clone, Default)]
struct Recorder(EventLog);

impl Handler for Recorder {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        self.0.add(format!("{} connect", client.id()));
        Ok(())
    }

    async fn open(&self, client: &Client, request: &sockeye_core::http::Request) -> HandlerResult {
        self.0.add(format!("{} open {}", client.id(), request.path()));
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        self.0.add(format!("{} close {}", client.id(), info.code.as_u16()));
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        self.0.add(format!("{} disconnect", client.id()));
        Ok(())
    }
}

struct TestServer {
    address: SocketAddr,
    handle: ServerHandle,
    log: EventLog,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn app() -> Router {
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "slow"
    };
    let large = || async { Body::from("x".repeat(3 << 20)) };
    Router::new()
        .route("/", get(|| async { "page" }))
        .route("/slow", get(slow))
        .route("/large", get(large))
        .route("/broadcast", get(broadcast))
        .route("/upload", post(|body: Bytes| async move { format!("{} bytes", body.len()) }))
}

async fn broadcast(Extension(server): Extension<ServerHandle>, client: Extension<Client>) -> String {
    assert_eq!(client.0.peer().ip(), Some("127.0.0.1".parse().unwrap()));
    server.broadcast(|_| true, "to all").queued.to_string()
}

impl TestServer {
    fn start(limits: Limits, set: impl FnOnce(Port<Recorder>) -> Port<Recorder>) -> Self {
        let recorder = Recorder::default();
        let log = recorder.0.clone();
        let port = set(Port::new(recorder).config(Config::new().deflate(true)));
        let server = Server::builder()
            .limits(limits)
            .listen_http("127.0.0.1:0", port, TowerService::new(app()))
            .unwrap()
            .build();
        let address = server.addresses()[0].as_inet().unwrap();
        let handle = server.handle();
        TestServer { address, handle, log, task: tokio::spawn(server.run()) }
    }

    fn plain() -> Self {
        TestServer::start(Limits::new(), |port| port)
    }

    async fn stop(self) {
        self.handle.shutdown(Duration::from_secs(10));
        soon(self.task).await.unwrap().unwrap();
        assert!(self.handle.connections().is_empty());
    }
}

async fn read<B: hyper::body::Body<Data = Bytes, Error = hyper::Error>>(
    response: http::Response<B>,
) -> Bytes {
    soon(response.into_body().collect()).await.unwrap().to_bytes()
}

#[tokio::test]
async fn h18_an_axum_application_answers_the_plain_requests_of_a_port_over_both_versions() {
    let server = TestServer::plain();
    let mut over_1 = http1(server.address).await;
    let mut over_2 = http2(server.address).await;
    for path in ["/", "/large", "/missing"] {
        let uri = format!("http://localhost{path}");
        let first = soon(over_1.send_request({
            let mut request = get_request(path);
            request.headers_mut().insert("host", "localhost".parse().unwrap());
            request
        }))
        .await
        .unwrap();
        let second = soon(over_2.send_request(get_request(&uri))).await.unwrap();
        assert_eq!((first.version(), second.version()), (Version::HTTP_11, Version::HTTP_2));
        assert_eq!(first.status(), second.status());
        assert_eq!(first.status() == StatusCode::OK, path != "/missing");
        assert_eq!(read(first).await, read(second).await, "{path}");
    }
    assert_eq!(server.handle.stats().total.requests, 6);
    server.log.expect(&["1 connect", "2 connect"]);
    drop((over_1, over_2));
    until(|| server.handle.connections().is_empty()).await;
    server.stop().await;
}

#[tokio::test]
async fn h18_a_websocket_over_http1_keeps_the_id_of_its_connection() {
    let server = TestServer::plain();
    let mut http = http1(server.address).await;
    let mut plain = get_request("/");
    plain.headers_mut().insert("host", "localhost".parse().unwrap());
    assert_eq!(read(soon(http.send_request(plain)).await.unwrap()).await, "page");
    let request = get_request("ws://localhost/chat");
    let (mut ws, _) = soon(client::http1(&mut http, request, Config::new().deflate(true))).await.unwrap();
    assert!(ws.deflate().is_some());
    assert_echo(&mut ws, "hello").await;
    assert_echo(&mut ws, &"hello ".repeat(50_000)).await;
    let id = server.handle.connections()[0];
    server.handle.push(id, "pushed").unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"pushed");
    soon(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    drop(ws);
    until(|| server.log.lines().len() == 3).await;
    server.log.expect(&["1 connect", "1 open /chat", "1 close 1000"]);
    server.stop().await;
}

#[tokio::test]
async fn h18_websockets_over_http2_share_a_connection_with_plain_requests() {
    let server = TestServer::plain();
    let mut http = http2(server.address).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(open(&mut http).await);
    }
    for (index, ws) in all.iter_mut().enumerate() {
        assert_echo(ws, &format!("message of {index}")).await;
    }
    let response = soon(http.send_request(get_request("http://localhost/broadcast"))).await.unwrap();
    assert_eq!(read(response).await, "5");
    for ws in &mut all {
        assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"to all");
    }
    assert_eq!(server.handle.connections().len(), 6);
    soon(all.pop().unwrap().close(CloseCode::NORMAL, "")).await.unwrap();
    until(|| server.log.lines().contains(&"6 close 1000".to_owned())).await;
    // The connection is lost, with all its WebSockets.
    drop((all, http));
    until(|| server.log.lines().len() == 12 && server.handle.connections().is_empty()).await;
    let mut lines = server.log.lines();
    lines.sort_unstable();
    assert_eq!(lines.iter().filter(|line| line.contains(" close ")).count(), 5);
    assert!(lines.contains(&"1 disconnect".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn h18_o8_the_limits_of_the_server_hold_for_transports_and_for_websockets_over_http2() {
    let server = TestServer::start(Limits::new().max_connections(3), |port| port);
    let mut http = http2(server.address).await;
    let first = open(&mut http).await;
    let second = open(&mut http).await;
    let request = get_request("ws://localhost/ws");
    let refused = soon(client::http2(&mut http, request, Config::new())).await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
    // A further transport is refused, too: it receives a 503, or is closed.
    let mut over_1 = http1(server.address).await;
    if let Ok(response) = soon(over_1.send_request(get_request("/"))).await {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    drop((first, second, http));
    server.stop().await;
}

#[tokio::test]
async fn h18_h13_the_policy_of_the_port_holds_over_both_versions() {
    let policy = Policy::new().allowed_hosts(["localhost"]).unwrap();
    let server = TestServer::start(Limits::new(), |port| port.policy(policy));
    let mut foreign = get_request("ws://localhost/ws");
    foreign.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let mut http = http1(server.address).await;
    let refused = soon(client::http1(&mut http, foreign.clone(), Config::new())).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    let mut http = http2(server.address).await;
    let refused = soon(client::http2(&mut http, foreign, Config::new())).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    let rebound = soon(http.send_request(get_request("http://evil.example/"))).await.unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    drop(http);
    server.stop().await;
}

#[tokio::test]
async fn h18_m12_a_shutdown_finishes_the_requests_in_progress() {
    let server = TestServer::plain();
    let mut http = http2(server.address).await;
    let mut ws = open(&mut http).await;
    let mut over_1 = http1(server.address).await;
    let mut request = get_request("/slow");
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    let slow_1 = tokio::spawn(async move { over_1.send_request(request).await.unwrap() });
    let slow_2 = http.send_request(get_request("http://localhost/slow"));
    let slow_2 = tokio::spawn(async move { slow_2.await.unwrap() });
    until(|| server.handle.stats().total.requests == 2).await;
    let handle = server.handle.clone();
    let stopped = tokio::spawn(server.stop());
    until(|| handle.is_shutting_down()).await;
    assert!(soon(ws.recv()).await.unwrap().is_none());
    assert_eq!(ws.close_info().unwrap().code, CloseCode::GOING_AWAY);
    assert_eq!(read(soon(slow_1).await.unwrap()).await, "slow");
    assert_eq!(read(soon(slow_2).await.unwrap()).await, "slow");
    drop((ws, http));
    soon(stopped).await.unwrap();
}

#[tokio::test]
async fn h18_h12_a_client_without_a_request_is_disconnected_at_the_handshake_deadline() {
    let config = Config::new().handshake_timeout(Duration::from_millis(300));
    let server = TestServer::start(Limits::new(), |port| port.config(config));
    for beginning in [&b""[..], b"GET / HT", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, beginning).await.unwrap();
        let mut rest = Vec::new();
        // It ends, in order or not.
        let _ = soon(tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest)).await;
    }
    server.stop().await;
}

/// The client's end of a TLS connection, as a stream of tokio.
struct TlsStream(TlsIo<sockeye_tokio::TokioIo<TcpStream>>);

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = self.0.poll_read(cx, buffer.initialize_unfilled());
        read.map_ok(|n| buffer.advance(n))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.0.poll_close(cx)
    }
}

async fn connect_with_tls(address: SocketAddr, alpn: &[u8]) -> TlsStream {
    let mut config = ClientTls::with_ca_pem(CA).unwrap().config().as_ref().clone();
    config.alpn_protocols = vec![alpn.to_vec()];
    let tls = ClientTls::new(Arc::new(config));
    let io = sockeye_tokio::TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut clock = TokioClock::default();
    let deadline = sockeye_driver::Clock::now(&clock) + sockeye_testkit::PATIENCE;
    let tls = connect_tls(io, &mut clock, &tls, "localhost", deadline).await;
    let tls = tls.unwrap_or_else(|_| panic!("the TLS handshake failed"));
    assert_eq!(tls.info().alpn.as_deref(), Some(alpn));
    TlsStream(tls)
}

#[tokio::test]
async fn h18_alpn_chooses_http2_or_http1_with_tls() {
    let tls = ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap().alpn(["h2", "http/1.1"]);
    let server = TestServer::start(Limits::new(), |port| port.tls(tls));
    let mut http = http2_over(connect_with_tls(server.address, b"h2").await).await;
    let response = soon(http.send_request(get_request("https://localhost/"))).await.unwrap();
    assert_eq!(read(response).await, "page");
    let mut ws = open(&mut http).await;
    assert_echo(&mut ws, "over HTTP/2").await;
    let of_websocket = server.handle.connections().into_iter().find(|id| server.handle.is_established(*id));
    let client = server.handle.client(of_websocket.unwrap()).unwrap();
    assert_eq!(client.tls().unwrap().alpn.as_deref(), Some(&b"h2"[..]));

    let stream = TokioIo::new(connect_with_tls(server.address, b"http/1.1").await);
    let (mut over_1, connection) = conn::http1::handshake::<_, Empty<Bytes>>(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = get_request("wss://localhost/ws");
    let (mut secure, _) = soon(client::http1(&mut over_1, request, Config::new())).await.unwrap();
    assert_echo(&mut secure, "over HTTP/1.1").await;
    assert_echo(&mut secure, &"long ".repeat(100_000)).await;
    drop((ws, secure, http));
    server.stop().await;
}

#[tokio::test]
async fn h18_any_tower_service_answers_and_hyper_can_be_configured() {
    let echo = axum::handler::HandlerWithoutStateExt::into_service(|body: Bytes| async { body });
    let service = TowerService::new(echo).configure(|builder| {
        builder.http2().max_concurrent_streams(7);
    });
    let port = Port::new(Recorder::default());
    let server = Server::builder().listen_http("127.0.0.1:0", port, service).unwrap().build();
    let (address, handle) = (server.addresses()[0].as_inet().unwrap(), server.handle());
    let task = tokio::spawn(server.run());
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut http, connection) =
        conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://localhost/").body(Full::from("uploaded")).unwrap();
    assert_eq!(read(soon(http.send_request(request)).await.unwrap()).await, "uploaded");
    drop(http);
    handle.shutdown(Duration::from_secs(10));
    soon(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn m17_a_server_without_ports_adopts_the_websockets_of_axum() {
    let recorder = Recorder::default();
    let log = recorder.0.clone();
    let endpoint = Endpoint::new(Port::new(recorder));
    let server = Server::builder().build();
    let handle = server.handle();
    let task = tokio::spawn(server.run());
    let (adopting, config) = (handle.clone(), endpoint.config().clone());
    let ws = move |upgrade: WebSocketUpgrade| async move {
        upgrade.config(config).on_upgrade(async move |ws| adopting.adopt(ws, &endpoint).await)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/ws", any(ws));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut over_1 = http1(address).await;
    let request = get_request("ws://localhost/ws");
    let (mut first, _) = soon(client::http1(&mut over_1, request, Config::new())).await.unwrap();
    let mut second = open(&mut http2(address).await).await;
    for ws in [&mut first, &mut second] {
        assert_echo(ws, "hello").await;
    }
    assert_eq!(handle.broadcast(|_| true, "to all").queued, 2);
    for ws in [&mut first, &mut second] {
        assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"to all");
    }
    handle.shutdown(Duration::from_secs(10));
    for ws in [&mut first, &mut second] {
        assert!(soon(ws.recv()).await.unwrap().is_none());
        assert_eq!(ws.close_info().unwrap().code, CloseCode::GOING_AWAY);
    }
    soon(task).await.unwrap().unwrap();
    let mut lines = log.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["1 close 1001", "2 close 1001"]);
}
