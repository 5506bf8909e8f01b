//! WebSockets over HTTP/2, when all goes well.

use std::time::Duration;

use sockeye_hyper::{CloseCode, Config};
use tokio::sync::mpsc;

use crate::support::{assert_echo, echo, http2, open, open_with, serve, soon, until};

#[tokio::test]
async fn h17_twenty_websockets_share_one_connection() {
    let mut http = http2(serve(echo).await).await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(open(&mut http).await);
    }
    for (index, ws) in all.iter_mut().enumerate() {
        assert!(ws.io().tcp().is_none() && ws.deflate().is_some());
        assert_echo(ws, &format!("message of {index}")).await;
        assert_echo(ws, &format!("long message of {index} ").repeat(20_000)).await;
    }
    for ws in &mut all {
        assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
        assert!(soon(ws.recv()).await.unwrap().is_none());
    }
    assert!(!http.is_closed());
}

#[tokio::test]
async fn h17_an_unread_websocket_stops_its_peer_and_not_the_other_streams() {
    let (sender, mut openings) = mpsc::unbounded_channel();
    let mut http = http2(serve(open_with(Config::new(), sender)).await).await;
    let mut blocked = open(&mut http).await;
    let unread = soon(soon(openings.recv()).await.unwrap()).await.unwrap();
    let message = "x".repeat(1 << 20);
    let mut sent = 0;
    let pause = Duration::from_millis(200);
    while sent < 64 && tokio::time::timeout(pause, blocked.send(&message)).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 64, "64 MiB were accepted although nothing is read");

    let mut other = open(&mut http).await;
    let mut served = soon(soon(openings.recv()).await.unwrap()).await.unwrap();
    other.send("still here").await.unwrap();
    assert_eq!(soon(served.recv()).await.unwrap().unwrap().as_bytes(), b"still here");
    drop(unread);
}

#[tokio::test]
async fn h17_the_stream_ends_with_end_stream_after_the_closing_handshake() {
    let (sender, mut openings) = mpsc::unbounded_channel();
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(crate::support::serve_stream(far, open_with(Config::new(), sender)));
    let (h2, connection) = h2::client::handshake(near).await.unwrap();
    tokio::spawn(connection);
    let (mut to_server, mut from_server) = crate::faults::connect(h2).await;
    let mut ws = soon(soon(openings.recv()).await.unwrap()).await.unwrap();

    let close = sockeye_testkit::frames::frame(true, 0x88, 1000_u16.to_be_bytes());
    to_server.send_data(close.into(), false).unwrap();
    assert!(soon(ws.recv()).await.unwrap().is_none());
    let answer = soon(from_server.data()).await.unwrap().unwrap();
    assert_eq!(&answer[..], [0x88, 2, 3, 0xe8]);
    // The frame with END_STREAM is empty. After a reset there would be an error.
    assert!(soon(from_server.data()).await.unwrap().unwrap().is_empty());
    assert!(from_server.is_end_stream());
    to_server.send_data(bytes::Bytes::new(), true).unwrap();
    assert!(ws.close_info().unwrap().clean);
}

#[tokio::test]
async fn h17_a_thousand_streams_on_one_connection_open_echo_and_end() {
    let (sender, mut openings) = mpsc::unbounded_channel();
    let mut http = http2(serve(open_with(Config::new(), sender)).await).await;
    let alive = std::sync::Arc::new(());
    let counted = alive.clone();
    tokio::spawn(async move {
        while let Some(opening) = openings.recv().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let ended = crate::support::echo_on(opening.await.unwrap()).await;
                drop(counted);
                ended
            });
        }
    });
    let mut all = Vec::new();
    for _ in 0..1000 {
        all.push(open(&mut http).await);
    }
    // The server allows 1,000 streams. The next one waits until one of them has ended.
    let mut other = http.clone();
    let waiting = tokio::spawn(async move { open(&mut other).await });
    for ws in &mut all {
        assert_echo(ws, "hello").await;
    }
    assert!(!waiting.is_finished());
    for ws in &mut all {
        assert!(soon(ws.close(CloseCode::NORMAL, "")).await.unwrap().clean);
    }
    drop(all);
    assert_echo(&mut soon(waiting).await.unwrap(), "hello").await;
    until(|| std::sync::Arc::strong_count(&alive) == 2).await;
}
