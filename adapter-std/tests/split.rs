//! One connection, used by two threads.

mod support;

use std::io::{Read, Write};
use std::thread;
use std::time::Instant;

use sockeye_std::{CloseCode, Config, Error, Received, RecvHalf, SendError, SendHalf, State};
use sockeye_testkit::frames::{BINARY, CLOSE, PING, TEXT, frame};
use support::{millis, pair, raw_pair, read_frame};

const COUNT: usize = 1000;

#[test]
fn a_thousand_messages_go_in_each_direction_at_the_same_time() {
    let (client, server) = pair(Config::new(), Config::new());
    let server = both_ways(server.split(), false);
    let client = both_ways(client.split(), true);
    client.join().unwrap();
    server.join().unwrap();
}

/// Sends numbered messages and pings while another thread checks the received messages. One end
/// closes.
fn both_ways(halves: (SendHalf, RecvHalf), closes: bool) -> thread::JoinHandle<()> {
    let (mut outgoing, mut incoming) = halves;
    let sending = thread::spawn(move || {
        for i in 0..COUNT {
            match i % 3 {
                0 => outgoing.feed(message(i)).unwrap(),
                _ => outgoing.send(message(i)).unwrap(),
            }
            if i % 10 == 0 {
                outgoing.ping(b"").unwrap();
            }
        }
        outgoing.flush().unwrap();
        outgoing
    });
    thread::spawn(move || {
        for i in 0..COUNT {
            assert_eq!(incoming.recv().unwrap().unwrap().as_bytes(), message(i));
        }
        let mut outgoing = sending.join().unwrap();
        if closes {
            outgoing.close(CloseCode::NORMAL, "").unwrap();
        }
        assert_eq!(incoming.recv().unwrap(), None);
        assert!(incoming.close_info().unwrap().clean);
    })
}

fn message(i: usize) -> Vec<u8> {
    vec![i.to_le_bytes()[0]; i * 37 % 5000]
}

#[test]
fn a_blocked_writer_does_not_block_the_reader() {
    let config = Config::new().max_send_size(64 << 20).high_water_mark(usize::MAX);
    let (mut raw, ws) = raw_pair(config);
    let (mut outgoing, mut incoming) = ws.split();
    let sending = thread::spawn(move || outgoing.send(vec![0; 32 << 20]));
    // The peer does not read, and keeps sending.
    thread::sleep(millis(50));
    for i in 0..100u8 {
        raw.write_all(&[frame(true, PING, [i]), frame(true, BINARY, [i])].concat()).unwrap();
        assert_eq!(incoming.recv().unwrap().unwrap().as_bytes(), [i]);
    }
    assert!(!sending.is_finished());
    // Then it reads everything: a frame of 32 MiB, followed by the pong to the latest ping. Those to
    // earlier ones may be left out (RFC 6455 5.5.3).
    let reading = thread::spawn(move || {
        let mut bytes = vec![0; 10 + (32 << 20)];
        raw.read_exact(&mut bytes).unwrap();
        let mut pong = [0; 3];
        while pong[2] != 99 {
            raw.read_exact(&mut pong).unwrap();
            assert_eq!(pong[..2], *b"\x8A\x01");
        }
    });
    sending.join().unwrap().unwrap();
    // The reader writes the pongs that the writer has not written.
    while !reading.is_finished() {
        let _ = incoming.recv_timeout(millis(20));
    }
    reading.join().unwrap();
}

#[test]
fn an_unanswered_close_ends_a_waiting_reader() {
    let begin = Instant::now();
    let (raw, ws) = raw_pair(Config::new().close_timeout(millis(200)));
    let (mut outgoing, mut incoming) = ws.split();
    let receiving = thread::spawn(move || incoming.recv());
    thread::sleep(millis(50));
    outgoing.close(CloseCode::NORMAL, "").unwrap();
    assert!(matches!(receiving.join().unwrap(), Err(Error::Abnormal(_))));
    assert!(begin.elapsed() >= millis(250));
    drop(raw);
}

#[test]
fn a_blocked_writer_returns_when_the_connection_closes() {
    let config = Config::new().max_send_size(64 << 20).close_timeout(millis(200));
    let (raw, ws) = raw_pair(config);
    let (mut outgoing, mut incoming) = ws.split();
    let sending = thread::spawn(move || outgoing.send(vec![0; 32 << 20]));
    thread::sleep(millis(50));
    (&raw).write_all(&frame(true, CLOSE, [0x03, 0xE8])).unwrap();
    // Both ends close, but the Close of this end cannot be written.
    while incoming.recv_timeout(millis(20)).unwrap_or(Received::Closed) != Received::Closed {}
    assert!(matches!(sending.join().unwrap(), Err(Error::Io(_))));
    drop(raw);
}

#[test]
fn a_blocked_writer_returns_when_the_reader_sees_the_end() {
    let config = Config::new().max_send_size(64 << 20).close_timeout(millis(100));
    let (raw, ws) = raw_pair(config.keepalive(millis(50), millis(50)));
    let (mut outgoing, mut incoming) = ws.split();
    let sending = thread::spawn(move || outgoing.send(vec![0; 32 << 20]));
    assert!(matches!(incoming.recv(), Err(Error::Abnormal(_))));
    assert!(matches!(sending.join().unwrap(), Err(Error::Io(_))));
    drop(raw);
}

#[test]
fn only_halves_of_the_same_connection_can_be_joined() {
    let (client, server) = pair(Config::new(), Config::new());
    let ((client_out, client_in), (server_out, server_in)) = (client.split(), server.split());
    assert!(!client_in.is_pair_of(&server_out));
    let Err((client_in, server_out)) = client_in.join(server_out) else {
        panic!("halves of two connections must not join")
    };
    let mut client = client_in.join(client_out).unwrap();
    let mut server = server_in.join(server_out).unwrap();
    client.send("whole").unwrap();
    assert_eq!(server.recv().unwrap().unwrap().as_text(), Some("whole"));
}

#[test]
fn e13_the_sending_half_answers_a_close_and_pings_after_the_receiving_half_was_dropped() {
    let (mut raw, ws) = raw_pair(Config::new().close_timeout(millis(600_000)));
    let (mut send, recv) = ws.split();
    send.send("before").unwrap();
    drop(recv);
    raw.write_all(
        &[frame(true, PING, "x"), frame(true, TEXT, "discarded"), frame(true, CLOSE, [0x03, 0xE8])].concat(),
    )
    .unwrap();
    let end = loop {
        match send.send("after") {
            Ok(()) => thread::sleep(millis(1)),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, Error::Send(SendError::Closed)), "{end:?}");
    assert_eq!(send.state(), State::Closed);
    let mut frames = std::iter::from_fn(|| Some(read_frame(&mut raw)).filter(|(first, _)| *first != 0x81));
    let mut rest = Vec::new();
    while rest.last().is_none_or(|(first, _)| *first != 0x88) {
        rest.extend(frames.next());
    }
    assert_eq!(rest, [(0x8a, b"x".to_vec()), (0x88, vec![0x03, 0xE8])]);
}

#[test]
fn a_close_by_the_sending_half_waits_for_the_end_if_the_receiving_half_was_dropped() {
    let (mut raw, ws) = raw_pair(Config::new().close_timeout(millis(600_000)));
    let (mut send, recv) = ws.split();
    drop(recv);
    let closing = thread::spawn(move || send.close(CloseCode::NORMAL, ""));
    assert_eq!(read_frame(&mut raw).0, 0x88);
    thread::sleep(millis(20));
    assert!(!closing.is_finished());
    raw.write_all(&frame(true, CLOSE, [0x03, 0xE8])).unwrap();
    closing.join().unwrap().unwrap();

    let (_raw, ws) = raw_pair(Config::new().close_timeout(millis(50)));
    let (mut send, recv) = ws.split();
    drop(recv);
    assert!(matches!(send.close(CloseCode::NORMAL, ""), Err(Error::Abnormal(_))));
}

#[test]
#[cfg_attr(windows, ignore = "a write that times out ends the connection")]
fn a_send_that_is_blocked_reads_on_when_the_receiving_half_was_dropped() {
    let (mut raw, ws) = raw_pair(Config::new().high_water_mark(usize::MAX).max_send_size(64 << 20));
    let (mut send, recv) = ws.split();
    drop(recv);
    // Return the half: dropping it with unread input would reset the connection.
    let sending = thread::spawn(move || send.send(vec![0; 32 << 20]).map(|()| send));
    // The peer reads only after it has written all this.
    for _ in 0..32 {
        raw.write_all(&frame(true, BINARY, vec![0; 1 << 20])).unwrap();
    }
    let mut sent = vec![0; 10 + (32 << 20)];
    raw.read_exact(&mut sent).unwrap();
    assert_eq!(sent[..2], [0x82, 127]);
    let _send = sending.join().unwrap().unwrap();
}
