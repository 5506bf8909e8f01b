//! The echo server that the Autobahn test suite and the other conformance tests drive.
//!
//! `cargo run --release -p sockeye-std --example autobahn_server -- --help`

use std::error::Error;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use sockeye_examples::{Options, chain};
use sockeye_std::protocol::deflate::Deflate;
use sockeye_std::{AcceptError, Config, Origins, Policy, Upgrade};

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

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    // An echo server has nothing to protect, so pages of any origin may use it.
    let mut policy = Policy::new().origins(Origins::Any);
    for name in &args.subprotocol {
        policy = policy.subprotocol(name)?;
    }
    let (config, policy) = (Arc::new(args.options.config(Deflate::new())), Arc::new(policy));

    ctrlc::set_handler(|| std::process::exit(0))?;
    let listener = TcpListener::bind(args.addr)?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let (config, policy) = (config.clone(), policy.clone());
        let (stream, _) = sockeye_std::accept_tcp(&listener);
        let spawned = thread::Builder::new().spawn(move || echo(stream, config, &policy));
        if let Err(error) = spawned {
            // Most likely out of threads: give some connections time to end.
            eprintln!("cannot start a thread: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn echo(stream: TcpStream, config: Arc<Config>, policy: &Policy) {
    let decide = |upgrade: &Upgrade| Ok(policy.decide(upgrade)?);
    let result = sockeye_std::accept_with(stream, config, decide);
    let mut ws = match result {
        Ok(ws) => ws,
        Err(AcceptError::Io(_)) => return,
        Err(error) => return eprintln!("the opening handshake failed: {}", chain(&error)),
    };
    loop {
        match ws.recv() {
            Ok(Some(message)) => {
                if ws.feed(message).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return eprintln!("{}", chain(&error)),
        }
    }
}
