//! `Stream` and `Sink` of a connection and its halves.
#![cfg(feature = "futures")]

use futures_util::stream::FusedStream;
use futures_util::{SinkExt, StreamExt, future};
use sockeye_core::{CloseCode, Config, Message, SendError};
use sockeye_driver::Error;
use sockeye_testkit::frames::*;
use sockeye_testkit::sim::*;

/// Runs `test` on transports that make both ends wait.
fn on_bad_transports(mut test: impl FnMut(Executor, Ws, Ws)) {
    for is_server in [true, false] {
        for (capacity, pending) in
            [(1 << 20, Pending::Never), (1, Pending::First), (30, Pending::UntilIdle), (1, Pending::Never)]
        {
            println!("server: {is_server}, capacity {capacity}, {pending:?}");
            let executor = Executor::new();
            let faults = Faults { pending, ..Faults::default() };
            let (a, b) = pipe_with(capacity, faults);
            let config = || Config::new().high_water_mark(200);
            let (a, b) = (
                open(is_server, a, &executor.time, config()),
                open(!is_server, b.with(faults), &executor.time, config()),
            );
            test(executor, a, b);
        }
    }
}

fn many() -> Vec<Message> {
    (0..8).map(|i| Message::from(payload(i, 40 * i))).collect()
}

#[test]
fn a_stream_yields_the_messages_and_ends() {
    on_bad_transports(|mut executor, a, mut b| {
        executor.spawn("a", async move {
            let mut a = a;
            assert!(!a.is_terminated());
            let received: Vec<_> = (&mut a).map(Result::unwrap).collect().await;
            assert_eq!(received, many());
            assert!(a.is_terminated());
            assert!(a.next().await.is_none());
        });
        executor.spawn("b", async move {
            for message in many() {
                b.send(message).await.unwrap();
            }
            b.close(CloseCode::NORMAL, "").await.unwrap();
        });
        executor.run();
    });
}

#[test]
fn a_stream_ends_after_the_error() {
    for split in [true, false] {
        let mut executor = Executor::new();
        let (io, peer) = pipe(1 << 20);
        let ws = server(io, &executor.time, Config::new());
        peer.push(&FrameWriter::to(true).text("one"));
        peer.shut();
        let items = executor.spawn("stream", async move {
            if split {
                let (_send, recv) = ws.split();
                let mut recv = recv;
                let items: Vec<_> = (&mut recv).collect().await;
                assert!(recv.is_terminated());
                items
            } else {
                ws.collect().await
            }
        });
        executor.run();
        let items = items.take();
        assert!(matches!(&*items, [Ok(Message::Text(one)), Err(Error::Abnormal(_))] if one == "one"));
    }
}

#[test]
fn a_stream_forwarded_to_its_sink_is_an_echo() {
    on_bad_transports(|mut executor, a, mut b| {
        executor.spawn("echo", async move {
            let (send, recv) = a.split();
            recv.forward(send).await.unwrap();
        });
        let answers = executor.spawn("b", async move {
            let mut answers = Vec::new();
            for message in many() {
                b.feed(message).await.unwrap();
                answers.push(b.recv().await.unwrap().unwrap());
            }
            assert!(b.close(CloseCode::NORMAL, "").await.unwrap().clean);
            answers
        });
        executor.run();
        assert_eq!(answers.take(), many());
    });
}

#[test]
fn a_sink_accepts_every_kind_of_payload_and_closes_cleanly() {
    on_bad_transports(|mut executor, mut a, b| {
        executor.spawn("a", async move {
            SinkExt::<Message>::feed(&mut a, Message::from("message")).await.unwrap();
            SinkExt::<String>::send(&mut a, "string".into()).await.unwrap();
            SinkExt::<Vec<u8>>::send(&mut a, payload(1, 500)).await.unwrap();
            SinkExt::<&'static str>::send(&mut a, "text").await.unwrap();
            SinkExt::<Message>::close(&mut a).await.unwrap();
            assert!(a.close_info().unwrap().clean);
            // Closing again is harmless, and no further message is sent.
            SinkExt::<Message>::close(&mut a).await.unwrap();
            let more = SinkExt::<String>::send(&mut a, "more".into()).await;
            assert!(matches!(more, Err(Error::Send(SendError::Closed))));
        });
        let received = executor.spawn("b", receive_all(b));
        executor.run();
        let (messages, end) = received.take();
        assert!(end.is_ok());
        let expected =
            [Message::from("message"), "string".into(), payload(1, 500).into(), Message::from("text")];
        assert_eq!(messages, expected);
    });
}

#[test]
fn closing_a_sink_reports_an_end_that_is_not_clean() {
    let mut executor = Executor::new();
    let (io, _peer) = pipe(10);
    let mut ws = server(io, &executor.time, Config::new());
    executor.spawn("close", async move {
        SinkExt::<Message>::feed(&mut ws, Message::from(payload(0, 1000))).await.unwrap();
        assert!(matches!(SinkExt::<Message>::close(&mut ws).await, Err(Error::Abnormal(_))));
        assert!(SinkExt::<Message>::close(&mut ws).await.is_ok(), "the end is reported once");
    });
    executor.run_with_time();
}

#[test]
fn closing_the_sending_half_writes_a_close_and_ends_the_other_half() {
    on_bad_transports(|mut executor, a, b| {
        let (mut send, recv) = a.split();
        executor.spawn("recv", async move {
            assert!(recv.map(Result::unwrap).collect::<Vec<_>>().await.is_empty());
        });
        executor.spawn("send", async move {
            let all: Vec<_> = many().into_iter().map(Ok).collect();
            SinkExt::<Message>::send_all(&mut send, &mut futures_util::stream::iter(all)).await.unwrap();
            SinkExt::<Message>::close(&mut send).await.unwrap();
            SinkExt::<Message>::close(&mut send).await.unwrap();
        });
        let received = executor.spawn("b", receive_all(b));
        executor.run();
        let (messages, end) = received.take();
        assert!(end.is_ok());
        assert_eq!(messages, many());
    });
}

#[test]
fn the_split_of_the_futures_crates_works_in_one_task() {
    on_bad_transports(|mut executor, a, mut b| {
        executor.spawn("a", async move {
            let (mut sink, stream) = StreamExt::split::<Message>(a);
            let sending = async move {
                sink.send_all(&mut futures_util::stream::iter(many().into_iter().map(Ok))).await
            };
            let receiving = stream.take(8).map(Result::unwrap).collect::<Vec<_>>();
            let (sent, received) = future::join(sending, receiving).await;
            sent.unwrap();
            assert_eq!(received, many());
        });
        executor.spawn("b", async move {
            for message in many() {
                b.feed(message).await.unwrap();
                b.recv().await.unwrap().unwrap();
            }
            b.flush().await.unwrap();
            assert!(b.recv().await.is_err());
        });
        executor.run();
    });
}

#[test]
fn the_split_of_the_futures_crates_works_in_two_tasks() {
    on_bad_transports(|mut executor, a, mut b| {
        let (mut sink, stream) = StreamExt::split::<Message>(a);
        executor.spawn("stream", async move {
            let received: Vec<_> = stream.map(Result::unwrap).collect().await;
            assert_eq!(received, [many(), many()].concat());
        });
        executor.spawn("sink", async move {
            sink.send_all(&mut futures_util::stream::iter(many().into_iter().map(Ok))).await.unwrap();
            // The stream still receives the remaining messages.
            sink.close().await.unwrap();
        });
        let received = executor.spawn("b", async move {
            let mut received = Vec::new();
            for message in [many(), many()].concat() {
                b.feed(message).await.unwrap();
                if received.len() < 8 {
                    received.push(b.recv().await.unwrap().unwrap());
                }
            }
            assert!(receive_all(b).await.1.is_ok());
            received
        });
        executor.run();
        assert_eq!(received.take(), many());
    });
}

#[test]
fn a_sink_waits_for_room() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(10);
    let mut ws = server(io, &executor.time, Config::new().high_water_mark(100));
    let fed = executor.spawn("feed", async move {
        SinkExt::<Vec<u8>>::feed(&mut ws, payload(0, 200)).await.unwrap();
        SinkExt::<Vec<u8>>::feed(&mut ws, payload(1, 200)).await.unwrap();
        ws.queued()
    });
    executor.run_until_idle();
    assert!(!fed.is_finished());
    let mut read = 0;
    while !fed.is_finished() {
        read += peer.take_all().len();
        executor.run_until_idle();
    }
    assert!(read >= 100 && fed.take() < 310, "{read}");
}

#[test]
fn k8_a_client_that_stays_connected_is_a_stream_of_updates() {
    use sockeye_driver::reconnect::{Attempt, Cause, ReconnectPolicy, Reconnecting, Update};

    let mut executor = Executor::new();
    let (time, clock) = (executor.time.clone(), executor.time.clock());
    let connect = async move |attempt: Attempt| -> Result<Ws, Cause> {
        if attempt.connections == 2 {
            return Err(Cause::other("that was enough"));
        }
        let (ours, server) = pipe(1000);
        server.push(&server_frame(sockeye_core::Opcode::Text, b"hello"));
        server.shut();
        Ok(client(ours, &time, Config::new()))
    };
    let policy = ReconnectPolicy::new().give_up_if(|cause| matches!(cause, Cause::Other(_)));
    let client = Reconnecting::with(policy, clock, || 0, connect);
    let updates = executor.spawn("the client", client.collect::<Vec<_>>());
    executor.run_with_time();
    let kinds = updates.take().into_iter().map(|update| match update {
        Ok(Update::Message(_)) => "message",
        Ok(Update::Connected { .. }) => "connected",
        Ok(Update::Lost { .. }) => "lost",
        Ok(_) => "other",
        Err(_) => "gave up",
    });
    let expected = ["connected", "message", "lost", "connected", "message", "lost", "gave up"];
    assert!(kinds.eq(expected));
}
