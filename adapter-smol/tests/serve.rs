//! `serve`, the accept loop for programs without a `Server`.
#![cfg(all(unix, feature = "smol"))]

use sockeye_smol::WebSocket;
use sockeye_testkit::assert_survives_without_descriptors;

async fn echo(mut ws: WebSocket) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}

#[test]
fn o8_serve_continues_after_running_out_of_file_descriptors() {
    let name = "o8_serve_continues_after_running_out_of_file_descriptors";
    assert_survives_without_descriptors(name, |listener| {
        smol::block_on(async { sockeye_smol::serve(listener.try_into().unwrap(), echo).await })
    });
}
