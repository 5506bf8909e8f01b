//! How a server shuts down (M12, M18).

use std::sync::mpsc;
use std::time::Duration;

use sockeye_core::http::Response;
use sockeye_core::{CloseCode, CloseFrame, Opcode};
use sockeye_driver::server::{Callbacks, Client, Drain, PushError};
use sockeye_testkit::{EventLog, PATIENCE, RawClient, eventually};

use super::{Echo, TestServer};

#[test]
fn m12_shutdown_writes_what_is_queued_closes_with_1001_and_accepts_no_connection() {
    let (opened, has_opened) = mpsc::channel();
    let server = TestServer::handler(Echo(opened));
    // Connect one after the other: the open events of different connections come in any order.
    let (mut all, clients): (Vec<RawClient>, Vec<Client>) =
        (0..10).map(|_| (server.open(), has_opened.recv().unwrap())).unzip();
    let mut idle = server.connect();
    let mut accepted = 0;
    // More than the sockets take: the server writes the rest while it shuts down.
    while clients[0].push(vec![7; 100_000]).is_ok() {
        for client in &clients[1..] {
            let _ = client.push(vec![7; 100_000]);
        }
        accepted += 1;
        if accepted > 600 {
            break;
        }
    }
    let (handle, address) = (server.handle.clone(), server.address());
    handle.shutdown(PATIENCE);
    assert!(handle.is_shutting_down());
    // A connection whose queue has just drained first calls its handler.
    eventually("the Close", || handle.push(clients[0].id(), "late") == Err(PushError::Closing));
    let mut received = 0;
    loop {
        let frame = all[0].frame().unwrap();
        if frame.opcode == Opcode::Close {
            assert_eq!(CloseFrame::parse(frame.data.clone()).unwrap().status(), CloseCode::GOING_AWAY);
            all[0].send(&frame);
            break;
        }
        received += frame.data.len() / 100_000;
    }
    assert_eq!(received, accepted);
    let ends: Vec<_> = all
        .drain(1..)
        .map(|mut raw| {
            std::thread::spawn(move || {
                while let Some(frame) = raw.frame() {
                    if frame.opcode == Opcode::Close {
                        raw.send(&frame);
                    }
                }
            })
        })
        .collect();
    ends.into_iter().for_each(|end| end.join().unwrap());
    // A connection without a request gets no response.
    idle.expect_end();
    drop((all, idle));
    server.join();
    assert!(handle.connections().is_empty());
    assert!(std::net::TcpStream::connect(address).is_err(), "the port closes before the server stops");
}

#[test]
fn m12_shutdown_aborts_peers_that_do_not_answer_within_the_grace_period() {
    let log = EventLog::default();
    let closed = log.clone();
    let handler = Callbacks::on_message(|_, _| async {}).on_close(move |_, info| {
        closed.add(format!("{} {}", info.code.as_u16(), info.clean));
        async {}
    });
    let server = TestServer::handler(handler);
    let mut raw = server.open();
    eventually("the connection to open", || server.handle.is_established(server.handle.connections()[0]));
    let handle = server.handle.clone();
    handle.shutdown(Duration::from_millis(100));
    server.join();
    assert_eq!(raw.frame().unwrap().opcode, Opcode::Close);
    raw.expect_end();
    log.expect(&["1001 false"]);
}

#[test]
fn m12_shutdown_answers_the_request_in_progress_as_the_last_one() {
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let handler = Callbacks::on_message(|_, _| async {}).on_request(move |_, _| {
        started.send(()).unwrap();
        // This blocks a worker thread, but only for a moment.
        released.lock().unwrap().recv().unwrap();
        async { Response::text(200, "done") }
    });
    let server = TestServer::handler(handler);
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    has_started.recv().unwrap();
    server.handle.shutdown(PATIENCE);
    release.send(()).unwrap();
    let answer = raw.answer();
    assert_eq!((answer.text(), answer.header("Connection")), ("done", Some("close")));
    raw.expect_end();
    drop(raw);
    server.join();
}

#[test]
fn m18_a_drain_lets_a_handler_at_work_answer_and_closes_with_the_chosen_code() {
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let handler = Callbacks::on_message(move |client, message| {
        if message.as_ref().as_text() == Some("work") {
            started.send(()).unwrap();
            // This blocks a worker thread, but only for a moment.
            released.lock().unwrap().recv().unwrap();
        }
        async move { client.push(message) }
    });
    let server = TestServer::handler(handler);
    let (mut busy, mut idle) = (server.open(), server.open());
    idle.text("hello");
    idle.expect_text("hello");
    busy.text("work");
    has_started.recv().unwrap();
    let drain = Drain::new(PATIENCE).spread(Duration::from_millis(20));
    server.handle.drain(drain.close(CloseCode::SERVICE_RESTART, "back soon")).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    release.send(()).unwrap();
    busy.expect_text("work");
    busy.expect_close(1012);
    let close = idle.frame().unwrap();
    assert_eq!(CloseFrame::parse(close.data.clone()).unwrap().reason, "back soon");
    idle.send(&close);
    server.join();
}
