use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use sockeye_tokio::server::BoxError;

pub async fn round_trip(url: &str) -> Result<Duration, BoxError> {
    let mut ws = sockeye_tokio::connect(url).await?;
    ws.ping(b"").await?;
    poll_fn(|cx| {
        loop {
            let received = ws.poll_recv(cx)?;
            if let Some(time) = ws.round_trip() {
                return Poll::Ready(Ok(time));
            }
            match received {
                Poll::Ready(Some(_message)) => {}
                Poll::Ready(None) => return Poll::Ready(Err("closed without a pong".into())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
