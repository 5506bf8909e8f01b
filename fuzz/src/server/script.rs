//! Anything in any order: clients that connect, send, read and vanish, an application that pushes,
//! pauses, closes and shuts down, and a clock that jumps.

use std::time::Duration;

use sockeye_core::{CloseCode, Frame, Opcode, Prepared};
use sockeye_driver::server::{Client, Drain};
use sockeye_testkit::sim::payload;

use super::app::App;
use super::requests::read_bytes;
use super::setup::{Setup, read_transport};
use super::world::World;
use crate::input::Input;

const MAX_CALLS: usize = 100;
const MAX_PEERS: usize = 6;

/// The number of kinds of calls. Larger numbers stand for the same calls, after which no task runs.
const CALLS: u8 = 44;

/// Runs a script: settings, then calls.
pub(super) fn run(mut input: Input<'_>) {
    let app = App::default();
    let ending = input.byte();
    let mut world = World::new(Setup::read(&mut input, app.clone()), app);
    for _ in 0..MAX_CALLS {
        if input.is_empty() {
            break;
        }
        let byte = input.byte();
        call(&mut world, byte >> 2, usize::from(byte & 3), &mut input);
        if byte >> 2 >= CALLS {
            continue;
        }
        // Waking all tasks may hide the wake-up that another one misses later. So half of the
        // scripts do it only when they say so.
        if ending & 1 == 0 { world.check_wakes() } else { world.run() }
    }
    world.end(ending & 2 == 0);
}

fn call(world: &mut World, kind: u8, index: usize, input: &mut Input<'_>) {
    match kind % CALLS {
        0 => {
            let (capacity, faults) = read_transport(input);
            if world.peers.len() < MAX_PEERS {
                world.connect(capacity, faults);
            }
        }
        1..=12 => {
            let bytes = read_bytes(kind % CALLS - 1, input);
            world.send(index, &bytes);
        }
        13 | 14 => {
            let n = if kind % CALLS == 13 { usize::MAX } else { input.size() };
            world.peer(index).into_iter().for_each(|peer| peer.read(n));
        }
        15 => world.peer(index).into_iter().for_each(|peer| peer.shut()),
        16 => world.peer(index).into_iter().for_each(|peer| peer.reset()),
        17 => world.peer(index).into_iter().for_each(|peer| peer.vanish()),
        18 => world.executor.time.advance(Duration::from_millis(20 * input.size() as u64)),
        19 => _ = world.executor.time.advance_to_alarm(),
        20 => world.app.open_gate(false),
        21 => world.check_wakes(),
        22 => world.fail_accept(),
        23 => world.server.shutdown(Duration::from_millis(20 * input.size() as u64)),
        24 => {
            let millis = |input: &mut Input<'_>| Duration::from_millis(20 * input.size() as u64);
            let drain = Drain::new(millis(input)).spread(millis(input));
            _ = world.server.drain(drain);
        }
        25 => drop(world.server.broadcast(|_| true, payload(1, input.size()))),
        26 => {
            let server = world.server.clone();
            world.executor.spawn("waits for the server", async move { server.stopped().await });
        }
        39 => world.peer(index).into_iter().for_each(|peer| peer.refuse_writes()),
        kind => {
            if let Some(client) = find(world, index) {
                call_client(world, client, kind, input);
            }
        }
    }
}

fn find(world: &World, index: usize) -> Option<Client> {
    let ids = world.server.connections();
    world.server.client(*ids.get(index % ids.len().max(1))?)
}

/// Calls something for one connection. Errors are of no interest: it may be closing, or its queue
/// full.
fn call_client(world: &mut World, client: Client, kind: u8, input: &mut Input<'_>) {
    match kind {
        27 | 28 => _ = client.push(payload(2, input.size())),
        29 => _ = client.ping(input.bytes()),
        30 => _ = client.close(CloseCode::NORMAL, "enough"),
        31 => _ = client.abort(),
        32 => _ = client.protect(input.byte() & 1 == 0),
        33 => _ = client.pause(),
        34 => _ = client.resume(),
        35 => {
            let len = input.size();
            world.executor.spawn("sends", async move { _ = client.send(payload(3, len)).await });
        }
        36 => drop(world.executor.spawn("waits for the end", async move { client.closed().await })),
        37 => {
            let (flags, data) = (input.byte(), input.bytes());
            let opcode = if flags & 1 == 0 { Opcode::Binary } else { Opcode::Continuation };
            let mut frame = Frame::new(opcode, data);
            frame.flags.finish = flags & 2 == 0;
            _ = client.push_frame(&frame);
        }
        38 => {
            let prepared = Prepared::new(payload(4, input.size()));
            _ = client.push_prepared(&prepared);
        }
        40 => {
            // A send that is dropped after its first poll.
            _ = sockeye_testkit::poll_once(client.send(payload(5, input.size())));
        }
        41 => drop(sockeye_testkit::poll_once(client.closed())),
        42 => client.defer(|client| _ = client.push("deferred")),
        _ => client.set_data(1),
    }
}
