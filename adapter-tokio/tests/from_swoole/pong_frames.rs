use std::io;

use sockeye_tokio::Opcode;
use sockeye_tokio::server::{Callbacks, Port, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) }).on_control(
        |client, frame| async move {
            if frame.opcode == Opcode::Pong {
                client.push(format!("pong frame received: code {}", frame.opcode as u8))?;
            }
            Ok::<_, sockeye_tokio::server::PushError>(())
        },
    );
    Ok(Server::builder().listen(address, Port::new(handler).forward_pong(true))?.build())
}
