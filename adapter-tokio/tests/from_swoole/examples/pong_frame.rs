use std::io;

use sockeye_tokio::server::{Callbacks, Port, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|_client, message| async move {
        println!("Message received: {message:?}");
    })
    .on_control(|_client, frame| async move {
        println!("Pong frame received: Code {}", u8::from(frame.opcode));
    });
    Ok(Server::builder().listen(address, Port::new(handler).forward_pong(true))?.build())
}
