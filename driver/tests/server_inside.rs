//! Servers in memory: what cannot be seen from outside of a process.

mod common;

use std::time::Duration;

use common::*;
use sockeye_core::{Config, Opcode, Payload};
use sockeye_driver::server::PushError;

#[test]
fn m11_from_a_paused_connection_nothing_is_read() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let id = world.server.connections()[0];
    world.server.pause(id).unwrap();
    world.executor.run_until_idle();
    let polls = world.executor.polls();
    let message = by_client(Opcode::Text, b"not yet");
    world.say(&pipe, &message);
    assert_eq!(pipe.unread_by_other(), message.len());
    world.server.push(id, "written all the same").unwrap();
    world.executor.run_until_idle();
    assert_eq!(*frames(&pipe.take_all())[0].data, b"written all the same"[..]);
    assert_eq!(pipe.unread_by_other(), message.len());
    assert!(world.executor.polls() - polls < 10, "it does not wait by asking");
    world.server.resume(id).unwrap();
    world.executor.run_until_idle();
    assert_eq!(*frames(&pipe.take_all())[0].data, b"not yet"[..]);
}

#[test]
fn m9_a_broadcast_says_for_how_many_it_was_queued_and_for_how_many_not() {
    let mut world = World::new(Config::new().high_water_mark(500).max_send_size(1000));
    let _reader = world.open();
    let slow: Vec<Pipe> = (0..3).map(|_| world.door.connect(200, Faults::default())).collect();
    slow.iter().for_each(|pipe| pipe.push(UPGRADE));
    world.executor.run_until_idle();
    slow.iter().for_each(|pipe| drop(pipe.take_all()));
    world.executor.run_until_idle();
    // Not asked for: one that is no WebSocket.
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
fn m4_the_budget_of_the_server_counts_what_waits_on_every_connection() {
    let mut world = World::new(Config::new());
    let pipes: Vec<Pipe> = (0..3).map(|_| world.door.connect(200, Faults::default())).collect();
    pipes.iter().for_each(|pipe| pipe.push(UPGRADE));
    world.executor.run_until_idle();
    pipes.iter().for_each(|pipe| drop(pipe.take_all()));
    world.executor.run_until_idle();
    let ids = world.server.connections();
    for id in &ids {
        world.server.push(*id, Payload::from(payload(0, 1000))).unwrap();
    }
    // A header of four bytes each.
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
fn m12_who_waits_for_the_end_is_told_when_it_has_come() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    let server = world.server.clone();
    let stopped = world.executor.spawn("who waits", async move { server.stopped().await });
    world.executor.run_until_idle();
    assert!(!stopped.is_finished() && !world.server.is_shutting_down());
    world.server.shutdown(Duration::from_secs(3));
    world.executor.run_until_idle();
    assert!(!stopped.is_finished() && world.server.is_shutting_down());
    drop(pipe);
    world.executor.run_until_idle();
    assert!(stopped.is_finished() && world.ended.is_finished());
}
