//! A WebSocket echo on a hyper server (HTTP/1.1).
use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response, service::service_fn};
use sockeye_tokio::protocol::Connection;
use sockeye_tokio::protocol::handshake::server::{Accepted, Upgrade};
use sockeye_tokio::{Config, Policy, TokioClock, TokioIo, WebSocket};

type BoxError = Box<dyn Error + Send + Sync>;

/// Accepts the handshake, or returns the response that refuses it.
fn accept<B>(request: &Request<B>) -> Result<Accepted, sockeye_tokio::Response> {
    let request = request.try_into().map_err(|_| sockeye_tokio::Response::new(400))?;
    let upgrade = Upgrade::new(request).map_err(|rejection| rejection.response())?;
    let accept = Policy::new().decide(&upgrade)?;
    upgrade.accept_parts(&accept, Config::new().into()).map_err(|error| error.response())
}

/// Echoes, as soon as hyper has written the response and hands over the connection.
async fn echo(request: Request<Incoming>, connection: Connection) -> Result<(), BoxError> {
    let stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(request).await?);
    let mut ws = WebSocket::new(connection, &[], TokioIo::new(stream), TokioClock::default());
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

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        let stream = hyper_util::rt::TokioIo::new(stream);
        let connection = http1::Builder::new().serve_connection(stream, service_fn(serve));
        tokio::spawn(connection.with_upgrades());
    }
}
