use std::io;

use sockeye_tokio::server::{Callbacks, Server};

pub fn server(address: &str) -> io::Result<Server> {
    // To do this every now and then for all connections, there is `Config::keepalive`.
    let handler = Callbacks::on_message(|client, _message| async move { client.ping(b"") });
    Server::bind(address, handler)
}
