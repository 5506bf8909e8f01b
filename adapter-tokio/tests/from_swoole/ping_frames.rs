use std::io;

use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{Frame, Opcode};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        // Now nobody else answers them: a pong has the payload of its ping.
        .on_control(|client, frame| async move {
            if frame.opcode == Opcode::Ping {
                println!("ping frame received: code {}", frame.opcode as u8);
                client.push_frame(&Frame::new(Opcode::Pong, frame.data))?;
            }
            Ok::<_, sockeye_tokio::server::PushError>(())
        });
    Ok(Server::builder().listen(address, Port::new(handler).forward_ping(true))?.build())
}
