use std::io;

use sockeye_tokio::Response;
use sockeye_tokio::server::{Callbacks, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        .on_before_handshake_response(|client, (_upgrade, accept)| async move {
            // An error would refuse the client with that response.
            accept
                .header("X-Connection", client.id().to_string())
                .and_then(|accept| accept.header("Set-Cookie", "seen=yes; Path=/"))
                .map_err(|_| Response::new(500))
        });
    Server::bind(address, handler)
}
