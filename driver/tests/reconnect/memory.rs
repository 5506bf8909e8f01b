//! Nothing grows while the server is away.

use std::time::Duration;

use sockeye_core::Config;
use sockeye_driver::ConnectError;
use sockeye_driver::reconnect::{Attempt, ReconnectPolicy, Reconnecting, Update, WhileDown};
use sockeye_testkit::memory::{CountingAllocator, live};
use sockeye_testkit::sim::*;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

#[test]
fn k8_nothing_grows_while_the_server_is_away_for_a_month() {
    let time = Time::new();
    let clock = time.clock();
    let (now, mut draw) = (time.clone(), 7_u64);
    let random = move || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        draw
    };
    let policy = ReconnectPolicy::new().while_down(WhileDown::Queue { max_bytes: 1000 });
    let connect = async move |attempt: Attempt| -> Result<Ws, ConnectError> {
        yield_now().await;
        if attempt.retry > 100_000_000 {
            return Ok(client(pipe(1).0, &now, Config::new()));
        }
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into())
    };
    let mut client = Reconnecting::with(policy, clock, random, connect);
    let (mut attempts, mut refused) = (0_u32, 0_u32);
    let mut after_warm_up = None;
    while time.elapsed() < Duration::from_secs(30 * 24 * 3600) {
        // The first poll of an attempt yields.
        let update = poll_once(client.recv()).or_else(|| poll_once(client.recv()));
        match update {
            Some(update) => {
                assert!(matches!(update.unwrap(), Some(Update::Failed { .. })));
                attempts += 1;
                refused += u32::from(poll_once(client.send("tick")).unwrap().is_err());
            }
            None => {
                let _ = time.advance_to_alarm();
            }
        }
        if attempts == 1000 {
            after_warm_up.get_or_insert(live());
        }
        assert!(client.waiting_bytes() <= 1000);
    }
    // A wait is 15 s on average.
    assert!((150_000..200_000).contains(&attempts), "{attempts}");
    assert_eq!(attempts - refused, 1000 / 68);
    assert_eq!(Some(live()), after_warm_up, "the memory has changed");
}
