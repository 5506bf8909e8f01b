use std::io;

use sockeye_tokio::server::{Callbacks, Server};

pub fn server(address: &str) -> io::Result<Server> {
    Server::bind(address, Callbacks::on_message(|client, _message| async move { client.ping(b"") }))
}
