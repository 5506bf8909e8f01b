//! Tunnels through proxies, with every way to split their answers.

use proptest::prelude::*;
use sockeye_core::dial::{Proxy, ProxyError, SocksRefusal, Tunnel};
use sockeye_core::http::HeadError;
use sockeye_core::{Config, RecvBuf};

/// A tunnel whose output is kept.
struct Client {
    tunnel: Tunnel,
    sent: Vec<Vec<u8>>,
}

impl Client {
    fn new(proxy: &str, host: &str, port: u16) -> Self {
        let tunnel = Tunnel::new(&Proxy::parse(proxy).unwrap(), host, port, Config::new()).unwrap();
        let mut client = Client { tunnel, sent: Vec::new() };
        client.transmit(usize::MAX);
        client
    }

    /// Writes at most `step` bytes at a time, all of one message.
    fn transmit(&mut self, step: usize) {
        let mut message = Vec::new();
        while let Some(bytes) = self.tunnel.poll_transmit() {
            let part = bytes[..bytes.len().min(step)].to_vec();
            self.tunnel.transmitted(part.len());
            message.extend_from_slice(&part);
        }
        if !message.is_empty() {
            self.sent.push(message);
        }
    }

    /// Receives bytes, and writes the answer. Returns whether the tunnel is open, and the bytes that
    /// it left.
    fn receive(&mut self, bytes: &[u8]) -> Result<(bool, Vec<u8>), ProxyError> {
        let mut bytes = bytes.to_vec();
        let mut input = RecvBuf::new(&mut bytes);
        let is_open = self.tunnel.poll_open(&mut input)?;
        let rest = input.remaining().to_vec();
        self.transmit(1);
        Ok((is_open, rest))
    }
}

/// Receives the answers of a proxy, each split at every point. Checks that the tunnel opens with the
/// last one and leaves what follows it, and returns the messages of the client.
fn open(new: impl Fn() -> Client, answers: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut sent = None;
    let longest = answers.iter().map(|answer| answer.len()).max().unwrap();
    for split in 0..=longest {
        let mut client = new();
        for (index, answer) in answers.iter().enumerate() {
            let is_last = index + 1 == answers.len();
            let (first, second) = answer.split_at(split.min(answer.len()));
            let (is_open, rest) = client.receive(first).unwrap();
            assert_eq!((is_open, rest.len()), (is_last && second.is_empty(), 0), "split at {split}");
            let early = if is_last { &b"the server's"[..] } else { b"" };
            let (is_open, rest) = client.receive(&[second, early].concat()).unwrap();
            assert_eq!((is_open, &rest[..]), (is_last, early), "split at {split}");
        }
        assert_eq!(*sent.get_or_insert(client.sent.clone()), client.sent, "split at {split}");
    }
    // Byte by byte.
    let mut client = new();
    let bytes = answers.concat();
    for (at, byte) in bytes.iter().enumerate() {
        assert_eq!(client.receive(&[*byte]).unwrap().0, at + 1 == bytes.len());
    }
    assert_eq!(sent, Some(client.sent));
    sent.unwrap()
}

/// Receives answers of which the last is refused, at every split, and returns the error.
fn refused(new: impl Fn() -> Client, answers: &[&[u8]]) -> ProxyError {
    let (last, before) = answers.split_last().unwrap();
    let mut shown = None;
    for split in 0..last.len() {
        let mut client = new();
        for answer in before {
            client.receive(answer).unwrap();
        }
        let (first, second) = last.split_at(split);
        let error = client.receive(first).and_then(|_| client.receive(second)).unwrap_err();
        assert_eq!(client.tunnel.poll_transmit(), None, "nothing is sent after an error");
        let again = client.receive(b"more").unwrap_err();
        assert_eq!(format!("{again:?}"), format!("{error:?}"), "the error stays");
        assert_eq!(*shown.get_or_insert_with(|| error.to_string()), error.to_string(), "split at {split}");
    }
    let mut client = new();
    answers.iter().find_map(|answer| client.receive(answer).err()).unwrap()
}

#[test]
fn k6_http_connect_names_the_server_in_authority_form() {
    let request = |host: &str, port| {
        let [message] = &Client::new("http://p", host, port).sent[..] else { panic!() };
        String::from_utf8(message.clone()).unwrap()
    };
    // RFC 9110 9.3.6: the port is never left out.
    let expected = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
    assert_eq!(request("example.com", 443), expected);
    let expected = "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n";
    assert_eq!(request("2001:db8::1", 80), expected);
    assert_eq!(request("[2001:db8::1]", 80), expected);
}

#[test]
fn k6_http_connect_opens_with_any_2xx() {
    for answer in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200 OK\r\nVia: proxy\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        // RFC 9110 9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding".
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        open(|| Client::new("http://p", "a", 80), &[answer.as_bytes()]);
    }
}

#[test]
fn k6_http_connect_sends_basic_credentials() {
    let sent = open(|| Client::new("http://Aladdin:open%20sesame@p", "a", 80), &[b"HTTP/1.1 200 OK\r\n\r\n"]);
    let request = String::from_utf8(sent[0].clone()).unwrap();
    // The sample of RFC 7617 2.
    assert!(request.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{request}");
    let without = &Client::new("http://p", "a", 80).sent[0];
    assert!(!String::from_utf8_lossy(without).contains("Authorization"));
}

#[test]
fn k6_http_connect_names_each_refusal() {
    let anonymous = || Client::new("http://p", "a", 80);
    let named = || Client::new("http://me:s3cret@p", "a", 80);
    let error = refused(anonymous, &[b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"]);
    assert_eq!(error.to_string(), "the proxy refused the tunnel with 403 Forbidden");
    assert!(matches!(error, ProxyError::Refused(response) if response.status() == 403));
    let error = refused(anonymous, &[b"HTTP/1.1 502 Bad\r\n\r\n"]);
    assert_eq!(error.to_string(), "the proxy refused the tunnel with 502 Bad Gateway");
    let required = b"HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic\r\n\r\n";
    assert!(matches!(refused(anonymous, &[required]), ProxyError::CredentialsRequired));
    assert!(matches!(refused(named, &[required]), ProxyError::CredentialsRefused));
    let switched = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert!(matches!(refused(anonymous, &[switched]), ProxyError::Refused(_)));
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://b/\r\n\r\n";
    assert!(matches!(refused(anonymous, &[redirect]), ProxyError::Refused(_)));
    let garbage = refused(anonymous, &[b"SSH-2.0-OpenSSH\r\n"]);
    assert!(matches!(garbage, ProxyError::BadResponse(HeadError::StatusLine)), "{garbage:?}");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9);
    assert!(matches!(refused(anonymous, &[interim.as_bytes()]), ProxyError::TooManyInterim));
}

#[test]
fn k6_the_head_of_a_proxy_is_bounded() {
    let proxy = Proxy::parse("http://p").unwrap();
    let config = Config::new().max_head_size(100).max_headers(2);
    let receive = |text: String| {
        let mut tunnel = Tunnel::new(&proxy, "a", 80, config.clone()).unwrap();
        tunnel.poll_open(&mut RecvBuf::new(&mut text.into_bytes()))
    };
    let long = receive(format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(100)));
    assert!(matches!(long, Err(ProxyError::BadResponse(HeadError::TooBig { limit: 100 }))));
    let many = receive("HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\n".to_string());
    assert!(matches!(many, Err(ProxyError::BadResponse(HeadError::TooManyFields { limit: 2 }))));
}

#[test]
fn k6_socks_names_the_server_for_the_proxy_to_resolve() {
    let choice = &[5, 0];
    let reply = &[5, 0, 0, 1, 10, 0, 0, 1, 0x1f, 0x90];
    let open = |host: &str| open(|| Client::new("socks5://p", host, 0x1234), &[choice, reply]);
    let name = [&[5, 1, 0, 3, 11][..], b"example.com", &[0x12, 0x34]].concat();
    assert_eq!(open("example.com"), [vec![5, 1, 0], name]);
    assert_eq!(open("192.0.2.7")[1], [5, 1, 0, 1, 192, 0, 2, 7, 0x12, 0x34]);
    let address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let request = [&[5, 1, 0, 4][..], &address, &[0x12, 0x34]].concat();
    assert_eq!(open("2001:db8::1")[1], request);
    assert_eq!(open("[2001:db8::1]")[1], request);
}

#[test]
fn k6_socks_opens_with_any_type_of_bound_address() {
    let name = [&[5, 0, 0, 3, 255][..], &[b'x'; 255], &[0, 80]].concat();
    let replies: [&[u8]; 4] = [
        &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80],
        &[5, 0, 0, 3, 0, 0, 80],
        &name,
    ];
    for reply in replies {
        open(|| Client::new("socks5://p", "a", 80), &[&[5, 0], reply]);
    }
}

#[test]
fn k6_socks_sends_credentials_only_if_the_proxy_asks_for_them() {
    let new = || Client::new("socks5://me:s3cret@p", "a", 80);
    let reply = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let request = [5, 1, 0, 3, 1, b'a', 0, 80].to_vec();
    let login = [&[1, 2][..], b"me", &[6], b"s3cret"].concat();
    assert_eq!(open(new, &[&[5, 2], &[1, 0], reply]), [vec![5, 2, 0, 2], login, request.clone()]);
    assert_eq!(open(new, &[&[5, 0], reply]), [vec![5, 2, 0, 2], request]);
    // Without credentials they are not offered.
    assert_eq!(Client::new("socks5://p", "a", 80).sent, [[5, 1, 0]]);
}

#[test]
fn k6_socks_names_each_refusal() {
    let anonymous = || Client::new("socks5://p", "a", 80);
    let named = || Client::new("socks5://me:s3cret@p", "a", 80);
    assert!(matches!(refused(anonymous, &[&[5, 0xff]]), ProxyError::CredentialsRequired));
    assert!(matches!(refused(named, &[&[5, 0xff]]), ProxyError::CredentialsRefused));
    for code in [1, 255] {
        assert!(matches!(refused(named, &[&[5, 2], &[1, code]]), ProxyError::CredentialsRefused));
    }
    let table = [
        (1, "failed for a reason"),
        (2, "rules of the proxy"),
        (3, "cannot reach the server's network"),
        (4, "cannot reach the server's host"),
        (5, "refused the proxy's connection"),
        (6, "time to live"),
        (7, "does not support the command"),
        (8, "does not support this type"),
        (9, "unknown code 9"),
        (255, "unknown code 255"),
    ];
    for (code, text) in table {
        let error = refused(anonymous, &[&[5, 0], &[5, code, 0, 1, 0, 0, 0, 0, 0, 0]]);
        assert!(error.to_string().contains(text), "{code}: {error}");
        assert!(matches!(error, ProxyError::Socks(SocksRefusal(known)) if known == code));
        // Some proxies leave the address of a refusal out.
        assert!(matches!(refused(anonymous, &[&[5, 0], &[5, code]]), ProxyError::Socks(_)));
    }
}

#[test]
fn k6_an_answer_that_is_not_socks_is_named() {
    let anonymous = || Client::new("socks5://p", "a", 80);
    let named = || Client::new("socks5://me:s3cret@p", "a", 80);
    let mut errors = vec![
        refused(anonymous, &[b"HTTP/1.1 400 Bad Request"]),
        refused(anonymous, &[&[4, 0]]),
        // Methods that were not offered.
        refused(anonymous, &[&[5, 2]]),
        refused(anonymous, &[&[5, 1]]),
        refused(named, &[&[5, 3]]),
        refused(named, &[&[5, 2], &[5, 0]]),
        refused(anonymous, &[&[5, 0], &[0, 0]]),
        // Types of addresses that RFC 1928 does not have.
        refused(anonymous, &[&[5, 0], &[5, 0, 0, 0, 0, 0]]),
        refused(anonymous, &[&[5, 0], &[5, 0, 0, 2, 0, 0]]),
    ];
    errors.retain(|error| !matches!(error, ProxyError::NotSocks));
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn k6_a_name_that_socks_cannot_carry_is_an_error() {
    let proxy = Proxy::parse("socks5://p").unwrap();
    assert!(Tunnel::new(&proxy, &"a".repeat(255), 80, Config::new()).is_ok());
    let error = Tunnel::new(&proxy, &"a".repeat(256), 80, Config::new()).unwrap_err();
    assert!(matches!(error, ProxyError::HostTooLong));
}

#[test]
fn k6_a_proxy_that_hangs_up_is_named() {
    for (proxy, answers) in [
        ("http://p", vec![&b"HTTP/1.1 200"[..]]),
        ("socks5://p", vec![&[5][..]]),
        ("socks5://p", vec![&[5, 0], &[5, 0, 0]]),
    ] {
        let mut client = Client::new(proxy, "a", 80);
        for answer in answers {
            client.receive(answer).unwrap();
        }
        assert!(matches!(client.tunnel.handle_eof(), ProxyError::Eof));
        assert!(matches!(client.receive(b"late"), Err(ProxyError::Eof)));
    }
    // The first error stays.
    let mut client = Client::new("socks5://p", "a", 80);
    client.receive(&[4, 4]).unwrap_err();
    assert!(matches!(client.tunnel.handle_eof(), ProxyError::NotSocks));
}

#[test]
fn k6_credentials_are_never_shown() {
    for proxy in ["http://us3r:s3cret@p", "socks5://us3r:s3cret@p"] {
        let mut client = Client::new(proxy, "a", 80);
        let mut shown = format!("{:?}{:#?}", client.tunnel, client.tunnel);
        let answers: [&[u8]; 2] =
            if proxy.starts_with("http") { [b"HTTP/1.1 4", b"07 No\r\n\r\n"] } else { [&[5, 2], &[1, 1]] };
        for answer in answers {
            if let Err(error) = client.receive(answer) {
                shown += &format!("{error}{error:?}");
            }
            shown += &format!("{:?}", client.tunnel);
        }
        // The name and password as they are, in base64, and as lists of bytes.
        for secret in ["us3r", "s3cret", "dXMzcjpzM2NyZXQ", "117, 115, 51", "115, 51, 99"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn k6_an_answer_has_one_outcome_however_it_is_split(
        is_http: bool,
        has_credentials: bool,
        beginning in 0..6_usize,
        random in proptest::collection::vec(any::<u8>(), 0..40),
        step in 1..9_usize,
    ) {
        let credentials = if has_credentials { "me:pw@" } else { "" };
        let proxy = format!("{}://{credentials}p", if is_http { "http" } else { "socks5" });
        // Valid beginnings, so that the random bytes reach every state.
        let http: [&[u8]; 6] = [
            b"",
            b"HTTP/1.1 ",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 100 C\r\n\r\n",
            b"HTTP/1.1 407 N\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
        ];
        let socks: [&[u8]; 6] = [b"", &[5], &[5, 0], &[5, 0, 5, 0, 0, 3], &[5, 2, 1], &[5, 2, 1, 0, 5, 0, 0, 1]];
        let bytes = [if is_http { http } else { socks }[beginning], &random].concat();
        let run = |step: usize| {
            let mut client = Client::new(&proxy, "a", 80);
            let mut rest = bytes.clone();
            while !rest.is_empty() {
                let next = rest.split_off(step.min(rest.len()));
                let mut part = std::mem::replace(&mut rest, next);
                // A message that answers a part leaves the rest of that part to the next answer.
                loop {
                    let before = client.sent.len();
                    match client.receive(&part) {
                        Ok((true, left)) => return (Ok([left, rest].concat()), client.sent),
                        Ok((false, left)) if client.sent.len() > before && !left.is_empty() => part = left,
                        Ok((false, _)) => break,
                        Err(error) => return (Err(error.to_string()), client.sent),
                    }
                }
            }
            (Err("incomplete".to_string()), client.sent)
        };
        prop_assert_eq!(run(usize::MAX), run(step));
    }
}
