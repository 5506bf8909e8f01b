//! A chat room for those who know the token. Open `ws://127.0.0.1:9501/?token=secret` twice.

use std::time::Duration;

use sockeye_smol::Response;
use sockeye_smol::server::{Callbacks, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handler = Callbacks::on_message(|client, message| async move {
        let text = message.as_text().ok_or("this room is for text")?;
        client.server().broadcast(|id| id != client.id(), format!("{}: {text}", client.id()));
        Ok(())
    })
    .on_before_handshake_response(|_client, upgrade, accept| async move {
        if upgrade.request().param("token").as_deref() != Some("secret") {
            return Err(Response::text(401, "the token is wrong\n"));
        }
        Ok(accept.header("Set-Cookie", "member=1; HttpOnly")?)
    })
    .on_open(|client, _request| async move { client.push("welcome") });
    let server = Server::bind("127.0.0.1:9501", handler)?;
    let handle = server.handle();
    ctrlc::set_handler(move || handle.shutdown(Duration::from_secs(10)))?;
    smol::block_on(server.run())?;
    Ok(())
}
