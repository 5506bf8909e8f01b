//! Connecting to URLs in virtual time, on a simulated network (K6).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_core::Config;
use sockeye_core::dial::{ProxyError, RedirectError};
use sockeye_core::handshake::client::{ClientHandshakeError, Url};
use sockeye_core::http::Response;
use sockeye_driver::dial::{IntoIo, Network, Unreachable, connect, connect_over};
use sockeye_driver::{Clock, ConnectError, ConnectOptions};
use sockeye_testkit::sim::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The fate of a connection to an address.
#[derive(Debug, Clone)]
enum Host {
    /// Nothing answers.
    Silent,
    /// The connection is refused, after this time.
    Refuses(Duration),
    /// The connection is open after this time. The server then sends each answer when a whole head
    /// or, for SOCKS, anything has arrived.
    Answers(Duration, Vec<Answer>),
}

#[derive(Debug, Clone)]
enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The 101 for the request that has arrived.
    Open,
    /// Nothing, ever.
    Nothing,
    /// The end of the connection.
    Eof,
}

/// A network with a resolver and servers.
#[derive(Clone)]
struct SimNetwork {
    time: Time,
    names: BTreeMap<&'static str, (Duration, Vec<&'static str>)>,
    hosts: BTreeMap<&'static str, Host>,
    log: Arc<Mutex<Vec<String>>>,
    spawner: Spawner,
}

impl Network for SimNetwork {
    type Socket = Pipe;
    type Io = Pipe;
    type Clock = TestClock;

    fn clock(&self) -> TestClock {
        self.time.clock()
    }

    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.note(format!("resolve {name}"));
        let Some((delay, addresses)) = self.names.get(name) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such name"));
        };
        sleep(&self.time, *delay).await;
        Ok(addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Pipe> {
        self.note(format!("connect {address}"));
        let host = self.hosts.get(address.ip().to_string().as_str()).cloned().unwrap_or(Host::Silent);
        match host {
            Host::Silent => std::future::pending().await,
            Host::Refuses(delay) => {
                sleep(&self.time, delay).await;
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Host::Answers(delay, answers) => {
                sleep(&self.time, delay).await;
                let (near, far) = pipe(1 << 16);
                self.spawner.spawn(answer(far, answers, self.log.clone()));
                Ok(near)
            }
        }
    }

    fn transport(&self) -> IntoIo<Pipe, Pipe> {
        IntoIo::plain(|pipe| pipe)
    }
}

impl SimNetwork {
    fn note(&self, event: String) {
        self.log.lock().unwrap().push(format!("{} ms: {event}", self.time.elapsed().as_millis()));
    }
}

async fn sleep(time: &Time, by: Duration) {
    let mut clock = time.clock();
    let deadline = time.now() + by;
    std::future::poll_fn(|cx| clock.poll_until(cx, deadline)).await;
}

/// Plays a server, and records what it receives.
async fn answer(mut io: Pipe, answers: Vec<Answer>, log: Arc<Mutex<Vec<String>>>) {
    let mut received = Vec::new();
    for answer in answers {
        loop {
            let mut buffer = [0; 4096];
            let n = std::future::poll_fn(|cx| sockeye_driver::Io::poll_read(&mut io, cx, &mut buffer)).await;
            let Ok(n @ 1..) = n else { return };
            received.extend_from_slice(&buffer[..n]);
            let is_http = received[0].is_ascii_uppercase();
            if !is_http || received.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let request = String::from_utf8_lossy(&received).into_owned();
        log.lock().unwrap().push(format!("received {request}"));
        let bytes = match answer {
            Answer::Bytes(bytes) => bytes,
            Answer::Open => open(&request),
            Answer::Nothing => return std::future::pending().await,
            Answer::Eof => return,
        };
        received.clear();
        let mut sent = 0;
        while sent < bytes.len() {
            let slice = [io::IoSlice::new(&bytes[sent..])];
            sent +=
                std::future::poll_fn(|cx| sockeye_driver::Io::poll_write(&mut io, cx, &slice)).await.unwrap();
        }
    }
    // The connection stays open.
    std::future::pending().await
}

/// Returns the 101 for a request.
fn open(request: &str) -> Vec<u8> {
    let (_, key) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    let key = key.split("\r\n").next().unwrap();
    let accept = sockeye_core::handshake::accept_key(key);
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
}

/// A scenario: a network, and what came of connecting.
struct Lab {
    executor: Executor,
    network: SimNetwork,
}

impl Lab {
    fn new() -> Self {
        let executor = Executor::new();
        let network = SimNetwork {
            time: executor.time.clone(),
            names: BTreeMap::new(),
            hosts: BTreeMap::new(),
            log: Arc::default(),
            spawner: executor.spawner(),
        };
        Lab { executor, network }
    }

    fn name(mut self, name: &'static str, addresses: &[&'static str]) -> Self {
        self.network.names.insert(name, (Duration::ZERO, addresses.to_vec()));
        self
    }

    fn host(mut self, ip: &'static str, host: Host) -> Self {
        self.network.hosts.insert(ip, host);
        self
    }

    /// Connects, and returns the outcome and the time that it took.
    fn connect(&mut self, url: &str, options: ConnectOptions) -> (Result<Response, ConnectError>, Duration) {
        let (network, url) = (self.network.clone(), url.to_string());
        let start = self.executor.time.elapsed();
        let connecting = self.executor.spawn("client", async move {
            let opened = connect(&network, &url, options).await;
            let elapsed = network.time.elapsed() - start;
            // The connection is dropped here.
            (opened.map(|(_, response)| response), elapsed)
        });
        self.executor.run_until_idle();
        while !connecting.is_finished() {
            assert!(self.executor.time.advance_to_alarm(), "deadlock");
            self.executor.run_until_idle();
        }
        connecting.take()
    }

    fn log(&self) -> Vec<String> {
        self.network.log.lock().unwrap().clone()
    }

    /// Returns the requests that servers and proxies received.
    fn requests(&self) -> Vec<String> {
        let log = self.log();
        log.iter().filter_map(|event| event.strip_prefix("received ").map(str::to_owned)).collect()
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn opens() -> Host {
    Host::Answers(ms(20), vec![Answer::Open])
}

fn options() -> ConnectOptions {
    ConnectOptions::new().timeout(TIMEOUT)
}

fn refuses() -> Host {
    Host::Refuses(ms(1))
}

fn unreachable(error: &ConnectError) -> &Unreachable {
    let ConnectError::Io(error) = error else { panic!("{error}") };
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[test]
fn k6_a_silent_first_address_costs_a_quarter_of_a_second() {
    let mut lab = Lab::new().name("a", &["2001:db8::1", "192.0.2.1"]).host("192.0.2.1", opens());
    let (opened, elapsed) = lab.connect("ws://a/", options());
    assert_eq!(opened.unwrap().status(), 101);
    assert_eq!(elapsed, ms(250 + 20));
    assert_eq!(
        lab.log()[..3],
        ["0 ms: resolve a", "0 ms: connect [2001:db8::1]:80", "250 ms: connect 192.0.2.1:80"]
    );
}

#[test]
fn k6_a_silent_family_costs_a_quarter_of_a_second_however_many_addresses_it_has() {
    let silent = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1"];
    let mut lab = Lab::new().name("a", &silent).host("192.0.2.1", opens());
    let (opened, elapsed) = lab.connect("ws://a/", options());
    assert!(opened.is_ok());
    assert_eq!(elapsed, ms(250 + 20));
}

#[test]
fn k6_a_slow_address_still_wins_if_the_others_fail() {
    let slow = Host::Answers(ms(900), vec![Answer::Open]);
    let mut lab = Lab::new()
        .name("a", &["192.0.2.1", "192.0.2.2"])
        .host("192.0.2.1", slow)
        .host("192.0.2.2", refuses());
    let (opened, elapsed) = lab.connect("ws://a/", options());
    assert!(opened.is_ok());
    assert_eq!(elapsed, ms(900));
}

#[test]
fn k6_a_refused_first_address_costs_nothing_more() {
    let mut lab = Lab::new()
        .name("a", &["192.0.2.1", "192.0.2.2"])
        .host("192.0.2.1", refuses())
        .host("192.0.2.2", opens());
    let (opened, elapsed) = lab.connect("ws://a/", options());
    assert!(opened.is_ok());
    assert_eq!(elapsed, ms(1 + 20));
}

#[test]
fn k6_if_all_are_refused_the_error_names_each_address() {
    let mut lab = Lab::new().name("a", &["192.0.2.1", "2001:db8::1"]);
    lab = lab.host("192.0.2.1", refuses()).host("2001:db8::1", refuses());
    let (opened, elapsed) = lab.connect("ws://a:81/", options());
    let error = opened.unwrap_err();
    let attempts: Vec<_> =
        unreachable(&error).attempts().iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(attempts, ["192.0.2.1:81", "[2001:db8::1]:81"]);
    let ConnectError::Io(inner) = error else { panic!() };
    assert_eq!(inner.kind(), io::ErrorKind::ConnectionRefused);
    for part in
        ["none of 2 addresses", "192.0.2.1:81: connection refused", "[2001:db8::1]:81: connection refused"]
    {
        assert!(inner.to_string().contains(part), "{inner}");
    }
    assert_eq!(elapsed, ms(2));
}

#[test]
fn k6_if_no_address_answers_the_deadline_ends_it() {
    let mut lab = Lab::new().name("a", &["192.0.2.1", "192.0.2.2"]).host("192.0.2.2", refuses());
    let (opened, elapsed) = lab.connect("ws://a/", options());
    let error = opened.unwrap_err();
    let attempts = unreachable(&error).attempts();
    assert!(attempts[0].1.is_none() && attempts[1].1.is_some(), "{attempts:?}");
    let ConnectError::Io(inner) = error else { panic!() };
    assert_eq!(inner.kind(), io::ErrorKind::TimedOut);
    assert!(inner.to_string().contains("192.0.2.1:80: no answer within the timeout"), "{inner}");
    assert_eq!(elapsed, TIMEOUT);
}

#[test]
fn k6_a_name_that_does_not_resolve_is_named() {
    let mut lab = Lab::new().name("empty", &[]);
    lab.network.names.insert("late", (ms(30_000), vec!["192.0.2.1"]));
    let (opened, elapsed) = lab.connect("ws://missing/", options());
    assert_eq!(elapsed, Duration::ZERO);
    let ConnectError::Io(error) = opened.unwrap_err() else { panic!() };
    assert_eq!(error.to_string(), "cannot resolve the name \"missing\": no such name");
    let (opened, elapsed) = lab.connect("ws://late/", options());
    assert_eq!(elapsed, TIMEOUT, "a slow resolver is within the deadline");
    let ConnectError::Io(error) = opened.unwrap_err() else { panic!() };
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::TimedOut, "resolving the name \"late\" took too long")
    );
    let (opened, _) = lab.connect("ws://empty/", options());
    let ConnectError::Io(error) = opened.unwrap_err() else { panic!() };
    assert_eq!(error.to_string(), "the host has no address");
}

#[test]
fn k6_one_deadline_limits_every_step_together() {
    let slow_name = |lab: &mut Lab| {
        lab.network.names.insert("a", (ms(4000), vec!["192.0.2.1"]));
    };
    // The resolver takes 4 s, connecting 4 s, and the server never answers.
    let mut lab = Lab::new().host("192.0.2.1", Host::Answers(ms(4000), vec![Answer::Nothing]));
    slow_name(&mut lab);
    let (opened, elapsed) = lab.connect("ws://a/", options());
    assert!(
        matches!(opened, Err(ConnectError::Handshake(ClientHandshakeError::TimedOut { received: 0 }))),
        "{opened:?}"
    );
    assert_eq!(elapsed, TIMEOUT);
    // The same with a proxy that never answers.
    let mut lab = Lab::new().host("192.0.2.1", Host::Answers(ms(4000), vec![Answer::Nothing]));
    slow_name(&mut lab);
    let (opened, elapsed) = lab.connect("ws://b/", options().proxy("http://a").unwrap());
    let ConnectError::Io(error) = opened.unwrap_err() else { panic!() };
    assert_eq!(error.to_string(), "the proxy did not answer within the timeout");
    assert_eq!(elapsed, TIMEOUT);
    // And with a redirect to a silent host.
    let redirect =
        Answer::Bytes(b"HTTP/1.1 302 Found\r\nLocation: //192.0.2.2/\r\nContent-Length: 0\r\n\r\n".to_vec());
    let mut lab = Lab::new().host("192.0.2.1", Host::Answers(ms(4000), vec![redirect]));
    slow_name(&mut lab);
    let (opened, elapsed) = lab.connect("ws://a/", options().redirects(1));
    assert_eq!(unreachable(&opened.unwrap_err()).attempts()[0].0.to_string(), "192.0.2.2:80");
    assert_eq!(elapsed, TIMEOUT);
}

#[test]
fn k6_addresses_of_the_caller_replace_the_resolver() {
    let mut lab = Lab::new().host("192.0.2.1", refuses()).host("192.0.2.2", opens());
    let addresses = ["192.0.2.1:5", "192.0.2.2:6"].map(|address| address.parse().unwrap());
    let options = addresses.into_iter().fold(options(), ConnectOptions::address);
    assert!(lab.connect("ws://example.com:81/", options).0.is_ok());
    let log = lab.log();
    assert_eq!(log[..2], ["0 ms: connect 192.0.2.1:5", "1 ms: connect 192.0.2.2:6"]);
    assert!(lab.requests()[0].contains("\r\nHost: example.com:81\r\n"));
}

#[test]
fn k6_the_request_has_what_the_options_say() {
    let mut lab = Lab::new().host("192.0.2.1", opens());
    let options = options()
        .header("Authorization", "Bearer 7")
        .and_then(|options| options.origin("https://first.example"))
        .and_then(|options| options.origin("https://second.example"))
        .and_then(|options| options.subprotocol("chat"))
        .and_then(|options| options.subprotocol("soap"))
        .unwrap()
        .compression(true);
    let (opened, _) = lab.connect("ws://192.0.2.1/path?query", options);
    // The server accepts no subprotocol, which is valid.
    assert!(opened.is_ok());
    let request = &lab.requests()[0];
    for part in [
        "GET /path?query HTTP/1.1\r\n",
        "\r\nHost: 192.0.2.1\r\n",
        "\r\nAuthorization: Bearer 7\r\n",
        "\r\nOrigin: https://second.example\r\n",
        "\r\nSec-WebSocket-Protocol: chat, soap\r\n",
        "\r\nSec-WebSocket-Extensions: permessage-deflate",
    ] {
        assert!(request.contains(part), "{part:?} in {request}");
    }
    assert!(!request.contains("first.example"), "an origin replaces the one before");
    assert!(ConnectOptions::new().header("Host", "a").is_err());
    assert!(ConnectOptions::new().header("A", "b\r\nC: d").is_err());
    assert!(ConnectOptions::new().origin("b\r\nC: d").is_err());
    assert!(ConnectOptions::new().subprotocol("a b").is_err());
}

#[test]
fn k6_a_zone_goes_to_the_resolver_and_not_into_the_request() {
    let mut lab = Lab::new().name("fe80::1%eth0", &["fe80::1"]).host("fe80::1", opens());
    let (opened, _) = lab.connect("ws://[fe80::1%25eth0]:81/", options());
    assert!(opened.is_ok());
    assert!(lab.requests()[0].contains("\r\nHost: [fe80::1]:81\r\n"));
}

#[test]
fn k6_an_http_proxy_connects_to_the_server_by_name() {
    let established = Answer::Bytes(b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec());
    let proxy = Host::Answers(ms(5), vec![established, Answer::Open]);
    let mut lab = Lab::new().name("proxy", &["192.0.2.9"]).host("192.0.2.9", proxy);
    let options = options().proxy("http://me:s3cret@proxy:3128").unwrap();
    assert!(lab.connect("ws://only-the-proxy-knows/", options).0.is_ok());
    assert_eq!(lab.log()[..2], ["0 ms: resolve proxy", "0 ms: connect 192.0.2.9:3128"]);
    let requests = lab.requests();
    assert!(requests[0].starts_with("CONNECT only-the-proxy-knows:80 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("Proxy-Authorization: Basic bWU6czNjcmV0\r\n"));
    assert!(
        requests[1].starts_with("GET / HTTP/1.1\r\n") && !requests[1].contains("Proxy-"),
        "{}",
        requests[1]
    );
}

#[test]
fn k6_a_socks_proxy_connects_to_the_server_by_name() {
    let answers = [&[5, 2][..], &[1, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]];
    let mut answers: Vec<_> = answers.iter().map(|bytes| Answer::Bytes(bytes.to_vec())).collect();
    answers.push(Answer::Open);
    let mut lab = Lab::new().host("192.0.2.9", Host::Answers(ms(5), answers));
    let options = options().proxy("socks5://me:s3cret@192.0.2.9").unwrap();
    assert!(lab.connect("ws://only-the-proxy-knows/", options).0.is_ok());
    assert_eq!(lab.log()[0], "0 ms: connect 192.0.2.9:1080");
    assert!(lab.requests()[2].ends_with("only-the-proxy-knows\0P"), "{:?}", lab.requests());
}

#[test]
fn k6_bytes_of_the_server_that_arrive_with_the_proxys_answer_are_kept() {
    // A server that has no room may answer before it has the request.
    let both = b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater";
    let proxy = Host::Answers(ms(5), vec![Answer::Bytes(both.to_vec()), Answer::Nothing]);
    let mut lab = Lab::new().host("192.0.2.9", proxy);
    let (opened, _) = lab.connect("ws://a/", options().proxy("192.0.2.9:3128").unwrap());
    let Err(ConnectError::Handshake(ClientHandshakeError::Refused(response))) = opened else { panic!() };
    assert_eq!((response.status(), response.content()), (503, &b"later"[..]));
}

#[test]
fn k6_a_proxy_that_refuses_is_an_error_without_credentials_in_it() {
    let table: [(&str, Answer, &str); 5] = [
        (
            "http",
            Answer::Bytes(b"HTTP/1.1 403 No\r\n\r\n".to_vec()),
            "the proxy refused the tunnel with 403 Forbidden",
        ),
        (
            "http",
            Answer::Bytes(b"HTTP/1.1 407 No\r\n\r\n".to_vec()),
            "the proxy refused the user name or the password",
        ),
        ("http", Answer::Eof, "the proxy closed the connection before it answered"),
        ("socks5", Answer::Bytes(vec![5, 255]), "the proxy refused the user name or the password"),
        (
            "socks5",
            Answer::Bytes(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec()),
            "the proxy sent an invalid response; is it a SOCKS5 proxy?",
        ),
    ];
    for (scheme, answer, text) in table {
        let mut lab = Lab::new().host("192.0.2.9", Host::Answers(ms(5), vec![answer, Answer::Nothing]));
        let options = options().proxy(&format!("{scheme}://us3r:s3cret@192.0.2.9")).unwrap();
        let shown_options = format!("{options:?}");
        let error = lab.connect("ws://a/", options).0.unwrap_err();
        assert!(matches!(error, ConnectError::Proxy(_)), "{error:?}");
        assert_eq!(error.to_string(), text);
        for shown in [format!("{error:?}"), shown_options] {
            assert!(!shown.contains("us3r") && !shown.contains("s3cret"), "{shown}");
        }
    }
    // A name that SOCKS cannot carry is an error before anything is connected.
    let mut lab = Lab::new();
    let long = format!("ws://{}/", "a".repeat(256));
    let error = lab.connect(&long, options().proxy("socks5://192.0.2.9").unwrap()).0.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy(ProxyError::HostTooLong)));
    assert!(lab.log().is_empty());
}

#[test]
fn k6_a_proxy_is_asked_for_the_callers_address() {
    let established = Answer::Bytes(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let mut lab = Lab::new().host("192.0.2.9", Host::Answers(ms(5), vec![established, Answer::Open]));
    let options = options().address("[2001:db8::7]:77".parse().unwrap()).proxy("192.0.2.9").unwrap();
    assert!(lab.connect("ws://a/", options).0.is_ok());
    assert!(lab.requests()[0].starts_with("CONNECT [2001:db8::7]:77 HTTP/1.1\r\n"));
    assert!(lab.requests()[1].contains("\r\nHost: a\r\n"));
}

fn redirects_to(location: &str) -> Host {
    let head = format!("HTTP/1.1 307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    Host::Answers(ms(1), vec![Answer::Bytes(head.into_bytes()), Answer::Nothing])
}

fn with_credentials() -> ConnectOptions {
    let options = options().header("Authorization", "Bearer s3cret").unwrap();
    options.header("Cookie", "id=s3cret").unwrap().header("X-Trace", "7").unwrap()
}

#[test]
fn k6_redirects_are_not_followed_by_default() {
    let mut lab = Lab::new().host("192.0.2.1", redirects_to("ws://192.0.2.2/")).host("192.0.2.2", opens());
    let error = lab.connect("ws://192.0.2.1/", options()).0.unwrap_err();
    assert!(matches!(&error, ConnectError::Handshake(ClientHandshakeError::Refused(_))));
    assert!(error.to_string().contains("ws://192.0.2.2/"), "{error}");
    assert_eq!(lab.requests().len(), 1);
}

#[test]
fn k6_t40_credentials_stay_at_their_origin() {
    // To the same origin, then to another one, then back.
    let mut lab = Lab::new()
        .name("a", &["192.0.2.1"])
        .host("192.0.2.2", redirects_to("ws://192.0.2.3/x"))
        .host("192.0.2.3", opens());
    let first = b"HTTP/1.1 301 Moved\r\nLocation: /next?a=b\r\nContent-Length: 0\r\n\r\n".to_vec();
    lab = lab.host("192.0.2.1", Host::Answers(ms(1), vec![Answer::Bytes(first), Answer::Nothing]));
    // The second connection to the first host is redirected elsewhere.
    let (opened, _) = lab.connect("ws://192.0.2.1/old", with_credentials().redirects(1));
    assert!(matches!(opened, Err(ConnectError::Redirect(RedirectError::TooMany { limit: 1 }))), "{opened:?}");
    let requests = lab.requests();
    assert!(requests[0].starts_with("GET /old ") && requests[1].starts_with("GET /next?a=b "));
    for request in &requests {
        assert!(request.contains("Bearer s3cret") && request.contains("id=s3cret"), "{request}");
    }

    let (opened, _) = lab.connect("ws://192.0.2.2/", with_credentials().redirects(5));
    assert!(opened.is_ok());
    let requests = lab.requests();
    let [.., same, other] = &requests[..] else { panic!() };
    assert!(same.contains("s3cret") && same.contains("Host: 192.0.2.2\r\n"));
    assert!(
        !other.contains("s3cret") && other.contains("X-Trace: 7") && other.contains("Host: 192.0.2.3\r\n"),
        "{other}"
    );
}

#[test]
fn k6_a_loop_of_redirects_ends() {
    let mut lab = Lab::new()
        .host("192.0.2.1", redirects_to("ws://192.0.2.2/"))
        .host("192.0.2.2", redirects_to("ws://192.0.2.1/"));
    let (opened, _) = lab.connect("ws://192.0.2.1/", options().redirects(7));
    assert!(matches!(opened, Err(ConnectError::Redirect(RedirectError::TooMany { limit: 7 }))));
    assert_eq!(lab.requests().len(), 8);
}

#[test]
fn k6_an_address_is_for_its_host_alone() {
    let mut lab = Lab::new()
        .name("b", &["192.0.2.2"])
        .host("192.0.2.7", redirects_to("ws://b/"))
        .host("192.0.2.2", opens());
    let options = options().address("192.0.2.7:80".parse().unwrap()).redirects(1);
    assert!(lab.connect("ws://a/", options).0.is_ok());
    let log: Vec<_> = lab.log().into_iter().filter(|event| event.contains("ms: ")).collect();
    assert!(log[0].ends_with("connect 192.0.2.7:80") && log[1].ends_with("resolve b"), "{log:?}");
}

#[test]
fn k6_a_redirect_that_cannot_be_followed_is_named() {
    let mut lab = Lab::new().host("192.0.2.1", redirects_to("ftp://192.0.2.2/"));
    let error = lab.connect("ws://192.0.2.1/", options().redirects(1)).0.unwrap_err();
    assert!(matches!(error, ConnectError::Redirect(RedirectError::Location(_))), "{error}");
    // wss needs TLS, which this network does not have. Nothing is connected.
    let mut lab = Lab::new().host("192.0.2.1", redirects_to("wss://192.0.2.2/"));
    let error = lab.connect("ws://192.0.2.1/", options().redirects(1)).0.unwrap_err();
    assert!(matches!(error, ConnectError::Tls), "{error}");
    assert_eq!(lab.log().iter().filter(|event| event.contains("connect")).count(), 1);
}

#[test]
fn k6_a_dropped_connect_drops_its_attempts() {
    let mut lab = Lab::new().name("a", &["192.0.2.1", "192.0.2.2"]);
    let network = lab.network.clone();
    let time = lab.executor.time.clone();
    lab.executor.spawn("client", async move {
        let connecting = std::pin::pin!(connect(&network, "ws://a/", options()));
        let sleep = std::pin::pin!(sleep(&network.time, ms(500)));
        futures_lite::future::or(async { drop(connecting.await) }, sleep).await;
    });
    lab.executor.run_with_time();
    assert_eq!((time.elapsed(), time.armed()), (ms(500), 0), "no alarm is left");
}

#[test]
fn k6_a_stream_of_the_callers_own_takes_the_options() {
    let mut lab = Lab::new();
    let (near, far) = pipe(1 << 16);
    lab.network.spawner.spawn(answer(far, vec![Answer::Open], lab.network.log.clone()));
    let clock = lab.executor.time.clock();
    let opened = lab.executor.spawn("client", async move {
        let url = Url::parse("ws://example.com/path").unwrap();
        let options = ConnectOptions::from(Config::new()).header("X-Token", "7").unwrap();
        connect_over(near, clock, IntoIo::plain(|pipe: Pipe| pipe), &url, &options)
            .await
            .map(|(_, response)| response)
    });
    lab.executor.run_until_idle();
    assert_eq!(opened.take().unwrap().status(), 101);
    let request = &lab.requests()[0];
    assert!(request.starts_with("GET /path ") && request.contains("X-Token: 7"), "{request}");
}
