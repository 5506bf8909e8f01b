use std::io;

use sockeye_tokio::server::{Callbacks, Decision, Server};
use sockeye_tokio::{Accept, Response};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        // The key and the version have been checked, and the 101 is written by the library.
        .on_handshake(|_client, upgrade| async move {
            if upgrade.request().param("token").as_deref() != Some("secret") {
                return Ok(Decision::Respond(Response::text(403, "no token")));
            }
            let mut accept = Accept::new();
            if let Some(name) = upgrade.subprotocols().next() {
                accept = accept.subprotocol(name);
            }
            Ok(Decision::Accept(accept))
        });
    Server::bind(address, handler)
}
