//! The echo server that the Autobahn test suite and the other conformance tests drive.
//!
//! `cargo run --release -p sockeye-smol --example autobahn_server -- --help`

use std::error::Error;
#[cfg(feature = "rustls")]
use std::fs;
use std::net::SocketAddr;
#[cfg(feature = "rustls")]
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use smol::Executor;
use smol::channel::{self, Receiver};
use smol::future::{self, FutureExt};
use smol::net::{TcpListener, TcpStream};
use sockeye_examples::{Options, chain};
use sockeye_smol::protocol::deflate::Deflate;
#[cfg(feature = "rustls")]
use sockeye_smol::tls::ServerTls;
use sockeye_smol::{AcceptError, Config, Origins, Policy, Upgrade, WebSocket};

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
    /// The certificate and its chain, a PEM file: speak TLS.
    #[cfg(feature = "rustls")]
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file.
    #[cfg(feature = "rustls")]
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let settings = Arc::new(Settings::new(&args)?);

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
    future::block_on(executor.run(serve(args.addr, &executor, stopped, settings)))
}

async fn serve(
    addr: SocketAddr,
    executor: &Executor<'static>,
    stopped: Receiver<()>,
    settings: Arc<Settings>,
) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}://{}", settings.scheme(), listener.local_addr()?);
    let stop = async {
        // An error means that the sender is gone, and the server runs until it is killed.
        let _ = stopped.recv().await;
        None
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let accept = async { Some(sockeye_smol::accept_tcp(&listener).await) };
        let Some((stream, _)) = (&mut stop).or(accept).await else { return Ok(()) };
        executor.spawn(echo(stream, settings.clone())).detach();
    }
}

async fn echo(stream: TcpStream, settings: Arc<Settings>) {
    let mut ws = match settings.accept(stream).await {
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

/// The settings of all connections.
struct Settings {
    config: Arc<Config>,
    policy: Policy,
    #[cfg(feature = "rustls")]
    tls: Option<ServerTls>,
}

impl Settings {
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        // An echo server has nothing to protect, so pages of any origin may use it.
        let mut policy = Policy::new().origins(Origins::Any);
        for name in &args.subprotocol {
            policy = policy.subprotocol(name)?;
        }
        #[cfg(feature = "rustls")]
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(chain), Some(key)) => Some(ServerTls::from_pem(&fs::read(chain)?, &fs::read(key)?)?),
            _ => None,
        };
        Ok(Settings {
            config: Arc::new(args.options.config(Deflate::new())),
            policy,
            #[cfg(feature = "rustls")]
            tls,
        })
    }

    /// Accepts a WebSocket, over TLS if there is a certificate.
    async fn accept(&self, stream: TcpStream) -> Result<WebSocket, AcceptError> {
        let decide = async |upgrade: &Upgrade| Ok(self.policy.decide(upgrade)?);
        #[cfg(feature = "rustls")]
        if let Some(tls) = &self.tls {
            return sockeye_smol::accept_tls_with(stream, tls, self.config.clone(), decide).await;
        }
        sockeye_smol::accept_with(stream, self.config.clone(), decide).await
    }

    /// Returns the scheme of the server's URL.
    fn scheme(&self) -> &'static str {
        #[cfg(feature = "rustls")]
        if self.tls.is_some() {
            return "wss";
        }
        "ws"
    }
}
