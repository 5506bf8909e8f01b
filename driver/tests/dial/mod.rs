//! Scenarios of connecting over real sockets.
//!
//! Every adapter includes this file. The scenarios use `talk` of the file that includes them: it
//! connects, checks that the server echoes `hello`, and closes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sockeye_core::handshake::accept_key;
use sockeye_driver::dial::Unreachable;
use sockeye_driver::{ConnectError, ConnectOptions};
#[cfg(unix)]
use sockeye_testkit::SilentListener;

use crate::talk;

/// A bound for a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> ConnectOptions {
    ConnectOptions::new().timeout(PATIENCE)
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Returns an address that refuses connections.
fn refusing() -> SocketAddr {
    bind().1
}

/// Reads up to the end of a head.
fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Answers one client of `talk`.
fn echo(mut stream: impl Read + Write) {
    let request = read_head(&mut stream);
    let (_, key) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    let accept = accept_key(key.lines().next().unwrap());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .unwrap();
    // A text of five bytes with its mask, and a Close with a code.
    let mut frame = [0; 11];
    stream.read_exact(&mut frame).unwrap();
    stream.write_all(b"\x81\x05hello").unwrap();
    let mut close = [0; 8];
    stream.read_exact(&mut close).unwrap();
    stream.write_all(b"\x88\x02\x03\xe8").unwrap();
    stream.flush().unwrap();
}

/// Starts a server that echoes for one client.
fn serve() -> SocketAddr {
    let (listener, address) = bind();
    thread::spawn(move || echo(listener.accept().unwrap().0));
    address
}

/// Starts a proxy for one client. It connects to `server`, whatever the client asks for, and passes
/// the question to `asked`.
fn proxy(server: SocketAddr, negotiate: impl FnOnce(&mut TcpStream) + Send + 'static) -> SocketAddr {
    let (listener, address) = bind();
    thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        negotiate(&mut client);
        let server = TcpStream::connect(server).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || io::copy(&mut from_client, &mut to_server));
        let (mut from_server, mut to_client) = (server, client);
        let _ = io::copy(&mut from_server, &mut to_client);
    });
    address
}

fn http_proxy(server: SocketAddr, asked: &'static str) -> SocketAddr {
    proxy(server, move |client| {
        let head = read_head(client);
        assert!(head.starts_with(&format!("CONNECT {asked} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("\r\nProxy-Authorization: Basic bWU6cHc=\r\n"), "{head}");
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    })
}

fn socks_proxy(server: SocketAddr, asked: &'static str) -> SocketAddr {
    proxy(server, move |client| {
        let mut greeting = [0; 4];
        client.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, [5, 2, 0, 2]);
        client.write_all(&[5, 2]).unwrap();
        let mut login = [0; 7];
        client.read_exact(&mut login).unwrap();
        assert_eq!(&login, b"\x01\x02me\x02pw");
        client.write_all(&[1, 0]).unwrap();
        let mut request = vec![0; 5 + asked.len() + 2];
        client.read_exact(&mut request).unwrap();
        assert!(request.starts_with(&[5, 1, 0, 3]) && request[5..].starts_with(asked.as_bytes()));
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).unwrap();
    })
}

#[test]
#[cfg(unix)]
fn k6_a_silent_first_address_is_passed_over() {
    let silent = SilentListener::bind();
    let start = Instant::now();
    let options = options().address(silent.address()).address(serve());
    talk("ws://example.com/", options).unwrap();
    assert!(start.elapsed() < PATIENCE / 2, "the silent address took {:?}", start.elapsed());
}

#[test]
fn k6_a_refused_first_address_is_passed_over() {
    talk("ws://example.com/", options().address(refusing()).address(serve())).unwrap();
}

#[test]
fn k6_an_error_names_each_address_that_refused() {
    let addresses = [refusing(), refusing(), refusing()];
    let error = talk("ws://a/", addresses.into_iter().fold(options(), ConnectOptions::address)).unwrap_err();
    let ConnectError::Io(error) = error else { panic!("{error}") };
    let unreachable: &Unreachable = error.get_ref().unwrap().downcast_ref().unwrap();
    let tried: Vec<_> = unreachable.attempts().iter().map(|(address, _)| *address).collect();
    assert_eq!(tried, addresses);
    assert!(addresses.iter().all(|address| error.to_string().contains(&address.to_string())), "{error}");
}

#[test]
#[cfg(unix)]
fn k6_silent_addresses_end_at_the_deadline() {
    let (one, other) = (SilentListener::bind(), SilentListener::bind());
    let timeout = Duration::from_millis(400);
    for options in
        [options().address(one.address()), options().address(one.address()).address(other.address())]
    {
        let start = Instant::now();
        let error = talk("ws://a/", options.timeout(timeout)).unwrap_err();
        let ConnectError::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(start.elapsed() >= timeout && start.elapsed() < PATIENCE);
    }
}

#[test]
fn k6_resolving_a_name_is_within_the_deadline() {
    let start = Instant::now();
    // It does not exist, which some resolvers know at once and others never say.
    talk("ws://does-not-exist.invalid/", options().timeout(Duration::from_millis(300))).unwrap_err();
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn k6_a_name_is_resolved() {
    let address = serve();
    talk(&format!("ws://localhost:{}/", address.port()), options()).unwrap();
}

#[test]
fn k6_proxies_resolve_the_name_and_carry_the_connection() {
    let http = format!("http://me:pw@{}", http_proxy(serve(), "server.invalid:80"));
    talk("ws://server.invalid/", options().proxy(&http).unwrap()).unwrap();
    let socks = format!("socks5h://me:pw@{}", socks_proxy(serve(), "server.invalid"));
    talk("ws://server.invalid/", options().proxy(&socks).unwrap()).unwrap();
}

#[test]
fn k6_a_proxy_that_is_silent_hangs_up_or_is_none_is_an_error() {
    let (silent, address) = bind();
    let options_with = |address: SocketAddr| options().proxy(&address.to_string()).unwrap();
    let timeout = Duration::from_millis(300);
    let error = talk("ws://a/", options_with(address).timeout(timeout)).unwrap_err();
    let ConnectError::Io(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    drop(silent);
    for (answer, text) in [
        ("", "the proxy closed the connection"),
        ("SSH-2.0-x\r\n", "is it an HTTP proxy?"),
        ("HTTP/1.1 407 x\r\n\r\n", "requires a user name"),
    ] {
        let (listener, address) = bind();
        thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            read_head(&mut client);
            client.write_all(answer.as_bytes()).unwrap();
        });
        let error = talk("ws://a/", options_with(address)).unwrap_err();
        assert!(matches!(&error, ConnectError::Proxy(_)) && error.to_string().contains(text), "{error}");
    }
}

#[test]
fn k6_a_redirect_is_followed_on_request() {
    let server = serve();
    let (listener, address) = bind();
    thread::spawn(move || {
        for _ in 0..2 {
            let mut client = listener.accept().unwrap().0;
            read_head(&mut client);
            let head =
                format!("HTTP/1.1 302 Found\r\nLocation: http://{server}/\r\nContent-Length: 0\r\n\r\n");
            client.write_all(head.as_bytes()).unwrap();
        }
    });
    let url = format!("ws://{address}/");
    let error = talk(&url, options()).unwrap_err();
    assert!(error.to_string().contains(&format!("http://{server}/")), "{error}");
    talk(&url, options().redirects(1)).unwrap();
}

#[cfg(feature = "rustls")]
mod tls {
    use sockeye_driver::tls::rustls::{ServerConnection, StreamOwned};
    use sockeye_driver::tls::{ClientTls, ServerTls};
    use sockeye_testkit::tls::{CA, SERVER};

    use super::*;

    /// Starts a server with TLS that echoes for one client.
    fn serve_tls() -> SocketAddr {
        let (listener, address) = bind();
        thread::spawn(move || {
            let config = ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap().config();
            let tls = ServerConnection::new(config).unwrap();
            echo(StreamOwned::new(tls, listener.accept().unwrap().0));
        });
        address
    }

    #[test]
    fn k6_tls_through_a_proxy_checks_the_name_of_the_server() {
        let options = options().tls(ClientTls::with_ca_pem(CA).unwrap());
        let http = format!("http://me:pw@{}", http_proxy(serve_tls(), "localhost:443"));
        talk("wss://localhost/", options.clone().proxy(&http).unwrap()).unwrap();
        let socks = format!("socks5://me:pw@{}", socks_proxy(serve_tls(), "example.com"));
        talk("wss://example.com/", options.clone().proxy(&socks).unwrap()).unwrap();
        let address = serve_tls();
        let error = talk("wss://other.example/", options.clone().address(address)).unwrap_err();
        assert!(error.to_string().contains("other.example"), "{error}");
        talk("wss://example.com/", options.address(serve_tls())).unwrap();
    }
}
