//! The streams and the clock of tokio keep the contracts of the driver.

use sockeye_driver::conformance::{check_clock, check_io, check_yield};
use sockeye_tokio::{TokioClock, TokioIo};
use tokio::io::duplex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

async fn tcp() -> (TokioIo<TcpStream>, TokioIo<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (TokioIo::new(near.unwrap()), TokioIo::new(far.unwrap().0))
}

#[tokio::test]
async fn a_tcp_stream_keeps_the_contract() {
    check_io(tcp, sleep).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_stream_keeps_the_contract() {
    let pair = async || {
        let (near, far) = tokio::net::UnixStream::pair().unwrap();
        (TokioIo::new(near), TokioIo::new(far))
    };
    check_io(pair, sleep).await.unwrap();
}

#[tokio::test]
async fn a_stream_in_memory_keeps_the_contract() {
    let pair = async || {
        let (near, far) = duplex(1000);
        (TokioIo::new(near), TokioIo::new(far))
    };
    check_io(pair, sleep).await.unwrap();
}

#[tokio::test]
async fn the_clock_keeps_the_contract() {
    check_clock(TokioClock::default, sleep).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_paused_clock_keeps_the_contract() {
    check_clock(TokioClock::default, sleep).await.unwrap();
}

#[tokio::test]
async fn t44_a_task_that_yields_lets_timers_run_on_one_thread() {
    tokio::spawn(check_yield(TokioClock::default)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t44_a_task_that_yields_lets_timers_run_on_two_threads() {
    // The other thread may run the timers, and a busy machine may not run that at once.
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if tokio::spawn(check_yield(TokioClock::default)).await.unwrap().is_ok() {
            return;
        }
    }
    panic!("a timer that was due did not fire while a task yielded");
}
