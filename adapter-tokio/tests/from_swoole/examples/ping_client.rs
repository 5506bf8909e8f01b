use sockeye_tokio::WebSocketEvent;
use sockeye_tokio::server::BoxError;

pub async fn receives_its_pong(url: &str) -> Result<bool, BoxError> {
    let mut ws = sockeye_tokio::connect(url).await?;
    ws.ping(b"").await?;
    let event = ws.recv_event().await?;
    Ok(matches!(event, Some(WebSocketEvent::Pong(_))))
}
