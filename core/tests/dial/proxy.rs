//! The addresses of proxies, and their credentials.

use sockeye_core::dial::{InvalidProxy, Proxy};

#[test]
fn k6_proxies_are_parsed() {
    let table = [
        ("http://proxy.example", "proxy.example", 80, "http://proxy.example:80"),
        ("http://Proxy.Example:3128/", "proxy.example", 3128, "http://proxy.example:3128"),
        ("HTTP://10.0.0.1:8080", "10.0.0.1", 8080, "http://10.0.0.1:8080"),
        ("proxy.example:3128", "proxy.example", 3128, "http://proxy.example:3128"),
        ("socks5://proxy.example", "proxy.example", 1080, "socks5://proxy.example:1080"),
        ("socks5h://[2001:DB8::1]:9050", "2001:db8::1", 9050, "socks5://[2001:db8::1]:9050"),
        ("http://[fe80::1%25eth0]:3128", "fe80::1", 3128, "http://[fe80::1]:3128"),
        ("http://user:secret@proxy.example", "proxy.example", 80, "http://proxy.example:80"),
        ("user:se@cret@proxy.example", "proxy.example", 80, "http://proxy.example:80"),
    ];
    for (text, host, port, shown) in table {
        let proxy = Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((proxy.host(), proxy.port(), proxy.to_string().as_str()), (host, port, shown), "{text}");
        assert_eq!(text.parse::<Proxy>().unwrap(), proxy);
    }
    assert_eq!(Proxy::parse("http://[fe80::1%25eth0]:3128").unwrap().zone(), Some("eth0"));
}

#[test]
fn k6_each_invalid_proxy_has_its_error() {
    use InvalidProxy::*;
    let long = format!("socks5://{}@a", "u".repeat(256));
    let table = [
        ("ftp://a", Scheme),
        ("socks4://a", Scheme),
        ("socks://a", Scheme),
        ("://a", Scheme),
        ("https://a", Tls),
        ("", Host),
        ("http://", Host),
        ("http://a b", Host),
        ("http://a/path", Host),
        ("http://a?b", Host),
        ("http://a\r\nX: y", Port),
        ("http://[::1", Host),
        ("http://a:0", Port),
        ("http://a:x", Port),
        ("http://a:70000", Port),
        ("http://@a", Credentials),
        ("http://:password@a", Credentials),
        ("http://user%3Aname:password@a", Credentials),
        ("http://user%0d%0aX:password@a", Credentials),
        ("http://user:pass%@a", Credentials),
        ("http://user:pass%4g@a", Credentials),
        (&long, Credentials),
    ];
    for (text, error) in table {
        assert_eq!(Proxy::parse(text).unwrap_err(), error, "{text:?}");
    }
}

#[test]
fn k6_credentials_of_a_proxy_are_never_shown() {
    for text in ["http://us3r:s3cret@a", "socks5://us3r:s3cret@a"] {
        let proxy = Proxy::parse(text).unwrap();
        for shown in [format!("{proxy}"), format!("{proxy:?}"), format!("{proxy:#?}")] {
            assert!(!shown.contains("us3r") && !shown.contains("s3cret"), "{shown}");
        }
    }
    for text in ["http://us3r:s3cret@a:x", "gopher://us3r:s3cret@a", "http://us3r:s3cret%@a", "us3r:s3cret@"]
    {
        let error = Proxy::parse(text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("us3r") && !shown.contains("s3cret"), "{shown}");
    }
}
