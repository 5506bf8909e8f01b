//! Receiving with a time limit, in parts and by reference, and the deadlines that a receive
//! enforces.

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sockeye_std::{CloseCode, Config, Error, MessageKind, Received};
use sockeye_testkit::frames::{BINARY, PING, TEXT, frame};
use support::{millis, pair, raw_pair, read_frame};

#[test]
fn k3_a_receive_that_times_out_leaves_the_connection_usable() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    let begin = Instant::now();
    assert_eq!(client.recv_timeout(millis(80)).unwrap(), Received::TimedOut);
    assert!(begin.elapsed() >= millis(80));
    assert_eq!(client.recv_timeout(Duration::ZERO).unwrap(), Received::TimedOut);
    client.send("one").unwrap();
    assert_eq!(server.recv_timeout(Duration::MAX).unwrap(), Received::Message("one".into()));
    server.send("two").unwrap();
    assert_eq!(client.recv().unwrap().unwrap().as_text(), Some("two"));
    let serving = thread::spawn(move || server.recv_timeout(Duration::MAX).unwrap());
    client.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(serving.join().unwrap(), Received::Closed);
    assert_eq!(client.recv_timeout(Duration::MAX).unwrap(), Received::Closed);
}

#[test]
fn a_timeout_of_zero_returns_only_messages_that_have_arrived() {
    let (mut raw, mut ws) = raw_pair(Config::new());
    raw.write_all(&[frame(true, TEXT, b"a"), frame(true, TEXT, b"b")].concat()).unwrap();
    thread::sleep(millis(50));
    assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), Received::Message("a".into()));
    assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), Received::Message("b".into()));
    assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), Received::TimedOut);
}

#[test]
fn k3_a_receive_that_times_out_within_a_message_keeps_what_has_arrived() {
    let (mut raw, mut ws) = raw_pair(Config::new());
    let payload: Vec<u8> = (0..200).collect();
    let bytes = frame(true, BINARY, payload.clone());
    for part in bytes.chunks(50) {
        assert_eq!(ws.recv_timeout(millis(0)).unwrap(), Received::TimedOut);
        raw.write_all(part).unwrap();
        std::thread::sleep(millis(20));
    }
    assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), payload);
}

#[test]
fn endless_pings_do_not_extend_the_time_limit() {
    let (mut raw, mut ws) = raw_pair(Config::new());
    let done = Arc::new(AtomicBool::new(false));
    let pinging = thread::spawn({
        let done = done.clone();
        move || {
            while !done.load(Ordering::Relaxed) {
                raw.write_all(&frame(true, PING, b"")).unwrap();
                read_frame(&mut raw);
            }
        }
    });
    assert_eq!(ws.recv_timeout(millis(100)).unwrap(), Received::TimedOut);
    done.store(true, Ordering::Relaxed);
    // The last ping may still wait for its pong.
    assert_eq!(ws.recv_timeout(millis(50)).unwrap_or(Received::TimedOut), Received::TimedOut);
    pinging.join().unwrap();
}

#[test]
fn a_message_is_sent_and_received_in_parts() {
    let (mut client, mut server) =
        pair(Config::new().max_send_size(u64::MAX), Config::new().max_message_size(u64::MAX));
    let sending = thread::spawn(move || {
        let mut writer = client.begin(MessageKind::Binary);
        for i in 0..100 {
            writer.write([i; 50_000]).unwrap();
        }
        writer.finish().unwrap();
        client.send("next").unwrap();
        client
    });
    let mut len = 0;
    loop {
        let part = server.recv_part().unwrap().unwrap();
        assert_eq!((part.kind, part.first), (MessageKind::Binary, len == 0));
        len += part.data.len();
        if part.last {
            break;
        }
    }
    assert_eq!(len, 5_000_000);
    assert_eq!(server.recv().unwrap().unwrap().as_text(), Some("next"));
    sending.join().unwrap();
}

#[test]
fn a_lent_message_is_answered_with_the_sender() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    let serving = thread::spawn(move || {
        while let Some(sent) = server.recv_with(|message, sender| sender.send(message)).unwrap() {
            sent.unwrap();
        }
    });
    for i in 0..100 {
        client.feed(i.to_string()).unwrap();
    }
    for i in 0..100 {
        assert_eq!(client.recv().unwrap().unwrap().as_text(), Some(&*i.to_string()));
    }
    client.close(CloseCode::NORMAL, "").unwrap();
    serving.join().unwrap();
}

#[test]
fn a_ping_measures_the_round_trip() {
    let (mut client, mut server) = pair(Config::new(), Config::new());
    let serving = thread::spawn(move || server.recv());
    assert_eq!(client.round_trip(), None);
    client.ping(b"?").unwrap();
    assert_eq!(client.recv_timeout(millis(100)).unwrap(), Received::TimedOut);
    assert!(client.round_trip().unwrap() < Duration::from_secs(5));
    client.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(serving.join().unwrap().unwrap(), None);
}

#[test]
fn a_peer_that_does_not_answer_pings_is_disconnected() {
    let begin = Instant::now();
    let (raw, mut ws) = raw_pair(Config::new().keepalive(millis(60), millis(60)));
    let Err(Error::Abnormal(info)) = ws.recv() else { panic!("recv must report an abnormal end") };
    assert_eq!(info.code, CloseCode::POLICY_VIOLATION);
    assert!(begin.elapsed() >= millis(120));
    drop(raw);
}

#[test]
fn an_idle_peer_is_closed_with_1001() {
    let (mut client, mut server) = pair(Config::new(), Config::new().idle_timeout(millis(100)));
    let serving = thread::spawn(move || server.recv());
    assert_eq!(client.recv().unwrap(), None);
    assert_eq!(client.close_info().unwrap().code, CloseCode::GOING_AWAY);
    assert_eq!(serving.join().unwrap().unwrap(), None);
}
