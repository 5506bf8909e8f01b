//! Control frames for applications that ask for them, and the answers that they choose.

mod support;

use std::thread;

use sockeye_std::{
    CloseCode, CloseFrame, Config, Error, Message, ReceivedEvent, SendError, State, WebSocket, WebSocketEvent,
};
use support::{millis, pair};

fn closed(ws: &mut WebSocket) -> CloseFrame<'static> {
    match ws.recv_event().unwrap().unwrap() {
        WebSocketEvent::Close(frame) => frame,
        event => panic!("{event:?}"),
    }
}

fn see_you() -> CloseFrame<'static> {
    CloseFrame::new(CloseCode::from(4000), "see you")
}

/// Runs `answer` on the server after a client's Close, and returns the answer that the client
/// received.
fn answered(answer: impl FnOnce(WebSocket) + Send + 'static) -> CloseFrame<'static> {
    let (mut client, server) = pair(Config::new(), Config::new().auto_close(false));
    let serving = thread::spawn(move || answer(server));
    let info = client.close(CloseCode::from(4001), "bye").unwrap();
    serving.join().unwrap();
    assert!(info.clean);
    info.answer.unwrap()
}

#[test]
fn k4_o3_o4_a_client_pings_and_receives_the_pong_and_the_server_sees_the_ping() {
    for auto_pong in [true, false] {
        let (mut client, mut server) = pair(Config::new(), Config::new().auto_pong(auto_pong));
        let serving = thread::spawn(move || {
            assert_eq!(server.recv_event().unwrap(), Some(WebSocketEvent::Ping("there?".into())));
            if !auto_pong {
                server.pong(b"there?").unwrap();
            }
            server.send("text").unwrap();
            assert_eq!(closed(&mut server), CloseFrame::new(CloseCode::NORMAL, ""));
            assert_eq!(server.recv_event().unwrap(), None);
        });
        client.ping(b"there?").unwrap();
        let pong = WebSocketEvent::Pong("there?".into());
        let text = WebSocketEvent::Message(Message::text("text"));
        assert_eq!(client.recv_event().unwrap(), Some(pong));
        assert_eq!(client.recv_event_timeout(millis(20_000)).unwrap(), ReceivedEvent::Event(text));
        assert_eq!(client.recv_event_timeout(millis(1)).unwrap(), ReceivedEvent::TimedOut);
        assert!(client.close(CloseCode::NORMAL, "").unwrap().clean);
        assert_eq!(client.recv_event_timeout(millis(1)).unwrap(), ReceivedEvent::Closed);
        serving.join().unwrap();
    }
}

#[test]
fn w10_k4_the_application_chooses_the_answer_to_a_close() {
    let chosen = answered(|mut ws| {
        assert_eq!(closed(&mut ws), CloseFrame::new(CloseCode::from(4001), "bye"));
        assert_eq!(ws.state(), State::Closing);
        assert!(matches!(ws.send("late"), Err(Error::Send(SendError::Closed))));
        ws.begin_close(CloseCode::from(4000), "see you").unwrap();
        assert!(matches!(ws.begin_close(CloseCode::NORMAL, ""), Err(Error::Send(SendError::Closed))));
        assert_eq!(ws.recv_event().unwrap(), None);
        assert_eq!(ws.close_info().unwrap().answer, Some(see_you()));
    });
    assert_eq!(chosen, see_you());
    let chosen = answered(|mut ws| {
        closed(&mut ws);
        assert!(ws.close(CloseCode::from(4000), "see you").unwrap().clean);
    });
    assert_eq!(chosen, see_you());
    let chosen = answered(|mut ws| {
        let sent = ws.recv_event_with(|_, sender| sender.close(&see_you())).unwrap().unwrap();
        sent.unwrap();
        assert_eq!(ws.recv().unwrap(), None);
    });
    assert_eq!(chosen, see_you());
}

#[test]
fn w10_k4_a_receive_answers_a_close_that_has_no_answer() {
    let default = CloseFrame::new(CloseCode::from(4001), "bye");
    let answer = answered(|mut ws| {
        closed(&mut ws);
        assert!(ws.begin_close(CloseCode::ABNORMAL, "").is_err());
        assert_eq!(ws.recv_event().unwrap(), None);
    });
    assert_eq!(answer, default);
    let answer = answered(|mut ws| assert_eq!(ws.recv().unwrap(), None));
    assert_eq!(answer, default);
    let answer = answered(|mut ws| assert_eq!(ws.recv_part().unwrap(), None));
    assert_eq!(answer, default);
}

#[test]
fn w10_k4_either_half_answers() {
    for recv_half_answers in [true, false] {
        let chosen = answered(move |ws| {
            let (mut send, mut recv) = ws.split();
            assert_eq!(recv.answer_close(CloseCode::NORMAL, ""), Err(SendError::Closed));
            send.pong(b"unasked").unwrap();
            let event = recv.recv_event().unwrap();
            assert_eq!(event, Some(WebSocketEvent::Close(CloseFrame::new(CloseCode::from(4001), "bye"))));
            if recv_half_answers {
                recv.answer_close(CloseCode::from(4000), "see you").unwrap();
            } else {
                send.close(CloseCode::from(4000), "see you").unwrap();
            }
            assert_eq!(recv.recv_event_timeout(millis(20_000)).unwrap(), ReceivedEvent::Closed);
        });
        assert_eq!(chosen, see_you());
    }
}
