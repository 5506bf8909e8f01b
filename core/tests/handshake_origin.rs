//! The check of the `Origin` header (H13, T7).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod handshake_support;

use handshake_support::{open_with, upgrade};
use sockeye_core::handshake::server::{Origin, Origins, Policy, Refusal};
use sockeye_core::http::{Request, Response, Version};

fn allows(origins: &Origins, host: &str, fields: &str) -> bool {
    let upgrade = upgrade(&open_with(fields).replace("server.example.com", host));
    match Policy::new().origins(origins.clone()).decide(&upgrade) {
        Ok(_) => true,
        Err(rejection) => {
            assert_eq!(rejection.reason(), Refusal::Origin);
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
        // Clients that are not browsers send the URL that they connect to.
        ("example.com", "https://example.com/", true),
        ("example.com", "ws://example.com", true),
        ("example.com", "ws://example.com/", true),
        ("example.com:443", "wss://example.com", true),
        ("example.com:8080", "ws://example.com:8080/", true),
        ("example.com", "wss://EXAMPLE.com:443/", true),
        ("example.com", "wss://evil.example", false),
        ("example.com", "ws://evil.example/", false),
        ("example.com", "wss://example.com:80", false),
        ("example.com", "ws://example.com.evil.example/", false),
        ("example.com", "https://evil.example/", false),
        ("example.com", "https://example.com//", false),
        ("example.com", "https://", false),
        ("example.com", "https:///", false),
        ("example.com", "null/", false),
        ("example.com", "file:///", false),
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
    assert_eq!(Policy::new().decide(&upgrade(&head)).unwrap_err().reason(), Refusal::Origin);
}

#[test]
fn h13_a_list_refuses_texts_that_are_not_origins() {
    for bad in [
        "",
        "NULL",
        "null/",
        "file:///",
        "file:///a",
        "*",
        "example.com",
        "https://",
        "https://a/",
        "https://*.a",
        "https://a b",
        "1http://a",
    ] {
        assert!(bad.parse::<Origin>().is_err(), "{bad}");
    }
    assert_eq!("HTTPS://Example.com:443".parse::<Origin>().unwrap().to_string(), "https://example.com");
    assert_eq!("http://[::1]:3000".parse::<Origin>().unwrap().to_string(), "http://[::1]:3000");
}

#[test]
fn h15_a_list_may_hold_null_and_file() {
    let list = Origins::list(["null", "file://", "https://example.com"]).unwrap();
    for (origin, allowed) in [
        ("null", true),
        ("file://", true),
        ("FILE://", true),
        ("file:///", true),
        ("https://example.com/", true),
        ("NULL", false),
        ("null/", false),
        ("file:///etc/passwd", false),
        ("file:////", false),
        ("file://null", false),
        ("null://", false),
        ("://null", false),
        ("wss://example.com", false),
        ("https://example.com//", false),
    ] {
        assert_eq!(allows(&list, "server.example.com", &from(origin)), allowed, "{origin}");
    }
    let only = |origin| Origins::list([origin]).unwrap();
    assert!(!allows(&only("null"), "a", &from("file://")) && !allows(&only("file://"), "a", &from("null")));
    for origin in ["null", "file://"] {
        assert_eq!(origin.parse::<Origin>().unwrap().to_string(), origin);
        assert!(!allows(&Origins::SameHost, "null", &from(origin)));
    }
}

#[test]
fn h15_public_hosts_replace_the_requested_one() {
    let policy = Policy::new().public_hosts(["chat.example.com", "localhost:8080"]).unwrap();
    for (host, origin, allowed) in [
        ("backend:9501", "https://chat.example.com", true),
        ("backend:9501", "wss://chat.example.com/", true),
        ("backend:9501", "http://localhost:8080", true),
        ("backend:9501", "http://localhost", false),
        ("backend:9501", "http://backend:9501", false),
        // A foreign name that resolves to this server.
        ("evil.example", "http://evil.example", false),
    ] {
        let upgrade = upgrade(&open_with(&from(origin)).replace("server.example.com", host));
        let decided = policy.decide(&upgrade);
        assert_eq!(decided.is_ok(), allowed, "{host} from {origin}");
        if let Err(rejection) = decided {
            let expected = format!(
                "pages of the origin '{origin}' may not connect to the host 'chat.example.com, localhost:8080'"
            );
            assert_eq!(rejection.to_string(), expected);
        }
    }
    for bad in ["", "https://a", "a/b", "a b", "a:b", "user@a"] {
        assert!(Policy::new().public_hosts([bad]).is_err(), "{bad}");
    }
}

#[test]
fn t47_only_allowed_hosts_are_served() {
    let table: &[(&[&str], &str, bool)] = &[
        (&[], "evil.example", true),
        (&["localhost"], "localhost", true),
        (&["localhost"], "LocalHost", true),
        (&["LOCALHOST"], "localhost:9501", true),
        (&["localhost"], "localhost.", false),
        (&["localhost"], "evil.example", false),
        (&["localhost"], "localhost.evil.example", false),
        (&["localhost"], "evil-localhost", false),
        (&["localhost"], "127.0.0.1", false),
        (&["localhost", "127.0.0.1"], "127.0.0.1:9501", true),
        (&["localhost:9501"], "localhost:9501", true),
        (&["localhost:9501"], "localhost", false),
        (&["example.com:443"], "example.com", true),
        (&["example.com:80"], "example.com:", true),
        (&["example.com:443"], "example.com:80", false),
        (&["[::1]"], "[0:0:0:0:0:0:0:1]:8080", true),
        (&["[::1]"], "[::2]", false),
        (&["[::1]:9501"], "[::1]:9501", true),
    ];
    for &(hosts, host, allowed) in table {
        let policy = Policy::new().allowed_hosts(hosts.iter().copied()).unwrap();
        let head = open_with(&from(&format!("http://{host}"))).replace("server.example.com", host);
        let decided = policy.decide(&upgrade(&head));
        assert_eq!(decided.is_ok(), allowed, "{host} of {hosts:?}: {decided:?}");
        // The same for a plain request.
        let checked = policy.check_request(upgrade(&head).into_request(), None);
        assert_eq!(checked.is_ok(), allowed, "{host} of {hosts:?}");
        for rejection in [decided.err(), checked.err()].into_iter().flatten() {
            assert_eq!((rejection.reason(), rejection.status()), (Refusal::Host, 421));
            let text = format!("this server does not serve the host '{host}'\n");
            assert_eq!(rejection.response().content(), text.as_bytes());
        }
    }
    for bad in ["", "https://a", "a/b", "a b", "a:b", "user@a", "*.example.com", "[::1", "::1"] {
        assert!(Policy::new().allowed_hosts([bad]).is_err(), "{bad}");
    }
}

#[test]
fn t47_the_host_that_a_proxy_forwards_must_be_allowed() {
    let policy = Policy::new().allowed_hosts(["chat.example.com"]).unwrap();
    let mut upgrade = upgrade(&open_with("").replace("server.example.com", "backend"));
    assert!(policy.decide(&upgrade).is_err());
    upgrade.set_forwarded_host(Some("evil.example".to_owned()));
    let rejection = policy.check_host(&upgrade).unwrap_err();
    assert_eq!(rejection.to_string(), "this server does not serve the host 'evil.example'");
    upgrade.set_forwarded_host(Some("chat.example.com".to_owned()));
    assert!(policy.decide(&upgrade).is_ok());
    let request = upgrade.into_request();
    let rejection = policy.check_request(request.clone(), Some("evil.example")).unwrap_err();
    assert_eq!(rejection.to_string(), "this server does not serve the host 'evil.example'");
    assert!(policy.check_request(request, Some("chat.example.com")).is_ok());
}

#[test]
fn t47_a_request_without_a_host_is_for_no_allowed_host() {
    let request = Request::from_parts("GET", "/", Version::Http10, [("accept", "*/*")]).unwrap();
    assert!(Policy::new().check_request(request.clone(), None).is_ok());
    let policy = Policy::new().allowed_hosts(["a"]).unwrap();
    assert_eq!(policy.check_request(request, None).unwrap_err().status(), 421);
}

#[test]
fn h15_the_host_that_a_proxy_forwards_takes_the_place_of_the_requested_one() {
    let mut upgrade =
        upgrade(&open_with(&from("https://chat.example.com")).replace("server.example.com", "backend"));
    assert!(Policy::new().decide(&upgrade).is_err());
    upgrade.set_forwarded_host(Some("https://chat.example.com".to_owned()));
    assert!(Policy::new().decide(&upgrade).is_err(), "that is not a host");
    upgrade.set_forwarded_host(Some("chat.example.com".to_owned()));
    assert_eq!(upgrade.host(), "chat.example.com");
    assert!(Policy::new().decide(&upgrade).is_ok());
    upgrade.set_forwarded_host(Some("other.example.com:8443".to_owned()));
    let rejection = Policy::new().decide(&upgrade).unwrap_err();
    assert!(
        rejection.to_string().ends_with("may not connect to the host 'other.example.com:8443'"),
        "{rejection}"
    );
}

#[test]
fn h15_a_403_names_the_origin_and_the_host_and_escapes_them() {
    let body = |fields: &str| {
        let rejection = Policy::new().decide(&upgrade(&open_with(fields))).unwrap_err();
        let response = rejection.response();
        assert_eq!(
            (response.status(), response.headers().first("content-type")),
            (403, Some("text/plain; charset=utf-8"))
        );
        assert_eq!(Response::from(rejection).content(), response.content());
        String::from_utf8(response.content().to_vec()).unwrap()
    };
    assert_eq!(
        body(&from("https://evil.example")),
        "pages of the origin 'https://evil.example' may not connect to the host 'server.example.com'\n"
    );
    assert_eq!(
        body(&from("<script>'\\&\u{e9}\t")),
        r"pages of the origin '\x3cscript\x3e\x27\x5c\x26\xc3\xa9' may not connect to the host 'server.example.com'"
            .to_owned()
            + "\n"
    );
    let long = body(&from(&"x".repeat(5000)));
    assert!(long.len() < 300 && long.contains("xxx...'"), "{long}");
    let twice = body("Origin: https://a.example\r\nOrigin: https://b.example\r\n");
    assert_eq!(twice, "the Origin header must appear only once; the first one is 'https://a.example'\n");
}
