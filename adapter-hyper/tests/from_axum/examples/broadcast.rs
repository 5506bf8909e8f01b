use axum::{extract::State, response::Response};
use sockeye_hyper::{Error, Message, WebSocket, axum::WebSocketUpgrade};
use tokio::sync::broadcast;

pub async fn ws(State(room): State<broadcast::Sender<Message>>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(|socket| join(socket, room))
}

async fn join(socket: WebSocket, room: broadcast::Sender<Message>) -> Result<(), Error> {
    let mut messages = room.subscribe();
    let (mut sender, mut receiver) = socket.split();
    let sending = tokio::spawn(async move {
        while let Ok(message) = messages.recv().await {
            sender.send(message).await?;
        }
        Ok::<_, Error>(())
    });
    while let Some(message) = receiver.recv().await? {
        let _ = room.send(message);
    }
    sending.abort();
    Ok(())
}
