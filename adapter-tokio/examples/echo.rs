//! An echo server: sends back every message it gets.
//!
//! `cargo run --release -p sockeye-tokio --example echo -- --help`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use sockeye_tokio::{AcceptError, Config, Origins, Policy, Upgrade};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9501")]
    addr: SocketAddr,
    /// Largest frame accepted, in bytes.
    #[arg(long, default_value_t = 2 << 20)]
    max_frame: u64,
    /// Largest message accepted, in bytes.
    #[arg(long, default_value_t = 2 << 20)]
    max_message: u64,
    /// Most fragments of a message.
    #[arg(long, default_value_t = 16_384)]
    max_fragments: u32,
    /// A subprotocol that the server speaks; may be given several times, the best first.
    #[arg(long)]
    subprotocol: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let config = Config::new()
        .max_frame_size(args.max_frame)
        .max_message_size(args.max_message)
        .max_send_size(args.max_message)
        .max_fragments(args.max_fragments);
    // An echo has nothing to protect: pages of any origin may use it.
    let mut policy = Policy::new().origins(Origins::Any);
    for name in &args.subprotocol {
        policy = policy.subprotocol(name)?;
    }
    let (config, policy) = (Arc::new(config), Arc::new(policy));

    let listener = TcpListener::bind(args.addr).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely out of descriptors: let some connections end first.
                    eprintln!("cannot accept: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tokio::spawn(echo(stream, config.clone(), policy.clone()));
    }
}

async fn echo(stream: TcpStream, config: Arc<Config>, policy: Arc<Policy>) {
    let result = async {
        stream.set_nodelay(true)?;
        let decide = async |upgrade: &Upgrade| policy.decide(upgrade).map_err(|refusal| refusal.response());
        sockeye_tokio::accept_with(stream, config, decide).await
    };
    let mut ws = match result.await {
        Ok(ws) => ws,
        Err(AcceptError::Io(_)) => return,
        Err(error) => return eprintln!("no WebSocket: {error}"),
    };
    loop {
        match ws.recv().await {
            Ok(Some(message)) => {
                if ws.feed(message).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return eprintln!("{error}"),
        }
    }
}
