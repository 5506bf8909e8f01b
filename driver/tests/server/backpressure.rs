//! Rows M4 and E11: peers that read slowly.

use std::sync::mpsc;

use sockeye_core::http::Request;
use sockeye_core::{CloseCode, CloseFrame, Config, Frame, Opcode};
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Limits, Port, PushError, SlowReader};

use super::{Harness, Log, Raw, Running, eventually};

/// Gives every client away that opens, and writes down what drains.
struct Giver(Log, mpsc::Sender<Client>);

impl Handler for Giver {
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

/// More than any socket's buffers hold.
const MUCH: usize = 64 << 20;

fn config() -> Config {
    Config::new().high_water_mark(100_000)
}

fn one<T: Harness>(slow: SlowReader, limits: Limits) -> (Running, Raw, Client, Log) {
    let ((tell, told), log) = (mpsc::channel(), Log::default());
    let giver = Giver(log.clone(), tell);
    let server = Running::start::<T>(move |builder| {
        let port = Port::new(giver).config(config()).low_water_mark(1000).slow_reader(slow);
        builder.limits(limits).listen("127.0.0.1:0", port).unwrap()
    });
    let raw = server.open();
    let client = told.recv().unwrap();
    (server, raw, client, log)
}

/// A message of 10 kB.
pub(super) fn numbered(number: u32) -> Vec<u8> {
    let mut message = vec![0; 10_000];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

/// Pushes numbered messages until one is refused.
pub(super) fn fill(client: &Client, first: u32) -> (u32, PushError) {
    let mut number = first;
    let mut refused = 0;
    loop {
        match client.push(numbered(number)) {
            Ok(()) => (number, refused) = (number + 1, 0),
            // It may have made room in between, as long as the system takes more.
            Err(PushError::Backpressure { .. }) if refused < 20 => {
                refused += 1;
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Err(error) => return (number, error),
        }
        assert!((number as usize) < MUCH / 10_000, "no end of room");
    }
}

pub(super) fn expect_numbers(raw: &mut Raw, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let frame = raw.frame().unwrap();
        assert_eq!((frame.data.len(), &frame.data[..4]), (10_000, &number.to_be_bytes()[..]));
    }
}

pub(crate) fn m4_e11_a_full_queue_refuses_loses_nothing_and_tells_when_it_has_drained<T: Harness>() {
    let (server, mut raw, client, log) = one::<T>(SlowReader::Error, Limits::new());
    let (pushed, error) = fill(&client, 0);
    let PushError::Backpressure { queued } = error else { panic!("{error}") };
    assert!((100_000..111_000).contains(&queued), "{queued}");
    assert_eq!((client.info().queued, server.handle.queued()), (queued, queued));
    assert!(log.lines().len() <= pushed as usize);
    let before = log.lines().len();
    expect_numbers(&mut raw, 0..pushed);
    eventually("the drain", || log.lines().len() == before + 1);
    // Those before it were told while somebody went on pushing.
    assert_eq!(log.lines().last().map(String::as_str), Some("drained true"));
    eventually("an empty queue", || server.handle.queued() == 0);
    let (more, _) = fill(&client, pushed);
    // A close can be queued however much waits.
    client.close(CloseCode::GOING_AWAY, "").unwrap();
    expect_numbers(&mut raw, pushed..more);
    raw.expect_close(1001);
}

pub(crate) fn m4_a_slow_reader_may_miss_messages_if_so_set<T: Harness>() {
    let (_server, mut raw, client, _) = one::<T>(SlowReader::Drop, Limits::new());
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
        assert_eq!(frame.data.len(), 10_000, "whole or not at all");
        received += 1;
    }
    assert!(received >= pushed && received < MUCH / 10_000, "{received}");
}

pub(crate) fn m4_a_slow_reader_may_be_closed_if_so_set<T: Harness>() {
    let close = SlowReader::Close(CloseCode::TRY_AGAIN_LATER);
    let (_server, mut raw, client, _) = one::<T>(close, Limits::new());
    let mut pushed = 0;
    let error = loop {
        match client.push(vec![1; 10_000]) {
            Ok(()) => pushed += 1,
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

pub(crate) fn m4_the_whole_server_has_a_budget_and_others_go_on_when_there_is_room<T: Harness>() {
    let (server, mut slow, client, _) = one::<T>(SlowReader::Error, Limits::new().max_queued(50_000));
    let mut pushed = 0;
    let error = loop {
        match client.push(vec![1; 10_000]) {
            Ok(()) => pushed += 1,
            Err(error) => {
                // The task may just be about to write.
                std::thread::sleep(std::time::Duration::from_millis(20));
                if client.info().queued > 30_000 {
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
    eventually("an empty queue", || server.handle.queued() == 0);
    client.push("again").unwrap();
    slow.expect_text("again");
    // Who goes takes its part of the budget with it.
    while client.push(vec![1; 10_000]).is_ok() || client.info().queued < 30_000 {}
    drop(slow);
    eventually("an empty queue", || server.handle.queued() == 0);
}

pub(crate) fn m4_a_peer_that_asks_and_does_not_read_is_not_listened_to_and_loses_nothing<T: Harness>() {
    let (server, mut raw, client, _) = one::<T>(SlowReader::Error, Limits::new());
    let mut asking = raw.try_clone();
    const ASKED: u32 = 3000;
    let asker = std::thread::spawn(move || {
        for number in 0..ASKED {
            asking.send(&sockeye_core::Frame::binary(&numbered(number)));
        }
    });
    eventually("a full queue", || client.info().queued >= 100_000 || asker.is_finished());
    assert!(server.handle.queued() < 111_000);
    expect_numbers(&mut raw, 0..ASKED);
    asker.join().unwrap();
}
