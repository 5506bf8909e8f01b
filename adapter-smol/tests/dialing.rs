//! The scenarios of connecting in `driver/tests/dial`, on smol.

use sockeye_smol::{CloseCode, ConnectError, ConnectOptions};

// Every adapter includes the same scenarios. They use `talk` of this file.
#[path = "../../driver/tests/dial/mod.rs"]
mod scenarios;

/// Connects, checks that the server echoes, and closes.
fn talk(url: &str, options: ConnectOptions) -> Result<(), ConnectError> {
    let url = url.to_string();
    // The future is `Send`, so that a task can connect.
    let task = smol::spawn(async move {
        let (mut ws, _) = sockeye_smol::connect_with(&url, options).await?;
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap().unwrap().as_text(), Some("hello"));
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        Ok(())
    });
    smol::block_on(task)
}
