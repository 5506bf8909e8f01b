//! The client side of the opening handshake (K1, H7, T40).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod handshake_support;

use core::time::Duration;

use handshake_support::{accept, config, transmitted};
use sockeye_core::handshake::client::{
    BadResponse, ClientHandshake, ClientHandshakeError, ClientRequest, Established, Url,
};
use sockeye_core::handshake::server::Accept;
use sockeye_core::http::{HeadError, InvalidHeader, Response};
use sockeye_core::{Instant, RecvBuf, Role};
use sockeye_testkit::handshake::{SAMPLE_ACCEPT, SAMPLE_KEY, SAMPLE_NONCE};

fn request() -> ClientRequest {
    ClientRequest::new(&Url::parse("ws://server.example.com/chat").unwrap())
}

fn start(request: ClientRequest) -> ClientHandshake {
    request.start(SAMPLE_NONCE, Box::new(|| [1, 2, 3, 4]), config())
}

fn valid_with(fields: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n{fields}\r\n"
    )
}

/// An interim response of `size` bytes.
fn interim(size: usize) -> String {
    let head = "HTTP/1.1 103 Early Hints\r\nLink: ";
    format!("{head}{}\r\n\r\n", "x".repeat(size - head.len() - 4))
}

fn respond(
    handshake: &mut ClientHandshake,
    bytes: &[u8],
) -> Result<Option<Established>, ClientHandshakeError> {
    handshake.poll_response(&mut RecvBuf::new(&mut bytes.to_vec()))
}

fn refused(error: ClientHandshakeError) -> Response {
    match error {
        ClientHandshakeError::Refused(response) => response,
        other => panic!("{other:?}"),
    }
}

fn sent(handshake: &mut ClientHandshake, step: usize) -> String {
    let mut out = Vec::new();
    while let Some(bytes) = handshake.poll_transmit() {
        let n = bytes.len().min(step);
        out.extend_from_slice(&bytes[..n]);
        handshake.transmitted(n);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn k1_the_request_has_the_headers_of_rfc_6455_at_any_write_size() {
    let expected = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: chat, soap\r\nOrigin: https://a.example\r\nX: 1\r\nx: 2\r\n\r\n";
    for step in [1, 7, 1000] {
        let mut request = request().subprotocol("chat").unwrap().subprotocol("soap").unwrap();
        for (name, value) in [("Origin", "https://a.example"), ("X", "1"), ("x", "2")] {
            request = request.header(name, value).unwrap();
        }
        let mut handshake = start(request);
        assert_eq!(sent(&mut handshake, step), expected);
        handshake.transmitted(usize::MAX);
        assert!(handshake.poll_transmit().is_none());
    }
}

#[test]
fn k1_the_request_names_port_and_query() {
    for (url, line, host) in [
        ("ws://a", "GET / HTTP/1.1", "a"),
        ("ws://A:80?x=1", "GET /?x=1 HTTP/1.1", "a"),
        ("wss://a:443/b", "GET /b HTTP/1.1", "a"),
        ("wss://a:80/b", "GET /b HTTP/1.1", "a:80"),
        ("ws://[::1]:9000/b?c/d", "GET /b?c/d HTTP/1.1", "[::1]:9000"),
    ] {
        let text = sent(&mut start(ClientRequest::new(&Url::parse(url).unwrap())), 1000);
        assert!(text.starts_with(&format!("{line}\r\nHost: {host}\r\n")), "{text}");
    }
}

#[test]
fn k1_the_headers_of_the_handshake_cannot_be_set() {
    for name in [
        "Host",
        "upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Content-Length",
        "Transfer-Encoding",
    ] {
        assert_eq!(request().header(name, "x").unwrap_err(), InvalidHeader::Reserved, "{name}");
    }
}

#[test]
fn k1_subprotocols_are_tokens_and_unique() {
    for bad in ["", "a b", "a,b", "a\r\nX: y", "\u{e9}"] {
        assert_eq!(request().subprotocol(bad).unwrap_err(), InvalidHeader::Subprotocol, "{bad:?}");
    }
    assert!(request().subprotocol("a").unwrap().subprotocol("a").is_err());
}

#[test]
fn k1_valid_responses_establish_a_connection() {
    for (offered, response, chosen) in [
        (&[][..], valid_with(""), None),
        (&["chat"], valid_with(""), None),
        (&["soap", "chat"], valid_with("Sec-WebSocket-Protocol: chat\r\n"), Some("chat")),
        (&[], valid_with("").replace("websocket", "WebSocket"), None),
        (&[], valid_with("").replace("Connection: Upgrade", "connection: keep-alive, UPGRADE"), None),
        (&[], valid_with("Connection: keep-alive\r\n"), None),
        (&[], valid_with("").replace("Switching Protocols", ""), None),
        (&[], valid_with("").replace("Switching Protocols", "Web Socket Protocol Handshake \u{e9}"), None),
        (&[], valid_with("").replace(" Switching Protocols", ""), None),
        (&[], valid_with("Sec-WebSocket-Version: 13\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n"), None),
        (
            &[],
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n{}", valid_with("")),
            None,
        ),
        (&[], format!("{}{}", "HTTP/1.1 100 \r\n\r\n".repeat(8), valid_with("")), None),
        (&[], format!("{0}{0}{1}", interim(8192), valid_with("")), None),
    ] {
        let request = offered.iter().try_fold(request(), |r, name| r.subprotocol(name)).unwrap();
        let mut handshake = start(request);
        let established = respond(&mut handshake, response.as_bytes()).unwrap().unwrap();
        assert_eq!(established.subprotocol.as_deref(), chosen, "{response}");
        assert_eq!(established.response.status(), 101);
        assert_eq!(established.connection.role(), Role::Client);
        assert_eq!(handshake.poll_timeout(), None);
        assert!(matches!(respond(&mut handshake, b"more"), Err(ClientHandshakeError::Over)));
    }
}

#[test]
fn k1_each_rule_that_a_101_breaks_is_named() {
    use BadResponse::*;
    let replaced = |from: &str, to: &str| {
        assert!(valid_with("").contains(from));
        valid_with("").replace(from, to)
    };
    let accept_line = &format!("Sec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n");
    let table = [
        (replaced("HTTP/1.1", "HTTP/1.0"), HttpVersion),
        (replaced("Upgrade: websocket\r\n", ""), Upgrade),
        (replaced("Upgrade: websocket", "Upgrade:"), Upgrade),
        (replaced("Upgrade: websocket", "Upgrade: h2c"), Upgrade),
        (replaced("Upgrade: websocket", "Upgrade: websocket, h2c"), Upgrade),
        (replaced("Upgrade: websocket", "Upgrade: websockets"), Upgrade),
        (valid_with("Upgrade: websocket\r\n"), Upgrade),
        (valid_with("upgrade: h2c\r\n"), Upgrade),
        (replaced("Connection: Upgrade\r\n", ""), Connection),
        (replaced("Connection: Upgrade", "Connection: close"), Connection),
        (replaced("Connection: Upgrade", "Connection: Upgraded"), Connection),
        (replaced(accept_line, ""), Accept),
        (replaced(SAMPLE_ACCEPT, ""), Accept),
        (replaced(SAMPLE_ACCEPT, &SAMPLE_ACCEPT.to_lowercase()), Accept),
        (replaced(SAMPLE_ACCEPT, &SAMPLE_ACCEPT[..27]), Accept),
        (replaced(SAMPLE_ACCEPT, &format!("{SAMPLE_ACCEPT}=")), Accept),
        (replaced(SAMPLE_ACCEPT, SAMPLE_KEY), Accept),
        (replaced(SAMPLE_ACCEPT, "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="), Accept),
        (valid_with(accept_line), Accept),
        (valid_with("Sec-WebSocket-Accept: x\r\n"), Accept),
        (valid_with("Sec-WebSocket-Protocol: other\r\n"), Subprotocol),
        (valid_with("Sec-WebSocket-Protocol: CHAT\r\n"), Subprotocol),
        (valid_with("Sec-WebSocket-Protocol:\r\n"), Subprotocol),
        (valid_with("Sec-WebSocket-Protocol: chat, soap\r\n"), Subprotocol),
        (valid_with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"), Subprotocol),
        (valid_with("Sec-WebSocket-Extensions: permessage-deflate\r\n"), Extension),
        (valid_with("Sec-WebSocket-Extensions:\r\n"), MalformedExtensions),
        (valid_with("Sec-WebSocket-Extensions: , ,\r\n"), MalformedExtensions),
        (valid_with("Sec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions:,\r\n"), MalformedExtensions),
        (valid_with("Sec-WebSocket-Extensions: x;\r\n"), MalformedExtensions),
        (valid_with("Sec-WebSocket-Protocol: ,\r\n"), Subprotocol),
        (valid_with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol:\r\n"), Subprotocol),
        (replaced("Connection: Upgrade", "Connection:"), Connection),
        (replaced("Connection: Upgrade", "Connection: ,"), Connection),
        (replaced("Upgrade: websocket", "Upgrade: ,"), Upgrade),
        (valid_with("Sec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions: x\r\n"), Extension),
        (format!("{}{}", "HTTP/1.1 100 \r\n\r\n".repeat(9), valid_with("")), TooManyInterim),
        (format!("{0}{0}{1}", interim(8193), valid_with("")), TooManyInterim),
        ("HTTP/2 101\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("HTTP/1.2 101 x\r\n\r\n".into(), Head(HeadError::Version)),
        ("HTTP/1.1 1O1 x\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("HTTP/1.1 099 x\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("HTTP/1.1 1010 x\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("HTTP/1.1  101 x\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("HTTP/1.1 101 a\0b\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("GET / HTTP/1.1\r\n\r\n".into(), Head(HeadError::StatusLine)),
        ("\x15\x03\x01\0\x02\x02F".into(), Head(HeadError::TlsAlert)),
        ("\x15\r\n\r\n".into(), Head(HeadError::TlsAlert)),
        (valid_with("").replace("\r\n", "\n"), Head(HeadError::BareLf)),
        // The folded line continues the field before it, which is Sec-WebSocket-Accept.
        (valid_with(" folded: x\r\n"), Accept),
        (replaced("Upgrade: websocket", " folded: x\r\nUpgrade: websocket"), Head(HeadError::FieldName)),
        (replaced("Upgrade: websocket", "Up\r\n grade: websocket"), Head(HeadError::FieldName)),
        (replaced("Upgrade: websocket", "Upgrade: web\r\n socket"), Upgrade),
        (replaced("Upgrade: websocket", "Upgrade: websocket,\r\n h2c"), Upgrade),
        (replaced("Connection: Upgrade", "Connection: Up\r\n\tgrade"), Connection),
        (valid_with("X: y\r\r\n z\r\n"), Head(HeadError::FieldValue)),
        (valid_with("X: y\x0c\r\n z\r\n"), Head(HeadError::FieldValue)),
        (valid_with("X: y\n z\r\n"), Head(HeadError::BareLf)),
        ("HTTP/1.1 400 x\r\nContent-Length: 1\r\n 2\r\n\r\n".into(), Head(HeadError::ContentLength)),
        (valid_with("X : y\r\n"), Head(HeadError::FieldName)),
        (valid_with("X: a\0b\r\n"), Head(HeadError::FieldValue)),
        (valid_with(&"X: y\r\n".repeat(100)), Head(HeadError::TooManyFields { limit: 100 })),
        (
            valid_with(&format!("X: {}\r\n", "x".repeat(16 << 10))),
            Head(HeadError::TooBig { limit: 16 << 10 }),
        ),
        ("HTTP/1.1 400 x\r\nContent-Length: 1, 2\r\n\r\n".into(), Head(HeadError::ContentLength)),
        (
            "HTTP/1.1 400 x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            Head(HeadError::TwoBodyLengths),
        ),
    ];
    for (response, fault) in table {
        let mut handshake = start(request().subprotocol("chat").unwrap().subprotocol("soap").unwrap());
        match respond(&mut handshake, response.as_bytes()) {
            Err(ClientHandshakeError::BadResponse(found)) => assert_eq!(found, fault, "{response}"),
            other => panic!("{other:?} to {response}"),
        }
        assert_eq!((handshake.poll_timeout(), handshake.poll_transmit()), (None, None));
        assert!(matches!(
            respond(&mut handshake, valid_with("").as_bytes()),
            Err(ClientHandshakeError::Over)
        ));
    }
}

#[test]
fn k1_a_refusal_carries_status_headers_and_body() {
    let table: &[(&str, u16, &str, &str)] = &[
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nnope",
            401,
            "nope",
            "",
        ),
        ("HTTP/1.0 503 x\r\nContent-Length: 0\r\n\r\n", 503, "", ""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n",
            200,
            "abcde",
            "",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""),
        ("HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", 304, "", ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 x\r\nContent-Length: 1\r\n\r\nx", 403, "x", ""),
        ("HTTP/1.1 400 x\r\nContent-Length: 2\r\n\r\nabNEXT", 400, "ab", "NEXT"),
        ("HTTP/1.1 999 x\r\nContent-Length: 1\r\n\r\nx", 999, "x", ""),
    ];
    for &(bytes, status, body, rest) in table {
        for split in 0..=bytes.len() - rest.len() {
            let mut handshake = start(request());
            let (mut first, mut second) =
                (bytes.as_bytes()[..split].to_vec(), bytes.as_bytes()[split..].to_vec());
            let mut input = RecvBuf::new(&mut first);
            let mut left = Vec::new();
            let error = match handshake.poll_response(&mut input) {
                Ok(None) => {
                    let mut input = RecvBuf::new(&mut second);
                    let error = handshake.poll_response(&mut input).unwrap_err();
                    left.extend_from_slice(input.remaining());
                    error
                }
                Ok(Some(_)) => panic!("established by {bytes}"),
                Err(error) => {
                    left.extend_from_slice(&second);
                    error
                }
            };
            let response = refused(error);
            assert_eq!(
                (response.status(), response.content()),
                (status, body.as_bytes()),
                "{bytes} at {split}"
            );
            assert!(!response.is_truncated());
            assert_eq!(left, rest.as_bytes());
        }
    }
}

#[test]
fn k1_t40_a_redirect_is_a_refusal_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let bytes =
            format!("HTTP/1.1 {status} x\r\nLocation: ws://evil.example/\r\nContent-Length: 0\r\n\r\n");
        let response = refused(respond(&mut start(request()), bytes.as_bytes()).unwrap_err());
        assert_eq!(
            (response.status(), response.headers().first("location")),
            (status, Some("ws://evil.example/"))
        );
    }
}

#[test]
fn k1_a_refusal_without_a_length_has_its_body_up_to_the_eof() {
    let mut handshake = start(request());
    assert!(respond(&mut handshake, b"HTTP/1.1 500 x\r\n\r\nwhat ").unwrap().is_none());
    assert!(respond(&mut handshake, b"happened").unwrap().is_none());
    let response = refused(handshake.handle_eof());
    assert_eq!((response.content(), response.is_truncated()), (&b"what happened"[..], false));
    assert!(matches!(handshake.handle_eof(), ClientHandshakeError::Over));
}

#[test]
fn k1_a_refusal_without_a_length_does_not_wait_for_the_handshake_timeout() {
    let begin = Instant::from_epoch(Duration::from_secs(7));
    for (head, body) in [
        ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n", ""),
        ("HTTP/1.1 503 x\r\nConnection: keep-alive\r\n\r\n", "busy"),
        ("HTTP/1.1 301 x\r\nLocation: /there\r\nTransfer-Encoding: gzip\r\n\r\n", "x"),
        ("HTTP/1.0 200 OK\r\n\r\n", "<html>"),
    ] {
        let bytes = [head, body].concat();
        for split in 0..=bytes.len() {
            let mut handshake = start(request());
            handshake.handle_timeout(begin).unwrap();
            assert!(respond(&mut handshake, &bytes.as_bytes()[..split]).unwrap().is_none());
            assert!(respond(&mut handshake, &bytes.as_bytes()[split..]).unwrap().is_none());
            assert_eq!(handshake.poll_timeout(), Some(Instant::EPOCH), "the wait needs to know the time");
            let arrived = begin + Duration::from_secs(1);
            handshake.handle_timeout(arrived).unwrap();
            let end = arrived + Duration::from_millis(500);
            assert_eq!(handshake.poll_timeout(), Some(end), "{bytes} at {split}");
            assert!(handshake.handle_timeout(Instant::from_nanos(end.as_nanos() - 1)).is_ok());
            let response = refused(handshake.handle_timeout(end).unwrap_err());
            assert_eq!(response.content(), body.as_bytes(), "{bytes} at {split}");
            assert!(response.is_truncated(), "more may follow");
            assert_eq!(handshake.poll_timeout(), None);
        }
    }
}

#[test]
fn k1_a_body_with_a_length_may_take_as_long_as_the_handshake() {
    for head in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
        let mut handshake = start(request());
        handshake.handle_timeout(Instant::EPOCH).unwrap();
        let bytes = format!("HTTP/1.1 503 x\r\n{head}\r\n\r\n");
        assert!(respond(&mut handshake, bytes.as_bytes()).unwrap().is_none());
        assert_eq!(handshake.poll_timeout(), Some(Instant::EPOCH + Duration::from_secs(10)), "{head}");
    }
    // The handshake timeout ends the shorter wait, too.
    let mut handshake = start(request());
    handshake.handle_timeout(Instant::EPOCH).unwrap();
    assert!(respond(&mut handshake, b"HTTP/1.1 503 x\r\n\r\n").unwrap().is_none());
    let late = Instant::EPOCH + Duration::from_millis(9_800);
    handshake.handle_timeout(late).unwrap();
    assert_eq!(handshake.poll_timeout(), Some(Instant::EPOCH + Duration::from_secs(10)));
}

#[test]
fn k1_a_folded_line_of_a_response_is_read_as_a_space_at_every_split() {
    let folded = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade:\r\n websocket\r\nConnection: keep-alive,\r\n\tUpgrade\r\n\
         X-Note: one \t\r\n \t two\r\n three\r\nEmpty:\r\n \r\nSec-WebSocket-Accept: {SAMPLE_ACCEPT}\r\n\
         Last: a\r\n b\r\n \r\n\r\n"
    );
    for split in 0..=folded.len() {
        let mut handshake = start(request());
        let done = [&folded.as_bytes()[..split], &folded.as_bytes()[split..]]
            .iter()
            .find_map(|part| respond(&mut handshake, part).unwrap());
        let response = done.unwrap().response;
        let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name, value.to_vec())).collect();
        let accept = SAMPLE_ACCEPT.as_bytes();
        let expected: [(&str, &[u8]); 6] = [
            ("Upgrade", b"websocket"),
            ("Connection", b"keep-alive, Upgrade"),
            ("X-Note", b"one two three"),
            ("Empty", b""),
            ("Sec-WebSocket-Accept", accept),
            ("Last", b"a b"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.to_vec())), "split at {split}");
    }
    // Each folded line counts as a line, and its bytes as bytes of the head.
    let lines = valid_with(&format!("X: y\r\n{}", " z\r\n".repeat(97)));
    assert!(respond(&mut start(request()), lines.as_bytes()).is_err());
    let lines = valid_with(&format!("X: y\r\n{}", " z\r\n".repeat(96)));
    assert!(respond(&mut start(request()), lines.as_bytes()).unwrap().is_some());
}

#[test]
fn k1_the_text_of_a_redirect_says_where_it_points() {
    for (location, text) in [
        ("wss://b.example/chat", ", which points to wss://b.example/chat"),
        ("/login?token=secret#x", ", which points to /login"),
        ("https://user:secret@b.example/", ""),
        ("/<b>", ", which points to /\\x3cb\\x3e"),
    ] {
        let bytes = format!("HTTP/1.1 301 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let error = respond(&mut start(request()), bytes.as_bytes()).unwrap_err();
        let expected = format!("the server refused the handshake with 301 Moved Permanently{text}");
        assert_eq!(error.to_string(), expected);
    }
    let bytes = "HTTP/1.1 201 x\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n";
    let error = respond(&mut start(request()), bytes.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "the server refused the handshake with 201 Created");
}

#[test]
fn k1_a_body_whose_coding_does_not_end_in_chunked_lasts_up_to_the_eof() {
    for coding in ["gzip", "chunked, gzip", "chunked, chunked", ""] {
        let mut handshake = start(request());
        let bytes = format!("HTTP/1.1 500 x\r\nTransfer-Encoding: {coding}\r\n\r\nabc");
        assert!(respond(&mut handshake, bytes.as_bytes()).unwrap().is_none(), "{coding}");
        let response = refused(handshake.handle_eof());
        assert_eq!((response.content(), response.is_truncated()), (&b"abc"[..], false), "{coding}");
    }
    let bytes = b"HTTP/1.1 500 x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    match respond(&mut start(request()), bytes) {
        Err(ClientHandshakeError::BadResponse(BadResponse::Head(HeadError::UnknownTransferCoding))) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn k1_an_incomplete_body_is_truncated_and_marked_so() {
    // Truncated by an EOF, by the timeout, by a malformed chunk and by the limit.
    let start_of_body = b"HTTP/1.1 500 x\r\nContent-Length: 100\r\n\r\npart";
    let mut handshake = start(request());
    assert!(respond(&mut handshake, start_of_body).unwrap().is_none());
    let response = refused(handshake.handle_eof());
    assert_eq!((response.content(), response.is_truncated()), (&b"part"[..], true));

    let mut handshake = start(request());
    handshake.handle_timeout(Instant::EPOCH).unwrap();
    assert!(respond(&mut handshake, start_of_body).unwrap().is_none());
    let end = handshake.poll_timeout().unwrap();
    let response = refused(handshake.handle_timeout(end).unwrap_err());
    assert_eq!((response.content(), response.is_truncated()), (&b"part"[..], true));

    let chunks = b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartX";
    let response = refused(respond(&mut start(request()), chunks).unwrap_err());
    assert_eq!((response.content(), response.is_truncated()), (&b"part"[..], true));

    for (size, truncated) in
        [((64 << 10) - 1, false), (64 << 10, false), ((64 << 10) + 1, true), (1 << 20, true)]
    {
        let mut bytes = format!("HTTP/1.1 500 x\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        let head = bytes.len();
        bytes.resize(head + size, b'x');
        for piece in [1000, usize::MAX >> 1] {
            let mut handshake = start(request());
            let error = bytes.chunks(piece).find_map(|part| respond(&mut handshake, part).err()).unwrap();
            let response = refused(error);
            assert_eq!((response.content().len(), response.is_truncated()), (size.min(64 << 10), truncated));
        }
    }
}

#[test]
fn a_huge_announced_body_takes_no_memory() {
    let bytes = b"HTTP/1.1 500 x\r\nContent-Length: 18446744073709551615\r\n\r\nabc";
    let mut handshake = start(request());
    assert!(respond(&mut handshake, bytes).unwrap().is_none());
    assert_eq!(refused(handshake.handle_eof()).content(), b"abc");
}

#[test]
fn h7_t8_frames_after_the_response_are_kept_at_every_split() {
    let frames = b"\x81\x05hello\x89\x00";
    let stream = [valid_with("Sec-WebSocket-Protocol: chat\r\n").as_bytes(), frames].concat();
    for split in 0..=stream.len() {
        let mut handshake = start(request().subprotocol("chat").unwrap());
        let (mut established, mut left) = (None, Vec::new());
        for part in [&stream[..split], &stream[split..]] {
            let mut part = part.to_vec();
            let mut input = RecvBuf::new(&mut part);
            if established.is_none() {
                established = handshake.poll_response(&mut input).unwrap();
            }
            left.extend_from_slice(input.remaining());
        }
        assert_eq!(established.unwrap().subprotocol.as_deref(), Some("chat"), "split at {split}");
        assert_eq!(left, frames, "split at {split}");
    }
}

#[test]
fn a_response_is_read_in_up_to_64_pieces() {
    let stream = valid_with(&"Set-Cookie: a=b\r\n".repeat(40));
    for pieces in 1..=64 {
        let mut handshake = start(request());
        let size = stream.len().div_ceil(pieces);
        let done = stream.as_bytes().chunks(size).find_map(|part| respond(&mut handshake, part).unwrap());
        assert_eq!(done.unwrap().response.headers().all("set-cookie").count(), 40, "{pieces} pieces");
    }
}

#[test]
fn a_server_that_does_not_respond_times_out() {
    let mut handshake = start(request());
    assert_eq!(handshake.poll_timeout(), Some(Instant::EPOCH), "the handshake needs to know the time");
    let begin = Instant::from_epoch(Duration::from_secs(7));
    handshake.handle_timeout(begin).unwrap();
    let end = begin + Duration::from_secs(10);
    assert!(respond(&mut handshake, b"HTTP/1.1 100 x\r\n\r\nHTTP/").unwrap().is_none());
    assert_eq!(handshake.poll_timeout(), Some(end), "bytes do not extend the timeout");
    handshake.handle_timeout(Instant::from_nanos(end.as_nanos() - 1)).unwrap();
    match handshake.handle_timeout(end) {
        Err(ClientHandshakeError::TimedOut { received: 23 }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!((handshake.poll_timeout(), handshake.poll_transmit()), (None, None));
    assert!(handshake.handle_timeout(end).is_ok());
}

#[test]
fn an_eof_anywhere_in_the_head_is_an_error() {
    let stream = valid_with("");
    for cut in 0..stream.len() {
        let mut handshake = start(request());
        assert!(respond(&mut handshake, &stream.as_bytes()[..cut]).unwrap().is_none());
        match handshake.handle_eof() {
            ClientHandshakeError::Eof { received } => assert_eq!(received, cut),
            other => panic!("{other:?}"),
        }
        assert!(matches!(respond(&mut handshake, b"x"), Err(ClientHandshakeError::Over)));
    }
}

#[test]
fn this_client_and_this_server_complete_a_handshake() {
    let mut handshake = start(request().subprotocol("chat").unwrap());
    let text = sent(&mut handshake, 1000);
    let mut accepted = accept(&text, &Accept::new().subprotocol("chat").header("X", "y").unwrap());
    accepted.connection.send("hello").unwrap();
    let mut bytes = transmitted(&mut accepted.connection);
    let mut input = RecvBuf::new(&mut bytes);
    let established = handshake.poll_response(&mut input).unwrap().unwrap();
    assert_eq!(established.subprotocol, accepted.subprotocol);
    assert_eq!(established.response.headers().first("x"), Some("y"));
    assert_eq!(input.remaining(), b"\x81\x05hello", "the frames follow the head");
}

#[test]
fn the_debug_output_has_no_credentials() {
    let request = request().header("Authorization", "Bearer secret").unwrap();
    assert!(!format!("{:?}", start(request)).contains("secret"));
}
