//! The client that the Autobahn test suite tests. It asks the fuzzing server for the number of
//! cases, then echoes every message of each case.
//!
//! `cargo run --release -p sockeye-tokio --example autobahn_client -- --help`

use std::error::Error;
#[cfg(feature = "rustls")]
use std::fs;
#[cfg(feature = "rustls")]
use std::path::PathBuf;

use clap::Parser;
use sockeye_examples::Options;
use sockeye_tokio::protocol::deflate::Deflate;
#[cfg(feature = "rustls")]
use sockeye_tokio::tls::ClientTls;
use sockeye_tokio::{ConnectOptions, WebSocket};

#[derive(Parser)]
struct Args {
    /// The URL of the fuzzing server.
    #[arg(long, default_value = "ws://127.0.0.1:9001")]
    url: String,
    /// The name of this client in the report.
    #[arg(long, default_value = "sockeye-tokio")]
    agent: String,
    #[command(flatten)]
    options: Options,
    /// The certificates to trust, a PEM file, if the URL begins with `wss:`.
    #[cfg(feature = "rustls")]
    #[arg(long)]
    ca: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let client = Client::new(&args)?;
    let mut counter = client.open("/getCaseCount").await?;
    let count: u32 = match counter.recv().await? {
        Some(message) => message.as_text().ok_or("the server sent the number of cases as binary")?.parse()?,
        None => return Err("the server closed the connection without sending the number of cases".into()),
    };
    // The server closes the connection after its answer.
    while counter.recv().await?.is_some() {}
    for case in 1..=count {
        let mut ws = client.open(&format!("/runCase?case={case}&agent={}", args.agent)).await?;
        // The server judges how a case ends, so errors are ignored here.
        while let Ok(Some(message)) = ws.recv().await {
            if ws.feed(message).await.is_err() {
                break;
            }
        }
    }
    let mut report = client.open(&format!("/updateReports?agent={}", args.agent)).await?;
    while report.recv().await?.is_some() {}
    println!("{count} cases done");
    Ok(())
}

/// The settings of all connections.
struct Client {
    url: String,
    options: ConnectOptions,
}

impl Client {
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let options = ConnectOptions::from(args.options.config(Deflate::new()));
        #[cfg(feature = "rustls")]
        let options = match &args.ca {
            Some(ca) => options.tls(ClientTls::with_ca_pem(&fs::read(ca)?)?),
            None => options,
        };
        Ok(Client { url: args.url.trim_end_matches('/').to_string(), options })
    }

    async fn open(&self, target: &str) -> Result<WebSocket, Box<dyn Error>> {
        let url = format!("{}{target}", self.url);
        let (ws, _) = sockeye_tokio::connect_with(&url, &self.options).await?;
        Ok(ws)
    }
}
