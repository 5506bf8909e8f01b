//! Rows M4 and E11: pushes that wait for a slow reader.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use sockeye_core::{CloseCode, Config, Prepared};
use sockeye_driver::server::{
    Client, Handler, HandlerResult, Inbound, Port, PushError, ServerHandle, SlowReader,
};

use super::backpressure::{expect_numbers, fill, numbered};
use super::{Harness, Log, Running, eventually};

/// Sends as many numbered messages of 10 kB as it is asked for, and writes down how that ended.
struct Sends(Log);

impl Handler for Sends {
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

/// More than any socket's buffers hold.
const MANY: u32 = 3000;

fn config() -> Config {
    Config::new().high_water_mark(100_000)
}

pub(crate) fn m4_a_send_waits_for_room_inside_of_its_connections_handler<T: Harness>() {
    for slow in [SlowReader::Error, SlowReader::Drop, SlowReader::Close(CloseCode::POLICY_VIOLATION)] {
        let log = Log::default();
        let server = Running::port::<T, _>(Port::new(Sends(log.clone())).config(config()).slow_reader(slow));
        let mut raw = server.open();
        raw.text(&MANY.to_string());
        eventually("a full queue", || server.handle.queued() >= 100_000);
        assert!(server.handle.queued() < 111_000 && log.lines().is_empty());
        expect_numbers(&mut raw, 0..MANY);
        log.expect(&["sent"]);
    }
}

pub(crate) fn m4_a_send_waits_for_room_in_any_task_and_thread<T: Harness>() {
    let server = Running::port::<T, _>(Port::new(Sends(Log::default())).config(config()));
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

pub(crate) fn m4_many_may_wait_to_send_and_all_get_their_turn<T: Harness>() {
    let server = Running::port::<T, _>(Port::new(Sends(Log::default())).config(config()));
    let mut raw = server.open();
    let client = only(&server.handle);
    let senders: Vec<_> = (0..20u32)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || (0..100).for_each(|n| block_on(client.send(numbered(n))).unwrap()))
        })
        .collect();
    eventually("a full queue", || server.handle.queued() >= 100_000);
    assert!(server.handle.queued() < 100_000 + 21 * 10_100);
    for _ in 0..20 * 100 {
        assert_eq!(raw.frame().unwrap().data.len(), 10_000);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

pub(crate) fn m4_a_send_ends_when_its_connection_does<T: Harness>() {
    let log = Log::default();
    let server = Running::port::<T, _>(Port::new(Sends(log.clone())).config(config()));
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

    // Its peer is there no longer, or might as well be.
    let patient = config()
        .keepalive(Duration::from_millis(50), Duration::from_millis(300))
        .close_timeout(Duration::from_millis(300));
    let server = Running::port::<T, _>(Port::new(Sends(log.clone())).config(patient));
    let mut raw = server.open();
    raw.text("1000000");
    log.expect(&["Closing"]);
    eventually("the end", || server.handle.connections().is_empty() && server.handle.queued() == 0);
}

pub(crate) fn m4_a_send_that_nobody_waits_for_any_more_has_sent_nothing<T: Harness>() {
    let server = Running::port::<T, _>(Port::new(Sends(Log::default())).config(config()));
    let mut raw = server.open();
    let client = only(&server.handle);
    let (pushed, _) = fill(&client, 0);
    let (tell, told) = mpsc::channel();
    // Polled by somebody who then has better things to do.
    let waker = std::task::Waker::from(Arc::new(Tells(Mutex::new(tell))));
    let mut cx = std::task::Context::from_waker(&waker);
    {
        let mut sending = std::pin::pin!(client.send("given up"));
        assert!(sending.as_mut().poll(&mut cx).is_pending());
    }
    // What else that task waits for is looked at once more.
    told.recv().unwrap();
    expect_numbers(&mut raw, 0..pushed);
    client.push("the last").unwrap();
    raw.expect_text("the last");
    assert!(told.try_recv().is_err(), "nobody waits any more");
}

/// The one connection that is open.
fn only(server: &ServerHandle) -> Client {
    eventually("an open connection", || server.connections().iter().any(|id| server.is_established(*id)));
    server.client(server.connections()[0]).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    sockeye_driver::server::blocking::block_on(future)
}

struct Tells(Mutex<mpsc::Sender<()>>);

impl std::task::Wake for Tells {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(());
    }
}
