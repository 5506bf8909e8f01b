//! Row M12: the end of a server.

use std::sync::mpsc;
use std::time::Duration;

use sockeye_core::http::Response;
use sockeye_core::{CloseCode, CloseFrame, Opcode};
use sockeye_driver::server::{Callbacks, Client};

use super::{Giver, Harness, Log, PATIENCE, Raw, Running, eventually};

pub(crate) fn m12_all_are_told_1001_behind_what_was_accepted_and_nobody_else_comes_in<T: Harness>() {
    let (tell, told) = mpsc::channel();
    let server = Running::handler::<T>(Giver(tell));
    let mut all: Vec<Raw> = (0..10).map(|_| server.open()).collect();
    let clients: Vec<Client> = (0..10).map(|_| told.recv().unwrap()).collect();
    let idle = server.connect();
    let mut accepted = 0;
    // More than fits into the sockets: it is written while the server ends.
    while clients[0].push(vec![7; 100_000]).is_ok() {
        clients[1..].iter().for_each(|client| client.push(vec![7; 100_000]).unwrap_or_default());
        accepted += 1;
        if accepted > 600 {
            break;
        }
    }
    let (handle, address) = (server.handle.clone(), server.address());
    handle.shutdown(PATIENCE);
    assert!(handle.is_shutting_down());
    assert_eq!(handle.push(clients[0].id(), "late"), Err(sockeye_driver::server::PushError::Closing));
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
    // Who has asked nothing is just let go.
    let mut idle = idle;
    idle.expect_end();
    drop((all, idle));
    server.join();
    assert!(handle.connections().is_empty());
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is closed before the server has ended");
}

pub(crate) fn m12_who_does_not_take_part_is_aborted_when_the_grace_is_over<T: Harness>() {
    let log = Log::default();
    let told = log.clone();
    let handler = Callbacks::on_message(|_, _| async {}).on_close(move |_, info| {
        told.add(format!("{} {}", info.code.as_u16(), info.clean));
        async {}
    });
    let server = Running::handler::<T>(handler);
    let mut raw = server.open();
    eventually("it to be open", || server.handle.is_established(server.handle.connections()[0]));
    let handle = server.handle.clone();
    handle.shutdown(Duration::from_millis(100));
    server.join();
    assert_eq!(raw.frame().unwrap().opcode, Opcode::Close);
    raw.expect_end();
    log.expect(&["1001 false"]);
}

pub(crate) fn m12_a_request_in_progress_is_answered_and_is_the_last<T: Harness>() {
    let (tell, told) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let handler = Callbacks::on_message(|_, _| async {}).on_request(move |_, _| {
        tell.send(()).unwrap();
        // It blocks a worker, which is fine for a moment.
        wait.lock().unwrap().recv().unwrap();
        async { Response::text(200, "done") }
    });
    let server = Running::handler::<T>(handler);
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    told.recv().unwrap();
    server.handle.shutdown(PATIENCE);
    go.send(()).unwrap();
    let answer = raw.answer();
    assert_eq!((answer.text(), answer.header("Connection")), ("done", Some("close")));
    raw.expect_end();
    drop(raw);
    server.join();
}
