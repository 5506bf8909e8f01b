//! Bodies and responses that take long and make progress, with a clock that only the test moves.

use sockeye_core::Config;
use sockeye_core::http::Response;
use sockeye_driver::server::{BoxError, Client, Handler, HandlerResult, HttpRequest, Inbound, Limits};
use sockeye_testkit::sim::*;

/// The bytes that must move in 30 s: 1 KiB each second.
const DEMANDED: usize = 30 << 10;

#[test]
fn h5_a_body_that_makes_progress_may_take_long() {
    let mut world = World::new(Config::new());
    let pipe = world.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 5 * DEMANDED);
    world.send(&pipe, head.as_bytes());
    for part in 1..=5 {
        world.wait(29_000);
        assert!(pipe.take_all().is_empty(), "part {part}");
        world.send(&pipe, &vec![b'x'; DEMANDED]);
    }
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn h5_a_body_below_the_rate_is_refused_after_its_time() {
    let mut world = World::new(Config::new());
    let pipe = world.connect();
    world.send(&pipe, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    world.send(&pipe, &vec![b'x'; DEMANDED]);
    for _ in 0..29 {
        world.wait(1000);
        world.send(&pipe, &vec![b'x'; DEMANDED / 30 - 1]);
    }
    world.wait(999);
    assert!(pipe.take_all().is_empty());
    world.wait(1);
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 408 "));
}

/// Answers each request with a large body.
struct Large;

impl Handler for Large {
    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        Ok(())
    }

    async fn request(&self, _: &Client, _: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        Ok(Some(Response::text(200, vec![b'x'; 10 * DEMANDED])))
    }
}

/// Requests the large body over a transport that holds little. Takes `part` bytes every 29 s.
/// Returns how many bytes arrived, and whether the connection is still there.
fn read_slowly(request: &[u8], part: usize) -> (usize, bool) {
    let mut executor = Executor::new();
    let (server, connector, _ended) =
        SimRuntime::serve(&mut executor, sockeye_driver::server::Port::new(Large), Limits::new());
    let pipe = connector.connect(1000, Faults::default());
    pipe.push(request);
    executor.run_until_idle();
    let mut received = 0;
    for _ in 0..12 {
        let mut left = part;
        while left > 0 {
            let taken = pipe.take(left.min(1000)).len();
            executor.run_until_idle();
            if taken == 0 {
                break;
            }
            (left, received) = (left - taken, received + taken);
        }
        executor.time.advance(std::time::Duration::from_secs(29));
        executor.run_until_idle();
    }
    (received, !server.connections().is_empty())
}

#[test]
fn h5_a_response_that_makes_progress_may_take_long_and_others_are_cut() {
    for connection in ["keep-alive", "close"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        let (received, _) = read_slowly(request.as_bytes(), DEMANDED);
        assert!(received > 10 * DEMANDED, "{connection}: {received} bytes");
        let (received, remains) = read_slowly(request.as_bytes(), DEMANDED / 2 - 1000);
        assert!(received < 3 * DEMANDED && !remains, "{connection}: {received} bytes");
    }
}
