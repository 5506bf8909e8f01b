//! The opening handshake (H1, H2, H7 to H13).

use std::time::Duration;

use sockeye_core::deflate::Deflate;
use sockeye_core::handshake::server::{Accept, Origins, Policy};
use sockeye_core::http::Response;
use sockeye_core::{Config, Flags, Frame, Opcode, Payload};
use sockeye_driver::server::{Callbacks, Decision, Port};
use sockeye_testkit::handshake::{SAMPLE_KEY, upgrade_request};
use sockeye_testkit::{EventLog, eventually};

use super::TestServer;

/// Ignores every message.
fn silent() -> Callbacks {
    Callbacks::on_message(|_, _| async {})
}

#[test]
fn h1_h2_a_valid_upgrade_is_accepted_and_invalid_ones_are_refused() {
    let server = TestServer::handler(silent());
    let mut raw = server.connect();
    let answer = raw.upgrade("/any/path?x=1");
    assert_eq!(answer.header("Upgrade"), Some("websocket"));
    assert_eq!(answer.header("Connection"), Some("Upgrade"));
    assert_eq!(answer.header("Sec-WebSocket-Version"), None);
    let head = upgrade_request("/", "");
    for (wrong, status) in [
        (head.replace("GET", "POST"), 405),
        (head.replace("Version: 13", "Version: 8"), 426),
        (head.replace("Connection: Upgrade", "Connection: close"), 400),
        (head.replace(SAMPLE_KEY, "short"), 400),
        (head.replace("Host: localhost\r\n", ""), 400),
    ] {
        let mut raw = server.connect();
        raw.write(&wrong);
        let answer = raw.answer();
        assert_eq!(answer.status(), status, "{wrong}");
        assert!(answer.header("Connection").unwrap().ends_with("close"));
        assert!(answer.header("Date").is_some() && !answer.body.is_empty());
        raw.expect_end();
    }
}

#[test]
fn x1_a_handler_declines_compression_for_one_connection() {
    let handler = Callbacks::on_message(|client, message| async move {
        client.push(Payload::from(&message).compress(true))
    })
    .on_before_handshake_response(|_, upgrade, accept| async move {
        match upgrade.path() {
            "/secret" => accept.without_compression(),
            _ => accept,
        }
    });
    let server = TestServer::port(Port::new(handler).config(Config::new().deflate(Deflate::new())));
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut raw = server.connect();
    assert_eq!(raw.upgrade_with("/", offer).header("Sec-WebSocket-Extensions"), Some("permessage-deflate"));
    let mut raw = server.connect();
    assert_eq!(raw.upgrade_with("/secret", offer).header("Sec-WebSocket-Extensions"), None);
    raw.text("not compressed");
    raw.expect_text("not compressed");
    // The server fails the connection if the client compresses all the same.
    let compressed = Frame { flags: Flags { finish: true, rsv1: true }, ..Frame::text("x") };
    raw.write(compressed.pack_masked([9, 8, 7, 6]).unwrap());
    raw.expect_close(1002);
}

#[test]
fn h7_a_frame_sent_together_with_the_request_is_received() {
    let server =
        TestServer::handler(Callbacks::on_message(|client, message| async move { client.push(message) }));
    let mut raw = server.connect();
    let mut bytes = upgrade_request("/", "").into_bytes();
    bytes.extend(Frame::text("early").pack_masked([9, 8, 7, 6]).unwrap());
    raw.write(bytes);
    assert_eq!(raw.answer().status(), 101);
    raw.expect_text("early");
}

#[test]
fn h8_h13_the_policy_chooses_a_subprotocol_and_refuses_origins() {
    let policy = Policy::new()
        .subprotocol("new")
        .unwrap()
        .subprotocol("old")
        .unwrap()
        .origins(Origins::list(["https://example.com"]).unwrap());
    let server = TestServer::port(Port::new(silent()).policy(policy));
    for (offer, chosen) in [("old, new", Some("new")), ("x, old", Some("old")), ("x", None)] {
        let mut raw = server.connect();
        let answer = raw.upgrade_with("/", &format!("Sec-WebSocket-Protocol: {offer}\r\n"));
        assert_eq!(answer.header("Sec-WebSocket-Protocol"), chosen);
        let id = *server.handle.connections().iter().max().unwrap();
        let info = || server.handle.info(id).unwrap();
        eventually("the subprotocol to be known", || info().subprotocol.as_deref() == chosen);
    }
    assert_eq!(server.connect().upgrade("/").header("Sec-WebSocket-Protocol"), None);
    let mut raw = server.connect();
    raw.write(upgrade_request("/", "Origin: https://evil.example\r\n"));
    assert_eq!(raw.answer().status(), 403);
    raw.expect_end();
    server.connect().upgrade_with("/", "Origin: https://example.com\r\n");
}

#[test]
fn h9_before_handshake_response_adds_headers_and_a_subprotocol_or_refuses() {
    let handler = silent().on_before_handshake_response(|_, upgrade, accept| async move {
        match upgrade.path() {
            "/refused" => Err(Response::new(451).header("X-Why", "law").unwrap().body("no")),
            "/wrong" => Ok(accept.subprotocol("never offered")),
            _ => {
                assert!(accept.clone().header("X-Split", "a\r\nb").is_err());
                let name = upgrade.subprotocols().last().unwrap().to_owned();
                Ok(accept.header("Set-Cookie", "id=7; HttpOnly").unwrap().subprotocol(name))
            }
        }
    });
    let server = TestServer::handler(handler);
    let answer = server.connect().upgrade_with("/", "Sec-WebSocket-Protocol: a, b\r\n");
    assert_eq!(answer.header("Set-Cookie"), Some("id=7; HttpOnly"));
    assert_eq!(answer.header("Sec-WebSocket-Protocol"), Some("b"));
    let mut raw = server.connect();
    raw.write(upgrade_request("/refused", ""));
    let answer = raw.answer();
    assert_eq!((answer.status(), answer.header("X-Why"), answer.text()), (451, Some("law"), "no"));
    raw.expect_end();
    let mut raw = server.connect();
    raw.write(upgrade_request("/wrong", ""));
    assert_eq!(raw.answer().status(), 500);
}

#[test]
fn h9_an_invalid_header_is_answered_with_500_and_reported() {
    let log = EventLog::default();
    let failed = log.clone();
    let handler = silent()
        .on_before_handshake_response(|_, upgrade, accept| async move {
            if upgrade.path() == "/number" {
                let number: u8 =
                    upgrade.request().query().unwrap_or_default().parse().map_err(Response::server_error)?;
                return Ok(accept.header("X-Number", number.to_string())?);
            }
            Ok(accept.header("X-Split", "a\r\nb")?)
        })
        .on_request(|_, _| async { Ok(Response::new(200).header("X-Split", "a\r\nb")?) })
        .on_failed(move |_, failure| failed.add(failure.to_string()));
    let server = TestServer::handler(handler);
    for target in ["/", "/number?x"] {
        let mut raw = server.connect();
        raw.write(upgrade_request(target, ""));
        assert_eq!(raw.answer().status(), 500);
        raw.expect_end();
    }
    assert_eq!(server.connect().get("/").status(), 500);
    eventually("three failures", || log.lines().len() == 3);
    assert_eq!(log.lines()[1], "invalid digit found in string");
    assert_eq!(log.lines()[0], log.lines()[2]);
}

#[test]
fn h14_an_upgrade_that_expects_a_100_gets_it_before_the_101() {
    let server = TestServer::handler(silent().on_request(|_, _| async { Response::text(200, "fine") }));
    let mut raw = server.connect();
    raw.write(upgrade_request("/", "Expect: 100-continue\r\n"));
    assert_eq!(raw.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(raw.answer().status(), 101);
    raw.close(1000, "");
    raw.expect_close(1000);
    let expecting = upgrade_request("/", "Expect: 100-continue\r\n");
    for (refused, status) in [
        (expecting.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (expecting.replace("Version: 13", "Version: 12"), 426),
        (upgrade_request("/", "Expect: 100-continue\r\nOrigin: https://evil.example\r\n"), 403),
        (upgrade_request("/", "Expect: miracles\r\n"), 417),
    ] {
        let mut raw = server.connect();
        raw.write(&refused);
        assert_eq!(raw.answer().status(), status, "{refused}");
        raw.expect_end();
    }
}

#[test]
fn h10_a_custom_handshake_decides_and_its_pushes_follow_the_101() {
    let log = EventLog::default();
    let (opened, deferred) = (log.clone(), log.clone());
    let handler = silent()
        .on_open(move |_, _| {
            opened.add("open");
            async {}
        })
        .on_handshake(move |client, upgrade| {
            let log = deferred.clone();
            async move {
                match upgrade.path() {
                    "/policy" => Ok(Decision::Policy),
                    "/no" => Ok(Decision::Respond(Response::text(402, "pay first"))),
                    "/error" => Err("as asked".into()),
                    _ => {
                        assert!(!client.is_established());
                        client.push("first")?;
                        client.push_frame(&Frame::text("sec").finish(false))?;
                        client.push("in between").expect_err("a fragmented message is unfinished");
                        client.push_frame(&Frame::new(Opcode::Continuation, b"ond".as_slice()))?;
                        client.push("x".repeat(3 << 20)).expect_err("the message is too big");
                        client.defer(move |client| {
                            assert!(client.is_established());
                            client.push("deferred").unwrap();
                            log.add("deferred");
                        });
                        Ok(Decision::Accept(Accept::new().header("X-Mine", "yes")?))
                    }
                }
            }
        });
    let server = TestServer::handler(handler);
    let mut raw = server.connect();
    assert_eq!(raw.upgrade("/custom").header("X-Mine"), Some("yes"));
    raw.expect_text("first");
    let (one, two) = (raw.frame().unwrap(), raw.frame().unwrap());
    assert_eq!(
        (&*one.data, one.flags.finish, &*two.data, two.flags.finish),
        (&b"sec"[..], false, &b"ond"[..], true)
    );
    raw.expect_text("deferred");
    log.expect(&["deferred"]);
    for (path, status) in [("/no", 402), ("/error", 500)] {
        let mut raw = server.connect();
        raw.write(upgrade_request(path, ""));
        assert_eq!(raw.answer().status(), status);
        raw.expect_end();
    }
    server.connect().upgrade("/policy");
    log.expect(&["deferred", "open"]);
}

#[test]
fn h11_open_sees_the_request_and_can_push_and_close() {
    let handler = silent().on_open(|client, request| async move {
        let cookies: Vec<_> = request.cookies().map(|(name, value)| format!("{name}:{value}")).collect();
        client.push(format!(
            "{} {:?} {:?} {cookies:?}",
            request.path(),
            request.query(),
            request.headers().first("x-a")
        ))?;
        client.close(4000, "enough")
    });
    let server = TestServer::handler(handler);
    let mut raw = server.connect();
    raw.upgrade_with("/room/7?user=1", "X-A: b\r\nCookie: c=d; e=f\r\n");
    raw.expect_text("/room/7 Some(\"user=1\") Some(\"b\") [\"c:d\", \"e:f\"]");
    raw.expect_close(4000);
}

#[test]
fn h12_the_handshake_has_a_deadline_and_its_head_has_limits() {
    let config =
        Config::new().handshake_timeout(Duration::from_millis(300)).max_head_size(500).max_headers(5);
    let server = TestServer::port(Port::new(silent()).config(config));
    let mut slow = server.connect();
    slow.write("GET / HTTP/1.1\r\nHo");
    // Steady progress does not extend the deadline.
    let mut lively = server.connect();
    for byte in upgrade_request("/", "").bytes() {
        lively.write([byte]);
        std::thread::sleep(Duration::from_millis(10));
    }
    for mut raw in [slow, lively] {
        assert_eq!(raw.answer().status(), 408);
        raw.expect_end();
    }
    // A client that sends nothing gets no response.
    server.connect().expect_end();
    let mut raw = server.connect();
    raw.write(upgrade_request("/", &format!("X: {}\r\n", "x".repeat(500))));
    assert_eq!(raw.answer().status(), 431);
    let mut raw = server.connect();
    raw.write("GET / HTTP/1.1\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\n\r\n");
    assert_eq!(raw.answer().status(), 431);
}
