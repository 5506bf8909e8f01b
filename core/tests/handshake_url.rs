//! WebSocket URLs (RFC 6455 3, RFC 3986; K1).
#![allow(clippy::unwrap_used, clippy::panic)]

use sockeye_core::handshake::client::{Url, UrlError};

#[test]
fn valid_urls_yield_their_parts() {
    // URL, secure, host, port, Host header, target.
    let table = [
        ("ws://a", false, "a", 80, "a", "/"),
        ("ws://a/", false, "a", 80, "a", "/"),
        ("wss://a", true, "a", 443, "a", "/"),
        ("WS://A.Example/B", false, "a.example", 80, "a.example", "/B"),
        ("WsS://a", true, "a", 443, "a", "/"),
        ("ws://a:80/", false, "a", 80, "a", "/"),
        ("wss://a:443/", true, "a", 443, "a", "/"),
        ("ws://a:443/", false, "a", 443, "a:443", "/"),
        ("wss://a:80/", true, "a", 80, "a:80", "/"),
        ("ws://a:", false, "a", 80, "a", "/"),
        ("ws://a:00080/", false, "a", 80, "a", "/"),
        ("ws://a:65535", false, "a", 65535, "a:65535", "/"),
        ("ws://a:1", false, "a", 1, "a:1", "/"),
        ("ws://127.0.0.1:9000/x", false, "127.0.0.1", 9000, "127.0.0.1:9000", "/x"),
        ("ws://[::1]", false, "::1", 80, "[::1]", "/"),
        ("ws://[::1]:9000/x", false, "::1", 9000, "[::1]:9000", "/x"),
        ("wss://[2001:DB8::1]:443", true, "2001:db8::1", 443, "[2001:db8::1]", "/"),
        ("ws://[::ffff:192.0.2.1]:", false, "::ffff:192.0.2.1", 80, "[::ffff:192.0.2.1]", "/"),
        ("ws://a_b-c.d", false, "a_b-c.d", 80, "a_b-c.d", "/"),
        ("ws://a.", false, "a.", 80, "a.", "/"),
        ("ws://xn--bcher-kva.example", false, "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"),
        ("ws://a?", false, "a", 80, "a", "/?"),
        ("ws://a?b=c", false, "a", 80, "a", "/?b=c"),
        ("ws://a:8080?b=c", false, "a", 8080, "a:8080", "/?b=c"),
        ("ws://a/b?c=d&e=/f?g", false, "a", 80, "a", "/b?c=d&e=/f?g"),
        ("ws://a//b/../c/", false, "a", 80, "a", "//b/../c/"),
        ("ws://a/%20%2F%ff", false, "a", 80, "a", "/%20%2F%ff"),
        ("ws://a/!$&'()*+,;=:@-._~", false, "a", 80, "a", "/!$&'()*+,;=:@-._~"),
        ("ws://a/b@c:80", false, "a", 80, "a", "/b@c:80"),
        ("ws://a?ws://b", false, "a", 80, "a", "/?ws://b"),
    ];
    for (text, secure, host, port, authority, target) in table {
        let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((url.is_secure(), url.host(), url.port()), (secure, host, port), "{text}");
        assert_eq!((url.authority(), url.target()), (authority, target), "{text}");
        assert_eq!(Url::parse(&url.to_string()).unwrap(), url, "{text} as {url}");
    }
}

#[test]
fn each_invalid_url_has_its_error() {
    use UrlError::*;
    let table = [
        ("", Scheme),
        ("a", Scheme),
        ("a:80", Scheme),
        ("ws:a", Scheme),
        ("ws:/a", Scheme),
        ("ws//a", Scheme),
        ("://a", Scheme),
        ("http://a", Scheme),
        ("https://a", Scheme),
        ("wsss://a", Scheme),
        ("/a", Scheme),
        (" ws://a", Character { at: 0, char: ' ' }),
        ("ws://a ", Character { at: 6, char: ' ' }),
        ("ws://a/b c", Character { at: 8, char: ' ' }),
        ("ws://a/\r\nX: y", Character { at: 7, char: '\r' }),
        ("ws://a\n/", Character { at: 6, char: '\n' }),
        ("ws://a/\0", Character { at: 7, char: '\0' }),
        ("ws://a/\t", Character { at: 7, char: '\t' }),
        ("ws://a/\u{7f}", Character { at: 7, char: '\u{7f}' }),
        ("ws://b\u{fc}cher.example", Character { at: 6, char: '\u{fc}' }),
        ("ws://a/\u{e9}", Character { at: 7, char: '\u{e9}' }),
        ("ws://a/{b}", Character { at: 7, char: '{' }),
        ("ws://a/b\\c", Character { at: 8, char: '\\' }),
        ("ws://a?b=\"c\"", Character { at: 9, char: '"' }),
        ("ws://a?b=[0]", Character { at: 9, char: '[' }),
        ("ws://a/b^", Character { at: 8, char: '^' }),
        ("ws://a/<b>", Character { at: 7, char: '<' }),
        ("ws://a/%", Percent { at: 7 }),
        ("ws://a/%2", Percent { at: 7 }),
        ("ws://a/b%2g", Percent { at: 8 }),
        ("ws://a?%zz", Percent { at: 7 }),
        ("ws://a/#b", Fragment),
        ("ws://a#", Fragment),
        ("ws://a?b#c", Fragment),
        ("ws://user@a", UserInfo),
        ("ws://user:secret@a:80/", UserInfo),
        ("ws://@a", UserInfo),
        ("ws://", Host),
        ("ws:///a", Host),
        ("ws://?a", Host),
        ("ws://:80", Host),
        ("ws://a%20b", Host),
        ("ws://a\\b", Host),
        ("ws://a,b", Host),
        ("ws://a*", Host),
        ("ws://a:b:80", Host),
        ("ws://::1", Host),
        ("ws://::1:80", Host),
        ("ws://[]", Host),
        ("ws://[::1", Host),
        ("ws://[::1]]", Host),
        ("ws://[::1]x:80", Host),
        ("ws://[::1]::80", Host),
        ("ws://[::g]", Host),
        ("ws://[127.0.0.1]", Host),
        ("ws://[fe80::1%eth0]", Host),
        ("ws://[fe80::1%25]", Host),
        ("ws://[fe80::1%25%41]", Host),
        ("ws://[fe80::1%25a]b]", Host),
        ("ws://[127.0.0.1%25eth0]", Host),
        ("ws://[fe80::1]%25eth0", Port),
        ("ws://a%25eth0", Host),
        ("ws://a:0", Port),
        ("ws://a:65536", Port),
        ("ws://a:99999999999999999999", Port),
        ("ws://a:-1", Port),
        ("ws://a:+1", Port),
        ("ws://a:8o", Port),
        ("ws://[::1]80", Port),
    ];
    for (text, error) in table {
        assert_eq!(Url::parse(text).unwrap_err(), error, "{text:?}");
        assert!(text.parse::<Url>().is_err());
    }
}

#[test]
fn k6_a_zone_is_for_connecting_and_not_for_the_host_header() {
    let url = Url::parse("wss://[FE80::1%25Eth0.1]:8443/a").unwrap();
    assert_eq!((url.host(), url.zone(), url.port()), ("fe80::1", Some("Eth0.1"), 8443));
    // RFC 6874 4: "MUST remove any ZoneID attached to an outgoing URI".
    assert_eq!(url.authority(), "[fe80::1]:8443");
    assert_eq!(url.to_string(), "wss://[fe80::1%25Eth0.1]:8443/a");
    assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
    assert_eq!(Url::parse("ws://[fe80::1]/").unwrap().zone(), None);
}

#[test]
#[cfg(feature = "http")]
fn k6_a_uri_of_the_http_crate_is_a_url() {
    let uri: http::Uri = "wss://Example.com:8443/a?b".parse().unwrap();
    assert_eq!(Url::try_from(&uri).unwrap(), Url::parse("wss://example.com:8443/a?b").unwrap());
    assert_eq!(Url::try_from(http::Uri::from_static("/a")), Err(UrlError::Scheme));
}

#[test]
#[cfg(feature = "url")]
fn k6_a_url_of_the_url_crate_is_a_url() {
    let url = url::Url::parse("wss://b\u{fc}cher.example/a b?c").unwrap();
    assert_eq!(Url::try_from(&url).unwrap(), Url::parse("wss://xn--bcher-kva.example/a%20b?c").unwrap());
    assert_eq!(Url::try_from(url::Url::parse("ws://a/#b").unwrap()), Err(UrlError::Fragment));
}
