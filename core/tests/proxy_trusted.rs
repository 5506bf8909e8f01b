//! Clients behind trusted proxies (H16, T47).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::IpAddr;

use proptest::prelude::*;
use sockeye_core::http::{Request, Version};
use sockeye_core::proxy::{ForwardedFields, Network, TrustedProxies};

const PEER: &str = "10.0.0.1";

fn proxies() -> TrustedProxies {
    TrustedProxies::networks(["10.0.0.0/8", "2001:db8:10::/48"]).unwrap()
}

fn request(fields: &[(&str, &[u8])]) -> Request {
    let host = [("Host", &b"backend"[..])];
    Request::from_parts("GET", "/", Version::Http11, host.iter().chain(fields).copied()).unwrap()
}

/// Returns the client and the host that the proxies name.
fn resolve(
    proxies: &TrustedProxies,
    peer: Option<&str>,
    fields: &[(&str, &[u8])],
) -> (Option<String>, Option<String>) {
    let request = request(fields);
    let peer = peer.map(|peer| peer.parse::<IpAddr>().unwrap());
    let found = proxies.resolve(peer, request.headers());
    (found.client.map(|client| client.to_string()), found.host.map(str::to_owned))
}

fn x_forwarded_for(lines: &[&str]) -> Option<String> {
    let fields: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", line.as_bytes())).collect();
    resolve(&proxies(), Some(PEER), &fields).0
}

fn forwarded(lines: &[&str]) -> (Option<String>, Option<String>) {
    let fields: Vec<_> = lines.iter().map(|line| ("Forwarded", line.as_bytes())).collect();
    resolve(&proxies().fields(ForwardedFields::Forwarded), Some(PEER), &fields)
}

fn client(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn h16_t47_the_list_is_read_from_the_right_over_trusted_hops() {
    let table: &[(&[&str], Option<&str>)] = &[
        (&["203.0.113.7"], Some("203.0.113.7:0")),
        (&["203.0.113.7, 10.0.0.3, 10.0.0.2"], Some("203.0.113.7:0")),
        // A client that invents addresses.
        (&["6.6.6.6, 203.0.113.7"], Some("203.0.113.7:0")),
        (&["6.6.6.6, 10.0.0.9, 203.0.113.7, 10.0.0.2"], Some("203.0.113.7:0")),
        // Several lines are one list.
        (&["6.6.6.6", "203.0.113.7", "10.0.0.2, 10.0.0.3"], Some("203.0.113.7:0")),
        (&["6.6.6.6", "203.0.113.7"], Some("203.0.113.7:0")),
        (&[",, 203.0.113.7 ,\t, 10.0.0.2,"], Some("203.0.113.7:0")),
        // If all are proxies, the farthest one is the client.
        (&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3:0")),
        (&["2001:db8::7, 2001:db8:10::2"], Some("[2001:db8::7]:0")),
        (&["::ffff:203.0.113.7"], Some("203.0.113.7:0")),
        (&["203.0.113.7:4711"], Some("203.0.113.7:4711")),
        (&["[2001:db8::7]:4711"], Some("[2001:db8::7]:4711")),
        (&["[2001:db8::7]"], Some("[2001:db8::7]:0")),
        // A hop that hides its client, or is malformed, ends the list.
        (&["203.0.113.7, unknown, 10.0.0.2"], Some("10.0.0.2:0")),
        (&["203.0.113.7, _hidden"], None),
        (&["203.0.113.7, 1.2.3.4.5"], None),
        (&["203.0.113.7, 1.2.3.4:99999"], None),
        (&["203.0.113.7, 1.2.3.4:"], None),
        (&["203.0.113.7, [::1"], None),
        (&["203.0.113.7, fe80::1%eth0"], None),
        (&["203.0.113.7, 0x7f.1"], None),
        (&["203.0.113.7, \"10.0.0.2\""], None),
        (&[""], None),
        (&[], None),
    ];
    for (lines, expected) in table {
        assert_eq!(x_forwarded_for(lines), expected.map(str::to_owned), "{lines:?}");
    }
}

#[test]
fn h16_t47_the_fields_of_a_stranger_are_not_read() {
    let fields: &[(&str, &[u8])] = &[("X-Forwarded-For", b"10.0.0.2"), ("X-Forwarded-Host", b"evil.example")];
    for peer in ["192.0.2.1", "11.0.0.1", "2001:db8:11::1"] {
        assert_eq!(resolve(&proxies(), Some(peer), fields), (None, None));
    }
    assert_eq!(resolve(&proxies(), None, fields), (None, None), "a Unix socket");
    assert_eq!(resolve(&TrustedProxies::none().unix(), None, fields).0, client("10.0.0.2:0"));
    assert_eq!(resolve(&TrustedProxies::none(), Some(PEER), fields), (None, None));
    assert_eq!(resolve(&proxies(), Some("::ffff:10.0.0.1"), fields).0, client("10.0.0.2:0"));
}

#[test]
fn h16_t47_only_the_chosen_fields_are_read() {
    let fields: &[(&str, &[u8])] = &[("Forwarded", b"for=6.6.6.6"), ("X-Forwarded-For", b"203.0.113.7")];
    assert_eq!(resolve(&proxies(), Some(PEER), fields).0, client("203.0.113.7:0"));
    let rfc = proxies().fields(ForwardedFields::Forwarded);
    assert_eq!(resolve(&rfc, Some(PEER), fields).0, client("6.6.6.6:0"));
    assert_eq!(resolve(&rfc, Some(PEER), &fields[1..]), (None, None));
}

#[test]
fn h16_forwarded_is_read_as_rfc_7239_defines_it() {
    let table: &[(&[&str], Option<&str>, Option<&str>)] = &[
        (&["for=203.0.113.7"], Some("203.0.113.7:0"), None),
        (&["For=\"[2001:db8:cafe::17]:4711\""], Some("[2001:db8:cafe::17]:4711"), None),
        (
            &["for=203.0.113.7;proto=http;by=10.0.0.1;host=example.com"],
            Some("203.0.113.7:0"),
            Some("example.com"),
        ),
        (&["for=203.0.113.7, for=10.0.0.2"], Some("203.0.113.7:0"), None),
        (
            &["for=6.6.6.6;host=evil.example", "for=203.0.113.7;host=a:81"],
            Some("203.0.113.7:0"),
            Some("a:81"),
        ),
        // The host counts that the client's own proxy saw.
        (&["for=203.0.113.7;host=public, for=10.0.0.2;host=inner"], Some("203.0.113.7:0"), Some("public")),
        (&["for=203.0.113.7, for=10.0.0.2;host=inner"], Some("203.0.113.7:0"), Some("inner")),
        (&["for=203.0.113.7;host=\"[2001:db8::1]:8080\""], Some("203.0.113.7:0"), Some("[2001:db8::1]:8080")),
        (&["for=203.0.113.7;host=\"not a host\""], Some("203.0.113.7:0"), None),
        (&["for=\"203.0.113.7:_port\""], Some("203.0.113.7:0"), None),
        (&["for=203.0.113.7:80 ; host=b"], Some("203.0.113.7:80"), Some("b")),
        (&["for=unknown;host=c"], None, Some("c")),
        (&["for=_SEVKISEK, for=10.0.0.2"], Some("10.0.0.2:0"), None),
        (&["proto=https, for=10.0.0.2"], Some("10.0.0.2:0"), None),
        (&[",;for=203.0.113.7;, ,"], Some("203.0.113.7:0"), None),
        (&["secret=\"a,b;c\";for=203.0.113.7"], Some("203.0.113.7:0"), None),
        // A malformed line says nothing, and ends the list.
        (&["for=203.0.113.7;for=6.6.6.6"], None, None),
        (&["for=6.6.6.6;x=\", for=203.0.113.7"], None, None),
        (&["for=6.6.6.6;x=\", for=\"[2001:db8::9]:1\""], None, None),
        (&["for=6.6.6.6, x=\"", "for=10.0.0.2"], Some("10.0.0.2:0"), None),
        (&["for = 203.0.113.7"], None, None),
        (&["for=203.0.113.7 for=10.0.0.2"], None, None),
        (&["for=\"203.0.113\\.7\""], None, None),
        (&["for="], None, None),
        (&["=203.0.113.7"], None, None),
        (&["203.0.113.7"], None, None),
    ];
    for (lines, address, host) in table {
        let expected = (address.map(str::to_owned), host.map(str::to_owned));
        assert_eq!(forwarded(lines), expected, "{lines:?}");
    }
}

#[test]
fn h16_the_last_x_forwarded_host_counts_if_it_is_a_host() {
    let host = |lines: &[&[u8]]| {
        let fields: Vec<_> = lines.iter().map(|line| ("X-Forwarded-Host", *line)).collect();
        resolve(&proxies(), Some(PEER), &fields).1
    };
    assert_eq!(host(&[b"example.com:8443"]), client("example.com:8443"));
    assert_eq!(host(&[b"evil.example, example.com"]), client("example.com"));
    assert_eq!(host(&[b"evil.example", b"example.com"]), client("example.com"));
    assert_eq!(host(&[b"example.com, no host"]), None);
    assert_eq!(host(&[b"example.com, \xe9"]), None);
    assert_eq!(host(&[b"http://example.com"]), None);
    assert_eq!(host(&[b""]), None);
}

#[test]
fn h16_t47_lists_of_absurd_length_are_read_in_one_pass() {
    let long = "10.0.0.2,".repeat(10_000);
    assert_eq!(x_forwarded_for(&[&long]), client("10.0.0.2:0"));
    assert_eq!(x_forwarded_for(&[&format!("203.0.113.7,{long}")]), client("203.0.113.7:0"));
    let many = vec!["10.0.0.2"; 10_000];
    assert_eq!(x_forwarded_for(&many), client("10.0.0.2:0"));
    assert_eq!(x_forwarded_for(&[&"1".repeat(1 << 16)]), None);
    assert_eq!(forwarded(&[&"for=10.0.0.2,".repeat(10_000)]).0, client("10.0.0.2:0"));
    assert_eq!(forwarded(&[&format!("for=\"{}", "x".repeat(1 << 16))]).0, None);
}

#[test]
fn h16_networks_contain_their_addresses() {
    let contains =
        |network: &str, ip: &str| network.parse::<Network>().unwrap().contains(ip.parse().unwrap());
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
        ("0.0.0.0/0", "255.1.2.3", "::1"),
        ("::/0", "2001:db8::1", "1.2.3.4"),
        ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
        ("::ffff:10.0.0.0/104", "10.2.3.4", "11.0.0.0"),
        ("::1", "::1", "::2"),
    ] {
        assert!(contains(network, inside) && !contains(network, outside), "{network}");
    }
    for text in [
        "",
        "a",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0/8",
        "::/129",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
    ] {
        assert!(text.parse::<Network>().is_err(), "{text}");
        assert!(TrustedProxies::networks([text]).is_err(), "{text}");
    }
    assert_eq!("10.1.2.3/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
}

proptest! {
    #[test]
    fn h16_no_fields_of_proxies_cause_a_panic(
        lines in proptest::collection::vec("[ -~]{0,30}|(for=|host=|;|,|\"|\\\\|\\[|\\]|:|10\\.0\\.0\\.2| ){0,20}", 0..5),
    ) {
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        x_forwarded_for(&lines);
        forwarded(&lines);
    }
}
