//! Models of what several threads do at once to the registry: loom runs each in every order that the
//! memory model allows.
//!
//! ```sh
//! .ci/run models
//! ```
//!
//! Loom knows sequentially consistent fences, but treats other sequentially consistent operations as
//! acquire and release. So it cannot model the [keeper](super::registry::keeper), whose fast path
//! must do without a fence.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loom::future::block_on;
use loom::thread;
use sockeye_core::Instant;

use crate::runtime::address::Address;
use crate::server::api::callbacks::Callbacks;
use crate::server::api::handle::ServerHandle;
use crate::server::api::port::Port;
use crate::server::api::presence::TopicChange;
use crate::server::registry::closed_waiters::ClosedFuture;
use crate::server::registry::drain::Drain;
use crate::server::registry::entry::Entry;
use crate::server::registry::flag::Flag;
use crate::server::registry::hub::Hub;
use crate::server::registry::info::ConnectionId;
use crate::server::registry::settings::{Limits, Settings};

/// Checks a model. Almost all faults show with few preemptions, and without a bound some models run
/// for hours.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn hub(limits: Limits) -> Arc<Hub> {
    Arc::new(Hub::new(limits, Instant::default))
}

fn port() -> Arc<Settings> {
    Arc::new(Port::new(Callbacks::on_message(|_, _| async {})).settings)
}

fn insert(hub: &Hub) -> Arc<Entry> {
    hub.insert(Address::Unix(None), Address::Unix(None), Instant::default(), port())
}

/// Waits like `Server::run` during a shutdown.
fn wait_until_drained(hub: &Hub) {
    block_on(poll_fn(|cx| {
        hub.register_waiter(cx.waker());
        if hub.has_drained() { Poll::Ready(()) } else { Poll::Pending }
    }));
}

#[test]
fn m12_the_end_of_the_last_connection_always_wakes_the_shutdown() {
    check(|| {
        let hub = hub(Limits::new());
        let slot = hub.count_port();
        let ending = thread::spawn(move || drop(slot));
        hub.shutdown(Drain::new(Duration::ZERO));
        wait_until_drained(&hub);
        ending.join().unwrap();
    });
}

#[test]
fn m12_a_shutdown_by_another_thread_always_wakes_the_server_and_its_end_the_waiters() {
    check(|| {
        let hub = hub(Limits::new());
        let server = hub.clone();
        let running = thread::spawn(move || {
            block_on(poll_fn(|cx| {
                server.register_waiter(cx.waker());
                if server.is_stopping() { Poll::Ready(()) } else { Poll::Pending }
            }));
            server.set_stopped();
        });
        hub.shutdown(Drain::new(Duration::ZERO));
        block_on(poll_fn(|cx| {
            hub.register_waiter(cx.waker());
            if hub.has_stopped() { Poll::Ready(()) } else { Poll::Pending }
        }));
        running.join().unwrap();
    });
}

#[test]
fn m12_a_connection_that_is_registered_during_a_shutdown_is_closed_or_sees_it() {
    check(|| {
        let hub = hub(Limits::new());
        let server = hub.clone();
        let accepting = thread::spawn(move || {
            let entry = insert(&server);
            server.is_stopping() || entry.has_flag(Flag::Draining)
        });
        hub.shutdown(Drain::new(Duration::ZERO));
        let saw_it = accepting.join().unwrap();
        let is_draining = hub.snapshot().iter().all(|entry| entry.has_flag(Flag::Draining));
        assert!(saw_it || is_draining);
    });
}

#[test]
fn e12_the_end_of_a_connection_always_wakes_the_handler_that_waits_for_it() {
    check(|| {
        let hub = hub(Limits::new());
        let entry = insert(&hub);
        let (server, ended) = (hub.clone(), entry.clone());
        let task = thread::spawn(move || {
            // As the HTTP phase does when the peer has gone.
            ended.store_flag(Flag::Gone, true);
            server.closed_waiters.wake(ended.id());
        });
        block_on(ClosedFuture::new(&entry, &hub));
        task.join().unwrap();
    });
}

#[test]
fn e12_a_connection_that_is_removed_always_wakes_the_handler_that_waits_for_it() {
    check(|| {
        let hub = hub(Limits::new());
        let entry = insert(&hub);
        let (server, ended) = (hub.clone(), entry.clone());
        let task = thread::spawn(move || {
            ended.end();
            server.remove(ended.id());
        });
        block_on(ClosedFuture::new(&entry, &hub));
        task.join().unwrap();
        assert!(hub.closed_waiters.is_empty());
    });
}

#[test]
fn o8_two_connections_at_once_never_exceed_a_limit() {
    check(|| {
        let hub = hub(Limits::new().max_connections(1));
        let (server, settings) = (hub.clone(), port());
        let first = thread::spawn(move || server.admit(&Address::Unix(None), &settings).ok());
        let second = hub.admit(&Address::Unix(None), &port()).ok();
        let first = first.join().unwrap();
        assert_eq!(usize::from(first.is_some()) + usize::from(second.is_some()), 1);
        assert_eq!(hub.connections(), 1);
        drop((first, second));
        assert_eq!(hub.connections(), 0);
    });
}

#[test]
fn m4_the_budget_of_all_queues_never_drifts() {
    check(|| {
        let hub = hub(Limits::new().max_queued(100));
        let server = hub.clone();
        let task = thread::spawn(move || {
            server.count_queued(ConnectionId(1), 0, 60);
            server.count_queued(ConnectionId(1), 60, 20);
        });
        // The same counter.
        hub.count_queued(ConnectionId(17), 0, 30);
        assert!(hub.queued() <= 90);
        hub.count_queued(ConnectionId(17), 30, 0);
        task.join().unwrap();
        assert_eq!(hub.queued(), 20);
    });
}

/// Checks that the connection and the topic agree, and that the topic exists only with members.
fn assert_consistent(hub: &Hub, entry: &Arc<Entry>) {
    let knows = entry.topics().iter().any(|topic| **topic == *"t");
    assert_eq!(hub.topics.contains(entry, "t"), knows);
    assert_eq!(hub.topics.names().len(), usize::from(hub.topics.member_count("t") > 0));
}

#[test]
fn m15_a_connection_that_ends_while_it_subscribes_is_left_in_no_topic() {
    check(|| {
        let hub = hub(Limits::new());
        let entry = insert(&hub);
        let (server, ended) = (hub.clone(), entry.clone());
        let task = thread::spawn(move || {
            ended.end();
            server.topics.leave_all(&ended);
        });
        let subscribed = hub.topics.subscribe(&entry, "t", None);
        task.join().unwrap();
        assert!(hub.topics.names().is_empty() && entry.topics().is_empty());
        assert!(subscribed.is_ok() || hub.topics.subscribe(&entry, "t", None).is_err());
    });
}

#[test]
fn m15_two_threads_that_change_one_subscription_agree() {
    check(|| {
        let hub = hub(Limits::new());
        let entry = insert(&hub);
        let feed = hub.topics.watch_presence(&"t".into());
        let (server, other) = (hub.clone(), entry.clone());
        let task = thread::spawn(move || {
            let _ = server.topics.subscribe(&other, "t", None);
            server.topics.unsubscribe(&other, "t")
        });
        let is_new = hub.topics.subscribe(&entry, "t", None).unwrap();
        let has_left = task.join().unwrap();
        assert!(is_new || has_left);
        assert_consistent(&hub, &entry);
        assert_eq!(feed.take().is_some(), hub.topics.contains(&entry, "t"));
        assert!(feed.take().is_none());
    });
}

#[test]
fn m15_a_publisher_sees_each_subscriber_once_while_others_come_and_go() {
    check(|| {
        let hub = hub(Limits::new());
        let (stays, leaves) = (insert(&hub), insert(&hub));
        hub.topics.subscribe(&leaves, "t", None).unwrap();
        hub.topics.subscribe(&stays, "t", None).unwrap();
        let (server, other) = (hub.clone(), leaves.clone());
        let task = thread::spawn(move || {
            server.topics.unsubscribe(&other, "t");
        });
        let members = hub.topics.members("t").unwrap();
        let count = |entry: &Arc<Entry>| members.iter().filter(|known| Arc::ptr_eq(known, entry)).count();
        assert_eq!(count(&stays), 1);
        assert!(count(&leaves) <= 1);
        task.join().unwrap();
        assert_eq!(hub.topics.member_count("t"), 1);
        assert_consistent(&hub, &stays);
        assert_consistent(&hub, &leaves);
    });
}

#[test]
fn m15_a_change_or_the_end_of_the_server_always_wakes_the_watch() {
    check(|| {
        let hub = hub(Limits::new());
        let entry = insert(&hub);
        let server = hub.clone();
        let task = thread::spawn(move || {
            server.topics.subscribe(&entry, "t", None).unwrap();
            server.set_stopped();
        });
        let mut watch = ServerHandle::new(hub).watch_topics();
        assert_eq!(block_on(watch.next()), Some(TopicChange::Active("t".into())));
        assert_eq!(block_on(watch.next()), None);
        task.join().unwrap();
    });
}
