//! TLS over blocking sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sockeye_std::server::{Callbacks, Port, Server};
use sockeye_std::tls::{ClientTls, ServerTls, TlsError};
use sockeye_std::{AcceptError, CloseCode, Config, ConnectError, ConnectOptions, Error, Received, WebSocket};
use sockeye_testkit::tls::*;

fn trusting() -> ClientTls {
    ClientTls::with_ca_pem(CA).unwrap()
}

fn serving() -> ServerTls {
    ServerTls::from_pem(SERVER.certificate, SERVER.key).unwrap()
}

fn connect(url: &str, tls: &ClientTls) -> Result<WebSocket, ConnectError> {
    let (ws, _) = sockeye_std::connect_with(url, ConnectOptions::new().tls(tls.clone()))?;
    Ok(ws)
}

/// Returns both ends of an open connection.
fn open() -> (WebSocket, WebSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let client = thread::spawn(move || connect(&url, &trusting()).unwrap());
    let (stream, _) = sockeye_std::accept_tcp(&listener);
    let server = sockeye_std::accept_tls(stream, &serving()).unwrap();
    (client.join().unwrap(), server)
}

#[test]
fn k7_one_type_serves_ws_and_wss() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        for is_secure in [false, true] {
            let (stream, _) = sockeye_std::accept_tcp(&listener);
            let mut ws: WebSocket = match is_secure {
                false => sockeye_std::accept(stream).unwrap(),
                true => sockeye_std::accept_tls(stream, &serving()).unwrap(),
            };
            assert_eq!(ws.tls().is_some(), is_secure);
            while let Some(message) = ws.recv().unwrap() {
                ws.send(message).unwrap();
            }
        }
    });
    for scheme in ["ws", "wss"] {
        let mut ws = connect(&format!("{scheme}://localhost:{port}/"), &trusting()).unwrap();
        assert_eq!(ws.get_ref().peer_addr().unwrap().port(), port);
        for len in [0, 5, 100_000] {
            ws.send(vec![7; len]).unwrap();
            assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![7; len]);
        }
        assert!(matches!(ws.recv_timeout(Duration::from_millis(1)), Ok(Received::TimedOut)));
        ws.close(CloseCode::NORMAL, "").unwrap();
        assert!(ws.recv().unwrap().is_none());
    }
    server.join().unwrap();
}

#[test]
fn k7_two_threads_use_each_end_at_once() {
    const MESSAGES: usize = 300;
    let (client, server) = open();
    let threads: Vec<_> = [client, server]
        .into_iter()
        .flat_map(|ws| {
            let (mut send, mut recv) = ws.split();
            let sender = thread::spawn(move || {
                for i in 0..MESSAGES {
                    send.send(vec![i as u8; 30_000]).unwrap();
                }
                // The halves are dropped once the peer has everything.
                drop(send);
            });
            let receiver = thread::spawn(move || {
                for i in 0..MESSAGES {
                    assert_eq!(recv.recv().unwrap().unwrap().as_bytes(), vec![i as u8; 30_000]);
                }
            });
            [sender, receiver]
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn k7_a_receive_that_waits_on_one_thread_does_not_hold_up_a_send_on_another() {
    let (client, mut server) = open();
    let (mut send, mut recv) = client.split();
    let receiving = thread::spawn(move || recv.recv().unwrap());
    for _ in 0..10 {
        send.send("ping").unwrap();
        assert_eq!(server.recv().unwrap().unwrap().as_text(), Some("ping"));
    }
    server.send("done").unwrap();
    assert_eq!(receiving.join().unwrap().unwrap().as_text(), Some("done"));
}

#[test]
fn k7_a_cut_connection_is_not_a_clean_end() {
    let (client, mut server) = open();
    client.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(matches!(server.recv(), Err(Error::Abnormal(_))));
}

#[test]
fn k7_plain_http_gets_a_readable_400_and_a_silent_client_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    });
    let (stream, _) = sockeye_std::accept_tcp(&listener);
    let refused = sockeye_std::accept_tls(stream, &serving()).unwrap_err();
    assert!(matches!(refused, AcceptError::Tls(TlsError::PlainClient)), "{refused:?}");
    let response = client.join().unwrap();
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nthis port speaks TLS; use wss:// or https://\n"), "{response}");

    let _silent = TcpStream::connect(address).unwrap();
    let (stream, _) = sockeye_std::accept_tcp(&listener);
    let config = Config::new().handshake_timeout(Duration::from_millis(50));
    let late = sockeye_std::accept_tls_with(stream, &serving(), config, |_| unreachable!()).unwrap_err();
    assert_eq!(late.to_string(), "the TLS handshake took too long");
}

#[test]
fn m13_a_tls_port_serves_a_thread_for_each_connection() {
    let echo = Callbacks::on_message(|client, message| client.send_blocking(message));
    let server = Server::builder().listen_tls("127.0.0.1:0", serving(), Port::new(echo)).unwrap().build();
    let (handle, address) = (server.handle(), server.addresses()[0].clone());
    let running = thread::spawn(|| server.run());
    let error = sockeye_std::connect(&format!("wss://{address}/")).unwrap_err();
    assert!(error.to_string().contains("from an issuer that is not trusted"), "{error}");
    let mut ws = connect(&format!("wss://{address}/"), &trusting()).unwrap();
    for i in 0..50_u32 {
        ws.send(vec![i as u8; 20_000]).unwrap();
        assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![i as u8; 20_000]);
    }
    ws.close(CloseCode::NORMAL, "").unwrap();
    handle.shutdown(Duration::from_secs(10));
    running.join().unwrap().unwrap();
}
