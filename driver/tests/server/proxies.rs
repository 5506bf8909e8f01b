//! Servers behind proxies (H16): header fields, the PROXY protocol, origins and limits.

use sockeye_core::http::Response;
use sockeye_driver::server::{
    BoxError, Client, ForwardedFields, Handler, HandlerResult, HttpRequest, Inbound, Limits, Port,
    RefusalInfo, Refused, TrustedProxies,
};
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::{EventLog, RawClient, eventually};

use super::TestServer;

/// Answers messages and plain requests with the client's address, and logs it at each `connect`.
struct WhoAmI(EventLog);

impl Handler for WhoAmI {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        self.0.add(without_port(client));
        Ok(())
    }

    async fn message(&self, client: &Client, _: Inbound<'_>) -> HandlerResult {
        let info = client.info();
        assert_eq!((info.peer, &info.transport_peer), (client.peer(), client.transport_peer()));
        assert_eq!(client.server().info(client.id()).map(|info| info.peer), Some(client.peer()));
        client.push(client.peer().to_string())?;
        Ok(())
    }

    async fn request(&self, client: &Client, _: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        Ok(Some(Response::text(200, client.peer().to_string())))
    }
}

fn without_port(client: &Client) -> String {
    client.peer().ip().map_or_else(|| "unix".to_owned(), |ip| ip.to_string())
}

fn localhost() -> TrustedProxies {
    TrustedProxies::networks(["127.0.0.1"]).unwrap()
}

fn start(set: impl FnOnce(Port<WhoAmI>) -> Port<WhoAmI>, limits: Limits) -> (TestServer, EventLog) {
    let log = EventLog::default();
    let port = set(Port::new(WhoAmI(log.clone())));
    let server =
        TestServer::start(move |builder| builder.limits(limits).listen("127.0.0.1:0", port).unwrap());
    (server, log)
}

/// Opens a WebSocket with these header lines, and returns the client's address as the server sees
/// it.
fn seen(server: &TestServer, lines: &str) -> String {
    let mut raw = server.connect();
    raw.upgrade_with("/", lines);
    ask(&mut raw)
}

fn ask(raw: &mut RawClient) -> String {
    raw.text("who am I?");
    String::from_utf8(raw.frame().unwrap().data.to_vec()).unwrap()
}

#[test]
fn h16_the_fields_of_a_trusted_proxy_name_the_client() {
    let (server, log) = start(|port| port.trusted_proxies(localhost()), Limits::new());
    assert_eq!(seen(&server, "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 127.0.0.1\r\n"), "203.0.113.7:0");
    assert_eq!(seen(&server, "X-Forwarded-For: 2001:db8::7\r\n"), "[2001:db8::7]:0");
    assert!(seen(&server, "").starts_with("127.0.0.1:"));
    assert!(seen(&server, "X-Forwarded-For: unknown\r\n").starts_with("127.0.0.1:"));
    assert!(seen(&server, "Forwarded: for=203.0.113.7\r\n").starts_with("127.0.0.1:"));
    assert!(log.lines().iter().all(|peer| peer == "127.0.0.1"), "at `connect` no request has arrived");

    let rfc = localhost().fields(ForwardedFields::Forwarded);
    let (server, _) = start(|port| port.trusted_proxies(rfc), Limits::new());
    let line = "Forwarded: for=6.6.6.6, for=\"203.0.113.7:4711\"\r\nX-Forwarded-For: 6.6.6.6\r\n";
    assert_eq!(seen(&server, line), "203.0.113.7:4711");
}

#[test]
fn h16_t47_the_fields_of_a_stranger_do_not_count() {
    let line = "X-Forwarded-For: 203.0.113.7\r\n";
    let (server, _) = start(|port| port, Limits::new());
    assert!(seen(&server, line).starts_with("127.0.0.1:"));
    let other = TrustedProxies::networks(["192.0.2.0/24"]).unwrap().unix();
    let (server, _) = start(|port| port.trusted_proxies(other), Limits::new());
    assert!(seen(&server, line).starts_with("127.0.0.1:"));
}

#[test]
fn h16_each_request_on_a_connection_has_its_own_client() {
    let (server, _) = start(|port| port.trusted_proxies(localhost()), Limits::new());
    let mut raw = server.connect();
    for (line, expected) in [
        ("X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7:0"),
        ("X-Forwarded-For: 203.0.113.8\r\n", "203.0.113.8:0"),
        ("", "127.0.0.1:"),
    ] {
        raw.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n"));
        assert!(raw.answer().text().starts_with(expected), "{expected}");
    }
    raw.upgrade_with("/", "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(ask(&mut raw), "203.0.113.9:0");
}

#[test]
fn h16_t47_connections_of_a_proxy_count_for_its_clients() {
    let limits = Limits::new().max_per_address(2);
    let (server, _) = start(|port| port.trusted_proxies(localhost()), limits);
    let open = |line: &str| {
        let mut raw = server.connect();
        raw.write(upgrade_request("/", line));
        (raw.answer().status(), raw)
    };
    let one = "X-Forwarded-For: 2001:db8::1\r\n";
    let (first, second) = (open(one), open("X-Forwarded-For: 2001:db8::ffff:2\r\n"));
    assert_eq!((first.0, second.0), (101, 101));
    assert_eq!(open("X-Forwarded-For: 2001:db8::3\r\n").0, 503, "the /64 has two connections");
    assert_eq!(open("X-Forwarded-For: 2001:db8:0:1::1\r\n").0, 101);
    let health_checks = [open(""), open(""), open("")];
    assert!(health_checks.iter().all(|(status, _)| *status == 101), "a proxy itself has no limit");
    drop(first);
    eventually("a free slot", || open(one).0 == 101);
}

#[test]
fn h16_h13_origins_are_compared_with_the_public_host() {
    let try_origin = |server: &TestServer, lines: &str| {
        let mut raw = server.connect();
        raw.write(upgrade_request("/", lines));
        raw.answer().status()
    };
    // The request's own host is `localhost`.
    let public = "Origin: https://example.com\r\nX-Forwarded-Host: example.com\r\n";
    let (server, _) = start(|port| port.trusted_proxies(localhost()), Limits::new());
    assert_eq!(try_origin(&server, public), 101);
    assert_eq!(try_origin(&server, "Origin: http://localhost\r\nX-Forwarded-Host: example.com\r\n"), 403);
    assert_eq!(try_origin(&server, "Origin: http://localhost\r\n"), 101);
    assert_eq!(try_origin(&server, "Origin: https://example.com\r\n"), 403);
    let (server, _) = start(|port| port, Limits::new());
    assert_eq!(try_origin(&server, public), 403, "a stranger cannot name the host");
    let rfc = localhost().fields(ForwardedFields::Forwarded);
    let (server, _) = start(|port| port.trusted_proxies(rfc), Limits::new());
    let line = "Origin: https://example.com\r\nForwarded: for=203.0.113.7;host=example.com\r\n";
    assert_eq!(try_origin(&server, line), 101);
}

/// Builds a header of version 2 for a client at 203.0.113.8, port 56324.
fn v2(command: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, 0x11, 0, 12, 203, 0, 113, 8, 127, 0, 0, 1, 0xdc, 0x04, 1, 187]);
    header
}

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n";

#[test]
fn h16_a_proxy_header_names_the_client_before_connect() {
    let (server, log) = start(|port| port.trusted_proxies(localhost()).proxy_protocol(true), Limits::new());
    for (header, client) in [(V1.to_vec(), "203.0.113.7:4711"), (v2(0x21), "203.0.113.8:56324")] {
        let mut together = server.connect();
        together.write([&header[..], upgrade_request("/", "").as_bytes()].concat());
        assert_eq!(together.answer().status(), 101);
        assert_eq!(ask(&mut together), client);
        let mut apart = server.connect();
        for byte in &header {
            apart.write([*byte]);
        }
        assert_eq!(apart.get("/").text(), client);
        apart.upgrade("/");
        assert_eq!(ask(&mut apart), client);
    }
    assert_eq!(log.lines(), ["203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.8"]);
    // A proxy's own connection, such as a health check.
    for header in [v2(0x20), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut raw = server.connect();
        raw.write(header);
        assert!(raw.get("/").text().starts_with("127.0.0.1:"));
    }
    // The fields of a client behind the PROXY protocol do not count: it is not a proxy.
    let mut raw = server.connect();
    raw.write(V1);
    raw.upgrade_with("/", "X-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(ask(&mut raw), "203.0.113.7:4711");
    // A second proxy, behind the one that sends the header.
    let mut raw = server.connect();
    raw.write(b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 443\r\n");
    raw.upgrade_with("/", "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(ask(&mut raw), "203.0.113.9:0");
}

#[test]
fn h16_t47_clients_behind_the_proxy_protocol_are_limited() {
    let limits = Limits::new().max_per_address(1);
    let (server, _) = start(|port| port.trusted_proxies(localhost()).proxy_protocol(true), limits);
    let open = |header: &[u8]| {
        let mut raw = server.connect();
        raw.write([header, upgrade_request("/", "").as_bytes()].concat());
        (raw.answer().status(), raw)
    };
    let first = open(V1);
    assert_eq!((first.0, open(V1).0, open(&v2(0x21)).0), (101, 503, 101));
    drop(first);
    eventually("a free slot", || open(V1).0 == 101);
}

#[test]
fn h16_a_missing_or_malformed_proxy_header_gets_a_400() {
    let (server, log) = start(|port| port.trusted_proxies(localhost()).proxy_protocol(true), Limits::new());
    for (bytes, reason) in [
        (upgrade_request("/", ""), "found none"),
        ("PROXY TCP4 nonsense\r\n".to_owned(), "malformed"),
        (format!("PROXY UNKNOWN {}", "x".repeat(200)), "too long"),
    ] {
        let mut raw = server.connect();
        raw.write(bytes);
        let answer = raw.answer();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains(reason), "{}", answer.text());
        raw.expect_end();
    }
    assert!(log.lines().is_empty(), "the handler is not called");
}

#[test]
fn h16_a_proxy_header_that_is_not_expected_gets_a_400_that_says_so() {
    let trusts_others = TrustedProxies::networks(["192.0.2.1"]).unwrap();
    let servers = [
        start(|port| port, Limits::new()).0,
        start(|port| port.trusted_proxies(localhost()), Limits::new()).0,
        start(|port| port.trusted_proxies(trusts_others).proxy_protocol(true), Limits::new()).0,
    ];
    for server in &servers {
        for header in [V1.to_vec(), v2(0x21), v2(0x20), b"PROXY UNKNOWN\r\n".to_vec()] {
            let mut raw = server.connect();
            raw.write([&header[..], upgrade_request("/", "").as_bytes()].concat());
            let answer = raw.answer();
            assert_eq!(answer.status(), 400);
            assert!(answer.text().contains("looks like a PROXY protocol header"), "{}", answer.text());
        }
    }
}

/// Logs refusals with the client's address.
struct RefusalLogger(EventLog);

impl Handler for RefusalLogger {
    async fn message(&self, _: &Client, _: Inbound<'_>) -> HandlerResult {
        Ok(())
    }

    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        self.0.add(format!("{} {:?} {refusal}", without_port(client), refusal.status()));
    }
}

#[test]
fn h16_h15_refusals_behind_a_proxy_are_events_that_name_the_client() {
    let log = EventLog::default();
    let port = Port::new(RefusalLogger(log.clone())).trusted_proxies(localhost()).proxy_protocol(true);
    let server = TestServer::start(move |builder| {
        builder.limits(Limits::new().max_per_address(1)).listen("127.0.0.1:0", port).unwrap()
    });
    let status = |header: &[u8], lines: &str| {
        let mut raw = server.connect();
        raw.write([header, upgrade_request("/", lines).as_bytes()].concat());
        (raw.answer().status(), raw)
    };
    let _open = status(V1, "");
    assert_eq!(status(V1, "").0, 503);
    assert_eq!(status(b"", "").0, 400);
    assert_eq!(status(&v2(0x21), "Origin: http://evil.example\r\n").0, 403);
    log.wait_for("203.0.113.7 Some(503) the client's address has reached the limit of 1 connections");
    log.wait_for(
        "127.0.0.1 Some(400) bad request: this port expects a PROXY protocol header from this proxy, and found none",
    );
    eventually("a refusal by the policy", || {
        log.lines().iter().any(|line| line.starts_with("203.0.113.8 Some(403) "))
    });
}

#[cfg(unix)]
#[test]
fn h16_proxies_can_connect_over_a_unix_socket() {
    use std::os::unix::net::UnixStream;

    use sockeye_testkit::PATIENCE;

    let path = std::env::temp_dir().join(format!("sockeye-proxies-{}", std::process::id()));
    let with_header = path.with_extension("proxy");
    let (at, at_with_header) = (path.clone(), with_header.clone());
    let _server = TestServer::start(move |builder| {
        let port = || Port::new(WhoAmI(EventLog::default())).trusted_proxies(TrustedProxies::none().unix());
        let builder = builder.listen_unix(&at, port()).unwrap();
        builder.listen_unix(&at_with_header, port().proxy_protocol(true)).unwrap()
    });
    let connect = |path: &std::path::Path| {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        RawClient::over(stream)
    };
    let mut raw = connect(&path);
    raw.upgrade_with("/", "X-Forwarded-For: 203.0.113.7\r\n");
    assert_eq!(ask(&mut raw), "203.0.113.7:0");
    let mut raw = connect(&path);
    raw.upgrade("/");
    assert_eq!(ask(&mut raw), "unix:");
    let mut raw = connect(&with_header);
    raw.write(v2(0x21));
    raw.upgrade("/");
    assert_eq!(ask(&mut raw), "203.0.113.8:56324");
    for path in [path, with_header] {
        std::fs::remove_file(path).unwrap();
    }
}
