//! A chat with rooms, and its web page on the same port. Each connection has a thread.
//!
//! `cargo run --release -p sockeye-std --features server --example chat`, then open
//! http://127.0.0.1:9501/ in two windows. To send a notice to everyone: `curl
//! 'http://127.0.0.1:9501/push?message=hello'`.
//!
//! The chat itself is in `examples/src/chat`, because all adapters run the same one.

use std::error::Error;

use clap::Parser;
use sockeye_examples::chat::{self, Args, Chat};
use sockeye_std::protocol::deflate::Deflate;
use sockeye_std::server::{Port, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let config = args.config(Deflate::new());
    let port = Port::new(Chat::default()).config(config).slow_reader(chat::SLOW_READER);
    let port = match args.pem()? {
        None => port,
        #[cfg(feature = "rustls")]
        Some((chain, key)) => port.tls(sockeye_std::tls::ServerTls::from_pem(&chain, &key)?),
        #[cfg(not(feature = "rustls"))]
        Some(_) => return Err("TLS needs the feature `rustls`".into()),
    };
    let server = Server::builder().limits(chat::limits()).listen(args.addr, port)?.build();
    for address in server.addresses() {
        println!("listening on ws://{address}, with its page at http://{address}/");
    }

    let handle = server.handle();
    ctrlc::set_handler(move || handle.shutdown(chat::GRACE))?;
    Ok(server.run()?)
}
