//! Random faults: no message is received twice or out of order, and each one is accounted for.

use proptest::prelude::*;
use sockeye_driver::reconnect::{ReconnectPolicy, UnsentReason, Update, WhileDown};
use sockeye_testkit::sim::*;

use super::support::*;

#[derive(Debug, Clone)]
enum Step {
    Send,
    /// A send that is dropped after its first poll.
    CancelledSend,
    Receive,
    ServerReads(usize),
    ServerDies,
    ServerCloses,
    Unreachable,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Send),
        2 => Just(Step::CancelledSend),
        6 => Just(Step::Receive),
        6 => (1..60_usize).prop_map(Step::ServerReads),
        1 => Just(Step::ServerDies),
        1 => Just(Step::ServerCloses),
        1 => Just(Step::Unreachable),
        3 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn k8_no_message_is_sent_twice_and_each_one_is_accounted_for(steps in steps(), queues: bool) {
        let lab = Lab { capacity: 50, ..Lab::new() };
        let while_down = if queues { WhileDown::Queue { max_bytes: 300 } } else { WhileDown::Refuse };
        let mut client = lab.client(ReconnectPolicy::new().while_down(while_down));
        let (mut sent, mut refused, mut in_doubt) = (0_usize, Vec::new(), Vec::new());
        // The messages that the server of each connection has read.
        let mut read: Vec<Vec<u8>> = Vec::new();
        let number = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().parse::<usize>().unwrap();
        for step in steps {
            match step {
                Step::Send | Step::CancelledSend => {
                    let payload = format!("{sent:20}");
                    let polled = {
                        let mut sending = std::pin::pin!(client.send(payload));
                        let mut polled = poll_once(sending.as_mut());
                        while polled.is_none() && matches!(step, Step::Send) {
                            // The server reads, so the send ends.
                            server_reads(&lab, &mut read, 50);
                            polled = poll_once(sending.as_mut());
                        }
                        polled
                    };
                    match polled {
                        Some(Ok(())) => {}
                        Some(Err(unsent)) if unsent.reason() == UnsentReason::InDoubt => in_doubt.push(sent),
                        Some(Err(_)) => refused.push(sent),
                        // A send that is cancelled before its turn sends nothing.
                        None => {}
                    }
                    sent += 1;
                }
                Step::Receive => {
                    if let Some(Ok(Some(Update::Lost { in_doubt: Some(message), .. }))) = poll_once(client.recv()) {
                        in_doubt.push(number(message.as_bytes()));
                    }
                }
                Step::ServerReads(n) => server_reads(&lab, &mut read, n),
                Step::ServerDies => {
                    let servers = lab.servers.borrow();
                    servers.last().into_iter().for_each(Pipe::reset);
                }
                Step::ServerCloses => {
                    if !lab.servers.borrow().is_empty() {
                        lab.server_closes(1001);
                    }
                }
                Step::Unreachable => lab.plan([Plan::Unreachable]),
                Step::Wait => {
                    let _ = lab.time.advance_to_alarm();
                }
            }
        }
        let received: Vec<usize> =
            read.iter().flat_map(|bytes| texts(bytes)).map(|text| number(text.as_bytes())).collect();
        prop_assert!(received.is_sorted_by(|a, b| a < b), "twice or out of order: {received:?}");
        for message in &refused {
            prop_assert!(!received.contains(message), "{message} was refused and received");
        }
        let waiting: Vec<_> = client.take_unsent().iter().map(|message| number(message.as_bytes())).collect();
        for message in &waiting {
            prop_assert!(!received.contains(message), "{message} waits and was received");
        }
        in_doubt.sort_unstable();
        prop_assert!(in_doubt.is_sorted_by(|a, b| a < b), "reported twice: {in_doubt:?}");
    }
}

fn server_reads(lab: &Lab, read: &mut Vec<Vec<u8>>, n: usize) {
    let servers = lab.servers.borrow();
    read.resize(servers.len(), Vec::new());
    if let (Some(server), Some(bytes)) = (servers.last(), read.last_mut()) {
        bytes.extend(server.take(n));
    }
}
