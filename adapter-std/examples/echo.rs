//! An echo server with a thread for each connection.
//!
//! `cargo run --release -p sockeye-std --example echo`, optionally followed by `-- ADDRESS`.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sockeye_std::protocol::deflate::Deflate;
use sockeye_std::{Config, Origins, Policy};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let config = Arc::new(Config::new().deflate(Deflate::new()));
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        let config = config.clone();
        let (stream, peer) = sockeye_std::accept_tcp(&listener);
        let spawned = thread::Builder::new().spawn(move || {
            if let Err(error) = echo(stream, config) {
                eprintln!("{peer}: {error}");
            }
        });
        if let Err(error) = spawned {
            // Most likely out of threads: give some connections time to end.
            eprintln!("cannot start a thread: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn echo(stream: TcpStream, config: Arc<Config>) -> Result<(), Box<dyn Error>> {
    // An echo server has nothing to protect, so pages of any origin may use it.
    let policy = Policy::new().origins(Origins::Any);
    let mut ws = sockeye_std::accept_with(stream, config, |upgrade| Ok(policy.decide(upgrade)?))?;
    while let Some(message) = ws.recv()? {
        ws.feed(message)?;
    }
    Ok(())
}
