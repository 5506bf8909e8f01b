//! A chat with rooms, and its page on the same port; each connection has a thread.
//!
//! `cargo run --release -p sockeye-std --example chat`, then open http://127.0.0.1:9501/ in two windows. To tell everybody
//! something: `curl 'http://127.0.0.1:9501/push?message=hello'`.

// The other files are those of all adapters.
extern crate sockeye_std as sockeye;

use std::error::Error;

use clap::Parser;
use sockeye_std::CloseInfo;
use sockeye_std::core::http::{Request, Response};
use sockeye_std::server::{
    BoxError, Client, Failure, Handler, HandlerResult, HttpRequest, Inbound, Port, Server,
};

#[path = "../../adapter-tokio/examples/chat/args.rs"]
mod args;
#[path = "../../adapter-tokio/examples/chat/chat.rs"]
mod chat;
#[path = "../../adapter-tokio/examples/chat/rooms.rs"]
mod rooms;

use args::Args;
use chat::Chat;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let port = Port::blocking(Chat::default()).config(args.config()).slow_reader(args::SLOW_READER);
    let server = Server::builder().limits(args::limits()).listen(args.addr, port)?.build();
    for address in server.addresses() {
        println!("listening on ws://{address}, with its page at http://{address}/");
    }

    let handle = server.handle();
    ctrlc::set_handler(move || handle.shutdown(args::GRACE))?;
    Ok(server.run()?)
}

impl Handler for Chat {
    fn open(&self, _: &Client, _: &Request) -> HandlerResult {
        self.opened();
        Ok(())
    }

    fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.heard(client, message);
        Ok(())
    }

    fn close(&self, client: &Client, _: &CloseInfo) -> HandlerResult {
        self.closed(client);
        Ok(())
    }

    fn request(
        &self,
        client: &Client,
        request: &mut HttpRequest<'_, '_>,
    ) -> Result<Option<Response>, BoxError> {
        self.answer(&client.server(), request).map(Some)
    }

    fn failed(&self, client: &Client, failure: &Failure) {
        eprintln!("{}: {failure}", client.peer());
    }
}
