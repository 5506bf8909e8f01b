//! Sends that wait for a slow reader (M4).

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sockeye_core::{CloseCode, Config, Prepared};
use sockeye_driver::server::{
    Client, Handler, HandlerResult, Inbound, Port, PushError, ServerHandle, SlowReader,
};
use sockeye_testkit::{EventLog, eventually};

use super::TestServer;
use super::backpressure::{expect_numbers, fill, numbered};

/// Sends as many numbered messages as a message asks for, and logs how that ended.
struct NumberSender(EventLog);

impl Handler for NumberSender {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        let count: u32 = message.as_text().unwrap_or_default().parse()?;
        for number in 0..count {
            if let Err(error) = client.send(numbered(number)).await {
                self.0.add(format!("{error:?}"));
                return Ok(());
            }
        }
        self.0.add("sent");
        Ok(())
    }
}

/// More messages than the buffers of a socket hold.
const MANY: u32 = 3000;

fn config() -> Config {
    Config::new().high_water_mark(100_000)
}

#[test]
fn m4_a_send_in_a_handler_waits_for_room() {
    for slow in [SlowReader::Error, SlowReader::Drop, SlowReader::Close(CloseCode::POLICY_VIOLATION)] {
        let log = EventLog::default();
        let server =
            TestServer::port(Port::new(NumberSender(log.clone())).config(config()).slow_reader(slow));
        let mut raw = server.open();
        raw.text(&MANY.to_string());
        eventually("a full queue", || server.handle.queued() >= 100_000);
        assert!(server.handle.queued() < 111_000 && log.lines().is_empty());
        expect_numbers(&mut raw, 0..MANY);
        log.expect(&["sent"]);
    }
}

#[test]
fn m4_a_send_in_any_task_or_thread_waits_for_room() {
    let server = TestServer::port(Port::new(NumberSender(EventLog::default())).config(config()));
    let mut raw = server.open();
    let client = only(&server.handle);
    let sender = std::thread::spawn(move || {
        for number in 0..MANY {
            if number % 2 == 0 {
                client.send_blocking(numbered(number)).unwrap();
            } else {
                let prepared = Prepared::new(numbered(number));
                block_on(client.send_prepared(&prepared)).unwrap();
            }
        }
    });
    eventually("a full queue", || server.handle.queued() >= 100_000);
    assert!(server.handle.queued() < 111_000 && !sender.is_finished());
    expect_numbers(&mut raw, 0..MANY);
    sender.join().unwrap();
}

#[test]
fn m4_many_sends_can_wait_and_each_gets_its_turn() {
    let server = TestServer::port(Port::new(NumberSender(EventLog::default())).config(config()));
    let mut raw = server.open();
    let client = only(&server.handle);
    let senders: Vec<_> = (0..20u32)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || {
                for n in 0..100 {
                    block_on(client.send(numbered(n))).unwrap();
                }
            })
        })
        .collect();
    eventually("a full queue", || server.handle.queued() >= 100_000);
    assert!(server.handle.queued() < 100_000 + 21 * 10_100);
    for _ in 0..20 * 100 {
        assert_eq!(raw.frame().unwrap().data.len(), 10_000);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn m4_a_waiting_send_fails_when_its_connection_ends() {
    let log = EventLog::default();
    let server = TestServer::port(Port::new(NumberSender(log.clone())).config(config()));
    let raw = server.open();
    let client = only(&server.handle);
    let sender = {
        let client = client.clone();
        std::thread::spawn(move || while block_on(client.send(numbered(0))).is_ok() {})
    };
    eventually("a full queue", || server.handle.queued() >= 100_000);
    client.abort().unwrap();
    sender.join().unwrap();
    assert_eq!(block_on(client.send("x")), Err(PushError::Closing));
    drop(raw);

    // The peer does not read and does not answer pings.
    let patient = config()
        .keepalive(Duration::from_millis(50), Duration::from_millis(300))
        .close_timeout(Duration::from_millis(300));
    let server = TestServer::port(Port::new(NumberSender(log.clone())).config(patient));
    let mut raw = server.open();
    raw.text("1000000");
    log.expect(&["Closing"]);
    eventually("the connection to end", || {
        server.handle.connections().is_empty() && server.handle.queued() == 0
    });
}

#[test]
fn m4_a_dropped_send_has_sent_nothing() {
    let server = TestServer::port(Port::new(NumberSender(EventLog::default())).config(config()));
    let mut raw = server.open();
    let client = only(&server.handle);
    let (pushed, _) = fill(&client, 0);
    let (woken, was_woken) = mpsc::channel();
    let waker = std::task::Waker::from(Arc::new(SendOnWake(Mutex::new(woken))));
    let mut cx = std::task::Context::from_waker(&waker);
    {
        let mut sending = std::pin::pin!(client.send("given up"));
        assert!(sending.as_mut().poll(&mut cx).is_pending());
    }
    // Dropping it wakes its task, which may wait for something else too.
    was_woken.recv().unwrap();
    expect_numbers(&mut raw, 0..pushed);
    client.push("the last").unwrap();
    raw.expect_text("the last");
    assert!(was_woken.try_recv().is_err(), "the dropped send is not woken again");
}

/// Returns the client of the one open connection.
fn only(server: &ServerHandle) -> Client {
    eventually("an open connection", || server.connections().iter().any(|id| server.is_established(*id)));
    server.client(server.connections()[0]).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    sockeye_driver::server::blocking::block_on(future)
}

/// Reports wakes to the test.
struct SendOnWake(Mutex<mpsc::Sender<()>>);

impl std::task::Wake for SendOnWake {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(());
    }
}
