//! The adapter over real sockets, and over the in-memory streams and the clock of tokio.

use std::sync::Arc;
use std::time::Duration;

use sockeye_tokio::protocol::handshake::client::ClientHandshakeError;
use sockeye_tokio::{
    Accept, AcceptError, ClientRequest, CloseCode, CloseFrame, Config, ConnectError, Error, Message,
    Response, Upgrade, Url, WebSocket, WebSocketEvent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;

/// Connects a client to a server in memory.
async fn pair(config: Config) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(1 << 16);
    let url = Url::parse("ws://host/").unwrap();
    let config = Arc::new(config);
    let (server, client) = tokio::join!(
        sockeye_tokio::accept_with(near, config.clone(), async |_: &Upgrade| Ok(Accept::new())),
        sockeye_tokio::client(far, ClientRequest::new(&url), config.clone()),
    );
    (server.unwrap(), client.unwrap().0)
}

#[tokio::test]
async fn messages_go_both_ways_over_tcp_and_the_close_is_clean() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut ws = sockeye_tokio::accept(stream).await.unwrap();
        while let Some(message) = ws.recv().await.unwrap() {
            ws.feed(message).await.unwrap();
        }
        ws.close_info().cloned().unwrap()
    });
    let mut ws = sockeye_tokio::connect(&url).await.unwrap();
    let large = Message::Binary(vec![7; 300_000].into());
    for message in [Message::text("λ"), large, Message::text("")] {
        ws.send(&message).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(message));
    }
    let info = ws.close(4001, "done").await.unwrap();
    assert!(info.clean);
    let info = server.await.unwrap();
    assert_eq!((info.code, &*info.reason, info.clean), (CloseCode::from(4001), "done", true));
}

#[tokio::test]
async fn the_application_sees_the_request_may_wait_and_refuses_with_a_body() {
    let (near, far) = duplex(1 << 16);
    let url = Url::parse("ws://host/secret?user=1").unwrap();
    let decide = async |upgrade: &Upgrade| {
        tokio::task::yield_now().await;
        assert_eq!((upgrade.path(), upgrade.request().query()), ("/secret", Some("user=1")));
        Err(Response::text(403, "not you"))
    };
    let (server, client) = tokio::join!(
        sockeye_tokio::accept_with(near, Arc::default(), decide),
        sockeye_tokio::client(far, ClientRequest::new(&url), Arc::default()),
    );
    assert!(matches!(server, Err(AcceptError::Rejected(403))));
    let Err(ConnectError::Handshake(ClientHandshakeError::Refused(response))) = client else {
        panic!("the client must receive the refusal");
    };
    assert_eq!((response.status(), response.content()), (403, &b"not you"[..]));
}

#[tokio::test(start_paused = true)]
async fn h12_a_stalled_handshake_times_out_on_the_clock_of_tokio() {
    let (near, mut far) = duplex(1 << 16);
    let config = Arc::new(Config::new().handshake_timeout(Duration::from_secs(3600)));
    let begun = tokio::time::Instant::now();
    let server = tokio::spawn(sockeye_tokio::read_upgrade(near, config));
    far.write_all(b"GET / HT").await.unwrap();
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(far);
    assert!(matches!(server.await.unwrap(), Err(AcceptError::Handshake(_))));
    assert!(begun.elapsed() >= Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn o7_pings_measure_the_round_trip_and_a_silent_peer_is_disconnected() {
    let config = Config::new().keepalive(Duration::from_secs(100), Duration::from_secs(50));
    let (mut server, mut client) = pair(config).await;
    let answering = tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_secs(250), client.recv()).await;
        client
    });
    let waiting = tokio::spawn(async move {
        let end = server.recv().await;
        (end, server)
    });
    let client = answering.await.unwrap();
    // From here on no task answers pings for the client.
    let (end, server) = waiting.await.unwrap();
    assert!(matches!(end, Err(Error::Abnormal(info)) if info.code == CloseCode::POLICY_VIOLATION));
    assert!(server.round_trip().is_some());
    drop(client);
}

#[tokio::test]
async fn wss_without_tls_and_invalid_urls_are_errors() {
    #[cfg(not(feature = "rustls"))]
    assert!(matches!(sockeye_tokio::connect("wss://127.0.0.1/").await, Err(ConnectError::Tls)));
    assert!(matches!(sockeye_tokio::connect("http://127.0.0.1/").await, Err(ConnectError::Url(_))));
}

#[tokio::test]
async fn k3_a_receive_that_times_out_loses_nothing() {
    let (mut server, mut client) = pair(Config::new()).await;
    assert!(tokio::time::timeout(Duration::from_millis(5), client.recv()).await.is_err());
    server.send("late").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some(Message::Text("late".into())));
}

#[tokio::test]
async fn w10_k4_a_client_receives_its_pong_and_a_server_chooses_the_answer_to_a_close() {
    let (mut server, mut client) = pair(Config::new().auto_close(false)).await;
    let serving = tokio::spawn(async move {
        let mut events = Vec::new();
        while let Some(event) = server.recv_event().await.unwrap() {
            if let WebSocketEvent::Close(_) = event {
                server.begin_close(CloseCode::from(4000), "see you").await.unwrap();
            }
            events.push(event);
        }
        events
    });
    client.ping(b"there?").await.unwrap();
    assert_eq!(client.recv_event().await.unwrap(), Some(WebSocketEvent::Pong("there?".into())));
    let info = client.close(CloseCode::from(4001), "bye").await.unwrap();
    assert_eq!(info.answer, Some(CloseFrame::new(CloseCode::from(4000), "see you")));
    let close = CloseFrame::new(CloseCode::from(4001), "bye");
    let events = serving.await.unwrap();
    assert_eq!(events, [WebSocketEvent::Ping("there?".into()), WebSocketEvent::Close(close)]);
}
