//! One connection, used by two threads.

mod support;

use std::io::{Read, Write};
use std::thread;
use std::time::Instant;

use sockeye_std::{CloseCode, Config, Error, Received, RecvHalf, SendHalf};
use sockeye_testkit::frames::{BINARY, CLOSE, PING, frame};
use support::{millis, pair, raw_pair};

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
    // Without a high-water mark every ping gets its pong.
    let config = Config::new().max_send_size(64 << 20).high_water_mark(usize::MAX);
    let (mut raw, ws) = raw_pair(config);
    let (mut outgoing, mut incoming) = ws.split();
    let sending = thread::spawn(move || outgoing.send(vec![0; 32 << 20]));
    // The peer does not read, and keeps sending.
    thread::sleep(millis(50));
    for i in 0..100u8 {
        raw.write_all(&[frame(true, PING, b"?"), frame(true, BINARY, [i])].concat()).unwrap();
        assert_eq!(incoming.recv().unwrap().unwrap().as_bytes(), [i]);
    }
    assert!(!sending.is_finished());
    // Then it reads everything: a frame of 32 MiB, followed by the pongs.
    let reading = thread::spawn(move || {
        let mut bytes = vec![0; 10 + (32 << 20) + 100 * 3];
        raw.read_exact(&mut bytes).unwrap();
        assert!(bytes[10 + (32 << 20)..].chunks(3).all(|frame| frame == b"\x8A\x01?"));
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
