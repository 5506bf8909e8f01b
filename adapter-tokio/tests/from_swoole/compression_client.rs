use std::error::Error;

use sockeye_tokio::core::deflate::Deflate;
use sockeye_tokio::{Config, Message, Payload, Request, Url};

pub async fn talk(url: &str) -> Result<Option<Message>, Box<dyn Error>> {
    let config = Config::new().deflate(Deflate::new());
    let url = Url::parse(url)?;
    let (mut ws, _response) = sockeye_tokio::connect_with(&url, Request::new(&url), config.into()).await?;
    ws.send(Payload::from("Hello Swoole").compress(true)).await?;
    Ok(ws.recv().await?)
}
