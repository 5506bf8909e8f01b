//! The example `axum`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye_core::deflate::Deflate;
use sockeye_hyper::port::TowerService;
use sockeye_hyper::{Config, client};
use sockeye_tokio::server::{Port, Server, ServerHandle};
use tokio::net::TcpStream;

use crate::support::{assert_echo, get, http1, http2, soon};

#[path = "../../examples/axum/site.rs"]
mod site;

fn serve() -> (SocketAddr, ServerHandle) {
    let (site, app) = site::Site::new();
    let port = Port::new(site).config(site::config(Deflate::new()));
    let server = Server::builder().listen_http("127.0.0.1:0", port, TowerService::new(app)).unwrap().build();
    let (address, handle) = (server.addresses()[0].as_inet().unwrap(), server.handle());
    tokio::spawn(server.run());
    (address, handle)
}

/// Sends requests with a body over HTTP/2.
struct Browser(conn::http2::SendRequest<Full<Bytes>>);

impl Browser {
    async fn new(address: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (http, connection) = conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Browser(http)
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        body: &str,
    ) -> http::Response<hyper::body::Incoming> {
        let request = request.body(Full::from(body.to_owned())).unwrap();
        soon(self.0.send_request(request)).await.unwrap()
    }
}

async fn text(response: http::Response<hyper::body::Incoming>) -> String {
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn uri(path: &str) -> String {
    format!("http://localhost{path}")
}

#[tokio::test]
async fn h18_the_example_has_a_page_a_login_uploads_and_metrics() {
    let (address, _handle) = serve();
    let mut browser = Browser::new(address).await;
    let page = browser.send(Request::get(uri("/")), "").await;
    assert!(page.headers().contains_key("content-security-policy"));
    assert!(text(page).await.contains("<html"));

    let refused = browser.send(Request::get(uri("/me")), "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let form = || Request::post(uri("/login")).header("content-type", "application/x-www-form-urlencoded");
    let invalid = browser.send(form(), "name=a%0d%0ab").await;
    assert_eq!(invalid.status(), StatusCode::BAD_REQUEST);
    let login = browser.send(form(), "name=Ada").await;
    assert_eq!(login.status(), StatusCode::SEE_OTHER);
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let me = browser.send(Request::get(uri("/me")).header("cookie", cookie), "").await;
    assert_eq!(text(me).await, "Ada");

    let upload = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"notes.txt\"\r\n\r\n\
                  some notes\r\n--b--\r\n";
    let request = Request::post(uri("/upload")).header("content-type", "multipart/form-data; boundary=b");
    assert_eq!(text(browser.send(request, upload).await).await, "notes.txt: 10 bytes\n");
    let metrics = text(browser.send(Request::get(uri("/metrics")), "").await).await;
    assert!(
        metrics.contains("sockeye_connections 1\n") && metrics.contains("sockeye_requests 7\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn h18_the_example_streams_what_is_said_in_its_chat() {
    let (address, _handle) = serve();
    let mut browser = Browser::new(address).await;
    let request = Request::get(uri("/events")).header("cookie", "name=Ada");
    let events = browser.send(request, "").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut chat = http2(address).await;
    let (mut chat, _) = soon(client::http2(&mut chat, get("ws://localhost/"), Config::new())).await.unwrap();
    let join = r#"{"type":"join","room":"lobby","name":"Ada"}"#;
    chat.send(join).await.unwrap();
    assert!(soon(chat.recv()).await.unwrap().unwrap().as_text().unwrap().contains("welcome"));
    let mut body = events.into_body();
    let event = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(event, format!("data: {join}\n\n"));
}

#[tokio::test]
async fn h18_the_example_echoes_at_ws_over_both_versions() {
    let (address, handle) = serve();
    let config = Config::new().deflate(true).max_size(16 << 20);
    let (mut over_1, mut over_2) = (http1(address).await, http2(address).await);
    let request = || get("ws://localhost/ws");
    let (mut first, _) = soon(client::http1(&mut over_1, request(), config.clone())).await.unwrap();
    let (mut second, _) = soon(client::http2(&mut over_2, request(), config.clone())).await.unwrap();
    for ws in [&mut first, &mut second] {
        assert!(ws.deflate().is_some());
        assert_echo(ws, "hello").await;
        assert_echo(ws, &"long ".repeat(400_000)).await;
    }
    let missing = soon(client::http2(&mut over_2, get("ws://localhost/missing"), config)).await;
    assert!(missing.unwrap_err().to_string().contains("404"));
    handle.shutdown(Duration::ZERO);
}
