use axum::{Router, response::Response, routing::any};
use sockeye_hyper::{Error, WebSocket, axum::WebSocketUpgrade};

pub fn app() -> Router {
    Router::new().route("/ws", any(handler))
}

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.compression(true).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) -> Result<(), Error> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
