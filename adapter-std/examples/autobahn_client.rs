//! The client that the Autobahn test suite tests. It asks the fuzzing server for the number of
//! cases, then echoes every message of each case.
//!
//! `cargo run --release -p sockeye-std --example autobahn_client -- --help`

use std::error::Error;
use std::sync::Arc;

use clap::Parser;
use sockeye_examples::Options;
use sockeye_std::protocol::deflate::Deflate;
use sockeye_std::{ClientRequest, Config, Url, WebSocket};

#[derive(Parser)]
struct Args {
    /// The URL of the fuzzing server.
    #[arg(long, default_value = "ws://127.0.0.1:9001")]
    url: String,
    /// The name of this client in the report.
    #[arg(long, default_value = "sockeye-std")]
    agent: String,
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let config = Arc::new(args.options.config(Deflate::new()));
    let mut counter = open(&args.url, "/getCaseCount", &config)?;
    let count: u32 = match counter.recv()? {
        Some(message) => message.as_text().ok_or("the server sent the number of cases as binary")?.parse()?,
        None => return Err("the server closed the connection without sending the number of cases".into()),
    };
    // The server closes the connection after its answer.
    while counter.recv()?.is_some() {}
    for case in 1..=count {
        let mut ws = open(&args.url, &format!("/runCase?case={case}&agent={}", args.agent), &config)?;
        // The server judges how a case ends, so errors are ignored here.
        while let Ok(Some(message)) = ws.recv() {
            if ws.feed(message).is_err() {
                break;
            }
        }
    }
    let mut report = open(&args.url, &format!("/updateReports?agent={}", args.agent), &config)?;
    while report.recv()?.is_some() {}
    println!("{count} cases done");
    Ok(())
}

fn open(server: &str, target: &str, config: &Arc<Config>) -> Result<WebSocket, Box<dyn Error>> {
    let url = Url::parse(&format!("{}{target}", server.trim_end_matches('/')))?;
    let (ws, _) = sockeye_std::connect_with(&url, ClientRequest::new(&url), config.clone())?;
    Ok(ws)
}
