//! The scenarios of connecting in `driver/tests/dial`, on tokio.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sockeye_tokio::{CloseCode, ConnectError, ConnectOptions};

// Every adapter includes the same scenarios. They use `talk` of this file.
#[path = "../../driver/tests/dial/mod.rs"]
mod scenarios;

/// Connects, checks that the server echoes, and closes.
fn talk(url: &str, options: ConnectOptions) -> Result<(), ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = url.to_string();
    let task = async move {
        let (mut ws, _) = sockeye_tokio::connect_with(&url, options).await?;
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap().unwrap().as_text(), Some("hello"));
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        Ok(())
    };
    // The future is `Send`, so that a task can connect.
    let outcome = runtime.block_on(async { tokio::spawn(task).await.unwrap() });
    // A resolver that does not answer must not hold up the test.
    runtime.shutdown_background();
    outcome
}

#[test]
fn k6_connecting_outside_of_a_runtime_is_an_error() {
    for connecting in
        [pin!(sockeye_tokio::connect("ws://localhost/")), pin!(sockeye_tokio::connect("ws://[::1]/"))]
    {
        let Poll::Ready(Err(ConnectError::Io(error))) =
            connecting.poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("connecting waits");
        };
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    }
}
