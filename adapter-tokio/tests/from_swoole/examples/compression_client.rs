use sockeye_tokio::protocol::deflate::{CompressionPolicy, Deflate};
use sockeye_tokio::server::BoxError;
use sockeye_tokio::{ConnectOptions, Payload, WebSocket};

pub async fn client(url: &str) -> Result<WebSocket, BoxError> {
    let deflate = Deflate::new().policy(CompressionPolicy::OnRequest);
    let (mut ws, _) = sockeye_tokio::connect_with(url, ConnectOptions::new().compression(deflate)).await?;
    ws.send(Payload::from("Hello Hello Hello Hello").compress(true)).await?;
    Ok(ws)
}
