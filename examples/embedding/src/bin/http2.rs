//! A WebSocket over HTTP/2 (RFC 8441): a hyper server, and a hyper client that talks to it.
use std::error::Error;
use std::io;

use http_body_util::{Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::Protocol;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo as HyperIo};
use sockeye_tokio::protocol::Connection;
use sockeye_tokio::protocol::handshake::server::{Accepted, Upgrade};
use sockeye_tokio::{CloseCode, Config, Policy, TokioClock, TokioIo, Url, WebSocket};
use tokio::net::{TcpListener, TcpStream};

type BoxError = Box<dyn Error + Send + Sync>;
type HttpStream = HyperIo<hyper::upgrade::Upgraded>;

fn websocket(connection: Connection, stream: HttpStream) -> WebSocket<HttpStream> {
    WebSocket::new(connection, &[], TokioIo::new(stream), TokioClock::default())
}

/// Accepts the handshake, or returns the response that refuses it.
fn accept<B>(request: &Request<B>) -> Result<Accepted, sockeye_tokio::Response> {
    // Other protocols can be opened with an Extended CONNECT, too.
    match request.extensions().get::<Protocol>() {
        Some(protocol) if protocol.as_str() != "websocket" => return Err(sockeye_tokio::Response::new(501)),
        _ => {}
    }
    let request = request.try_into().map_err(|_| sockeye_tokio::Response::new(400))?;
    let upgrade = Upgrade::new(request).map_err(|rejection| rejection.response())?;
    let accept = Policy::new().subprotocol("echo").expect("a token").decide(&upgrade)?;
    upgrade.accept_parts(&accept, Config::new().into()).map_err(|error| error.response())
}

async fn echo(request: Request<Incoming>, connection: Connection) -> Result<(), BoxError> {
    let stream = HyperIo::new(hyper::upgrade::on(request).await?);
    let mut ws = websocket(connection, stream);
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, BoxError> {
    let response = match accept(&request) {
        Ok(accepted) => {
            tokio::spawn(echo(request, accepted.connection));
            accepted.response
        }
        Err(response) => response,
    };
    Ok(Response::try_from(response)?.map(|content: Vec<u8>| Full::new(content.into())))
}

async fn run_server(listener: TcpListener) -> io::Result<()> {
    loop {
        let stream = HyperIo::new(sockeye_tokio::accept_tcp(&listener).await.0);
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.enable_connect_protocol();
        tokio::spawn(http.serve_connection(stream, service_fn(serve)));
    }
}

async fn run_client(url: &str) -> Result<(), BoxError> {
    let url: Url = url.parse()?;
    let stream = HyperIo::new(TcpStream::connect((url.host(), url.port())).await?);
    let (mut http, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);

    // Two WebSockets on one connection.
    for text in ["hello", "hello again"] {
        let handshake = sockeye_tokio::ClientRequest::new(&url)
            .subprotocol("echo")?
            .start_extended_connect(sockeye_driver::mask_keys(), Config::new().into());
        let mut request = Request::<()>::try_from(&handshake)?.map(|()| Empty::<Bytes>::new());
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let response = http.send_request(request).await?;
        let opened = handshake.verify((&response).try_into()?)?;
        assert_eq!(opened.subprotocol.as_deref(), Some("echo"));

        let stream = HyperIo::new(hyper::upgrade::on(response).await?);
        let mut ws = websocket(opened.connection, stream);
        let long = text.repeat(100_000);
        ws.feed(text).await?;
        ws.feed(&long).await?;
        for sent in [text, &long] {
            let echo = ws.recv().await?.ok_or("the server closed the WebSocket")?;
            assert_eq!(echo.as_bytes(), sent.as_bytes());
        }
        let end = ws.close(CloseCode::NORMAL, "").await?;
        println!("echoed {text:?} and {} bytes; closed with {}", long.len(), u16::from(end.code));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/chat", listener.local_addr()?);
    tokio::spawn(run_server(listener));
    run_client(&url).await
}
