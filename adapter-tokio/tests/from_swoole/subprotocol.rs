use std::error::Error;

use sockeye_tokio::Policy;
use sockeye_tokio::server::{Callbacks, Port, Server};

pub fn server(address: &str) -> Result<Server, Box<dyn Error>> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) });
    // It is in the 101 if the client offers it: RFC 6455 does not allow to send it unasked.
    let port = Port::new(handler).policy(Policy::new().subprotocol("chat")?);
    Ok(Server::builder().listen(address, port)?.build())
}
