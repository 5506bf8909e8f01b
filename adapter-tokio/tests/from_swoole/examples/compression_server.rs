use std::io;

use sockeye_tokio::protocol::deflate::{CompressionPolicy, Deflate};
use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{Config, Payload};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, _message| async move {
        client.push(Payload::from("Hello Hello Hello Hello").compress(true))
    });
    let deflate = Deflate::new().policy(CompressionPolicy::OnRequest);
    let port = Port::new(handler).config(Config::new().deflate(deflate));
    Ok(Server::builder().listen(address, port)?.build())
}
