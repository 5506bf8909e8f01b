//! Malformed heads, which must never be answered with a 101 (H6, T5).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod handshake_support;

use handshake_support::{OPEN, answer, config, open_with, read_request, status_of};
use sockeye_core::RecvBuf;
use sockeye_core::handshake::server::{ServerHandshake, ServerHandshakeError, Upgrade};
use sockeye_core::http::{BodyLength, HeadError};

/// The rest of a valid upgrade, to follow a start line and a `Host` under test.
const REST: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn line(start: &str) -> Vec<u8> {
    format!("{start}\r\nHost: a\r\n{REST}").into_bytes()
}

fn host(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{fields}{REST}").into_bytes()
}

fn field(field: &[u8]) -> Vec<u8> {
    [OPEN.as_bytes(), field, b"\r\n\r\n"].concat()
}

fn replaced(from: &str, to: &str) -> Vec<u8> {
    let head = open_with("");
    assert!(head.contains(from), "{from:?}");
    head.replace(from, to).into_bytes()
}

fn table() -> Vec<(u16, Vec<u8>)> {
    let mut table: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut add = |status: u16, head: Vec<u8>| table.push((status, head));

    // The request line (RFC 9112 3).
    for start in [
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET / HTTP/1.1 x",
        "GET /",
        "GET",
        "GET / ",
        "GET HTTP/1.1",
        "/ GET HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / HTTP 1.1",
        "GET / HTTPS/1.1",
        "GET / ICY/1.1",
        "GET / /1.1",
        "PRI * HTTP/2.0",
        "GET * HTTP/1.1",
        "GET chat HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET server.example.com:80 HTTP/1.1",
        "GET ws://server.example.com/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:/// HTTP/1.1",
        "GET http://user@a/ HTTP/1.1",
        "GET http://a:b/ HTTP/1.1",
        "GET http://a:99999/ HTTP/1.1",
        "GET /#fragment HTTP/1.1",
        "GET /a\u{7f}b HTTP/1.1",
        "GET /a\0b HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /a b HTTP/1.1",
        "G=T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET: / HTTP/1.1",
        "(GET) / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
        "GET /\r HTTP/1.1",
        "GET / HTTP/1.1\nX: y",
    ] {
        add(400, line(start));
    }
    add(400, field(b"X: \xff\x00"));
    add(400, [b"GET /\xff HTTP/1.1\r\nHost: a\r\n", REST.as_bytes()].concat());
    add(400, [b"\n", OPEN.as_bytes(), b"\r\n"].concat());
    add(400, [&b"\r\n".repeat(5), OPEN.as_bytes(), b"\r\n"].concat());
    add(400, [b"\r", OPEN.as_bytes(), b"\r\n"].concat());
    add(400, [b"\0", OPEN.as_bytes(), b"\r\n"].concat());
    add(400, [b"\xef\xbb\xbf", OPEN.as_bytes(), b"\r\n"].concat());
    add(400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    add(400, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec());

    // Line ends (RFC 9112 2.2).
    add(400, open_with("").replace("\r\n", "\n").into_bytes());
    add(400, open_with("").replace("\r\n", "\r").into_bytes());
    add(400, open_with("").replace("\r\n", "\n\r").into_bytes());
    add(400, replaced("Host: server.example.com\r\n", "Host: server.example.com\n"));
    add(400, replaced("HTTP/1.1\r\n", "HTTP/1.1\n"));
    add(400, replaced("HTTP/1.1\r\n", "HTTP/1.1\r\r\n"));
    add(400, [OPEN.as_bytes(), b"\n"].concat());
    add(400, [OPEN.as_bytes(), b"\r\r\n"].concat());
    add(400, [OPEN.as_bytes(), b"\rX"].concat().into_iter().chain(*b"\r\n\r\n").collect());
    add(400, [OPEN.trim_end().as_bytes(), b"\n\n"].concat());
    add(400, [OPEN.trim_end().as_bytes(), b"\r\n\n"].concat());

    // Field lines (RFC 9112 5).
    for bad in [
        &b" Folded: at the first line"[..],
        b"X: y\r\n folded",
        b"X: y\r\n\tfolded",
        b"X: y\r\n \r\n",
        b" ",
        b"\t",
        b"X : y",
        b"X\t: y",
        b"Host : b",
        b"Sec-WebSocket-Key : dGhlIHNhbXBsZSBub25jZQ==",
        b": y",
        b":",
        b"X",
        b"X y",
        b"X; y",
        b"X=y",
        b"X Y: z",
        b"X(Y): z",
        b"X@Y: z",
        b"X/Y: z",
        b"X\"Y: z",
        b"{X}: z",
        b"[X]: z",
        b"X,Y: z",
        b"\xc3\xa9: z",
        b"\xff: z",
        b"X\0: z",
        b"X\x7f: z",
        b"X: a\0b",
        b"X: \0",
        b"X: a\x01b",
        b"X: a\x07b",
        b"X: a\x08b",
        b"X: a\x0bb",
        b"X: a\x0cb",
        b"X: a\x1bb",
        b"X: a\x7fb",
        b"X: a\rb",
        b"X: \rb",
        b"X: a\r",
        b"X: a\nb",
        b"X: a\nY: b",
        b"X: a\r\r\nY: b",
    ] {
        add(400, field(bad));
    }

    // Host (RFC 9112 3.2).
    for hosts in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: user@a\r\n",
        "Host: http://a\r\n",
        "Host: a:\u{661}\r\n",
        "Host: a:80:80\r\n",
        "Host: a:-1\r\n",
        "Host: a:+1\r\n",
        "Host: a:65536\r\n",
        "Host: a:8o\r\n",
        "Host: :80\r\n",
        "Host: ::1\r\n",
        "Host: [::1\r\n",
        "Host: [::1]x\r\n",
        "Host: [::g]\r\n",
        "Host: [127.0.0.1]\r\n",
        "Host: [fe80::1%25eth0]\r\n",
        "Host: \u{e9}.example\r\n",
        "Host: a\\b\r\n",
        "Host: <a>\r\n",
        "Hostt: a\r\n",
    ] {
        add(400, host(hosts));
    }

    // The length of the body (RFC 9112 6). A handshake must not have a body.
    for lengths in [
        "Content-Length: 1",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 0, 5",
        "Content-Length: +0",
        "Content-Length: -0",
        "Content-Length: -1",
        "Content-Length: 0x0",
        "Content-Length: 0 0",
        "Content-Length: 0,",
        "Content-Length: ,0",
        "Content-Length:",
        "Content-Length: a",
        "Content-Length: 1e1",
        "Content-Length: 0.0",
        "Content-Length: 18446744073709551615",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999999999999999",
        "Content-Length: \u{660}",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: identity\r\nContent-Length: 0",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: ,",
    ] {
        add(400, field(lengths.as_bytes()));
    }
    add(501, field(b"Transfer-Encoding: gzip, chunked"));
    add(501, field(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"));

    // The handshake itself (RFC 6455 4.2.1).
    for (status, from, to) in [
        (405, "GET ", "POST "),
        (405, "GET ", "HEAD "),
        (405, "GET ", "PUT "),
        (405, "GET ", "get "),
        (405, "GET ", "Get "),
        (405, "GET ", "GETT "),
        (400, "HTTP/1.1", "HTTP/1.0"),
        (400, "Upgrade: websocket\r\n", ""),
        (400, "Upgrade: websocket", "Upgrade:"),
        (400, "Upgrade: websocket", "Upgrade: h2c"),
        (400, "Upgrade: websocket", "Upgrade: websocket2"),
        (400, "Upgrade: websocket", "Upgrade: xwebsocket"),
        (400, "Upgrade: websocket", "Upgrade: web socket"),
        (400, "Upgrade: websocket", "Upgrade: websocket;q=1"),
        (400, "Upgrade: websocket", "Upgrade: \"websocket\""),
        (400, "Upgrade: websocket", "Upgrades: websocket"),
        (400, "Connection: Upgrade\r\n", ""),
        (400, "Connection: Upgrade", "Connection: keep-alive"),
        (400, "Connection: Upgrade", "Connection: close"),
        (400, "Connection: Upgrade", "Connection: Upgrades"),
        (400, "Connection: Upgrade", "Connection: not-upgrade"),
        (400, "Connection: Upgrade", "Connection: keep-alive Upgrade"),
        (426, "Sec-WebSocket-Version: 13\r\n", ""),
        (426, "Version: 13", "Version: 8"),
        (426, "Version: 13", "Version: 0"),
        (426, "Version: 13", "Version: 14"),
        (426, "Version: 13", "Version: 013"),
        (426, "Version: 13", "Version: +13"),
        (426, "Version: 13", "Version: 13, 8"),
        (426, "Version: 13", "Version: 13.0"),
        (426, "Version: 13", "Version:"),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13"),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8"),
        (400, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        (400, "Key: dGhlIHNhbXBsZSBub25jZQ==", "Key:"),
        (400, "Key: dGhl", "Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhl"),
        (400, "ZQ==", "ZQ="),
        (400, "ZQ==", "ZQ"),
        (400, "ZQ==", "ZQ==="),
        (400, "ZQ==", "ZR=="),
        (400, "ZQ==", "ZWU="),
        (400, "Key: dGhl", "Key: dGh_"),
        (400, "Key: dGhl", "Key: dGh-"),
        (400, "Key: dGhl", "Key: dGh"),
        (400, "Key: dGhl", "Key: dGhll"),
        (400, "Key: dGhlIHNhbXBsZSBub25jZQ==", "Key: \"dGhlIHNhbXBsZSBub25jZQ==\""),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Protocol:"),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Protocol: ,"),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Protocol: a b"),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Protocol: chat, \"b\""),
        (400, "Version: 13", "Version: 13\r\nSec-WebSocket-Protocol: ch\u{e9}t"),
        (403, "Version: 13", "Version: 13\r\nOrigin: https://evil.example"),
    ] {
        add(status, replaced(from, to));
    }

    // Limits.
    add(431, field(&[b"X: ".as_slice(), &vec![b'x'; 17 << 10]].concat()));
    add(431, line(&format!("GET /{} HTTP/1.1", "x".repeat(17 << 10))));
    add(431, vec![b'A'; 17 << 10]);
    add(431, open_with(&"X: y\r\n".repeat(100)).into_bytes());
    table
}

#[test]
fn t5_a_malformed_head_never_gets_a_101_or_a_second_response() {
    let table = table();
    assert!(table.len() >= 120, "{}", table.len());
    for (status, head) in table {
        let shown = head.escape_ascii().to_string();
        let shown = &shown[..shown.len().min(400)];
        // A valid request right after the malformed one must not be served instead.
        let bytes = [&head[..], open_with("").as_bytes()].concat();
        let answer = answer(&bytes).unwrap_or_else(|| panic!("no response to {shown}"));
        assert_eq!(status_of(&answer), status, "{shown}\n{}", answer.escape_ascii());
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        assert!(
            answer.contains("connection: close\r\n") || answer.contains("connection: upgrade, close\r\n")
        );
        let why = answer.split_once("\r\n\r\n").unwrap().1;
        // The response to a HEAD has no body.
        assert_eq!(why.len() > 20, !head.starts_with(b"HEAD "), "the body must give the reason: {answer}");

        // Byte by byte, the result is the same.
        let mut handshake = ServerHandshake::new(config());
        let mut requests = 0;
        for byte in &bytes {
            match handshake.poll_request(&mut RecvBuf::new(&mut [*byte])) {
                Ok(None) => {}
                Ok(Some(request)) => {
                    requests += 1;
                    let rejected =
                        Upgrade::new(request).map_or_else(|r| r.status() == status, |_| status == 403);
                    assert!(rejected, "{shown}");
                }
                Err(error) => match error.response() {
                    Some(response) => assert_eq!(response.status(), status, "{shown}"),
                    None => assert_eq!(requests, 1),
                },
            }
        }
        assert!(requests <= 1, "{shown}");
    }
}

#[test]
fn h6_a_head_has_one_body_length_or_is_refused() {
    use HeadError::{ContentLength, TransferEncoding, TwoBodyLengths, UnknownTransferCoding};
    let table = [
        ("1.1", "", Ok(BodyLength::None)),
        ("1.1", "Content-Length: 0", Ok(BodyLength::Length(0))),
        ("1.1", "content-length: 007", Ok(BodyLength::Length(7))),
        ("1.1", "Content-Length: 7,7 , 7", Ok(BodyLength::Length(7))),
        ("1.1", "Content-Length: 18446744073709551615", Ok(BodyLength::Length(u64::MAX))),
        ("1.1", "Content-Length: 18446744073709551616", Err(ContentLength)),
        ("1.1", "Content-Length: 7\r\nContent-Length: 8", Err(ContentLength)),
        ("1.1", "Content-Length: 8\r\nContent-Length: 7", Err(ContentLength)),
        ("1.0", "Content-Length: 7", Ok(BodyLength::Length(7))),
        ("1.1", "Transfer-Encoding: CHUNKED", Ok(BodyLength::Chunked)),
        ("1.1", "Transfer-Encoding: , chunked", Ok(BodyLength::Chunked)),
        ("1.0", "Transfer-Encoding: chunked", Err(TransferEncoding)),
        ("1.1", "Transfer-Encoding: chunked, chunked", Err(TransferEncoding)),
        ("1.1", "Transfer-Encoding: chunked, gzip", Err(TransferEncoding)),
        ("1.1", "Transfer-Encoding:", Err(TransferEncoding)),
        ("1.1", "Transfer-Encoding: gzip, chunked", Err(UnknownTransferCoding)),
        ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 7", Err(TwoBodyLengths)),
        ("1.1", "Content-Length: 7\r\nTransfer-Encoding:", Err(TwoBodyLengths)),
    ];
    for (version, fields, expected) in table {
        let line = if fields.is_empty() { "" } else { "\r\n" };
        let head = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}{line}\r\n");
        let found = read_request(head.as_bytes()).map(|request| request.unwrap().body_length());
        assert_eq!(found, expected.map_err(ServerHandshakeError::Head), "HTTP/{version} {fields}");
    }
}

#[test]
fn each_form_of_target_is_accepted_for_its_methods_only() {
    for (line, valid) in [
        ("OPTIONS * HTTP/1.1", true),
        ("OPTIONS / HTTP/1.1", true),
        ("CONNECT a.example:443 HTTP/1.1", true),
        ("CONNECT /a HTTP/1.1", false),
        ("CONNECT http://a/ HTTP/1.1", false),
        ("GET a.example:443 HTTP/1.1", false),
        ("GET * HTTP/1.1", false),
        ("HEAD http://a HTTP/1.1", true),
    ] {
        let found = read_request(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(
            found.map(|_| ()),
            valid.then_some(()).ok_or(ServerHandshakeError::Head(HeadError::Target)),
            "{line}"
        );
    }
    assert!(read_request(b"GET / HTTP/1.0\r\n\r\n").is_ok(), "HTTP/1.0 does not require Host");
}

#[test]
fn unusual_but_valid_heads_are_answered_with_101() {
    for head in [
        open_with(""),
        open_with("Content-Length: 0\r\n"),
        open_with("Content-Length: 0, 0\r\nContent-Length: 0\r\n"),
        open_with("X:\r\nY: \t \r\nZ:a:b\r\n"),
        open_with("X: a\tb \u{e9}\r\n"),
        open_with("!#$%&'*+-.^_`|~: y\r\n"),
        open_with(&"X: y\r\n".repeat(95)),
        open_with(&format!("X: {}\r\n", "x".repeat(15 << 10))),
        open_with("Sec-WebSocket-Protocol: , a ,, b,\r\n"),
        format!("\r\n\r\n{}", open_with("")),
        open_with("").replace("Key: ", "Key:\t "),
        open_with("").replace("nZQ==\r\n", "nZQ== \t\r\n"),
        open_with("").replace("/chat ", "http://a:80?x "),
        open_with("").replace("/chat ", "HTTPS://[::1]:443/a?b/c?d "),
        open_with("").replace("/chat ", "//chat|{}\"\\^` "),
        open_with("").replace("server.example.com", "[2001:db8::1]:8080"),
        open_with("").replace("server.example.com", "192.0.2.1:"),
        open_with("").replace("server.example.com", "a_b.~c!$&'()*+,;=%20"),
        open_with("").to_lowercase().replace("get /chat http", "GET /chat HTTP").replace(
            &sockeye_testkit::handshake::SAMPLE_KEY.to_lowercase(),
            sockeye_testkit::handshake::SAMPLE_KEY,
        ),
    ] {
        let answer = answer(head.as_bytes()).unwrap();
        assert_eq!(status_of(&answer), 101, "{head:?}\n{}", answer.escape_ascii());
    }
}

#[test]
fn tls_on_a_plain_port_is_named_in_the_response() {
    let answer = answer(b"\x16\x03\x01\x02\x00").unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(text.contains("looks like TLS; this port speaks plain ws://"), "{text}");
}
