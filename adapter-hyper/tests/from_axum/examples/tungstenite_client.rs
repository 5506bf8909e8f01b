use std::error::Error;

use sockeye_tokio::CloseCode;

pub async fn ask(url: &str, question: &str) -> Result<String, Box<dyn Error>> {
    let mut socket = sockeye_tokio::connect(url).await?;
    socket.send(question).await?;
    let answer = socket.recv().await?.ok_or("no answer")?;
    socket.close(CloseCode::NORMAL, "").await?;
    Ok(answer.as_text().unwrap_or_default().to_owned())
}
