//! Code over the channel traits behaves like the methods of `WebSocket`: dropping any future at any
//! point loses nothing and repeats nothing.

use sockeye_core::channel::{Channel, RecvMessage, SendMessage};
use sockeye_core::{CloseCode, Message};
use sockeye_testkit::sim::*;

fn messages() -> Vec<Message> {
    let mut messages = vec![Message::from("h\u{e9}llo"), Message::from(Vec::new())];
    messages.extend((0..6).map(|i| Message::from(payload(i, 200))));
    messages
}

/// Receives all messages, then drops the channel.
async fn receive<R: RecvMessage>(mut channel: R, canceller: &Canceller) {
    let mut received = Vec::new();
    while let Some(message) = canceller.retry(async || channel.recv().await).await.unwrap() {
        received.push(message);
    }
    assert_eq!(received, messages());
    assert!(channel.close_info().is_some_and(|info| info.clean && info.reason == "done"));
}

/// Queues each message exactly once, then writes all.
async fn send<S: SendMessage>(channel: &mut S, canceller: &Canceller) {
    for message in messages() {
        // A cancelled `feed` has queued nothing.
        canceller.retry(async || channel.feed(&message).await).await.unwrap();
    }
    canceller.retry(async || channel.flush().await).await.unwrap();
}

async fn close<C: Channel>(mut channel: C, canceller: &Canceller) {
    let info = canceller.retry(async || channel.close(CloseCode::NORMAL, "done").await).await.unwrap();
    assert!(info.clean && info.reason == "done");
    assert!(channel.recv().await.unwrap().is_none());
}

async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    futures_lite::future::zip(a, b).await
}

#[test]
fn cancelled_futures_of_a_channel_lose_nothing() {
    at_every_poll(|canceller, a, mut b, _| async move {
        let sending = async {
            send(&mut b, &canceller).await;
            close(b, &canceller).await;
        };
        both(receive(a, &canceller), sending).await;
    });
}

#[test]
fn cancelled_futures_of_halves_lose_nothing() {
    at_every_poll(|canceller, a, b, _| async move {
        let (mut to_a, recv) = b.split();
        let sending = async {
            send(&mut to_a, &canceller).await;
            // The first poll queues the Close, and the receiving half writes it.
            let _ = canceller.once(to_a.begin_close(CloseCode::NORMAL, "done")).await;
        };
        let mut recv = recv;
        let ending = async { assert!(RecvMessage::recv(&mut recv).await.unwrap().is_none()) };
        both(receive(a, &canceller), both(sending, ending)).await;
    });
}

#[test]
fn a_channel_sends_while_it_waits_for_a_message() {
    // One task that polls a receive and queues in turn, as libraries with a queue of their own do.
    at_every_poll(|canceller, a, mut b, _| async move {
        let mut left = messages().into_iter();
        let talking = async {
            let mut channel = &mut b;
            while std::future::poll_fn(|cx| {
                while SendMessage::poll_ready(&mut channel, cx)?.is_ready()
                    && let Some(message) = left.next()
                {
                    channel.start_send(message.into())?;
                }
                if left.len() == 0 {
                    let _ = channel.start_close(CloseCode::NORMAL, "done");
                }
                RecvMessage::poll_recv(&mut channel, cx)
            })
            .await
            .unwrap()
            .is_some()
            {}
        };
        both(receive(a, &canceller), talking).await;
    });
}
