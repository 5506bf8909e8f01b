use std::io;

use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{Frame, Opcode};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|_client, message| async move {
        println!("Message received: {message:?}");
    })
    .on_control(|client, frame| async move {
        println!("Ping frame received: Code {}", u8::from(frame.opcode));
        client.push_frame(&Frame::new(Opcode::Pong, frame.data))
    });
    Ok(Server::builder().listen(address, Port::new(handler).forward_ping(true))?.build())
}
