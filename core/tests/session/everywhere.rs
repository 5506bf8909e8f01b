//! Splits and failures of the transport at every byte, in both roles.

use std::sync::Arc;

use sockeye_core::Config;
use sockeye_core::session::{HttpSettings, Session};

use super::support::*;

/// The frames of a client whose masking key is zero.
const FRAMES: &[u8] =
    b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0\x01\x81\0\0\0\0a\x89\x81\0\0\0\0p\x80\x81\0\0\0\0b\
    \x88\x82\0\0\0\0\x03\xe8";

/// Returns a new end of either role.
fn end(is_server: bool) -> End {
    if !is_server {
        return End::client(Config::new());
    }
    let session = Session::server(Arc::new(Config::new()));
    End::new(session.with_http(HttpSettings::new().max_body_size(10)), App::Patient)
}

/// Returns everything that an end of this role receives in its life: the requests of a client and
/// its frames, or what a server sends in answer.
fn received(is_server: bool) -> Vec<u8> {
    if is_server {
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nfoo";
        return [post, UPGRADE, FRAMES].concat();
    }
    let request = End::client(Config::new()).write_all();
    let mut server = End::server(Config::new());
    server.receive(&[&request, FRAMES].concat());
    server.settle()
}

/// Passes `pieces` to an end, writing everything after each, and then the end of the transport.
fn run<'a>(is_server: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>) {
    let mut end = end(is_server);
    let mut sent = end.settle();
    for piece in pieces {
        end.receive(piece);
        sent.extend(end.settle());
    }
    end.eof();
    sent.extend(end.settle());
    (end.log, sent)
}

#[test]
fn t32_every_split_point_and_piece_size_yields_the_same_events_and_output() {
    for is_server in [true, false] {
        let bytes = received(is_server);
        let whole = run(is_server, [&bytes[..]]);
        assert_eq!(whole.0.last().unwrap(), "ended Some((1000, true))", "{:?}", whole.0);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(run(is_server, [head, tail]), whole, "split at {at}");
        }
        for size in 1..40 {
            assert_eq!(run(is_server, bytes.chunks(size)), whole, "pieces of {size}");
        }
    }
}

#[test]
fn w13_either_end_ends_once_wherever_its_input_ends() {
    for is_server in [true, false] {
        let bytes = received(is_server);
        for cut in 0..=bytes.len() {
            let (log, _) = run(is_server, [&bytes[..cut]]);
            assert_eq!(log.iter().filter(|line| line.starts_with("ended")).count(), 1, "{cut} {log:?}");
            assert!(log.last().unwrap().starts_with("ended"), "{cut} {log:?}");
        }
    }
}

/// Writes what `room` allows, and takes the events that this makes room for. If more is queued than
/// that, writing fails.
fn write_until_failure(end: &mut End, room: &mut usize) {
    loop {
        let written = end.write(*room).len();
        *room -= written;
        end.poll();
        if *room == 0 && end.session.poll_transmit().is_some() {
            end.session.handle_write_error();
            end.poll();
        } else if written == 0 {
            return;
        }
    }
}

#[test]
fn t31_either_end_ends_once_wherever_writing_fails() {
    for is_server in [true, false] {
        let bytes = received(is_server);
        let length = run(is_server, [&bytes[..]]).1.len();
        for room in 0..length {
            for size in [1, bytes.len()] {
                let (mut end, mut left) = (end(is_server), room);
                for piece in bytes.chunks(size) {
                    end.receive(piece);
                    write_until_failure(&mut end, &mut left);
                }
                end.eof();
                write_until_failure(&mut end, &mut left);
                assert_eq!(end.ended, 1, "{room} {:?}", end.log);
                assert!(end.log.last().unwrap().starts_with("ended"), "{room} {:?}", end.log);
                assert!(end.session.poll_transmit().is_none(), "{room} {:?}", end.log);
            }
        }
    }
}
