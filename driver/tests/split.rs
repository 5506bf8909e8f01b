//! Two halves of a connection in two tasks: neither ever waits forever for the other.

use std::time::Duration;

use sockeye_core::{CloseCode, Config, Message, Opcode, SendError, State};
use sockeye_driver::Error;
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Runs `test` on transports that make both halves wait, with the tasks polled in either order.
fn on_bad_transports(mut test: impl FnMut(Executor, usize, Faults)) {
    for pending in [Pending::Never, Pending::First, Pending::UntilIdle] {
        for (capacity, buffer) in [(1, 0), (7, 0), (50, 20), (100_000, 0)] {
            for backwards in [false, true] {
                println!("capacity {capacity}, buffer {buffer}, {pending:?}, backwards: {backwards}");
                let faults = Faults { pending, buffer, ..Faults::default() };
                test(Executor::new().backwards(backwards), capacity, faults);
            }
        }
    }
}

fn many(seed: usize) -> Vec<Message> {
    (0..8).map(|i| Message::from(payload(seed + i, 40 * i))).collect()
}

#[test]
fn both_ends_send_and_receive_at_once_through_a_pipe_of_any_size() {
    on_bad_transports(|mut executor, capacity, faults| {
        let (a, b) = pipe_with(capacity, faults);
        let b = b.with(faults);
        let config = || Config::new().high_water_mark(100);
        let mut received = Vec::new();
        for (is_server, io) in [(true, a), (false, b)] {
            let (mut send, mut recv) = open(is_server, io, &executor.time, config()).split();
            let seed = if is_server { 0 } else { 100 };
            executor.spawn("a sending half", async move {
                for message in many(seed) {
                    send.send(message).await.unwrap();
                }
                send
            });
            received.push(executor.spawn("a receiving half", async move {
                let mut received = Vec::new();
                while received.len() < 8 {
                    received.push(recv.recv().await.unwrap().unwrap());
                }
                // Read until it waits, so that neither end is dropped before the other has read
                // all.
                assert!(poll_at_most(1, recv.recv()).await.is_none());
                (recv, received)
            }));
        }
        executor.run();
        assert_eq!(received[0].take().1, many(100));
        assert_eq!(received[1].take().1, many(0));
    });
}

#[test]
fn the_receiving_half_answers_pings_and_delivers_while_the_sending_half_is_blocked() {
    for is_server in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(100);
        let (mut send, mut recv) = open(is_server, io, &executor.time, Config::new()).split();
        let sent = executor.spawn("send", async move { send.send(payload(0, 50_000)).await.map(|()| send) });
        let received = executor.spawn("recv", async move { (recv.recv().await.unwrap().unwrap(), recv) });
        executor.run_until_idle();
        let wire = FrameWriter::to(is_server);
        peer.push(&[wire.ping(b"1"), wire.text("I wait")].concat());
        executor.run_until_idle();
        assert!(!sent.is_finished(), "the send is blocked");
        let (message, mut recv) = received.take();
        assert_eq!(message, Message::from("I wait"));
        executor.spawn("recv again", async move { recv.recv().await.map(|_| ()) });
        let mut written = Vec::new();
        while {
            executor.run_until_idle();
            let some = peer.take_all();
            written.extend_from_slice(&some);
            !some.is_empty()
        } {}
        let frames = parse_frames(&written);
        assert_eq!((frames[0].opcode, frames[0].data.len()), (Opcode::Binary, 50_000));
        assert_eq!((frames[1].opcode, &*frames[1].data), (Opcode::Pong, &b"1"[..]));
        assert!(sent.take().is_ok());
    }
}

#[test]
fn a_close_by_the_sending_half_ends_the_receiving_half() {
    on_bad_transports(|mut executor, capacity, faults| {
        for is_server in [true, false] {
            let (a, b) = pipe_with(capacity, faults);
            let (mut send, mut recv) = open(is_server, a, &executor.time, Config::new()).split();
            let b = open(!is_server, b, &executor.time, Config::new());
            executor.spawn("recv", async move {
                assert!(matches!(recv.recv().await, Ok(None)));
                assert!(recv.close_info().unwrap().clean);
            });
            executor.spawn("send", async move {
                yield_now().await;
                send.send("last words").await.unwrap();
                send.close(CloseCode::GOING_AWAY, "bye").await.unwrap();
                let again = send.close(CloseCode::NORMAL, "").await;
                assert!(matches!(again, Err(Error::Send(SendError::Closed))));
            });
            let peer = executor.spawn("peer", receive_all(b));
            executor.run();
            let (messages, end) = peer.take();
            assert_eq!(messages, [Message::from("last words")]);
            assert!(end.is_ok());
        }
    });
}

#[test]
fn a_close_by_the_sending_half_starts_the_close_timeout_of_a_waiting_receiving_half() {
    let mut executor = Executor::new();
    let (io, _peer) = pipe(1000);
    let (mut send, mut recv) = server(io, &executor.time, Config::new()).split();
    let ended = executor.spawn("recv", async move { recv.recv().await });
    executor.run_until_idle();
    executor.spawn("send", async move { send.close(CloseCode::NORMAL, "").await.unwrap() });
    executor.run_until_idle();
    assert!(!ended.is_finished());
    executor.run_with_time();
    assert!(matches!(ended.take(), Err(Error::Abnormal(info)) if info.code == CloseCode::NORMAL));
    assert_eq!(executor.time.elapsed(), Duration::from_secs(5));
}

#[test]
fn a_failed_write_in_the_sending_half_ends_a_waiting_receiving_half() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1000);
    let (mut send, mut recv) = server(io, &executor.time, Config::new()).split();
    let ended = executor.spawn("recv", async move { recv.recv().await });
    executor.run_until_idle();
    // The peer refuses writes and sends nothing.
    let peer = peer.refuse_writes();
    executor.spawn("send", async move {
        assert!(matches!(send.send("hello?").await, Err(Error::Io(_))));
        assert!(matches!(send.send("hello?").await, Err(Error::Send(SendError::Closed))));
    });
    executor.run_until_idle();
    assert!(peer.is_shut(), "this end has closed its side");
    executor.run_with_time();
    assert!(matches!(ended.take(), Err(Error::Abnormal(_))));
    assert_eq!(executor.time.elapsed(), Duration::from_secs(5));
}

#[test]
fn a_blocked_sending_half_returns_when_the_connection_ends() {
    // The peer vanished, and keepalive notices.
    let config = || Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(20));
    for big in [50_000, 500_000] {
        let mut executor = Executor::new();
        let (io, _peer) = pipe(100);
        let (mut send, mut recv) = server(io, &executor.time, config()).split();
        let received = executor.spawn("recv", async move { recv.recv().await });
        executor.spawn("send", async move {
            let first = send.send(payload(0, big)).await;
            assert!(matches!(first, Err(Error::Io(_))), "{first:?}");
            assert_eq!(send.state(), State::Closed);
            let more = send.send("more").await;
            assert!(matches!(more, Err(Error::Send(SendError::Closed))), "{more:?}");
            assert!(matches!(send.flush().await, Err(Error::Io(_))), "the queued bytes are lost");
        });
        executor.run_with_time();
        assert!(matches!(received.take(), Err(Error::Abnormal(_))));
        assert!(executor.time.elapsed() <= Duration::from_secs(51));
    }
}

#[test]
fn a_sending_half_without_its_receiving_half_detects_a_dead_peer() {
    let config = || Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(20));
    for polls in [0, 1] {
        let mut executor = Executor::new();
        let (io, _peer) = pipe(100);
        let (mut send, mut recv) = server(io, &executor.time, config()).split();
        executor.spawn("send", async move { assert!(send.send(payload(0, 1000)).await.is_err()) });
        executor.spawn("recv", async move { assert!(poll_at_most(polls, recv.recv()).await.is_none()) });
        executor.run_with_time();
        assert!(executor.time.elapsed() <= Duration::from_secs(51));
    }
}

#[test]
fn a_waiting_feed_continues_after_the_receiving_half_has_written() {
    // When the transport accepts bytes again, the receiving half writes first.
    for backwards in [false, true] {
        let mut executor = Executor::new().backwards(backwards);
        let faults = Faults { pending: Pending::UntilIdle, ..Faults::default() };
        let (io, peer) = pipe_with(1 << 20, faults);
        let (mut send, mut recv) = server(io, &executor.time, Config::new().high_water_mark(1000)).split();
        executor.spawn("send", async move {
            for i in 0..10 {
                send.feed(payload(i, 1000)).await.unwrap();
            }
            send.flush().await.unwrap();
        });
        executor.spawn("recv", async move { while recv.recv().await.unwrap().is_some() {} });
        for _ in 0..20 {
            peer.push(&client_frame(Opcode::Ping, b""));
            executor.run_until_idle();
        }
        peer.push(&FrameWriter::to(true).close(CloseCode::NORMAL, ""));
        peer.shut();
        executor.run();
    }
}

#[test]
fn the_receiving_half_holds_no_lock_while_it_delivers_a_message() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1000);
    let (send, mut recv) = server(io, &executor.time, Config::new()).split();
    peer.push(&FrameWriter::to(true).text("hi"));
    executor.spawn("recv", async move {
        let state = recv.recv_with(|_| send.state()).await;
        assert!(matches!(state, Ok(Some(State::Open))));
    });
    executor.run();
}

#[test]
fn joined_halves_are_one_connection_again_and_lose_nothing() {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    let (io, peer) = pipe(100_000);
    let (other, _other_peer) = pipe(100);
    peer.push(&[FrameWriter::to(true).text("one"), FrameWriter::to(true).text("two")].concat());
    executor.spawn("test", async move {
        let (mut send, mut recv) = server(io, &time, Config::new()).split();
        assert_eq!(recv.recv().await.unwrap(), Some(Message::from("one")));
        send.feed("three").await.unwrap();
        assert_eq!(send.queued(), 7);
        // The halves of two connections cannot be joined.
        let (stranger, _) = server(other, &time, Config::new()).split();
        let (recv, _) = recv.join(stranger).unwrap_err();
        assert!(recv.is_pair_of(&send));
        let Ok(mut ws) = recv.join(send) else { panic!("they are a pair") };
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("two")));
        ws.flush().await.unwrap();
        assert_eq!(peer.take_all(), b"\x81\x05three");
    });
    executor.run();
}

#[test]
fn one_half_works_without_the_other_and_the_transport_closes_with_the_second() {
    for keep_recv in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(100_000);
        let (mut send, mut recv) = server(io, &executor.time, Config::new()).split();
        peer.push(&[FrameWriter::to(true).ping(b"x"), FrameWriter::to(true).text("hi")].concat());
        executor.spawn("test", async move {
            if keep_recv {
                send.feed("fed").await.unwrap();
                drop(send);
                assert_eq!(recv.recv().await.unwrap(), Some(Message::from("hi")));
                assert!(poll_at_most(1, recv.recv()).await.is_none());
                assert_eq!(peer.take_all(), b"\x81\x03fed\x8a\x01x");
            } else {
                drop(recv);
                send.send("sent").await.unwrap();
                assert_eq!(peer.take_all(), b"\x8a\x01x\x81\x04sent", "the sending half answers pings, too");
                assert!(!peer.is_shut());
                drop(send);
            }
            if !keep_recv {
                assert!(peer.is_shut());
            }
        });
        executor.run();
    }
}

#[test]
fn the_round_trip_is_known_even_if_the_pong_is_read_at_once() {
    for split in [true, false] {
        let mut executor = Executor::new();
        let time = executor.time.clone();
        let (io, peer) = pipe(1000);
        let ws = server(io, &time, Config::new());
        executor.spawn("test", async move {
            let pong = [client_frame(Opcode::Pong, b"p"), FrameWriter::to(true).text("hi")].concat();
            let round_trip = if split {
                let (mut send, mut recv) = ws.split();
                send.ping(b"p").await.unwrap();
                time.advance(Duration::from_millis(30));
                peer.push(&pong);
                recv.recv().await.unwrap();
                assert!(poll_at_most(1, recv.recv()).await.is_none());
                send.round_trip()
            } else {
                let mut ws = ws;
                ws.ping(b"p").await.unwrap();
                time.advance(Duration::from_millis(30));
                peer.push(&pong);
                ws.recv().await.unwrap();
                assert!(poll_at_most(1, ws.recv()).await.is_none());
                ws.round_trip()
            };
            assert_eq!(round_trip, Some(Duration::from_millis(30)));
        });
        executor.run();
    }
}

#[test]
fn e13_the_sending_half_answers_a_close_and_pings_after_the_receiving_half_was_dropped() {
    on_bad_transports(|mut executor, capacity, faults| {
        for is_server in [true, false] {
            let (a, b) = pipe_with(capacity, faults);
            let (mut send, recv) = open(is_server, a, &executor.time, Config::new()).split();
            let mut peer = open(!is_server, b, &executor.time, Config::new());
            let sent = executor.spawn("send", async move {
                send.send("before").await.unwrap();
                drop(recv);
                loop {
                    match send.send("after").await {
                        Ok(()) => yield_now().await,
                        Err(Error::Send(SendError::Closed)) => return send,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
            let closed = executor.spawn("peer", async move {
                assert!(peer.recv().await.unwrap().is_some());
                peer.send(payload(0, 1000)).await.unwrap();
                peer.ping(b"").await.unwrap();
                while peer.round_trip().is_none() {
                    peer.recv().await.unwrap();
                }
                peer.close(CloseCode::NORMAL, "bye").await.unwrap()
            });
            executor.run_with_time();
            assert!(closed.take().clean);
            assert_ne!(sent.take().state(), State::Open);
        }
    });
}

#[test]
fn a_send_that_is_blocked_reads_on_when_the_receiving_half_is_dropped() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(100);
    let (mut send, recv) = server(io, &executor.time, Config::new()).split();
    let sent = executor.spawn("send", async move { send.send(payload(0, 50_000)).await.map(|()| send) });
    executor.run_until_idle();
    drop(recv);
    executor.run_until_idle();
    // The peer does not read before it has sent all this.
    for _ in 0..100 {
        peer.push(&client_frame(Opcode::Binary, &[0; 60]));
        executor.run_until_idle();
        assert_eq!(peer.unread_by_peer(), 0);
    }
    peer.push(&FrameWriter::to(true).close(CloseCode::NORMAL, ""));
    let mut written = Vec::new();
    while {
        executor.run_until_idle();
        let some = peer.take_all();
        written.extend_from_slice(&some);
        !some.is_empty()
    } {}
    let opcodes: Vec<_> = parse_frames(&written).iter().map(|frame| frame.opcode).collect();
    assert_eq!(opcodes, [Opcode::Binary, Opcode::Close]);
    assert_eq!(sent.take().unwrap().state(), State::Closed);
}

#[test]
fn a_close_by_the_sending_half_waits_for_the_end_if_the_receiving_half_was_dropped() {
    for answers in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1000);
        let (mut send, recv) = server(io, &executor.time, Config::new()).split();
        drop(recv);
        let closed = executor.spawn("close", async move { send.close(CloseCode::NORMAL, "").await });
        executor.run_until_idle();
        assert!(!closed.is_finished());
        assert_eq!(parse_frames(&peer.take_all())[0].opcode, Opcode::Close);
        if answers {
            peer.push(
                &[
                    client_frame(Opcode::Text, b"discarded"),
                    FrameWriter::to(true).close(CloseCode::NORMAL, ""),
                ]
                .concat(),
            );
            executor.run_until_idle();
            assert!(closed.take().is_ok());
        } else {
            executor.run_with_time();
            assert!(matches!(closed.take(), Err(Error::Abnormal(_))));
            assert_eq!(executor.time.elapsed(), Duration::from_secs(5));
        }
        assert!(peer.is_shut());
    }
}

#[test]
fn m19_a_refused_try_feed_leaves_the_receiving_half_to_be_woken() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(100);
    let (mut send, mut recv) = server(io, &executor.time, Config::new().high_water_mark(500)).split();
    send.try_feed(payload(0, 600)).unwrap();
    let _receiving = executor.spawn("recv", async move { recv.recv().await });
    executor.run_until_idle();
    // The receiving half waits for the transport, to write the message.
    assert!(send.try_feed("more").is_err());
    let mut received = Vec::new();
    loop {
        executor.run_until_idle();
        match peer.take_all() {
            part if part.is_empty() => break,
            part => received.extend(part),
        }
    }
    assert_eq!(parse_frames(&received).len(), 1);
}
