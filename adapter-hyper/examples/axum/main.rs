//! A site of axum with WebSockets, on one port: HTTP/1.1 and HTTP/2, with TLS and without.
//!
//! ```sh
//! cargo run --release -p sockeye-hyper --features axum --example axum -- --addr 127.0.0.1:9501
//! curl --http2-prior-knowledge http://127.0.0.1:9501/metrics
//! curl -c jar -d name=Ada http://127.0.0.1:9501/login && curl -b jar -N http://127.0.0.1:9501/events
//! curl -F file=@Cargo.toml http://127.0.0.1:9501/upload
//! ```
//!
//! The chat is at `/`, with its page, and an echo at `/ws`. With `--tls-cert` and `--tls-key` the
//! port also speaks TLS.

mod site;

use std::error::Error;

use clap::Parser;
use sockeye_driver::tls::ServerTls;
use sockeye_examples::chat::{self, Args};
use sockeye_hyper::port::TowerService;
use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::server::{Port, Server};

use site::Site;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let (site, app) = Site::new();
    let mut port = Port::new(site).config(site::config(Deflate::new()));
    if let Some((chain, key)) = args.pem()? {
        let tls = ServerTls::from_pem(&chain, &key)?.alpn(["h2", "http/1.1"]);
        port = port.tls(tls).allow_plain(true);
    }
    let builder = Server::builder().limits(chat::limits());
    let server = builder.listen_http(args.addr, port, TowerService::new(app))?.build();
    for address in server.addresses() {
        println!("listening on ws://{address}/ws, with a page at http://{address}/");
    }

    let handle = server.handle();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shutdown(chat::GRACE);
        }
    });
    Ok(server.run().await?)
}
