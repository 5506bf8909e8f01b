//! Backpressure: a peer that does not read is not read from, and costs no memory.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sockeye_core::channel::SendMessage;
use sockeye_core::{ByteString, CloseCode, Config, Message, Opcode, SendError, State};
use sockeye_driver::Error;
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

const MARK: usize = 1000;

fn config() -> Config {
    Config::new().high_water_mark(MARK)
}

#[test]
fn recv_with_does_not_read_from_a_peer_that_reads_no_answers() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(500);
    let probe = io.probe();
    let mut ws = server(io, &executor.time, config());
    executor.spawn("echo", async move {
        loop {
            assert!(ws.queued() < MARK + 110, "at most the mark and one message are queued");
            if !matches!(ws.recv_with(|message, sender| sender.send(message)).await, Ok(Some(Ok(())))) {
                return;
            }
        }
    });
    for i in 0..100 {
        peer.push(&client_frame(Opcode::Binary, &payload(i, 100)).repeat(2000));
        executor.run_until_idle();
    }
    let reads = probe.get().reads;
    assert!(reads <= 2, "{reads} reads of 64 KiB");
    // When the peer reads, it gets all answers.
    let mut answered = Vec::new();
    while answered.len() < 102 * 200_000 {
        let some = peer.take(100_000);
        assert!(!some.is_empty(), "the server writes nothing more");
        answered.extend_from_slice(&some);
        executor.run_until_idle();
    }
    for (i, frame) in parse_frames(&answered).iter().enumerate() {
        assert!(*frame.data == payload(i / 2000, 100), "{i}");
    }
}

#[test]
fn feed_waits_only_while_the_high_water_mark_is_queued() {
    for split in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(300);
        let ws = server(io, &executor.time, config());
        let fed = executor.spawn("feed", async move {
            let (message, next) = (payload(0, 2 * MARK), payload(1, 10));
            if split {
                let (mut send, _recv) = ws.split();
                send.feed(message).await.unwrap();
                send.feed(next).await.unwrap();
                send.queued()
            } else {
                let mut ws = ws;
                ws.feed(message).await.unwrap();
                ws.feed(next).await.unwrap();
                ws.queued()
            }
        });
        // 2004 bytes are queued, and the pipe accepts 300 at a time.
        for queued in [1704, 1404, 1104] {
            executor.run_until_idle();
            assert!(!fed.is_finished(), "{queued} bytes are queued");
            let _ = peer.take(300);
        }
        executor.run_until_idle();
        assert!(fed.is_finished(), "fewer bytes than the mark are queued");
    }
}

#[test]
fn a_feed_after_a_close_fails_at_once_even_with_a_full_queue() {
    let mut executor = Executor::new();
    let (io, _peer) = pipe(10);
    let mut ws = server(io, &executor.time, config());
    executor.spawn("feed", async move {
        ws.feed(payload(0, 2 * MARK)).await.unwrap();
        assert!(poll_at_most(1, ws.begin_close(CloseCode::NORMAL, "")).await.is_none());
        assert!(matches!(ws.feed("more").await, Err(Error::Send(SendError::Closed))));
    });
    executor.run();
}

#[test]
fn recv_continues_while_writing_is_blocked() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(10);
    let mut ws = server(io, &executor.time, config());
    let received = executor.spawn("recv", async move {
        ws.feed(payload(0, 2000)).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 50 {
            received.push(ws.recv().await.unwrap().unwrap());
        }
        assert!(ws.queued() > MARK);
        received
    });
    for i in 0..50 {
        peer.push(&client_frame(Opcode::Binary, &payload(i, 30)));
        executor.run_until_idle();
    }
    let expected: Vec<_> = (0..50).map(|i| Message::from(payload(i, 30))).collect();
    assert_eq!(received.take(), expected);
}

#[test]
fn close_ends_at_its_timeout_when_the_peer_reads_nothing() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let (io, _peer) = pipe(10);
        let mut ws = open(is_server, io, &executor.time, config());
        executor.spawn("close", async move {
            ws.feed(payload(0, 5 * MARK)).await.unwrap();
            let info = ws.close(CloseCode::NORMAL, "").await.unwrap();
            assert!(!info.clean);
            assert_eq!(ws.state(), State::Closed);
            // No operation hangs afterwards.
            assert!(matches!(ws.recv().await, Ok(None)));
            assert!(matches!(ws.recv_with(|_, _| ()).await, Ok(None)));
            assert!(matches!(ws.flush().await, Err(Error::Io(_))), "the queued bytes are lost");
            assert!(ws.feed("more").await.is_err());
        });
        executor.run_with_time();
        assert_eq!(executor.time.elapsed(), Duration::from_secs(5));
    }
}

#[test]
fn two_blocked_ends_that_both_close_end_cleanly() {
    // Each end has filled the pipe, so neither close succeeds unless it also reads.
    let mut executor = Executor::new();
    let (a, b) = pipe(100);
    for (is_server, io) in [(true, a), (false, b)] {
        let mut ws = open(is_server, io, &executor.time, config());
        executor.spawn("close", async move {
            ws.feed(payload(0, 5 * MARK)).await.unwrap();
            assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
        });
    }
    executor.run();
}

#[test]
fn keepalive_detects_a_dead_peer_while_a_send_is_blocked() {
    let keepalive = |config: Config| config.keepalive(Duration::from_secs(20), Duration::from_secs(20));
    for op in ["send", "feed", "flush", "recv_with", "begin_close"] {
        let mut executor = Executor::new();
        let (io, _peer) = pipe(10);
        let mut ws = server(io, &executor.time, keepalive(config()));
        executor.spawn(op, async move {
            ws.feed(payload(0, 2 * MARK)).await.unwrap();
            let end = match op {
                "send" => ws.send("more").await.is_err(),
                "feed" => ws.feed("more").await.is_err(),
                "flush" => ws.flush().await.is_err(),
                "recv_with" => ws.recv_with(|_, _| ()).await.is_err(),
                _ => ws.begin_close(CloseCode::NORMAL, "").await.is_err(),
            };
            assert!(end, "{op} returns an error");
            assert_ne!(ws.state(), State::Open);
        });
        executor.run_with_time();
        assert!(executor.time.elapsed() <= Duration::from_secs(51));
    }
}

#[test]
fn keepalive_detects_a_dead_peer_while_a_transport_flush_is_blocked() {
    for split in [true, false] {
        let mut executor = Executor::new();
        // The transport accepts all bytes into its buffer but never flushes them.
        let (io, _peer) = pipe_with(10, Faults { buffer: 1 << 20, ..Faults::default() });
        let config = config().keepalive(Duration::from_secs(20), Duration::from_secs(20));
        let mut ws = server(io, &executor.time, config);
        executor.spawn("send", async move {
            if split {
                let (mut send, _recv) = ws.split();
                assert!(send.send(payload(0, MARK)).await.is_err());
            } else {
                assert!(ws.send(payload(0, MARK)).await.is_err());
            }
        });
        executor.run_with_time();
        assert!(executor.time.elapsed() <= Duration::from_secs(51));
    }
}

#[test]
fn keepalive_does_not_mistake_a_slow_peer_for_a_dead_one() {
    for op in ["feed", "flush", "recv_with", "recv", "split"] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(10);
        let config = config()
            .keepalive(Duration::from_secs(2), Duration::from_secs(2))
            .idle_timeout(Duration::from_secs(5));
        let mut ws = server(io, &executor.time, config);
        let done = executor.spawn(op, async move {
            ws.feed(payload(0, 2 * MARK)).await.unwrap();
            match op {
                "feed" => ws.feed("more").await.map(|()| true).unwrap(),
                "flush" => ws.flush().await.map(|()| true).unwrap(),
                "recv_with" => ws.recv_with(|_, _| ()).await.unwrap().is_some(),
                "recv" => ws.recv().await.unwrap().is_some(),
                _ => {
                    let (mut send, mut recv) = ws.split();
                    let (received, sent) = futures_lite::future::zip(recv.recv(), send.flush()).await;
                    sent.is_ok() && received.unwrap().is_some()
                }
            }
        });
        // The peer reads ten bytes a second.
        for _ in 0..300 {
            let _ = peer.take(10);
            executor.pass(Duration::from_secs(1));
            if ["recv_with", "recv", "split"].contains(&op) && peer.unread_by_peer() == 0 {
                peer.push(&client_frame(Opcode::Text, b"hi"));
            }
        }
        assert!(done.take(), "{op}");
    }
}

#[test]
fn after_eof_a_blocked_write_ends_at_the_close_timeout_without_spinning() {
    for close_first in [true, false] {
        for with in [true, false] {
            let mut executor = Executor::new().limit(if with { 500 } else { 50 });
            let (io, peer) = pipe(10);
            let mut ws = server(io, &executor.time, config());
            let ended = executor.spawn("recv", async move {
                ws.feed(payload(0, 2 * MARK)).await.unwrap();
                let end =
                    if with { ws.recv_with(|_, _| ()).await } else { ws.recv().await.map(|m| m.map(|_| ())) };
                assert_eq!(ws.state(), State::Closed);
                end
            });
            executor.run_until_idle();
            if close_first {
                peer.push(&FrameWriter::to(true).close(CloseCode::NORMAL, ""));
            }
            peer.shut();
            executor.run_until_idle();
            if with {
                // `recv_with` does not read while the mark is queued. It sees the end once the
                // queue has room.
                for _ in 0..300 {
                    let _ = peer.take(10);
                    executor.run_until_idle();
                }
            } else {
                executor.run_with_time();
                assert_eq!(executor.time.elapsed(), Duration::from_secs(5));
            }
            match ended.take() {
                // The peer's Close counts, even if its answer cannot be written.
                Ok(None) => assert!(close_first),
                end => assert!(!close_first && matches!(end, Err(Error::Abnormal(_))), "{end:?}"),
            }
        }
    }
}

#[test]
fn m19_try_feed_returns_the_message_only_if_the_transport_takes_no_more() {
    for split in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(10 * MARK);
        let mut ws = server(io, &executor.time, config());
        let returned = executor.spawn("try", async move {
            let text = ByteString::from("kept");
            let refused = if split {
                let (mut send, _recv) = ws.split();
                // The queue holds two, the transport nearly ten.
                (0..11).for_each(|n| send.try_feed(payload(n, MARK)).unwrap());
                send.try_feed(text.clone()).unwrap_err()
            } else {
                (0..11).for_each(|n| ws.try_feed(payload(n, MARK)).unwrap());
                ws.try_feed(text.clone()).unwrap_err()
            };
            assert!(matches!(refused.error(), SendError::Backpressure { queued } if queued < 2 * MARK));
            refused.into_payload().as_bytes().as_ptr() == text.as_ptr()
        });
        executor.run_until_idle();
        assert!(returned.take(), "split: {split}");
        assert_eq!(peer.take_all().len(), 10 * MARK);
    }
}

#[test]
fn m19_start_send_makes_room_if_something_was_queued_since_poll_ready() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let (mut send, recv) = server(io, &executor.time, config()).split();
    executor.spawn("send", async move {
        send.feed(payload(0, MARK - 10)).await.unwrap();
        poll_fn(|cx| send.poll_ready(cx)).await.unwrap();
        // The other half may queue the answer to a ping.
        send.try_feed(payload(1, 20)).unwrap();
        assert!(send.queued() > MARK);
        SendMessage::start_send(&mut send, "more".into()).unwrap();
        send.flush().await.unwrap();
    });
    executor.run();
    drop(recv);
    assert_eq!(parse_frames(&peer.take_all()).len(), 3);
}

/// Sends many messages to a peer that does the same. Receives on the way.
async fn send_and_receive(mut ws: Ws, count: usize, split: bool) -> usize {
    let mut received = 0;
    if split {
        let (mut send, mut recv) = ws.split();
        let sending = async {
            for n in 0..count {
                send.send(payload(n, MARK)).await.unwrap();
            }
        };
        let receiving = async {
            while received < count {
                recv.recv().await.unwrap().unwrap();
                received += 1;
            }
        };
        both(sending, receiving).await;
        return received;
    }
    for n in 0..count {
        // As in the documentation of `WebSocket`.
        poll_fn(|cx| {
            loop {
                match ws.poll_recv(cx)? {
                    Poll::Ready(Some(_)) => received += 1,
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return ws.poll_ready(cx),
                }
            }
        })
        .await
        .unwrap();
        ws.feed(payload(n, MARK)).await.unwrap();
    }
    while received < count {
        ws.recv().await.unwrap().unwrap();
        received += 1;
    }
    // The peer may still wait for the last messages.
    let _ = ws.close(CloseCode::NORMAL, "").await;
    received
}

/// Polls both futures until both are ready.
async fn both(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let mut ready = (false, false);
    poll_fn(|cx| {
        ready.0 |= !ready.0 && a.as_mut().poll(cx).is_ready();
        ready.1 |= !ready.1 && b.as_mut().poll(cx).is_ready();
        if ready == (true, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn two_ends_that_send_much_at_the_same_time_do_not_stall_if_they_receive_too() {
    for split in [true, false] {
        let mut executor = Executor::new();
        let (a, b) = pipe(3 * MARK);
        let ends = [(true, a), (false, b)].map(|(is_server, io)| {
            let ws = open(is_server, io, &executor.time, config());
            executor.spawn("one end", send_and_receive(ws, 100, split))
        });
        executor.run();
        assert_eq!(ends.map(|end| end.take()), [100, 100], "split: {split}");
    }
}
