//! Batching: how reads and writes are combined, and that a busy connection lets other tasks run.

use sockeye_core::{CloseCode, Config, Message, MessageKind, Opcode, Prepared};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Returns ten messages of a client, in one piece.
fn ten() -> Vec<u8> {
    (0..10).flat_map(|i| client_frame(Opcode::Binary, &payload(i, 100))).collect()
}

#[test]
fn all_messages_of_one_read_are_answered_with_one_write() {
    for with in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let probe = io.probe();
        let mut ws = server(io, &executor.time, Config::new());
        executor.spawn("echo", async move {
            if with {
                while let Ok(Some(sent)) = ws.recv_with(|message, sender| sender.send(message)).await {
                    sent.unwrap();
                }
            } else {
                while let Ok(Some(message)) = ws.recv().await {
                    ws.feed(message).await.unwrap();
                }
            }
        });
        for round in 1..=3 {
            peer.push(&[ten(), client_frame(Opcode::Ping, b"p")].concat());
            executor.run_until_idle();
            assert_eq!(probe.get().writes, round);
            let answers = parse_frames(&peer.take_all());
            let opcodes: Vec<_> = answers.iter().map(|frame| frame.opcode).collect();
            assert_eq!(opcodes, [[Opcode::Binary; 10].as_slice(), &[Opcode::Pong]].concat());
        }
    }
}

#[test]
fn send_writes_at_once_and_feed_at_the_next_flush_or_receive() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let probe = io.probe();
    let mut ws = server(io, &executor.time, Config::new());
    executor.spawn("test", async move {
        ws.send("1").await.unwrap();
        assert_eq!(probe.get().writes, 1);
        ws.feed("2").await.unwrap();
        ws.feed_prepared(&Prepared::new("3")).await.unwrap();
        assert_eq!((probe.get().writes, ws.queued()), (1, 6));
        ws.flush().await.unwrap();
        assert_eq!((probe.get().writes, ws.queued()), (2, 0));
        ws.flush().await.unwrap();
        assert_eq!(probe.get().writes, 2, "nothing was queued");
        ws.feed("4").await.unwrap();
        assert!(poll_at_most(1, ws.recv()).await.is_none());
        assert_eq!((probe.get().writes, ws.queued()), (3, 0));
        assert_eq!(parse_frames(&peer.take_all()).len(), 4);
    });
    executor.run();
}

#[test]
fn a_server_sends_large_payloads_in_order_with_and_without_vectored_writes() {
    for vectored in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe_with(1 << 22, Faults { vectored, ..Faults::default() });
        let probe = io.probe();
        let mut ws = server(io, &executor.time, Config::new().high_water_mark(1 << 22));
        executor.spawn("test", async move {
            for i in 0..30 {
                ws.feed(payload(i, 10_000)).await.unwrap();
                ws.feed(payload(i, 10)).await.unwrap();
            }
            ws.flush().await.unwrap();
            drop(ws);
        });
        executor.run();
        let frames = parse_frames(&peer.take_all());
        assert_eq!(frames.len(), 60);
        for (i, frame) in frames.iter().enumerate() {
            assert_eq!(*frame.data, payload(i / 2, if i % 2 == 0 { 10_000 } else { 10 }));
        }
        // One vectored write takes sixteen slices.
        let writes = probe.get().writes;
        assert!(if vectored { writes <= 6 } else { writes >= 60 }, "{writes}");
    }
}

#[test]
fn a_flood_of_messages_lets_other_tasks_run() {
    // Every read finds bytes, so only the connection itself can yield.
    for size in [10, 10_007, 70_000] {
        for parts in [true, false] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(100);
            let probe = io.probe();
            let count = (6 << 20) / size;
            let frame = server_frame(Opcode::Binary, &payload(0, size));
            peer.push(&frame.repeat(count));
            peer.push(&server_frame(Opcode::Close, b""));
            peer.shut();
            let mut ws = client(io, &executor.time, Config::new());
            executor.spawn("receiver", async move {
                let mut received = 0;
                loop {
                    let more = if parts {
                        ws.recv_part().await.unwrap().map(|part| usize::from(part.last))
                    } else {
                        ws.recv().await.unwrap().map(|_| 1)
                    };
                    let Some(n) = more else { break };
                    received += n;
                }
                assert_eq!(received, count);
            });
            executor.run();
            let (polls, reads) = (executor.polls_of("receiver"), probe.get().reads);
            assert!(polls >= reads / 20 && polls >= 4, "{polls} polls for {reads} reads of {size} bytes");
        }
    }
}

#[test]
fn messages_are_the_same_wherever_the_bytes_are_split() {
    let wire = FrameWriter::to(true);
    let mut bytes = Vec::new();
    bytes.extend(wire.text("h\u{e9}llo"));
    bytes.extend(wire.frame(Opcode::Text, false, "\u{20ac}".as_bytes().split_at(1).0));
    bytes.extend(wire.ping(b"between"));
    bytes.extend(wire.frame(Opcode::Continuation, true, "\u{20ac}".as_bytes().split_at(1).1));
    bytes.extend(wire.frame(Opcode::Binary, true, &payload(3, 300)));
    bytes.extend(wire.close(CloseCode::NORMAL, "bye"));
    let expected = [Message::from("h\u{e9}llo"), Message::from("\u{20ac}"), Message::from(payload(3, 300))];
    for cut in 0..bytes.len() {
        for parts in [true, false] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(1 << 20);
            let mut ws = server(io, &executor.time, Config::new());
            let received = executor.spawn("receiver", async move {
                if !parts {
                    return receive_all(ws).await.0;
                }
                let (mut messages, mut begun) = (Vec::new(), Vec::new());
                while let Some(part) = ws.recv_part().await.unwrap() {
                    begun.extend_from_slice(&part.data);
                    if part.last {
                        let bytes = std::mem::take(&mut begun);
                        messages.push(match part.kind {
                            MessageKind::Text => Message::from(String::from_utf8(bytes).unwrap()),
                            MessageKind::Binary => Message::from(bytes),
                        });
                    }
                }
                messages
            });
            peer.push(&bytes[..cut]);
            executor.run_until_idle();
            peer.push(&bytes[cut..]);
            peer.shut();
            executor.run();
            assert_eq!(received.take(), expected, "cut at {cut}");
            let answers: Vec<_> = parse_frames(&peer.take_all()).iter().map(|frame| frame.opcode).collect();
            assert_eq!(answers, [Opcode::Pong, Opcode::Close]);
        }
    }
}

#[test]
fn recv_after_a_part_skips_the_rest_and_recv_part_after_a_cancelled_recv_returns_all() {
    let wire = FrameWriter::to(true);
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let mut ws = server(io, &executor.time, Config::new());
    executor.spawn("test", async move {
        peer.push(&wire.frame(Opcode::Text, false, b"one "));
        let part = ws.recv_part().await.unwrap().unwrap();
        assert!(part.first && !part.last && part.data == "one ");
        peer.push(&[wire.frame(Opcode::Continuation, true, b"more"), wire.text("two")].concat());
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("two")));

        // The first fragment ends inside a character.
        let euro = "\u{20ac}".as_bytes();
        peer.push(&wire.frame(Opcode::Text, false, &[b"three ", &euro[..2]].concat()));
        assert!(poll_at_most(1, ws.recv()).await.is_none());
        peer.push(&wire.frame(Opcode::Continuation, true, &euro[2..]));
        let (mut data, mut firsts) = (Vec::new(), 0);
        loop {
            let part = ws.recv_part().await.unwrap().unwrap();
            data.extend_from_slice(&part.data);
            firsts += usize::from(part.first);
            if part.last {
                break;
            }
        }
        assert_eq!((String::from_utf8(data).unwrap().as_str(), firsts), ("three \u{20ac}", 1));
        // The next message does not contain any of it.
        peer.push(&wire.frame(Opcode::Text, false, b"fo"));
        assert!(poll_at_most(1, ws.recv()).await.is_none());
        peer.push(&wire.frame(Opcode::Continuation, true, b"ur"));
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("four")));
    });
    executor.run();
}
