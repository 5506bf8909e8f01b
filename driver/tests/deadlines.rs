//! Deadlines on a virtual clock, and how connections end.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::{CloseCode, Config, Connection, Message, Opcode, ProtocolError, Side};
use sockeye_driver::{Error, WebSocket};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_deadlines_the_timer_is_never_set() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, Config::new());
        executor.spawn("echo", async move {
            while let Ok(Some(message)) = ws.recv().await {
                ws.send(message).await.unwrap();
            }
        });
        for _ in 0..10 {
            peer.push(
                &[FrameWriter::to(is_server).text("hi"), FrameWriter::to(is_server).ping(b"")].concat(),
            );
            executor.run_until_idle();
        }
        assert_eq!(executor.time.times_set(), 0);
    }
}

#[test]
fn an_answered_ping_keeps_a_connection_and_an_unanswered_one_ends_it() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let config = Config::new().keepalive(20 * SECOND, 10 * SECOND);
    let mut ws = server(io, &executor.time, config);
    let ended = executor.spawn("recv", async move {
        let end = ws.recv().await;
        (end, ws.round_trip(), ws.close_info().cloned())
    });
    executor.run_until_idle();
    for round in 1..=5u32 {
        executor.pass(20 * SECOND);
        let ping = peer.take_all();
        assert_eq!(ping, server_frame(Opcode::Ping, &round.to_be_bytes()));
        peer.push(&client_frame(Opcode::Pong, &round.to_be_bytes()));
        executor.run_until_idle();
    }
    executor.pass(20 * SECOND);
    assert!(!peer.take_all().is_empty() && !ended.is_finished());
    executor.pass(9 * SECOND);
    assert!(!ended.is_finished());
    executor.pass(SECOND);
    let (end, round_trip, info) = ended.take();
    assert!(matches!(end, Err(Error::Abnormal(_))), "{end:?}");
    assert_eq!(info.unwrap().code, CloseCode::POLICY_VIOLATION);
    assert_eq!(round_trip, Some(Duration::ZERO));
    assert_eq!(executor.time.armed(), 0);
}

#[test]
fn a_silent_peer_is_closed_with_1001_after_the_idle_timeout() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let ws = server(io, &executor.time, Config::new().idle_timeout(8 * SECOND));
    let ended = executor.spawn("recv", receive_all(ws));
    for _ in 0..10 {
        executor.pass(4 * SECOND);
        peer.push(&client_frame(Opcode::Text, b"hi"));
    }
    executor.pass(8 * SECOND - SECOND);
    assert!(peer.take_all().is_empty());
    executor.pass(4 * SECOND);
    assert_eq!(parse_frames(&peer.take_all())[0].opcode, Opcode::Close);
    peer.push(&FrameWriter::to(true).close(CloseCode::GOING_AWAY, ""));
    executor.run_until_idle();
    assert!(peer.is_shut(), "the server ends the transport first");
    peer.shut();
    executor.run();
    let (messages, end) = ended.take();
    assert_eq!(messages.len(), 10);
    assert!(end.is_ok(), "a clean end");
}

#[test]
fn deadlines_are_kept_with_a_late_or_broken_timer_while_the_task_is_polled() {
    for alarm in [Alarm::OnTime, Alarm::Late(1000 * SECOND), Alarm::Never] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let connection = Connection::server(Arc::new(Config::new().keepalive(5 * SECOND, 3 * SECOND)));
        let mut ws = WebSocket::new(connection, &[], io, executor.time.clock_with(alarm));
        let ended = executor.spawn("recv", async move {
            // The task is woken from outside, not by the timer.
            loop {
                if let Some(end) = poll_at_most(1, ws.recv()).await {
                    break end;
                }
                yield_now().await;
                ws.io().probe().get().log.clear();
                Tick::wait().await;
            }
        });
        executor.run_until_idle();
        for second in 1..=8 {
            assert!(!ended.is_finished(), "{second}");
            executor.time.advance(SECOND);
            Tick::tick();
            executor.run_until_idle();
        }
        assert_eq!(parse_frames(&peer.take_all())[0].opcode, Opcode::Ping);
        assert!(matches!(ended.take(), Err(Error::Abnormal(_))));
    }
}

/// Wakes a task from outside of it.
struct Tick;

thread_local! {
    static TICK: std::cell::RefCell<Option<std::task::Waker>> = const { std::cell::RefCell::new(None) };
}

impl Tick {
    async fn wait() {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return std::task::Poll::Ready(());
            }
            TICK.set(Some(cx.waker().clone()));
            std::task::Poll::Pending
        })
        .await;
    }

    fn tick() {
        if let Some(waker) = TICK.take() {
            waker.wake();
        }
    }
}

#[test]
fn an_unanswered_close_ends_at_the_close_timeout() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, Config::new().close_timeout(3 * SECOND));
        let closed = executor.spawn("close", async move {
            let info = ws.close(CloseCode::NORMAL, "bye").await.unwrap();
            (info, ws)
        });
        executor.pass(2 * SECOND);
        assert!(!closed.is_finished());
        executor.pass(SECOND);
        let (info, _ws) = closed.take();
        assert_eq!((info.by, info.code, info.clean), (Side::Local, CloseCode::NORMAL, false));
        // The peer sees the end although the connection has not been dropped.
        assert!(peer.is_shut());
    }
}

#[test]
fn a_flood_cannot_delay_the_close_timeout() {
    // Every read finds bytes.
    for failed in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = server(io, &executor.time, Config::new().close_timeout(SECOND));
        if failed {
            peer.push(&[0xff; 10]);
        }
        let frame = client_frame(Opcode::Binary, &payload(0, 60_000));
        let closed = std::rc::Rc::new(std::cell::Cell::new(false));
        executor.spawn("close", {
            let closed = closed.clone();
            async move {
                assert!(!ws.close(CloseCode::NORMAL, "bye").await.unwrap().clean);
                closed.set(true);
            }
        });
        let time = executor.time.clone();
        executor.spawn("flood", async move {
            for _ in 0..15 {
                while peer.unread_by_peer() < 2 << 20 {
                    peer.push(&frame);
                }
                time.advance(SECOND / 10);
                yield_now().await;
            }
            assert!(closed.get(), "it has closed half a second after the deadline");
        });
        executor.run();
    }
}

#[test]
fn the_server_closes_the_transport_first_and_the_client_waits_for_it() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, Config::new());
        let ended = executor.spawn("recv", async move { (ws.recv().await, ws) });
        peer.push(&FrameWriter::to(is_server).close(CloseCode::from(4001), "why"));
        executor.run_until_idle();
        let answer = parse_frames(&peer.take_all());
        assert_eq!((answer[0].opcode, &*answer[0].data), (Opcode::Close, &4001u16.to_be_bytes()[..]));
        assert_eq!(peer.is_shut(), is_server);
        assert!(!ended.is_finished());
        peer.shut();
        executor.run();
        let (end, ws) = ended.take();
        assert!(matches!(end, Ok(None)));
        let info = ws.close_info().unwrap();
        assert_eq!((info.by, info.code.as_u16(), &*info.reason, info.clean), (Side::Peer, 4001, "why", true));
        assert_eq!(executor.time.armed(), 0, "no timer is left");
        assert!(peer.is_shut());
    }
}

#[test]
fn messages_that_the_peer_sent_before_its_close_arrive_after_ours() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let wire = FrameWriter::to(is_server);
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, Config::new());
        executor.spawn("test", async move {
            ws.begin_close(CloseCode::NORMAL, "").await.unwrap();
            assert!(ws.send("too late").await.is_err());
            peer.push(&[wire.text("one"), wire.ping(b"no pong after our Close"), wire.text("two")].concat());
            peer.push(&[wire.close(CloseCode::NORMAL, ""), wire.text("ignored")].concat());
            peer.shut();
            let probe = ws.io().probe();
            let (messages, end) = receive_all(ws).await;
            assert!(end.is_ok());
            assert_eq!(messages, [Message::from("one"), Message::from("two")]);
            assert_eq!(parse_frames(&probe.get().log).len(), 1, "only our Close was sent");
        });
        executor.run();
    }
}

#[test]
fn eof_anywhere_without_a_close_is_reported_once_as_not_clean() {
    let wire = FrameWriter::to(true);
    let bytes = [
        wire.text("one"),
        wire.frame(Opcode::Text, false, b"tw"),
        wire.ping(b"p"),
        wire.frame(Opcode::Continuation, true, &[b'o'; 200]),
    ]
    .concat();
    for cut in 0..bytes.len() {
        for error in [true, false] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(1 << 20);
            peer.push(&bytes[..cut]);
            if error {
                peer.reset()
            } else {
                peer.shut()
            }
            let ended = executor.spawn("recv", receive_all(server(io, &executor.time, Config::new())));
            executor.run();
            let (messages, end) = ended.take();
            assert_eq!(messages.len(), usize::from(cut >= wire.text("one").len()));
            match end {
                Err(Error::Io(_)) => assert!(error),
                Err(Error::Abnormal(info)) => {
                    assert_eq!(
                        (error, info.by, info.code, info.clean),
                        (false, Side::Peer, CloseCode::ABNORMAL, false)
                    );
                }
                end => panic!("{end:?}"),
            }
        }
    }
}

#[test]
fn a_protocol_error_is_reported_before_a_transport_error() {
    for reset in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        peer.push(&[FrameWriter::to(true).text("fine"), server_frame(Opcode::Text, b"not masked")].concat());
        let ended = executor.spawn("recv", receive_all(server(io, &executor.time, Config::new())));
        executor.run_until_idle();
        let answer = parse_frames(&peer.take_all());
        assert_eq!(answer[0].data[..2], 1002u16.to_be_bytes());
        assert!(peer.is_shut() && !ended.is_finished(), "the peer still has time to read the reason");
        if reset {
            peer.reset()
        } else {
            peer.shut()
        }
        executor.run();
        let (messages, end) = ended.take();
        assert_eq!(messages, [Message::from("fine")]);
        assert!(matches!(end, Err(Error::Protocol(ProtocolError::UnmaskedFrame))));
    }
}

#[test]
fn flush_never_succeeds_after_queued_bytes_were_lost() {
    // The receive notices the broken transport before the flush does.
    let mut executor = Executor::new();
    let (io, peer) = pipe(10);
    let mut ws = server(io, &executor.time, Config::new());
    executor.spawn("test", async move {
        ws.feed("a message that does not fit").await.unwrap();
        assert!(poll_at_most(1, ws.recv()).await.is_none());
        let peer = peer.refuse_writes();
        assert!(poll_at_most(1, ws.recv()).await.is_none());
        assert!(matches!(ws.flush().await, Err(Error::Io(_))));
        assert!(ws.send("more").await.is_err());
        peer.shut();
        assert!(ws.recv().await.is_err());
    });
    executor.run();
}
