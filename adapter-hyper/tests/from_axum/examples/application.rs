use axum::{Extension, extract::State, response::Response};
use sockeye_hyper::{Error, WebSocket, axum::WebSocketUpgrade};

use super::{App, User};

pub async fn ws(State(app): State<App>, Extension(user): Extension<User>, ws: WebSocketUpgrade) -> Response {
    ws.compression(true).subprotocols(["chat"]).on_upgrade(|socket| talk(socket, app, user))
}

async fn talk(mut socket: WebSocket, app: App, user: User) -> Result<(), Error> {
    socket.send(format!("hello {} on {}", user.name, app.name)).await?;
    while let Some(message) = socket.recv().await? {
        println!("{}: {:?}", user.name, message.as_text());
    }
    Ok(())
}
