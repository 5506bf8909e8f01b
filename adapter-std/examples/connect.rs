//! A WebSocket client in the terminal: sends each input line as a text message and prints the
//! messages it receives.
//!
//! `cargo run -p sockeye-std --example connect -- ws://127.0.0.1:9501/`
//!
//! With the feature `rustls` it also connects to `wss://` URLs.

use std::error::Error;
use std::io::BufRead;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use sockeye_std::protocol::deflate::Deflate;
use sockeye_std::protocol::handshake::client::ClientHandshakeError;
#[cfg(feature = "rustls")]
use sockeye_std::tls::ClientTls;
use sockeye_std::{ClientRequest, CloseCode, Config, ConnectError, Response, SendHalf, Url, WebSocket};

#[derive(Parser)]
struct Args {
    /// The URL to connect to.
    url: String,
    /// A subprotocol to offer. Repeat the option for several, in order of preference.
    #[arg(long)]
    subprotocol: Vec<String>,
    /// A request header, as 'Name: value'. Repeat the option for several.
    #[arg(long, short = 'H')]
    header: Vec<String>,
    /// The time to wait for answers after the last line before closing, in milliseconds. A peer may
    /// drop answers that it has not sent when the Close arrives.
    #[arg(long, default_value_t = 500)]
    wait: u64,
    /// Do not offer compression.
    #[arg(long)]
    no_compress: bool,
    /// The certificates to trust, a PEM file, in place of those of the system.
    #[cfg(feature = "rustls")]
    #[arg(long)]
    ca: Option<std::path::PathBuf>,
    /// Trust every certificate. Anyone on the way can then read and change everything.
    #[cfg(feature = "rustls")]
    #[arg(long)]
    insecure: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let url = Url::parse(&args.url)?;
    let mut request = ClientRequest::new(&url);
    for name in &args.subprotocol {
        request = request.subprotocol(name)?;
    }
    for header in &args.header {
        let (name, value) = header.split_once(':').ok_or("a header must have the form 'Name: value'")?;
        request = request.header(name, value.trim())?;
    }
    let config = Config::new();
    let config = if args.no_compress { config } else { config.deflate(Deflate::new()) };
    let (ws, _) = open(args, &url, request, config).inspect_err(explain)?;
    let compression = if ws.deflate().is_some() { "compressed" } else { "not compressed" };
    eprintln!("connected to {url}, subprotocol {}, {compression}", ws.subprotocol().unwrap_or("none"));

    // Two threads, so that neither direction waits for the other. At the end of the input the
    // sending thread closes; the receiving thread prints everything that arrives before the peer's
    // Close. The program does not wait for the sending thread, which may be blocked on the input.
    let (outgoing, mut incoming) = ws.split();
    let wait = Duration::from_millis(args.wait);
    thread::spawn(move || {
        if let Err(error) = send_lines(outgoing, wait) {
            print_error(&*error);
        }
    });
    while let Some(message) = incoming.recv()? {
        println!("{}", String::from_utf8_lossy(message.as_bytes()));
    }
    if let Some(info) = incoming.close_info() {
        eprintln!("{info}");
    }
    Ok(())
}

/// Connects, with the certificates of the command line.
#[cfg_attr(not(feature = "rustls"), expect(unused_variables, reason = "the options are those of TLS"))]
fn open(
    args: &Args,
    url: &Url,
    request: ClientRequest,
    config: Config,
) -> Result<(WebSocket, Response), ConnectError> {
    #[cfg(feature = "rustls")]
    if args.insecure || args.ca.is_some() {
        let tls = match &args.ca {
            Some(ca) if !args.insecure => ClientTls::with_ca_pem(&std::fs::read(ca)?)?,
            _ => ClientTls::dangerous_without_verification()?,
        };
        return sockeye_std::connect_tls(url, request, config, &tls);
    }
    sockeye_std::connect_with(url, request, config)
}

fn send_lines(mut outgoing: SendHalf, wait: Duration) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        outgoing.send(line?)?;
    }
    thread::sleep(wait);
    Ok(outgoing.close(CloseCode::NORMAL, "")?)
}

/// Prints the body of the response if the server refused.
fn explain(error: &ConnectError) {
    if let ConnectError::Handshake(ClientHandshakeError::Refused(response)) = error {
        eprint!("{}", String::from_utf8_lossy(response.content()));
    }
}

/// Prints an error and its causes.
fn print_error(error: &dyn Error) {
    eprintln!("{error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("caused by: {cause}");
        source = cause.source();
    }
}
