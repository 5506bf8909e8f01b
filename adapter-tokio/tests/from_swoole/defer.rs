use std::io;

use sockeye_tokio::Accept;
use sockeye_tokio::server::{Callbacks, Decision, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        // After a custom handshake there is no `open`: what it would do is deferred until the 101 is out.
        .on_handshake(|client, _upgrade| async move {
            client.defer(|client| {
                println!("client connected");
                let _ = client.push("hello, welcome\n");
            });
            Ok(Decision::Accept(Accept::new()))
        });
    Server::bind(address, handler)
}
