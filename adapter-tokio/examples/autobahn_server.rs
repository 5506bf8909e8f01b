//! The echo server that the Autobahn test suite and the other conformance tests drive.
//!
//! `cargo run --release -p sockeye-tokio --example autobahn_server -- --help`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use sockeye_examples::{Options, chain};
use sockeye_tokio::protocol::deflate::Deflate;
use sockeye_tokio::{AcceptError, Config, Origins, Policy, Upgrade};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Args {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1:9501")]
    addr: SocketAddr,
    #[command(flatten)]
    options: Options,
    /// A subprotocol that the server supports. Repeat the option for several, in order of
    /// preference.
    #[arg(long)]
    subprotocol: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    // An echo server has nothing to protect, so pages of any origin may use it.
    let mut policy = Policy::new().origins(Origins::Any);
    for name in &args.subprotocol {
        policy = policy.subprotocol(name)?;
    }
    let (config, policy) = (Arc::new(args.options.config(Deflate::new())), Arc::new(policy));

    let listener = TcpListener::bind(args.addr).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let stream = tokio::select! {
            (stream, _) = sockeye_tokio::accept_tcp(&listener) => stream,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tokio::spawn(echo(stream, config.clone(), policy.clone()));
    }
}

async fn echo(stream: TcpStream, config: Arc<Config>, policy: Arc<Policy>) {
    let result = async {
        let decide = async |upgrade: &Upgrade| Ok(policy.decide(upgrade)?);
        sockeye_tokio::accept_with(stream, config, decide).await
    };
    let mut ws = match result.await {
        Ok(ws) => ws,
        Err(AcceptError::Io(_)) => return,
        Err(error) => return eprintln!("the opening handshake failed: {}", chain(&error)),
    };
    loop {
        match ws.recv().await {
            Ok(Some(message)) => {
                if ws.feed(message).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return eprintln!("{}", chain(&error)),
        }
    }
}
