//! The opening handshake: accepted, refused, rejected, malformed, late.

use std::time::Duration;

use sockeye_core::handshake::server::Accept;
use sockeye_core::http::Response;
use sockeye_core::{Config, SendError};

use super::http::http_server;
use super::support::*;

#[test]
fn a_client_and_a_server_open_talk_and_close_whatever_the_chunking() {
    for size in 1..200 {
        let (mut server, mut client) = (End::server(Config::new()), End::client(Config::new()));
        connect(&mut client, &mut server, size);
        assert_eq!(client.log(), ["open client None"], "{size}");
        client.session.send("hello").unwrap();
        client.session.ping(b"p").unwrap();
        connect(&mut client, &mut server, size);
        client.session.close(1000, "bye").unwrap();
        connect(&mut client, &mut server, size);
        assert_eq!(
            server.log(),
            [
                "upgrade /chat",
                "open server None",
                "message hello",
                "ping p",
                "close Some(1000) \"bye\"",
                "ended Some((1000, true))"
            ],
            "{size}"
        );
        assert_eq!(
            client.log(),
            [
                "open client None",
                "message hello",
                "pong p",
                "close Some(1000) \"bye\"",
                "ended Some((1000, true))"
            ],
            "{size}"
        );
    }
}

#[test]
fn a_server_may_close_first() {
    let (mut server, mut client) = (End::server(Config::new()), End::client(Config::new()));
    connect(&mut client, &mut server, 1000);
    server.session.close(1001, "").unwrap();
    connect(&mut client, &mut server, 1000);
    assert_eq!(server.log.last().unwrap(), "ended Some((1001, true))");
    assert_eq!(client.log.last().unwrap(), "ended Some((1001, true))");
}

#[test]
fn frames_that_follow_the_request_wait_for_a_late_decision() {
    let mut server = End::server(Config::new());
    server.app = App::Hold;
    server.receive(UPGRADE);
    server.receive(b"\x81\x82\0\0\0\0hi");
    assert_eq!((server.log(), server.input.len()), (vec!["upgrade /chat"], 8));
    assert_eq!(server.session.send("early"), Err(SendError::NotOpen));
    let upgrade = server.held.take().unwrap();
    server.session.accept(upgrade, &Accept::new()).unwrap();
    server.poll();
    assert_eq!(server.log(), ["upgrade /chat", "open server None", "message hi"]);
    assert!(server.write_all().starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
}

#[test]
fn a_subprotocol_that_was_not_offered_leaves_the_upgrade_unanswered() {
    let mut server = End::server(Config::new());
    server.app = App::Hold;
    server.receive(UPGRADE);
    let upgrade = server.held.take().unwrap();
    let error = server.session.accept(upgrade, &Accept::new().subprotocol("chat")).unwrap_err();
    server.session.accept(error.into_upgrade(), &Accept::new()).unwrap();
    server.poll();
    assert_eq!(server.log(), ["upgrade /chat", "open server None"]);
}

#[test]
fn a_decision_after_the_end_changes_nothing() {
    let mut server = End::server(Config::new());
    server.app = App::Hold;
    server.receive(UPGRADE);
    let upgrade = server.held.take().unwrap();
    server.session.abort();
    server.poll();
    server.session.accept(upgrade, &Accept::new()).unwrap();
    server.session.reject(Response::new(403));
    server.session.respond(Response::new(200));
    server.poll();
    assert_eq!(server.log(), ["upgrade /chat", "ended None"]);
    assert!(server.write_all().is_empty());
}

#[test]
fn h2_an_invalid_upgrade_is_refused_with_the_rule_and_the_session_ends_after_the_response() {
    let (mut server, mut client) = (End::server(Config::new()), End::client(Config::new()));
    let request = String::from_utf8(UPGRADE.to_vec()).unwrap().replace("13", "12");
    server.receive(request.as_bytes());
    assert_eq!(
        server.log(),
        ["not opened: the request was refused: the Sec-WebSocket-Version header must be 13"]
    );
    assert!(!server.session.wants_shutdown(), "the response has not been written");
    let response = server.write_all();
    assert!(server.session.wants_shutdown());
    server.receive(b"more");
    server.eof();
    assert_eq!(server.log.last().unwrap(), "ended None");
    client.receive(&response);
    let text = client.log[0].as_str();
    assert!(text.starts_with("not opened: the server did not open the WebSocket: "), "{text}");
    assert_eq!(client.log[1..], ["ended None"]);
}

#[test]
fn a_client_that_expects_a_subprotocol_fails_on_an_invalid_response() {
    let mut client = End::client(Config::new());
    client.write_all();
    client.receive(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!((client.log.len(), client.ended), (2, 1), "{:?}", client.log);
    assert!(client.session.wants_shutdown());
}

#[test]
fn h12_the_opening_handshake_has_a_deadline_that_bytes_do_not_extend() {
    for is_server in [true, false] {
        let config = Config::new().handshake_timeout(Duration::from_secs(10));
        let mut end = if is_server { End::server(config) } else { End::client(config) };
        end.at(Duration::ZERO);
        let byte: &[u8] = if is_server { b"G" } else { b"H" };
        end.receive(byte);
        end.at(Duration::from_millis(9_999));
        assert!(end.log.is_empty());
        end.at(Duration::from_secs(10));
        assert!(end.log[0].starts_with("not opened: "), "{:?}", end.log);
        if is_server {
            assert!(end.write_all().starts_with(b"HTTP/1.1 408 "));
            assert_eq!(end.ended, 0, "the client may still read the response");
            end.at(Duration::from_secs(11));
            end.at(Duration::from_secs(14));
        }
        assert_eq!(end.ended, 1);
        assert_eq!(end.session.poll_timeout(), None);
    }
}

#[test]
fn k1_a_refusal_without_a_length_on_an_open_connection_ends_a_client_after_half_a_second() {
    let refusal = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nX: a\r\n b\r\n\r\nwho";
    for split in 0..=refusal.len() {
        let mut client = End::client(Config::new());
        client.at(Duration::ZERO);
        client.receive(&refusal[..split]);
        client.receive(&refusal[split..]);
        client.at(Duration::from_secs(1));
        client.at(Duration::from_millis(1_499));
        assert!(client.log.is_empty(), "split at {split}");
        client.at(Duration::from_millis(1_500));
        assert!(client.log[0].contains("not opened: "), "{:?}", client.log);
        assert_eq!((client.ended, client.session.poll_timeout()), (1, None));
    }
    // A server that closes the connection ends the body, so nothing waits.
    let mut client = End::client(Config::new());
    client.at(Duration::ZERO);
    client.receive(refusal);
    client.eof();
    assert_eq!(client.ended, 1);
}

#[test]
fn rejections_by_the_application_go_out_whole() {
    let mut server = End::server(Config::new());
    server.app = App::Hold;
    server.receive(UPGRADE);
    server.session.reject(Response::text(401, "who are you"));
    server.poll();
    let response = server.write_all();
    assert!(response.starts_with(b"HTTP/1.1 401 ") && response.ends_with(b"who are you"));
    server.eof();
    assert_eq!(
        server.log(),
        ["upgrade /chat", "not opened: the application rejected the request with status 401", "ended None"]
    );
}

#[test]
fn a_request_that_is_answered_early_still_goes_out_whole() {
    let mut client = End::client(Config::new());
    let head = client.write(20);
    client.receive(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: CdXSYUsvsaMthlEXWDNURGWA/1o=\r\n\r\n",
    );
    assert_eq!(client.log(), ["open client None"]);
    client.session.send("x").unwrap();
    let rest = client.write_all();
    let request = [head, rest].concat();
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(request.starts_with(b"GET /chat HTTP/1.1\r\n"));
    assert_eq!(request.len() - end, 7, "one masked frame follows the request");
}

/// Returns [`UPGRADE`] with more header lines.
fn upgrade_with(lines: &str) -> Vec<u8> {
    let mut request = UPGRADE.to_vec();
    request.truncate(UPGRADE.len() - 2);
    request.extend_from_slice(lines.as_bytes());
    request.extend_from_slice(b"\r\n");
    request
}

#[test]
fn h14_an_upgrade_that_expects_a_100_gets_it_once_it_is_accepted() {
    let mut server = End::server(Config::new());
    server.app = App::Hold;
    server.receive(&upgrade_with("Expect: 100-continue\r\n"));
    assert!(server.write_all().is_empty(), "the application may still refuse");
    let upgrade = server.held.take().unwrap();
    server.session.accept(upgrade, &Accept::new()).unwrap();
    server.poll();
    let written = server.write_all();
    assert!(
        written.starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n"),
        "{}",
        written.escape_ascii()
    );
    let mut server = End::server(Config::new());
    server.app = App::Hold;
    server.receive(&upgrade_with("Expect: 100-continue\r\n"));
    server.session.reject(Response::new(403));
    assert!(server.write_all().starts_with(b"HTTP/1.1 403 "));
}

#[test]
fn h14_a_client_opens_after_a_100_and_a_101() {
    let (mut server, mut client) = (End::server(Config::new()), End::client(Config::new()));
    let request = String::from_utf8(client.write_all()).unwrap();
    server.receive(request.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    let response = server.write_all();
    assert!(response.starts_with(b"HTTP/1.1 100 "));
    client.receive(&response);
    assert_eq!(client.log(), ["open client None"]);
}

#[test]
fn h14_an_unknown_expectation_gets_a_417_from_an_upgrade_and_from_plain_http() {
    let plain = b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n".to_vec();
    for (request, content) in [
        (upgrade_with("Expect: miracles\r\n"), "the only supported expectation is 100-continue\n"),
        (
            upgrade_with("Expect: 100-continue, miracles\r\n"),
            "the only supported expectation is 100-continue\n",
        ),
        (plain, ""),
    ] {
        for http in [true, false] {
            let mut server = if http { http_server(App::Echo) } else { End::server(Config::new()) };
            server.receive(&request);
            assert_eq!(
                server.log(),
                ["not opened: the request was refused: the only supported expectation is 100-continue"]
            );
            let written = String::from_utf8(server.write_all()).unwrap();
            assert!(written.starts_with("HTTP/1.1 417 Expectation Failed\r\n"), "{written}");
            assert!(written.ends_with(&format!("\r\n\r\n{content}")), "{written}");
        }
    }
}
