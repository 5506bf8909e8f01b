//! The examples of `docs/from-swoole.md`, run; and the document, held against them.
#![allow(unreachable_pub, reason = "the examples are as they stand in the document")]

mod before_handshake_response;
mod class;
mod close_frames;
mod compression_client;
mod compression_server;
mod defer;
mod document;
mod first;
mod handshake;
mod pack;
mod ping_client;
mod ping_frames;
mod ping_server;
mod pong_frames;
mod request;
mod status;
mod subprotocol;
mod unpack;

use std::time::Duration;

use sockeye_tokio::server::{Server, ServerHandle};
use sockeye_tokio::{
    CloseCode, Config, ConnectError, Frame, Message, Opcode, Request, Response, Url, WebSocket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that runs until the test ends.
struct Running {
    url: String,
    handle: ServerHandle,
}

fn run(server: Server) -> Running {
    let url = format!("ws://{}/", server.addresses()[0]);
    let handle = server.handle();
    tokio::spawn(server.run());
    Running { url, handle }
}

impl Running {
    async fn connect(&self) -> WebSocket {
        sockeye_tokio::connect(&self.url).await.unwrap()
    }

    async fn connect_with(
        &self,
        request: impl FnOnce(Request) -> Request,
    ) -> Result<(WebSocket, Response), ConnectError> {
        let url = Url::parse(&self.url).unwrap();
        sockeye_tokio::connect_with(&url, request(Request::new(&url)), Config::new().into()).await
    }

    /// What a raw GET is answered with.
    async fn get(&self, target: &str) -> String {
        let mut stream =
            TcpStream::connect(self.url.trim_start_matches("ws://").trim_end_matches('/')).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

async fn text(ws: &mut WebSocket) -> String {
    match ws.recv().await.unwrap() {
        Some(Message::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

const ANY: &str = "127.0.0.1:0";

#[tokio::test]
async fn a_first_server() {
    let server = run(first::server(ANY).unwrap());
    let mut ws = server.connect().await;
    ws.send("hello").await.unwrap();
    assert_eq!(text(&mut ws).await, "this is server");
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
}

#[tokio::test]
async fn whether_it_is_a_websocket() {
    let server = run(status::server(ANY).unwrap());
    let mut ws = server.connect().await;
    ws.send("what am I").await.unwrap();
    assert_eq!(text(&mut ws).await, "an open WebSocket");
}

#[tokio::test]
async fn a_custom_handshake() {
    let server = run(handshake::server(ANY).unwrap());
    let Err(ConnectError::Handshake(error)) = server.connect_with(|request| request).await else {
        panic!("it has no token")
    };
    assert!(error.to_string().contains("403"), "{error}");
    let url = Url::parse(&format!("{}?token=secret", server.url)).unwrap();
    let request = Request::new(&url).subprotocol("one").unwrap().subprotocol("two").unwrap();
    let (mut ws, _) = sockeye_tokio::connect_with(&url, request, Config::new().into()).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("one"));
    ws.send("hello").await.unwrap();
    assert_eq!(text(&mut ws).await, "hello");
}

#[tokio::test]
async fn what_is_deferred_in_a_custom_handshake_follows_the_101() {
    let server = run(defer::server(ANY).unwrap());
    assert_eq!(text(&mut server.connect().await).await, "hello, welcome\n");
}

#[tokio::test]
async fn headers_of_the_101() {
    let server = run(before_handshake_response::server(ANY).unwrap());
    let (_ws, response) = server.connect_with(|request| request).await.unwrap();
    assert_eq!(response.headers().first("x-connection"), Some("1"));
    assert_eq!(response.headers().first("set-cookie"), Some("seen=yes; Path=/"));
}

#[tokio::test]
async fn a_request_pushes_to_all() {
    let server = run(request::server(ANY).unwrap());
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    assert!(server.get("/push?message=hello+all").await.ends_with("\r\n\r\npushed\n"));
    assert_eq!((text(&mut one).await, text(&mut two).await), ("hello all".into(), "hello all".into()));
    one.send("x").await.unwrap();
    assert_eq!(text(&mut one).await, "this is server");
}

#[tokio::test]
async fn a_server_as_a_type() {
    let server = run(class::server(ANY).unwrap());
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    assert!(server.get("/?message=hi").await.ends_with("\r\n\r\ntold 2\n"));
    assert_eq!((text(&mut one).await, text(&mut two).await), ("hi".into(), "hi".into()));
    one.send("x").await.unwrap();
    assert_eq!(text(&mut one).await, "this is server, and this was message 1");
    two.send("x").await.unwrap();
    assert_eq!(text(&mut two).await, "this is server, and this was message 2");
}

#[tokio::test]
async fn frames_are_packed_and_unpacked_with_no_connection() {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(pack::serve_one(listener));
    let mut ws = sockeye_tokio::connect(&url).await.unwrap();
    assert_eq!(text(&mut ws).await, "hello world\n");
    server.await.unwrap().unwrap();

    let bytes = [Frame::text("one").pack(), Frame::text("two").pack()].concat();
    assert_eq!(unpack::first_payload(&bytes), Ok(Some((b"one".to_vec(), 5))));
    assert_eq!(unpack::first_payload(&bytes[..4]), Ok(None));
    assert!(unpack::first_payload(&[0x83, 0]).is_err());
}

#[tokio::test]
async fn a_subprotocol_is_answered_if_it_is_offered() {
    let server = run(subprotocol::server(ANY).unwrap());
    let (ws, _) = server.connect_with(|request| request.subprotocol("chat").unwrap()).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("chat"));
    let (ws, response) = server.connect_with(|request| request).await.unwrap();
    assert_eq!((ws.subprotocol(), response.headers().first("sec-websocket-protocol")), (None, None));
}

#[tokio::test]
async fn close_frames_are_seen_and_answered_all_the_same() {
    let server = run(close_frames::server(ANY).unwrap());
    let mut ws = server.connect().await;
    ws.send("hello").await.unwrap();
    assert_eq!(text(&mut ws).await, "hello");
    let info = ws.close(CloseCode::from(4001), "done").await.unwrap();
    assert_eq!((info.code, info.clean), (CloseCode::from(4001), true));
}

#[tokio::test]
async fn pings_are_left_to_the_handler_and_pongs_are_seen() {
    let server = run(ping_frames::server(ANY).unwrap());
    ping_client::ping(&server.url).await.unwrap();
    let server = run(pong_frames::server(ANY).unwrap());
    let mut ws = server.connect().await;
    ws.send_frame(&Frame::new(Opcode::Pong, b"unasked".as_slice())).await.unwrap();
    assert_eq!(text(&mut ws).await, "pong frame received: code 10");
}

#[tokio::test]
async fn messages_are_compressed_on_request() {
    let server = run(compression_server::server(ANY).unwrap());
    let talked = compression_client::talk(&server.url).await.unwrap();
    assert_eq!(talked, Some(Message::Text("Hello Swoole".into())));
    // A client that does not offer it gets the same, uncompressed.
    let mut ws = server.connect().await;
    ws.send("hello").await.unwrap();
    assert_eq!((text(&mut ws).await, ws.deflate()), ("Hello Swoole".into(), None));
}

#[tokio::test]
async fn pings_go_both_ways() {
    let server = run(ping_server::server(ANY).unwrap());
    ping_client::ping(&server.url).await.unwrap();
    let mut ws = server.connect().await;
    ws.send("ping me").await.unwrap();
    let client = server.handle.client(*server.handle.connections().iter().max().unwrap()).unwrap();
    while client.info().round_trip.is_none() {
        let _ = tokio::time::timeout(Duration::from_millis(10), ws.recv()).await;
    }
}
