//! Bursts: many pushes at once to peers that read (M19), and to peers that do not (M4).

use std::sync::mpsc;

use sockeye_core::{CloseCode, Config, Frame, Opcode, Prepared};
use sockeye_driver::server::{
    BoxError, Client, Handler, HandlerResult, Inbound, Limits, Port, Pushed, SlowReader,
};
use sockeye_testkit::{RawClient, eventually};

use super::{Echo, TestServer, await_open};

/// The ways to push a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Push,
    Prepared,
    Frame,
    /// Each message in two frames.
    Fragments,
    Send,
    Broadcast,
}

const WAYS: [Way; 6] = [Way::Push, Way::Prepared, Way::Frame, Way::Fragments, Way::Send, Way::Broadcast];

const POLICIES: [SlowReader; 3] =
    [SlowReader::Error, SlowReader::Drop, SlowReader::Close(CloseCode::TRY_AGAIN_LATER)];

/// The number of messages and their size: more than a queue holds, less than a socket holds.
const SHAPES: [(u32, usize); 2] = [(5, 60_000), (1000, 100)];

/// Returns a message that begins with its number.
fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut message = vec![0; size];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

/// Pushes one message, which must be queued.
async fn push(client: &Client, way: Way, message: &[u8]) -> Result<(), BoxError> {
    let pushed = match way {
        Way::Push => client.push(message)?,
        Way::Prepared => client.push_prepared(&Prepared::new(message))?,
        Way::Frame => client.push_frame(&Frame::binary(message))?,
        Way::Fragments => {
            let (first, last) = message.split_at(message.len() / 2);
            client.push_frame(&Frame::binary(first).finish(false))?;
            client.push_frame(&Frame::new(Opcode::Continuation, last))?
        }
        Way::Send => client.send(message).await?,
        Way::Broadcast => {
            let report = client.server().broadcast(|_| true, message);
            if (report.dropped, report.slow, report.failed) != (0, 0, 0) {
                return Err(format!("{report:?}").into());
            }
            Pushed::Queued
        }
    };
    if pushed == Pushed::Queued { Ok(()) } else { Err("the message was dropped".into()) }
}

/// Pushes a burst for each message, which says how: the numbers of a way and of a shape.
struct Bursts;

impl Handler for Bursts {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let &[way, shape] = message.as_bytes() else { return Err("two numbers are needed".into()) };
        let (count, size) = SHAPES[usize::from(shape)];
        for number in 0..count {
            push(client, WAYS[usize::from(way)], &numbered(number, size)).await?;
        }
        Ok(())
    }
}

/// Expects all messages of a burst, in order.
fn expect_burst(raw: &mut RawClient, (count, size): (u32, usize), what: &str) {
    for number in 0..count {
        let mut data = Vec::new();
        loop {
            let frame = raw.frame().unwrap_or_else(|| panic!("{what}: the end instead of message {number}"));
            assert!(!frame.opcode.is_control(), "{what}: {frame:?} instead of message {number}");
            data.extend_from_slice(&frame.data);
            if frame.flags.finish {
                break;
            }
        }
        assert_eq!((data.len(), &data[..4]), (size, &number.to_be_bytes()[..]), "{what}");
    }
}

#[test]
fn m19_a_burst_of_one_handler_reaches_a_peer_that_reads() {
    for slow in POLICIES {
        let server = TestServer::port(Port::new(Bursts).slow_reader(slow));
        for (way_number, way) in WAYS.into_iter().enumerate() {
            for (shape_number, shape) in SHAPES.into_iter().enumerate() {
                let mut raw = server.open();
                let count = if way == Way::Broadcast { 2 } else { 0 };
                let mut others: Vec<RawClient> = (0..count).map(|_| server.open()).collect();
                await_open(&server.handle, 1 + count);
                raw.send(&Frame::binary(&[way_number as u8, shape_number as u8]));
                for raw in std::iter::once(&mut raw).chain(&mut others) {
                    expect_burst(raw, shape, &format!("{way:?} {shape:?} {slow:?}"));
                    raw.close(1000, "");
                    raw.expect_close(1000);
                }
                eventually("the connections to end", || server.handle.connections().is_empty());
            }
        }
    }
}

#[test]
fn m19_a_burst_of_another_thread_reaches_a_peer_that_reads() {
    for slow in POLICIES {
        let (opened, has_opened) = mpsc::channel();
        let server = TestServer::port(Port::new(Echo(opened)).slow_reader(slow));
        for way in WAYS {
            for shape in SHAPES {
                let mut raw = server.open();
                let client = has_opened.recv().unwrap();
                let pusher = std::thread::spawn(move || {
                    for number in 0..shape.0 {
                        let message = numbered(number, shape.1);
                        sockeye_driver::server::blocking::block_on(push(&client, way, &message)).unwrap();
                    }
                });
                expect_burst(&mut raw, shape, &format!("{way:?} {shape:?} {slow:?}"));
                pusher.join().unwrap();
                raw.close(1000, "");
                raw.expect_close(1000);
            }
        }
    }
}

#[test]
fn m19_a_burst_reaches_a_peer_that_reads_however_low_the_mark_is() {
    // Each push writes the one before it. Runtimes may limit how much one task does in a row.
    let config = Config::new().high_water_mark(1);
    let server = TestServer::port(Port::new(Bursts).config(config));
    for (way_number, way) in WAYS.into_iter().enumerate() {
        let mut raw = server.open();
        raw.send(&Frame::binary(&[way_number as u8, 1]));
        expect_burst(&mut raw, SHAPES[1], &format!("{way:?}"));
        raw.close(1000, "");
        raw.expect_close(1000);
    }
}

#[test]
fn m19_a_burst_to_peers_that_read_is_not_refused_for_the_budget_of_the_server() {
    for slow in POLICIES {
        let port = Port::new(Bursts).slow_reader(slow);
        let server = TestServer::limited(Limits::new().max_queued(150_000), port);
        let mut all: Vec<RawClient> = (0..10).map(|_| server.open()).collect();
        await_open(&server.handle, 10);
        for (shape_number, shape) in SHAPES.into_iter().enumerate() {
            let broadcast = WAYS.iter().position(|way| *way == Way::Broadcast).unwrap();
            all[0].send(&Frame::binary(&[broadcast as u8, shape_number as u8]));
            for raw in &mut all {
                expect_burst(raw, shape, &format!("{shape:?} {slow:?}"));
            }
        }
    }
}

/// Pushes more than a socket holds, and passes the number of accepted pushes to the test with the
/// length of the queue.
struct Flood(mpsc::Sender<(u32, usize)>);

impl Handler for Flood {
    async fn message(&self, client: &Client, _: Inbound<'_>) -> HandlerResult {
        let mut accepted = 0;
        let mut longest = 0;
        for number in 0..FLOOD {
            accepted += u32::from(client.push(numbered(number, 10_000)).is_ok());
            longest = longest.max(client.info().queued);
        }
        self.0.send((accepted, longest))?;
        Ok(())
    }
}

/// The number of messages that are more than the buffers of a socket hold.
const FLOOD: u32 = 6000;

#[test]
fn m4_a_flood_of_one_handler_to_a_peer_that_does_not_read_stays_within_the_mark() {
    for slow in POLICIES {
        let (flooded, has_flooded) = mpsc::channel();
        let server = TestServer::port(Port::new(Flood(flooded)).slow_reader(slow));
        let mut raw = server.open();
        raw.text("flood me");
        let (accepted, longest) = has_flooded.recv().unwrap();
        assert!(longest < (64 << 10) + 10_100, "{slow:?}: {longest} bytes were queued");
        // A dropped message counts as pushed.
        assert_eq!(accepted == FLOOD, slow == SlowReader::Drop, "{slow:?}: {accepted}");
        raw.close(1000, "");
        let mut received = 0;
        let close = loop {
            let frame = raw.frame().unwrap();
            if frame.opcode == Opcode::Close {
                break u16::from_be_bytes([frame.data[0], frame.data[1]]);
            }
            assert_eq!(frame.data.len(), 10_000);
            received += 1;
        };
        assert!(received < FLOOD && (received == accepted || slow == SlowReader::Drop), "{slow:?}");
        assert_eq!(close, if matches!(slow, SlowReader::Close(_)) { 1013 } else { 1000 });
    }
}
