//! Topics and presence (M15).

use std::sync::{Arc, Mutex, mpsc};

use sockeye_core::deflate::{CompressionPolicy, Deflate};
use sockeye_core::{CloseCode, Config, Payload, Prepared};
use sockeye_driver::server::{
    Callbacks, Client, ConnectionId, Limits, Port, Presence, PresenceChange, Publish, PushError, SlowReader,
    TopicChange,
};
use sockeye_testkit::{EventLog, RawClient, eventually};

use super::{Echo, TestServer, await_open};

/// Starts a server whose clients subscribe to the topics of their path, such as `/a,b`, and whose
/// messages `topic:text` are published to all others.
fn rooms() -> TestServer {
    TestServer::port(rooms_port())
}

fn rooms_port() -> Port<impl sockeye_driver::server::Handler> {
    let handler = Callbacks::on_message(|client, message| async move {
        let (topic, text) = message.as_text().unwrap().split_once(':').unwrap();
        client.publish(topic, text);
        Ok(())
    })
    .on_open(|client, request| async move {
        for topic in request.path().trim_start_matches('/').split(',').filter(|topic| !topic.is_empty()) {
            assert!(client.subscribe(topic)?);
        }
        client.push("ready")
    });
    Port::new(handler)
}

fn join(server: &TestServer, topics: &str) -> RawClient {
    let mut raw = server.connect();
    raw.upgrade(&format!("/{topics}"));
    raw.expect_text("ready");
    raw
}

/// Starts an echo server with `count` open connections, in the order of their ids.
fn open(count: usize) -> (TestServer, Vec<(RawClient, Client)>) {
    let (opened, has_opened) = mpsc::channel();
    let server = TestServer::handler(Echo(opened));
    let clients = (0..count).map(|_| (server.open(), has_opened.recv().unwrap())).collect();
    (server, clients)
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

#[test]
fn m15_a_message_reaches_all_subscribers_of_its_topic_except_the_sender() {
    let server = rooms();
    let (mut ann, mut bob, mut eve) =
        (join(&server, "red,blue"), join(&server, "red"), join(&server, "blue"));
    ann.text("red:hello");
    bob.expect_text("hello");
    eve.text("blue:hi");
    ann.expect_text("hi");
    // Only a publisher that subscribes is left out.
    eve.text("red:both");
    ann.expect_text("both");
    bob.expect_text("both");
    let report = server.handle.publish("blue", "all");
    assert_eq!((report.queued, report.dropped, report.slow, report.failed), (2, 0, 0, 0));
    ann.expect_text("all");
    eve.expect_text("all");
    assert_eq!(server.handle.publish("green", "nobody").queued, 0);
    assert_eq!(sorted(server.handle.topics()), ["blue".into(), Arc::<str>::from("red")]);
}

#[test]
fn m15_subscriptions_can_be_changed_and_listed_by_id() {
    let (server, mut clients) = open(2);
    let handle = &server.handle;
    let ids: Vec<ConnectionId> = clients.iter().map(|(_, client)| client.id()).collect();
    assert_eq!(handle.subscribe(ids[0], "news"), Ok(true));
    assert_eq!(handle.subscribe(ids[0], "news"), Ok(false));
    assert_eq!(clients[1].1.subscribe("news"), Ok(true));
    assert_eq!(clients[1].1.subscribe(String::from("sport")), Ok(true));
    assert!(clients[1].1.is_subscribed("sport") && !clients[0].1.is_subscribed("sport"));
    assert_eq!(sorted(handle.subscribers("news")), ids);
    assert_eq!((handle.subscriber_count("news"), handle.subscriber_count("none")), (2, 0));
    assert_eq!(sorted(handle.topics_of(ids[1])), sorted(clients[1].1.topics()));
    assert_eq!((clients[1].1.topics().len(), handle.topic_count()), (2, 2));
    assert!(handle.unsubscribe(ids[0], "news") && !handle.unsubscribe(ids[0], "news"));
    assert_eq!(handle.publish("news", "one").queued, 1);
    clients[1].0.expect_text("one");
    // Nothing was sent to the other one.
    clients[0].0.text("echo");
    clients[0].0.expect_text("echo");
    assert!(clients[1].1.unsubscribe("news") && clients[1].1.unsubscribe("sport"));
    assert_eq!((handle.topics(), handle.topic_count()), (Vec::new(), 0), "an empty topic does not exist");
    let unknown = ConnectionId::from_u64(u64::MAX);
    assert_eq!(handle.subscribe(unknown, "news"), Err(PushError::UnknownConnection));
    assert!(!handle.unsubscribe(unknown, "news") && handle.topics_of(unknown).is_empty());
}

#[test]
fn m15_the_end_of_a_connection_ends_its_subscriptions_before_its_close_event() {
    let log = EventLog::default();
    let closes = log.clone();
    let handler = Callbacks::on_message(|_, _| async { Ok(()) })
        .on_open(|client, _| async move {
            client.subscribe("a")?;
            client.subscribe("b")
        })
        .on_close(move |client, _| {
            let late = client.subscribe("late");
            let topics = client.server().topics();
            closes.add(format!("{:?} {topics:?} {late:?}", client.topics()));
            async {}
        });
    let server = TestServer::handler(handler);
    let mut raw = server.open();
    eventually("the subscriptions", || server.handle.topic_count() == 2);
    raw.close(1000, "");
    raw.expect_close(1000);
    log.wait_for("[] [] Err(Closing)");
    // Without a closing handshake, too.
    let raw = server.open();
    eventually("the subscriptions", || server.handle.topic_count() == 2);
    drop(raw);
    log.wait_for_count(2);
    assert_eq!(log.lines()[0], log.lines()[1]);
}

#[test]
fn m15_what_is_published_during_the_handshake_follows_the_101() {
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) })
        .on_before_handshake_response(|client, _, accept| async move {
            client.subscribe("early").unwrap();
            assert_eq!(client.server().publish("early", "during the handshake").queued, 1);
            Ok(accept)
        })
        .on_refused(|client, _| {
            assert!(client.subscribe("early").is_ok(), "its last event has not been called yet");
        });
    let server = TestServer::handler(handler);
    let mut raw = server.open();
    raw.expect_text("during the handshake");
    server.handle.publish("early", "later");
    raw.expect_text("later");
    let mut refused = server.connect();
    refused.write("GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    assert!(refused.answer().status() >= 400);
    drop((raw, refused));
    eventually("the end of the topic", || server.handle.topic_count() == 0);
}

#[test]
fn m15_a_connection_that_a_limit_refuses_subscribes_to_nothing() {
    let (refused, has_refused) = mpsc::channel();
    let refused = Mutex::new(refused);
    let handler = Callbacks::on_message(|_, _| async { Ok(()) })
        .on_refused(move |client, _| refused.lock().unwrap().send(client.subscribe("x")).unwrap());
    let server = TestServer::limited(Limits::new().max_connections(0), Port::new(handler));
    let _raw = server.connect();
    assert_eq!(has_refused.recv().unwrap(), Err(PushError::NotWebSocket));
    assert_eq!(server.handle.topic_count(), 0);
}

#[test]
fn m15_the_messages_of_one_publisher_arrive_in_order_while_others_come_and_go() {
    const PUBLISHERS: usize = 3;
    const MESSAGES: usize = 300;
    let server = rooms();
    let mut subscribers: Vec<RawClient> = (0..20).map(|_| join(&server, "t")).collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let handle = server.handle.clone();
            std::thread::spawn(move || {
                for n in 0..MESSAGES {
                    assert!(handle.publish("t", format!("{publisher} {n}")).queued >= 20);
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let mut raw = server.connect();
        raw.upgrade("/t");
    }
    for raw in &mut subscribers {
        let mut next = [0; PUBLISHERS];
        for _ in 0..PUBLISHERS * MESSAGES {
            let frame = raw.frame().unwrap();
            let text = std::str::from_utf8(&frame.data).unwrap();
            let (publisher, n) = text.split_once(' ').unwrap();
            let publisher: usize = publisher.parse().unwrap();
            assert_eq!(n.parse(), Ok(next[publisher]));
            next[publisher] += 1;
        }
    }
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
}

#[test]
fn m15_a_message_is_compressed_as_asked_and_may_be_encoded_before() {
    let deflate = Deflate::new().policy(CompressionPolicy::Always);
    let server = TestServer::port(rooms_port().config(Config::new().deflate(deflate)));
    let mut raw = server.connect();
    raw.upgrade_with("/t", "sec-websocket-extensions: permessage-deflate\r\n");
    eventually("the subscription", || server.handle.subscriber_count("t") == 1);
    let text = "a text that repeats itself, a text that repeats itself";
    let prepared = Prepared::new(Payload::from(text).compress(false));
    server.handle.publish("t", text);
    server.handle.publish("t", Publish::new(text).compress(false));
    server.handle.publish("t", Payload::from(text).compress(false));
    server.handle.publish("t", Publish::prepared(&prepared).compress(true));
    // The first is `ready`.
    let frames: Vec<_> = (0..5).map(|_| raw.frame().unwrap()).collect();
    assert!(frames[1].flags.rsv1 && frames[1].data.len() < text.len());
    for frame in &frames[2..] {
        assert_eq!((frame.flags.rsv1, frame.data.as_ref()), (false, text.as_bytes()));
    }
}

#[test]
fn m15_slow_subscribers_follow_the_policy_of_their_port_and_are_counted() {
    for (policy, dropped, slow) in [
        (SlowReader::Drop, 1, 0),
        (SlowReader::Error, 0, 1),
        (SlowReader::Close(CloseCode::TRY_AGAIN_LATER), 0, 1),
    ] {
        let server = TestServer::port(rooms_port().slow_reader(policy));
        let _slow = join(&server, "t");
        let mut fast = join(&server, "t");
        let big = "x".repeat(100_000);
        // The kernel takes some of them.
        let mut report = server.handle.publish("t", &big);
        fast.expect_text(&big);
        while (report.dropped, report.slow) == (0, 0) {
            assert_eq!((report.queued, report.failed), (2, 0));
            report = server.handle.publish("t", &big);
            fast.expect_text(&big);
        }
        assert_eq!((report.queued, report.dropped, report.slow), (1, dropped, slow), "{policy:?}");
    }
}

#[test]
fn m15_events_that_a_publish_causes_may_use_topics_without_a_deadlock() {
    let handler = Callbacks::on_message(|client, message| async move {
        let text = message.as_text().unwrap().to_owned();
        client.subscribe(&text)?;
        // A handler publishes to itself and to others, whose handlers do the same.
        client.server().publish("all", &*text);
        client.unsubscribe(&text);
        Ok(())
    })
    .on_open(|client, _| async move {
        client.subscribe("all")?;
        client.push("ready")
    })
    .on_close(|client, _| async move {
        client.server().publish("all", "gone");
    });
    let server = TestServer::handler(handler);
    let mut raws: Vec<RawClient> = (0..8).map(|_| server.open()).collect();
    raws.iter_mut().for_each(|raw| raw.expect_text("ready"));
    for raw in &mut raws {
        for _ in 0..20 {
            raw.text("x");
        }
    }
    for raw in &mut raws {
        for _ in 0..8 * 20 {
            raw.expect_text("x");
        }
    }
    let mut last = raws.pop().unwrap();
    drop(raws);
    for _ in 0..7 {
        last.expect_text("gone");
    }
}

#[test]
fn m15_presence_lists_the_subscribers_with_their_information() {
    let (server, clients) = open(2);
    let handle = &server.handle;
    clients[0].1.subscribe_with("lobby", r#"{"name":"ann"}"#).unwrap();
    clients[1].1.subscribe("lobby").unwrap();
    let mut present: Vec<(ConnectionId, String)> = Vec::new();
    for Presence { id, info, .. } in handle.presence("lobby") {
        present.push((id, String::from_utf8(info.to_vec()).unwrap()));
    }
    let ids = [clients[0].1.id(), clients[1].1.id()];
    assert_eq!(sorted(present), [(ids[0], r#"{"name":"ann"}"#.to_owned()), (ids[1], String::new())]);
    assert_eq!(handle.subscribe_with(ids[1], "lobby", b"bytes"), Ok(false), "it replaces the information");
    let bob = handle.presence("lobby").into_iter().find(|presence| presence.id == ids[1]).unwrap();
    assert_eq!(*bob.info, *b"bytes");
    assert!(handle.presence("elsewhere").is_empty());
}

#[test]
fn m15_joins_and_leaves_are_reported_once_to_each_watch() {
    let (server, mut clients) = open(3);
    let ids: Vec<ConnectionId> = clients.iter().map(|(_, client)| client.id()).collect();
    let presence = |n: usize, info: &str| presence_of(ids[n], info);
    clients[0].1.subscribe_with("t", "zero").unwrap();
    let (mut watch, mut other) = (server.handle.watch_presence("t"), server.handle.watch_presence("t"));
    let mut late = server.handle.watch_presence("nothing yet");
    assert_eq!(watch.try_next(), Some(PresenceChange::Joined(presence(0, "zero"))));
    assert_eq!(watch.try_next(), None);
    clients[1].1.subscribe("t").unwrap();
    assert_eq!(watch.next_blocking(), Some(PresenceChange::Joined(presence(1, ""))));
    clients[1].1.subscribe_with("t", "one").unwrap();
    assert_eq!(watch.next_blocking(), Some(PresenceChange::Updated(presence(1, "one"))));
    // It came and went between two calls.
    clients[2].1.subscribe("t").unwrap();
    clients[2].1.unsubscribe("t");
    let waiting = std::thread::spawn(move || (watch.next_blocking(), watch));
    drop(clients.swap_remove(0).0);
    let (change, mut watch) = waiting.join().unwrap();
    assert_eq!(change, Some(PresenceChange::Left(presence(0, "zero"))));
    assert_eq!(watch.try_next(), None);
    // The other one reads only now: less than happened, and the same in the end.
    assert_eq!(other.try_next(), Some(PresenceChange::Joined(presence(1, "one"))));
    assert_eq!((other.try_next(), late.try_next()), (None, None));
    clients[1].1.subscribe("nothing yet").unwrap();
    assert!(matches!(late.next_blocking(), Some(PresenceChange::Joined(_))));
    // The end of the server ends each connection, and then the watches.
    let handle = server.handle.clone();
    drop((clients, server));
    assert!(handle.topics().is_empty());
    assert_eq!(watch.next_blocking(), Some(PresenceChange::Left(presence(1, "one"))));
    assert_eq!((watch.next_blocking(), other.next_blocking().is_some()), (None, true));
}

/// Makes the value of a type that has no constructor.
fn presence_of(id: ConnectionId, info: &str) -> Presence {
    let (server, clients) = open(1);
    clients[0].1.subscribe("t").unwrap();
    let mut presence = server.handle.presence("t").remove(0);
    (presence.id, presence.info) = (id, info.as_bytes().into());
    presence
}

#[test]
fn m15_a_watch_of_the_topics_sees_the_first_subscriber_and_the_end_of_the_last() {
    let (server, clients) = open(2);
    let active = |topic: &str| Some(TopicChange::Active(topic.into()));
    let inactive = |topic: &str| Some(TopicChange::Inactive(topic.into()));
    clients[0].1.subscribe("before").unwrap();
    let mut watch = server.handle.watch_topics();
    assert_eq!(watch.try_next(), active("before"));
    clients[0].1.subscribe("a").unwrap();
    clients[1].1.subscribe("a").unwrap();
    assert_eq!((watch.next_blocking(), watch.try_next()), (active("a"), None));
    clients[0].1.unsubscribe("a");
    assert_eq!(watch.try_next(), None);
    let waiting = std::thread::spawn(move || (watch.next_blocking(), watch));
    clients[1].1.unsubscribe("a");
    let (change, mut watch) = waiting.join().unwrap();
    assert_eq!(change, inactive("a"));
    clients[0].1.unsubscribe("before");
    clients[0].1.subscribe("before").unwrap();
    clients[0].1.subscribe("b").unwrap();
    assert_eq!(watch.next_blocking(), active("b"), "the other topic is as it was reported");
    drop((clients, server));
    let rest = [watch.next_blocking(), watch.next_blocking()];
    assert!(rest == [inactive("before"), inactive("b")] || rest == [inactive("b"), inactive("before")]);
    assert_eq!(watch.next_blocking(), None);
}

#[test]
fn m15_a_topic_of_many_keeps_track_of_each_subscriber() {
    let server = rooms();
    let mut raws: Vec<RawClient> = (0..60).map(|_| join(&server, "t")).collect();
    await_open(&server.handle, 60);
    let mut expected = sorted(server.handle.subscribers("t"));
    assert_eq!(expected.len(), 60);
    // From the middle, so that others take the places.
    for (n, at) in [30, 0, 57, 20, 20, 1, 40, 5].into_iter().chain((0..45).map(|n| n % 5)).enumerate() {
        let id = expected.remove(at);
        assert!(server.handle.unsubscribe(id, "t"));
        assert_eq!(sorted(server.handle.subscribers("t")), expected, "after {n}");
    }
    assert_eq!(server.handle.publish("t", "rest").queued, expected.len());
    raws.drain(..).for_each(drop);
    eventually("the end of the topic", || server.handle.topic_count() == 0);
}
