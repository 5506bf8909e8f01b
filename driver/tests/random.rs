//! Random operations, cancelled at random, on random transports. Every message that was certainly
//! queued arrives once, whole and in order, and both ends close cleanly.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use sockeye_core::{CloseCode, Config, Message, MessageKind};
use sockeye_driver::{RecvHalf, SendHalf};
use sockeye_testkit::sim::*;

/// The next operation of one end.
#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    Feed(usize),
    Writer(Vec<usize>),
    Ping,
    Flush,
    Recv,
    RecvWith,
    RecvPart,
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0usize..20, 0usize..300, 400usize..900];
    prop_oneof![
        3 => len.clone().prop_map(Step::Send),
        3 => len.prop_map(Step::Feed),
        1 => prop::collection::vec(0usize..50, 1..4).prop_map(Step::Writer),
        1 => Just(Step::Ping),
        1 => Just(Step::Flush),
        4 => Just(Step::Recv),
        1 => Just(Step::RecvWith),
        1 => Just(Step::RecvPart),
        1 => Just(Step::Yield),
    ]
}

fn transport() -> impl Strategy<Value = (usize, Faults)> {
    let capacity = prop_oneof![Just(1usize), 2usize..100, Just(1 << 20)];
    let pending = prop_oneof![Just(Pending::Never), Just(Pending::First), Just(Pending::UntilIdle)];
    let chunk = prop_oneof![Just(usize::MAX), 1usize..50];
    let buffer = prop_oneof![3 => Just(0usize), 1 => 1usize..100];
    (capacity, pending, chunk, any::<bool>(), any::<bool>(), buffer).prop_map(
        |(capacity, pending, chunk, interrupted, vectored, buffer)| {
            (capacity, Faults { pending, chunk, interrupted, vectored, buffer, fail: None })
        },
    )
}

/// Steps, each with the number of polls after which it is dropped.
type Plan = Vec<(Step, usize)>;

fn plan() -> impl Strategy<Value = Plan> {
    prop::collection::vec((step(), prop_oneof![1usize..4, 1usize..60]), 0..25)
}

/// The messages that one end has sent and received.
#[derive(Debug, Default)]
struct Record {
    /// Each message, and whether it was certainly queued. A cancelled send may have queued it.
    sent: Vec<(Message, bool)>,
    received: Vec<Message>,
    /// The parts received of an incomplete message.
    begun: Option<(MessageKind, Vec<u8>)>,
}

type Shared = Rc<RefCell<Record>>;

impl Record {
    fn part(&mut self, part: &sockeye_driver::Part) {
        assert_eq!(part.first, self.begun.is_none());
        let (_, data) = self.begun.get_or_insert((part.kind, Vec::new()));
        data.extend_from_slice(&part.data);
        if part.last
            && let Some((kind, data)) = self.begun.take()
        {
            self.received.push(match kind {
                MessageKind::Text => Message::from(String::from_utf8(data).unwrap()),
                MessageKind::Binary => Message::from(data),
            });
        }
    }
}

fn message(number: usize, len: usize) -> Message {
    if number.is_multiple_of(2) {
        return Message::from(payload(number, len));
    }
    Message::from(format!("{number} \u{20ac}").repeat(1 + len / 6))
}

async fn act(ws: &mut Ws, plan: Plan, record: &Shared, seed: usize) {
    for (number, (step, polls)) in plan.into_iter().enumerate() {
        // Continue in parts a message that was begun in parts: `recv` would skip its rest.
        let in_parts = record.borrow().begun.is_some();
        match step {
            Step::Send(len) => {
                let message = message(seed + number, len);
                match poll_at_most(polls, ws.send(&message)).await {
                    Some(Ok(())) => record.borrow_mut().sent.push((message, true)),
                    Some(Err(_)) => {}
                    None => record.borrow_mut().sent.push((message, false)),
                }
            }
            Step::Feed(len) => {
                let message = message(seed + number, len);
                if let Some(Ok(())) = poll_at_most(polls, ws.feed(&message)).await {
                    record.borrow_mut().sent.push((message, true));
                }
            }
            Step::Writer(parts) => {
                // Never dropped: the caller would not know whether a part was queued.
                let whole = payload(seed + number, parts.iter().sum());
                let mut rest = &whole[..];
                let writing = async {
                    let mut writer = ws.begin(MessageKind::Binary);
                    for part in parts {
                        let (part, after) = rest.split_at(part);
                        writer.write(part).await.unwrap();
                        rest = after;
                    }
                    writer.finish().await.unwrap();
                };
                writing.await;
                record.borrow_mut().sent.push((Message::from(whole), true));
            }
            Step::Ping => drop(poll_at_most(polls, ws.ping(b"random")).await),
            Step::Flush => drop(poll_at_most(polls, ws.flush()).await),
            Step::Recv if !in_parts => {
                if let Some(received) = poll_at_most(polls, ws.recv()).await {
                    record.borrow_mut().received.extend(received.unwrap());
                }
            }
            Step::RecvWith if !in_parts => {
                let received = poll_at_most(polls, ws.recv_with(|message, _| message.to_message())).await;
                record.borrow_mut().received.extend(received.and_then(Result::unwrap));
            }
            Step::Recv | Step::RecvWith | Step::RecvPart => {
                if let Some(Some(part)) = poll_at_most(polls, ws.recv_part()).await.map(Result::unwrap) {
                    record.borrow_mut().part(&part);
                }
            }
            Step::Yield => yield_now().await,
        }
    }
}

/// Closes, and receives the remaining messages.
async fn finish(mut ws: Ws, record: Shared) {
    while record.borrow().begun.is_some() {
        match ws.recv_part().await.unwrap() {
            Some(part) => record.borrow_mut().part(&part),
            None => break,
        }
    }
    let _ = poll_at_most(1, ws.begin_close(CloseCode::NORMAL, "")).await;
    let (messages, end) = receive_all(ws).await;
    assert!(end.is_ok(), "{end:?}");
    record.borrow_mut().received.extend(messages);
}

/// Checks that all certainly sent messages arrived, in order, and none that was not sent.
fn check(sent: &[(Message, bool)], received: &[Message]) {
    let mut received = received.iter().peekable();
    for (message, is_certain) in sent {
        if received.peek() == Some(&message) {
            received.next();
        } else {
            assert!(!is_certain, "{:?} arrived instead of {message:?}", received.peek());
        }
    }
    assert_eq!(received.next(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_ends(a_plan in plan(), b_plan in plan(), transport in transport(), b_faults in transport(),
                backwards: bool, mark in 1usize..2000) {
        let mut executor = Executor::new().limit(100_000).backwards(backwards);
        let (a, b) = pipe_with(transport.0, transport.1);
        let records: [Shared; 2] = Default::default();
        for (i, (io, plan)) in [(a, a_plan), (b.with(b_faults.1), b_plan)].into_iter().enumerate() {
            let mut ws = open(i == 0, io, &executor.time, Config::new().high_water_mark(mark));
            let record = records[i].clone();
            executor.spawn(if i == 0 { "a" } else { "b" }, async move {
                act(&mut ws, plan.into_iter().filter(|(step, _)| !matches!(step, Step::Writer(_))).collect(),
                    &record, 1000 * i).await;
                finish(ws, record).await;
            });
        }
        // Two ends that wait for each other to read are stuck until one operation is dropped.
        executor.run_with_spurious_wakes();
        let [a, b] = [records[0].borrow(), records[1].borrow()];
        check(&a.sent, &b.received);
        check(&b.sent, &a.received);
    }

    #[test]
    fn one_end_sends_and_the_other_receives(plan in plan(), transport in transport(),
                backwards: bool, is_server: bool, mark in 1usize..2000) {
        let mut executor = Executor::new().limit(100_000).backwards(backwards);
        let (a, b) = pipe_with(transport.0, transport.1);
        let config = || Config::new().high_water_mark(mark);
        let mut a = open(is_server, a, &executor.time, config());
        let b = open(!is_server, b, &executor.time, config());
        let record = Shared::default();
        executor.spawn("a", {
            let record = record.clone();
            async move {
                let sends = |step: &Step| !matches!(step, Step::Recv | Step::RecvWith | Step::RecvPart);
                act(&mut a, plan.into_iter().filter(|(step, _)| sends(step)).collect(), &record, 0).await;
                assert!(a.close(CloseCode::NORMAL, "").await.unwrap().clean);
            }
        });
        let received = executor.spawn("b", receive_all(b));
        executor.run();
        let (messages, end) = received.take();
        prop_assert!(end.is_ok());
        check(&record.borrow().sent, &messages);
    }

    #[test]
    fn four_halves(plans in (plan(), plan()), transport in transport(), b_faults in transport(),
                backwards: bool, mark in 1usize..2000) {
        async fn send(mut half: SendHalf<Pipe, TestClock>, plan: Plan, record: Shared, seed: usize) {
            for (number, (step, polls)) in plan.into_iter().enumerate() {
                match step {
                    Step::Send(len) | Step::Feed(len) => {
                        let message = message(seed + number, len);
                        if let Some(Ok(())) = poll_at_most(polls, half.feed(&message)).await {
                            record.borrow_mut().sent.push((message, true));
                        }
                    }
                    Step::Ping => drop(poll_at_most(polls, half.ping(b"half")).await),
                    Step::Flush | Step::Recv => half.flush().await.unwrap(),
                    _ => yield_now().await,
                }
            }
            let _ = half.close(CloseCode::NORMAL, "").await;
        }
        async fn receive(mut half: RecvHalf<Pipe, TestClock>, record: Shared) {
            while let Some(message) = half.recv().await.unwrap() {
                record.borrow_mut().received.push(message);
            }
        }
        let mut executor = Executor::new().limit(100_000).backwards(backwards);
        let (a, b) = pipe_with(transport.0, transport.1);
        let records: [Shared; 2] = Default::default();
        for (i, (io, plan)) in [(a, plans.0), (b.with(b_faults.1), plans.1)].into_iter().enumerate() {
            let ws = open(i == 0, io, &executor.time, Config::new().high_water_mark(mark));
            let (send_half, recv_half) = ws.split();
            executor.spawn("send", send(send_half, plan, records[i].clone(), 1000 * i));
            executor.spawn("recv", receive(recv_half, records[i].clone()));
        }
        executor.run();
        let [a, b] = [records[0].borrow(), records[1].borrow()];
        check(&a.sent, &b.received);
        check(&b.sent, &a.received);
    }
}
