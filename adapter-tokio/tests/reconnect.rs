//! A client that stays connected, over real sockets.

use std::time::Duration;

use sockeye_testkit::{GapCheck, RestartingServer, assert_each_once};
use sockeye_tokio::reconnect::{ReconnectPolicy, UnsentReason, Update, WhileDown};
use sockeye_tokio::{CloseCode, Reconnecting, WebSocket};

#[tokio::test]
async fn k8_each_gap_is_reported_and_no_message_arrives_twice_while_a_server_restarts_20_times() {
    let server = RestartingServer::start(20);
    let url = server.url();
    let (base, cap) = (Duration::from_millis(1), Duration::from_millis(4));
    let policy =
        ReconnectPolicy::new().base(base).cap(cap).while_down(WhileDown::Queue { max_bytes: 10_000 });
    let mut client = Reconnecting::new(policy, async |_| sockeye_tokio::connect(&url).await)
        .on_connect(async |ws: &mut WebSocket| ws.ping(b"subscribe").await);
    let (mut check, mut sent, mut in_doubt) = (GapCheck::default(), 0_u32, Vec::new());
    while check.lost < 20 || check.messages < 100 || client.websocket().is_none() {
        match client.recv().await.unwrap().unwrap() {
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
            if let Err(unsent) = client.send(sent.to_string()).await {
                assert_eq!(unsent.reason(), UnsentReason::InDoubt);
            }
        }
    }
    client.send("1000000").await.unwrap();
    assert!(client.close(CloseCode::NORMAL, "").await.unwrap().unwrap().clean);
    assert!(client.recv().await.unwrap().is_none());
    let received = server.finish();
    assert_each_once(&received);
    assert_eq!(received.last().unwrap(), "1000000");
    assert!(received.len() > 100, "{} of {sent}", received.len());
    assert!(check.failed >= 40, "{check:?}");
    assert!(in_doubt.len() <= 20);
}
