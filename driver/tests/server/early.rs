//! Pushes before the 101 (H10, M4, M19).

use std::future::poll_fn;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;

use sockeye_core::handshake::server::Accept;
use sockeye_core::http::Response;
use sockeye_core::{CloseCode, Config};
use sockeye_driver::server::blocking::block_on;
use sockeye_driver::server::{
    BoxError, Callbacks, Client, Decision, Limits, Port, PushError, Pushed, ServerHandle, SlowReader,
};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{EventLog, eventually};

use super::TestServer;

/// Starts a server whose handshakes run `decide`.
fn start(
    limits: Limits,
    slow: SlowReader,
    decide: impl Fn(&Client) -> Result<Decision, BoxError> + Send + Sync + 'static,
) -> TestServer {
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(move |client, _| {
        let decision = decide(&client);
        async { decision }
    });
    let port = Port::new(handler).config(Config::new().high_water_mark(10_000)).slow_reader(slow);
    TestServer::limited(limits, port)
}

fn accept() -> Result<Decision, BoxError> {
    Ok(Decision::Accept(Accept::new()))
}

#[test]
fn m4_pushes_before_the_101_follow_the_policy_for_slow_readers() {
    for slow in [SlowReader::Error, SlowReader::Drop, SlowReader::Close(CloseCode::TRY_AGAIN_LATER)] {
        let server = start(Limits::new(), slow, move |client| {
            client.push("x".repeat(9_000))?;
            client.push("y".repeat(9_000))?;
            // Each frame has a header of four bytes.
            let (queued, full) = (18_008, Err(PushError::Backpressure { queued: 18_008 }));
            assert_eq!((client.info().queued, client.server().queued()), (queued, queued));
            let pushed = client.push("z");
            assert_eq!(pushed, if slow == SlowReader::Drop { Ok(Pushed::Dropped) } else { full });
            assert_eq!(client.info().dropped, u32::from(slow == SlowReader::Drop));
            if let SlowReader::Close(_) = slow {
                assert_eq!(client.push("z"), Err(PushError::Closing));
            }
            accept()
        });
        let mut raw = server.connect();
        raw.upgrade("/");
        raw.expect_text(&"x".repeat(9_000));
        raw.expect_text(&"y".repeat(9_000));
        if let SlowReader::Close(_) = slow {
            raw.expect_close(1013);
        } else {
            raw.close(1000, "");
            raw.expect_close(1000);
        }
        eventually("the queue to be empty", || server.handle.queued() == 0);
    }
}

#[test]
fn m4_pushes_before_the_101_count_against_the_budget_of_the_server() {
    let server = start(Limits::new().max_queued(5_000), SlowReader::Error, |client| {
        client.push("x".repeat(4_000))?;
        assert_eq!(client.push("y".repeat(1_000)), Err(PushError::ServerBackpressure { queued: 4_004 }));
        if client.server().connections().len() == 1 {
            return accept();
        }
        Ok(Decision::Respond(Response::text(403, "no")))
    });
    let mut raw = server.connect();
    raw.upgrade("/");
    raw.expect_text(&"x".repeat(4_000));
    eventually("the queue to be empty", || server.handle.queued() == 0);
    // A refused handshake returns its part of the budget.
    let mut refused = server.connect();
    refused.write(upgrade_request("/", ""));
    assert_eq!(refused.answer().status(), 403);
    eventually("the budget to be returned", || server.handle.queued() == 0);
}

/// Starts a thread that sends `count` messages of 6 kB, and waits until it cannot continue.
fn send_from_thread(client: &Client, count: u32) -> JoinHandle<Result<(), PushError>> {
    let (sender, server) = (client.clone(), client.server());
    let thread = std::thread::spawn(move || {
        (0..count).try_for_each(|number| {
            let message = number.to_string().repeat(6_000);
            let sent =
                if number % 2 == 0 { block_on(sender.send(message)) } else { sender.send_blocking(message) };
            sent.map(|pushed| assert_eq!(pushed, Pushed::Queued))
        })
    });
    eventually("a full queue", || server.queued() >= 10_000);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!thread.is_finished() && server.queued() < 20_000);
    thread
}

#[test]
fn m4_a_send_before_the_101_waits_for_it_and_for_room() {
    let (sending, is_sending) = mpsc::channel();
    let server = start(Limits::new(), SlowReader::Drop, move |client| {
        sending.send(send_from_thread(client, 9))?;
        accept()
    });
    let mut raw = server.connect();
    raw.upgrade("/");
    for number in 0..9 {
        raw.expect_text(&number.to_string().repeat(6_000));
    }
    assert_eq!(is_sending.recv().unwrap().join().unwrap(), Ok(()));
}

#[test]
fn m4_a_send_that_waits_for_a_101_fails_when_the_handshake_is_refused() {
    let (sending, is_sending) = mpsc::channel();
    let server = start(Limits::new(), SlowReader::Error, move |client| {
        sending.send(send_from_thread(client, 9))?;
        Ok(Decision::Respond(Response::text(403, "no")))
    });
    let mut raw = server.connect();
    raw.write(upgrade_request("/", ""));
    assert_eq!(raw.answer().status(), 403);
    assert_eq!(is_sending.recv().unwrap().join().unwrap(), Err(PushError::NotWebSocket));
    eventually("the budget to be returned", || server.handle.queued() == 0);
}

#[test]
fn m4_a_send_in_the_handshake_itself_does_not_wait_for_its_own_101() {
    let log = EventLog::default();
    let results = log.clone();
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(move |client, _| {
        let log = results.clone();
        async move {
            client.send("x".repeat(12_000)).await?;
            for sent in [client.send("y").await, client.send_blocking("z")] {
                log.add(format!("{sent:?}"));
            }
            accept()
        }
    });
    let server = TestServer::port(Port::new(handler).config(Config::new().high_water_mark(10_000)));
    let mut raw = server.connect();
    raw.upgrade("/");
    raw.expect_text(&"x".repeat(12_000));
    let full = "Err(Backpressure { queued: 12004 })";
    log.expect(&[full, full]);
}

#[test]
fn h10_every_push_accepted_before_the_101_arrives_however_full_the_server_is() {
    // While one handshake holds its pushes, another connection takes the rest of the budget.
    let gate = Gate::default();
    let (waiting, is_waiting) = mpsc::channel();
    let (waits, waiting) = (gate.clone(), Mutex::new(waiting));
    let handler = Callbacks::on_message(|_, _| async {}).on_handshake(move |client, _| {
        let (gate, waiting) = (waits.clone(), waiting.lock().unwrap().clone());
        async move {
            client.push("x".repeat(9_000))?;
            client.push("y".repeat(9_000))?;
            if client.server().connections().len() == 1 {
                waiting.send(client.server())?;
                gate.pass().await;
            }
            accept()
        }
    });
    let port = Port::new(handler).config(Config::new().high_water_mark(10_000));
    let server = TestServer::limited(Limits::new().max_queued(30_000), port);
    let mut first = server.connect();
    first.write(upgrade_request("/", ""));
    let handle: ServerHandle = is_waiting.recv().unwrap();
    assert_eq!(handle.queued(), 18_008);
    let mut second = server.connect();
    second.write(upgrade_request("/", ""));
    // The handler of the second fails with `ServerBackpressure`.
    assert_eq!(second.answer().status(), 500);
    gate.open();
    assert_eq!(first.answer().status(), 101);
    first.expect_text(&"x".repeat(9_000));
    first.expect_text(&"y".repeat(9_000));
}

/// Lets a handler wait, without blocking its thread, until the test opens it.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    async fn pass(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            state.1 = Some(cx.waker().clone());
            if state.0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn open(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}
