//! The opening handshake over real sockets.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use sockeye_std::protocol::handshake::{client, server};
use sockeye_std::{
    Accept, AcceptError, CloseCode, Config, ConnectError, ConnectOptions, Policy, Response, Upgrade, Url,
};
use sockeye_testkit::frames::{LAST_CONTINUATION, PING, TEXT, TEXT_START, frame};
use sockeye_testkit::handshake::UPGRADE_REQUEST;
use support::{listen, millis, read_frame, read_head, url};

#[test]
fn both_ends_negotiate_headers_and_a_subprotocol_then_exchange_messages() {
    let (address, serving) = listen(|stream| {
        let policy = Policy::new().subprotocol("chat").unwrap();
        let mut ws = sockeye_std::accept_with(stream, Arc::default(), |upgrade: &Upgrade| {
            assert_eq!(upgrade.request().headers().first("x-token"), Some("7"));
            let accept = policy.decide(upgrade)?;
            Ok(accept.header("Set-Cookie", "seen=1").unwrap())
        })
        .unwrap();
        assert_eq!(ws.subprotocol(), Some("chat"));
        while let Some(message) = ws.recv().unwrap() {
            ws.feed(message).unwrap();
        }
    });
    let url = url(address);
    let options = ConnectOptions::new().subprotocol("soap").unwrap().subprotocol("chat").unwrap();
    let options = options.header("X-Token", "7").unwrap();
    let (mut ws, response) = sockeye_std::connect_with(&url, options).unwrap();
    assert_eq!(ws.subprotocol(), Some("chat"));
    assert_eq!(response.headers().first("set-cookie"), Some("seen=1"));
    let large = vec![7; 1 << 20];
    ws.send("hello").unwrap();
    ws.send(large.clone()).unwrap();
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("hello"));
    assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), large);
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
    serving.join().unwrap();
}

#[test]
fn k1_a_refusal_without_a_length_is_returned_while_the_server_keeps_the_connection_open() {
    let (done, kept) = std::sync::mpsc::channel::<()>();
    let (address, serving) = listen(move |mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: /a\r\n\r\n").unwrap();
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nX-Why: log\r\n in\r\n\r\nfirst").unwrap();
        // The connection stays open until the client has its answer.
        assert!(kept.recv().is_err());
    });
    let config = Config::new().handshake_timeout(millis(3_600_000));
    let url = url(address);
    let error = sockeye_std::connect_with(&url, config).unwrap_err();
    drop(done);
    let ConnectError::Handshake(client::ClientHandshakeError::Refused(response)) = error else { panic!() };
    assert_eq!((response.status(), response.content()), (401, &b"first"[..]));
    assert_eq!(response.headers().first("x-why"), Some("log in"));
    serving.join().unwrap();
}

#[test]
fn a_frame_sent_together_with_the_request_is_not_lost() {
    let (address, serving) = listen(|stream| {
        let mut ws = sockeye_std::accept(stream).unwrap();
        ws.recv().unwrap().unwrap()
    });
    let mut raw = TcpStream::connect(address).unwrap();
    raw.write_all(&[UPGRADE_REQUEST, &frame(true, TEXT, b"hasty")].concat()).unwrap();
    assert_eq!(serving.join().unwrap().as_text(), Some("hasty"));
}

#[test]
fn a_frame_sent_together_with_the_101_is_not_lost() {
    let (address, serving) = listen(|stream| {
        let pending = sockeye_std::read_upgrade(stream, Arc::default()).unwrap();
        // The decision may come later, on another thread.
        thread::spawn(move || {
            let mut ws = pending.accept(&Accept::new()).unwrap();
            ws.send("first").unwrap();
            ws.recv().unwrap()
        })
        .join()
        .unwrap()
    });
    let mut ws = sockeye_std::connect(&url(address).to_string()).unwrap();
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("first"));
    ws.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(serving.join().unwrap(), None);
}

#[test]
fn a_refusal_reaches_the_client_with_headers_and_body() {
    let (address, serving) = listen(|stream| {
        sockeye_std::accept_with(stream, Arc::default(), |_| {
            Err(Response::text(403, "members only\n").header("X-Why", "no card").unwrap())
        })
    });
    let error = sockeye_std::connect(&url(address).to_string()).unwrap_err();
    let ConnectError::Handshake(client::ClientHandshakeError::Refused(response)) = error else {
        panic!("{error}")
    };
    assert_eq!((response.status(), response.content()), (403, &b"members only\n"[..]));
    assert_eq!(response.headers().first("x-why"), Some("no card"));
    assert!(matches!(serving.join().unwrap(), Err(AcceptError::Rejected(403))));
}

#[test]
fn h14_an_upgrade_that_expects_a_100_gets_it_before_the_101() {
    let (address, serving) = listen(|stream| sockeye_std::accept(stream).unwrap());
    let mut raw = TcpStream::connect(address).unwrap();
    let request = String::from_utf8(UPGRADE_REQUEST.to_vec()).unwrap();
    raw.write_all(request.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(read_head(&mut raw), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(read_head(&mut raw).starts_with("HTTP/1.1 101 "));
    serving.join().unwrap();
}

#[test]
fn choosing_a_subprotocol_that_was_not_offered_answers_500() {
    let (address, serving) = listen(|stream| {
        sockeye_std::accept_with(stream, Arc::default(), |_| Ok(Accept::new().subprotocol("chat")))
    });
    let error = sockeye_std::connect(&url(address).to_string()).unwrap_err();
    assert!(error.to_string().contains("500"), "{error}");
    assert!(matches!(serving.join().unwrap(), Err(AcceptError::Subprotocol(_))));
}

#[test]
fn a_plain_http_request_is_answered_with_400() {
    let (address, serving) = listen(sockeye_std::accept);
    let mut raw = TcpStream::connect(address).unwrap();
    raw.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(read_head(&mut raw).starts_with("HTTP/1.1 400 "));
    drop(raw);
    assert!(matches!(serving.join().unwrap(), Err(AcceptError::Refused(_))));
}

#[test]
fn a_client_that_stalls_gets_408_and_is_disconnected() {
    let begin = Instant::now();
    let (address, serving) = listen(|stream| {
        let config = Config::new().handshake_timeout(millis(150));
        sockeye_std::read_upgrade(stream, Arc::new(config))
    });
    let mut raw = TcpStream::connect(address).unwrap();
    // A trickle of bytes does not extend the deadline.
    for byte in UPGRADE_REQUEST.iter().take(100) {
        if raw.write_all(&[*byte]).is_err() || serving.is_finished() {
            break;
        }
        thread::sleep(millis(5));
    }
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(raw);
    let error = serving.join().unwrap().unwrap_err();
    assert!(
        matches!(error, AcceptError::Handshake(server::ServerHandshakeError::TimedOut { received: 1.. })),
        "{error}"
    );
    assert!(begin.elapsed() >= millis(150));
}

#[test]
fn connecting_to_a_server_that_stalls_times_out() {
    let (address, serving) = listen(|mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
    });
    let url = url(address);
    let config = Arc::new(Config::new().handshake_timeout(millis(100)));
    let error = sockeye_std::connect_with(&url, config).unwrap_err();
    assert!(
        matches!(error, ConnectError::Handshake(client::ClientHandshakeError::TimedOut { received: 0 })),
        "{error}"
    );
    serving.join().unwrap();
}

#[test]
fn invalid_urls_and_unreachable_hosts_are_errors() {
    assert!(matches!(sockeye_std::connect("http://localhost/"), Err(ConnectError::Url(_))));
    #[cfg(not(feature = "rustls"))]
    assert!(matches!(sockeye_std::connect("wss://localhost/"), Err(ConnectError::Tls)));
    let (address, serving) = listen(drop);
    drop(TcpStream::connect(address).unwrap());
    serving.join().unwrap();
    let refused = sockeye_std::connect(&url(address).to_string());
    assert!(matches!(refused, Err(ConnectError::Io(_))), "{refused:?}");
    assert!(Url::parse("ws://[::1]:1/").unwrap().port() == 1);
}

#[test]
fn fragments_are_joined_and_a_ping_is_answered_before_the_next_message() {
    let (mut raw, mut ws) = support::raw_pair(Config::new());
    raw.write_all(&frame(true, PING, b"ping")).unwrap();
    raw.write_all(&frame(true, TEXT_START, b"in ")).unwrap();
    raw.write_all(&frame(true, LAST_CONTINUATION, b"parts")).unwrap();
    assert_eq!(ws.recv().unwrap().unwrap().as_text(), Some("in parts"));
    // The pong is written together with the next message, before it.
    ws.send("ok").unwrap();
    assert_eq!(read_frame(&mut raw), (0x8A, b"ping".to_vec()));
    assert_eq!(read_frame(&mut raw), (0x81, b"ok".to_vec()));
}
