//! A WebSocket in the terminal: each line of the input is sent as a text message, what comes is printed.
//!
//! `cargo run -p sockeye-smol --example connect -- ws://127.0.0.1:9501/`

use std::error::Error;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use smol::channel::{self, Receiver};
use sockeye_smol::core::deflate::Deflate;
use sockeye_smol::core::handshake::client::HandshakeError;
use sockeye_smol::{CloseCode, Config, ConnectError, Request, Url};

#[derive(Parser)]
struct Args {
    /// Where to connect to: a `ws://` URL.
    url: String,
    /// A subprotocol to offer; may be given several times, the best first.
    #[arg(long)]
    subprotocol: Vec<String>,
    /// A header of the request, as 'Name: value'; may be given several times.
    #[arg(long)]
    header: Vec<String>,
    /// How long to wait for answers behind the last line before saying goodbye, in milliseconds: a peer may drop those
    /// that it has not sent when it is told to close.
    #[arg(long, default_value_t = 500)]
    wait: u64,
    /// Do not offer compression.
    #[arg(long)]
    no_compress: bool,
}

fn main() -> ExitCode {
    match smol::block_on(run(&Args::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let url = Url::parse(&args.url)?;
    let mut request = Request::new(&url);
    for name in &args.subprotocol {
        request = request.subprotocol(name)?;
    }
    for header in &args.header {
        let (name, value) = header.split_once(':').ok_or("a header is written 'Name: value'")?;
        request = request.header(name, value.trim())?;
    }
    let config = Config::new();
    let config = if args.no_compress { config } else { config.deflate(Deflate::new()) };
    let (ws, _) = sockeye_smol::connect_with(&url, request, Arc::new(config)).await.inspect_err(explain)?;
    let compression = if ws.deflate().is_some() { "compressed" } else { "not compressed" };
    eprintln!("connected to {url}, subprotocol {}, {compression}", ws.subprotocol().unwrap_or("none"));

    // Two tasks, so that neither direction waits for the other. At the end of the input the one says goodbye; what the
    // peer still says before it does too is for the other.
    let (mut incoming, mut outgoing) = ws.split();
    let lines = read_lines();
    let wait = Duration::from_millis(args.wait);
    let sending = async move {
        while let Ok(line) = lines.recv().await {
            outgoing.send(line).await?;
        }
        smol::Timer::after(wait).await;
        outgoing.close(CloseCode::NORMAL, "").await
    };
    smol::spawn(async {
        if let Err(error) = sending.await {
            eprintln!("cannot send: {error}");
        }
    })
    .detach();
    while let Some(message) = incoming.recv().await? {
        println!("{}", String::from_utf8_lossy(message.as_bytes()));
    }
    if let Some(info) = incoming.close_info() {
        eprintln!("{info}");
    }
    Ok(())
}

/// The lines of the input, read by a thread that the end of the program does not wait for.
fn read_lines() -> Receiver<String> {
    let (sender, lines) = channel::bounded(1);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return eprintln!("the input is not text") };
            if sender.send_blocking(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What the page of a refusal says.
fn explain(error: &ConnectError) {
    if let ConnectError::Handshake(HandshakeError::Refused(response)) = error {
        eprint!("{}", String::from_utf8_lossy(response.content()));
    }
}
