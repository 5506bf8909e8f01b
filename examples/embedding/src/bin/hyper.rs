//! A WebSocket echo on a hyper server (HTTP/1.1).
use std::convert::Infallible;
use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use sockeye_tokio::protocol::handshake::server::Accepted;
use sockeye_tokio::{Config, Policy};

/// Echoes, as soon as hyper has written the response and hands over the connection.
async fn echo(request: Request<Incoming>, accepted: Accepted) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = TokioIo::new(hyper::upgrade::on(request).await?);
    let mut ws = sockeye_tokio::websocket(stream, accepted);
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

async fn serve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (response, accepted) = Policy::new().answer(&request, None, Config::new().into());
    if let Ok(accepted) = accepted {
        tokio::spawn(echo(request, accepted));
    }
    Ok(response.map(Full::from))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let stream = TokioIo::new(sockeye_tokio::accept_tcp(&listener).await.0);
        let connection = http1::Builder::new().serve_connection(stream, service_fn(serve));
        tokio::spawn(connection.with_upgrades());
    }
}
