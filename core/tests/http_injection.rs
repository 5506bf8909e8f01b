//! Header injection (T6, H9): a parser reads back exactly the fields that were set, or the setter
//! refuses them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod handshake_support;

use handshake_support::{accept, config, open_with, read_request, transmitted};
use proptest::prelude::*;
use sockeye_core::RecvBuf;
use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Established, Url};
use sockeye_core::handshake::server::Accept;
use sockeye_core::http::{Headers, InvalidHeader, Response};
use sockeye_testkit::handshake::SAMPLE_NONCE;

fn respond(bytes: &[u8]) -> Result<Option<Established>, ClientHandshakeError> {
    let request = ClientRequest::new(&Url::parse("ws://a/").unwrap());
    let mut handshake = request.start(SAMPLE_NONCE, Box::new(|| [0; 4]), config());
    handshake.poll_response(&mut RecvBuf::new(&mut bytes.to_vec()))
}

/// Generates names and values close to the limits of what is allowed.
fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof!["[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", "[ -~\r\n\t\0é:]{0,6}", ".{0,4}"];
    let value = prop_oneof![
        "[ -~]{0,20}".prop_map(String::into_bytes),
        "[a-c \t\r\n\0\u{7f}:,é]{0,10}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
        Just(b"x\r\nSet-Cookie: a=b".to_vec()),
        Just(b"x\r\n\r\nHTTP/1.1 200 OK".to_vec()),
    ];
    (name, value)
}

/// Returns whether RFC 9110 5.1 and 5.5 allow the field; written independently of the crate.
fn is_valid(name: &str, value: &[u8]) -> bool {
    let tchar = |c: char| c.is_ascii() && (c.is_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    let trimmed = value.trim_ascii();
    !name.is_empty()
        && name.chars().all(tchar)
        && trimmed == value
        && !value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f)
}

fn with_names(headers: &Headers, skip: usize) -> Vec<(String, Vec<u8>)> {
    headers.iter().skip(skip).map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// Passes all fields to a setter. Returns the accepted ones, and checks that the others are
/// invalid.
fn fill<T: Clone>(
    fields: &[(String, Vec<u8>)],
    start: T,
    is_reserved: impl Fn(&str) -> bool,
    set: impl Fn(T, &str, &[u8]) -> Result<T, InvalidHeader>,
) -> (T, Vec<(String, Vec<u8>)>) {
    let (mut built, mut taken) = (start, Vec::new());
    for (name, value) in fields {
        match set(built.clone(), name, value) {
            Ok(next) => {
                assert!(is_valid(name, value) && !is_reserved(name), "{name:?}: {}", value.escape_ascii());
                built = next;
                taken.push((name.clone(), value.clone()));
            }
            Err(InvalidHeader::Reserved) => assert!(is_reserved(name)),
            Err(error) => assert!(!is_valid(name, value), "{error} {name:?}: {}", value.escape_ascii()),
        }
    }
    (built, taken)
}

fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding"].contains(&&*name.to_ascii_lowercase())
}

fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_framing(&name)
        || ["upgrade", "connection", "host"].contains(&&*name)
        || name.starts_with("sec-websocket-")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn t6_a_response_parses_back_to_the_given_fields(
        fields in prop::collection::vec(field(), 0..6),
        body in prop::collection::vec(any::<u8>(), 0..40),
        status in prop_oneof![200u16..=203, 205u16..=303, 305u16..=599],
    ) {
        let start = Response::new(status).body(body.clone());
        let (response, taken) = fill(&fields, start, is_framing, |r, n, v| r.header(n, v));
        let Err(ClientHandshakeError::Refused(parsed)) = respond(&response.encode()) else { panic!() };
        prop_assert_eq!(parsed.status(), status);
        prop_assert_eq!(parsed.content(), &body[..]);
        let mut expected = taken;
        expected.push(("Content-Length".into(), body.len().to_string().into_bytes()));
        if !expected.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            expected.push(("Connection".into(), b"close".to_vec()));
        }
        prop_assert_eq!(with_names(parsed.headers(), 0), expected);
    }

    #[test]
    fn t6_a_101_parses_back_to_the_given_fields(fields in prop::collection::vec(field(), 0..6)) {
        let is_reserved = |name: &str| is_own(name) && !name.eq_ignore_ascii_case("host");
        let (options, taken) = fill(&fields, Accept::new(), is_reserved, |a, n, v| a.header(n, v));
        let mut accepted = accept(&open_with(""), &options);
        let established = respond(&transmitted(&mut accepted.connection)).unwrap().unwrap();
        prop_assert_eq!(with_names(established.response.headers(), 3), taken);
    }

    #[test]
    fn t6_a_client_s_request_parses_back_to_the_given_fields(fields in prop::collection::vec(field(), 0..6)) {
        let start = ClientRequest::new(&Url::parse("ws://a/b?c").unwrap());
        let (request, taken) = fill(&fields, start, is_own, |r, n, v| r.header(n, v));
        let handshake = request.start(SAMPLE_NONCE, Box::new(|| [0; 4]), config());
        let parsed = read_request(handshake.poll_transmit().unwrap()).unwrap().unwrap();
        prop_assert_eq!(parsed.target(), "/b?c");
        prop_assert_eq!(with_names(parsed.headers(), 5), taken);
    }

    #[test]
    fn t6_a_subprotocol_is_a_token_or_an_error(name in prop_oneof!["[ -~\r\n]{0,8}", ".{0,4}"]) {
        let url = Url::parse("ws://a/").unwrap();
        if let Ok(request) = ClientRequest::new(&url).subprotocol(&name) {
            let handshake = request.start(SAMPLE_NONCE, Box::new(|| [0; 4]), config());
            let parsed = read_request(handshake.poll_transmit().unwrap()).unwrap().unwrap();
            prop_assert_eq!(with_names(parsed.headers(), 5), vec![("Sec-WebSocket-Protocol".into(), name.into_bytes())]);
        } else {
            prop_assert!(!is_valid(&name, b""));
        }
    }

    #[test]
    fn t6_a_url_is_one_target_and_one_host_or_an_error(text in prop_oneof![
        "wss?://[ -~\r\n]{0,20}",
        "wss?://(a|\\[::1\\]|[a-zA-Z.:@-]{1,8})(:[0-9]{0,5})?[/?#]?[ -~é\r\n]{0,12}",
        ".{0,12}",
    ]) {
        if let Ok(url) = Url::parse(&text) {
            let handshake = ClientRequest::new(&url).start(SAMPLE_NONCE, Box::new(|| [0; 4]), config());
            let parsed = read_request(handshake.poll_transmit().unwrap()).unwrap().unwrap();
            prop_assert_eq!(parsed.target(), url.target());
            prop_assert_eq!(parsed.headers().first("host"), Some(url.authority()));
            prop_assert_eq!(parsed.headers().len(), 5);
        }
    }

    #[test]
    fn no_input_makes_a_handshake_panic(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "(GET|POST) [!-~é]{0,10} HTTP/1.[01]\r\n([A-Za-z: ]{0,9}\r?\n){0,5}\r?\n?".prop_map(String::into_bytes),
    ]) {
        let _ = read_request(&bytes);
        let _ = respond(&bytes);
        let _ = respond(&[b"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat());
    }
}

#[test]
fn setters_name_the_invalid_part() {
    let header = |name: &str, value: &str| Response::new(200).header(name, value).unwrap_err();
    for name in ["", " ", "a b", "a:", "a\r\nb", "\u{e9}", "a\0"] {
        assert_eq!(header(name, "x"), InvalidHeader::Name, "{name:?}");
    }
    for (value, at, byte) in [
        ("a\r\nb", 1, b'\r'),
        ("a\nb", 1, b'\n'),
        ("\0", 0, 0),
        (" a", 0, b' '),
        ("a\t", 1, b'\t'),
        (" ", 0, b' '),
        ("a\u{7f}", 1, 0x7f),
    ] {
        assert_eq!(header("X", value), InvalidHeader::Value { at, byte }, "{value:?}");
    }
    assert_eq!(header("content-LENGTH", "0"), InvalidHeader::Reserved);
    assert_eq!(header("Transfer-Encoding", "chunked"), InvalidHeader::Reserved);
}

#[test]
fn a_response_has_the_body_that_its_head_announces() {
    let text = |response: Response| String::from_utf8(response.encode()).unwrap();
    assert_eq!(text(Response::new(204).body("x")), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_eq!(text(Response::new(304).body("x")), "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
    assert_eq!(text(Response::new(101).body("x")), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_eq!(text(Response::new(299)), "HTTP/1.1 299 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let keep = Response::new(200).header("connection", "keep-alive").unwrap();
    assert_eq!(text(keep), "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
    for status in [0, 99, 600, 65535] {
        assert_eq!(Response::new(status).status(), 500);
    }
    let page = Response::text(404, "gone");
    let mut head = page.encode_head();
    assert!(head.ends_with(b"Content-Length: 4\r\nConnection: close\r\n\r\n"));
    head.extend_from_slice(b"gone");
    assert_eq!(head, page.encode());
}

#[test]
fn h5_a_response_says_once_whether_the_connection_stays_open() {
    for (given, keep_alive, expected) in [
        (None, true, "Connection: keep-alive\r\n"),
        (None, false, "Connection: close\r\n"),
        (Some("close"), false, "Connection: close\r\n"),
        (Some("Upgrade, Close"), false, "Connection: Upgrade, Close\r\n"),
        (Some("keep-alive"), true, "Connection: keep-alive\r\n"),
        (Some("keep-alive"), false, "Connection: close\r\n"),
    ] {
        let response =
            given.map_or(Response::new(200), |given| Response::new(200).header("Connection", given).unwrap());
        let head = String::from_utf8(response.keep_alive(keep_alive).encode()).unwrap();
        let options: String = head.split_inclusive('\n').filter(|line| line.starts_with("Conn")).collect();
        assert_eq!(options, expected, "{given:?}");
    }
}

#[test]
fn a_forwarded_response_has_the_length_of_its_content() {
    let bytes = b"HTTP/1.1 403 x\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let Err(ClientHandshakeError::Refused(received)) = respond(bytes) else { panic!() };
    let expected: &[u8] =
        b"HTTP/1.1 403 Forbidden\r\nX: y\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    assert_eq!(received.encode(), expected);
}

#[test]
fn the_status_line_has_the_registered_reason_phrase() {
    // From the registry of RFC 9110 16.2.1.
    let phrases = [
        (303, "See Other"),
        (308, "Permanent Redirect"),
        (401, "Unauthorized"),
        (404, "Not Found"),
        (416, "Range Not Satisfiable"),
        (429, "Too Many Requests"),
        (503, "Service Unavailable"),
    ];
    for (status, phrase) in phrases {
        let head = String::from_utf8(Response::new(status).encode()).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} {phrase}\r\n")), "{head}");
    }
}
