//! A chat with rooms, and its page on the same port.
//!
//! `cargo run --release -p sockeye-smol --example chat`, then open http://127.0.0.1:9501/ in two windows. To tell everybody
//! something: `curl 'http://127.0.0.1:9501/push?message=hello'`.

// The other files are those of all adapters.
extern crate sockeye_smol as sockeye;

use std::error::Error;

use clap::Parser;
use sockeye_smol::server::{Port, Server};

#[path = "../../adapter-tokio/examples/chat/args.rs"]
mod args;
#[path = "../../adapter-tokio/examples/chat/chat.rs"]
mod chat;
#[path = "../../adapter-tokio/examples/chat/handler.rs"]
mod handler;
#[path = "../../adapter-tokio/examples/chat/rooms.rs"]
mod rooms;

use args::Args;
use chat::Chat;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let port = Port::new(Chat::default()).config(args.config()).slow_reader(args::SLOW_READER);
    let server = Server::builder().limits(args::limits()).listen(args.addr, port)?.build();
    for address in server.addresses() {
        println!("listening on ws://{address}, with its page at http://{address}/");
    }

    let handle = server.handle();
    ctrlc::set_handler(move || handle.shutdown(args::GRACE))?;
    Ok(smol::block_on(server.run())?)
}
