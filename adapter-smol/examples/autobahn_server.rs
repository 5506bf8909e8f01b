//! The echo server that the Autobahn test suite and the other conformance tests drive.
//!
//! `cargo run --release -p sockeye-smol --example autobahn_server -- --help`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use smol::Executor;
use smol::channel::{self, Receiver};
use smol::future::{self, FutureExt};
use smol::net::{TcpListener, TcpStream};
use sockeye_examples::{Options, chain};
use sockeye_smol::protocol::deflate::Deflate;
use sockeye_smol::{AcceptError, Config, Origins, Policy, Upgrade};

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

    let (stop, stopped) = channel::bounded(1);
    ctrlc::set_handler(move || {
        // If the channel is full, the server is stopping already.
        let _ = stop.try_send(());
    })?;
    let executor = Arc::new(Executor::new());
    for _ in 1..thread::available_parallelism()?.get() {
        let executor = executor.clone();
        thread::spawn(move || future::block_on(executor.run(future::pending::<()>())));
    }
    future::block_on(executor.run(serve(args.addr, &executor, stopped, config, policy)))
}

async fn serve(
    addr: SocketAddr,
    executor: &Executor<'static>,
    stopped: Receiver<()>,
    config: Arc<Config>,
    policy: Arc<Policy>,
) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(addr).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let stop = async {
        // An error means that the sender is gone, and the server runs until it is killed.
        let _ = stopped.recv().await;
        None
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let accept = async { Some(sockeye_smol::accept_tcp(&listener).await) };
        let Some((stream, _)) = (&mut stop).or(accept).await else { return Ok(()) };
        executor.spawn(echo(stream, config.clone(), policy.clone())).detach();
    }
}

async fn echo(stream: TcpStream, config: Arc<Config>, policy: Arc<Policy>) {
    let result = async {
        let decide = async |upgrade: &Upgrade| Ok(policy.decide(upgrade)?);
        sockeye_smol::accept_with(stream, config, decide).await
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
