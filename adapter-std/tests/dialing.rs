//! The scenarios of connecting in `driver/tests/dial`, without a runtime.

use sockeye_std::{CloseCode, ConnectError, ConnectOptions};

// Every adapter includes the same scenarios. They use `talk` of this file.
#[path = "../../driver/tests/dial/mod.rs"]
mod scenarios;

/// Connects, checks that the server echoes, and closes.
fn talk(url: &str, options: ConnectOptions) -> Result<(), ConnectError> {
    let (mut ws, _) = sockeye_std::connect_with(url, options)?;
    ws.send("hello").unwrap();
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("hello"));
    ws.close(CloseCode::NORMAL, "").unwrap();
    Ok(())
}
