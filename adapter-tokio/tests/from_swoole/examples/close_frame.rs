use std::io;

use sockeye_tokio::server::{Callbacks, Port, Server};
use sockeye_tokio::{CloseFrame, Opcode};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|_client, message| async move {
        println!("Message received: {message:?}");
    })
    .on_control(|_client, frame| async move {
        if frame.opcode == Opcode::Close {
            let close = CloseFrame::parse(frame.data)?;
            println!("Close frame received: Code {} Reason {}", close.status().as_u16(), close.reason);
        }
        Ok(())
    });
    Ok(Server::builder().listen(address, Port::new(handler).forward_close(true))?.build())
}
