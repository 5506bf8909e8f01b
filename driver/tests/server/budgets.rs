//! The budgets for the memory that peers make a server hold (T43, T45).

use std::time::Duration;

use sockeye_core::http::Response;
use sockeye_core::{CloseFrame, Config, Frame, Opcode};
use sockeye_driver::server::{
    BoxError, Client, ConnectionId, Handler, HandlerResult, HttpRequest, Inbound, Limits, ListenOptions, Port,
};
use sockeye_testkit::{RawClient, eventually};

use super::TestServer;

/// Echoes messages, and answers with the length of a body.
struct Echo;

impl Handler for Echo {
    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        let body = request.body().await?;
        Ok(Some(Response::text(200, format!("{}", body.len()))))
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

fn start(limits: Limits) -> TestServer {
    TestServer::limited(limits, Port::new(Echo))
}

/// Reads up to the next Close, and returns its code, or `None` at the end of the input.
fn close_code(raw: &mut RawClient) -> Option<u16> {
    let frame = raw.frame()?;
    assert_eq!(frame.opcode, Opcode::Close, "{frame:?}");
    Some(CloseFrame::parse(frame.data).unwrap().status().as_u16())
}

#[test]
fn t43_unfinished_messages_stay_within_the_budget_and_others_are_not_affected() {
    const BUDGET: usize = 1 << 20;
    let server = start(Limits::new().max_received(BUDGET));
    let mut healthy = server.open();
    let mut hostile: Vec<(ConnectionId, RawClient)> = Vec::new();
    for n in 0..40 {
        let mut raw = server.open();
        let newest = server.handle.connections().into_iter().max().unwrap();
        raw.send(&Frame::binary(&[7; 60_000]).finish(false));
        hostile.push((newest, raw));
        healthy.text(&format!("message {n}"));
        healthy.expect_text(&format!("message {n}"));
    }
    // 40 times 60 kB are more than twice the budget.
    eventually("room in the budget", || server.handle.received() <= BUDGET);
    // With TLS the messages arrive in records, so the server stops reading some that hold less.
    let most = if crate::TLS { 35 } else { 19 };
    eventually("ended connections", || server.handle.connections().len() <= most);
    let open = server.handle.connections();
    assert!(open.len() > 5, "{} left open", open.len());
    for (id, raw) in &mut hostile {
        if !open.contains(id) {
            assert_eq!(close_code(raw), Some(1013));
        }
    }
    drop(hostile);
    // With TLS, the rest may be connections that are not read. They end at their deadlines.
    if !crate::TLS {
        eventually("an empty budget", || server.handle.received() == 0);
    }
    healthy.text("at last");
    healthy.expect_text("at last");
}

#[test]
fn t43_a_message_above_half_of_the_budget_gets_1009_when_the_budget_is_exceeded() {
    let server = start(Limits::new().max_received(200_000));
    let mut raw = server.open();
    raw.send(&Frame::binary(&[7; 150_000]).finish(false));
    eventually("a counted message", || server.handle.received() > 100_000);
    // It holds most of the budget, so it is not read any more. A second one exceeds the budget.
    let mut second = server.open();
    second.send(&Frame::binary(&[7; 90_000]).finish(false));
    assert_eq!(close_code(&mut raw), Some(1009));
    drop(raw);
    second.send(&Frame::new(Opcode::Continuation, &b"!"[..]));
    assert_eq!(second.frame().unwrap().data.len(), 90_001);
}

#[test]
fn t43_bodies_count_and_get_503() {
    const BUDGET: usize = 400_000;
    let server = start(Limits::new().max_received(BUDGET));
    let mut healthy = server.connect();
    let mut hostile: Vec<RawClient> = (0..10).map(|_| server.connect()).collect();
    for raw in &mut hostile {
        raw.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
        raw.write([7; 99_000]);
        assert_eq!(healthy.get("/").text(), "0");
    }
    eventually("room in the budget", || server.handle.received() <= BUDGET);
    let mut refused = 0;
    for raw in &mut hostile {
        raw.write([7; 1000]);
        match raw.answer() {
            answer if answer.status() == 503 => refused += 1,
            answer => assert_eq!(answer.text(), "100000"),
        }
    }
    assert!((1..10).contains(&refused), "{refused} refused");
    eventually("an empty budget", || server.handle.received() == 0);
}

#[test]
fn t45_peers_that_do_not_read_do_not_make_others_be_refused() {
    const ROUNDS: usize = 100;
    const MUTE: usize = 30;
    let message = vec![7; 64 << 10];
    // Ten of the messages, if each queue counted its own.
    let options = ListenOptions::new().send_buffer(32 << 10);
    let limits = Limits::new().max_queued(10 * (64 << 10));
    let server = TestServer::limited(limits, Port::new(Echo).listen_options(options));
    let mute: Vec<RawClient> = (0..MUTE).map(|_| server.open()).collect();
    let mut readers: Vec<RawClient> = (0..3).map(|_| server.open()).collect();
    eventually("open connections", || {
        server.handle.broadcast(|_| true, "hello").queued == MUTE + readers.len()
    });
    for raw in &mut readers {
        while *raw.frame().unwrap().data != b"hello"[..] {}
    }
    let mut largest = 0;
    for _ in 0..ROUNDS {
        server.handle.broadcast(|_| true, message.clone());
        largest = largest.max(server.handle.queued());
        for raw in &mut readers {
            // More than one greeting may have been sent.
            while raw.frame().expect("a message").data.len() != message.len() {}
        }
    }
    assert!(largest <= 10 * (64 << 10), "{largest} bytes queued");
    drop(mute);
}

#[test]
fn t14_the_send_buffer_of_a_port_can_be_small() {
    let options = ListenOptions::new().send_buffer(8 << 10).unsent_low_water_mark(4 << 10);
    let port = Port::new(Echo).config(Config::new().high_water_mark(1 << 20));
    let server = TestServer::port(port.listen_options(options));
    let raw = server.open();
    eventually("an open connection", || server.handle.connections().len() == 1);
    let id = server.handle.connections()[0];
    let mut pushed = 0;
    while server.handle.queued() == 0 && pushed < 64 << 20 {
        server.handle.push(id, vec![7; 32 << 10]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        pushed += 32 << 10;
    }
    assert!(pushed < 64 << 20, "the system takes everything");
    drop(raw);
}
