use std::io;

use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{CloseFrame, Opcode};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, message| async move {
        println!("message received: {message:?}");
        client.push(message)
    })
    .on_control(|client, frame| async move {
        if frame.opcode == Opcode::Close {
            let close = CloseFrame::parse(frame.data)?;
            println!("{}: code {:?}, reason {}", client.id(), close.code, close.reason);
        }
        Ok::<_, sockeye_tokio::ProtocolError>(())
    });
    Ok(Server::builder().listen(address, Port::new(handler).forward_close(true))?.build())
}
