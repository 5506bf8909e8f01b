//! Control frames for applications that ask for them, and the answers that they choose (K4, O2 to
//! O4, W10).

use sockeye_core::{
    CloseCode, CloseFrame, CloseInfo, Config, Control, Frame, Incoming, Message, Opcode, SendError, State,
};
use sockeye_driver::{Error, WebSocketEvent};
use sockeye_testkit::frames::{FrameWriter, parse_frames};
use sockeye_testkit::sim::*;
use sockeye_testkit::{poll_at_most, until_woken};

/// Returns everything that a connection receives in these tests.
fn every_frame(is_server: bool) -> Vec<u8> {
    let wire = FrameWriter::to(is_server);
    [
        wire.frame(Opcode::Text, false, b"one "),
        wire.ping(b"there?"),
        wire.frame(Opcode::Continuation, false, b"two "),
        wire.frame(Opcode::Pong, true, b"here"),
        wire.frame(Opcode::Continuation, true, b"three"),
        wire.frame(Opcode::Ping, true, b""),
        wire.close(CloseCode::GOING_AWAY, "bye"),
        wire.text("late"),
    ]
    .concat()
}

/// Returns the events of these bytes.
fn events() -> Vec<WebSocketEvent> {
    vec![
        WebSocketEvent::Ping("there?".into()),
        WebSocketEvent::Pong("here".into()),
        WebSocketEvent::Message(Message::from("one two three")),
        WebSocketEvent::Ping("".into()),
        WebSocketEvent::Close(CloseFrame::new(CloseCode::GOING_AWAY, "bye")),
    ]
}

fn sent(peer: &Pipe) -> Vec<(Opcode, Vec<u8>)> {
    parse_frames(&peer.take_all()).iter().map(|frame| (frame.opcode, frame.data.to_vec())).collect()
}

fn close(payload: &[u8]) -> (Opcode, Vec<u8>) {
    (Opcode::Close, payload.to_vec())
}

/// A connection that has received [`every_frame`], and its peer.
fn connection(is_server: bool, executor: &Executor, config: Config) -> (Ws, Pipe) {
    let (io, peer) = pipe(1 << 20);
    peer.push(&every_frame(is_server));
    (open(is_server, io, &executor.time, config), peer)
}

/// Runs a task over a connection that has received [`every_frame`], and returns what it sent.
fn sent_by<F: Future<Output = CloseInfo> + 'static>(
    is_server: bool,
    config: Config,
    task: impl FnOnce(Ws) -> F,
) -> Vec<(Opcode, Vec<u8>)> {
    let mut executor = Executor::new();
    let (ws, peer) = connection(is_server, &executor, config);
    let info = executor.spawn("task", task(ws));
    executor.run_until_idle();
    let sent = sent(&peer);
    drop(peer);
    executor.run();
    let info = info.take();
    assert_eq!((info.code, &*info.reason, info.clean), (CloseCode::GOING_AWAY, "bye", true));
    sent
}

async fn ended(ws: &mut Ws) -> CloseInfo {
    assert_eq!(ws.recv_event().await.unwrap(), None);
    assert_eq!(ws.state(), State::Closed);
    ws.close_info().unwrap().clone()
}

#[test]
fn k4_o2_o3_o4_recv_event_reports_control_frames_in_order_and_answers_them() {
    for is_server in [true, false] {
        for piece in [1, 3, 1000] {
            let mut executor = Executor::new();
            let (io, peer) = pipe(1 << 20);
            let mut ws = open(is_server, io, &executor.time, Config::new());
            let received = executor.spawn("receive", async move {
                let mut received = Vec::new();
                while let Some(event) = ws.recv_event().await.unwrap() {
                    received.push(event);
                }
                received
            });
            for bytes in every_frame(is_server).chunks(piece) {
                peer.push(bytes);
                executor.run_until_idle();
            }
            let pong = |payload: &[u8]| (Opcode::Pong, payload.to_vec());
            assert_eq!(sent(&peer), [pong(b"there?"), pong(b""), close(b"\x03\xe9bye")]);
            drop(peer);
            executor.run();
            assert_eq!(received.take(), events());
        }
    }
}

#[test]
fn k4_o4_a_client_pings_and_receives_the_pong() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let mut ws = client(io, &executor.time, Config::new());
    let task = executor.spawn("client", async move {
        ws.ping(b"are you there?").await.unwrap();
        (ws.recv_event().await.unwrap(), ws.round_trip().is_some())
    });
    executor.run_until_idle();
    assert_eq!(sent(&peer), [(Opcode::Ping, b"are you there?".to_vec())]);
    peer.push(&FrameWriter::to(false).frame(Opcode::Pong, true, b"are you there?"));
    executor.run_until_idle();
    assert_eq!(task.take().0, Some(WebSocketEvent::Pong("are you there?".into())));
}

#[test]
fn k4_o3_without_auto_pong_the_application_answers_the_pings() {
    for is_server in [true, false] {
        let config = Config::new().auto_pong(false);
        let sent = sent_by(is_server, config, |mut ws| async move {
            while let Some(event) = ws.recv_event().await.unwrap() {
                if let WebSocketEvent::Ping(payload) = event {
                    assert!(matches!(ws.pong(&[0; 126]).await, Err(Error::Send(_))));
                    ws.pong(&[b"re: ", &*payload].concat()).await.unwrap();
                }
            }
            ended(&mut ws).await
        });
        let pong = |payload: &[u8]| (Opcode::Pong, payload.to_vec());
        assert_eq!(sent, [pong(b"re: there?"), pong(b"re: "), close(b"\x03\xe9bye")]);
    }
}

/// Receives up to the Close, inclusive.
async fn receive_close(ws: &mut Ws) {
    while !matches!(ws.recv_event().await.unwrap().unwrap(), WebSocketEvent::Close(_)) {}
}

/// Returns the Close that a task sends which has received the peer's.
fn answer<F: Future<Output = CloseInfo> + 'static>(is_server: bool, task: impl Fn(Ws) -> F) -> Vec<u8> {
    let config = Config::new().auto_pong(false).auto_close(false);
    let mut sent = sent_by(is_server, config, task);
    let (opcode, payload) = sent.pop().unwrap();
    assert_eq!((opcode, sent.len()), (Opcode::Close, 0));
    payload
}

#[test]
fn w10_k4_without_auto_close_the_application_chooses_the_answer() {
    for is_server in [true, false] {
        let chosen = answer(is_server, |mut ws| async move {
            receive_close(&mut ws).await;
            assert_eq!(ws.state(), State::Closing);
            assert!(matches!(ws.send("late").await, Err(Error::Send(SendError::Closed))));
            ws.begin_close(CloseCode::from(4000), "see you").await.unwrap();
            let second = ws.begin_close(CloseCode::NORMAL, "").await;
            assert!(matches!(second, Err(Error::Send(SendError::Closed))));
            ended(&mut ws).await
        });
        assert_eq!(chosen, b"\x0f\xa0see you");
        let chosen = answer(is_server, |mut ws| async move {
            receive_close(&mut ws).await;
            let info = ws.close(CloseCode::from(4000), "see you").await.unwrap();
            assert_eq!(info.answer, Some(CloseFrame::new(CloseCode::from(4000), "see you")));
            info
        });
        assert_eq!(chosen, b"\x0f\xa0see you");
        let chosen = answer(is_server, |mut ws| async move {
            receive_close(&mut ws).await;
            ws.send_frame(&Frame::new(Opcode::Close, b"\x0f\xa0see you")).await.unwrap();
            ended(&mut ws).await
        });
        assert_eq!(chosen, b"\x0f\xa0see you");
    }
}

#[test]
fn w10_k4_the_next_receive_sends_the_default_answer() {
    for is_server in [true, false] {
        let default = answer(is_server, |mut ws| async move {
            receive_close(&mut ws).await;
            ended(&mut ws).await
        });
        assert_eq!(default, b"\x03\xe9bye");
        let default = answer(is_server, |mut ws| async move {
            receive_close(&mut ws).await;
            assert!(ws.recv().await.unwrap().is_none());
            ws.close_info().unwrap().clone()
        });
        assert_eq!(default, b"\x03\xe9bye");
        let default = answer(is_server, |mut ws| async move {
            receive_close(&mut ws).await;
            let wrong = ws.begin_close(CloseCode::ABNORMAL, "").await;
            assert!(matches!(wrong, Err(Error::Send(SendError::InvalidCloseCode(_)))));
            ended(&mut ws).await
        });
        assert_eq!(default, b"\x03\xe9bye");
    }
}

#[test]
fn w10_k4_a_receive_that_skips_control_frames_answers_a_close_itself() {
    for is_server in [true, false] {
        let default = answer(is_server, |mut ws| async move {
            while ws.recv().await.unwrap().is_some() {}
            ws.close_info().unwrap().clone()
        });
        assert_eq!(default, b"\x03\xe9bye");
        let default = answer(is_server, |mut ws| async move {
            while ws.recv_part().await.unwrap().is_some() {}
            ws.close_info().unwrap().clone()
        });
        assert_eq!(default, b"\x03\xe9bye");
        let default = answer(is_server, |mut ws| async move {
            while ws.recv_with(|_, _| ()).await.unwrap().is_some() {}
            ws.close_info().unwrap().clone()
        });
        assert_eq!(default, b"\x03\xe9bye");
    }
}

#[test]
fn w10_k4_lent_events_come_with_the_sender_that_answers_them() {
    for is_server in [true, false] {
        let chosen = answer(is_server, |mut ws| async move {
            let answer = |incoming: Incoming<'_, '_>, sender: &mut sockeye_core::Sender| match incoming {
                Incoming::Message(message) => assert_eq!(message.as_ref().as_text(), Some("one two three")),
                Incoming::Control(Control::Close(frame)) => {
                    sender.close(&CloseFrame::new(CloseCode::from(4000), &*frame.reason)).unwrap();
                }
                Incoming::Control(_) => {}
            };
            while ws.recv_event_with(answer).await.unwrap().is_some() {}
            ws.close_info().unwrap().clone()
        });
        assert_eq!(chosen, b"\x0f\xa0bye");
    }
}

#[test]
fn w10_k4_the_receiving_half_reports_control_frames_and_either_half_answers() {
    for is_server in [true, false] {
        for recv_half_answers in [true, false] {
            let config = Config::new().auto_pong(false).auto_close(false);
            let sent = sent_by(is_server, config, |ws| async move {
                let (mut send, mut recv) = ws.split();
                assert_eq!(recv.answer_close(CloseCode::NORMAL, ""), Err(SendError::Closed));
                let mut received = Vec::new();
                while let Some(event) = recv.recv_event().await.unwrap() {
                    match &event {
                        WebSocketEvent::Ping(payload) => send.pong(payload).await.unwrap(),
                        WebSocketEvent::Close(_) if recv_half_answers => {
                            recv.answer_close(CloseCode::from(4000), "see you").unwrap();
                        }
                        WebSocketEvent::Close(_) => {
                            send.close(CloseCode::from(4000), "see you").await.unwrap();
                        }
                        _ => {}
                    }
                    received.push(event);
                }
                assert_eq!(received, events());
                recv.close_info().unwrap()
            });
            let pong = |payload: &[u8]| (Opcode::Pong, payload.to_vec());
            assert_eq!(sent, [pong(b"there?"), pong(b""), close(b"\x0f\xa0see you")]);
        }
    }
}

#[test]
fn k4_a_cancelled_recv_event_loses_nothing() {
    let mut executor = Executor::new();
    let (io, peer) = pipe(1 << 20);
    let mut ws = client(io, &executor.time, Config::new());
    let received = executor.spawn("receive", async move {
        let mut received = Vec::new();
        loop {
            match poll_at_most(1, ws.recv_event()).await {
                Some(event) => match event.unwrap() {
                    Some(event) => received.push(event),
                    None => return received,
                },
                None => until_woken().await,
            }
        }
    });
    for byte in every_frame(false) {
        peer.push(&[byte]);
        executor.run_until_idle();
    }
    drop(peer);
    executor.run();
    assert_eq!(received.take(), events());
}
