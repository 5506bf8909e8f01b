//! An echo server.
//!
//! `cargo run --release -p sockeye-smol --example echo`, optionally followed by `-- ADDRESS`.

use std::error::Error;
use std::sync::Arc;

use smol::net::{TcpListener, TcpStream};
use sockeye_smol::protocol::deflate::Deflate;
use sockeye_smol::{Config, Origins, Policy, Upgrade};

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let config = Arc::new(Config::new().deflate(Deflate::new()));
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = sockeye_smol::accept_tcp(&listener).await;
        let config = config.clone();
        let task = smol::spawn(async move {
            if let Err(error) = echo(stream, config).await {
                eprintln!("{peer}: {error}");
            }
        });
        task.detach();
    }
}

async fn echo(stream: TcpStream, config: Arc<Config>) -> Result<(), Box<dyn Error + Send + Sync>> {
    // An echo server has nothing to protect, so pages of any origin may use it.
    let policy = Policy::new().origins(Origins::Any);
    let decide = async |upgrade: &Upgrade| Ok(policy.decide(upgrade)?);
    let mut ws = sockeye_smol::accept_with(stream, config, decide).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}
