use std::io;

use sockeye_tokio::Accept;
use sockeye_tokio::server::{Callbacks, Decision, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(|client, _upgrade| async move {
        client.defer(|client| {
            println!("Client connected");
            if let Err(error) = client.push("hello, welcome\n") {
                println!("not welcomed: {error}");
            }
        });
        Ok(Decision::Accept(Accept::new()))
    });
    Server::bind(address, handler)
}
