//! Servers and clients for the tests.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sockeye_hyper::{Bytes, Config, Error, Opening, Policy, WebSocket};
use sockeye_testkit::PATIENCE;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Answer = Response<Full<Bytes>>;
pub(crate) type Http2 = conn::http2::SendRequest<Empty<Bytes>>;

/// Returns the output of `future`, or panics if it takes too long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("the future did not complete in time")
}

/// Waits until `condition` is true.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Serves HTTP/1.1 and HTTP/2 on a port of its own, and returns its address.
pub(crate) async fn serve<F, Fut>(service: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
            tokio::spawn(serve_stream(stream, service.clone()));
        }
    });
    address
}

/// Serves one connection.
pub(crate) async fn serve_stream<S, F, Fut>(stream: S, service: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    // The windows of the streams are smaller than that of the connection (1 MiB), so that an unread
    // stream does not stop the others.
    http.http2().enable_connect_protocol().max_concurrent_streams(1000).initial_stream_window_size(64 << 10);
    let service = service_fn(move |request| {
        let answer = service(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    // A connection that breaks is the subject of some tests.
    let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

/// A service that echoes on every path.
pub(crate) async fn echo(mut request: Request<Incoming>) -> Answer {
    let policy = Policy::new().subprotocol("chat").unwrap();
    let (response, opening) = sockeye_hyper::upgrade(&mut request, &policy, Config::new().deflate(true));
    if let Ok(opening) = opening {
        tokio::spawn(async { echo_on(opening.await?).await.map_err(BoxError::from) });
    }
    response
}

pub(crate) async fn echo_on(mut ws: WebSocket) -> Result<(), Error> {
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

/// Returns a service that hands each opening to `sender`.
pub(crate) fn open_with(
    config: Config,
    sender: tokio::sync::mpsc::UnboundedSender<Opening>,
) -> impl Fn(Request<Incoming>) -> std::future::Ready<Answer> + Clone + Send + Sync + 'static {
    let config = Arc::new(config);
    move |mut request| {
        let (response, opening) = sockeye_hyper::upgrade(&mut request, &Policy::new(), config.clone());
        if let Ok(opening) = opening {
            let _ = sender.send(opening);
        }
        std::future::ready(response)
    }
}

/// Opens an HTTP/2 connection without TLS.
pub(crate) async fn http2(address: SocketAddr) -> Http2 {
    http2_over(TcpStream::connect(address).await.unwrap()).await
}

pub(crate) async fn http2_over<S>(stream: S) -> Http2
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    let (http, connection) = conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    http
}

/// Opens an HTTP/1.1 connection.
pub(crate) async fn http1(address: SocketAddr) -> conn::http1::SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (http, connection) = conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    http
}

pub(crate) fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

/// Opens a WebSocket on an HTTP/2 connection.
pub(crate) async fn open(http: &mut Http2) -> WebSocket {
    let request = get("ws://localhost/ws");
    soon(sockeye_hyper::client::http2(http, request, Config::new().deflate(true))).await.unwrap().0
}

/// Sends `text` and expects its echo.
pub(crate) async fn assert_echo(ws: &mut WebSocket, text: &str) {
    soon(async {
        ws.feed(text).await.unwrap();
        let echo = ws.recv().await.unwrap().expect("an echo");
        assert_eq!(echo.as_bytes(), text.as_bytes());
    })
    .await;
}
