//! `serve`, the accept loop for programs without a `Server`.
#![cfg(unix)]

use sockeye_testkit::assert_survives_without_descriptors;
use sockeye_tokio::WebSocket;

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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            sockeye_tokio::serve(tokio::net::TcpListener::from_std(listener).unwrap(), echo).await
        })
    });
}
