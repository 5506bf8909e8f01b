//! `serve`, the accept loop for programs without a `Server`.
#![cfg(unix)]

use sockeye_std::WebSocket;
use sockeye_testkit::assert_survives_without_descriptors;

fn echo(mut ws: WebSocket) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    while let Some(message) = ws.recv()? {
        ws.feed(message)?;
    }
    Ok(())
}

#[test]
fn o8_serve_continues_after_running_out_of_file_descriptors() {
    let name = "o8_serve_continues_after_running_out_of_file_descriptors";
    assert_survives_without_descriptors(name, |listener| sockeye_std::serve(listener, echo));
}
