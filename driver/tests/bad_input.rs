//! Protocol violations of the peer: it is sent a Close, and the application gets the error once.

use sockeye_core::{Config, Opcode, ProtocolError};
use sockeye_driver::Error;
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Sends the pieces to a server, one per read. Returns the results of its receives and the bytes
/// that it wrote.
fn end_of(pieces: &[&[u8]], config: Config, parts: bool) -> (Vec<String>, Vec<u8>) {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let mut ws = server(io, &executor.time, config);
    let results = executor.spawn("server", async move {
        let mut results = Vec::new();
        loop {
            let result = if parts {
                ws.recv_part().await.map(|part| part.map(|_| ()))
            } else {
                ws.recv().await.map(|m| m.map(|_| ()))
            };
            match result {
                Ok(Some(())) => results.push("message".to_owned()),
                Ok(None) => return results,
                Err(Error::Protocol(error)) => results.push(format!("{error:?}")),
                Err(error) => results.push(error.to_string()),
            }
        }
    });
    for piece in pieces {
        peer.push(piece);
        executor.run_until_idle();
    }
    let written = peer.take_all();
    peer.shut();
    executor.run_until_idle();
    (results.take(), written)
}

fn close_code(written: &[u8]) -> u16 {
    let frames = parse_frames(written);
    let close = frames.last().expect("a Close was written");
    assert_eq!(close.opcode, Opcode::Close);
    u16::from_be_bytes([close.data[0], close.data[1]])
}

#[test]
fn invalid_text_fails_with_1007_however_it_arrives() {
    let good = client_frame(Opcode::Binary, b"good");
    let bad = client_frame(Opcode::Text, b"abc\xffdefgh");
    let invalid = format!("{:?}", ProtocolError::InvalidUtf8);
    for parts in [false, true] {
        let both = [&good[..], &bad].concat();
        for pieces in [vec![&bad[..]], vec![&both[..]], vec![&good[..], &bad[..]]] {
            let (results, written) = end_of(&pieces, Config::new(), parts);
            assert_eq!(results.last(), Some(&invalid), "{results:?}");
            assert_eq!(close_code(&written), 1007);
        }
        for cut in 1..bad.len() {
            let (head, tail) = bad.split_at(cut);
            let (results, written) = end_of(&[head, tail], Config::new(), parts);
            assert_eq!(
                results.iter().filter(|result| **result == invalid).count(),
                1,
                "cut at {cut}: {results:?}"
            );
            assert_eq!(close_code(&written), 1007, "cut at {cut}");
        }
    }
}

#[test]
fn e4_invalid_text_in_an_incomplete_frame_fails_at_once() {
    let mut bad = client_frame(Opcode::Text, &[b'a'; 1000]);
    bad.truncate(100);
    // The last two bytes become leads of three-byte characters. A lead cannot follow a lead, so the
    // text is invalid regardless of later bytes.
    for byte in bad.iter_mut().rev().take(2) {
        *byte ^= 0x80;
    }
    let (_, written) = end_of(&[&bad], Config::new(), false);
    assert_eq!(close_code(&written), 1007);
}

#[test]
fn invalid_text_in_an_incomplete_frame_is_reported_before_eof() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let mut ws = server(io, &executor.time, Config::new());
    let result = executor.spawn("server", async move { ws.recv().await });
    peer.push(&client_frame(Opcode::Text, b"abc\xff\xff\xffdefgh")[..12]);
    peer.shut();
    executor.run_until_idle();
    assert!(matches!(result.take(), Err(Error::Protocol(ProtocolError::InvalidUtf8))));
    assert_eq!(close_code(&peer.take_all()), 1007);
}

#[test]
fn w12_a_frame_above_the_limit_is_refused_at_its_header() {
    let config = Config::new().max_frame_size(100).max_message_size(100);
    for parts in [false, true] {
        let (results, written) =
            end_of(&[b"\x82\xff\x40\0\0\0\0\0\0\0\x01\x02\x03\x04"], config.clone(), parts);
        assert!(results[0].starts_with("FrameTooBig"), "{results:?}");
        assert_eq!(close_code(&written), 1009);
    }
}

#[test]
fn t50_a_peer_that_keeps_sending_after_a_failure_is_dropped_within_bounds_of_bytes() {
    // After a failure, and after the closing handshake.
    for (first, expected) in [(0x83, Some(ProtocolError::ReservedOpcode(3))), (CLOSE, None)] {
        for parts in [false, true] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(1 << 20);
            let probe = io.probe();
            let mut ws = server(io, &executor.time, Config::new());
            let ended = executor.spawn("server", async move {
                let end = if parts { ws.recv_part().await.map(|_| ()) } else { ws.recv().await.map(|_| ()) };
                match end {
                    Ok(()) => None,
                    Err(Error::Protocol(error)) => Some(error),
                    Err(error) => panic!("{error:?}"),
                }
            });
            peer.push(&frame(true, first, ""));
            let mut sent = 0;
            while !ended.is_finished() {
                peer.push(&[0; 64 << 10]);
                sent += 64 << 10;
                executor.run_until_idle();
                assert!(sent <= 9 << 20, "{} reads", probe.get().reads);
            }
            // After the closing handshake, only input that has arrived is read.
            assert_eq!(sent > 8 << 20, expected.is_some());
            assert_eq!(ended.take(), expected);
            assert_eq!(executor.time.armed(), 0);
        }
    }
}
