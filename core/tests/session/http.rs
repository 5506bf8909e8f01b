//! Plain HTTP on the same port.

use std::sync::Arc;
use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::http::Response;
use sockeye_core::session::{HttpSettings, Session};

use super::support::*;

pub(crate) fn http_server(app: App) -> End {
    End::new(Session::server(Arc::new(Config::new())).with_http(HttpSettings::new().max_body_size(10)), app)
}

const GET: &[u8] = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn h4_without_http_a_plain_request_is_refused() {
    let mut server = End::server(Config::new());
    server.receive(GET);
    assert!(server.log[0].starts_with("not opened: the request was refused: "), "{:?}", server.log);
    assert!(server.write_all().starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn h5_requests_follow_one_another_and_then_an_upgrade() {
    for size in 1..80 {
        let mut server = http_server(App::Echo);
        let all = [GET, GET, UPGRADE, b"\x81\x82\0\0\0\0hi"].concat();
        let mut written = Vec::new();
        for chunk in all.chunks(size) {
            server.receive(chunk);
            written.extend(server.settle());
        }
        assert_eq!(
            server.log(),
            ["request GET /page", "request GET /page", "upgrade /chat", "open server None", "message hi"]
        );
        written.extend(server.write_all());
        let written = String::from_utf8_lossy(&written).into_owned();
        assert_eq!(written.matches("HTTP/1.1 200 OK\r\n").count(), 2);
        assert_eq!(written.matches("Connection: keep-alive\r\n").count(), 2);
        assert!(written.ends_with("\r\n\r\n\u{fffd}\u{2}hi"), "{written}");
    }
}

#[test]
fn a_body_is_delivered_as_it_arrives() {
    let bodies: [&[u8]; 2] = [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nfoobar",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n3\r\nbar\r\n0\r\n\r\n",
    ];
    for (body, size) in bodies.into_iter().flat_map(|body| (1..100).map(move |size| (body, size))) {
        let mut server = http_server(App::Silent);
        body.chunks(size).for_each(|chunk| server.receive(chunk));
        assert_eq!(server.log(), ["request POST /", "body foobar", "end of body"]);
        server.session.respond(Response::text(200, "got it"));
        server.settle();
        server.receive(GET);
        let next = ["request GET /page", "end of body"];
        assert_eq!(server.log()[3..], next, "the connection stays, and a GET has an empty body");
    }
}

#[test]
fn a_connection_ends_if_the_body_of_a_request_was_not_read() {
    let mut server = http_server(App::Echo);
    server.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    let written = server.write_all();
    assert!(written.starts_with(b"HTTP/1.1 200 ") && server.session.wants_shutdown());
    server.eof();
    assert_eq!(server.log(), ["request POST /", "ended None"]);
}

#[test]
fn bodies_that_are_too_long_or_malformed_or_cut_are_refused() {
    let cases: [(&[u8], &[u8]); 3] = [
        (b"Content-Length: 11\r\n\r\n", b"HTTP/1.1 413 "),
        (b"Transfer-Encoding: chunked\r\n\r\nx", b"HTTP/1.1 400 "),
        (b"Content-Length: 5\r\n\r\nfoo", b"HTTP/1.1 400 "),
    ];
    for (rest, status) in cases {
        let mut server = http_server(App::Silent);
        server.receive(&[b"POST / HTTP/1.1\r\nHost: a\r\n", rest].concat());
        server.eof();
        assert!(server.log.iter().any(|line| line.starts_with("failed body: ")), "{:?}", server.log);
        assert!(server.write_all().starts_with(status));
        server.poll();
        assert_eq!(server.ended, 1);
    }
}

#[test]
fn h5_a_client_that_expects_100_gets_it_when_the_body_is_read() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let mut server = http_server(App::Silent);
    server.receive(head);
    assert_eq!(server.write_all(), b"HTTP/1.1 100 Continue\r\n\r\n");
    server.receive(b"foo");
    assert_eq!(server.log(), ["request POST /", "body foo", "end of body"]);
    let mut server = http_server(App::Echo);
    server.receive(head);
    assert!(server.write_all().starts_with(b"HTTP/1.1 200 "), "no 100 before an early response");
}

#[test]
fn a_body_has_a_deadline() {
    let mut server = http_server(App::Silent);
    server.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    server.at(Duration::ZERO);
    server.receive(b"f");
    server.at(Duration::from_secs(29));
    assert_eq!(server.log.len(), 2);
    server.at(Duration::from_secs(30));
    assert!(server.write_all().starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn the_silent_end_of_a_kept_alive_connection_is_not_an_error() {
    let mut server = http_server(App::Echo);
    server.receive(GET);
    server.settle();
    server.eof();
    assert_eq!(server.log(), ["request GET /page", "ended None"]);
    let mut server = http_server(App::Echo);
    server.eof();
    assert_eq!(server.log.len(), 2, "without any request it is: {:?}", server.log);
}

#[test]
fn a_response_can_neither_be_interim_nor_open_a_tunnel() {
    for (request, response, status) in [
        (GET, Response::new(101), &b"HTTP/1.1 500 "[..]),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Response::new(200), b"HTTP/1.1 501 "),
    ] {
        let mut server = http_server(App::Echo);
        server.responses.push(response);
        server.receive(request);
        assert!(server.write_all().starts_with(status));
        assert!(server.session.wants_shutdown());
    }
}

#[test]
fn h5_the_response_to_a_head_has_no_content() {
    let mut server = http_server(App::Echo);
    server.receive(b"HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n");
    let written = server.write_all();
    assert!(written.ends_with(b"\r\n\r\n"), "{}", written.escape_ascii());
}

#[test]
fn a_connection_waits_for_its_next_request_and_then_gives_the_head_its_own_time() {
    let mut server = http_server(App::Echo);
    server.receive(GET);
    server.settle();
    server.at(Duration::ZERO);
    server.at(Duration::from_secs(74));
    server.receive(b"G");
    server.at(Duration::from_secs(74));
    server.at(Duration::from_secs(83));
    assert_eq!(server.log(), ["request GET /page"]);
    server.at(Duration::from_secs(84));
    assert!(server.log[1].starts_with("not opened: "), "{:?}", server.log);
    let mut server = http_server(App::Echo);
    server.receive(GET);
    server.settle();
    server.at(Duration::ZERO);
    server.at(Duration::from_secs(75));
    assert_eq!(server.log(), ["request GET /page", "ended None"]);
}

#[test]
fn further_requests_wait_until_the_client_reads_its_responses() {
    let mut server = http_server(App::Echo);
    server.receive(&[GET, GET].concat());
    assert_eq!(server.log(), ["request GET /page"]);
    server.at(Duration::ZERO);
    server.at(Duration::from_secs(29));
    server.write_all();
    server.poll();
    assert_eq!(server.log(), ["request GET /page"; 2]);
    server.at(Duration::from_secs(29));
    server.at(Duration::from_secs(59));
    assert_eq!(server.log.last().unwrap(), "ended None", "the response was not read in time");
}

#[test]
fn every_final_response_has_a_date_where_there_is_a_clock() {
    fn date() -> String {
        "Sun, 06 Nov 1994 08:49:37 GMT".into()
    }
    for request in [GET, b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"] {
        let session = Session::server(Arc::new(Config::new())).with_http(HttpSettings::new());
        let mut server = End::new(session.with_date(date), App::Echo);
        server.receive(request);
        let response = String::from_utf8(server.write_all()).unwrap();
        assert_eq!(response.matches("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n").count(), 1, "{response}");
    }
}

#[test]
fn a_connection_can_be_rejected_before_its_first_request() {
    let mut server = End::server(Config::new());
    server.session.reject(Response::text(503, "full"));
    server.poll();
    assert!(server.write_all().starts_with(b"HTTP/1.1 503 "));
    server.receive(GET);
    server.eof();
    assert_eq!(server.log.last().unwrap(), "ended None");
}

#[test]
fn h5_a_body_without_a_content_type_gets_one() {
    let types = [
        (Response::new(200).body("caf\u{e9}"), "Content-Type: text/plain; charset=utf-8\r\n"),
        (Response::new(200).body([0xff, 0]), "Content-Type: application/octet-stream\r\n"),
        (Response::html(200, "<p>"), "Content-Type: text/html; charset=utf-8\r\n"),
        (Response::new(200), ""),
        (Response::new(304).body("never sent"), ""),
    ];
    for (response, expected) in types {
        let mut server = http_server(App::Silent);
        server.receive(GET);
        server.session.respond(response);
        let written = String::from_utf8_lossy(&server.write_all()).into_owned();
        let lines: String =
            written.split_inclusive('\n').filter(|line| line.starts_with("Content-Type")).collect();
        assert_eq!(lines, expected);
    }
}

#[test]
fn h5_the_deadline_of_a_response_is_set_again_when_much_of_it_is_written() {
    let (timeout, demanded) = (Duration::from_secs(30), 30 << 10);
    for last in [false, true] {
        for (part, is_kept) in [(demanded, true), (demanded / 3 - 1, false)] {
            let mut server = http_server(App::Silent);
            server.receive(GET);
            let response = Response::text(200, vec![b'x'; 10 * demanded]);
            if last {
                server.session.respond_last(response)
            } else {
                server.session.respond(response)
            }
            let mut now = sockeye_core::Instant::EPOCH + timeout;
            server.session.handle_timeout(now);
            for _ in 0..3 {
                now = now + Duration::from_secs(29) / 2;
                server.session.transmitted(part);
                server.session.handle_timeout(now);
            }
            assert_eq!(server.session.poll_transmit().is_some(), is_kept, "last {last}, {part} bytes");
        }
    }
}
