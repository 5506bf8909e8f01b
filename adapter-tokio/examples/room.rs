//! A chat room for those who know the token. Open `ws://127.0.0.1:9501/?token=secret` twice, and
//! `http://127.0.0.1:9501/` in a browser.

use std::time::Duration;

use sockeye_tokio::Response;
use sockeye_tokio::server::{Callbacks, Server};

#[tokio::main]
async fn main() -> std::io::Result<()> {
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
    .on_open(|client, _request| async move { client.push("welcome") })
    // The client's queue was full, and has room again.
    .on_drained(|client| async move { client.push("you have missed messages") })
    .on_close(|client, info| async move { println!("{} left: {info}", client.id()) })
    // The client never opened a WebSocket.
    .on_disconnect(|client| async move { println!("{} was not in the room", client.id()) })
    .on_request(|client, _request| async move {
        let online = client.server().connections().len();
        Ok(Response::text(200, format!("{online} online\n")).header("Cache-Control", "no-store")?)
    });
    let server = Server::bind("127.0.0.1:9501", handler)?;
    let handle = server.handle();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shutdown(Duration::from_secs(10));
        }
    });
    server.run().await
}
