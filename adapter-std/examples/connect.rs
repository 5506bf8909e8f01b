//! A WebSocket client in the terminal: sends each input line as a message and prints the messages it
//! receives. Its exit status is 1 after an error.
//!
//! `cargo run -p sockeye-std --example connect -- ws://127.0.0.1:9501/`
//!
//! With the feature `rustls` it also connects to `wss://` URLs.

use std::error::Error;
use std::io::BufRead;
use std::process::ExitCode;
use std::string::FromUtf8Error;
use std::thread;
use std::time::Duration;

use clap::Parser;
use sockeye_std::protocol::handshake::client::ClientHandshakeError;
#[cfg(feature = "rustls")]
use sockeye_std::tls::ClientTls;
use sockeye_std::{CloseCode, ConnectError, ConnectOptions, Message, SendHalf};

type AnyError = Box<dyn Error + Send + Sync>;

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
    /// Send the lines as binary messages.
    #[arg(long)]
    binary: bool,
    /// The proxy to connect through, as http://host:port or socks5://host:port, with user:password@
    /// before the host if it needs them. 'env' uses the proxy of HTTPS_PROXY and the like.
    #[arg(long)]
    proxy: Option<String>,
    /// The number of redirects to follow.
    #[arg(long, default_value_t = 0)]
    redirects: u8,
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
    let (ws, _) = sockeye_std::connect_with(&args.url, options(args)?).inspect_err(explain)?;
    let compression = if ws.deflate().is_some() { "compressed" } else { "not compressed" };
    let subprotocol = ws.subprotocol().unwrap_or("none");
    eprintln!("connected to {}, subprotocol {subprotocol}, {compression}", args.url);

    // Two threads, so that neither direction waits for the other. At the end of the input the
    // sending thread closes; the receiving thread prints everything that arrives before the peer's
    // Close. The program does not wait for the sending thread, which may be blocked on the input.
    let (outgoing, mut incoming) = ws.split();
    let wait = Duration::from_millis(args.wait);
    let is_binary = args.binary;
    let sending = thread::spawn(move || {
        // The error is printed at once, because the receiving thread may still wait.
        send_lines(outgoing, is_binary, wait).inspect_err(|error| print_error(&**error)).is_ok()
    });
    while let Some(message) = incoming.recv()? {
        println!("{}", String::from_utf8_lossy(message.as_bytes()));
    }
    if let Some(info) = incoming.close_info() {
        eprintln!("{info}");
    }
    if sending.is_finished() && !sending.join().unwrap_or(false) {
        return Err("not every line was sent".into());
    }
    Ok(())
}

/// Returns what the command line says about connecting.
fn options(args: &Args) -> Result<ConnectOptions, Box<dyn Error>> {
    let mut options = ConnectOptions::new().redirects(args.redirects).compression(!args.no_compress);
    for name in &args.subprotocol {
        options = options.subprotocol(name)?;
    }
    for header in &args.header {
        let (name, value) = header.split_once(':').ok_or("a header must have the form 'Name: value'")?;
        options = options.header(name, value.trim())?;
    }
    match args.proxy.as_deref() {
        Some("env") => options = options.proxy_from_env(),
        Some(proxy) => options = options.proxy(proxy)?,
        None => {}
    }
    #[cfg(feature = "rustls")]
    if args.insecure {
        options = options.tls(ClientTls::dangerous_without_verification()?);
    } else if let Some(ca) = &args.ca {
        options = options.tls(ClientTls::with_ca_pem(&std::fs::read(ca)?)?);
    }
    Ok(options)
}

/// Returns the message for a line.
fn message(line: Vec<u8>, is_binary: bool) -> Result<Message, FromUtf8Error> {
    if is_binary { Ok(Message::from(line)) } else { String::from_utf8(line).map(Message::from) }
}

/// Sends each line of the input, waits for the last answers, and closes.
fn send_lines(mut outgoing: SendHalf, is_binary: bool, wait: Duration) -> Result<(), AnyError> {
    let mut result = Ok(());
    for line in std::io::stdin().lock().split(b'\n') {
        match message(line?, is_binary) {
            Ok(message) => outgoing.send(message)?,
            Err(error) => {
                result = Err(error.into());
                break;
            }
        }
    }
    thread::sleep(wait);
    outgoing.close(CloseCode::NORMAL, "")?;
    result
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
