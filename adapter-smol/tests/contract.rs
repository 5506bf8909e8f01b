//! The streams and the clock of smol keep the contracts of the driver.

use std::time::Duration;

use smol::Timer;
use smol::net::{TcpListener, TcpStream};
use sockeye_driver::conformance::{check_clock, check_io, check_yield};
use sockeye_smol::{FuturesIo, SmolClock};

async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

async fn tcp() -> (FuturesIo<TcpStream>, FuturesIo<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (FuturesIo::new(near), FuturesIo::new(listener.accept().await.unwrap().0))
}

#[test]
fn a_tcp_stream_keeps_the_contract() {
    smol::block_on(check_io(tcp, sleep)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_unix_stream_keeps_the_contract() {
    let pair = async || {
        let (near, far) = smol::net::unix::UnixStream::pair().unwrap();
        (FuturesIo::new(near), FuturesIo::new(far))
    };
    smol::block_on(check_io(pair, sleep)).unwrap();
}

#[test]
fn the_clock_keeps_the_contract() {
    smol::block_on(check_clock(SmolClock::default, sleep)).unwrap();
}

#[test]
fn t44_a_task_that_yields_lets_timers_run() {
    // Another thread may run the timers, and a busy machine may not run that at once.
    let is_kept = (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let executor = smol::Executor::new();
        let check = executor.spawn(check_yield(SmolClock::default));
        smol::block_on(executor.run(check)).is_ok()
    });
    assert!(is_kept);
}
