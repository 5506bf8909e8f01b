//! The figures of a server (M16).

use std::sync::mpsc;

use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_core::http::Response;
use sockeye_core::{Config, Frame, Opcode};
use sockeye_driver::server::{
    Callbacks, Handler, Limits, Port, PortStats, RefusedCounts, SlowReader, Stats, Traffic,
};
use sockeye_testkit::{RawClient, eventually};

use super::{Echo, TestServer};
use crate::TLS;

/// Echoes, and refuses the path `/no`. Answers plain HTTP.
fn echo() -> impl Handler {
    Callbacks::on_message(|client, message| async move { client.push(message) })
        .on_before_handshake_response(|_, upgrade, accept| async move {
            if upgrade.request().path() == "/no" { Err(Response::new(403)) } else { Ok(accept) }
        })
        .on_request(|_, _| async { Response::text(200, "hi") })
}

/// Waits until the figures are as expected: they follow an event shortly after.
fn await_stats(server: &TestServer, what: &str, is_expected: impl Fn(&PortStats, &Stats) -> bool) {
    eventually(what, || {
        let stats = server.handle.stats();
        is_expected(&stats.total, &stats)
    });
}

fn traffic(messages: u64, bytes: u64, wire_bytes: u64) -> impl Fn(&Traffic) -> bool {
    move |traffic| (traffic.messages, traffic.bytes, traffic.wire_bytes) == (messages, bytes, wire_bytes)
}

#[test]
fn m16_messages_and_bytes_agree_with_a_count_of_the_traffic() {
    let server = TestServer::handler(echo());
    let mut raws: Vec<RawClient> = (0..20).map(|_| server.open()).collect();
    let (mut messages, mut bytes, mut sent_wire, mut received_wire) = (0, 0, 0, 0);
    for (n, raw) in raws.iter_mut().enumerate() {
        for len in [0, 1, 125, 126, 1000, 70_000].into_iter().cycle().take(6 + n) {
            let text = "x".repeat(len);
            raw.text(&text);
            raw.expect_text(&text);
            messages += 1;
            bytes += len as u64;
            let header = if len < 126 {
                2
            } else if len < 65_536 {
                4
            } else {
                10
            };
            sent_wire += (header + len) as u64;
            received_wire += (header + 4 + len) as u64;
        }
        // One message in two fragments, and a ping, which is no message.
        raw.send(&Frame::new(Opcode::Text, b"12".as_slice()).finish(false));
        raw.send(&Frame::new(Opcode::Ping, b"ping".as_slice()));
        raw.send(&Frame::new(Opcode::Continuation, b"345".as_slice()));
        assert_eq!(raw.frame().unwrap().opcode, Opcode::Pong);
        raw.expect_text("12345");
        messages += 1;
        bytes += 5;
        // The pong, and the message.
        sent_wire += 6 + 7;
        received_wire += (6 + 2) + (6 + 4) + (6 + 3);
    }
    await_stats(&server, "the figures", |total, _| {
        traffic(messages, bytes, received_wire)(&total.received)
            && traffic(messages, bytes, sent_wire)(&total.sent)
    });
    // A push counts like an answer, and a broadcast once for each connection.
    server.handle.push(server.handle.connections()[0], "push").unwrap();
    assert_eq!(server.handle.broadcast(|_| true, "all").queued, 20);
    raws.iter_mut().map(|raw| raw.frame().unwrap()).for_each(|frame| assert_eq!(frame.opcode, Opcode::Text));
    let (messages, bytes) = (messages + 21, bytes + 4 + 60);
    await_stats(&server, "the pushes", |total, _| traffic(messages, bytes, sent_wire + 6 + 100)(&total.sent));
}

#[test]
fn m16_connections_are_counted_by_state_and_by_the_code_of_their_end() {
    let server = TestServer::handler(echo());
    let mut raws: Vec<RawClient> = (0..3).map(|_| server.open()).collect();
    let mut http = server.connect();
    http.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(http.answer().status(), 200);
    await_stats(&server, "the connections", |total, stats| {
        (total.connections, total.open, total.closing, total.http()) == (4, 3, 0, 1)
            && (total.accepted, total.opened, total.requests, stats.handshakes) == (4, 3, 1, 0)
    });
    assert_eq!(server.handle.connection_count(), server.handle.connections().len());
    raws[0].close(1000, "");
    raws[0].expect_close(1000);
    raws[1].close(4001, "");
    raws[1].expect_close(4001);
    drop(raws.pop());
    await_stats(&server, "the ends", |total, _| {
        (total.connections, total.open, total.closing) == (1, 0, 0)
            && total.closed.iter().map(|(code, count)| (*code, *count)).eq([(1000, 1), (1006, 1), (4001, 1)])
    });
    drop(http);
    await_stats(&server, "the last end", |total, _| total.connections == 0);
    assert_eq!(server.handle.connection_count(), 0);
    // A connection that waits for the end of its peer's side closes.
    let mut raw = server.open();
    raw.close(1000, "");
    assert_eq!(raw.frame().unwrap().opcode, Opcode::Close);
    drop(raw);
    await_stats(&server, "no connection", |total, _| {
        (total.connections, total.closed.get(&1000)) == (0, Some(&2))
    });
}

#[test]
fn m16_codes_that_peers_choose_are_bounded() {
    let server = TestServer::handler(echo());
    for code in 4000..4070 {
        let mut raw = server.open();
        raw.close(code, "");
        raw.expect_close(code);
    }
    let mut raw = server.open();
    raw.close(1001, "");
    raw.expect_close(1001);
    await_stats(&server, "the ends", |total, _| {
        (total.closed.len(), total.closed_with_others) == (65, 6) && total.closed[&1001] == 1
    });
}

#[test]
fn m16_refusals_are_counted_by_reason_and_port() {
    if TLS {
        // The second port of this server has no TLS.
        return;
    }
    let server = TestServer::start(|builder| {
        builder
            .limits(Limits::new().max_connections(3))
            .listen("127.0.0.1:0", Port::new(echo()))
            .unwrap()
            .listen("127.0.0.1:0", Port::new(echo()))
            .unwrap()
    });
    let connect = |port: usize| RawClient::connect(server.addresses[port].as_inet().unwrap());
    let mut refused = connect(0);
    refused.write(sockeye_testkit::handshake::upgrade_request("/no", ""));
    assert_eq!(refused.answer().status(), 403);
    let mut bad = connect(1);
    bad.write("nonsense\r\n\r\n");
    assert_eq!(bad.answer().status(), 400);
    let mut foreign = connect(1);
    foreign.write(sockeye_testkit::handshake::upgrade_request("/", "origin: http://elsewhere\r\n"));
    assert_eq!(foreign.answer().status(), 403);
    drop((refused, bad, foreign));
    eventually("the ends", || server.handle.connection_count() == 0);
    let _held: Vec<RawClient> = (0..3).map(|_| connect(0)).collect();
    eventually("three connections", || server.handle.connection_count() == 3);
    let mut full = connect(1);
    assert_eq!(full.answer().status(), 503);
    let stats = server.handle.stats();
    let ports: Vec<RefusedCounts> = stats.ports.iter().map(|(_, port)| port.refused).collect();
    assert_eq!(stats.ports[0].0, server.addresses[0]);
    assert_eq!((ports[0].application, ports[0].total()), (1, 1));
    assert_eq!(
        (ports[1].request, ports[1].handshake, ports[1].max_connections, ports[1].total()),
        (1, 1, 1, 3)
    );
    assert_eq!(stats.total.refused.total(), 4);
    assert!(stats.total.refused.iter().any(|named| named == ("max_connections", 1)));
    assert_eq!((stats.handshakes, stats.total.connections), (3, 3));
}

#[test]
fn m16_compression_shows_in_the_bytes_on_the_wire() {
    let deflate = Deflate::new().policy(CompressionPolicy::Always);
    let server = TestServer::port(Port::new(echo()).config(Config::new().deflate(deflate)));
    let mut raw = server.connect();
    raw.upgrade_with("/", "sec-websocket-extensions: permessage-deflate\r\n");
    raw.text(&"x".repeat(1000));
    let frame = raw.frame().unwrap();
    let wire = 2 + frame.data.len() as u64;
    assert!(frame.flags.rsv1 && wire < 100);
    raw.send(&Frame { flags: frame.flags, ..frame.clone() });
    raw.frame().unwrap();
    await_stats(&server, "the figures", |total, _| {
        (total.received.messages, total.received.bytes, total.received_compressed) == (2, 2000, 1)
            && (total.sent.messages, total.sent.bytes) == (2, 2000)
            && total.sent.wire_bytes < 2 * wire + 2
            && total.received.wire_bytes == 1008 + wire + 4
    });
}

#[test]
fn m16_dropped_and_refused_pushes_are_counted() {
    for policy in [SlowReader::Drop, SlowReader::Error] {
        let (opened, has_opened) = mpsc::channel();
        let server = TestServer::port(Port::new(Echo(opened)).slow_reader(policy));
        let _raw = server.open();
        let client = has_opened.recv().unwrap();
        let (mut queued, mut lost) = (0, 0);
        while lost < 3 {
            let before = client.info().dropped;
            match client.push(vec![0; 100_000]) {
                Ok(_) if client.info().dropped == before => queued += 1,
                _ => lost += 1,
            }
        }
        assert!(queued > 0);
        await_stats(&server, "the figures", |total, stats| {
            let expected = if policy == SlowReader::Drop { (3, 0) } else { (0, 3) };
            (total.dropped, total.slow) == expected && stats.queued_bytes > 0
        });
    }
}
