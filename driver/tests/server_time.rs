//! Timeouts of servers, to the millisecond: in memory, with a clock that only the test moves.

use std::io::ErrorKind;
use std::time::Duration;

use sockeye_core::{CloseCode, Config, Instant, Opcode, Side};
use sockeye_driver::server::{
    Client, Drain, Handler, HandlerResult, Inbound, Limits, Port, Refused, TrustedProxies,
};
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use sockeye_testkit::sim::*;

#[test]
fn h12_t1_a_trickling_handshake_is_closed_exactly_at_its_deadline() {
    let mut world = World::new(Config::new());
    let pipes: Vec<Pipe> = (0..100).map(|_| world.connect()).collect();
    for second in 0..10 {
        assert_eq!(world.server.connections().len(), 100, "after {second} s");
        pipes.iter().for_each(|pipe| pipe.push(&UPGRADE_REQUEST[second..=second]));
        world.wait(if second < 9 { 1000 } else { 999 });
    }
    assert_eq!(world.server.connections().len(), 100);
    assert!(pipes.iter().all(|pipe| !pipe.is_shut()));
    world.wait(1);
    assert!(pipes.iter().all(|pipe| pipe.take_all().starts_with(b"HTTP/1.1 408 ") && pipe.is_shut()));
    // The clients get two seconds to read the response.
    world.wait(1999);
    assert_eq!(world.server.connections().len(), 100);
    world.wait(1);
    world.assert_empty();
    assert_eq!(world.ends(), vec![None; 100]);
}

#[test]
fn h12_t2_a_silent_connection_is_closed_at_the_handshake_deadline() {
    let mut world = World::new(Config::new().handshake_timeout(Duration::from_secs(3)));
    let pipe = world.connect();
    world.wait(2999);
    assert!(!pipe.is_shut());
    world.wait(1);
    assert!(pipe.is_shut() && pipe.take_all().is_empty());
    world.assert_empty();
}

#[test]
fn h16_a_proxy_header_must_arrive_before_the_handshake_deadline() {
    let mut world = World::with(Config::new().handshake_timeout(Duration::from_secs(3)), |port| {
        port.trusted_proxies(TrustedProxies::none().unix()).proxy_protocol(true)
    });
    let (silent, trickling, late) = (world.connect(), world.connect(), world.connect());
    let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n";
    for byte in &line[..5] {
        world.send(&trickling, &[*byte]);
        world.wait(500);
    }
    world.wait(499);
    world.send(&late, line);
    assert!(!silent.is_shut() && !trickling.is_shut());
    world.wait(1);
    assert!(silent.is_shut() && silent.take_all().is_empty());
    assert!(trickling.is_shut() && trickling.take_all().is_empty());
    // The request has its own deadline.
    world.wait(2998);
    assert!(!late.is_shut());
    world.send(&late, UPGRADE_REQUEST);
    assert!(late.take_all().starts_with(b"HTTP/1.1 101 "));
    assert_eq!(world.server.connections().len(), 1);
}

#[test]
fn h16_m12_a_shutdown_ends_connections_that_wait_for_a_proxy_header() {
    let mut world = World::with(Config::new(), |port| {
        port.trusted_proxies(TrustedProxies::none().unix()).proxy_protocol(true)
    });
    let pipe = world.connect();
    world.send(&pipe, b"PROXY ");
    world.server.shutdown(Duration::from_secs(10));
    world.wait(0);
    assert!(pipe.is_shut());
    world.assert_empty();
}

#[test]
fn h5_a_connection_waits_for_its_next_request_until_the_keep_alive_timeout() {
    let mut world = World::with(Config::new(), |port| port.keep_alive_timeout(Duration::from_secs(20)));
    let pipe = world.connect();
    world.wait(9000);
    world.send(&pipe, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 200 "));
    world.wait(19_999);
    world.send(&pipe, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 200 "));
    // Once a head has begun, the handshake timeout limits it.
    world.wait(19_999);
    world.send(&pipe, b"G");
    world.wait(9999);
    assert!(!pipe.is_shut());
    world.wait(1);
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 408 "));
    let other = world.connect();
    world.send(&other, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.wait(20_000);
    assert!(other.is_shut());
    world.assert_empty();
}

#[test]
fn h5_the_body_timeout_starts_when_the_body_is_read() {
    let mut world = World::with(Config::new(), |port| port.body_timeout(Duration::from_secs(7)));
    let pipe = world.connect();
    world.send(&pipe, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n1");
    for _ in 0..6 {
        world.wait(1000);
        world.send(&pipe, b"x");
    }
    world.wait(999);
    assert!(pipe.take_all().is_empty());
    world.wait(1);
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn h5_a_client_that_resets_in_its_body_or_before_its_response_is_forgotten() {
    let requests: [&[u8]; 2] = [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n1",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for request in requests {
        let mut world = World::new(Config::new());
        let pipe = world.connector.connect(10, Faults::default());
        world.send(&pipe, request);
        assert_eq!(world.server.connections().len(), 1);
        pipe.reset();
        world.wait(1);
        // A blocked write may not notice the reset. Its deadline applies then.
        world.wait(30_000);
        assert_eq!(world.server.connections(), [], "{}", request.escape_ascii());
    }
}

#[test]
fn h5_a_response_that_waits_in_a_buffering_transport_has_the_same_deadline() {
    let mut world = World::new(Config::new());
    let faults = Faults { buffer: 1 << 20, ..Faults::default() };
    let pipe = world.connector.connect(10, faults);
    world.send(&pipe, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.wait(29_999);
    assert_eq!(world.server.connections().len(), 1);
    world.wait(1);
    // Closing the transport may block as well, for two seconds at most.
    world.wait(2_000);
    assert_eq!(world.server.connections(), []);
}

#[test]
fn h5_a_client_that_does_not_read_the_100_is_closed_at_the_body_timeout() {
    let mut world = World::new(Config::new());
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let probe = world.connect();
    world.send(&probe, get);
    let len = probe.take_all().len();
    // The first response fills the pipe.
    let pipe = world.connector.connect(len, Faults::default());
    world.send(&pipe, get);
    world.send(&pipe, b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    drop(probe);
    world.wait(29_999);
    assert_eq!(world.server.connections().len(), 1);
    world.wait(1);
    assert_eq!(world.server.connections(), []);
}

#[test]
fn h5_a_response_that_is_not_read_is_abandoned_at_the_body_timeout() {
    let mut world = World::with(Config::new(), |port| port.body_timeout(Duration::from_secs(7)));
    let pipe = world.connector.connect(10, Faults::default());
    world.executor.run_until_idle();
    world.send(&pipe, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.wait(6999);
    assert_eq!(world.server.connections().len(), 1);
    world.wait(1);
    world.assert_empty();
}

#[test]
fn o7_a_silent_connection_is_closed_and_any_byte_is_a_sign_of_life() {
    let mut world = World::new(Config::new().idle_timeout(Duration::from_secs(60)));
    let (silent, lively, protected) = (world.open(), world.open(), world.open());
    let mut ids = world.server.connections();
    ids.sort_unstable();
    world.server.protect(ids[2], true).unwrap();
    let mut closed_after = None;
    for second in 1..=76 {
        world.wait(1000);
        if second % 20 == 0 {
            // The first byte of a frame, then the rest.
            world.send(&lively, &[0x81]);
            world.send(&lively, &[0x80, 0, 0, 0, 0]);
        }
        if closed_after.is_none() && !silent.take_all().is_empty() {
            closed_after = Some(second);
        }
    }
    // The idle timeout is checked four times within its span, so the close may be a quarter late.
    assert!(closed_after.is_some_and(|after| (60..=75).contains(&after)), "{closed_after:?}");
    assert!(parse_frames(&lively.take_all()).iter().all(|frame| frame.opcode == Opcode::Text));
    assert!(protected.take_all().is_empty());
    world.wait(10_000);
    let mut left = world.server.connections();
    left.sort_unstable();
    assert_eq!(left, ids[1..]);
    let end = world.ends()[0].clone().unwrap();
    assert_eq!((end.by, end.code, end.clean), (Side::Local, CloseCode::GOING_AWAY, false));
}

#[test]
fn o7_t28_a_missing_pong_reveals_a_vanished_peer() {
    let keepalive = Config::new().keepalive(Duration::from_secs(20), Duration::from_secs(10));
    let mut world = World::new(keepalive);
    let pipes: Vec<Pipe> = (0..50).map(|_| world.open()).collect();
    world.wait(20_000);
    for pipe in &pipes {
        let ping = parse_frames(&pipe.take_all()).remove(0);
        assert_eq!(ping.opcode, Opcode::Ping);
        pipe.push(&client_frame(Opcode::Pong, &ping.data));
    }
    // From here on the peers send nothing.
    world.wait(19_999);
    assert!(pipes.iter().all(|pipe| pipe.take_all().is_empty()));
    world.wait(1);
    world.wait(9_999);
    assert!(world.ends().is_empty());
    world.wait(1);
    world.wait(10_000);
    world.assert_empty();
    assert_eq!(world.ends().len(), 50);
    assert!(world.ends().iter().flatten().all(|end| end.by == Side::Local && !end.clean));
}

#[test]
fn t28_a_server_notices_a_vanished_peer_within_40_seconds_by_default() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    world.wait(19_999);
    assert!(pipe.take_all().is_empty());
    world.wait(1);
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Ping);
    world.wait(19_999);
    assert_eq!(world.server.connections().len(), 1);
    world.wait(1);
    assert_eq!(world.ends().len(), 1);
}

#[test]
fn t26_an_unanswered_close_ends_at_the_close_timeout() {
    let mut world = World::new(Config::new().close_timeout(Duration::from_secs(5)));
    let pipe = world.open();
    let id = world.server.connections()[0];
    world.server.disconnect(id, CloseCode::NORMAL, "").unwrap();
    world.executor.run_until_idle();
    assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
    world.wait(4999);
    assert!(world.server.exists(id));
    world.wait(1);
    world.assert_empty();
}

#[test]
fn m12_shutdown_takes_as_long_as_the_slowest_connection_within_the_grace_period() {
    for (answers_after, ends_after) in [(Some(0), 0), (Some(700), 700), (None, 3000)] {
        let mut world = World::new(Config::new().close_timeout(Duration::from_secs(5)));
        let pipe = world.open();
        world.send(&pipe, &client_frame(Opcode::Text, b"hello"));
        world.server.shutdown(Duration::from_secs(3));
        world.executor.run_until_idle();
        let sent = parse_frames(&pipe.take_all());
        assert_eq!(sent.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), [Opcode::Text, Opcode::Close]);
        assert_eq!(sent[1].data[..2], 1001u16.to_be_bytes());
        if let Some(millis) = answers_after {
            world.wait(millis);
            pipe.push(&client_frame(Opcode::Close, &sent[1].data));
            pipe.shut();
            world.executor.run_until_idle();
        } else {
            world.wait(ends_after - 1);
            assert!(!world.ended.is_finished());
            world.wait(1);
        }
        assert!(world.ended.is_finished(), "{answers_after:?}");
        assert_eq!(world.executor.time.elapsed(), Duration::from_millis(ends_after));
        assert_eq!((world.ends().len(), world.executor.tasks()), (1, 0));
    }
}

#[test]
fn m12_a_handler_that_waits_forever_is_dropped_after_the_grace_period() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    world.send(&pipe, &client_frame(Opcode::Text, b"wait forever"));
    world.server.shutdown(Duration::from_secs(3));
    world.executor.run_until_idle();
    world.wait(2999);
    assert!(!world.ended.is_finished());
    world.wait(1);
    assert!(world.ended.is_finished());
    assert_eq!((world.ends().len(), world.executor.tasks()), (1, 0));
}

struct WaitsToConnect;

impl Handler for WaitsToConnect {
    async fn connect(&self, _: &Client) -> Result<(), Refused> {
        std::future::pending().await
    }

    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        unreachable!("no connection is open")
    }
}

#[test]
fn m11_m12_a_connect_that_waits_forever_ends_at_an_abort_and_after_the_grace_period() {
    let mut executor = Executor::new();
    let (server, connector, ended) =
        SimRuntime::serve(&mut executor, Port::new(WaitsToConnect), Limits::new());
    let _pipes = [connector.connect(1000, Faults::default()), connector.connect(1000, Faults::default())];
    executor.run_until_idle();
    let ids = server.connections();
    assert_eq!(ids.len(), 2);
    server.abort(ids[0]).unwrap();
    executor.run_until_idle();
    assert_eq!(server.connections(), [ids[1]]);
    server.shutdown(Duration::from_secs(1));
    executor.run_until_idle();
    executor.time.advance(Duration::from_secs(1));
    executor.run_until_idle();
    assert!(ended.is_finished() && server.connections().is_empty());
}

#[test]
fn o8_a_failing_listener_is_retried_with_growing_pauses() {
    let mut world = World::new(Config::new());
    for _ in 0..10 {
        world.connector.offer(Err(ErrorKind::Other.into()));
    }
    world.connector.offer(Err(ErrorKind::ConnectionAborted.into()));
    let _pipe = world.connector.connect(100, Faults::default());
    for _ in 0..1000 {
        world.wait(5);
    }
    // An aborted connection causes no pause.
    assert_eq!(gaps(&world.connector.accepted_at()), [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 0]);
    assert_eq!(world.server.connections().len(), 1);
    world.connector.offer(Err(ErrorKind::Other.into()));
    let _pipe = world.connector.connect(100, Faults::default());
    world.executor.run_until_idle();
    world.wait(5);
    assert_eq!(
        gaps(&world.connector.accepted_at()).last(),
        Some(&5),
        "the pauses start over after a success"
    );
    let before = world.connector.accepted_at().len();
    world.wait(10_000);
    assert_eq!(world.connector.accepted_at().len(), before, "a working listener is not polled again");
}

/// Returns the milliseconds between each instant and the one before.
fn gaps(at: &[Instant]) -> Vec<u128> {
    at.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect()
}

/// Answers the Close that the server has sent, and keeps the client's side of the transport open.
fn answer_close(world: &mut World, pipe: &Pipe) {
    let frames = parse_frames(&pipe.take_all());
    let close = frames.last().expect("the server has sent a Close");
    assert_eq!(close.opcode, Opcode::Close);
    world.send(pipe, &client_frame(Opcode::Close, &close.data));
}

#[test]
fn e13_close_is_called_when_the_closing_handshake_is_complete() {
    for server_begins in [true, false] {
        let limits = Limits::new().max_connections(1);
        let mut world = World::limited(Config::new(), |port| port, limits);
        let pipe = world.open();
        if server_begins {
            world.server.disconnect(world.server.connections()[0], CloseCode::NORMAL, "").unwrap();
            world.executor.run_until_idle();
            assert_eq!(world.ends().len(), 0, "the client has not answered");
            answer_close(&mut world, &pipe);
        } else {
            world.send(&pipe, &client_frame(Opcode::Close, &1000u16.to_be_bytes()));
            assert_eq!(parse_frames(&pipe.take_all())[0].opcode, Opcode::Close);
        }
        assert!(world.ends()[0].as_ref().unwrap().clean && pipe.is_shut());
        world.assert_empty();
        // The socket still takes a file descriptor, so it counts against the limit.
        let refused = world.connect();
        assert!(refused.take_all().starts_with(b"HTTP/1.1 503 "));
        // The server reads the remaining input of the client. Unread input would cause a reset, and a
        // reset could destroy the server's Close.
        world.send(&pipe, &[0; 1000]);
        assert_eq!(pipe.unread_by_peer(), 0);
        pipe.shut();
        world.executor.run_until_idle();
        let _admitted = world.open();
    }
}

#[test]
fn e13_a_client_that_keeps_its_side_open_after_the_end_is_dropped_at_the_close_timeout() {
    // The linger after a fault is shorter, see `Config::close_timeout`.
    for (last_frame, code, millis) in [(Opcode::Close, 1000, 5000), (Opcode::Pong, 1002, 2000)] {
        let limits = Limits::new().max_connections(1);
        let config = Config::new().close_timeout(Duration::from_secs(5));
        let mut world = World::limited(config, |port| port, limits);
        let pipe = world.open();
        let mut frame = client_frame(last_frame, &1000u16.to_be_bytes());
        // Only a Close may be like this.
        frame[0] &= if last_frame == Opcode::Close { 0xff } else { 0x7f };
        world.send(&pipe, &frame);
        assert_eq!(world.ends()[0].as_ref().map(|info| info.code.as_u16()), Some(code));
        assert_eq!(parse_frames(&pipe.take_all())[0].data[..2], code.to_be_bytes());
        world.assert_empty();
        world.wait(millis - 1);
        assert!(world.connect().take_all().starts_with(b"HTTP/1.1 503 "));
        world.wait(1);
        let _admitted = world.open();
    }
}

#[test]
fn e13_m12_shutdown_does_not_wait_for_a_client_that_keeps_its_side_open() {
    for already_closed in [true, false] {
        let mut world = World::new(Config::new());
        let pipe = world.open();
        if already_closed {
            world.send(&pipe, &client_frame(Opcode::Close, &1000u16.to_be_bytes()));
        }
        world.server.shutdown(Duration::from_secs(60));
        world.executor.run_until_idle();
        if !already_closed {
            answer_close(&mut world, &pipe);
        }
        assert!(world.ended.is_finished());
        assert!(world.ends()[0].as_ref().unwrap().clean);
        assert_eq!(world.executor.tasks(), 0, "the server drops its sockets when it has stopped");
    }
}

/// Returns the frames that a client has received, with text and close codes readable.
fn received(pipe: &Pipe) -> Vec<String> {
    let text = |frame: &sockeye_core::Frame<'_>| match frame.opcode {
        Opcode::Close => sockeye_core::CloseFrame::parse(frame.data.clone()).unwrap().to_string(),
        _ => String::from_utf8_lossy(&frame.data).into_owned(),
    };
    parse_frames(&pipe.take_all()).iter().map(text).collect()
}

const SHUTS_DOWN: &str = "1001 (going away): the server shuts down";

#[test]
fn m12_a_handler_at_work_finishes_and_answers_before_the_close() {
    let mut world = World::new(Config::new());
    let (busy, idle) = (world.open(), world.open());
    let text = |text: &str| client_frame(Opcode::Text, text.as_bytes());
    // The second message has been received, too, when the shutdown begins.
    world.send(&busy, &[text("wait at the gate"), text("and another")].concat());
    // This one arrives while the handler waits.
    world.send(&busy, &text("and a third"));
    world.server.shutdown(Duration::from_secs(10));
    world.executor.run_until_idle();
    assert_eq!((received(&busy), received(&idle)), (vec![], vec![SHUTS_DOWN.to_owned()]));
    world.wait(5000);
    world.open_gate();
    assert_eq!(received(&busy), ["wait at the gate", "and another", "and a third", SHUTS_DOWN]);
    assert!(world.failures().is_empty());
    // A message that crosses the Close is still handled, but cannot be answered.
    world.send(&busy, &text("late"));
    assert!(received(&busy).is_empty() && world.failures().is_empty());
}

#[test]
fn m12_a_handler_that_does_not_finish_no_longer_holds_up_the_close_near_the_end_of_the_grace() {
    for (grace, close_at) in [(10_000, 9000), (400, 300)] {
        let mut world = World::new(Config::new());
        let pipe = world.open();
        world.send(&pipe, &client_frame(Opcode::Text, b"wait forever"));
        world.server.shutdown(Duration::from_millis(grace));
        world.executor.run_until_idle();
        world.wait(close_at - 1);
        assert!(received(&pipe).is_empty());
        world.wait(1);
        assert_eq!(received(&pipe), [SHUTS_DOWN]);
        world.wait(grace - close_at - 1);
        assert!(!world.ended.is_finished());
        world.wait(1);
        assert!(world.ended.is_finished());
    }
}

#[test]
fn m12_m18_a_paused_connection_and_one_that_opens_late_are_closed_too() {
    let mut world = World::new(Config::new());
    let (paused, late) = (world.open(), world.connect());
    let [id] = world
        .server
        .connections()
        .into_iter()
        .filter(|id| world.server.is_established(*id))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one is open")
    };
    world.send(&late, &UPGRADE_REQUEST[..20]);
    world.server.pause(id).unwrap();
    world.send(&paused, &client_frame(Opcode::Text, b"not read"));
    world.server.shutdown(Duration::from_secs(10));
    world.executor.run_until_idle();
    assert_eq!(received(&paused), [SHUTS_DOWN]);
    // It has sent no complete request, so nothing is lost.
    assert!(late.is_shut() && late.take_all().is_empty());
}

#[test]
fn m18_the_closes_of_a_drain_are_spread_over_a_time() {
    let mut world = World::new(Config::new());
    let mut pipes: Vec<Pipe> = (0..5).map(|_| world.open()).collect();
    let drain = Drain::new(Duration::from_secs(5)).spread(Duration::from_secs(10));
    world.server.drain(drain.close(CloseCode::SERVICE_RESTART, "back soon")).unwrap();
    for round in 0..5 {
        world.executor.run_until_idle();
        let ids = world.server.connections();
        assert_eq!(ids.iter().filter(|id| world.server.is_established(**id)).count(), 4 - round);
        pipes.retain(|pipe| {
            let frames = parse_frames(&pipe.take_all());
            let Some(close) = frames.first() else { return true };
            let close = sockeye_core::CloseFrame::parse(close.data.clone()).unwrap();
            assert_eq!(close.to_string(), "1012 (service restart): back soon");
            pipe.push(&client_frame(Opcode::Close, &1012u16.to_be_bytes()));
            false
        });
        world.executor.run_until_idle();
        assert_eq!(pipes.len(), 4 - round);
        // The others work as before.
        for pipe in &pipes {
            world.send(pipe, &client_frame(Opcode::Text, b"hi"));
            assert_eq!(received(pipe), ["hi"]);
        }
        if round < 4 {
            assert!(!world.ended.is_finished());
            world.wait(1999);
            assert!(pipes.iter().all(|pipe| pipe.take_all().is_empty()));
            world.wait(1);
        }
    }
    assert!(world.ended.is_finished(), "nothing is left to wait for");
    assert_eq!(world.executor.time.elapsed(), Duration::from_secs(8));
}

#[test]
fn m18_the_grace_of_a_drain_begins_after_its_spread_and_another_call_shortens_both() {
    for shortened in [false, true] {
        let mut world = World::new(Config::new().close_timeout(Duration::from_secs(600)));
        let pipes: Vec<Pipe> = (0..3).map(|_| world.open()).collect();
        let drain = Drain::new(Duration::from_secs(5)).spread(Duration::from_secs(30));
        world.server.drain(drain).unwrap();
        world.executor.run_until_idle();
        world.wait(1000);
        assert_eq!(pipes.iter().filter(|pipe| !pipe.take_all().is_empty()).count(), 1);
        let ends_at = if shortened {
            world.server.shutdown(Duration::from_secs(60));
            world.executor.run_until_idle();
            assert_eq!(pipes.iter().filter(|pipe| received(pipe) == [SHUTS_DOWN]).count(), 2);
            5000
        } else {
            35_000
        };
        world.wait(ends_at - 1001);
        assert!(!world.ended.is_finished());
        world.wait(1);
        assert!(world.ended.is_finished());
    }
}

#[test]
fn m18_a_drain_with_an_invalid_close_is_refused_and_the_server_continues() {
    let mut world = World::new(Config::new());
    let pipe = world.open();
    for (code, reason) in [(CloseCode::ABNORMAL, String::new()), (CloseCode::NORMAL, "x".repeat(124))] {
        assert!(world.server.drain(Drain::new(Duration::ZERO).close(code, reason)).is_err());
    }
    assert!(!world.server.is_shutting_down());
    world.send(&pipe, &client_frame(Opcode::Text, b"hi"));
    assert_eq!(received(&pipe), ["hi"]);
}
