//! Messages that are queued without waiting, and two ends that send at the same time.

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::thread;

use sockeye_std::{ByteString, CloseCode, Config, Payload, Received, SendError, TrySendError, WebSocket};
use support::{millis, pair, raw_pair};

const MARK: usize = 32 << 10;
/// A message on the wire, with a header of four bytes.
const FRAME: usize = 60_004;

/// Feeds messages until the socket takes no more. Returns their number of bytes on the wire.
fn fill<'p>(mut try_feed: impl FnMut(Vec<u8>) -> Result<(), TrySendError<'p>>) -> usize {
    let (mut count, mut refused) = (0, 0);
    // The buffers of a socket grow while it is written to.
    while refused < 10 {
        assert!(count < 1000, "the queue never fills");
        match try_feed(vec![0; FRAME - 4]) {
            Ok(()) => (count, refused) = (count + 1, 0),
            Err(error) => {
                let error = error.error();
                assert!(matches!(error, SendError::Backpressure { queued } if queued < MARK + FRAME));
                refused += 1;
            }
        }
    }
    count * FRAME
}

fn read(mut raw: TcpStream, len: usize) {
    let mut bytes = vec![0; len];
    raw.read_exact(&mut bytes).unwrap();
}

#[test]
fn m4_try_feed_returns_the_message_while_the_peer_does_not_read() {
    for split in [true, false] {
        let (raw, mut ws) = raw_pair(Config::new());
        let text = ByteString::from("kept");
        let payload = if split {
            let (mut send, _recv) = ws.split();
            let len = fill(|message| send.try_feed(message));
            let payload = send.try_feed(text.clone()).unwrap_err().into_payload();
            assert!(send.queued() < MARK + FRAME);
            let reading = thread::spawn(move || read(raw, len));
            send.flush().unwrap();
            reading.join().unwrap();
            send.try_feed("room").unwrap();
            payload
        } else {
            let len = fill(|message| ws.try_feed(message));
            let payload = ws.try_feed(text.clone()).unwrap_err().into_payload();
            assert!(ws.queued() < MARK + FRAME);
            let reading = thread::spawn(move || read(raw, len));
            ws.flush().unwrap();
            reading.join().unwrap();
            ws.try_feed("room").unwrap();
            payload
        };
        assert_eq!(payload.as_bytes().as_ptr(), text.as_ptr(), "split: {split}");
    }
}

#[test]
fn m19_a_burst_of_try_feed_reaches_a_peer_that_reads() {
    for split in [true, false] {
        let (raw, mut ws) = raw_pair(Config::new());
        let reading = thread::spawn(move || read(raw, 5 * FRAME));
        if split {
            let (mut send, _recv) = ws.split();
            (0..5).for_each(|_| send.try_feed(vec![0; FRAME - 4]).unwrap());
            send.flush().unwrap();
        } else {
            (0..5).for_each(|_| ws.try_feed(vec![0; FRAME - 4]).unwrap());
            ws.flush().unwrap();
        }
        reading.join().unwrap();
    }
}

#[test]
fn try_feed_returns_a_message_that_cannot_be_sent() {
    let (mut client, mut server) = pair(Config::new().max_send_size(3), Config::new());
    let refused = client.try_feed("four").unwrap_err();
    assert_eq!(refused.error(), SendError::TooBig { size: 4, limit: 3 });
    client.try_feed("one").unwrap();
    client.begin_close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(client.try_feed("two").unwrap_err().error(), SendError::Closed);
    assert_eq!(server.recv().unwrap().unwrap().as_text(), Some("one"));
}

/// Sends many messages to a peer that does the same, as in the documentation of `WebSocket`.
fn send_and_receive(mut ws: WebSocket, count: usize) {
    let mut received = 0;
    for _ in 0..count {
        let mut payload = Payload::from(vec![0; 1 << 20]);
        while let Err(refused) = ws.try_feed(payload) {
            assert!(matches!(refused.error(), SendError::Backpressure { .. }));
            payload = refused.into_payload();
            if let Received::Message(_) = ws.recv_timeout(millis(10)).unwrap() {
                received += 1;
            }
        }
    }
    while received < count {
        ws.recv().unwrap().unwrap();
        received += 1;
    }
    let _ = ws.close(CloseCode::NORMAL, "");
}

#[test]
fn two_ends_that_send_much_at_the_same_time_do_not_stall_if_they_receive_too() {
    let (client, server) = pair(Config::new(), Config::new());
    let sending = thread::spawn(move || send_and_receive(client, 30));
    send_and_receive(server, 30);
    sending.join().unwrap();
}
