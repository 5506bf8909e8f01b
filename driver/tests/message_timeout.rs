//! The deadline of a message that has begun (T42), over a transport and on a virtual clock.

use std::time::Duration;

use sockeye_core::{CloseCode, Config, Opcode};
use sockeye_driver::Error;
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> Config {
    Config::new().message_timeout(10 * SECOND).min_message_rate(10u32)
}

#[test]
fn t42_a_receive_fails_when_a_message_takes_too_long() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, config());
        let ended = executor.spawn("recv", async move {
            let end = ws.recv().await;
            (end, ws.close_info().cloned())
        });
        peer.push(&FrameWriter::to(is_server).frame(Opcode::Binary, false, b"begun"));
        executor.run_until_idle();
        // A ping each second, and a byte.
        for _ in 0..9 {
            executor.pass(SECOND);
            peer.push(&FrameWriter::to(is_server).ping(b""));
            peer.push(&FrameWriter::to(is_server).frame(Opcode::Continuation, false, b"x"));
            executor.run_until_idle();
        }
        assert!(!ended.is_finished());
        executor.pass(SECOND);
        peer.shut();
        executor.run_until_idle();
        let (end, info) = ended.take();
        assert!(matches!(end, Err(Error::Abnormal(_))), "{end:?}");
        assert_eq!(info.unwrap().code, CloseCode::POLICY_VIOLATION);
    }
}

#[test]
fn t42_time_in_which_nothing_is_received_does_not_count() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(100);
    let mut ws = server(io, &executor.time, config());
    peer.push(&FrameWriter::to(true).frame(Opcode::Binary, false, b"begun"));
    assert!(poll_once(ws.recv()).is_none());
    // The peer reads nothing for a while, so sending waits, and nothing receives.
    let sent = executor.spawn("send", async move {
        ws.send(vec![7; 1000]).await.unwrap();
        let message = ws.recv().await.unwrap().unwrap();
        message.len()
    });
    executor.run_until_idle();
    executor.pass(60 * SECOND);
    assert!(!sent.is_finished());
    while !peer.take(100).is_empty() {
        executor.run_until_idle();
    }
    peer.push(&FrameWriter::to(true).frame(Opcode::Continuation, true, b"ended"));
    executor.run_until_idle();
    assert_eq!(sent.take(), 10);
}
