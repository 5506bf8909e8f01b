use std::io;

use sockeye_tokio::server::{Callbacks, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move {
        println!("receive from {}: {message:?}", client.id());
        client.push("this is server")
    })
    .on_open(|client, _request| async move {
        println!("server: handshake success with {}", client.id());
    })
    .on_close(|client, info| async move {
        println!("client {} {info}", client.id());
    });
    Server::bind(address, handler)
}
