//! A WebSocket echo as a handler of axum.
use std::error::Error;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Router, http::StatusCode, routing::any};
use sockeye_tokio::protocol::Connection;
use sockeye_tokio::protocol::handshake::server::{Accepted, Upgrade};
use sockeye_tokio::{Config, Policy, TokioClock, TokioIo, WebSocket};

/// Accepts the handshake, or returns the response that refuses it.
fn accept(request: &Request) -> Result<Accepted, sockeye_tokio::Response> {
    let request = request.try_into().map_err(|_| sockeye_tokio::Response::new(400))?;
    let upgrade = Upgrade::new(request).map_err(|rejection| rejection.response())?;
    let accept = Policy::new().decide(&upgrade)?;
    upgrade.accept_parts(&accept, Config::new().into()).map_err(|error| error.response())
}

/// Echoes, as soon as the response has been written and the connection is handed over.
async fn echo(request: Request, connection: Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(request).await?);
    let mut ws = WebSocket::new(connection, &[], TokioIo::new(stream), TokioClock::default());
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

/// The handler: `any`, because a WebSocket over HTTP/2 opens with CONNECT instead of GET.
async fn open(request: Request) -> Response {
    let response = match accept(&request) {
        Ok(accepted) => {
            tokio::spawn(echo(request, accepted.connection));
            accepted.response
        }
        Err(response) => response,
    };
    match axum::http::Response::try_from(response) {
        Ok(response) => response.map(Body::from),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route("/", any(open))).await
}
