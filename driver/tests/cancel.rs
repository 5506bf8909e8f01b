//! Cancelling any future at any point loses nothing and repeats nothing.
//!
//! Each operation runs on transports that are pending at every point. It is dropped after its n-th
//! poll and begun again, for every small n and then in growing steps, until n is so large that the
//! operation completes before it is dropped.

use sockeye_core::{CloseCode, Frame, Message, MessageKind, Opcode};
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Runs two futures in one task.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    futures_lite::future::zip(a, b).await
}

fn messages() -> Vec<Message> {
    vec![
        Message::from("h\u{e9}llo \u{20ac}uro"),
        Message::from(payload(1, 60)),
        Message::from(Vec::new()),
        Message::from("\u{1f980}".repeat(5)),
    ]
}

fn many(count: usize, len: usize) -> Vec<Message> {
    (0..count).map(|i| Message::from(payload(i, len))).collect()
}

/// Sends the messages, one of them in fragments, and a ping in between, then closes.
async fn send_all(mut ws: Ws) {
    ws.send(&messages()[0]).await.unwrap();
    let mut writer = ws.begin(MessageKind::Binary);
    let bytes = payload(1, 60);
    writer.write(&bytes[..20]).await.unwrap();
    writer.write(&bytes[20..21]).await.unwrap();
    writer.finish_with(&bytes[21..]).await.unwrap();
    ws.ping(b"are you there?").await.unwrap();
    ws.send(&messages()[2]).await.unwrap();
    ws.feed(&messages()[3]).await.unwrap();
    assert!(ws.close(CloseCode::NORMAL, "done").await.unwrap().clean);
}

#[test]
fn a_cancelled_recv_loses_nothing() {
    at_every_poll(|canceller, mut a, b, _| async move {
        let canceller = &canceller;
        let probe = a.io().probe();
        let receive = async move {
            let mut received = Vec::new();
            while let Some(message) = canceller.retry(async || a.recv().await).await.unwrap() {
                received.push(message);
            }
            assert_eq!(received, messages());
        };
        both(receive, send_all(b)).await;
        let opcodes: Vec<_> = parse_frames(&probe.get().log).iter().map(|frame| frame.opcode).collect();
        assert_eq!(opcodes, [Opcode::Pong, Opcode::Close]);
    });
}

#[test]
fn a_cancelled_recv_with_delivers_once_and_answers_once() {
    at_every_poll(|canceller, mut a, mut b, _| async move {
        let canceller = &canceller;
        let receive = async move {
            let mut delivered = 0;
            loop {
                let answered = canceller.retry(async || {
                    a.recv_with(|message, sender| {
                        delivered += 1;
                        sender.send(message)
                    })
                    .await
                });
                match answered.await.unwrap() {
                    Some(sent) => sent.unwrap(),
                    None => break,
                }
            }
            assert_eq!(delivered, messages().len());
        };
        let ask = async move {
            let mut answers = Vec::new();
            for message in messages() {
                b.send(&message).await.unwrap();
                answers.push(b.recv().await.unwrap().unwrap());
            }
            assert_eq!(answers, messages());
            assert!(b.close(CloseCode::NORMAL, "").await.unwrap().clean);
        };
        both(receive, ask).await;
    });
}

#[test]
fn a_cancelled_recv_part_loses_nothing() {
    at_every_poll(|canceller, mut a, b, _| async move {
        let canceller = &canceller;
        let receive = async move {
            let (mut received, mut begun) = (Vec::new(), Vec::new());
            while let Some(part) = canceller.retry(async || a.recv_part().await).await.unwrap() {
                assert_eq!(part.first, begun.is_empty());
                begun.extend_from_slice(&part.data);
                if part.last {
                    received.push(std::mem::take(&mut begun));
                }
            }
            let expected: Vec<_> = messages().iter().map(|message| message.as_bytes().to_vec()).collect();
            assert_eq!(received, expected);
        };
        both(receive, send_all(b)).await;
    });
}

#[test]
fn a_cancelled_feed_has_queued_nothing_and_a_finished_one_everything() {
    at_every_poll(|canceller, mut a, b, _| async move {
        let canceller = &canceller;
        let send = async move {
            for message in many(10, 100) {
                canceller.retry(async || a.feed(&message).await).await.unwrap();
            }
            canceller.retry(async || a.flush().await).await.unwrap();
            assert_eq!(a.queued(), 0);
            assert!(canceller.retry(async || a.close(CloseCode::NORMAL, "").await).await.unwrap().clean);
        };
        let ((), (received, end)) = both(send, receive_all(b)).await;
        assert!(end.is_ok());
        assert_eq!(received, many(10, 100));
    });
}

#[test]
fn a_cancelled_send_has_queued_its_message_whole_or_not_at_all() {
    at_every_poll(|canceller, mut a, b, _| async move {
        let canceller = &canceller;
        let send = async move {
            let mut certain = Vec::new();
            for i in 0..10 {
                let message = Message::from(payload(i, 100));
                let has_room = a.queued() < 300;
                match canceller.once(a.send(&message)).await {
                    Some(result) => result.unwrap(),
                    // A send that waits for room has queued nothing.
                    None if !has_room => continue,
                    None => {}
                }
                certain.push(message);
            }
            assert!(canceller.retry(async || a.close(CloseCode::NORMAL, "").await).await.unwrap().clean);
            certain
        };
        let (certain, (received, end)) = both(send, receive_all(b)).await;
        assert!(end.is_ok());
        // Any other message arrives whole or not at all.
        let mut expected = certain.iter().peekable();
        for message in &received {
            if Some(&message) == expected.peek() {
                expected.next();
            }
            assert!((0..10).any(|i| *message == Message::from(payload(i, 100))));
        }
        assert!(expected.next().is_none(), "a queued message did not arrive, or out of order");
    });
}

#[test]
fn cancelled_pings_and_frames_are_sent_once_if_the_queue_has_room() {
    at_every_poll(|canceller, mut a, b, is_server| async move {
        let canceller = &canceller;
        let probe = a.io().probe();
        let send = async move {
            let frames = [
                Frame::new(Opcode::Text, "one ".as_bytes()).finish(false),
                Frame::new(Opcode::Continuation, "two ".as_bytes()).finish(false),
                Frame::new(Opcode::Continuation, "three".as_bytes()),
            ];
            // Together they stay below the mark, so the first poll of each call queues its frame.
            for frame in &frames {
                if let Some(sent) = canceller.once(a.send_frame(frame)).await {
                    sent.unwrap();
                }
                if let Some(sent) = canceller.once(a.ping(b"ping")).await {
                    sent.unwrap();
                }
            }
            assert!(canceller.retry(async || a.close(CloseCode::NORMAL, "").await).await.unwrap().clean);
        };
        let ((), (received, end)) = both(send, receive_all(b)).await;
        assert!(end.is_ok());
        assert_eq!(received, [Message::from("one two three")]);
        let pings =
            parse_frames(&probe.get().log).iter().filter(|frame| frame.opcode == Opcode::Ping).count();
        assert_eq!((pings, is_server), (3, is_server));
    });
}

#[test]
fn parts_of_a_cancelled_writer_are_sent_once_if_the_queue_has_room() {
    at_every_poll(|canceller, mut a, b, _| async move {
        let canceller = &canceller;
        let send = async move {
            let mut writer = a.begin(MessageKind::Text);
            for part in ["one ", "two ", "three "] {
                if let Some(written) = canceller.once(writer.write(part.as_bytes())).await {
                    written.unwrap();
                }
            }
            if let Some(finished) = canceller.once(writer.finish_with(b"four")).await {
                finished.unwrap();
            }
            canceller.retry(async || a.flush().await).await.unwrap();
            assert!(canceller.retry(async || a.close(CloseCode::NORMAL, "").await).await.unwrap().clean);
        };
        let ((), (received, end)) = both(send, receive_all(b)).await;
        assert!(end.is_ok());
        assert_eq!(received, [Message::from("one two three four")]);
    });
}

#[test]
fn a_cancelled_begin_close_has_still_queued_the_close() {
    at_every_poll(|canceller, mut a, mut b, _| async move {
        let canceller = &canceller;
        let probe = a.io().probe();
        let close = async move {
            a.feed("last words").await.unwrap();
            if let Some(begun) = canceller.once(a.begin_close(CloseCode::GOING_AWAY, "bye")).await {
                begun.unwrap();
            }
            assert!(a.begin_close(CloseCode::NORMAL, "").await.is_err(), "the connection is closing already");
            let received = canceller.retry(async || a.recv().await).await.unwrap();
            assert_eq!(received, Some(Message::from("not so fast")));
            assert_eq!(canceller.retry(async || a.recv().await).await.unwrap(), None);
            assert!(a.close_info().unwrap().clean);
        };
        let answer = async move {
            b.feed("not so fast").await.unwrap();
            receive_all(b).await
        };
        let ((), (received, end)) = both(close, answer).await;
        assert!(end.is_ok());
        assert_eq!(received, [Message::from("last words")]);
        let closes =
            parse_frames(&probe.get().log).iter().filter(|frame| frame.opcode == Opcode::Close).count();
        assert_eq!(closes, 1);
    });
}

#[test]
fn cancelled_operations_on_split_halves_lose_nothing() {
    at_every_poll(|canceller, a, mut b, _| async move {
        let canceller = &canceller;
        let (mut send, mut recv) = a.split();
        let sending = async move {
            for message in many(6, 150) {
                canceller.retry(async || send.feed(&message).await).await.unwrap();
            }
            canceller.retry(async || send.flush().await).await.unwrap();
        };
        let receiving = async move {
            for message in messages() {
                let received = canceller.retry(async || recv.recv().await).await.unwrap();
                assert_eq!(received, Some(message));
            }
            assert_eq!(canceller.retry(async || recv.recv().await).await.unwrap(), None);
        };
        let answering = async move {
            for message in &messages() {
                b.feed(message).await.unwrap();
            }
            for message in many(6, 150) {
                assert_eq!(b.recv().await.unwrap(), Some(message));
            }
            assert!(b.close(CloseCode::NORMAL, "").await.unwrap().clean);
        };
        both(both(sending, receiving), answering).await;
    });
}
