//! Messages to the server: none is lost without a word, and none is sent twice.

use std::time::Duration;

use sockeye_core::Config;
use sockeye_driver::reconnect::{ReconnectPolicy, UnsentReason, WhileDown};
use sockeye_testkit::sim::*;

use super::support::*;

fn queueing(max_bytes: usize) -> ReconnectPolicy {
    ReconnectPolicy::new().while_down(WhileDown::Queue { max_bytes })
}

#[test]
fn k8_without_a_connection_messages_are_refused_by_default() {
    let lab = Lab::new();
    let mut client = lab.client(ReconnectPolicy::new());
    let refused = poll_once(client.send("early")).unwrap().unwrap_err();
    assert_eq!((refused.reason(), refused.payload().as_bytes()), (UnsentReason::Down, &b"early"[..]));
    assert_eq!(take(&lab, &mut client, 1), ["connected 0"]);
    poll_once(client.send("one")).unwrap().unwrap();
    assert_eq!(lab.server_received(), ["one"]);
    lab.server_dies();
    assert_eq!(take(&lab, &mut client, 1), ["lost broken 250"]);
    let refused = poll_once(client.send("two")).unwrap().unwrap_err();
    assert_eq!(refused.reason(), UnsentReason::Down);
    assert_eq!(take(&lab, &mut client, 1), ["connected 1"]);
    poll_once(client.send(refused.into_payload())).unwrap().unwrap();
    assert_eq!(lab.server_received(), ["two"]);
}

#[test]
fn k8_messages_wait_for_a_connection_in_order_and_up_to_the_bound() {
    let lab = Lab::new();
    let subscribe = async |ws: &mut Ws| ws.send("subscribe").await;
    // Three messages of four bytes, each with 64 bytes of its own.
    let mut client = lab.client(queueing(3 * 68)).on_connect(subscribe);
    for text in ["m1..", "m2..", "m3.."] {
        poll_once(client.send(text)).unwrap().unwrap();
    }
    assert_eq!(client.waiting_bytes(), 3 * 68);
    for text in ["m4..", ""] {
        let refused = poll_once(client.send(text)).unwrap().unwrap_err();
        assert_eq!((refused.reason(), refused.payload().as_bytes()), (UnsentReason::Full, text.as_bytes()));
    }
    assert_eq!(take(&lab, &mut client, 1), ["connected 0"]);
    // A later message follows those that waited.
    poll_once(client.send("m5..")).unwrap().unwrap();
    assert_eq!(lab.server_received(), ["subscribe", "m1..", "m2..", "m3..", "m5.."]);
    assert_eq!(client.waiting_bytes(), 0);
    // The receive writes them, too.
    lab.server_dies();
    take(&lab, &mut client, 1);
    poll_once(client.send("m6..")).unwrap().unwrap();
    assert_eq!(take(&lab, &mut client, 1), ["connected 1"]);
    assert!(poll_once(client.recv()).is_none());
    assert_eq!(lab.server_received(), ["subscribe", "m6.."]);
}

#[test]
fn k8_a_message_that_was_being_written_is_returned_and_not_sent_again() {
    for policy in [ReconnectPolicy::new(), queueing(1000)] {
        let lab = Lab { capacity: 20, ..Lab::new() };
        let mut client = lab.client(policy.clone());
        take(&lab, &mut client, 1);
        {
            let mut sending = std::pin::pin!(client.send("a message of more than twenty bytes"));
            assert!(poll_once(sending.as_mut()).is_none(), "the pipe is full");
            lab.servers.borrow_mut().pop();
            let unsent = poll_once(sending).unwrap().unwrap_err();
            assert_eq!(unsent.reason(), UnsentReason::InDoubt);
            assert_eq!(unsent.payload().as_bytes(), b"a message of more than twenty bytes");
        }
        assert!(take(&lab, &mut client, 1)[0].starts_with("lost broken "));
        // A send that was cancelled cannot return the message, so the gap does.
        assert_eq!(take(&lab, &mut client, 1), ["connected 1"]);
        assert!(poll_once(client.send("another message of more than twenty")).is_none());
        lab.servers.borrow_mut().pop();
        assert_eq!(
            take(&lab, &mut client, 1),
            ["lost broken 500 in doubt: another message of more than twenty"]
        );
        // A message that has not begun waits, or is refused.
        take(&lab, &mut client, 1);
        assert!(poll_once(client.send("the third one of more than twenty bytes")).is_none());
        let mut sending = Box::pin(client.send("waits"));
        assert!(poll_once(sending.as_mut()).is_none());
        lab.servers.borrow_mut().pop();
        let sent = poll_once(sending).unwrap();
        match policy.while_down {
            WhileDown::Refuse => assert_eq!(sent.unwrap_err().reason(), UnsentReason::Down),
            _ => sent.unwrap(),
        }
        assert!(take(&lab, &mut client, 1)[0].contains(" in doubt: the third"));
        take(&lab, &mut client, 1);
        assert!(poll_once(client.recv()).is_none());
        let waited = policy.while_down != WhileDown::Refuse;
        assert_eq!(lab.server_received(), if waited { vec!["waits"] } else { vec![] });
    }
}

#[test]
fn k8_messages_before_the_end_are_received_although_a_send_has_failed() {
    let lab = Lab::new();
    let mut client = lab.client(ReconnectPolicy::new());
    take(&lab, &mut client, 1);
    (0..3).for_each(|n| lab.server_sends(&n.to_string()));
    let server = lab.servers.borrow_mut().pop().unwrap().refuse_writes();
    let unsent = poll_once(client.send("late")).unwrap().unwrap_err();
    assert_eq!(unsent.reason(), UnsentReason::InDoubt);
    server.shut();
    assert_eq!(take(&lab, &mut client, 4), ["0", "1", "2", "lost broken 250"]);
}

#[test]
fn k8_a_message_that_the_connection_does_not_take_is_reported() {
    let lab = Lab { config: Config::new().max_send_size(4_u64), ..Lab::new() };
    let mut client = lab.client(queueing(1000));
    for text in ["long one", "ok", "long two"] {
        poll_once(client.send(text)).unwrap().unwrap();
    }
    let seen = take(&lab, &mut client, 1);
    assert_eq!(seen, ["connected 0"]);
    let seen = take(&lab, &mut client, 2);
    assert!(seen.iter().all(|text| text.starts_with("unsendable the message cannot be sent: ")), "{seen:?}");
    assert_eq!(lab.server_received(), ["ok"]);
    assert_eq!(client.waiting_bytes(), 0);
    let unsent = poll_once(client.send("long")).unwrap();
    unsent.unwrap();
    let unsent = poll_once(client.send("longer")).unwrap().unwrap_err();
    assert!(matches!(unsent.reason(), UnsentReason::Invalid(_)));
}

#[test]
fn k8_a_send_while_the_server_closes_waits_for_the_next_connection() {
    let lab = Lab::new();
    let mut client = lab.client(queueing(1000));
    take(&lab, &mut client, 1);
    lab.servers.borrow()[0].push(&sockeye_testkit::frames::server_frame(
        sockeye_core::Opcode::Close,
        &sockeye_testkit::frames::close_payload(1012, "restart"),
    ));
    assert!(poll_once(client.recv()).is_none(), "the server has not closed its side");
    poll_once(client.send("next")).unwrap().unwrap();
    lab.servers.borrow()[0].shut();
    assert_eq!(take(&lab, &mut client, 2), ["lost 1012 250", "connected 1"]);
    assert!(poll_once(client.recv()).is_none());
    assert_eq!(lab.server_received(), ["next"]);
    assert_eq!(lab.time.elapsed(), Duration::from_millis(250));
}
