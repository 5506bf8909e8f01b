//! A WebSocket echo as a handler of axum.
use std::error::Error;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::{Router, routing::any};
use hyper_util::rt::TokioIo;
use sockeye_tokio::protocol::handshake::server::Accepted;
use sockeye_tokio::{Config, Policy};

/// Echoes, as soon as the response has been written and the connection is handed over.
async fn echo(request: Request, accepted: Accepted) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = TokioIo::new(hyper::upgrade::on(request).await?);
    let mut ws = sockeye_tokio::websocket(stream, accepted);
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

/// The handler of the route.
async fn open(request: Request) -> Response {
    let (response, accepted) = Policy::new().answer(&request, None, Config::new().into());
    if let Ok(accepted) = accepted {
        tokio::spawn(echo(request, accepted));
    }
    response.map(Body::from)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route("/", any(open))).await
}
