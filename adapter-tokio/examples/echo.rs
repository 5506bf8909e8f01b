//! An echo server.
//!
//! `cargo run --release -p sockeye-tokio --example echo`, optionally followed by `-- ADDRESS`.

use std::error::Error;
use std::sync::Arc;

use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::{Config, Origins, Policy, Upgrade};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let config = Arc::new(Config::new().deflate(Deflate::new()));
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = sockeye_tokio::accept_tcp(&listener).await;
        let config = config.clone();
        tokio::spawn(async move {
            if let Err(error) = echo(stream, config).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn echo(stream: TcpStream, config: Arc<Config>) -> Result<(), Box<dyn Error + Send + Sync>> {
    // An echo server has nothing to protect, so pages of any origin may use it.
    let policy = Policy::new().origins(Origins::Any);
    let decide = async |upgrade: &Upgrade| Ok(policy.decide(upgrade)?);
    let mut ws = sockeye_tokio::accept_with(stream, config, decide).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}
