//! The server side of the opening handshake (H1-H4, H7-H9, H11, H12).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod handshake_support;

use core::time::Duration;
use std::sync::Arc;

use handshake_support::*;
use sockeye_core::handshake::server::{
    Accept, Policy, Refusal, ServerHandshake, ServerHandshakeError, SubprotocolNotOffered, Upgrade,
};
use sockeye_core::handshake::{InvalidKey, accept_key, is_valid_key};
use sockeye_core::http::{BodyLength, InvalidHeader, Request, Version};
use sockeye_core::{Config, Instant, RecvBuf};
use sockeye_testkit::handshake::{SAMPLE_ACCEPT, SAMPLE_KEY};

fn head_of(text: &str, options: &Accept) -> String {
    String::from_utf8(transmitted(&mut accept(text, options).connection)).unwrap()
}

#[test]
fn h1_a_101_has_the_required_headers_and_no_others() {
    assert_eq!(
        head_of(&open_with(""), &Accept::new()),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n\r\n"
        )
    );
}

#[test]
fn h1_h9_a_subprotocol_and_extra_headers_follow_in_order() {
    let options = Accept::new()
        .subprotocol("chat")
        .header("Set-Cookie", "a=1")
        .unwrap()
        .header("set-cookie", "b=2")
        .unwrap();
    let head = head_of(&open_with("Sec-WebSocket-Protocol: soap, chat\r\n"), &options);
    assert!(
        head.ends_with("xOo=\r\nSec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn h2_tokens_match_in_any_case_list_and_line() {
    for upgrade in ["websocket", "WebSocket", "abc, websocket, def", "h2c,WEBSOCKET", ", ,\twebsocket ,"] {
        for connection in
            ["Upgrade", "upgrade", "keep-alive, Upgrade", "close,UPGRADE,", "TE\r\nConnection: upgrade"]
        {
            for lines in [1, 2] {
                let more = if lines == 2 { "Upgrade: other\r\nConnection: other\r\n" } else { "" };
                let head = open_with(more)
                    .replace("Upgrade: websocket", &format!("UPGRADE: {upgrade}"))
                    .replace("Connection: Upgrade", &format!("connection: {connection}"));
                assert_eq!(status_of(&answer(head.as_bytes()).unwrap()), 101, "{head}");
            }
        }
    }
}

#[test]
fn h2_each_refusal_names_its_rule() {
    let table = [
        ("Upgrade: websocket\r\n", "", Refusal::NotWebSocket, 400, "WebSocket endpoint"),
        ("GET ", "POST ", Refusal::Method, 405, "GET"),
        ("HTTP/1.1", "HTTP/1.0", Refusal::HttpVersion, 400, "HTTP/1.1"),
        ("Connection: Upgrade\r\n", "", Refusal::Connection, 400, "Connection"),
        ("Version: 13", "Version: 12", Refusal::Version, 426, "13"),
        (
            "Version: 13",
            "Version: 13\r\nSec-WebSocket-Version: 13",
            Refusal::RepeatedVersion,
            400,
            "only once",
        ),
        ("Sec-WebSocket-Key", "X", Refusal::MissingKey, 400, "missing"),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Key: x", Refusal::RepeatedKey, 400, "only once"),
        ("ZQ==", "ZR==", Refusal::InvalidKey(InvalidKey::SpareBits), 400, "RFC 4648 section 3.5"),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Protocol: a/b", Refusal::Subprotocol, 400, "tokens"),
        (
            "Version: 13",
            "Version: 13\r\nSec-WebSocket-Extensions: a; b=\"c",
            Refusal::Extensions,
            400,
            "list of extensions",
        ),
        ("Version: 13", "Version: 13\r\nContent-Length: 2", Refusal::Body, 400, "not have a body"),
    ];
    for (from, to, refusal, status, word) in table {
        let head = open_with("").replace(from, to);
        let rejection = Upgrade::new(read_request(head.as_bytes()).unwrap().unwrap()).unwrap_err();
        assert_eq!((rejection.reason(), rejection.status()), (refusal, status), "{head}");
        let response = rejection.response();
        assert_eq!(response.status(), status);
        let body = String::from_utf8(response.content().to_vec()).unwrap();
        assert!(body.contains(word) && body.contains(&rejection.to_string()), "{body}");
        assert_eq!(rejection.request().headers().first("host"), Some("server.example.com"));
    }
}

#[test]
fn h2_the_response_to_a_head_request_has_no_body() {
    let head = open_with("").replace("GET ", "HEAD ");
    let rejection = Upgrade::new(read_request(head.as_bytes()).unwrap().unwrap()).unwrap_err();
    assert_eq!(rejection.reason(), Refusal::Method);
    let bytes = rejection.response().encode();
    assert!(bytes.starts_with(b"HTTP/1.1 405 ") && bytes.ends_with(b"\r\n\r\n"));
}

#[test]
fn h2_refusals_have_the_headers_that_http_requires() {
    let text = |from: &str, to: &str| {
        String::from_utf8(answer(open_with("").replace(from, to).as_bytes()).unwrap()).unwrap()
    };
    let wrong_method = text("GET ", "DELETE ");
    assert!(
        wrong_method.contains("\r\nAllow: GET\r\n") && wrong_method.contains("\r\nConnection: close\r\n")
    );
    for wrong_version in [text("Version: 13", "Version: 99"), text("Sec-WebSocket-Version: 13\r\n", "")] {
        assert!(wrong_version.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{wrong_version}");
        assert!(wrong_version.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{wrong_version}");
        assert!(wrong_version.contains("\r\nUpgrade: websocket\r\n"), "{wrong_version}");
        assert_eq!(wrong_version.matches("Connection:").count(), 1, "{wrong_version}");
        assert!(wrong_version.contains("\r\nConnection: Upgrade, close\r\n"), "{wrong_version}");
    }
}

#[test]
fn h3_the_sample_key_of_the_rfc_gets_its_answer() {
    assert_eq!(accept_key(SAMPLE_KEY), SAMPLE_ACCEPT);
    // `accept_key` takes any text; only the server insists on a valid key.
    assert_eq!(accept_key(""), "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
}

#[test]
fn h3_a_key_is_checked_at_every_byte() {
    assert!(is_valid_key(SAMPLE_KEY));
    for place in 0..24 {
        for byte in 0..=255u8 {
            let mut key = SAMPLE_KEY.as_bytes().to_vec();
            key[place] = byte;
            let valid = match place {
                0..21 => byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/',
                21 => b"AQgw".contains(&byte),
                _ => byte == b'=',
            };
            if let Ok(key) = std::str::from_utf8(&key) {
                assert_eq!(is_valid_key(key), valid, "{key:?}");
            }
        }
    }
}

#[test]
fn h3_a_key_has_24_characters() {
    for len in 0..64 {
        let key = format!("{}A==", "x".repeat(len));
        assert_eq!(is_valid_key(&key), len == 21, "{key}");
    }
    assert!(!is_valid_key(&SAMPLE_KEY.replace("==", "")));
    assert!(!is_valid_key(&format!("{SAMPLE_KEY}=")));
    assert!(!is_valid_key(&format!(" {SAMPLE_KEY}")));
}

#[test]
fn h3_the_refusal_of_a_key_says_what_is_wrong_with_it() {
    use InvalidKey::{Length, NotBase64, SpareBits};
    for (key, error) in [
        // The example of RFC 6455 4.1, whose last digit has a bit that decoding drops.
        ("AQIDBAUGBwgJCgsMDQ4PEC==", SpareBits),
        ("dGhlIHNhbXBsZSBub25jZR==", SpareBits),
        ("", Length(0)),
        ("dGhlIHNhbXBsZSBub25j", Length(15)),
        ("dGhlIHNhbXBsZSBub25jZTI=", Length(17)),
        ("dGhlIHNhbXBsZSBub25jZTIz", Length(18)),
        ("AA==", Length(1)),
        ("dGhlIHNhbXBsZSBub25jZQ", NotBase64),
        ("dGhlIHNhbXBsZSBub25jZQ=", NotBase64),
        ("dGhlIHNhbXBsZSBub25jZ===", NotBase64),
        ("dGhlIHNh=XBsZSBub25jZQ==", NotBase64),
        ("dGhlIHNhbXBsZSB-b25jZQ==", NotBase64),
        ("dGhlIHNhbXBsZSB b25jZQ==", NotBase64),
        ("====", NotBase64),
        ("=", NotBase64),
    ] {
        let head = open_with("").replace(SAMPLE_KEY, key);
        let rejection = Upgrade::new(read_request(head.as_bytes()).unwrap().unwrap()).unwrap_err();
        assert_eq!(rejection.reason(), Refusal::InvalidKey(error), "{key}");
        let body = String::from_utf8(rejection.response().content().to_vec()).unwrap();
        assert_eq!(body, format!("the Sec-WebSocket-Key header must be 16 bytes in base64: {error}\n"));
        assert!(!is_valid_key(key));
    }
}

/// Returns the refusal of a request that is received as bytes, and that of the same request by
/// parts.
fn refusals(head: &str) -> [Option<Refusal>; 2] {
    let request = read_request(head.as_bytes()).unwrap().unwrap();
    let fields = request.headers().iter();
    let parts = Request::from_parts(request.method(), request.target(), request.version(), fields).unwrap();
    [request, parts].map(|request| Upgrade::new(request).err().map(|rejection| rejection.reason()))
}

#[test]
fn h2_a_list_needs_an_element_but_not_in_every_line() {
    for (name, element, refusal) in [
        ("Sec-WebSocket-Extensions", "x-mine; a=b", Refusal::Extensions),
        ("Sec-WebSocket-Protocol", "chat", Refusal::Subprotocol),
    ] {
        for empty in ["", ",", " , ,\t,"] {
            let line = format!("{name}:{empty}\r\n");
            assert_eq!(refusals(&open_with(&line)), [Some(refusal); 2], "{line}");
            assert_eq!(refusals(&open_with(&format!("{line}{line}"))), [Some(refusal); 2], "{line} twice");
            let full = format!("{name}: {element}\r\n");
            for lines in [format!("{line}{full}"), format!("{full}{line}"), format!("{name}: {element},\r\n")]
            {
                assert_eq!(refusals(&open_with(&lines)), [None; 2], "{lines}");
            }
        }
    }
    for (name, refusal) in
        [("Upgrade: websocket", Refusal::NotWebSocket), ("Connection: Upgrade", Refusal::Connection)]
    {
        let (field, _) = name.split_once(' ').unwrap();
        for empty in ["", " ,", " , ,"] {
            let head = open_with("").replace(name, &format!("{field}{empty}"));
            assert_eq!(refusals(&head), [Some(refusal); 2], "{head}");
            let head = open_with(&format!("{field}{empty}\r\n"));
            assert_eq!(refusals(&head), [None; 2], "{head}");
        }
    }
    for (version, refusal) in [("", Refusal::Version), (",", Refusal::Version), ("13,", Refusal::Version)] {
        let head = open_with("").replace("Version: 13", &format!("Version: {version}"));
        assert_eq!(refusals(&head), [Some(refusal); 2], "{head}");
    }
    let repeated = open_with("Sec-WebSocket-Version:\r\n");
    assert_eq!(refusals(&repeated), [Some(Refusal::RepeatedVersion); 2]);
}

#[test]
fn h14_a_client_that_expects_a_100_gets_it_before_the_101() {
    let plain = head_of(&open_with(""), &Accept::new());
    for expect in ["100-continue", "100-Continue", ", 100-continue ,", "\r\nExpect: 100-continue"] {
        let head = open_with(&format!("Expect: {expect}\r\n"));
        assert!(upgrade(&head).request().expects_continue());
        assert_eq!(
            head_of(&head, &Accept::new()),
            format!("HTTP/1.1 100 Continue\r\n\r\n{plain}"),
            "{expect}"
        );
        // By parts, the HTTP library of the caller sends the 100.
        let accepted = upgrade(&head).accept_parts(&Accept::new(), config()).unwrap();
        assert_eq!(
            (accepted.response.encode(), accepted.connection.queued()),
            (plain.clone().into_bytes(), 0)
        );
    }
    for other in ["", "100", "100-continued"] {
        assert_eq!(head_of(&open_with(&format!("Expect: {other}\r\n")), &Accept::new()), plain, "{other}");
    }
}

#[test]
fn h14_a_refused_upgrade_and_an_http_1_0_request_get_no_100() {
    for (from, to, status) in [
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Version: 13", "Version: 12", 426),
        ("Version: 13", "Version: 13\r\nOrigin: https://evil.example", 403),
    ] {
        let head = open_with("Expect: 100-continue\r\n").replace(from, to);
        assert_eq!(status_of(&answer(head.as_bytes()).unwrap()), status, "{head}");
    }
    let old = open_with("Expect: 100-continue\r\n").replace("HTTP/1.1", "HTTP/1.0");
    assert!(!read_request(old.as_bytes()).unwrap().unwrap().expects_continue());
}

#[test]
fn h4_a_plain_request_gets_a_400_page_that_describes_the_handshake() {
    for request in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"]
    {
        let text = String::from_utf8(answer(request.as_bytes()).unwrap()).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        for word in [
            "HTTP 400 Bad Request",
            "WebSocket endpoint",
            "Upgrade: websocket",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version: 13",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }
}

#[test]
fn h4_a_rejected_request_can_still_be_answered_as_plain_http() {
    let bytes = b"POST /form?a=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let mut bytes = bytes.to_vec();
    let mut input = RecvBuf::new(&mut bytes);
    let request = ServerHandshake::new(config()).poll_request(&mut input).unwrap().unwrap();
    let rejection = Upgrade::new(request).unwrap_err();
    let request = rejection.into_request();
    assert_eq!((request.method(), request.path(), request.query()), ("POST", "/form", Some("a=1")));
    assert_eq!(request.body_length(), BodyLength::Length(3));
    assert_eq!(input.remaining(), b"abc");
}

#[test]
fn k5_a_get_and_an_upgrade_in_one_buffer_are_read_in_turn() {
    let mut bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{}\x01", open_with("")).into_bytes();
    let mut input = RecvBuf::new(&mut bytes);
    let first = ServerHandshake::new(config()).poll_request(&mut input).unwrap().unwrap();
    assert!(Upgrade::new(first).is_err());
    let second = ServerHandshake::new(config()).poll_request(&mut input).unwrap().unwrap();
    assert!(Upgrade::new(second).is_ok());
    assert_eq!(input.remaining(), b"\x01");
}

#[test]
fn h7_t8_frames_after_the_head_are_kept_at_every_split() {
    let frames = b"\x81\x85\x01\x02\x03\x04igohn\x82\x80\0\0\0\0";
    let head = open_with("Sec-WebSocket-Protocol: chat\r\n");
    let stream = [head.as_bytes(), frames].concat();
    for split in 0..=stream.len() {
        let (mut handshake, mut requests, mut left) =
            (ServerHandshake::new(config()), Vec::new(), Vec::new());
        for part in [&stream[..split], &stream[split..]] {
            let mut part = part.to_vec();
            let mut input = RecvBuf::new(&mut part);
            if requests.is_empty() {
                requests.extend(handshake.poll_request(&mut input).unwrap());
            }
            left.extend_from_slice(input.remaining());
        }
        assert_eq!(left, frames, "split at {split}");
        let upgrade = Upgrade::new(requests.remove(0)).unwrap();
        assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["chat"]);
        assert_eq!(upgrade.path(), "/chat");
    }
}

#[test]
fn a_request_returns_what_the_client_sent() {
    let head = open_with(
        "Origin: https://a.example\r\nCookie: a=b; c=d=e;f\r\nX-Raw: \u{e9}\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; a=\"b\"\r\nSec-WebSocket-Extensions: x\r\n",
    )
    .replace("/chat", "/a%20b?x=1&y=?");
    let upgrade = upgrade(&head);
    let request = upgrade.request();
    assert_eq!((request.method(), request.version()), ("GET", Version::Http11));
    assert_eq!((request.target(), request.path()), ("/a%20b?x=1&y=?", "/a%20b"));
    assert_eq!(request.query(), Some("x=1&y=?"));
    assert_eq!((upgrade.host(), upgrade.origin()), ("server.example.com", Some("https://a.example")));
    assert_eq!(request.cookies().collect::<Vec<_>>(), [("a", "b"), ("c", "d=e")]);
    assert_eq!(request.headers().all("x-raw").collect::<Vec<_>>(), ["\u{e9}".as_bytes()]);
    assert_eq!(
        upgrade.extension_offers().collect::<Vec<_>>(),
        ["permessage-deflate; a=\"b\"", "x"],
        "lines are not split at commas, because commas may be quoted"
    );
    assert_eq!(request.headers().len(), 10);
}

#[test]
fn an_absolute_target_names_the_host() {
    let table = [
        ("http://b.example:81/x?y", "b.example:81", "/x", Some("y")),
        ("HTTP://b.example", "b.example", "/", None),
        ("https://b.example?y=/z", "b.example", "/", Some("y=/z")),
        ("/http://c/", "server.example.com", "/http://c/", None),
    ];
    for (target, host, path, query) in table {
        let upgrade = upgrade(&open_with("").replace("/chat", target));
        assert_eq!(
            (upgrade.host(), upgrade.path(), upgrade.request().query()),
            (host, path, query),
            "{target}"
        );
    }
}

#[test]
fn h8_the_server_s_order_decides_among_the_offered_subprotocols() {
    let policy =
        |names: &[&str]| names.iter().try_fold(Policy::new(), |p, name| p.subprotocol(name)).unwrap();
    let table: &[(&[&str], &str, Option<&str>)] = &[
        (&[], "", None),
        (&[], "Sec-WebSocket-Protocol: chat\r\n", None),
        (&["chat"], "", None),
        (&["chat"], "Sec-WebSocket-Protocol: chat\r\n", Some("chat")),
        (&["chat"], "Sec-WebSocket-Protocol: soap\r\n", None),
        (&["chat"], "Sec-WebSocket-Protocol: CHAT\r\n", None),
        (&["chat"], "Sec-WebSocket-Protocol: chatter, cha\r\n", None),
        (&["b", "a"], "Sec-WebSocket-Protocol: a, b\r\n", Some("b")),
        (&["a", "b"], "Sec-WebSocket-Protocol: b, a\r\n", Some("a")),
        (&["c", "b"], "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", Some("b")),
        (&["c", "b"], "Sec-WebSocket-Protocol: b, b\r\n", Some("b")),
    ];
    for &(ours, offer, chosen) in table {
        let upgrade = upgrade(&open_with(offer));
        let options = policy(ours).decide(&upgrade).unwrap();
        let mut accepted = upgrade.accept(&options, config()).unwrap();
        assert_eq!(accepted.subprotocol.as_deref(), chosen, "{ours:?} {offer}");
        let head = String::from_utf8(transmitted(&mut accepted.connection)).unwrap();
        let line = chosen.map(|name| format!("\r\nSec-WebSocket-Protocol: {name}\r\n"));
        assert_eq!(head.matches("Sec-WebSocket-Protocol").count(), usize::from(chosen.is_some()));
        assert!(line.is_none_or(|line| head.contains(&line)), "{head}");
    }
}

#[test]
fn h8_a_subprotocol_that_was_not_offered_is_never_sent_and_the_handshake_can_be_accepted_again() {
    for offer in ["", "Sec-WebSocket-Protocol: soap, CHAT\r\n"] {
        for chosen in ["chat", "", "soap, CHAT", "soap\r\nX: y"] {
            let refused: SubprotocolNotOffered =
                upgrade(&open_with(offer)).accept(&Accept::new().subprotocol(chosen), config()).unwrap_err();
            assert_eq!(refused.name(), chosen);
            let mut accepted = refused.into_upgrade().accept(&Accept::new(), config()).unwrap();
            let head = String::from_utf8(transmitted(&mut accepted.connection)).unwrap();
            assert!(!head.contains("Sec-WebSocket-Protocol") && !head.contains("X: y"), "{head}");
        }
    }
}

#[test]
fn h8_a_policy_refuses_names_that_are_not_tokens_or_repeated() {
    for bad in ["", "a b", "a,b", "a\r\n", "\u{e9}", "a/b"] {
        assert_eq!(Policy::new().subprotocol(bad).unwrap_err(), InvalidHeader::Subprotocol, "{bad:?}");
    }
    assert!(Policy::new().subprotocol("a").unwrap().subprotocol("a").is_err());
    assert!(Policy::new().subprotocol("a").unwrap().subprotocol("A").is_ok());
}

#[test]
fn h9_the_headers_of_the_handshake_cannot_be_set() {
    for name in [
        "Upgrade",
        "CONNECTION",
        "sec-websocket-accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "SEC-WEBSOCKET-anything",
        "Content-Length",
        "Transfer-Encoding",
    ] {
        assert_eq!(Accept::new().header(name, "x").unwrap_err(), InvalidHeader::Reserved, "{name}");
    }
    assert!(Accept::new().header("Sec-WebSocke", "x").is_ok());
}

#[test]
fn h11_the_request_outlives_the_handshake() {
    let accepted = accept(&open_with("Cookie: a=b\r\n").replace("/chat", "/chat?room=7"), &Accept::new());
    assert_eq!(accepted.request.query(), Some("room=7"));
    assert_eq!(accepted.request.cookies().next(), Some(("a", "b")));
}

#[test]
fn h12_t1_the_timeout_covers_the_whole_handshake_even_if_bytes_keep_arriving() {
    let mut handshake =
        ServerHandshake::new(Arc::new(Config::new().handshake_timeout(Duration::from_secs(10))));
    assert_eq!(handshake.poll_timeout(), Some(Instant::EPOCH), "the handshake needs to know the time");
    let start = Instant::from_epoch(Duration::from_secs(1000));
    handshake.handle_timeout(start).unwrap();
    let end = start + Duration::from_secs(10);
    for (n, byte) in open_with("").bytes().take(9).enumerate() {
        assert_eq!(handshake.poll_timeout(), Some(end));
        assert!(handshake.poll_request(&mut RecvBuf::new(&mut [byte])).unwrap().is_none());
        handshake.handle_timeout(start + Duration::from_secs(n as u64)).unwrap();
    }
    handshake.handle_timeout(Instant::from_nanos(end.as_nanos() - 1)).unwrap();
    let error = handshake.handle_timeout(end).unwrap_err();
    assert_eq!(error, ServerHandshakeError::TimedOut { received: 9 });
    let response = error.response().unwrap().encode();
    assert!(response.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(handshake.poll_timeout(), None);
    handshake.handle_timeout(end + Duration::from_secs(1)).unwrap();
    let mut rest = open_with("").into_bytes();
    assert_eq!(handshake.poll_request(&mut RecvBuf::new(&mut rest)).unwrap_err(), error, "the error repeats");
}

#[test]
fn t2_a_client_that_sends_nothing_is_closed_without_a_response() {
    let mut handshake = ServerHandshake::new(config());
    handshake.handle_timeout(Instant::EPOCH).unwrap();
    let error = handshake.handle_timeout(handshake.poll_timeout().unwrap()).unwrap_err();
    assert_eq!(error, ServerHandshakeError::TimedOut { received: 0 });
    assert!(error.response().is_none());
    // A single byte starts a request, which gets a response.
    assert_eq!(ServerHandshakeError::TimedOut { received: 1 }.response().unwrap().status(), 408);
}

#[test]
fn a_request_in_time_ends_the_timeout() {
    let mut handshake = ServerHandshake::new(config());
    handshake.handle_timeout(Instant::EPOCH).unwrap();
    let mut bytes = open_with("").into_bytes();
    assert!(handshake.poll_request(&mut RecvBuf::new(&mut bytes)).unwrap().is_some());
    assert_eq!(handshake.poll_timeout(), None);
    handshake.handle_timeout(Instant::from_nanos(u64::MAX)).unwrap();
    // A further poll returns an error rather than waiting forever.
    let mut more = open_with("").into_bytes();
    let mut input = RecvBuf::new(&mut more);
    assert_eq!(handshake.poll_request(&mut input).unwrap_err(), ServerHandshakeError::Over);
    assert_eq!(input.consumed(), 0);
    assert_eq!(handshake.handle_eof(), ServerHandshakeError::Over);
    assert!(ServerHandshakeError::Over.response().is_none());
}

#[test]
fn an_eof_anywhere_in_the_head_is_an_error_without_a_response() {
    let head = open_with("");
    for cut in 0..head.len() {
        let mut handshake = ServerHandshake::new(config());
        let mut bytes = head.as_bytes()[..cut].to_vec();
        assert!(handshake.poll_request(&mut RecvBuf::new(&mut bytes)).unwrap().is_none());
        let error = handshake.handle_eof();
        assert_eq!(error, ServerHandshakeError::Eof { received: cut });
        assert!(error.response().is_none());
        assert_eq!(handshake.poll_timeout(), None);
        assert_eq!(handshake.handle_eof(), error);
    }
}

#[test]
fn a_failed_handshake_repeats_its_error_and_consumes_no_more_bytes() {
    let mut handshake = ServerHandshake::new(config());
    let error = handshake.poll_request(&mut RecvBuf::new(&mut [b'\n'])).unwrap_err();
    let mut valid = open_with("").into_bytes();
    let mut input = RecvBuf::new(&mut valid);
    assert_eq!(handshake.poll_request(&mut input).unwrap_err(), error);
    assert_eq!(input.consumed(), 0);
    assert_eq!(handshake.handle_eof(), error);
}
