//! The echo server that the Autobahn test suite and the other conformance tests drive.
//!
//! `cargo run --release -p sockeye-std --example autobahn_server -- --help`

use std::error::Error;
#[cfg(feature = "rustls")]
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(feature = "rustls")]
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use sockeye_examples::{Options, chain};
use sockeye_std::protocol::deflate::Deflate;
#[cfg(feature = "rustls")]
use sockeye_std::tls::ServerTls;
use sockeye_std::{AcceptError, Config, Origins, Policy, Upgrade, WebSocket};

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

    ctrlc::set_handler(|| std::process::exit(0))?;
    let listener = TcpListener::bind(args.addr)?;
    println!("listening on {}://{}", settings.scheme(), listener.local_addr()?);
    loop {
        let settings = settings.clone();
        let (stream, _) = sockeye_std::accept_tcp(&listener);
        let spawned = thread::Builder::new().spawn(move || echo(stream, &settings));
        if let Err(error) = spawned {
            // Most likely out of threads: give some connections time to end.
            eprintln!("cannot start a thread: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn echo(stream: TcpStream, settings: &Settings) {
    let mut ws = match settings.accept(stream) {
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
    fn accept(&self, stream: TcpStream) -> Result<WebSocket, AcceptError> {
        let decide = |upgrade: &Upgrade| Ok(self.policy.decide(upgrade)?);
        #[cfg(feature = "rustls")]
        if let Some(tls) = &self.tls {
            return sockeye_std::accept_tls_with(stream, tls, self.config.clone(), decide);
        }
        sockeye_std::accept_with(stream, self.config.clone(), decide)
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
