//! H17: the handshake from requests and responses that another HTTP library has parsed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use sockeye_core::handshake::client::{self, ClientHandshakeError, PartsHandshake, Url};
use sockeye_core::handshake::server::{Accept, Origins, Policy, Refusal, ServerHandshake, Upgrade};
use sockeye_core::http::{HeadError, Request, Response, Version};
use sockeye_core::{Config, RecvBuf};

/// Returns a configuration with compression, if a backend is compiled in.
fn config() -> Arc<Config> {
    let config = Config::new();
    #[cfg(feature = "_deflate")]
    let config = config.deflate(sockeye_core::deflate::Deflate::new());
    Arc::new(config)
}

fn parse(head: &str) -> Result<Request, String> {
    let mut bytes = head.as_bytes().to_vec();
    let mut handshake = ServerHandshake::new(Arc::new(Config::new()));
    let polled = handshake.poll_request(&mut RecvBuf::new(&mut bytes)).map_err(|error| error.to_string())?;
    polled.ok_or_else(|| "incomplete".to_owned())
}

fn by_parts(request: &Request) -> Request {
    let fields = request.headers().iter();
    Request::from_parts(request.method(), request.target(), request.version(), fields).unwrap()
}

/// The whole verdict on a request: the refusal, or the response to it.
fn verdict(request: Request) -> String {
    match Upgrade::new(request) {
        Ok(upgrade) => {
            let accept = match Policy::new().subprotocol("chat").unwrap().decide(&upgrade) {
                Ok(accept) => accept,
                Err(rejection) => return format!("{rejection}"),
            };
            let accepted = upgrade.accept_parts(&accept, config()).unwrap();
            format!("{:?} {:?}", accepted.response, accepted.deflate)
        }
        Err(rejection) => format!("{:?} {:?}", rejection.reason(), rejection.response()),
    }
}

proptest! {
    #[test]
    fn h17_a_request_by_parts_gets_the_verdict_that_its_bytes_get(
        method in "GET|POST|HEAD|get",
        target in "/|/chat\\?a=b|http://a/x",
        version in "1.0|1.1",
        fields in prop::collection::vec(
            ("Host|Upgrade|Connection|Sec-WebSocket-Key|Sec-WebSocket-Version|Sec-WebSocket-Protocol|\
              Sec-WebSocket-Extensions|Origin|Content-Length|Expect|X-Y",
             "a|websocket|Upgrade, x|dGhlIHNhbXBsZSBub25jZQ==|13|12|chat, soap|permessage-deflate|;|,|\
              http://a|ws://a/|0|5|100-continue|"),
            0..10,
        ),
        complete: bool,
    ) {
        let mut head = format!("{method} {target} HTTP/{version}\r\n");
        if complete {
            head += "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        }
        for (name, value) in fields.iter().take(if complete { 2 } else { 10 }) {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        if let Ok(request) = parse(&head) {
            prop_assert_eq!(verdict(by_parts(&request)), verdict(request.clone()));
            if let Ok(upgrade) = Upgrade::new(request) {
                let interim = if upgrade.request().expects_continue() { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
                let parts = upgrade.clone().accept_parts(&Accept::new(), config()).unwrap();
                let bytes = upgrade.accept(&Accept::new(), config()).unwrap().connection;
                let expected = [interim.as_bytes(), &parts.response.encode()].concat();
                prop_assert_eq!(bytes.poll_transmit().unwrap().first(), expected);
            }
        }
    }
}

#[test]
fn h17_parts_are_validated_like_bytes() {
    let host = ("host", "a");
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Fields<'_>, HeadError); 8] = [
        ("GE T", "/", &[host], HeadError::Method),
        ("GET", "chat", &[host], HeadError::Target),
        ("GET", "/ch\u{e9}", &[host], HeadError::Target),
        ("GET", "/", &[], HeadError::MissingHost),
        ("GET", "/", &[host, host], HeadError::RepeatedHost),
        ("GET", "/", &[("host", "a b")], HeadError::InvalidHost),
        ("GET", "/", &[host, ("x y", "z")], HeadError::FieldName),
        ("GET", "/", &[host, ("x", "a\r\nb: c")], HeadError::FieldValue),
    ];
    for (method, target, fields, error) in cases {
        let parsed = Request::from_parts(method, target, Version::Http11, fields.iter().copied());
        assert_eq!(parsed.err(), Some(error));
    }
}

#[test]
fn h17_t6_no_part_of_a_request_can_move_the_boundary_to_the_next() {
    let cases = [
        ("https", "example.com/admin?", "/public", HeadError::InvalidHost),
        ("https", "a@b", "/", HeadError::InvalidHost),
        ("http://evil", "example.com", "/", HeadError::Target),
        ("https", "example.com", "public", HeadError::Target),
        ("https", "example.com", "/a b", HeadError::Target),
        ("https", "example.com", "/a\r\nX: y", HeadError::Target),
    ];
    for (scheme, authority, path, error) in cases {
        let parsed = Request::from_extended_connect(scheme, authority, path, [("a", "b")]);
        assert_eq!(parsed.err(), Some(error), "{scheme} {authority} {path}");
    }
    for target in ["/a b", "/a\r\nX: y", "/\0", "/\x7f"] {
        let parsed = Request::from_parts("GET", target, Version::Http11, [("host", "a")]);
        assert_eq!(parsed.err(), Some(HeadError::Target), "{target:?}");
    }
}

#[test]
fn h17_http_2_has_no_upgrade() {
    let fields = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let request = Request::from_parts("GET", "https://a/", Version::Http2, fields).unwrap();
    assert_eq!(Upgrade::new(request).unwrap_err().reason(), Refusal::NotWebSocket);
}

#[test]
fn h17_limits_that_another_library_applied_do_not_apply_again() {
    let long = "a".repeat(100_000);
    let fields = (0..500).map(|_| ("cookie", long.as_str())).chain([("host", "a")]);
    let request = Request::from_parts("GET", "/", Version::Http11, fields).unwrap();
    assert_eq!(request.headers().len(), 501);
}

fn extended(fields: &[(&str, &str)]) -> Request {
    Request::from_extended_connect("https", "example.com:8443", "/chat?room=7", fields.iter().copied())
        .unwrap()
}

#[test]
fn h17_an_extended_connect_needs_a_version_and_neither_key_nor_upgrade() {
    let request = extended(&[("sec-websocket-version", "13"), ("sec-websocket-protocol", "soap, chat")]);
    assert_eq!(
        (request.path(), request.query(), request.host()),
        ("/chat", Some("room=7"), Some("example.com:8443"))
    );
    let upgrade = Upgrade::new(request).unwrap();
    let accept = Accept::new().subprotocol("chat").header("Set-Cookie", "a=b").unwrap();
    let accepted = upgrade.accept_parts(&accept, config()).unwrap();
    let fields: Vec<_> = accepted.response.headers().iter().collect();
    assert_eq!(fields, [("Sec-WebSocket-Protocol", &b"chat"[..]), ("Set-Cookie", b"a=b")]);
    assert_eq!((accepted.response.status(), accepted.connection.queued()), (200, 0));
}

#[test]
fn h17_a_refused_extended_connect_gets_no_field_that_http_2_forbids() {
    for (fields, reason, status) in [
        (&[][..], Refusal::Version, 426),
        (&[("sec-websocket-version", "13"), ("sec-websocket-protocol", "a b")], Refusal::Subprotocol, 400),
        (&[("sec-websocket-version", "13"), ("sec-websocket-extensions", ";")], Refusal::Extensions, 400),
    ] {
        let rejection = Upgrade::new(extended(fields)).unwrap_err();
        let response = rejection.response();
        assert_eq!((rejection.reason(), response.status()), (reason, status));
        assert!(!response.headers().contains("connection") && !response.headers().contains("upgrade"));
    }
    let plain = Request::from_parts("CONNECT", "a:80", Version::Http2, [("a", "b")]).unwrap();
    assert!(!plain.is_extended_connect());
    assert_eq!(Upgrade::new(plain).unwrap_err().reason(), Refusal::NotWebSocket);
}

#[test]
fn h17_t7_the_origin_of_an_extended_connect_is_compared_with_its_authority() {
    let policy = Policy::new().origins(Origins::default());
    for (origin, allowed) in [("https://example.com:8443", true), ("https://evil.example", false)] {
        let upgrade = Upgrade::new(extended(&[("sec-websocket-version", "13"), ("origin", origin)])).unwrap();
        assert_eq!(policy.decide(&upgrade).is_ok(), allowed, "{origin}");
    }
}

fn request() -> client::ClientRequest {
    let url: Url = "wss://example.com/chat".parse().unwrap();
    client::ClientRequest::new(&url).subprotocol("chat").unwrap()
}

fn by_connect() -> PartsHandshake {
    request().start_extended_connect(Box::new(|| [1, 2, 3, 4]), Arc::new(Config::new()))
}

fn response(status: u16, fields: &[(&str, &str)]) -> Response {
    Response::from_parts(status, Version::Http2, fields.iter().copied()).unwrap()
}

#[test]
fn h17_k1_a_client_by_parts_sends_what_a_client_by_bytes_sends() {
    let request = request().header("X-Y", "z").unwrap();
    let masks = || Box::new(|| [1, 2, 3, 4]);
    let parts = request.clone().start_parts([7; 16], masks(), config());
    let bytes = request.start([7; 16], masks(), config());
    let mut text = format!("{} {} HTTP/1.1\r\n", parts.method(), parts.path());
    for (name, value) in parts.headers().iter() {
        text += &format!("{name}: {}\r\n", String::from_utf8_lossy(value));
    }
    text += "\r\n";
    assert_eq!(bytes.poll_transmit(), Some(text.as_bytes()));
}

#[test]
fn h17_k1_a_client_by_extended_connect_verifies_the_response() {
    let handshake = by_connect();
    assert_eq!(
        (
            handshake.method(),
            handshake.protocol(),
            handshake.scheme(),
            handshake.authority(),
            handshake.path()
        ),
        ("CONNECT", Some("websocket"), "https", "example.com", "/chat")
    );
    let names: Vec<_> = handshake.headers().iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Sec-WebSocket-Version", "Sec-WebSocket-Protocol"]);
    let established = handshake.verify(response(200, &[("sec-websocket-protocol", "chat")])).unwrap();
    assert_eq!(established.subprotocol.as_deref(), Some("chat"));
    for status in [101, 204 - 100, 301, 403, 500] {
        let error = by_connect().verify(response(status, &[])).unwrap_err();
        assert!(matches!(error, ClientHandshakeError::Refused(response) if response.status() == status));
    }
    for field in [("sec-websocket-protocol", "soap"), ("sec-websocket-extensions", "permessage-deflate")] {
        let error = by_connect().verify(response(200, &[field])).unwrap_err();
        assert!(matches!(error, ClientHandshakeError::BadResponse(_)), "{field:?}");
    }
}

#[test]
fn h17_k1_a_client_by_parts_over_http_1_needs_the_101_of_rfc_6455() {
    let start =
        || request().start_parts(*b"the sample nonce", Box::new(|| [1, 2, 3, 4]), Arc::new(Config::new()));
    let fields = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    let response =
        |fields: &[(&str, &str)]| Response::from_parts(101, Version::Http11, fields.iter().copied()).unwrap();
    start().verify(response(&fields)).unwrap();
    for missing in 0..fields.len() {
        let mut fewer = fields.to_vec();
        fewer.remove(missing);
        assert!(matches!(start().verify(response(&fewer)), Err(ClientHandshakeError::BadResponse(_))));
    }
}

#[cfg(feature = "http")]
mod http_types {
    use super::*;

    #[test]
    fn h17_requests_and_responses_convert_from_and_to_those_of_the_http_crate() {
        let request = http::Request::builder()
            .uri("/chat")
            .header("Host", "a")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body("not looked at")
            .unwrap();
        let upgrade = Upgrade::new(Request::try_from(&request).unwrap()).unwrap();
        let accepted = upgrade.accept_parts(&Accept::new(), Arc::new(Config::new())).unwrap();
        let response = http::Response::try_from(accepted.response).unwrap();
        assert_eq!(response.status(), http::StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

        let nonce = *b"the sample nonce";
        let client = request_parts(nonce);
        let sent = http::Request::try_from(&client).unwrap();
        assert_eq!((sent.method().as_str(), sent.uri().to_string().as_str()), ("GET", "/chat"));
        client.verify(Response::try_from(&response).unwrap()).unwrap();
    }

    fn request_parts(nonce: [u8; 16]) -> PartsHandshake {
        let url: Url = "ws://a/chat".parse().unwrap();
        client::ClientRequest::new(&url).start_parts(
            nonce,
            Box::new(|| [1, 2, 3, 4]),
            Arc::new(Config::new()),
        )
    }

    #[test]
    fn h17_an_extended_connect_converts_with_its_whole_uri() {
        let sent = http::Request::try_from(&by_connect()).unwrap();
        assert_eq!(sent.uri(), "https://example.com/chat");
        assert_eq!((sent.method(), sent.version()), (&http::Method::CONNECT, http::Version::HTTP_2));
        let received = Request::try_from(&sent).unwrap();
        assert!(received.is_extended_connect());
        assert!(Upgrade::new(received).is_ok());
    }
}

#[cfg(feature = "http")]
#[test]
fn h17_a_policy_answers_a_request_that_an_http_library_has_parsed() {
    let upgrade = || {
        http::Request::get("/chat")
            .header("host", "a")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "soap, chat")
    };
    let policy = Policy::new().subprotocol("chat").unwrap();
    let answer = |request: http::Request<()>, protocol| {
        let (response, accepted) = policy.answer(&request, protocol, config());
        (response.status().as_u16(), response, accepted)
    };

    let (status, response, accepted) = answer(upgrade().body(()).unwrap(), None);
    let accepted = accepted.unwrap();
    assert_eq!((status, accepted.subprotocol.as_deref()), (101, Some("chat")));
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(accepted.connection.queued(), 0, "the library writes the response");
    let (_, subprotocol): (sockeye_core::Connection, _) = accepted.into();
    assert_eq!(subprotocol.as_deref(), Some("chat"));

    let foreign = upgrade().header("origin", "https://b").body(()).unwrap();
    let (status, _, refused) = answer(foreign, None);
    assert_eq!((status, refused.unwrap_err().to_string()), (403, "the request was refused".into()));
    let (status, response, _) = answer(upgrade().version(http::Version::HTTP_3).body(()).unwrap(), None);
    assert_eq!((status, response.body().is_empty()), (400, false));
    let post = upgrade().method("POST").body(()).unwrap();
    let (status, response, _) = answer(post, None);
    assert_eq!((status, &response.headers()["allow"]), (405, &http::HeaderValue::from_static("GET")));
}

#[cfg(feature = "http")]
#[test]
fn h17_a_policy_opens_only_the_protocol_websocket_over_http2() {
    let cases = [
        (Some("websocket"), 200),
        (Some("WebSocket"), 200),
        (Some("connect-udp"), 501),
        (Some(""), 501),
        (None, 501),
    ];
    for (protocol, expected) in cases {
        let request = http::Request::connect("https://a/chat")
            .version(http::Version::HTTP_2)
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        let (response, accepted) = Policy::new().answer(&request, protocol, config());
        assert_eq!(
            (response.status().as_u16(), accepted.is_ok()),
            (expected, expected == 200),
            "{protocol:?}"
        );
    }
}
