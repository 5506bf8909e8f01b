use std::io;

use sockeye_tokio::protocol::http::Response;
use sockeye_tokio::server::{Callbacks, Decision, Server};
use sockeye_tokio::{Accept, Policy};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(|_client, upgrade| async move {
        if upgrade.path() == "/private" {
            return Ok(Decision::Respond(Response::text(403, "not for you\n")));
        }
        // A custom handshake replaces the port's policy, so it must check the origin itself.
        if let Err(refusal) = Policy::new().decide(&upgrade) {
            return Ok(Decision::Respond(refusal.response()));
        }
        println!("{}", upgrade.request().headers().first("sec-websocket-key").unwrap_or_default());
        let accept = match upgrade.subprotocols().next() {
            Some(name) => Accept::new().subprotocol(name),
            None => Accept::new(),
        };
        Ok(Decision::Accept(accept))
    });
    Server::bind(address, handler)
}
