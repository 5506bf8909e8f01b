//! The proxy that the environment names.

use sockeye_core::dial::{InvalidProxy, Proxy, proxy_from_env};

/// Returns the proxy for a URL with these variables.
fn proxy(url: &str, variables: &[(&str, &str)]) -> Option<String> {
    let lookup = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string())
    };
    let proxy = proxy_from_env(&url.parse().unwrap(), lookup).unwrap();
    proxy.map(|proxy| proxy.host().to_string())
}

#[test]
fn k6_each_scheme_has_its_variables() {
    let all = [("http_proxy", "http://plain"), ("https_proxy", "http://tls"), ("all_proxy", "http://all")];
    assert_eq!(proxy("ws://a", &all).as_deref(), Some("plain"));
    assert_eq!(proxy("wss://a", &all).as_deref(), Some("tls"));
    assert_eq!(proxy("ws://a", &all[1..]).as_deref(), Some("all"));
    assert_eq!(proxy("wss://a", &[all[0], all[2]]).as_deref(), Some("all"));
    assert_eq!(proxy("ws://a", &[all[1]]), None);
    assert_eq!(proxy("wss://a", &[all[0]]), None);
    assert_eq!(proxy("ws://a", &[]), None);
}

#[test]
fn k6_names_in_upper_case_count_after_those_in_lower_case() {
    for (url, lower, upper) in [
        ("ws://a", "http_proxy", "HTTP_PROXY"),
        ("wss://a", "https_proxy", "HTTPS_PROXY"),
        ("ws://a", "all_proxy", "ALL_PROXY"),
        ("wss://a", "all_proxy", "ALL_PROXY"),
    ] {
        assert_eq!(proxy(url, &[(upper, "upper")]).as_deref(), Some("upper"));
        assert_eq!(proxy(url, &[(upper, "upper"), (lower, "lower")]).as_deref(), Some("lower"));
        assert_eq!(proxy(url, &[(upper, "upper"), (lower, " ")]).as_deref(), Some("upper"));
        assert_eq!(proxy(url, &[(upper, "")]), None);
    }
    let named = ("ALL_PROXY", "proxy");
    assert_eq!(proxy("ws://a", &[named, ("NO_PROXY", "a")]), None);
    assert_eq!(proxy("ws://a", &[named, ("NO_PROXY", "a"), ("no_proxy", "b")]).as_deref(), Some("proxy"));
}

#[test]
fn k6_a_cgi_program_ignores_http_proxy() {
    // The server of a CGI program puts the header `Proxy` of a request into `HTTP_PROXY`.
    let cgi = ("REQUEST_METHOD", "GET");
    assert_eq!(proxy("ws://a", &[cgi, ("HTTP_PROXY", "evil")]), None);
    assert_eq!(
        proxy("ws://a", &[cgi, ("HTTP_PROXY", "evil"), ("all_proxy", "good")]).as_deref(),
        Some("good")
    );
    assert_eq!(proxy("ws://a", &[cgi, ("http_proxy", "good")]).as_deref(), Some("good"));
    assert_eq!(proxy("wss://a", &[cgi, ("HTTPS_PROXY", "good")]).as_deref(), Some("good"));
}

#[test]
fn k6_no_proxy_lists_hosts_to_connect_to_directly() {
    // NO_PROXY, hosts that it contains, hosts that it does not contain.
    let table: &[(&str, &[&str], &[&str])] = &[
        ("*", &["ws://a", "wss://[::1]:9", "ws://10.0.0.1"], &[]),
        (
            "example.com",
            &["ws://example.com", "ws://EXAMPLE.com:81", "wss://a.b.example.com", "ws://example.com."],
            &["ws://badexample.com", "ws://example.com.evil", "ws://com"],
        ),
        (".example.com", &["ws://example.com", "ws://a.example.com"], &["ws://badexample.com"]),
        ("*.example.com", &["ws://example.com", "ws://a.example.com"], &["ws://badexample.com"]),
        ("Example.COM.", &["ws://a.example.com"], &[]),
        ("a,b , c", &["ws://a", "ws://b", "ws://c"], &["ws://d"]),
        ("a b\tc", &["ws://a", "ws://b", "ws://c"], &["ws://d"]),
        ("a:8080", &["ws://a:8080", "ws://b.a:8080"], &["ws://a", "ws://a:80", "ws://a:808"]),
        ("a:443", &["wss://a"], &["ws://a"]),
        (
            "10.0.0.1",
            &["ws://10.0.0.1:5", "ws://[::ffff:10.0.0.1]"],
            &["ws://10.0.0.10", "ws://1.10.0.0.1.example"],
        ),
        ("10.0.0.1:5", &["ws://10.0.0.1:5"], &["ws://10.0.0.1"]),
        ("10.0.0.0/8", &["ws://10.255.0.1"], &["ws://11.0.0.1", "ws://ten.example"]),
        ("::1", &["ws://[::1]:7"], &["ws://[::2]"]),
        ("[::1]", &["ws://[::1]:7"], &["ws://[::2]"]),
        ("[::1]:7", &["ws://[::1]:7"], &["ws://[::1]"]),
        ("fe80::/10", &["ws://[fe80::1%25eth0]"], &["ws://[2001:db8::1]"]),
        ("", &[], &["ws://a"]),
        (",, ,", &[], &["ws://a"]),
        (".", &[], &["ws://a"]),
        ("*.", &[], &["ws://a"]),
        ("a:x", &[], &["ws://a"]),
        ("1.2.3.4.5", &[], &["ws://1.2.3.4"]),
    ];
    for (list, inside, outside) in table {
        let variables = [("all_proxy", "proxy"), ("no_proxy", *list)];
        for url in *inside {
            assert_eq!(proxy(url, &variables), None, "{list:?} contains {url}");
        }
        for url in *outside {
            assert_eq!(proxy(url, &variables).as_deref(), Some("proxy"), "{list:?} does not contain {url}");
        }
    }
}

#[test]
fn k6_an_invalid_variable_is_an_error_that_does_not_show_its_value() {
    let lookup = |name: &str| (name == "ALL_PROXY").then(|| "https://me:s3cret@proxy".to_string());
    let error = proxy_from_env(&"ws://a".parse().unwrap(), lookup).unwrap_err();
    assert_eq!((error.variable, error.error), ("ALL_PROXY", InvalidProxy::Tls));
    assert!(error.to_string().contains("ALL_PROXY"), "{error}");
    assert!(!format!("{error}{error:?}").contains("s3cret"));
    // A direct connection does not need the variable.
    let lookup = |name: &str| match name {
        "ALL_PROXY" => Some("gopher://".to_string()),
        "NO_PROXY" => Some("a".to_string()),
        _ => None,
    };
    assert_eq!(proxy_from_env(&"ws://a".parse().unwrap(), lookup), Ok(None));
}

#[test]
fn k6_every_scheme_of_a_proxy_may_stand_in_every_variable() {
    for value in ["http://me:pw@a:1", "socks5://me:pw@a:1", "socks5h://me:pw@a:1", "a:1", " a:1 "] {
        let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| value.to_string());
        let proxy = proxy_from_env(&"wss://b".parse().unwrap(), lookup).unwrap();
        assert_eq!(proxy, Some(Proxy::parse(value.trim()).unwrap()));
    }
}
