//! Faults of HTTP/2: each WebSocket ends once, with the right error, and nothing remains.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use sockeye_hyper::{CloseCode, Config, Error, WebSocket};
use sockeye_testkit::frames::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc;

use crate::support::{Http2, http2_over, open, open_with, serve_stream, soon, until};

/// The size of the pipes that take the place of sockets.
const PIPE: usize = 64 << 10;

type Openings = mpsc::UnboundedReceiver<sockeye_hyper::Opening>;

/// Serves a pipe, and returns its other end and the WebSockets that open on it.
fn server(config: Config) -> (DuplexStream, Openings) {
    let (sender, openings) = mpsc::unbounded_channel();
    let (near, far) = duplex(PIPE);
    tokio::spawn(serve_stream(far, open_with(config, sender)));
    (near, openings)
}

/// Connects a client of the h2 crate.
async fn h2_client(stream: DuplexStream, window: u32) -> SendRequest<Bytes> {
    let (client, connection) =
        h2::client::Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Opens a WebSocket without a client of Sockeye.
pub(crate) async fn connect(client: SendRequest<Bytes>) -> (SendStream<Bytes>, RecvStream) {
    let request = http::Request::connect("http://localhost/ws").version(http::Version::HTTP_2);
    let request = request.header("sec-websocket-version", "13");
    let request = request.extension(Protocol::from_static("websocket")).body(()).unwrap();
    let (response, to_server) = client.ready().await.unwrap().send_request(request, false).unwrap();
    let response = soon(response).await.unwrap();
    assert_eq!(response.status(), 200);
    (to_server, response.into_body())
}

async fn next(openings: &mut Openings) -> WebSocket {
    soon(soon(openings.recv()).await.unwrap()).await.unwrap()
}

/// Receives the error that ends the WebSocket, and checks that it is reported once.
async fn end_of(ws: &mut WebSocket) -> Error {
    let error = soon(ws.recv()).await.unwrap_err();
    assert!(soon(ws.recv()).await.unwrap().is_none());
    assert!(matches!(ws.send("more").await, Err(Error::Send(_))));
    assert_eq!(ws.close_info().unwrap().code, CloseCode::ABNORMAL);
    error
}

#[tokio::test]
async fn h17_a_reset_stream_is_an_unclean_end_and_the_others_live_on() {
    let (stream, mut openings) = server(Config::new());
    let client = h2_client(stream, 65_535).await;
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let (mut to_server, _from_server) = connect(client.clone()).await;
        let mut ws = next(&mut openings).await;
        // A message that has begun does not arrive.
        to_server.send_data(Bytes::from_static(&[0x81, 0x85, 1, 2]), false).unwrap();
        to_server.send_reset(reason);
        let error = end_of(&mut ws).await;
        let reads_as_end = matches!(reason, Reason::CANCEL | Reason::NO_ERROR);
        assert_eq!(matches!(error, Error::Abnormal(_)), reads_as_end, "{reason}: {error:?}");
        assert_eq!(matches!(error, Error::Io(_)), !reads_as_end, "{reason}: {error:?}");
    }
    let (mut to_server, mut from_server) = connect(client).await;
    let mut ws = next(&mut openings).await;
    to_server.send_data(frame(true, 0x81, "hello").into(), false).unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"hello");
    ws.send("hello").await.unwrap();
    assert_eq!(soon(from_server.data()).await.unwrap().unwrap()[..], *b"\x81\x05hello");
}

#[tokio::test]
async fn h17_a_stream_that_ends_without_a_close_is_an_unclean_end() {
    let (stream, mut openings) = server(Config::new());
    let (mut to_server, _from_server) = connect(h2_client(stream, 65_535).await).await;
    let mut ws = next(&mut openings).await;
    to_server.send_data(Bytes::new(), true).unwrap();
    assert!(matches!(end_of(&mut ws).await, Error::Abnormal(_)));
}

#[tokio::test(start_paused = true)]
async fn h17_a_window_that_never_opens_blocks_one_websocket_until_its_deadline() {
    let timeout = Duration::from_secs(3);
    let (stream, mut openings) = server(Config::new().close_timeout(timeout));
    let client = h2_client(stream, 0).await;
    let (_to_server, _from_server) = connect(client.clone()).await;
    let mut ws = next(&mut openings).await;
    let message = vec![0; 1 << 20];
    let blocked = tokio::time::timeout(Duration::from_secs(60), ws.send(&message[..])).await;
    assert!(blocked.is_err() && ws.queued() > 900_000, "{} bytes are queued", ws.queued());

    let started = tokio::time::Instant::now();
    let end = ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(!end.clean);
    assert!(started.elapsed() >= timeout && started.elapsed() < timeout * 2, "{:?}", started.elapsed());
    assert!(ws.recv().await.is_ok_and(|end| end.is_none()));
    // The connection carries other WebSockets.
    let (_to_server, _from_server) = connect(client).await;
    next(&mut openings).await;
}

/// A pipe between a client and a server of HTTP/2, into whose bytes to the server a test can put a
/// frame, and which it can cut.
fn tapped(near: DuplexStream) -> (DuplexStream, mpsc::UnboundedSender<Vec<u8>>) {
    let (client, tap) = duplex(PIPE);
    let (mut from_client, mut to_client) = split(tap);
    let (mut from_server, mut to_server) = split(near);
    let (sender, mut injected) = mpsc::unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        let back = tokio::io::copy(&mut from_server, &mut to_client);
        let forth = async {
            let mut buffer = vec![0; PIPE];
            loop {
                tokio::select! {
                    read = from_client.read(&mut buffer) => {
                        let read = read.unwrap_or(0);
                        if read == 0 || to_server.write_all(&buffer[..read]).await.is_err() {
                            return;
                        }
                    }
                    frame = injected.recv() => match frame {
                        Some(frame) => to_server.write_all(&frame).await.unwrap(),
                        None => return,
                    },
                }
            }
        };
        tokio::select! {
            _ = back => {}
            () = forth => {}
        }
    });
    (client, sender)
}

/// A GOAWAY whose last stream is `last`.
fn go_away(last: u8, reason: Reason) -> Vec<u8> {
    let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last];
    frame.extend_from_slice(&u32::from(reason).to_be_bytes());
    frame
}

#[tokio::test]
async fn h17_a_goaway_in_the_middle_of_a_message_lets_it_arrive() {
    let (stream, mut openings) = server(Config::new());
    let (stream, injector) = tapped(stream);
    let (mut to_server, mut from_server) = connect(h2_client(stream, 65_535).await).await;
    let mut ws = next(&mut openings).await;
    let mut bytes = frame(true, 0x81, "before and after");
    let rest = Bytes::from(bytes.split_off(9));
    to_server.send_data(bytes.into(), false).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    injector.send(go_away(0, Reason::NO_ERROR)).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    to_server.send_data(rest, false).unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap().unwrap().as_bytes(), b"before and after");
    ws.send("an answer").await.unwrap();
    assert_eq!(soon(from_server.data()).await.unwrap().unwrap()[..], *b"\x81\x09an answer");
}

#[tokio::test]
async fn h17_a_goaway_with_an_error_ends_each_websocket_once() {
    let (stream, mut openings) = server(Config::new());
    let (stream, injector) = tapped(stream);
    let client = h2_client(stream, 65_535).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let streams = connect(client.clone()).await;
        all.push((next(&mut openings).await, streams));
    }
    // The client says that it ends the connection, and does so.
    injector.send(go_away(0, Reason::PROTOCOL_ERROR)).unwrap();
    drop(injector);
    for (ws, _) in &mut all {
        end_of(ws).await;
    }
}

/// Opens `count` WebSockets on one connection. Returns the clients, the servers' ends, and what cuts
/// the connection when it is dropped.
async fn many(count: usize) -> (Http2, Vec<WebSocket>, Vec<WebSocket>, mpsc::UnboundedSender<Vec<u8>>) {
    let (stream, mut openings) = server(Config::new());
    let (stream, cut) = tapped(stream);
    let mut http = http2_over(stream).await;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..count {
        near.push(open(&mut http).await);
        far.push(next(&mut openings).await);
    }
    (http, near, far, cut)
}

#[tokio::test]
async fn h17_a_lost_connection_ends_each_of_its_hundred_websockets_once() {
    let (http, near, far, cut) = many(100).await;
    let alive = Arc::new(());
    let ends: Vec<_> = near
        .into_iter()
        .chain(far)
        .map(|mut ws| {
            let alive = alive.clone();
            tokio::spawn(async move {
                let error = end_of(&mut ws).await;
                drop((ws, alive));
                error
            })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(cut);
    for end in ends {
        let error = soon(end).await.unwrap();
        assert!(matches!(error, Error::Io(_) | Error::Abnormal(_)), "{error:?}");
    }
    until(|| Arc::strong_count(&alive) == 1).await;
    until(|| http.is_closed()).await;
}

#[tokio::test]
async fn h17_dropping_a_websocket_ends_its_stream_and_no_other() {
    let (http, mut near, mut far, _cut) = many(3).await;
    drop(far.remove(1));
    assert!(matches!(end_of(&mut near[1]).await, Error::Abnormal(_)));
    drop(near.remove(0));
    assert!(matches!(end_of(&mut far[0]).await, Error::Abnormal(_)));
    let (near, far) = (near.last_mut().unwrap(), far.last_mut().unwrap());
    near.send("still here").await.unwrap();
    assert_eq!(soon(far.recv()).await.unwrap().unwrap().as_bytes(), b"still here");
    assert!(!http.is_closed());
}
