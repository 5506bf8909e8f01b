//! A WebSocket over HTTP/2 (RFC 8441): a hyper server, and a hyper client that talks to it.
//!
//! `http2 URL` runs only the client, against another server.
use std::convert::Infallible;
use std::error::Error;
use std::io;

use http_body_util::{Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::Protocol;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye_tokio::protocol::handshake::server::Accepted;
use sockeye_tokio::{ClientRequest, CloseCode, Config, Policy, Url};
use tokio::net::{TcpListener, TcpStream};

type BoxError = Box<dyn Error + Send + Sync>;

async fn echo(request: Request<Incoming>, accepted: Accepted) -> Result<(), BoxError> {
    let stream = TokioIo::new(hyper::upgrade::on(request).await?);
    let mut ws = sockeye_tokio::websocket(stream, accepted);
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let policy = Policy::new().subprotocol("echo").expect("a token");
    let (response, accepted) = policy.answer(&request, protocol, Config::new().into());
    if let Ok(accepted) = accepted {
        tokio::spawn(echo(request, accepted));
    }
    Ok(response.map(Full::from))
}

async fn run_server(listener: TcpListener) -> io::Result<()> {
    loop {
        let stream = TokioIo::new(sockeye_tokio::accept_tcp(&listener).await.0);
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.enable_connect_protocol();
        tokio::spawn(http.serve_connection(stream, service_fn(serve)));
    }
}

async fn run_client(url: &str) -> Result<(), BoxError> {
    let url: Url = url.parse()?;
    let stream = TokioIo::new(TcpStream::connect((url.host(), url.port())).await?);
    let (mut http, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);

    // Two WebSockets on one connection.
    for text in ["hello", "hello again"] {
        let handshake = ClientRequest::new(&url)
            .subprotocol("echo")?
            .start_extended_connect(sockeye_driver::mask_keys(), Config::new().into());
        let mut request = Request::<()>::try_from(&handshake)?.map(|()| Empty::<Bytes>::new());
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let response = http.send_request(request).await?;
        let opened = handshake.verify((&response).try_into()?)?;

        let stream = TokioIo::new(hyper::upgrade::on(response).await?);
        let mut ws = sockeye_tokio::websocket(stream, opened);
        assert_eq!(ws.subprotocol(), Some("echo"));
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

    // Other protocols can be opened with an Extended CONNECT, too.
    let handshake =
        ClientRequest::new(&url).start_extended_connect(sockeye_driver::mask_keys(), Config::new().into());
    let mut request = Request::<()>::try_from(&handshake)?.map(|()| Empty::<Bytes>::new());
    request.extensions_mut().insert(Protocol::from_static("connect-udp"));
    assert_eq!(http.send_request(request).await?.status(), 501);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if let Some(url) = std::env::args().nth(1) {
        return run_client(&url).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/chat", listener.local_addr()?);
    tokio::spawn(run_server(listener));
    run_client(&url).await
}
