//! Deadlines on a virtual clock, and how connections end.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_core::{CloseCode, Config, Connection, Message, Opcode, ProtocolError, Side, State};
use sockeye_driver::{Error, Io, WebSocket};
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
fn w10_the_server_closes_the_transport_first_and_the_client_waits_for_it() {
    for (is_server, peer_ends) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, Config::new());
        let ended = executor.spawn("recv", async move { (ws.recv().await, ws) });
        peer.push(&FrameWriter::to(is_server).close(CloseCode::from(4001), "why"));
        executor.run_until_idle();
        let answer = parse_frames(&peer.take_all());
        assert_eq!((answer[0].opcode, &*answer[0].data), (Opcode::Close, &b"\x0f\xa1why"[..]));
        // The server has done its part. The client waits for the server, but not for long.
        assert_eq!((peer.is_shut(), ended.is_finished()), (is_server, is_server));
        if peer_ends {
            peer.shut();
            executor.run_until_idle();
        } else if !is_server {
            executor.time.advance(SECOND / 4 - Duration::from_nanos(1));
            executor.run_until_idle();
            assert!(!ended.is_finished());
            executor.time.advance(Duration::from_nanos(1));
            executor.run_until_idle();
        }
        let (end, ws) = ended.take();
        assert_eq!(ws.state(), State::Closed);
        assert!(matches!(end, Ok(None)));
        let info = ws.close_info().unwrap();
        assert_eq!((info.by, info.code.as_u16(), &*info.reason, info.clean), (Side::Peer, 4001, "why", true));
        assert_eq!(executor.time.armed(), 0, "no timer is left");
        assert!(!peer_ends || peer.is_shut());
    }
}

/// The ways to learn of the end of a connection.
#[derive(Clone, Copy)]
enum Until {
    Recv,
    RecvWith,
    RecvPart,
    Close,
    RecvHalf,
}

async fn wait_for_end(mut ws: Ws, until: Until) {
    match until {
        Until::Recv => assert!(matches!(ws.recv().await, Ok(None))),
        Until::RecvWith => assert!(matches!(ws.recv_with(|_, _| ()).await, Ok(None))),
        Until::RecvPart => assert!(matches!(ws.recv_part().await, Ok(None))),
        Until::Close => assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean),
        Until::RecvHalf => {
            let (_send, mut recv) = ws.split();
            assert!(matches!(recv.recv().await, Ok(None)));
            assert!(recv.close_info().unwrap().clean);
        }
    }
}

#[test]
fn e13_every_receive_ends_with_the_closing_handshake_though_the_peer_keeps_its_side_open() {
    for until in [Until::Recv, Until::RecvWith, Until::RecvPart, Until::Close, Until::RecvHalf] {
        for is_server in [true, false] {
            for pending in [Pending::Never, Pending::First, Pending::UntilIdle] {
                let mut executor = Executor::new();
                let faults = Faults { pending, buffer: 20, ..Faults::default() };
                let (io, peer) = pipe_with(1 << 20, faults);
                let ws = open(is_server, io, &executor.time, Config::new());
                let ended = executor.spawn("receive", wait_for_end(ws, until));
                executor.run_until_idle();
                let wire = FrameWriter::to(is_server);
                // Input after the Close is read, so that dropping a socket would not reset it.
                peer.push(&[wire.close(CloseCode::NORMAL, ""), wire.text("ignored")].concat());
                executor.run_until_idle();
                if !is_server {
                    executor.pass(SECOND / 4);
                }
                assert!(ended.is_finished());
                assert_eq!(parse_frames(&peer.take_all())[0].opcode, Opcode::Close);
                assert_eq!(peer.unread_by_peer(), 0);
                assert!(peer.is_shut());
            }
        }
    }
}

#[test]
fn e13_the_end_waits_until_this_end_s_close_is_written_and_its_side_is_closed() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(3);
    let mut ws = server(io, &executor.time, Config::new());
    let ended = executor.spawn("recv", async move { ws.recv().await });
    for byte in FrameWriter::to(true).close(CloseCode::NORMAL, "") {
        peer.push(&[byte]);
        executor.run_until_idle();
    }
    assert!(!ended.is_finished() && !peer.is_shut());
    let mut answer = peer.take_all();
    executor.run_until_idle();
    answer.extend(peer.take_all());
    assert_eq!(answer, [0x88, 2, 3, 0xe8]);
    assert!(matches!(ended.take(), Ok(None)) && peer.is_shut());
}

/// A transport that reports the end of the input as TLS does if the peer sent no `close_notify`.
struct WithoutCloseNotify(Pipe);

impl Io for WithoutCloseNotify {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match std::task::ready!(self.0.poll_read(cx, buffer)) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            read => Poll::Ready(read),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

#[test]
fn w13_a_peer_that_vanishes_causes_the_same_error_over_tls_as_over_tcp() {
    for is_server in [true, false] {
        for sends_close in [true, false] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(1 << 20);
            let connection = if is_server {
                Connection::server(Arc::default())
            } else {
                Connection::client(Arc::default(), Box::new(|| [1; 4]))
            };
            let mut ws = WebSocket::new(connection, &[], WithoutCloseNotify(io), executor.time.clock());
            let ended = executor.spawn("recv", async move { (ws.recv().await, ws.recv().await) });
            if sends_close {
                peer.push(&FrameWriter::to(is_server).close(CloseCode::NORMAL, ""));
            }
            peer.shut();
            executor.run();
            match ended.take() {
                (Ok(None), Ok(None)) if sends_close => {}
                (Err(Error::Abnormal(info)), Ok(None)) if !sends_close => {
                    assert_eq!((info.by, info.code), (Side::Peer, CloseCode::ABNORMAL));
                }
                end => panic!("{end:?}"),
            }
        }
    }
}

#[test]
fn a_write_error_after_the_end_of_the_input_ends_the_connection_at_once() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(10);
    let mut ws = server(io, &executor.time, Config::new());
    let ended = executor.spawn("recv", async move {
        ws.feed("a message that does not fit").await.unwrap();
        ws.recv().await
    });
    executor.run_until_idle();
    peer.shut();
    executor.run_until_idle();
    assert!(!ended.is_finished(), "the peer may still read");
    // Reading wakes the writer, which finds the transport broken.
    peer.refuse_writes().take_all();
    executor.run_until_idle();
    assert!(matches!(ended.take(), Err(Error::Abnormal(_))));
    assert_eq!(executor.time.armed(), 0);
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
fn w13_a_close_of_the_peer_is_no_error_if_its_answer_cannot_be_written() {
    let close = |is_server| FrameWriter::to(is_server).close(CloseCode::GOING_AWAY, "");
    for (is_server, sends_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let mut ws = open(is_server, io, &executor.time, Config::new());
        peer.push(&[FrameWriter::to(is_server).text("last words"), close(is_server)].concat());
        let _peer = peer.refuse_writes();
        let received = executor.spawn("recv", async move {
            if sends_first {
                assert!(matches!(ws.send("lost").await, Err(Error::Io(_))));
            }
            let received = (ws.recv().await, ws.recv().await, ws.recv().await);
            let info = ws.close_info().unwrap();
            assert_eq!((info.by, info.code, info.clean), (Side::Peer, CloseCode::GOING_AWAY, false));
            received
        });
        executor.run_until_idle();
        assert!(matches!(received.take(), (Ok(Some(_)), Ok(None), Ok(None))));
        assert_eq!(executor.time.armed(), 0);
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
