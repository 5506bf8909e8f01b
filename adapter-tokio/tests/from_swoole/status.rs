use std::io;

use sockeye_tokio::server::{Callbacks, Server, Status};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, _message| async move {
        client.push(match client.info().status {
            Some(Status::Active) => "an open WebSocket",
            Some(_) => "a WebSocket that is not open (any more)",
            None => "no WebSocket",
        })
    });
    Server::bind(address, handler)
}
