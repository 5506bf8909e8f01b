//! Handlers that choose the answer to a Close, and take their time: in memory, with a clock that
//! only the test moves.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use sockeye_core::{CloseCode, CloseInfo, Config, Frame, Opcode};
use sockeye_driver::server::{Client, Handler, HandlerResult, Inbound, Limits, Port};
use sockeye_testkit::EventLog;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

/// A handler that waits in each message and in each Close until it is let through. It answers a
/// Close with 4000.
#[derive(Clone, Default)]
struct Slow {
    log: EventLog,
    gate: Arc<Mutex<(usize, Option<Waker>)>>,
}

impl Slow {
    async fn wait(&self) {
        poll_fn(|cx| {
            let mut gate = self.gate.lock().unwrap();
            if gate.0 == 0 {
                gate.1 = Some(cx.waker().clone());
                return Poll::Pending;
            }
            gate.0 -= 1;
            Poll::Ready(())
        })
        .await;
    }
}

impl Handler for Slow {
    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        self.log.add("message");
        self.wait().await;
        Ok(())
    }

    async fn control(&self, client: &Client, frame: &Frame<'_>) -> HandlerResult {
        self.log.add(format!("{:?}", frame.opcode));
        self.wait().await;
        self.log.add(format!("{:?}", client.close(CloseCode::from(4000), "see you")));
        Ok(())
    }

    async fn close(&self, _: &Client, info: &CloseInfo) -> HandlerResult {
        self.log.add(format!("close {} {}", info.code.as_u16(), info.clean));
        Ok(())
    }
}

struct World {
    executor: Executor,
    handler: Slow,
    pipe: Pipe,
}

impl World {
    fn new() -> Self {
        let mut executor = Executor::new();
        let handler = Slow::default();
        let config = Config::new().close_timeout(Duration::from_secs(10));
        let port = Port::new(handler.clone()).config(config).forward_close(true);
        let (_, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
        let pipe = connector.connect(1 << 20, Faults::default());
        pipe.push(UPGRADE_REQUEST);
        executor.run_until_idle();
        assert!(pipe.take_all().ends_with(b"\r\n\r\n"));
        World { executor, handler, pipe }
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.pipe.push(&client_frame(opcode, payload));
        self.executor.run_until_idle();
    }

    fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }

    /// Lets the handler continue.
    fn pass(&mut self) {
        let waker = {
            let mut gate = self.handler.gate.lock().unwrap();
            gate.0 += 1;
            gate.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
        self.executor.run_until_idle();
    }

    /// Returns the Closes that the server has sent.
    fn sent(&self) -> Vec<Vec<u8>> {
        let frames = parse_frames(&self.pipe.take_all());
        assert!(frames.iter().all(|frame| frame.opcode == Opcode::Close));
        frames.iter().map(|frame| frame.data.to_vec()).collect()
    }

    /// Ends the transport, and checks the log.
    fn end(&mut self, log: &[&str]) {
        self.pipe.shut();
        self.executor.run_until_idle();
        self.handler.log.expect(log);
    }
}

const CLOSED: &str = "Err(Closing)";

#[test]
fn w10_o2_a_slow_handler_chooses_within_half_of_the_close_timeout() {
    let mut world = World::new();
    world.send(Opcode::Close, &close_payload(4001, "bye"));
    world.wait(4999);
    assert!(world.sent().is_empty());
    world.pass();
    assert_eq!(world.sent(), [close_payload(4000, "see you")]);
    world.end(&["Close", "Ok(Queued)", "close 4001 true"]);
}

#[test]
fn w10_o2_a_handler_that_is_too_slow_leaves_the_answer_to_the_connection() {
    let mut world = World::new();
    world.send(Opcode::Close, &close_payload(4001, "bye"));
    world.wait(4999);
    assert!(world.sent().is_empty());
    world.wait(1);
    assert_eq!(world.sent(), [close_payload(4001, "bye")]);
    world.pass();
    assert!(world.sent().is_empty());
    world.end(&["Close", CLOSED, "close 4001 true"]);
}

#[test]
fn w10_o2_a_close_that_arrives_while_a_handler_waits_is_answered_after_both() {
    let mut world = World::new();
    world.send(Opcode::Text, b"hi");
    world.send(Opcode::Close, &close_payload(4001, "bye"));
    world.wait(2000);
    world.pass();
    assert!(world.sent().is_empty());
    world.wait(2000);
    world.pass();
    assert_eq!(world.sent(), [close_payload(4000, "see you")]);
    world.end(&["message", "Close", "Ok(Queued)", "close 4001 true"]);
}

#[test]
fn w10_o2_a_transport_that_ends_while_the_handler_chooses_ends_the_connection() {
    let mut world = World::new();
    world.send(Opcode::Close, &close_payload(4001, "bye"));
    world.pipe.shut();
    world.executor.run_until_idle();
    world.pass();
    assert!(world.sent().is_empty());
    world.end(&["Close", CLOSED, "close 4001 false"]);
}
