//! The client under test of the Autobahn test suite: asks its server for the number of cases, then echoes in each.
//!
//! `cargo run --release -p sockeye-std --example autobahn_client -- --help`

use std::error::Error;
use std::sync::Arc;

use clap::Parser;
use sockeye_std::{Config, Request, Url, WebSocket};

#[path = "../../adapter-tokio/examples/options/mod.rs"]
mod options;
use options::Options;

#[derive(Parser)]
struct Args {
    /// The fuzzing server.
    #[arg(long, default_value = "ws://127.0.0.1:9001")]
    url: String,
    /// The name that the report gives this client.
    #[arg(long, default_value = "sockeye-std")]
    agent: String,
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let config = Arc::new(args.options.config());
    let mut counter = open(&args.url, "/getCaseCount", &config)?;
    let count: u32 = match counter.recv()? {
        Some(message) => message.as_text().ok_or("the number of cases is not text")?.parse()?,
        None => return Err("the server closed before it told the number of cases".into()),
    };
    // The server closes after its answer.
    while counter.recv()?.is_some() {}
    for case in 1..=count {
        let mut ws = open(&args.url, &format!("/runCase?case={case}&agent={}", args.agent), &config)?;
        // How a case ends is for the server to judge.
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
    let (ws, _) = sockeye_std::connect_with(&url, Request::new(&url), config.clone())?;
    Ok(ws)
}
