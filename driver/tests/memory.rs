//! The heap memory of connections. The allocator counts what the test's thread holds.

use std::sync::Arc;

use sockeye_core::{Config, Message, Opcode};
use sockeye_driver::read_upgrade;
use sockeye_driver::server::Limits;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::memory::{CountingAllocator, live};
use sockeye_testkit::sim::*;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// Receives until it has to wait, and returns the number of messages.
fn receive_all(ws: &mut Ws) -> usize {
    let mut received = 0;
    while let Some(message) = poll_once(ws.recv()) {
        message.unwrap().unwrap();
        received += 1;
    }
    received
}

#[test]
fn an_idle_connection_owns_no_buffer_after_any_traffic() {
    let whole = |wire: FrameWriter| wire.frame(Opcode::Binary, true, &payload(0, 60_000));
    let fragments = |wire: FrameWriter| {
        [
            wire.frame(Opcode::Binary, false, &payload(0, 60_000)),
            wire.frame(Opcode::Continuation, true, b"end"),
        ]
        .concat()
    };
    let small = |wire: FrameWriter| {
        [wire.text("small"), wire.ping(b"p"), wire.frame(Opcode::Pong, true, b"")].concat()
    };
    type Shape<'a> = (&'a str, &'a dyn Fn(FrameWriter) -> Vec<u8>);
    let shapes: [Shape<'_>; 3] = [("whole", &whole), ("fragments", &fragments), ("small", &small)];
    for is_server in [true, false] {
        for (name, bytes) in shapes {
            for byte_by_byte in [false, true] {
                let time = Time::new();
                let (ends, mut peers): (Vec<_>, Vec<_>) = (0..20).map(|_| pipe(1 << 20)).unzip();
                let mut all: Vec<Ws> =
                    ends.into_iter().map(|io| open(is_server, io, &time, Config::new())).collect();
                let mut echo = |all: &mut Vec<Ws>| {
                    for (ws, peer) in all.iter_mut().zip(&mut peers) {
                        let bytes = bytes(FrameWriter::to(is_server));
                        let (begin, end) = bytes.split_at(match (byte_by_byte, name) {
                            (false, _) => 0,
                            (true, "small") => 3,
                            (true, _) => 20,
                        });
                        begin.iter().for_each(|byte| {
                            peer.push(&[*byte]);
                            assert!(poll_once(ws.recv()).is_none());
                        });
                        peer.push(end);
                        let message = poll_once(ws.recv()).unwrap().unwrap().unwrap();
                        poll_once(ws.feed(message)).unwrap().unwrap();
                        assert_eq!(receive_all(ws), 0);
                        peer.release_memory();
                        ws.io().release_memory();
                    }
                };
                // The first echo allocates the thread's buffers.
                echo(&mut all);
                let before = live();
                echo(&mut all);
                let each = (live() - before) / 20;
                assert!(each <= 64, "each grows by {each} bytes with another echo, {name}");
                drop(all);
                let each = (before - live()) / 20;
                println!("{name}, server: {is_server}: {each} bytes each, with the pipe");
                assert!(each <= 1024, "{each} bytes each, {name}");
            }
        }
    }
}

#[test]
fn a_pending_upgrade_owns_no_read_buffer() {
    let time = Time::new();
    let config = Arc::new(Config::new());
    let open = || {
        let (io, peer) = pipe(1 << 20);
        peer.push(UPGRADE_REQUEST);
        let pending = poll_once(read_upgrade(io, time.clock(), config.clone())).unwrap().unwrap();
        (pending, peer)
    };
    let _first = open();
    let before = live();
    let _others: Vec<_> = (0..10).map(|_| open()).collect();
    let each = (live() - before) / 10;
    println!("{each} bytes each");
    assert!(each <= 4096, "{each} bytes each");
}

#[test]
fn a_flood_of_pings_from_a_peer_that_does_not_read_takes_no_memory() {
    for is_server in [true, false] {
        let (io, peer) = pipe(1000);
        let mut ws = open(is_server, io, &Time::new(), Config::new());
        let pings = FrameWriter::to(is_server).ping(&[7; 125]).repeat(500);
        peer.push(&pings);
        receive_all(&mut ws);
        let before = live();
        for _ in 0..100 {
            peer.push(&pings);
            receive_all(&mut ws);
        }
        peer.release_memory();
        assert!(live() - before <= 128 << 10, "{} bytes", live() - before);
        assert!(ws.queued() <= (64 << 10) + 135);
    }
}

#[test]
fn a_queue_that_is_never_empty_does_not_grow() {
    // The peer reads slightly less than the answers to its pings.
    for is_server in [true, false] {
        let (io, peer) = pipe(100);
        let mut ws = open(is_server, io, &Time::new(), Config::new());
        let ping = FrameWriter::to(is_server).ping(&[7; 100]);
        let mut sent = 0;
        let before = live();
        for _ in 0..20_000 {
            peer.push(&ping);
            assert_eq!(receive_all(&mut ws), 0);
            sent += peer.take(100).len();
            assert!(ws.queued() > 0 || sent < 1000);
        }
        assert!(sent > 1_900_000);
        peer.release_memory();
        ws.io().release_memory();
        assert!(live() - before <= 300 << 10, "{} bytes for a queue of {}", live() - before, ws.queued());
    }
}

#[test]
fn the_memory_of_a_skipped_message_is_freed() {
    let (io, peer) = pipe(1 << 20);
    let mut ws = server(io, &Time::new(), Config::new());
    let wire = FrameWriter::to(true);
    let before = live();
    peer.push(&wire.frame(Opcode::Binary, false, &payload(0, 200_000)));
    assert!(poll_once(ws.recv()).is_none());
    assert!(live() - before >= 200_000);
    let part = poll_once(ws.recv_part()).unwrap().unwrap().unwrap();
    assert_eq!((part.data.len(), part.first), (200_000, true));
    drop(part);
    peer.push(&[wire.frame(Opcode::Continuation, true, &[0; 1000]), wire.text("next")].concat());
    assert_eq!(poll_once(ws.recv()).unwrap().unwrap(), Some(Message::from("next")));
    assert!(poll_once(ws.recv()).is_none());
    peer.release_memory();
    assert!(live() - before <= 128 << 10, "{} bytes", live() - before);
}

#[test]
fn t14_peers_that_send_pings_and_never_read_stay_within_the_budget_of_all_queues() {
    const PEERS: usize = 200;
    const BUDGET: usize = 1 << 20;
    let mut world = World::limited(Config::new(), |port| port, Limits::new().max_queued(BUDGET));
    let pings = FrameWriter::to(true).ping(&[7; 125]).repeat(500);
    let mut peers: Vec<Pipe> = Vec::with_capacity(PEERS);
    let mut attack = |world: &mut World, count: usize| {
        for _ in 0..count {
            let peer = world.open_with_capacity(1000);
            for _ in 0..4 {
                peer.push(&pings);
                world.executor.run_until_idle();
            }
            peer.release_memory();
            peers.push(peer);
        }
    };
    // The first ones allocate the buffers of the thread.
    attack(&mut world, 2);
    let before = live();
    attack(&mut world, PEERS - 2);
    let (held, queued) = ((live() - before) as usize, world.server.queued());
    println!("{held} bytes for queues of {queued}");
    assert!(queued <= BUDGET, "{queued}");
    // A connection takes 4 KiB besides, with its task and the pipe.
    assert!(held <= BUDGET + BUDGET / 4 + PEERS * (4 << 10), "{held}");
}
