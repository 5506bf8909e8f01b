//! Servers in memory: pushes before the 101, over transports that take little.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_core::handshake::server::Accept;
use sockeye_core::{Config, Frame, Opcode};
use sockeye_driver::server::{Callbacks, Client, Decision, Limits, Port, PushError};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::sim::*;

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// The server's side of a handshake, and the end of the client.
struct Opening {
    executor: Executor,
    pipe: Pipe,
    client: Client,
}

/// Runs `decide` in a handshake over a transport of `capacity` bytes.
fn open(
    capacity: usize,
    config: Config,
    limits: Limits,
    decide: impl Fn(&Client) + Send + Sync + 'static,
) -> Opening {
    let seen: Arc<Mutex<Option<Client>>> = Arc::default();
    let keep = seen.clone();
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(move |client, _| {
        decide(&client);
        *keep.lock().unwrap() = Some(client);
        async { Ok(Decision::Accept(Accept::new())) }
    });
    let mut executor = Executor::new();
    let port = Port::new(handler).config(config);
    let (_, connector, _) = SimRuntime::serve(&mut executor, port, limits);
    let pipe = connector.connect(capacity, Faults::default());
    pipe.push(upgrade_request("/", DEFLATE).as_bytes());
    executor.run_until_idle();
    let client = seen.lock().unwrap().take().unwrap();
    Opening { executor, pipe, client }
}

impl Opening {
    /// Reads until nothing more arrives. Returns the data frames after the 101.
    fn frames(&mut self) -> Vec<Frame<'static>> {
        let mut received = Vec::new();
        loop {
            self.executor.run_until_idle();
            let part = self.pipe.take_all();
            if part.is_empty() {
                break;
            }
            received.extend(part);
        }
        let head = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        parse_frames(&received[head..])
    }
}

/// Returns bytes that cannot be compressed, others for each seed.
fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut state = seed as u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

#[test]
fn h10_fragments_that_compression_makes_longer_arrive_whole() {
    let config =
        Config::new().high_water_mark(1000).deflate(Deflate::new().policy(CompressionPolicy::Always));
    // The transport takes hardly anything while the pushes are delivered.
    let mut opening = open(1, config, Limits::new(), |client| {
        client.push_frame(&Frame::binary(&noise(1, 200)).finish(false)).unwrap();
        loop {
            let queued = client.info().queued;
            // With its header, the last but one fills the queue up to one byte below the mark.
            let len = if queued + 204 < 1000 { 200 } else { 999 - 4 - queued };
            let part = Frame::new(Opcode::Continuation, noise(queued, len)).finish(false);
            client.push_frame(&part).unwrap();
            if client.info().queued == 999 {
                break;
            }
        }
        client.push_frame(&Frame::new(Opcode::Continuation, noise(2, 100))).unwrap();
        assert!(matches!(client.push("x"), Err(PushError::Backpressure { .. })));
    });
    let frames = opening.frames();
    assert!(frames.last().unwrap().flags.finish, "the last of {} fragments is lost", frames.len());
    let len: usize = frames.iter().map(|frame| frame.data.len()).sum();
    assert!(frames[0].flags.rsv1 && len > 1100 - 4 * frames.len());
    assert_eq!(opening.client.server().queued(), 0);
    opening.client.push("after it").unwrap();
    opening.executor.run_until_idle();
    assert!(opening.client.is_established());
}

#[test]
fn h10_pushes_while_early_ones_wait_for_room_follow_them() {
    let config = Config::new().high_water_mark(300);
    let mut opening = open(100, config, Limits::new().max_queued(1000), |client| {
        for number in 0..3 {
            client.push(payload(number, 120)).unwrap();
        }
    });
    assert!(matches!(opening.client.push(payload(3, 120)), Err(PushError::Backpressure { .. })));
    let frames = opening.frames();
    assert_eq!(
        frames.iter().map(|frame| frame.data.to_vec()).collect::<Vec<_>>(),
        [0, 1, 2].map(|n| payload(n, 120))
    );
    opening.client.push(payload(4, 120)).unwrap();
}

#[test]
fn h10_an_abort_ends_a_connection_whose_early_pushes_wait() {
    let mut opening = open(1, Config::new().high_water_mark(100), Limits::new(), |client| {
        client.push(payload(0, 90)).unwrap();
        client.push(payload(1, 90)).unwrap();
    });
    assert!(opening.client.server().queued() >= 180);
    opening.client.abort().unwrap();
    opening.executor.run_until_idle();
    assert_eq!(opening.client.server().queued(), 0);
    assert_eq!(opening.client.server().connections(), []);
}

#[test]
fn m4_a_dropped_send_before_the_101_has_sent_nothing() {
    let mut opening = open(1 << 20, Config::new().high_water_mark(100), Limits::new(), |client| {
        client.push(payload(0, 90)).unwrap();
        client.push(payload(1, 90)).unwrap();
        // Another task sends, while the handshake is being decided.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sending = pin!(client.send("given up"));
                assert!(sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            });
        });
    });
    assert_eq!(opening.frames().len(), 2);
}
