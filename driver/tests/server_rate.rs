//! Servers in memory: limits on the rate of messages, to the millisecond (O9).

use std::time::Duration;

use sockeye_core::{CloseCode, CloseFrame, Config, Opcode};
use sockeye_driver::server::{Excess, RateLimit};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Calls `test` with a server on tasks, and with one that has a thread for each connection.
fn on_both(limit: RateLimit, test: impl Fn(&mut World, &Pipe)) {
    for own_threads in [false, true] {
        let runtime = if own_threads { SimRuntime::threads } else { |runtime| runtime };
        let mut world = World::on_runtime_with(Config::new(), runtime, |port| port.rate_limit(limit));
        let pipe = world.open();
        test(&mut world, &pipe);
    }
}

/// Ten messages a second, of which two may come at once.
fn ten(excess: Excess) -> RateLimit {
    RateLimit::new().messages(10, 2).excess(excess)
}

fn texts(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| client_frame(Opcode::Text, text.as_bytes())).collect()
}

/// Returns the payloads of the frames that the server has sent.
fn received(pipe: &Pipe) -> Vec<String> {
    parse_frames(&pipe.take_all()).iter().map(|frame| String::from_utf8_lossy(&frame.data).into()).collect()
}

fn over_rate(world: &World) -> u64 {
    world.server.stats().total.over_rate
}

#[test]
fn o9_messages_above_the_rate_wait_and_arrive_in_order() {
    on_both(ten(Excess::Wait), |world, pipe| {
        world.send(pipe, &texts(&["1", "2", "3", "4"]));
        assert_eq!(received(pipe), ["1", "2"]);
        world.wait(99);
        // Messages that arrive meanwhile come after those that wait. A ping does not wait.
        world.send(pipe, &[texts(&["5"]), client_frame(Opcode::Ping, b"ping")].concat());
        assert_eq!(received(pipe), ["ping"]);
        for text in ["3", "4", "5"] {
            world.wait(1);
            assert_eq!(received(pipe), [text]);
            world.wait(99);
            assert_eq!(received(pipe), [""; 0]);
        }
        // After a pause the burst is there again.
        world.wait(1000);
        world.send(pipe, &texts(&["6", "7"]));
        assert_eq!(received(pipe), ["6", "7"]);
        world.wait(100);
        world.send(pipe, &texts(&["8"]));
        assert_eq!(received(pipe), ["8"]);
    });
}

#[test]
fn o9_messages_above_the_rate_are_dropped_if_the_port_says_so() {
    on_both(ten(Excess::Drop), |world, pipe| {
        world.send(pipe, &texts(&["1", "2", "3", "4", "5"]));
        assert_eq!((received(pipe), over_rate(world)), (vec!["1".to_owned(), "2".to_owned()], 3));
        world.wait(100);
        world.send(pipe, &texts(&["6", "7"]));
        assert_eq!((received(pipe), over_rate(world)), (vec!["6".to_owned()], 4));
        assert_eq!(world.server.stats().total.received.messages, 3);
    });
}

#[test]
fn o9_a_client_above_the_rate_is_closed_and_nothing_more_is_delivered() {
    on_both(ten(Excess::Close), |world, pipe| {
        world.send(pipe, &texts(&["1", "2", "3", "fail"]));
        let frames = parse_frames(&pipe.take_all());
        let close = CloseFrame::parse(frames.last().unwrap().data.clone()).unwrap();
        assert_eq!((frames.len(), close.status()), (3, CloseCode::POLICY_VIOLATION));
        world.send(pipe, &texts(&["fail"]));
        world.wait(10_000);
        assert_eq!(world.ends()[0].as_ref().unwrap().code, CloseCode::POLICY_VIOLATION);
        assert!(world.failures().is_empty());
        world.assert_empty();
    });
}

#[test]
fn o9_bytes_are_limited_like_messages_and_a_fragmented_message_counts_as_a_whole() {
    let limit = RateLimit::new().bytes(1000, 100).excess(Excess::Drop);
    on_both(limit, |world, pipe| {
        let half = |opcode, finish| FrameWriter::to(true).frame(opcode, finish, &[b'x'; 40]);
        world.send(pipe, &[half(Opcode::Text, false), half(Opcode::Continuation, true)].concat());
        assert_eq!(received(pipe), ["x".repeat(80)]);
        // 20 bytes are left.
        world.send(
            pipe,
            &[client_frame(Opcode::Text, &[b'y'; 21]), client_frame(Opcode::Text, &[b'z'; 20])].concat(),
        );
        assert_eq!((received(pipe), over_rate(world)), (vec!["z".repeat(20)], 1));
        // A message longer than the burst needs all of it.
        world.wait(99);
        world.send(pipe, &client_frame(Opcode::Text, &[b'a'; 300]));
        assert_eq!(received(pipe), [""; 0]);
        world.wait(1);
        world.send(pipe, &client_frame(Opcode::Text, &[b'a'; 300]));
        assert_eq!(received(pipe), ["a".repeat(300)]);
    });
}

#[test]
fn o9_a_client_that_waits_takes_bounded_memory_and_is_not_held_up_when_it_closes() {
    on_both(ten(Excess::Wait), |world, pipe| {
        let messages: Vec<String> = (0..1000).map(|n| format!("message {n}")).collect();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        world.send(pipe, &texts(&messages[..100]));
        let close = FrameWriter::to(true).close(CloseCode::NORMAL, "");
        world.wait(200);
        assert_eq!(received(pipe).len(), 4);
        world.send(pipe, &close);
        world.wait(1);
        let ends = world.ends();
        assert_eq!(ends.first().map(|end| end.as_ref().unwrap().code), Some(CloseCode::NORMAL));
        assert_eq!(world.server.stats().total.received.messages, 100);
        // Of another client, so many wait in memory, and the rest in its transport.
        let pipe = world.open();
        let before = world.server.stats().total.received.wire_bytes;
        world.send(&pipe, &texts(&messages).repeat(20));
        let read = world.server.stats().total.received.wire_bytes - before;
        assert!(read < 140_000, "{read} bytes were read");
        received(&pipe);
        (0..50).for_each(|_| world.wait(100));
        assert_eq!(received(&pipe).len(), 50);
    });
}

#[test]
fn o9_a_shutdown_does_not_wait_for_the_rate() {
    on_both(ten(Excess::Wait), |world, pipe| {
        world.send(pipe, &texts(&["1", "2", "3", "4", "5"]));
        world.server.shutdown(Duration::from_secs(60));
        world.executor.run_until_idle();
        let frames = parse_frames(&pipe.take_all());
        assert_eq!(frames.len(), 6);
        assert_eq!(frames[5].opcode, Opcode::Close);
    });
}
