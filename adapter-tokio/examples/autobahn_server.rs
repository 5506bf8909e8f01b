//! The echo server that the Autobahn test suite and the other conformance tests drive.
//!
//! `cargo run --release -p sockeye-tokio --example autobahn_server -- --help`

use std::error::Error;
#[cfg(feature = "rustls")]
use std::fs;
use std::net::SocketAddr;
#[cfg(feature = "rustls")]
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use sockeye_examples::{Options, chain};
use sockeye_tokio::protocol::deflate::Deflate;
#[cfg(feature = "rustls")]
use sockeye_tokio::tls::ServerTls;
use sockeye_tokio::{AcceptError, Config, Origins, Policy, Upgrade, WebSocket};
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
    /// The certificate and its chain, a PEM file: speak TLS.
    #[cfg(feature = "rustls")]
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file.
    #[cfg(feature = "rustls")]
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let settings = Arc::new(Settings::new(&args)?);

    let listener = TcpListener::bind(args.addr).await?;
    println!("listening on {}://{}", settings.scheme(), listener.local_addr()?);
    loop {
        let stream = tokio::select! {
            (stream, _) = sockeye_tokio::accept_tcp(&listener) => stream,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tokio::spawn(echo(stream, settings.clone()));
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
            return sockeye_tokio::accept_tls_with(stream, tls, self.config.clone(), decide).await;
        }
        sockeye_tokio::accept_with(stream, self.config.clone(), decide).await
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
