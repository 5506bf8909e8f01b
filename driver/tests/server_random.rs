//! Random events: clients send anything and the application does anything to their connections, in
//! any order. Every connection ends once, its messages are delivered in order without a gap, and
//! nothing of it remains.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sockeye_core::http::{Request, Response};
use sockeye_core::{CloseCode, CloseInfo, Config, Opcode};
use sockeye_driver::server::{
    BoxError, Client, Handler, HandlerResult, HttpRequest, Inbound, Limits, Port, SlowReader,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

#[derive(Debug, Clone)]
enum Op {
    /// The client sends a plain HTTP request.
    Get,
    /// The client sends an upgrade request.
    Upgrade,
    /// The client sends a message with the next number.
    Number,
    Ping,
    Close,
    /// The client sends random bytes.
    Noise(Vec<u8>),
    /// The client reads this many bytes.
    Read(usize),
    Shut,
    Wait(u64),
    // The application's operations on the connection.
    Push(usize),
    PushPing,
    Pause,
    Resume,
    Protect(bool),
    Disconnect,
    Abort,
    Shutdown(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Get),
        2 => Just(Op::Upgrade),
        20 => Just(Op::Number),
        1 => Just(Op::Ping),
        1 => Just(Op::Close),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Op::Noise),
        10 => (1..2000usize).prop_map(Op::Read),
        1 => Just(Op::Shut),
        3 => (1..30_000u64).prop_map(Op::Wait),
        4 => (0..1500usize).prop_map(Op::Push),
        1 => Just(Op::PushPing),
        2 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => any::<bool>().prop_map(Op::Protect),
        1 => Just(Op::Disconnect),
        1 => Just(Op::Abort),
        1 => (0..3000u64).prop_map(Op::Shutdown),
    ]
}

fn slow() -> impl Strategy<Value = SlowReader> {
    let close = SlowReader::Close(CloseCode::TRY_AGAIN_LATER);
    prop_oneof![Just(SlowReader::Error), Just(SlowReader::Drop), Just(close)]
}

fn faults() -> impl Strategy<Value = Faults> {
    let pending = prop_oneof![Just(Pending::Never), Just(Pending::First), Just(Pending::UntilIdle)];
    (pending, prop_oneof![Just(usize::MAX), 1..50usize], any::<bool>())
        .prop_map(|(pending, chunk, interrupted)| Faults { pending, chunk, interrupted, ..Faults::default() })
}

/// A handler that records its events and echoes messages.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    async fn add(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
        yield_now().await;
    }
}

impl Handler for Log {
    async fn open(&self, _: &Client, _: &Request) -> HandlerResult {
        self.add("open").await;
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        self.add(message.as_text().unwrap_or("noise")).await;
        let _ = client.push(message);
        Ok(())
    }

    async fn close(&self, _: &Client, _: &CloseInfo) -> HandlerResult {
        self.add("close").await;
        Ok(())
    }

    async fn disconnect(&self, _: &Client) -> HandlerResult {
        self.add("disconnect").await;
        Ok(())
    }

    async fn request(&self, _: &Client, request: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        let body = request.body().await?;
        Ok(Some(Response::text(200, body)))
    }
}

fn live(ops: &[Op], capacity: usize, faults: Faults, slow: SlowReader, threads: bool) {
    let (mut executor, log) = (Executor::new(), Log::default());
    let config = Config::new()
        .high_water_mark(1000)
        .idle_timeout(Duration::from_secs(60))
        .keepalive(Duration::from_secs(20), Duration::from_secs(10));
    let port = Port::new(log.clone()).config(config).slow_reader(slow);
    let sim = SimRuntime::new(&executor);
    let sim = if threads { sim.threads() } else { sim };
    let (server, connector, ended) = sim.serve_on(&mut executor, port, Limits::new().max_queued(3000));
    let peer = connector.connect(capacity, faults);
    executor.run_until_idle();
    let client = server.connections().first().and_then(|id| server.client(*id)).expect("a connection");
    let (mut said, mut shut) = (0, false);
    for op in ops {
        let say = |bytes: &[u8]| {
            if !shut {
                peer.push(bytes)
            }
        };
        match op {
            Op::Get => say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Op::Upgrade => say(UPGRADE_REQUEST),
            Op::Number => {
                say(&client_frame(Opcode::Text, format!("{said}").as_bytes()));
                said += 1;
            }
            Op::Ping => say(&client_frame(Opcode::Ping, b"p")),
            Op::Close => say(&client_frame(Opcode::Close, &1000u16.to_be_bytes())),
            Op::Noise(bytes) => say(bytes),
            Op::Read(n) => drop(peer.take(*n)),
            Op::Shut => {
                shut = true;
                peer.shut();
            }
            Op::Wait(millis) => executor.time.advance(Duration::from_millis(*millis)),
            Op::Push(len) => drop(client.push(payload(0, *len)).is_ok()),
            Op::PushPing => drop(client.ping(b"").is_ok()),
            Op::Pause => drop(client.pause().is_ok()),
            Op::Resume => drop(client.resume().is_ok()),
            Op::Protect(protect) => drop(client.protect(*protect).is_ok()),
            Op::Disconnect => drop(client.close(CloseCode::NORMAL, "").is_ok()),
            Op::Abort => drop(client.abort().is_ok()),
            Op::Shutdown(millis) => server.shutdown(Duration::from_millis(*millis)),
        }
        executor.run_until_idle();
        let info = client.info();
        assert_eq!(server.queued(), info.queued, "the server counts the queue");
        assert!(info.queued <= 3000 + 200, "{info:?}");
    }
    drop(peer);
    server.shutdown(Duration::from_secs(1));
    executor.run_with_time();
    assert!(ended.is_finished());
    assert_eq!((server.connections(), server.queued(), executor.tasks()), (Vec::new(), 0, 0));

    let events = log.0.lock().unwrap().clone();
    let (last, before) = events.split_last().expect("an end");
    let opened = before.first().is_some_and(|first| first == "open");
    assert_eq!(last, if opened { "close" } else { "disconnect" }, "{events:?}");
    let delivered: Vec<&String> = before.iter().skip(usize::from(opened)).collect();
    assert!(opened || delivered.is_empty(), "{events:?}");
    let numbers: Vec<u32> = delivered.iter().filter_map(|event| event.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{events:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_connection_ends_once_and_gets_its_messages_in_order(
        before in prop::collection::vec(op(), 0..2),
        upgrade in prop::bool::weighted(0.9),
        after in prop::collection::vec(op(), 0..40),
        capacity in 30..3000usize,
        faults in faults(),
        slow in slow(),
        threads in any::<bool>(),
    ) {
        let upgrade = upgrade.then_some(Op::Upgrade);
        let ops: Vec<Op> = before.into_iter().chain(upgrade).chain(after).collect();
        live(&ops, capacity, faults, slow, threads);
    }
}
