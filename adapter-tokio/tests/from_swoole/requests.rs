//! The examples of messages, and of HTTP on the same port.

use sockeye_tokio::Message;

use crate::process::Example;
use crate::soon;

async fn prints_its_events(name: &str) {
    let example = Example::start(name);
    let mut ws = example.websocket().await;
    let id = example.rest_of_line("server: handshake success with ");
    for (message, printed) in
        [(Message::from("hi"), "Text(\"hi\")"), (Message::from(vec![7; 3]), "Binary(3 bytes)")]
    {
        ws.send(message).await.unwrap();
        assert_eq!(soon(ws.recv()).await.unwrap(), Some(Message::from("this is server")));
        assert_eq!(example.line(), format!("receive from {id}: {printed}"));
    }
    soon(ws.close(4001, "done")).await.unwrap();
    assert_eq!(example.line(), format!("client {id} closed by the peer, 4001 (private): done"));
}

#[tokio::test]
async fn the_first_server_prints_its_events() {
    prints_its_events("first_server").await;
}

#[tokio::test]
async fn the_servers_with_http_print_their_events() {
    prints_its_events("request").await;
    prints_its_events("request_class").await;
}

#[test]
fn the_first_server_has_no_http() {
    let example = Example::start("first_server");
    let mut raw = example.connect();
    assert_eq!(raw.get("/").status(), 400);
    raw.expect_end();
}

#[test]
fn a_connection_knows_whether_it_is_a_websocket() {
    let example = Example::start("client_info");
    let mut raw = example.connect();
    assert_eq!(raw.get("/").text(), "not a WebSocket connection");
    // The same connection becomes one.
    raw.upgrade("/");
    raw.text("am I?");
    raw.expect_text("a WebSocket connection");
}

#[test]
fn a_request_pushes_to_all_websockets() {
    for (name, body) in [("request", ""), ("request_class", "pushed to 2\n")] {
        let example = Example::start(name);
        let mut clients = [example.open(), example.open()];
        // The example prints a line once a connection is open.
        clients.iter().for_each(|_| drop(example.rest_of_line("server: handshake success with ")));
        let answer = example.connect().get("/?message=to+all%21");
        assert_eq!((answer.status(), answer.text()), (200, body));
        clients.iter_mut().for_each(|client| client.expect_text("to all!"));
    }
}
