use std::io;

use sockeye_tokio::Response;
use sockeye_tokio::server::{Callbacks, Server};

pub fn server(address: &str) -> io::Result<Server> {
    let handler = Callbacks::on_message(|client, _message| async move { client.push("this is server") })
        .on_request(|client, request| async move {
            let server = client.server();
            let message = request.param("message").unwrap_or_default();
            for id in server.connections() {
                // That it is established now may not be so in the next moment: push says so.
                if server.is_established(id) {
                    let _ = server.push(id, &message);
                }
            }
            Response::text(200, "pushed\n")
        });
    Server::bind(address, handler)
}
