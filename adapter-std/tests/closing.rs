//! How connections end.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Instant;

use sockeye_std::protocol::Side;
use sockeye_std::{CloseCode, Config, Error, ProtocolError, State};
use sockeye_testkit::frames::{CLOSE, frame};
use support::{millis, pair, raw_pair, read_frame, url};

#[test]
fn the_client_closes_and_both_ends_know_why() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    let serving = thread::spawn(move || {
        assert_eq!(server.recv().unwrap(), None);
        assert_eq!(server.recv().unwrap(), None);
        assert_eq!(server.state(), State::Closed);
        server.close_info().cloned().unwrap()
    });
    let info = client.close(4000, "done").unwrap();
    assert_eq!((info.by, info.code.as_u16(), info.clean), (Side::Local, 4000, true));
    let info = serving.join().unwrap();
    assert_eq!((info.by, info.code.as_u16(), &*info.reason, info.clean), (Side::Peer, 4000, "done", true));
}

#[test]
fn the_server_closes_and_both_ends_know_why() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    let serving = thread::spawn(move || server.close(CloseCode::GOING_AWAY, "").unwrap());
    assert_eq!(client.recv().unwrap(), None);
    assert_eq!(client.close_info().unwrap().code, CloseCode::GOING_AWAY);
    assert!(serving.join().unwrap().clean);
    assert!(matches!(client.send("late"), Err(Error::Send(_))));
}

#[test]
fn messages_before_the_peers_close_still_arrive() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    client.begin_close(CloseCode::NORMAL, "").unwrap();
    let serving = thread::spawn(move || {
        for i in 0..100 {
            server.feed(i.to_string()).unwrap();
        }
        assert_eq!(server.recv().unwrap(), None);
    });
    for i in 0..100 {
        assert_eq!(client.recv().unwrap().unwrap().as_text(), Some(&*i.to_string()));
    }
    assert_eq!(client.recv().unwrap(), None);
    serving.join().unwrap();
}

#[test]
fn the_server_closes_tcp_first() {
    let (mut raw, mut ws) = raw_pair(Config::new());
    let serving = thread::spawn(move || ws.recv());
    raw.write_all(&frame(true, CLOSE, [0x03, 0xE8])).unwrap();
    assert_eq!(read_frame(&mut raw), (0x88, vec![0x03, 0xE8]));
    assert_eq!(raw.read(&mut [0]).unwrap(), 0);
    assert_eq!(serving.join().unwrap().unwrap(), None);
}

#[test]
fn e13_a_receive_ends_with_the_closing_handshake_though_the_peer_keeps_its_socket_open() {
    // Only a test that fails waits this long.
    let config = || Config::new().close_timeout(millis(600_000));
    let close = frame(true, CLOSE, [0x03, 0xE8]);
    let (mut raw, mut ws) = raw_pair(config());
    raw.write_all(&[close.clone(), vec![0; 1000]].concat()).unwrap();
    assert_eq!(ws.recv().unwrap(), None);
    assert!(ws.state() == State::Closed && ws.close_info().unwrap().clean);
    drop(ws);
    assert_eq!(read_frame(&mut raw), (0x88, vec![0x03, 0xE8]), "the Close is not lost in a reset");

    let (mut raw, mut ws) = raw_pair(config());
    raw.write_all(&close).unwrap();
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);

    let (mut raw, ws) = raw_pair(config());
    let (mut send, mut recv) = ws.split();
    send.close(CloseCode::NORMAL, "").unwrap();
    raw.write_all(&close).unwrap();
    assert_eq!(recv.recv().unwrap(), None);
    assert!(recv.close_info().unwrap().clean && send.state() == State::Closed);
}

#[test]
fn e13_a_client_waits_for_the_server_to_close_tcp_but_not_for_long() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let connecting = thread::spawn(move || {
        let config = Config::new().close_timeout(millis(600_000));
        let (mut ws, _) = sockeye_std::connect_with(&url, config).unwrap();
        assert_eq!(ws.recv().unwrap(), None);
        assert!(ws.close_info().unwrap().clean);
    });
    let ws = sockeye_std::accept(listener.accept().unwrap().0).unwrap();
    let mut raw = ws.get_ref().try_clone().unwrap();
    raw.write_all(&frame(false, CLOSE, [0x03, 0xE8])).unwrap();
    connecting.join().unwrap();
    drop(ws);
}

#[test]
fn an_invalid_close_code_is_refused_and_leaves_the_connection_usable() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    let error = client.close(CloseCode::ABNORMAL, "").unwrap_err();
    assert!(error.is_recoverable(), "{error}");
    client.send("still here").unwrap();
    assert_eq!(server.recv().unwrap().unwrap().as_text(), Some("still here"));
}

#[test]
fn a_vanished_peer_is_an_abnormal_end_reported_once() {
    let (mut client, server) = pair(Config::new(), Config::new());
    drop(server);
    let Err(Error::Abnormal(info)) = client.recv() else { panic!("recv must report an abnormal end") };
    assert_eq!((info.by, info.code, info.clean), (Side::Peer, CloseCode::ABNORMAL, false));
    assert_eq!(client.recv().unwrap(), None);
}

#[test]
fn a_protocol_error_closes_with_1002() {
    let (mut raw, mut ws) = raw_pair(Config::new());
    raw.write_all(b"\x81\x02hi").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(ws.recv(), Err(Error::Protocol(ProtocolError::UnmaskedFrame))));
    let (first, payload) = read_frame(&mut raw);
    assert_eq!((first, &payload[..2]), (0x88, &[0x03, 0xEA][..]));
    assert_eq!(ws.recv().unwrap(), None);
}

#[test]
fn an_unanswered_close_ends_after_the_close_timeout() {
    let begin = Instant::now();
    let (raw, mut ws) = raw_pair(Config::new().close_timeout(millis(150)));
    let info = ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!((info.by, info.clean), (Side::Local, false));
    assert!(begin.elapsed() >= millis(150));
    drop(raw);
}

#[test]
fn a_peer_that_does_not_read_cannot_delay_a_close() {
    let config = Config::new().close_timeout(millis(150)).high_water_mark(usize::MAX);
    let (raw, mut ws) = raw_pair(config);
    for _ in 0..16 {
        ws.feed(vec![0; 1 << 20]).unwrap();
    }
    let info = ws.close(CloseCode::NORMAL, "").unwrap();
    assert!(!info.clean && ws.state() == State::Closed);
    drop(raw);
}

#[test]
fn a_peer_that_does_not_read_cannot_delay_a_begun_close() {
    let config = Config::new().close_timeout(millis(150)).high_water_mark(usize::MAX);
    let (raw, mut ws) = raw_pair(config);
    for _ in 0..16 {
        ws.feed(vec![0; 1 << 20]).unwrap();
    }
    assert!(matches!(ws.begin_close(CloseCode::NORMAL, ""), Err(Error::Io(_))));
    assert!(matches!(ws.recv(), Err(Error::Abnormal(_))));
    drop(raw);
}

#[test]
#[cfg_attr(windows, ignore = "close_timeout ends the send first")]
fn a_keepalive_ends_a_send_to_a_peer_that_does_not_read() {
    let config = Config::new().keepalive(millis(50), millis(100)).close_timeout(millis(100));
    let config = config.high_water_mark(usize::MAX);
    let (raw, mut ws) = raw_pair(config);
    for _ in 0..16 {
        ws.feed(vec![0; 1 << 20]).unwrap();
    }
    assert!(matches!(ws.flush(), Err(Error::Io(_))));
    assert_eq!(ws.state(), State::Closed);
    drop(raw);
}

#[test]
#[cfg_attr(windows, ignore = "a write that times out ends the connection")]
fn two_ends_that_both_fill_the_transport_do_not_block_each_other() {
    let config = Config::new().high_water_mark(usize::MAX);
    let (mut client, mut server) = pair(config.clone(), config);
    let (large, count) = (vec![1; 1 << 20], 12);
    let serving = thread::spawn({
        let large = large.clone();
        move || {
            for _ in 0..count {
                server.feed(large.clone()).unwrap();
            }
            for _ in 0..count {
                assert_eq!(server.recv().unwrap().unwrap().len(), 1 << 20);
            }
            assert_eq!(server.recv().unwrap(), None);
        }
    });
    for _ in 0..count {
        client.feed(large.clone()).unwrap();
    }
    for _ in 0..count {
        assert_eq!(client.recv().unwrap().unwrap().len(), 1 << 20);
    }
    assert!(client.close(CloseCode::NORMAL, "").unwrap().clean);
    serving.join().unwrap();
}
