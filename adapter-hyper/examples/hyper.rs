//! A WebSocket echo at `/ws` and every other path, over HTTP/1.1 and HTTP/2 on the same port, with
//! hyper alone.
//!
//! ```sh
//! cargo run --release -p sockeye-hyper --example hyper -- --addr 127.0.0.1:9501
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use clap::Parser;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sockeye_hyper::{Config, Opening, Policy};

#[derive(Parser)]
struct Args {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:9501")]
    addr: SocketAddr,
    /// Compress messages if the client supports it.
    #[arg(long)]
    compress: bool,
}

async fn serve(mut request: Request<Incoming>, config: Config) -> Result<Response<Full<Bytes>>, Infallible> {
    if !sockeye_hyper::is_upgrade(&request) {
        return Ok(Response::new(Full::from("connect to ws://…/ws\n")));
    }
    let (response, opening) = sockeye_hyper::upgrade(&mut request, &Policy::new(), config);
    if let Ok(opening) = opening {
        tokio::spawn(echo(opening));
    }
    Ok(response)
}

async fn echo(opening: Opening) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut ws = opening.await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let config = Config::new().deflate(args.compress);
    let listener = tokio::net::TcpListener::bind(args.addr).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = sockeye_tokio::accept_tcp(&listener).await;
        let config = config.clone();
        tokio::spawn(async move {
            let mut http = auto::Builder::new(TokioExecutor::new());
            // A WebSocket that is not read must not use up the window of the whole connection, 1 MiB.
            http.http2().enable_connect_protocol().initial_stream_window_size(64 << 10);
            let service = service_fn(|request| serve(request, config.clone()));
            http.serve_connection_with_upgrades(TokioIo::new(stream), service).await
        });
    }
}
