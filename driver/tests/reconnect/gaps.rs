//! Gaps are reported, and closures run for each connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_core::{Config, Message};
use sockeye_driver::reconnect::{Attempt, Cause, ReconnectPolicy, Reconnecting, Update};
use sockeye_testkit::sim::*;

use super::support::*;

#[test]
fn k8_each_gap_is_reported_between_the_messages_before_and_after_it() {
    let lab = Lab::new();
    let mut client = lab.client(ReconnectPolicy::new());
    assert_eq!(take(&lab, &mut client, 1), ["connected 0"]);
    for (n, code) in [(0, None), (1, Some(1000)), (2, Some(1001)), (3, Some(1011)), (4, Some(1006))] {
        lab.server_sends("before");
        match code {
            Some(1006) => lab.servers.borrow().last().unwrap().shut(),
            Some(code) => lab.server_closes(code),
            None => lab.server_dies(),
        }
        lab.plan([Plan::Unreachable, Plan::Open]);
        let seen = take(&lab, &mut client, 2);
        assert_eq!(seen[0], "before", "{code:?}");
        let how = code.map_or("broken".into(), |code| code.to_string());
        let how = if how == "1006" { "broken".into() } else { how };
        assert!(seen[1].starts_with(&format!("lost {how} ")), "{seen:?} after {code:?}");
        assert!(client.websocket().is_none());
        let seen = take(&lab, &mut client, 2);
        assert!(seen[0].starts_with("failed unreachable "), "{seen:?}");
        assert_eq!(seen[1], format!("connected {}", n + 1));
        lab.server_sends("after");
        assert_eq!(take(&lab, &mut client, 1), ["after"]);
        // Stable, so that the retries begin anew.
        lab.time.advance(Duration::from_secs(60));
    }
}

#[test]
fn k8_the_closure_of_a_new_connection_runs_before_anything_else() {
    let lab = Lab::new();
    let mut tokens = 0;
    let subscribe = async move |ws: &mut Ws| {
        tokens += 1;
        ws.send(format!("subscribe {tokens}")).await?;
        // The answer is received here, and not by the application.
        match ws.recv().await? {
            Some(Message::Text(answer)) if &*answer == "yes" => Ok(()),
            _ => Err(Cause::other("the subscription was refused")),
        }
    };
    let mut client = lab.client(ReconnectPolicy::new()).on_connect(subscribe);
    let answer = |client: &mut Reconnecting<_, _, _>, text: &str| {
        let before = lab.servers.borrow().len();
        loop {
            (0..3).for_each(|_| assert!(poll_once(client.recv()).is_none()));
            if lab.servers.borrow().len() > before {
                break;
            }
            assert!(lab.time.advance_to_alarm());
        }
        lab.server_sends(text);
        lab.server_sends("first");
    };
    answer(&mut client, "yes");
    assert_eq!(take(&lab, &mut client, 2), ["connected 0", "first"]);
    assert_eq!(lab.server_received(), ["subscribe 1"]);
    lab.server_dies();
    assert!(take(&lab, &mut client, 1)[0].starts_with("lost "));
    answer(&mut client, "no");
    assert!(take(&lab, &mut client, 1)[0].starts_with("failed the subscription was refused "));
    answer(&mut client, "yes");
    assert_eq!(take(&lab, &mut client, 2), ["connected 1", "first"]);
    assert_eq!(lab.server_received(), ["subscribe 3"]);
    assert_eq!(lab.retries(), [(0, 0), (1, 1), (2, 1)]);
}

#[test]
fn k8_a_cancelled_recv_loses_neither_an_attempt_nor_a_message() {
    let lab = Lab::new();
    lab.plan([Plan::Unreachable, Plan::Open]);
    let mut client = lab.client(ReconnectPolicy::new());
    let mut seen = Vec::new();
    for _ in 0..1000 {
        // Each poll belongs to a new future, and the time passes in small steps.
        if let Some(update) = poll_once(client.recv()) {
            let text = describe(update);
            if text.starts_with("connected") {
                (0..3).for_each(|n| lab.server_sends(&n.to_string()));
                lab.server_dies();
            }
            seen.push(text);
        }
        if seen.len() == 6 {
            break;
        }
        lab.time.advance(Duration::from_millis(1));
    }
    assert_eq!(
        seen,
        ["failed unreachable 250", "connected 0", "0", "1", "2", "lost broken 500"],
        "{:?}",
        lab.attempts()
    );
    assert_eq!(lab.attempts().len(), 2);
}

#[test]
fn k8_a_task_wakes_for_each_step() {
    // An executor polls a task only when it was woken.
    let mut executor = Executor::new();
    let lab = Lab { time: executor.time.clone(), ..Lab::new() };
    lab.plan([Plan::Unreachable, Plan::Silent, Plan::Open]);
    let mut client = lab.client(ReconnectPolicy::new());
    let seen = executor.spawn("the client", async move {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            seen.push(describe(client.recv().await));
        }
        seen
    });
    executor.run_until_idle();
    while lab.servers.borrow().is_empty() {
        assert!(executor.time.advance_to_alarm());
        executor.run_until_idle();
    }
    lab.server_sends("hello");
    executor.run();
    assert_eq!(seen.take(), ["failed unreachable 250", "failed timed out 500", "connected 0", "hello"]);
}

#[test]
fn k8_a_boxed_client_can_be_kept_in_a_struct_and_moved_to_another_thread() {
    struct Feed {
        client: Reconnecting<Pipe, TestClock>,
    }
    let time = Time::new();
    let (server, clock) = (Arc::new(Mutex::new(None)), time.clock());
    let (kept, url) = (server.clone(), String::from("ws://example.com/"));
    let connect = async move |_: Attempt| -> Result<Ws, Cause> {
        let (ours, theirs) = pipe(1 << 20);
        *kept.lock().unwrap() = Some((theirs, url.clone()));
        Ok(client(ours, &time, Config::new()))
    };
    let greet = async |ws: &mut Ws| ws.send("hello").await;
    let client = Reconnecting::with(ReconnectPolicy::new(), clock, || 0, connect).on_connect(greet).boxed();
    let feed = Feed { client };
    let update = std::thread::spawn(move || {
        let mut feed = feed;
        loop {
            if let Some(update) = poll_once(feed.client.recv()) {
                return update.unwrap().unwrap();
            }
        }
    });
    assert!(matches!(update.join().unwrap(), Update::Connected { reconnects: 0 }));
    let server = server.lock().unwrap().take().unwrap();
    assert_eq!(texts(&server.0.take_all()), ["hello"]);
}
