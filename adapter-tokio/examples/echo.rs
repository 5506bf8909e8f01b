//! An echo server.
//!
//! `cargo run --release -p sockeye-tokio --example echo`, optionally followed by `-- ADDRESS`.
//! With the feature `rustls`, `--tls-cert chain.pem --tls-key key.pem` makes it speak TLS.

use std::error::Error;
#[cfg(feature = "rustls")]
use std::fs;
#[cfg(feature = "rustls")]
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use sockeye_tokio::protocol::deflate::Deflate;
#[cfg(feature = "rustls")]
use sockeye_tokio::tls::ServerTls;
use sockeye_tokio::{AcceptError, Config, Origins, Policy, Upgrade, WebSocket};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let settings = Arc::new(Settings::new(&args)?);
    let listener = TcpListener::bind(args.address).await?;
    println!("listening on {}://{}", settings.scheme(), listener.local_addr()?);
    loop {
        let (stream, peer) = sockeye_tokio::accept_tcp(&listener).await;
        let settings = settings.clone();
        tokio::spawn(async move {
            if let Err(error) = echo(stream, &settings).await {
                eprintln!("{peer}: {}", with_causes(&*error));
            }
        });
    }
}

async fn echo(stream: TcpStream, settings: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut ws = settings.accept(stream).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

/// Returns the text of an error and of its causes.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The command line.
#[derive(Parser)]
struct Args {
    /// The address to listen on.
    #[arg(default_value = "127.0.0.1:9501")]
    address: String,
    /// The certificate and its chain, a PEM file: speak TLS.
    #[cfg(feature = "rustls")]
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file.
    #[cfg(feature = "rustls")]
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// The settings of all connections.
struct Settings {
    config: Arc<Config>,
    #[cfg(feature = "rustls")]
    tls: Option<ServerTls>,
}

impl Settings {
    #[cfg_attr(not(feature = "rustls"), expect(unused_variables, reason = "only TLS has options"))]
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let config = Arc::new(Config::new().deflate(Deflate::new()));
        #[cfg(feature = "rustls")]
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(chain), Some(key)) => Some(ServerTls::from_pem(&fs::read(chain)?, &fs::read(key)?)?),
            _ => None,
        };
        Ok(Settings {
            config,
            #[cfg(feature = "rustls")]
            tls,
        })
    }

    /// Accepts a WebSocket, over TLS if there is a certificate.
    async fn accept(&self, stream: TcpStream) -> Result<WebSocket, AcceptError> {
        // An echo server has nothing to protect, so pages of any origin may use it.
        let policy = Policy::new().origins(Origins::Any);
        let decide = async |upgrade: &Upgrade| Ok(policy.decide(upgrade)?);
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
