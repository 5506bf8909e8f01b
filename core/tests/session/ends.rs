//! Every session reports exactly one end, in every phase and for every cause.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::session::{HttpSettings, Session};
use sockeye_core::{CloseCode, Config};

use super::support::*;

#[test]
fn w13_the_transport_may_end_after_any_byte() {
    let frames = b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b\x88\x80\0\0\0\0";
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let all = [post, UPGRADE, frames].concat();
    for cut in 0..=all.len() {
        for later in [false, true] {
            let mut server = End::new(
                Session::server(Arc::new(Config::new())).with_http(HttpSettings::new().max_body_size(10)),
                App::Patient,
            );
            server.receive(&all[..cut]);
            if later {
                server.write_all();
                server.poll();
            }
            server.eof();
            server.settle();
            server.eof();
            assert_eq!(server.ended, 1, "{cut} {:?}", server.log);
            assert!(server.log.last().unwrap().starts_with("ended"));
        }
    }
}

#[test]
fn a_broken_transport_ends_the_session_in_every_phase() {
    let phases: [&[u8]; 4] = [b"", b"GET", UPGRADE, b"GET / HTTP/1.1\r\n\r\n"];
    for received in phases {
        let mut server = End::server(Config::new());
        server.receive(received);
        server.session.handle_write_error();
        server.eof();
        assert_eq!(server.ended, 1, "{:?}", server.log);
        assert_eq!(server.write_all(), b"", "{:?}", server.log);
    }
}

#[test]
fn an_abort_ends_the_session_in_every_phase() {
    let phases: [&[u8]; 4] = [b"", b"GET", UPGRADE, b"GET / HTTP/1.1\r\n\r\n"];
    for received in phases {
        for app in [App::Echo, App::Hold] {
            let mut server = End::server(Config::new());
            server.app = app;
            server.receive(received);
            server.session.abort();
            server.session.abort();
            server.poll();
            assert_eq!((server.ended, server.write_all()), (1, vec![]));
            server.receive(b"late");
            assert_eq!(server.ended, 1);
        }
    }
}

#[test]
fn the_input_of_a_refused_peer_is_limited_in_bytes() {
    let mut server = End::server(Config::new());
    server.receive(b"nonsense\r\n\r\n");
    server.write_all();
    let mebibyte = vec![0; 1 << 20];
    for _ in 0..7 {
        server.receive(&mebibyte);
        assert_eq!(server.ended, 0);
    }
    server.receive(&mebibyte);
    server.receive(&mebibyte);
    assert_eq!(server.ended, 1);
}

#[test]
fn t50_a_failed_peer_is_discarded_within_bounds_of_bytes() {
    // A frame with a reserved opcode, and a Close.
    for end in [&b"\x83\x80\0\0\0\0"[..], b"\x88\x80\0\0\0\0"] {
        let mut server = End::server(Config::new());
        server.receive(UPGRADE);
        server.receive(end);
        server.write_all();
        let mebibyte = vec![0; 1 << 20];
        for _ in 0..7 {
            server.receive(&mebibyte);
            assert_eq!(server.ended, 0);
        }
        server.receive(&mebibyte);
        server.receive(&mebibyte);
        assert_eq!((server.ended, server.session.poll_timeout()), (1, None));
    }
}

#[test]
fn the_input_of_a_refused_peer_is_limited_in_time() {
    let mut server = End::server(Config::new());
    server.receive(b"nonsense\r\n\r\n");
    server.write_all();
    server.at(Duration::ZERO);
    server.receive(b"more");
    server.at(Duration::from_millis(1999));
    assert_eq!(server.ended, 0);
    server.at(Duration::from_secs(2));
    assert_eq!((server.ended, server.session.poll_timeout()), (1, None));
}

#[test]
fn a_session_is_small() {
    let size = std::mem::size_of::<Session>();
    assert!(size <= 384, "{size} bytes");
}

#[test]
fn a_write_error_ends_a_session_that_could_only_respond() {
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut server =
        End::new(Session::server(Arc::new(Config::new())).with_http(HttpSettings::new()), App::Echo);
    server.receive(&[&get[..], get].concat());
    server.session.handle_write_error();
    server.poll();
    assert_eq!(server.log(), ["request GET /", "ended None"], "the second request cannot be answered");
}

#[test]
fn w10_the_application_of_a_session_chooses_the_answer_to_a_close() {
    for chosen in [Some((CloseCode::from(4000), "later")), None] {
        let mut server = End::server(Config::new().auto_close(false));
        server.receive(&[UPGRADE, b"\x88\x85\0\0\0\0\x03\xe9bye"].concat());
        server.write_all();
        assert_eq!(server.log().last(), Some(&"close Some(1001) \"bye\""));
        assert!(!server.session.wants_shutdown());
        match chosen {
            Some((code, reason)) => server.session.close(code, reason).unwrap(),
            None => server.session.answer_close(),
        }
        let expected: &[u8] =
            if chosen.is_some() { b"\x88\x07\x0f\xa0later" } else { b"\x88\x05\x03\xe9bye" };
        assert_eq!(server.write_all(), expected);
        assert!(server.session.wants_shutdown());
        server.eof();
        assert_eq!(server.log().last(), Some(&"ended Some((1001, true))"));
    }
}

#[test]
fn e13_a_session_is_finished_before_the_transport_ends() {
    let cases: [(&[u8], &[u8]); 3] = [
        // The closing handshake, a failure, and a refusal.
        (UPGRADE, b"\x88\x80\0\0\0\0"),
        (UPGRADE, b"\x83\x80\0\0\0\0"),
        (b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for (before, last) in cases {
        let mut server = End::server(Config::new());
        server.receive(before);
        server.write_all();
        assert!(!server.session.is_finished());
        server.receive(last);
        server.write(1);
        assert!(!server.session.is_finished(), "the last output has not been written");
        server.write_all();
        server.poll();
        assert!(server.session.is_finished() && server.ended == 0, "{:?}", server.log);
        server.eof();
        assert!(server.session.is_finished() && server.ended == 1, "{:?}", server.log);
    }
}
