//! A blocking client that stays connected, over real sockets. The rules of the policy are tested in
//! virtual time, with the driver.

use std::net::TcpListener;
use std::time::Duration;

use sockeye_std::reconnect::{ReceivedUpdate, ReconnectPolicy, UnsentReason, Update, WhileDown};
use sockeye_std::{CloseCode, Reconnecting, WebSocket};
use sockeye_testkit::{GapCheck, RestartingServer, assert_each_once};

#[test]
fn k8_each_gap_is_reported_and_no_message_arrives_twice_while_a_server_restarts_20_times() {
    let server = RestartingServer::start(20);
    let url = server.url();
    let (base, cap) = (Duration::from_millis(1), Duration::from_millis(4));
    let policy =
        ReconnectPolicy::new().base(base).cap(cap).while_down(WhileDown::Queue { max_bytes: 10_000 });
    let mut client = Reconnecting::new(policy, move |_| sockeye_std::connect(&url))
        .on_connect(|ws: &mut WebSocket| ws.ping(b"subscribe"));
    let (mut check, mut sent, mut in_doubt) = (GapCheck::default(), 0_u32, Vec::new());
    while check.lost < 20 || check.messages < 100 || client.websocket().is_none() {
        match client.recv().unwrap().unwrap() {
            Update::Message(message) => check.message(message.as_text().unwrap()),
            Update::Connected { reconnects } => check.connected(reconnects),
            Update::Lost { retry_in, in_doubt: message, .. } => {
                check.lost(retry_in);
                in_doubt.extend(message);
            }
            Update::Failed { retry_in, .. } => check.failed(retry_in, base, cap),
            other => panic!("{other:?}"),
        }
        if check.messages.is_multiple_of(3) {
            sent += 1;
            if let Err(unsent) = client.send(sent.to_string()) {
                assert_eq!(unsent.reason(), UnsentReason::InDoubt);
            }
        }
    }
    client.send("1000000").unwrap();
    assert!(client.close(CloseCode::NORMAL, "").unwrap().unwrap().clean);
    assert!(client.recv().unwrap().is_none());
    let received = server.finish();
    assert_each_once(&received);
    assert_eq!(received.last().unwrap(), "1000000");
    assert!(received.len() > 100, "{} of {sent}", received.len());
    assert!(check.failed >= 40, "{check:?}");
    assert!(in_doubt.len() <= 20);
}

/// Returns a client whose server accepts connections and drops them at once.
fn without_a_server(policy: ReconnectPolicy) -> Reconnecting {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    Reconnecting::with(policy, || u64::MAX, move |_| sockeye_std::connect(&url))
}

#[test]
fn k8_a_receive_with_a_timeout_returns_while_there_is_no_server() {
    let policy = ReconnectPolicy::new().base(Duration::from_secs(3600)).cap(Duration::from_secs(3600));
    let mut client = without_a_server(policy.while_down(WhileDown::Queue { max_bytes: 70 }));
    let minute = Duration::from_secs(60);
    assert!(matches!(client.recv_timeout(minute), Ok(ReceivedUpdate::Update(Update::Failed { .. }))));
    assert!(matches!(client.recv_timeout(Duration::from_millis(1)), Ok(ReceivedUpdate::TimedOut)));
    client.send("waits").unwrap();
    assert_eq!(client.send("more").unwrap_err().reason(), UnsentReason::Full);
    assert_eq!(client.waiting_bytes(), 69);
    assert!(client.close(CloseCode::NORMAL, "").unwrap().is_none());
    assert!(matches!(client.recv_timeout(minute), Ok(ReceivedUpdate::Over)));
    assert_eq!(client.send("late").unwrap_err().reason(), UnsentReason::Over);
    assert_eq!(client.take_unsent().len(), 1);
    assert!(client.take_in_doubt().is_none());
}

#[test]
fn k8_a_blocking_client_gives_up_as_its_policy_says() {
    let mut client = without_a_server(ReconnectPolicy::new().base(Duration::from_millis(1)).max_retries(2));
    assert_eq!(client.send("early").unwrap_err().reason(), UnsentReason::Down);
    for _ in 0..2 {
        assert!(matches!(client.recv(), Ok(Some(Update::Failed { .. }))));
    }
    assert!(client.recv().unwrap_err().to_string().starts_with("the client does not connect again: "));
    assert!(client.recv().unwrap().is_none());
}
