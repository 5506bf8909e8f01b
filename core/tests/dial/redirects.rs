//! Where a response points (RFC 3986 5, RFC 9110 15.4).

use sockeye_core::dial::{RedirectError, redirect};
use sockeye_core::handshake::client::{ClientRequest, Url, UrlError};
use sockeye_core::http::Response;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn follow(from: &str, location: &str) -> Option<Result<String, RedirectError>> {
    let response = Response::new(302).header("Location", location).unwrap();
    redirect(&url(from), &response).map(|to| to.map(|to| to.to_string()))
}

#[test]
fn k6_a_location_is_resolved_against_the_url_of_the_request() {
    // The base and most of the references are those of RFC 3986 5.4.
    let table = [
        ("g", "ws://a/b/c/g"),
        ("./g", "ws://a/b/c/g"),
        ("g/", "ws://a/b/c/g/"),
        ("/g", "ws://a/g"),
        ("//g", "ws://g/"),
        ("//g:81/x", "ws://g:81/x"),
        ("?y", "ws://a/b/c/d;p?y"),
        ("g?y", "ws://a/b/c/g?y"),
        ("", "ws://a/b/c/d;p?q"),
        ("#s", "ws://a/b/c/d;p?q"),
        ("g#s", "ws://a/b/c/g"),
        ("g?y#s", "ws://a/b/c/g?y"),
        (";x", "ws://a/b/c/;x"),
        (".", "ws://a/b/c/"),
        ("./", "ws://a/b/c/"),
        ("..", "ws://a/b/"),
        ("../", "ws://a/b/"),
        ("../g", "ws://a/b/g"),
        ("../..", "ws://a/"),
        ("../../g", "ws://a/g"),
        ("../../../../g", "ws://a/g"),
        ("/./g", "ws://a/g"),
        ("/../g", "ws://a/g"),
        ("g.", "ws://a/b/c/g."),
        ("..g", "ws://a/b/c/..g"),
        ("./../g", "ws://a/b/g"),
        ("g/./h", "ws://a/b/c/g/h"),
        ("g/../h", "ws://a/b/c/h"),
        ("g?y/../x", "ws://a/b/c/g?y/../x"),
        ("ws://h/x", "ws://h/x"),
        ("http://h:8080/x?y#z", "ws://h:8080/x?y"),
        ("HTTPS://h/x", "wss://h/x"),
        ("wss://h", "wss://h/"),
    ];
    for (location, expected) in table {
        assert_eq!(follow("ws://a/b/c/d;p?q", location), Some(Ok(expected.to_string())), "{location:?}");
    }
    assert_eq!(follow("wss://a:81", "x"), Some(Ok("wss://a:81/x".to_string())));
    assert_eq!(follow("wss://a:81", "//b"), Some(Ok("wss://b/".to_string())));
    assert_eq!(follow("ws://[fe80::1%25eth0]/a", "b"), Some(Ok("ws://[fe80::1%25eth0]/b".to_string())));
}

#[test]
fn k6_a_redirect_never_leads_from_wss_to_ws() {
    for location in ["ws://a/", "http://a/", "http://b/", "WS://a/"] {
        assert_eq!(follow("wss://a/", location), Some(Err(RedirectError::Insecure)));
    }
    assert_eq!(follow("wss://a/", "/x"), Some(Ok("wss://a/x".to_string())));
    assert_eq!(follow("ws://a/", "https://a/"), Some(Ok("wss://a/".to_string())));
}

#[test]
fn k6_a_location_that_is_no_websocket_url_is_an_error() {
    let table = [
        ("ftp://a/", UrlError::Scheme),
        ("javascript:alert(1)", UrlError::Scheme),
        ("http://me:secret@a/", UrlError::UserInfo),
        ("http:///a", UrlError::Host),
        ("http:a", UrlError::Scheme),
        ("http://a:0/", UrlError::Port),
        ("/a b", UrlError::Character { at: 2, char: ' ' }),
        ("/%zz", UrlError::Percent { at: 1 }),
    ];
    for (location, error) in table {
        assert_eq!(follow("ws://a/", location), Some(Err(RedirectError::Location(error))), "{location}");
    }
    let response = Response::new(302).header("Location", [b'/', 0xff]).unwrap();
    assert!(matches!(redirect(&url("ws://a/"), &response), Some(Err(RedirectError::Location(_)))));
}

#[test]
fn k6_only_a_redirect_with_a_location_is_one() {
    let is_redirect = |status, has_location| {
        let response = Response::new(status);
        let response = if has_location { response.header("Location", "/x").unwrap() } else { response };
        redirect(&url("ws://a/"), &response).is_some()
    };
    for status in [301, 302, 303, 307, 308] {
        assert!(is_redirect(status, true) && !is_redirect(status, false), "{status}");
    }
    for status in [101, 200, 201, 300, 304, 305, 306, 400, 401, 503] {
        assert!(!is_redirect(status, true), "{status}");
    }
}

#[test]
fn k6_an_origin_is_a_scheme_a_host_and_a_port() {
    let same = |a: &str, b: &str| url(a).is_same_origin(&url(b));
    assert!(same("ws://a/b?c", "WS://A:80/d"));
    assert!(same("wss://a", "wss://a:443"));
    assert!(!same("ws://a", "wss://a"));
    assert!(!same("ws://a", "ws://a:81"));
    assert!(!same("ws://a", "ws://b.a"));
    assert!(!same("ws://[fe80::1%25a]", "ws://[fe80::1%25b]"));
}

#[test]
fn k6_a_request_is_moved_to_another_url_without_its_credentials() {
    let request = ClientRequest::new(&url("ws://a/old?t=s3cret"))
        .subprotocol("chat")
        .and_then(|request| request.header("Authorization", "Bearer s3cret"))
        .and_then(|request| request.header("Cookie", "id=s3cret"))
        .and_then(|request| request.header("proxy-authorization", "s3cret"))
        .and_then(|request| request.header("Origin", "https://a"))
        .unwrap();
    let shown = format!("{request:?}");
    assert!(!shown.contains("s3cret") && shown.contains("Authorization"), "{shown}");
    let start = |request: ClientRequest| {
        let masks = Box::new(|| [1, 2, 3, 4]);
        let parts = request.start_parts(*b"the sample nonce", masks, Default::default());
        let names: Vec<_> = parts.headers().iter().map(|(name, _)| name.to_lowercase()).collect();
        (format!("{} {}", parts.authority(), parts.path()), names)
    };
    let (target, names) = start(request.clone().for_url(&url("wss://b:81/new")));
    assert_eq!(target, "b:81 /new");
    for name in ["authorization", "cookie", "proxy-authorization", "origin", "sec-websocket-protocol"] {
        assert!(names.iter().any(|known| known == name), "{name} is kept");
    }
    let (_, names) = start(request.without_credentials());
    for (name, is_kept) in [("authorization", false), ("cookie", false), ("origin", true)] {
        assert_eq!(names.iter().any(|known| known == name), is_kept, "{name}");
    }
}
