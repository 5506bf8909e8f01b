use std::io;

use sockeye_tokio::protocol::http::Response;
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
    })
    .on_request(|client, request| async move {
        let message = request.param("message").unwrap_or_default();
        let server = client.server();
        for id in server.connections() {
            if server.is_established(id)
                && let Err(error) = server.push(id, &message)
            {
                println!("not pushed to {id}: {error}");
            }
        }
        Response::new(200)
    });
    Server::bind(address, handler)
}
