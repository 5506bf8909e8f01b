//! Servers in memory: what waits to be written.

mod common;

use common::*;
use sockeye_core::{Config, Opcode};

#[test]
fn e11_a_queue_has_drained_at_a_quarter_of_its_mark() {
    let mut world = World::new(Config::new().high_water_mark(1000));
    let pipe = world.open_narrow(50);
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
fn e11_a_queue_that_empties_between_two_messages_has_drained() {
    let mut world = World::new(Config::new().high_water_mark(500));
    let pipe = world.open();
    let messages =
        [by_client(Opcode::Binary, &payload(0, 600)), by_client(Opcode::Text, b"when there is room")];
    world.say(&pipe, &messages.concat());
    assert_eq!(frames(&pipe.take_all()).len(), 2);
    assert_eq!(world.drained(), 1);
}
