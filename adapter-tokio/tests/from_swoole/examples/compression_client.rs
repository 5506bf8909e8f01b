use sockeye_tokio::protocol::deflate::{CompressionPolicy, Deflate};
use sockeye_tokio::server::BoxError;
use sockeye_tokio::{ClientRequest, Config, Payload, Url, WebSocket};

pub async fn client(url: &str) -> Result<WebSocket, BoxError> {
    let url = Url::parse(url)?;
    let config = Config::new().deflate(Deflate::new().policy(CompressionPolicy::OnRequest));
    let (mut ws, _) = sockeye_tokio::connect_with(&url, ClientRequest::new(&url), config).await?;
    ws.send(Payload::from("Hello Hello Hello Hello").compress(true)).await?;
    Ok(ws)
}
