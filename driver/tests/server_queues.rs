//! Servers in memory: queues of bytes to be written.

use sockeye_core::{Config, Opcode};
use sockeye_driver::server::{Limits, PushError};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

#[test]
fn e11_a_queue_has_drained_at_a_quarter_of_its_mark() {
    let mut world = World::new(Config::new().high_water_mark(1000));
    let pipe = world.open_with_capacity(50);
    let id = world.server.connections()[0];
    world.server.push(id, payload(0, 1000)).unwrap();
    while world.server.queued() > 0 {
        world.executor.run_until_idle();
        assert_eq!(world.drained(), usize::from(world.server.queued() <= 250));
        pipe.take_all();
    }
    assert_eq!(world.drained(), 1);
}

#[test]
fn e11_a_low_water_mark_does_not_depend_on_the_order_of_the_setters() {
    let mut world = World::limited(
        Config::new(),
        |port| port.low_water_mark(500).config(Config::new().high_water_mark(1000)),
        Limits::new(),
    );
    let pipe = world.open_with_capacity(50);
    let id = world.server.connections()[0];
    world.server.push(id, payload(0, 1000)).unwrap();
    while world.server.queued() > 0 {
        world.executor.run_until_idle();
        assert_eq!(world.drained(), usize::from(world.server.queued() <= 500));
        pipe.take_all();
    }
}

#[test]
fn e11_a_queue_that_empties_between_two_messages_has_drained() {
    let mut world = World::new(Config::new().high_water_mark(500));
    let pipe = world.open();
    let messages =
        [client_frame(Opcode::Binary, &payload(0, 600)), client_frame(Opcode::Text, b"when there is room")];
    world.send(&pipe, &messages.concat());
    assert_eq!(parse_frames(&pipe.take_all()).len(), 2);
    assert_eq!(world.drained(), 1);
}

#[test]
fn m4_a_dropped_send_blocks_nothing() {
    let mut world = World::new(Config::new().high_water_mark(500));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    world.server.push(id, payload(0, 600)).unwrap();
    world.executor.run_until_idle();
    let client = world.server.client(id).unwrap();
    assert_eq!(poll_once(client.send("late")), None);
    let sent = parse_frames(&read_all(&mut world, &pipe));
    assert_eq!(sent.len(), 1);
    assert_eq!(*sent[0].data, payload(0, 600)[..]);
}

#[test]
fn m19_a_push_to_a_full_queue_writes_what_the_transport_takes() {
    let mut world = World::new(Config::new().high_water_mark(500));
    let pipe = world.open_with_capacity(1000);
    let id = world.server.connections()[0];
    // Below the mark nothing is written yet: the connection's task writes once for all.
    for _ in 0..4 {
        world.server.push(id, payload(0, 100)).unwrap();
    }
    assert_eq!(pipe.take_all(), b"");
    for _ in 0..10 {
        world.server.push(id, payload(0, 100)).unwrap();
    }
    // 14 frames of 102 bytes: the transport holds 1000, the queue the rest.
    assert_eq!(world.server.queued(), 428);
    world.server.push(id, payload(0, 100)).unwrap();
    assert_eq!(world.server.push(id, "x"), Err(PushError::Backpressure { queued: 530 }));
    assert_eq!(parse_frames(&read_all(&mut world, &pipe)).len(), 15);
}

#[test]
fn m19_a_refused_push_leaves_the_task_to_be_woken() {
    let mut world = World::new(Config::new().high_water_mark(500));
    let pipe = world.open_with_capacity(100);
    let id = world.server.connections()[0];
    for n in 0..3 {
        world.server.push(id, payload(n, 600)).unwrap();
        // The task waits for the transport. A push that is refused polls the transport too.
        world.executor.run_until_idle();
        assert_eq!(world.server.push(id, "x"), Err(PushError::Backpressure { queued: 504 }));
        let sent = parse_frames(&read_all(&mut world, &pipe));
        assert_eq!((sent.len(), &*sent[0].data), (1, &*payload(n, 600)));
    }
    assert_eq!(world.server.queued(), 0);
}

#[test]
fn m4_sends_without_end_to_a_fast_peer_let_the_connection_run() {
    let mut world = World::new(Config::new().high_water_mark(500));
    let pipe = world.open();
    let client = world.server.client(world.server.connections()[0]).unwrap();
    let mut sent = 0;
    for _ in 0..3 {
        let before = sent;
        while poll_once(client.send(payload(0, 600))).is_some() {
            sent += 1;
            assert!(sent < before + 50, "the sending task never waits");
        }
        assert!(sent > before + 1, "the transport takes more than the queue");
        world.executor.run_until_idle();
    }
    assert_eq!(parse_frames(&pipe.take_all()).len(), sent);
}

#[test]
fn m11_no_message_is_delivered_after_a_pause_or_an_abort() {
    for (abort, own_threads) in [(false, false), (true, false), (false, true), (true, true)] {
        let runtime = if own_threads { SimRuntime::threads } else { |runtime| runtime };
        let mut world = World::on_runtime(Config::new().high_water_mark(500), runtime);
        let pipe = world.open_with_capacity(100);
        // The second message waits until the queue has room for its answer.
        let both = [client_frame(Opcode::Binary, &payload(0, 600)), client_frame(Opcode::Text, b"fail")];
        world.send(&pipe, &both.concat());
        assert!(world.server.queued() >= 500);
        let id = world.server.connections()[0];
        if abort {
            world.server.abort(id).unwrap();
        } else {
            world.server.pause(id).unwrap();
        }
        let sent = read_all(&mut world, &pipe);
        assert!(abort || parse_frames(&sent).len() == 1);
        assert_eq!(world.failures(), Vec::<String>::new());
        assert_eq!(world.server.connections().len(), usize::from(!abort));
    }
}

/// Runs the server and reads until it has nothing more to write.
fn read_all(world: &mut World, pipe: &Pipe) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        world.executor.run_until_idle();
        let part = pipe.take_all();
        if part.is_empty() {
            return received;
        }
        received.extend(part);
    }
}

#[test]
fn t45_a_peer_that_does_not_read_and_vanishes_ends_its_connection_while_queues_are_scarce() {
    let mut world = World::limited(Config::new(), |port| port, Limits::new().max_queued(1000));
    let mute = world.open_with_capacity(50);
    let id = world.server.connections()[0];
    world.server.push(id, payload(0, 900)).unwrap();
    world.executor.run_until_idle();
    // Its input is not read now, since its answers would need memory.
    mute.push(&client_frame(Opcode::Text, b"not yet"));
    world.executor.run_until_idle();
    assert_eq!(mute.unread_by_peer(), client_frame(Opcode::Text, b"not yet").len());
    drop(mute);
    world.executor.run_until_idle();
    assert_eq!(world.ends().len(), 1);
    assert_eq!(world.server.queued(), 0);
    world.assert_empty();
}
