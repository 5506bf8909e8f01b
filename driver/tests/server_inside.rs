//! Servers in memory: behaviour that cannot be observed from outside the process.

use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Config, Flags, Frame, Opcode, Payload, Prepared};
use sockeye_driver::server::{Limits, PushError, Pushed, SlowReader};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

#[test]
fn m11_a_paused_connection_is_not_read_from() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let id = world.server.connections()[0];
    world.server.pause(id).unwrap();
    world.executor.run_until_idle();
    let polls = world.executor.polls();
    let message = client_frame(Opcode::Text, b"not yet");
    world.send(&pipe, &message);
    assert_eq!(pipe.unread_by_peer(), message.len());
    world.server.push(id, "written while paused").unwrap();
    world.executor.run_until_idle();
    assert_eq!(*parse_frames(&pipe.take_all())[0].data, b"written while paused"[..]);
    assert_eq!(pipe.unread_by_peer(), message.len());
    assert!(world.executor.polls() - polls < 10, "it does not poll in a loop");
    world.server.resume(id).unwrap();
    world.executor.run_until_idle();
    assert_eq!(*parse_frames(&pipe.take_all())[0].data, b"not yet"[..]);
}

#[test]
fn m11_a_paused_connection_whose_peer_has_gone_ends_when_it_is_written_to() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let id = world.server.connections()[0];
    world.server.pause(id).unwrap();
    world.executor.run_until_idle();
    drop(pipe);
    world.executor.run_until_idle();
    assert!(world.ends().is_empty(), "the connection is not read from");
    world.server.push(id, "anybody there?").unwrap();
    world.executor.run_until_idle();
    assert_eq!(world.ends().len(), 1);
    world.assert_empty();
}

#[test]
fn m9_a_broadcast_reports_how_many_connections_it_reached() {
    let mut world = World::new(Config::new().high_water_mark(500).max_send_size(1000));
    let _reader = world.open();
    let _slow: Vec<Pipe> = (0..3).map(|_| world.open_with_capacity(200)).collect();
    // A connection without a WebSocket is not counted.
    let _plain = world.connect();
    let report = world.server.broadcast(|_| true, payload(0, 1001));
    assert_eq!((report.queued, report.slow, report.failed), (0, 0, 4));
    let report = world.server.broadcast(|_| true, payload(0, 900));
    assert_eq!((report.queued, report.slow, report.failed), (4, 0, 0));
    world.executor.run_until_idle();
    let report = world.server.broadcast(|_| true, "more");
    assert_eq!((report.queued, report.slow, report.failed), (1, 3, 0));
}

#[test]
fn m9_a_broadcast_counts_dropped_messages_apart() {
    let config = Config::new().high_water_mark(500);
    let mut world = World::with(config, |port| port.slow_reader(SlowReader::Drop));
    let _reader = world.open();
    let _slow: Vec<Pipe> = (0..3).map(|_| world.open_with_capacity(200)).collect();
    assert_eq!(world.server.broadcast(|_| true, payload(0, 900)).queued, 4);
    world.executor.run_until_idle();
    let report = world.server.broadcast(|_| true, "more");
    assert_eq!((report.queued, report.dropped, report.slow, report.failed), (1, 3, 0, 0));
    // A push that is dropped succeeds, and is counted too.
    let mut dropped = Vec::new();
    for id in world.server.connections() {
        world.server.push(id, "more").unwrap();
        dropped.push(world.server.info(id).unwrap().dropped);
    }
    dropped.sort_unstable();
    assert_eq!(dropped, [0, 2, 2, 2]);
    let report = world.server.broadcast_prepared(|_| true, &Prepared::new("more"));
    assert_eq!((report.queued, report.dropped), (1, 3));
}

#[test]
fn m4_the_servers_budget_counts_the_queues_of_all_connections() {
    let mut world = World::new(Config::new());
    let pipes: Vec<Pipe> = (0..3).map(|_| world.open_with_capacity(200)).collect();
    let ids = world.server.connections();
    for id in &ids {
        world.server.push(*id, Payload::from(payload(0, 1000))).unwrap();
    }
    // Each frame has a header of four bytes.
    assert_eq!(world.server.queued(), 3 * 1004);
    world.executor.run_until_idle();
    assert_eq!(world.server.queued(), 3 * (1004 - 200));
    world.server.abort(ids[0]).unwrap();
    assert_eq!(world.server.queued(), 2 * (1004 - 200));
    drop(pipes);
    world.executor.run_until_idle();
    world.assert_empty();
    assert_eq!(world.server.push(ids[1], "x"), Err(PushError::UnknownConnection));
}

#[test]
fn m4_the_port_decides_what_a_push_above_the_budget_does() {
    for slow in [SlowReader::Error, SlowReader::Drop, SlowReader::Close(CloseCode::TRY_AGAIN_LATER)] {
        let limits = Limits::new().max_queued(1000);
        let mut world = World::limited(Config::new(), |port| port.slow_reader(slow), limits);
        let pipe = world.open_with_capacity(100);
        let id = world.server.connections()[0];
        world.server.push(id, payload(0, 900)).unwrap();
        // More than half of the budget is in use, so the push has written what the transport takes.
        let pushed = world.server.push(id, "x".repeat(197));
        match slow {
            SlowReader::Drop => assert_eq!(pushed, Ok(Pushed::Dropped)),
            _ => assert_eq!(pushed, Err(PushError::ServerBackpressure { queued: 804 })),
        }
        assert_eq!(world.server.is_established(id), !matches!(slow, SlowReader::Close(_)));
        let mut received = Vec::new();
        while world.server.queued() > 0 {
            world.executor.run_until_idle();
            received.extend(pipe.take_all());
        }
        world.executor.run_until_idle();
        received.extend(pipe.take_all());
        let opcodes: Vec<Opcode> = parse_frames(&received).iter().map(|frame| frame.opcode).collect();
        match slow {
            SlowReader::Close(_) => assert_eq!(opcodes, [Opcode::Binary, Opcode::Close]),
            _ => assert_eq!(opcodes, [Opcode::Binary]),
        }
    }
}

#[test]
fn m9_a_prepared_message_can_be_pushed_to_one_or_broadcast() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let id = world.server.connections()[0];
    let prepared = Prepared::new("news");
    world.server.client(id).unwrap().push_prepared(&prepared).unwrap();
    world.server.push_prepared(id, &prepared).unwrap();
    assert_eq!(world.server.broadcast_prepared(|_| true, &prepared).queued, 1);
    world.executor.run_until_idle();
    let written = parse_frames(&pipe.take_all());
    assert_eq!(written.iter().filter(|frame| *frame.data == b"news"[..]).count(), 3);
}

#[test]
fn m4_control_frames_are_sent_above_the_budget() {
    let mut world = World::limited(Config::new(), |port| port, Limits::new().max_queued(1000));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    world.server.push(id, payload(0, 1000 - 4)).unwrap();
    // The transport takes 100 bytes of them.
    let full = Err(PushError::ServerBackpressure { queued: 900 });
    assert_eq!(world.server.push(id, "x".repeat(101)), full);
    world.server.ping(id, b"p").unwrap();
    let close = Frame::close(&CloseFrame::new(CloseCode::NORMAL, "")).unwrap();
    world.server.push_frame(id, &close).unwrap();
    let mut received = Vec::new();
    while world.server.queued() > 0 {
        world.executor.run_until_idle();
        received.extend(pipe.take_all());
    }
    world.executor.run_until_idle();
    received.extend(pipe.take_all());
    let opcodes: Vec<Opcode> = parse_frames(&received).iter().map(|frame| frame.opcode).collect();
    assert_eq!(opcodes, [Opcode::Binary, Opcode::Ping, Opcode::Close]);
}

#[test]
fn t45_a_connection_that_reads_or_is_within_its_share_is_not_refused_above_the_budget() {
    let mut world = World::limited(Config::new(), |port| port, Limits::new().max_queued(1000));
    let _slow = world.open_with_capacity(100);
    let slow = world.server.connections()[0];
    let reader = world.open();
    let reading = world.server.connections().into_iter().max().unwrap();
    let _mute = world.open_with_capacity(10);
    let mute = world.server.connections().into_iter().max().unwrap();
    world.server.push(slow, payload(0, 1000 - 4)).unwrap();
    // The budget is used up, but this peer reads.
    for _ in 0..10 {
        world.server.push(reading, payload(0, 500)).unwrap();
        assert!(!reader.take_all().is_empty());
    }
    // This one does not: its share is a third of a quarter, 83 bytes.
    world.server.push(mute, payload(0, 40)).unwrap();
    world.server.push(mute, payload(0, 40)).unwrap();
    assert!(matches!(world.server.push(mute, payload(0, 40)), Err(PushError::ServerBackpressure { .. })));
    world.executor.run_until_idle();
}

#[test]
fn m4_a_fragment_is_never_dropped_alone() {
    let config = Config::new().high_water_mark(500);
    let mut world = World::with(config, |port| port.slow_reader(SlowReader::Drop));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    let part = |opcode, finish| Frame {
        flags: Flags { finish, ..Flags::default() },
        ..Frame::new(opcode, &b"part"[..])
    };
    world.server.push_frame(id, &part(Opcode::Binary, false)).unwrap();
    world.server.push_frame(id, &Frame::new(Opcode::Continuation, payload(0, 600))).unwrap();
    world.executor.run_until_idle();
    let full = Err(PushError::Backpressure { queued: 510 });
    assert_eq!(
        world.server.push_frame(id, &part(Opcode::Binary, false)),
        full,
        "a fragment is refused, not dropped"
    );
    assert_eq!(
        world.server.push_frame(id, &part(Opcode::Binary, true)),
        Ok(Pushed::Dropped),
        "a whole message may be dropped"
    );
    let mut received = Vec::new();
    while world.server.queued() > 0 {
        received.extend(pipe.take_all());
        world.executor.run_until_idle();
    }
    world.server.push_frame(id, &part(Opcode::Binary, false)).unwrap();
    world.server.push_frame(id, &part(Opcode::Continuation, true)).unwrap();
    world.executor.run_until_idle();
    received.extend(pipe.take_all());
    let opcodes: Vec<Opcode> = parse_frames(&received).iter().map(|frame| frame.opcode).collect();
    assert_eq!(opcodes, [Opcode::Binary, Opcode::Continuation, Opcode::Binary, Opcode::Continuation]);
}

#[test]
fn m4_a_slow_reader_is_sent_its_close_at_once() {
    let close = SlowReader::Close(CloseCode::TRY_AGAIN_LATER);
    let mut world =
        World::limited(Config::new(), |port| port.slow_reader(close), Limits::new().max_queued(1000));
    let _slow = world.open_with_capacity(100);
    let slow = world.server.connections()[0];
    let reader = world.open_with_capacity(300);
    let id = world.server.connections().into_iter().max().unwrap();
    world.server.push(id, payload(0, 400)).unwrap();
    world.executor.run_until_idle();
    world.server.push(slow, payload(0, 800)).unwrap();
    world.executor.run_until_idle();
    assert!(world.server.push(id, payload(0, 300)).is_err());
    let mut received = reader.take_all();
    world.executor.run_until_idle();
    received.extend(reader.take_all());
    let opcodes: Vec<Opcode> = parse_frames(&received).iter().map(|frame| frame.opcode).collect();
    assert_eq!(opcodes, [Opcode::Binary, Opcode::Close]);
}

#[test]
fn m9_a_broadcast_to_some_skips_connections_that_are_not_open() {
    let mut world = World::new(Config::new());
    let pipes: Vec<Pipe> = (0..3).map(|_| world.open()).collect();
    let mut ids = world.server.connections();
    ids.sort_unstable();
    assert_eq!(ids.iter().map(|id| id.as_u64()).collect::<Vec<_>>(), [1, 2, 3]);
    let _plain = world.connect();
    let plain = *world.server.connections().iter().max().unwrap();
    world.server.disconnect(ids[0], CloseCode::NORMAL, "").unwrap();
    let report = world.server.broadcast_to([ids[0], ids[2], plain, ids[2]], "twice");
    assert_eq!((report.queued, report.slow, report.failed), (2, 0, 0));
    world.executor.run_until_idle();
    assert_eq!(pipes.iter().map(|pipe| parse_frames(&pipe.take_all()).len()).collect::<Vec<_>>(), [1, 0, 2]);
}

#[test]
fn e10_an_answer_on_a_closing_connection_is_not_a_failure() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let id = world.server.connections()[0];
    world.server.disconnect(id, CloseCode::NORMAL, "").unwrap();
    world.send(&pipe, &client_frame(Opcode::Text, b"too late to be echoed"));
    assert_eq!(world.failures(), Vec::<String>::new());
    // Any other error is a failure, whether the connection is open or closing.
    for closes in [false, true] {
        let pipe = world.open();
        if closes {
            let id = world.server.connections().into_iter().max().unwrap();
            world.server.disconnect(id, CloseCode::NORMAL, "").unwrap();
        }
        world.send(&pipe, &client_frame(Opcode::Text, b"fail"));
    }
    assert_eq!(world.failures(), ["as asked", "as asked"]);
}

#[test]
fn m11_m12_connections_without_a_websocket_end_at_once() {
    let mut world = World::new(Config::new());
    let waiting = world.connect();
    let half = world.connect();
    world.send(&half, b"GET / HT");
    for id in world.server.connections() {
        world.server.abort(id).unwrap();
    }
    world.executor.run_until_idle();
    assert!(waiting.is_shut() && half.is_shut());
    world.assert_empty();
    let waiting = world.connect();
    let kept = world.connect();
    world.send(&kept, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.server.shutdown(Duration::from_secs(10));
    world.executor.run_until_idle();
    assert!(waiting.is_shut() && kept.is_shut() && world.ended.is_finished());
}

#[test]
fn m12_shutdown_closes_a_keep_alive_connection_after_its_response() {
    let mut world = World::new(Config::new());
    let pipe = world.connector.connect(100, Faults::default());
    world.send(&pipe, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Half of the response has been written.
    world.server.shutdown(Duration::from_secs(10));
    world.executor.run_until_idle();
    assert!(!world.ended.is_finished());
    let mut answer = pipe.take_all();
    world.executor.run_until_idle();
    answer.extend(pipe.take_all());
    assert!(String::from_utf8(answer).unwrap().contains("Connection: keep-alive\r\n"));
    assert!(pipe.is_shut() && world.ended.is_finished());
}

#[test]
fn h5_a_dropped_read_of_a_body_loses_nothing() {
    let mut world = World::new(Config::new());
    let pipe = world.connect();
    world.send(&pipe, b"POST /impatient HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    for part in [b"ab", b"cd", b"ef"] {
        assert!(pipe.take_all().is_empty());
        world.send(&pipe, part);
    }
    assert!(pipe.take_all().ends_with(b"\r\n\r\nabcdef"));
}

#[test]
fn m8_a_blocking_send_updates_last_sent() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let client = world.server.client(world.server.connections()[0]).unwrap();
    let before = client.info().last_sent;
    world.executor.time.advance(Duration::from_secs(5));
    client.send_blocking("at once").unwrap();
    assert_eq!(*parse_frames(&pipe.take_all())[0].data, b"at once"[..]);
    assert!(client.info().last_sent > before);
}

#[test]
fn m12_stopped_returns_when_the_server_has_ended() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let server = world.server.clone();
    let stopped = world.executor.spawn("waiter", async move { server.stopped().await });
    world.executor.run_until_idle();
    assert!(!stopped.is_finished() && !world.server.is_shutting_down());
    world.server.shutdown(Duration::from_secs(3));
    world.executor.run_until_idle();
    assert!(!stopped.is_finished() && world.server.is_shutting_down());
    drop(pipe);
    world.executor.run_until_idle();
    assert!(stopped.is_finished() && world.ended.is_finished());
}
