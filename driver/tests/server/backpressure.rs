//! Peers that read slowly (M4, E11).

use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use sockeye_core::http::Request;
use sockeye_core::{CloseCode, CloseFrame, Config, Frame, Opcode};
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Limits, Port, PushError, SlowReader};
use sockeye_testkit::{EventLog, RawClient, eventually};

use super::TestServer;

/// Echoes, passes each opened client to the test, and logs when a queue drains.
struct DrainLogger(EventLog, mpsc::Sender<Client>);

impl Handler for DrainLogger {
    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.1.send(client.clone())?;
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }

    async fn drained(&self, client: &Client) -> HandlerResult {
        self.0.add(format!("drained {}", client.info().queued <= 1000));
        Ok(())
    }
}

/// More bytes than the buffers of a socket hold.
const MUCH: usize = 64 << 20;

fn config() -> Config {
    Config::new().high_water_mark(100_000)
}

/// Starts a server with one open connection.
fn start(slow: SlowReader, limits: Limits) -> (TestServer, RawClient, Client, EventLog) {
    let ((opened, has_opened), log) = (mpsc::channel(), EventLog::default());
    let handler = DrainLogger(log.clone(), opened);
    let port = Port::new(handler).config(config()).low_water_mark(1000).slow_reader(slow);
    let server = TestServer::limited(limits, port);
    let raw = server.open();
    let client = has_opened.recv().unwrap();
    (server, raw, client, log)
}

/// Returns a message of 10 kB that begins with its number.
pub(super) fn numbered(number: u32) -> Vec<u8> {
    let mut message = vec![0; 10_000];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

/// Pushes numbered messages until one is refused. Returns the number of the refused one.
pub(super) fn fill(client: &Client, first: u32) -> (u32, PushError) {
    let mut number = first;
    let mut refused = 0;
    loop {
        match client.push(numbered(number)) {
            Ok(_) => (number, refused) = (number + 1, 0),
            // The connection may still be writing: wait until the socket takes no more.
            Err(PushError::Backpressure { .. }) if refused < 20 => {
                refused += 1;
                sleep(Duration::from_millis(2));
            }
            Err(error) => return (number, error),
        }
        assert!((number as usize) < MUCH / 10_000, "the queue never fills");
    }
}

/// Expects these numbered messages.
pub(super) fn expect_numbers(raw: &mut RawClient, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let frame = raw.frame().unwrap();
        assert_eq!((frame.data.len(), &frame.data[..4]), (10_000, &number.to_be_bytes()[..]));
    }
}

#[test]
fn m4_e11_a_full_queue_refuses_pushes_loses_nothing_and_reports_when_it_drains() {
    let (server, mut raw, client, log) = start(SlowReader::Error, Limits::new());
    let (pushed, error) = fill(&client, 0);
    let PushError::Backpressure { queued } = error else { panic!("{error}") };
    assert!((100_000..111_000).contains(&queued), "{queued}");
    assert_eq!((client.info().queued, server.handle.queued()), (queued, queued));
    assert!(log.lines().len() <= pushed as usize);
    let before = log.lines().len();
    expect_numbers(&mut raw, 0..pushed);
    eventually("the queue to drain", || log.lines().len() == before + 1);
    // Earlier events were logged while `fill` was still pushing, so their number may differ.
    assert_eq!(log.lines().last().map(String::as_str), Some("drained true"));
    eventually("the queue to be empty", || server.handle.queued() == 0);
    let (more, _) = fill(&client, pushed);
    // A Close can be queued even if the queue is full.
    client.close(CloseCode::GOING_AWAY, "").unwrap();
    expect_numbers(&mut raw, pushed..more);
    raw.expect_close(1001);
}

#[test]
fn m4_a_port_can_drop_messages_to_a_slow_reader() {
    let (_server, mut raw, client, _) = start(SlowReader::Drop, Limits::new());
    let mut pushed = 0;
    while client.info().queued < 100_000 {
        client.push(vec![1; 10_000]).unwrap();
        pushed += 1;
        assert!(pushed < MUCH / 10_000);
    }
    for _ in 0..MUCH / 10_000 {
        client.push(vec![2; 10_000]).unwrap();
    }
    assert!(client.info().queued < 111_000);
    client.close(CloseCode::NORMAL, "").unwrap();
    let mut received = 0;
    while let Some(frame) = raw.frame().filter(|frame| frame.opcode != Opcode::Close) {
        assert_eq!(frame.data.len(), 10_000, "each message arrives whole or not at all");
        received += 1;
    }
    assert!(received >= pushed && received < MUCH / 10_000, "{received}");
}

#[test]
fn m4_a_port_can_close_a_slow_reader() {
    let close = SlowReader::Close(CloseCode::TRY_AGAIN_LATER);
    let (_server, mut raw, client, _) = start(close, Limits::new());
    let mut pushed = 0;
    let error = loop {
        match client.push(vec![1; 10_000]) {
            Ok(_) => pushed += 1,
            Err(error) => break error,
        }
        assert!(pushed < MUCH / 10_000);
    };
    assert!(matches!(error, PushError::Backpressure { .. }));
    assert_eq!(client.push("x"), Err(PushError::Closing));
    for _ in 0..pushed {
        assert_eq!(raw.frame().unwrap().data.len(), 10_000);
    }
    let frame = raw.frame().unwrap();
    assert_eq!(CloseFrame::parse(frame.data).unwrap().status(), CloseCode::TRY_AGAIN_LATER);
}

#[test]
fn m4_all_queues_of_a_server_share_a_budget_that_is_returned_when_they_drain() {
    let (server, mut slow, client, _) = start(SlowReader::Error, Limits::new().max_queued(50_000));
    let (mut pushed, mut refused) = (0, 0);
    let error = loop {
        match client.push(vec![1; 10_000]) {
            Ok(_) => (pushed, refused) = (pushed + 1, 0),
            Err(error) => {
                // The task may be about to write.
                sleep(Duration::from_millis(20));
                refused += 1;
                if client.info().queued > 30_000 && refused >= 10 {
                    break error;
                }
            }
        }
        assert!(pushed < MUCH / 10_000);
    };
    assert!(matches!(error, PushError::ServerBackpressure { queued: 40_001.. }), "{error:?}");
    assert!(server.handle.queued() <= 51_000);
    let frame = client.push_frame(&Frame::binary(&[1; 50_001]));
    assert!(matches!(frame, Err(PushError::ServerBackpressure { .. })));
    for _ in 0..pushed {
        assert_eq!(slow.frame().unwrap().data.len(), 10_000);
    }
    eventually("the queue to be empty", || server.handle.queued() == 0);
    client.push("again").unwrap();
    slow.expect_text("again");
    // A connection that ends returns its part of the budget.
    while client.push(vec![1; 10_000]).is_ok() || client.info().queued < 30_000 {}
    drop(slow);
    eventually("the queue to be empty", || server.handle.queued() == 0);
}

#[test]
fn m4_a_peer_that_does_not_read_its_answers_is_not_read_and_loses_nothing() {
    let (server, mut raw, client, _) = start(SlowReader::Error, Limits::new());
    let mut asking = raw.try_clone();
    const ASKED: u32 = 3000;
    let asker = std::thread::spawn(move || {
        for number in 0..ASKED {
            asking.send(&Frame::binary(&numbered(number)));
        }
    });
    eventually("a full queue", || client.info().queued >= 100_000 || asker.is_finished());
    assert!(server.handle.queued() < 111_000);
    expect_numbers(&mut raw, 0..ASKED);
    asker.join().unwrap();
}
