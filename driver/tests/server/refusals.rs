//! Refusals as events (H15).

use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::handshake::server::{Accept, Origins, Policy, Refusal};
use sockeye_core::http::{Excerpt, Response};
use sockeye_driver::server::{
    Callbacks, Client, Decision, Limits, Port, RefusalInfo, RefusalReason, Refused, TrustedProxies,
};
use sockeye_testkit::EventLog;
use sockeye_testkit::handshake::{SAMPLE_KEY, upgrade_request};

use super::TestServer;

/// Describes a refusal by its status, origin, host, path and reason.
fn describe(refusal: &RefusalInfo<'_>) -> String {
    let shown = |text: Option<&[u8]>| text.map_or("-".to_owned(), |text| Excerpt::new(text).to_string());
    let status = refusal.status().map_or("-".to_owned(), |status| status.to_string());
    let (host, path) = (refusal.host().map(str::as_bytes), refusal.path().map(str::as_bytes));
    format!("{status} {} {} {}: {refusal}", shown(refusal.origin()), shown(host), shown(path))
}

/// Records refusals, ends and failures.
fn recording(log: &EventLog) -> Callbacks {
    let (refusals, ends, failures) = (log.clone(), log.clone(), log.clone());
    Callbacks::on_message(|_, _| async {})
        .on_refused(move |client: &Client, refusal| {
            assert!(client.peer().ip().unwrap().is_loopback());
            refusals.add(describe(refusal));
        })
        .on_disconnect(move |_| {
            ends.add("disconnect");
            async {}
        })
        .on_failed(move |_, failure| failures.add(format!("failed: {failure}")))
}

/// Sends `request` and expects these events and nothing else.
fn expect(server: &TestServer, log: &EventLog, request: &[u8], status: u16, events: &[&str]) {
    let before = log.lines().len();
    let mut raw = server.connect();
    raw.write(request);
    let answer = raw.answer();
    assert_eq!(answer.status(), status, "{}", String::from_utf8_lossy(request));
    raw.expect_end();
    log.wait_for_count(before + events.len());
    assert_eq!(log.lines()[before..], *events);
}

#[test]
fn h15_each_refused_request_is_one_event_with_its_reason() {
    let log = EventLog::default();
    let policy = Policy::new().origins(Origins::list(["https://example.com"]).unwrap());
    let server = TestServer::port(Port::new(recording(&log)).policy(policy));
    let head = upgrade_request("/chat?a=b", "");
    for (request, status, event) in [
        (
            upgrade_request("/chat?a=b", "Origin: https://evil.example\r\n"),
            403,
            "403 https://evil.example localhost /chat: pages of the origin 'https://evil.example' may not \
             connect to the host 'localhost'",
        ),
        (
            upgrade_request("/%0a<b>", "Origin: <b>\r\n"),
            403,
            r"403 \x3cb\x3e localhost /%0a\x3cb\x3e: pages of the origin '\x3cb\x3e' may not connect to the host 'localhost'",
        ),
        (
            head.replace("Version: 13", "Version: 8"),
            426,
            "426 - localhost /chat: the Sec-WebSocket-Version header must be 13",
        ),
        (
            head.replace(SAMPLE_KEY, ""),
            400,
            "400 - localhost /chat: the Sec-WebSocket-Key header must be 16 bytes in base64: the key \
             decodes to 0 bytes instead of 16",
        ),
        (
            upgrade_request("/chat", "Expect: miracles\r\n"),
            417,
            "417 - localhost /chat: the only supported expectation is 100-continue",
        ),
        (
            // A proxy that does not pass `Upgrade` on.
            "GET /chat HTTP/1.1\r\nHost: a\r\nOrigin: https://example.com\r\n\r\n".to_owned(),
            400,
            "400 https://example.com a /chat: the request has no 'Upgrade: websocket' header",
        ),
        (head.replace("Host: localhost\r\n", ""), 400, "400 - - -: bad request: the Host header is missing"),
        (
            "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
            400,
            "400 - - -: bad request: lines must end in CR LF; found an LF without a CR",
        ),
        (
            "\x16\x03\x01\0\x01".to_owned(),
            400,
            "400 - - -: bad request: looks like TLS; this port speaks plain ws://",
        ),
    ] {
        expect(&server, &log, request.as_bytes(), status, &[event, "disconnect"]);
    }
    server.connect().upgrade_with("/", "Origin: https://example.com\r\n");
    assert_eq!(log.lines().len(), 18, "an accepted handshake is no refusal: {:?}", log.lines());
}

#[test]
fn h15_a_refusal_by_the_application_is_an_event() {
    let log = EventLog::default();
    let handler = recording(&log)
        .on_handshake(|_, upgrade| async move {
            match upgrade.path() {
                "/no" => Ok(Decision::Respond(Response::text(402, "pay first"))),
                "/interim" => Ok(Decision::Respond(Response::new(102))),
                "/error" => Err("as asked".into()),
                "/panic" => panic!("as asked"),
                "/never-offered" => Ok(Decision::Accept(Accept::new().subprotocol("soap"))),
                _ => Ok(Decision::Policy),
            }
        })
        .on_before_handshake_response(|_, upgrade, accept| async move {
            if upgrade.path() == "/late" { Err(Response::new(451)) } else { Ok(accept) }
        });
    let server = TestServer::handler(handler);
    for (path, status, reason, failure) in [
        ("/no", 402, "the handler refused the handshake with 402", None),
        ("/interim", 500, "the handler refused the handshake with 500", None),
        ("/late", 451, "the handler refused the handshake with 451", None),
        ("/error", 500, "a method of the handler failed", Some("failed: as asked")),
        ("/panic", 500, "a method of the handler failed", Some("failed: the handler panicked: as asked")),
        (
            "/never-offered",
            500,
            "the handler chose the subprotocol \"soap\", which the client did not offer",
            Some("failed: the client did not offer the subprotocol \"soap\"; choose an offered one, or none"),
        ),
    ] {
        let event = format!("{status} - localhost {path}: {reason}");
        let events: Vec<&str> = failure.into_iter().chain([&*event, "disconnect"]).collect();
        expect(&server, &log, upgrade_request(path, "").as_bytes(), status, &events);
    }
}

#[test]
fn h15_a_refused_connection_is_an_event() {
    let log = EventLog::default();
    let refuse = std::sync::atomic::AtomicU8::new(0);
    let handler = recording(&log).on_connect(move |_| {
        let turn = refuse.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            match turn {
                0 => Err(Refused::with(Response::text(429, "later"))),
                1 => Err(Refused::silently()),
                _ => panic!("as asked"),
            }
        }
    });
    let server = TestServer::handler(handler);
    let mut raw = server.connect();
    assert_eq!(raw.answer().status(), 429);
    raw.expect_end();
    log.expect(&["429 - - -: the handler refused the connection with 429"]);
    server.connect().expect_end();
    log.wait_for("- - - -: the handler refused the connection");
    server.connect().expect_end();
    log.wait_for_count(4);
    assert_eq!(
        log.lines()[2..],
        ["failed: the handler panicked: as asked", "- - - -: a method of the handler failed"]
    );
}

#[test]
fn h15_o8_a_connection_above_a_limit_is_an_event_and_keeps_no_slot() {
    let log = EventLog::default();
    let handler = recording(&log);
    let server = TestServer::limited(Limits::new().max_per_address(1), Port::new(handler));
    let inside = server.open();
    for n in 1..=3 {
        let mut raw = server.connect();
        assert_eq!(raw.answer().status(), 503);
        raw.expect_end();
        log.wait_for_count(n);
    }
    let event = "503 - - -: the client's address has reached the limit of 1 connections";
    assert_eq!(log.lines(), [event; 3]);
    assert_eq!(server.handle.connections().len(), 1);
    drop(inside);
}

#[test]
fn h15_h12_a_late_request_is_an_event_and_a_probe_is_not() {
    let log = EventLog::default();
    let config = Config::new().handshake_timeout(Duration::from_millis(200));
    let server = TestServer::port(Port::new(recording(&log)).config(config));
    let mut probe = server.connect();
    probe.finish();
    probe.expect_end();
    log.expect(&["disconnect"]);
    expect(
        &server,
        &log,
        b"GET / HTTP/1.1\r\nHo",
        408,
        &["408 - - -: the request was not complete in time; received 18 bytes", "disconnect"],
    );
    server.connect().expect_end();
    log.wait_for_count(5);
    assert_eq!(log.lines()[3], "- - - -: the request was not complete in time; received 0 bytes");
    let mut cut = server.connect();
    cut.write("GET / HT");
    cut.finish();
    cut.expect_end();
    log.wait_for_count(7);
    assert_eq!(
        log.lines()[5],
        "- - - -: the client closed the connection before its request was complete; received 8 bytes"
    );
}

#[test]
fn h15_a_panic_in_refused_harms_nothing_and_the_reason_can_be_matched() {
    let log = EventLog::default();
    let seen = log.clone();
    let handler = Callbacks::on_message(|client, message| async move { client.push(message) }).on_refused(
        move |_, refusal| {
            match &refusal.reason {
                RefusalReason::Handshake(rejection) if rejection.reason() == Refusal::Origin => {
                    seen.add(format!("origin {:?}", rejection.request().headers().first("origin")));
                }
                other => seen.add(format!("{other:?}")),
            }
            panic!("as asked");
        },
    );
    let server = TestServer::handler(handler);
    let mut raw = server.connect();
    raw.write(upgrade_request("/", "Origin: null\r\n"));
    assert_eq!(raw.answer().status(), 403);
    raw.expect_end();
    log.expect(&["origin Some(\"null\")"]);
    let mut raw = server.open();
    raw.text("still here");
    raw.expect_text("still here");
}

#[test]
fn h13_h15_the_server_s_own_host_may_be_written_as_a_url_or_named_by_the_policy() {
    let server = TestServer::handler(recording(&EventLog::default()));
    for origin in ["ws://localhost", "wss://localhost/", "http://localhost/", "https://localhost"] {
        server.connect().upgrade_with("/", &format!("Origin: {origin}\r\n"));
    }
    for origin in ["ws://evil.example", "wss://evil.example/", "https://localhost//", "null", "file://"] {
        let mut raw = server.connect();
        raw.write(upgrade_request("/", &format!("Origin: {origin}\r\n")));
        let answer = raw.answer();
        assert_eq!(answer.status(), 403);
        let text = format!("pages of the origin '{origin}' may not connect to the host 'localhost'\n");
        assert_eq!(answer.text(), text);
    }
    let policy = Policy::new().public_hosts(["chat.example.com"]).unwrap();
    let server = TestServer::port(Port::new(recording(&EventLog::default())).policy(policy));
    server.connect().upgrade_with("/", "Origin: https://chat.example.com\r\n");
    let mut raw = server.connect();
    raw.write(upgrade_request("/", "Origin: http://localhost\r\n"));
    assert_eq!(raw.answer().status(), 403);
    let list = Origins::list(["null", "file://"]).unwrap();
    let server =
        TestServer::port(Port::new(recording(&EventLog::default())).policy(Policy::new().origins(list)));
    for origin in ["null", "file://"] {
        server.connect().upgrade_with("/", &format!("Origin: {origin}\r\n"));
    }
}

#[test]
fn t47_h15_a_foreign_host_is_refused_before_the_handler_sees_it() {
    let log = EventLog::default();
    let seen = log.clone();
    let policy = Policy::new().allowed_hosts(["localhost", "127.0.0.1"]).unwrap();
    let handler = recording(&log)
        .on_handshake(move |_, upgrade| {
            seen.add("handshake");
            async move {
                Ok(if upgrade.path() == "/custom" {
                    Decision::Accept(Accept::new())
                } else {
                    Decision::Policy
                })
            }
        })
        .on_request(|_, request| async move { Response::text(200, request.path().to_owned()) });
    let server = TestServer::port(Port::new(handler).policy(policy));
    for path in ["/", "/custom"] {
        server.connect().upgrade_with(path, "Origin: http://localhost\r\n");
        // A page of evil.example, a name that resolves to this server (DNS rebinding).
        let rebound = upgrade_request(path, "Origin: http://evil.example\r\n");
        let rebound = rebound.replace("Host: localhost", "Host: evil.example");
        let before = log.lines();
        let mut raw = server.connect();
        raw.write(rebound);
        let answer = raw.answer();
        assert_eq!((answer.status(), answer.header("Connection")), (421, Some("close")));
        assert_eq!(answer.text(), "this server does not serve the host 'evil.example'\n");
        raw.expect_end();
        log.wait_for_count(before.len() + 2);
        let event = format!(
            "421 http://evil.example evil.example {path}: this server does not serve the host 'evil.example'"
        );
        assert_eq!(log.lines()[before.len()..], [event.as_str(), "disconnect"]);
    }
    let mut raw = server.connect();
    assert_eq!(raw.get("/a").text(), "/a");
    for (request, status) in [
        ("GET /b HTTP/1.1\r\nHost: 127.0.0.1:9501\r\n\r\n", 200),
        // RFC 9112 3.2.2: the host of the target counts.
        ("GET http://localhost/c HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200),
        ("GET http://evil.example/d HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
    ] {
        raw.write(request);
        assert_eq!(raw.answer().status(), status, "{request}");
    }
    raw.expect_end();
    let mut raw = server.connect();
    raw.write("POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(raw.answer().status(), 421);
    raw.expect_end();
}

#[test]
fn t47_h16_behind_a_trusted_proxy_its_host_must_be_allowed() {
    let policy = Policy::new().allowed_hosts(["chat.example.com"]).unwrap();
    let handler = recording(&EventLog::default()).on_request(|_, _| async { Response::text(200, "fine") });
    let port = Port::new(handler).policy(policy);
    let server = TestServer::port(port.trusted_proxies(TrustedProxies::networks(["127.0.0.1"]).unwrap()));
    for (host, allowed) in [("chat.example.com", true), ("evil.example", false)] {
        let line = format!("X-Forwarded-Host: {host}\r\n");
        let mut raw = server.connect();
        raw.write(upgrade_request("/", &line));
        assert_eq!(raw.answer().status(), if allowed { 101 } else { 421 }, "{host}");
        let mut raw = server.connect();
        raw.write(format!("GET / HTTP/1.1\r\nHost: backend\r\n{line}\r\n"));
        assert_eq!(raw.answer().status(), if allowed { 200 } else { 421 }, "{host}");
    }
}
