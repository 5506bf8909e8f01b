//! The check of the `Origin` header (H13, T7).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod handshake_support;

use handshake_support::{open_with, upgrade};
use sockeye_core::handshake::server::{Origin, Origins, Policy, Refusal};

fn allows(origins: &Origins, host: &str, fields: &str) -> bool {
    let upgrade = upgrade(&open_with(fields).replace("server.example.com", host));
    match Policy::new().origins(origins.clone()).decide(&upgrade) {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal, Refusal::Origin);
            let rejection = upgrade.reject(refusal);
            assert_eq!((rejection.status(), rejection.request().path()), (403, "/chat"));
            false
        }
    }
}

fn from(origin: &str) -> String {
    format!("Origin: {origin}\r\n")
}

#[test]
fn t7_by_default_only_the_same_host_is_allowed() {
    let table = [
        ("example.com", "http://example.com", true),
        ("example.com", "https://example.com", true),
        ("example.com", "HTTPS://EXAMPLE.com", true),
        ("EXAMPLE.COM", "https://example.com", true),
        ("example.com:443", "https://example.com", true),
        ("example.com", "https://example.com:443", true),
        ("example.com:80", "http://example.com", true),
        ("example.com", "http://example.com:80", true),
        ("example.com:", "http://example.com", true),
        ("example.com:8080", "http://example.com:8080", true),
        ("example.com:8080", "https://example.com:8080", true),
        ("[::1]:8080", "http://[::1]:8080", true),
        ("[2001:DB8::1]", "https://[2001:db8::1]", true),
        ("127.0.0.1:3000", "http://127.0.0.1:3000", true),
        ("example.com", "null", false),
        ("null", "null", false),
        ("example.com", "", false),
        ("example.com", "example.com", false),
        ("example.com", "//example.com", false),
        ("example.com", "https://evil-example.com", false),
        ("example.com", "https://example.com.evil.com", false),
        ("example.com", "https://www.example.com", false),
        ("www.example.com", "https://example.com", false),
        ("example.com", "https://example.co", false),
        ("example.com", "https://example.com.", false),
        ("example.com", "https://example.com:8443", false),
        ("example.com:8443", "https://example.com", false),
        ("example.com:443", "http://example.com", false),
        ("example.com:80", "https://example.com", false),
        ("example.com", "https://example.com/", false),
        ("example.com", "https://example.com/path", false),
        ("example.com", "https://example.com?", false),
        ("example.com", "https://user@example.com", false),
        ("example.com", "https://evil.com@example.com", false),
        ("example.com", "https://example.com https://example.com", false),
        ("example.com", "https://example.com, https://example.com", false),
        ("example.com", "ftp://example.com", false),
        ("example.com", "file://", false),
        ("example.com", "chrome-extension://example.com", false),
        ("example.com", "https://example.com:", true),
        ("example.com", "https://example.com:99999", false),
        ("example.com", "https:/example.com", false),
        ("example.com", "://example.com", false),
        ("[::1]", "http://[::2]", false),
    ];
    for (host, origin, allowed) in table {
        assert_eq!(allows(&Origins::default(), host, &from(origin)), allowed, "{host} from {origin}");
        assert!(allows(&Origins::Any, host, &from(origin)));
    }
}

#[test]
fn t7_listed_origins_must_match_exactly() {
    let list =
        Origins::list(["https://example.com", "http://localhost:3000", "app://local", "HTTP://a.example:80"]);
    let list = list.unwrap();
    let table = [
        ("https://example.com", true),
        ("https://example.com:443", true),
        ("HTTPS://Example.COM", true),
        ("http://localhost:3000", true),
        ("app://local", true),
        ("http://a.example", true),
        ("http://example.com", false),
        ("https://example.com:80", false),
        ("https://evil-example.com", false),
        ("https://sub.example.com", false),
        ("https://example.com.evil.com", false),
        ("https://example.com.", false),
        ("http://localhost", false),
        ("http://localhost:30000", false),
        ("http://localhost:3001", false),
        ("app://local:1", false),
        ("https://a.example", false),
        ("null", false),
        ("", false),
        ("*", false),
        ("https://server.example.com", false),
    ];
    for (origin, allowed) in table {
        assert_eq!(allows(&list, "server.example.com", &from(origin)), allowed, "{origin}");
    }
    assert!(!allows(&Origins::List(Vec::new()), "a", &from("http://a")));
}

#[test]
fn t7_a_request_without_an_origin_is_allowed() {
    for origins in [Origins::Any, Origins::SameHost, Origins::List(Vec::new())] {
        assert!(allows(&origins, "a", ""));
    }
}

#[test]
fn t7_a_repeated_origin_is_refused() {
    let twice = "Origin: https://example.com\r\norigin: https://example.com\r\n";
    assert!(!allows(&Origins::SameHost, "example.com", twice));
    assert!(!allows(&Origins::list(["https://example.com"]).unwrap(), "example.com", twice));
}

#[test]
fn t7_the_origin_is_compared_with_the_host_of_an_absolute_target() {
    let head = open_with(&from("https://b.example")).replace("/chat", "https://b.example/chat");
    assert!(Policy::new().decide(&upgrade(&head)).is_ok());
    let head = open_with(&from("https://server.example.com")).replace("/chat", "https://b.example/chat");
    assert_eq!(Policy::new().decide(&upgrade(&head)).unwrap_err(), Refusal::Origin);
}

#[test]
fn h13_a_list_refuses_texts_that_are_not_origins() {
    for bad in
        ["", "null", "*", "example.com", "https://", "https://a/", "https://*.a", "https://a b", "1http://a"]
    {
        assert!(bad.parse::<Origin>().is_err(), "{bad}");
    }
    assert_eq!("HTTPS://Example.com:443".parse::<Origin>().unwrap().to_string(), "https://example.com");
    assert_eq!("http://[::1]:3000".parse::<Origin>().unwrap().to_string(), "http://[::1]:3000");
}
