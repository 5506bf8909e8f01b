use std::error::Error;
use std::time::Duration;

/// Sends a ping, and gives the time that its pong took.
pub async fn ping(url: &str) -> Result<Duration, Box<dyn Error>> {
    let mut ws = sockeye_tokio::connect(url).await?;
    ws.ping(b"").await?;
    while ws.round_trip().is_none() {
        // Pongs are seen by who receives; here nothing else comes.
        let _ = tokio::time::timeout(Duration::from_millis(10), ws.recv()).await;
    }
    ws.round_trip().ok_or_else(|| "no pong".into())
}
