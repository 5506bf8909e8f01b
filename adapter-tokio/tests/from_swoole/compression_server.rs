use std::io;

use sockeye_tokio::core::deflate::{Deflate, Policy};
use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{Config, Payload};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, _message| async move {
        client.push(Payload::from("Hello Swoole").compress(true))
        // client.push(message) sends the message of the client back as it is.
    });
    // As there: only what is pushed with the flag is compressed. By default everything is that is long enough.
    let config = Config::new().deflate(Deflate::new().policy(Policy::OnRequest));
    Ok(Server::builder().listen(address, Port::new(handler).config(config))?.build())
}
