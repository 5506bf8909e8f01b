//! A chat with rooms, and its page on the same port.
//!
//! `cargo run --release -p sockeye-tokio --example chat`, then open http://127.0.0.1:9501/ in two windows. To tell everybody
//! something: `curl 'http://127.0.0.1:9501/push?message=hello'`.

// The other files are those of all adapters.
extern crate sockeye_tokio as sockeye;

use std::error::Error;

use clap::Parser;
use sockeye_tokio::server::{Port, Server};

mod args;
mod chat;
mod handler;
mod rooms;

use args::Args;
use chat::Chat;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let port = Port::new(Chat::default()).config(args.config()).slow_reader(args::SLOW_READER);
    let server = Server::builder().limits(args::limits()).listen(args.addr, port)?.build();
    for address in server.addresses() {
        println!("listening on ws://{address}, with its page at http://{address}/");
    }

    let handle = server.handle();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shutdown(args::GRACE);
        }
    });
    Ok(server.run().await?)
}
