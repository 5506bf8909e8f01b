use std::io;

use sockeye_tokio::protocol::http::Response;
use sockeye_tokio::server::{Callbacks, Info, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, _message| async move { client.push(kind(&client.info())) })
        .on_request(|client, _request| async move { Response::text(200, kind(&client.info())) });
    Server::bind(address, handler)
}

fn kind(info: &Info) -> &'static str {
    if info.status.is_some() { "a WebSocket connection" } else { "not a WebSocket connection" }
}
