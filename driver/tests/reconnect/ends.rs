//! The end of a client.

use std::time::Duration;

use sockeye_core::CloseCode;
use sockeye_core::http::Response;
use sockeye_driver::reconnect::{ReconnectPolicy, UnsentReason, WhileDown};
use sockeye_testkit::sim::*;

use super::support::*;

fn queueing() -> ReconnectPolicy {
    ReconnectPolicy::new().while_down(WhileDown::Queue { max_bytes: 1000 })
}

#[test]
fn k8_close_ends_a_client_that_waits_or_dials_at_once() {
    for plan in [Plan::Unreachable, Plan::Silent] {
        let lab = Lab::new();
        lab.plan([plan.clone()]);
        let mut client = lab.client(queueing());
        poll_once(client.send("waits")).unwrap().unwrap();
        for _ in 0..5 {
            let _ = poll_once(client.recv());
        }
        assert!(poll_once(client.close(CloseCode::NORMAL, "")).unwrap().unwrap().is_none());
        assert_eq!(lab.time.armed(), 0);
        lab.time.advance(Duration::from_secs(1000));
        assert_eq!(take(&lab, &mut client, 2), ["end", "end"]);
        assert_eq!(lab.attempts().len(), 1, "{plan:?}");
        assert_eq!(poll_once(client.send("late")).unwrap().unwrap_err().reason(), UnsentReason::Over);
        let unsent = client.take_unsent();
        assert_eq!(unsent.iter().map(|message| message.as_bytes()).collect::<Vec<_>>(), [b"waits"]);
        assert_eq!(client.waiting_bytes(), 0);
    }
}

#[test]
fn k8_close_completes_the_closing_handshake_of_an_open_connection() {
    for is_cancelled in [false, true] {
        let lab = Lab::new();
        let mut client = lab.client(queueing());
        take(&lab, &mut client, 1);
        assert!(poll_once(client.close(CloseCode::NORMAL, "done")).is_none());
        lab.server_closes(1000);
        if is_cancelled {
            // The receive continues to wait for the end, and does not connect again.
            assert_eq!(take(&lab, &mut client, 2), ["end", "end"]);
            assert!(poll_once(client.close(CloseCode::NORMAL, "done")).unwrap().unwrap().is_none());
        } else {
            let info = poll_once(client.close(CloseCode::NORMAL, "done")).unwrap().unwrap().unwrap();
            assert!(info.clean);
            assert_eq!((info.code, &*info.reason), (CloseCode::NORMAL, "done"));
            assert_eq!(take(&lab, &mut client, 1), ["end"]);
        }
        assert_eq!(lab.attempts().len(), 1);
        assert!(client.websocket().is_none());
    }
}

#[test]
fn k8_an_invalid_close_changes_nothing() {
    let lab = Lab::new();
    let mut client = lab.client(queueing());
    take(&lab, &mut client, 1);
    assert!(poll_once(client.close(1006, "")).unwrap().is_err());
    lab.server_dies();
    assert_eq!(take(&lab, &mut client, 2), ["lost broken 250", "connected 1"]);
}

#[test]
fn k8_a_client_that_gave_up_returns_what_it_did_not_send() {
    let lab = Lab { capacity: 20, ..Lab::new() };
    let mut client = lab.client(queueing().max_retries(0));
    take(&lab, &mut client, 1);
    assert!(poll_once(client.send("a message of more than twenty bytes")).is_none());
    assert!(client.take_in_doubt().is_none(), "the client continues");
    lab.servers.borrow_mut().pop();
    assert_eq!(take(&lab, &mut client, 2), ["gave up broken", "end"]);
    let in_doubt = client.take_in_doubt().unwrap();
    assert_eq!(in_doubt.as_bytes(), b"a message of more than twenty bytes");

    let lab = Lab::new();
    lab.plan([Plan::Refused(Response::new(403))]);
    let mut client = lab.client(queueing());
    poll_once(client.send("waits")).unwrap().unwrap();
    let gave_up = next(&lab, &mut client).unwrap_err();
    assert_eq!(gave_up.cause().response().unwrap().status(), 403);
    assert!(gave_up.to_string().contains("403 Forbidden"), "{gave_up}");
    assert_eq!(client.take_unsent().len(), 1);
}
