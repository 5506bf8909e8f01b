//! TLS over transports that misbehave, in memory.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::zip;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::{CloseCode, Config, Connection, Instant, Message};
use sockeye_driver::conformance::{Breach, check_io};
use sockeye_driver::tls::{ClientTls, ServerTls, TlsError, TlsIo, accept_tls, connect_tls, rustls};
use sockeye_driver::{
    AcceptError, Clock, ConnectError, Error, Io, WebSocket, accept_tls_with, accept_with, client, client_tls,
};
use sockeye_testkit::frames::mask_keys;
use sockeye_testkit::sim::*;
use sockeye_testkit::tls::*;

type Tls = TlsIo<Pipe>;

fn trusting() -> ClientTls {
    ClientTls::with_ca_pem(CA).unwrap()
}

fn serving(identity: Identity) -> ServerTls {
    ServerTls::from_pem(identity.certificate, identity.key).unwrap()
}

fn chain(identity: Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(identity.certificate).unwrap();
    (vec![certificate], PrivateKeyDer::from_pem_slice(identity.key).unwrap())
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
    roots
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A server that demands a certificate of the client, in this version of TLS only.
fn demanding(version: &'static rustls::SupportedProtocolVersion) -> ServerTls {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots()), provider()).build().unwrap();
    let (chain, key) = chain(SERVER);
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    ServerTls::from(config.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap())
}

/// A client with a certificate.
fn identified() -> ClientTls {
    let (chain, key) = chain(CLIENT);
    let config =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    ClientTls::from(config.with_root_certificates(roots()).with_client_auth_cert(chain, key).unwrap())
}

fn in_a_minute(time: &Time) -> Instant {
    time.now() + Duration::from_secs(60)
}

/// Shakes hands over both ends of a transport.
async fn shake_hands(
    (near, far): (Pipe, Pipe),
    time: &Time,
    tls: &ClientTls,
    server_tls: &ServerTls,
    host: &str,
) -> (Result<Tls, TlsError>, Result<Tls, TlsError>) {
    let (mut clock, mut server_clock) = (time.clock(), time.clock());
    let server = accept_tls(far, &mut server_clock, server_tls, in_a_minute(time));
    let client = connect_tls(near, &mut clock, tls, host, in_a_minute(time));
    let (client, server) = zip(client, async { server.await.map_err(|(error, _)| error) }).await;
    (client, server)
}

async fn pair(ends: (Pipe, Pipe), time: &Time) -> (Tls, Tls) {
    let (client, server) = shake_hands(ends, time, &trusting(), &serving(SERVER), "localhost").await;
    (client.unwrap(), server.unwrap())
}

/// Runs a handshake of two ends that may fail.
fn outcome(
    tls: ClientTls,
    server_tls: ServerTls,
    host: &'static str,
) -> (Result<Tls, TlsError>, Result<Tls, TlsError>) {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    let ends = executor
        .spawn("both ends", async move { shake_hands(pipe(1 << 20), &time, &tls, &server_tls, host).await });
    executor.run_with_time();
    ends.take()
}

fn websocket(is_server: bool, io: Tls, time: &Time, config: Config) -> WebSocket<Tls, TestClock> {
    let config = Arc::new(config);
    let connection =
        if is_server { Connection::server(config) } else { Connection::client(config, mask_keys()) };
    WebSocket::new(connection, &[], io, time.clock())
}

/// The capacities and faults of transports that often return `Pending`.
fn waiting_transports() -> Vec<(usize, Faults)> {
    let first = Faults { pending: Pending::First, ..Faults::default() };
    vec![
        (1 << 20, Faults::default()),
        (1 << 20, first),
        (1, first),
        (1000, Faults { interrupted: true, vectored: false, ..first }),
        (7, Faults { pending: Pending::UntilIdle, chunk: 3, ..first }),
        (300, Faults { buffer: 100, ..first }),
    ]
}

async fn sleep(time: &Time, duration: Duration) {
    let (mut clock, deadline) = (time.clock(), time.now() + duration);
    poll_fn(|cx| clock.poll_until(cx, deadline)).await;
}

/// Checks that one end of TLS keeps the contract of [`Io`].
fn check(is_server: bool, capacity: usize, faults: Faults) -> Result<(), Breach> {
    let mut executor = Executor::new().limit(20_000_000);
    let time = executor.time.clone();
    let checked = executor.spawn("the check", async move {
        let connect = async || {
            let (near, far) = pipe_with(capacity, faults);
            if is_server {
                let (client, server) = pair((far, near), &time).await;
                (server, client)
            } else {
                pair((near, far), &time).await
            }
        };
        check_io(connect, async |duration| sleep(&time, duration).await).await
    });
    executor.run_with_time();
    checked.take()
}

#[test]
fn k7_both_ends_keep_the_contract_of_a_transport_whatever_is_beneath() {
    // The peer decrypts whole records, so the checks need a transport that holds one.
    const CAPACITY: usize = 40_000;
    let first = Faults { pending: Pending::First, ..Faults::default() };
    for is_server in [false, true] {
        for (capacity, faults) in [
            (1 << 20, Faults::default()),
            (CAPACITY, first),
            (CAPACITY, Faults { interrupted: true, vectored: false, ..first }),
            (CAPACITY, Faults { pending: Pending::UntilIdle, chunk: 999, ..first }),
            (CAPACITY, Faults { buffer: 100, ..first }),
        ] {
            check(is_server, capacity, faults)
                .unwrap_or_else(|breach| panic!("server: {is_server}, {capacity}, {faults:?}: {breach}"));
        }
    }
}

#[test]
fn k7_a_conversation_over_tls_arrives_and_closes_cleanly_over_every_transport() {
    static SIZES: [usize; 5] = [0, 5, 300, 16_384, 70_000];
    for client_is_faulty in [false, true] {
        for (capacity, faults) in waiting_transports() {
            // Large messages take long over the smallest transports.
            let sizes = if capacity < 100 { &SIZES[..3] } else { &SIZES[..] };
            let mut executor = Executor::new().limit(4_000_000);
            let (near, far) = pipe_with(capacity, faults);
            let (near, far) = if client_is_faulty { (near, far) } else { (far, near) };
            let (time, server_time) = (executor.time.clone(), executor.time.clone());
            let server = executor.spawn("server", async move {
                let decide = async |_: &Upgrade| Ok(Accept::new());
                let (clock, tls) = (server_time.clock(), serving(SERVER));
                let accepted = accept_tls_with(far, clock, &tls, Config::new(), decide, |io| io);
                let mut ws = accepted.await.unwrap();
                while let Some(message) = ws.recv().await.unwrap() {
                    ws.feed(message).await.unwrap();
                }
                ws.close_info().unwrap().clean
            });
            let client = executor.spawn("client", async move {
                let request = ClientRequest::new(&Url::parse("wss://localhost/").unwrap());
                let tls = trusting();
                let opened =
                    client_tls(near, time.clock(), (&tls, "localhost"), request, Config::new(), |io| io);
                let (mut ws, _) = opened.await.unwrap();
                for &len in sizes {
                    ws.send(payload(len, len)).await.unwrap();
                    // Dropping the future after every poll loses nothing.
                    let echo = loop {
                        match poll_at_most(1, ws.recv()).await {
                            Some(received) => break received.unwrap().unwrap(),
                            None => until_woken().await,
                        }
                    };
                    assert_eq!(echo.as_bytes(), payload(len, len));
                }
                ws.close(CloseCode::NORMAL, "").await.unwrap();
                assert!(ws.recv().await.unwrap().is_none());
            });
            executor.run_with_time();
            let () = client.take();
            assert!(server.take(), "{capacity}, {faults:?}");
        }
    }
}

#[test]
fn k7_the_halves_of_both_ends_send_and_receive_at_the_same_time() {
    const MESSAGES: usize = 40;
    for (capacity, faults) in [(1000, Faults::default()), (300, waiting_transports()[1].1)] {
        let mut executor = Executor::new().limit(4_000_000);
        let time = executor.time.clone();
        let ends = executor.spawn("the handshake", async move {
            let (client, server) = pair(pipe_with(capacity, faults), &time).await;
            let config = || Config::new().high_water_mark(2000);
            (websocket(false, client, &time, config()), websocket(true, server, &time, config()))
        });
        executor.run_with_time();
        let (client, server) = ends.take();
        let mut received = Vec::new();
        for ws in [client, server] {
            let (mut send, mut recv) = ws.split();
            executor.spawn("a sender", async move {
                for i in 0..MESSAGES {
                    send.send(payload(i, 3000)).await.unwrap();
                }
                // Keep this half until the peer has everything.
                until_woken().await;
                drop(send);
            });
            received.push(executor.spawn("a receiver", async move {
                for i in 0..MESSAGES {
                    let message = recv.recv().await.unwrap().unwrap();
                    assert_eq!(message.as_bytes(), payload(i, 3000));
                }
                recv
            }));
        }
        executor.run_until_idle();
        for receiver in received {
            drop(receiver.take());
        }
    }
}

#[test]
fn k7_a_batch_of_messages_is_one_write_of_one_record() {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    let (near, far) = pipe(1 << 20);
    let probe = near.probe();
    let sent = executor.spawn("both ends", async move {
        let (client, server) = pair((near, far), &time).await;
        let mut ws = websocket(false, client, &time, Config::new());
        *probe.get() = Stats::default();
        for _ in 0..50 {
            ws.feed("a small message").await.unwrap();
        }
        ws.flush().await.unwrap();
        let stats = probe.get();
        (ws, server, stats.writes, stats.log.clone())
    });
    executor.run();
    let (_ws, _server, writes, bytes) = sent.take();
    let record_len = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    assert_eq!((writes, bytes.len()), (1, 5 + record_len));
}

#[test]
fn k7_a_stream_that_is_cut_is_not_a_clean_end() {
    for sends_message in [false, true] {
        let mut executor = Executor::new();
        let time = executor.time.clone();
        let ended = executor.spawn("both ends", async move {
            let (mut client, server) = pair(pipe(1 << 20), &time).await;
            if sends_message {
                let slices = [IoSlice::new(b"\x81\x02hi")];
                poll_fn(|cx| client.poll_write(cx, &slices)).await.unwrap();
            }
            // An attacker ends TCP.
            client.get_ref().shut();
            let mut server = server;
            let mut buffer = [0; 100];
            if sends_message {
                assert_eq!(poll_fn(|cx| server.poll_read(cx, &mut buffer)).await.unwrap(), 4);
            }
            let cut = poll_fn(|cx| server.poll_read(cx, &mut buffer)).await.unwrap_err();
            let mut ws = websocket(true, server, &time, Config::new());
            (cut, ws.recv().await)
        });
        executor.run_with_time();
        let (cut, ws) = ended.take();
        assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(cut.to_string(), "the peer closed the connection without the TLS alert close_notify");
        assert!(matches!(ws, Err(Error::Abnormal(_))), "{ws:?}");
    }
}

#[test]
fn k7_a_server_that_cannot_be_authenticated_is_refused_with_the_cause() {
    let unknown = "TLS failed: the peer's certificate is self-signed, or from an issuer that is not trusted";
    let other_ca = ClientTls::with_ca_pem(SELF_SIGNED.certificate).unwrap();
    for (tls, identity, host, texts) in [
        (trusting(), OTHER, "localhost", ["not valid for name \"localhost\"", "other.example"]),
        (trusting(), SERVER, "203.0.113.7", ["not valid for name \"203.0.113.7\"", "localhost"]),
        (trusting(), EXPIRED, "localhost", ["TLS failed: the peer's certificate has expired"; 2]),
        (trusting(), SELF_SIGNED, "localhost", [unknown; 2]),
        (other_ca, SERVER, "localhost", [unknown; 2]),
    ] {
        let (client, server) = outcome(tls, serving(identity), host);
        let text = client.unwrap_err().to_string();
        assert!(texts.iter().all(|part| text.contains(part)), "{text}");
        // The server is told, and gets nothing of the request.
        assert!(matches!(server, Err(TlsError::Rustls(rustls::Error::AlertReceived(_)))), "{server:?}");
    }
    // The certificate may name another host than the URL.
    let renamed = trusting().server_name("other.example").unwrap();
    let (client, server) = outcome(renamed, serving(OTHER), "localhost");
    assert_eq!(server.unwrap().info().server_name.as_deref(), Some("other.example"));
    client.unwrap();
    // Its own certificate as an authority makes a self-signed server trusted.
    let own = ClientTls::with_ca_pem(SELF_SIGNED.certificate).unwrap();
    outcome(own, serving(SELF_SIGNED), "localhost").0.unwrap();
    outcome(ClientTls::dangerous_without_verification().unwrap(), serving(EXPIRED), "any.example").0.unwrap();
}

#[test]
fn k7_a_missing_client_certificate_is_named() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut executor = Executor::new();
        let (near, far) = pipe(1 << 20);
        let (time, server_time) = (executor.time.clone(), executor.time.clone());
        let server = executor.spawn("server", async move {
            let decide = async |_: &Upgrade| Ok(Accept::new());
            let (clock, tls) = (server_time.clock(), demanding(version));
            accept_tls_with(far, clock, &tls, Config::new(), decide, |io| io).await.map(drop)
        });
        let client = executor.spawn("client", async move {
            let request = ClientRequest::new(&Url::parse("wss://localhost/").unwrap());
            let tls = trusting();
            client_tls(near, time.clock(), (&tls, "localhost"), request, Config::new(), |io| io)
                .await
                .map(drop)
        });
        executor.run_with_time();
        let error = server.take().unwrap_err();
        assert_eq!(error.to_string(), "TLS failed: the client sent no certificate");
        let error = client.take().unwrap_err();
        let text = match &error {
            // In TLS 1.3 the client learns it after its handshake (RFC 8446 4.4.2.4).
            ConnectError::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        let expected = ["the server requires a client certificate", "or a certificate is missing"];
        assert!(expected.iter().any(|expected| text.contains(expected)), "{version:?}: {text}");

        let (client, server) = outcome(identified(), demanding(version), "localhost");
        client.unwrap();
        let certificates = server.unwrap().info().peer_certificates;
        assert_eq!(certificates, chain(CLIENT).0.into());
    }
}

#[test]
fn k7_the_handshake_agrees_on_http_1_1_and_names_the_server_and_resumes() {
    let (tls, server_tls) = (trusting(), serving(SERVER));
    for resumed in [false, true] {
        let mut executor = Executor::new();
        let (time, tls, server_tls) = (executor.time.clone(), tls.clone(), server_tls.clone());
        let infos = executor.spawn("both ends", async move {
            let (client, server) = shake_hands(pipe(1 << 20), &time, &tls, &server_tls, "localhost").await;
            let (client, server) = (client.unwrap(), server.unwrap());
            let infos = (client.info(), server.info());
            // The client reads the ticket together with the first message.
            let mut server = websocket(true, server, &time, Config::new());
            let mut client = websocket(false, client, &time, Config::new());
            server.send("hello").await.unwrap();
            assert_eq!(client.recv().await.unwrap(), Some(Message::from("hello")));
            infos
        });
        executor.run();
        let (client, server) = infos.take();
        assert_eq!(client.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!((server.alpn.as_deref(), client.version), (client.alpn.as_deref(), server.version));
        assert_eq!(server.server_name.as_deref(), Some("localhost"));
        assert_eq!((client.server_name, server.peer_certificates.len()), (None, 0));
        assert_eq!(client.peer_certificates, chain(SERVER).0.into());
        assert_eq!((client.resumed, server.resumed), (resumed, resumed));
    }
}

#[test]
fn k7_a_replaced_certificate_serves_new_connections() {
    let tls = serving(SERVER);
    let clone = tls.clone();
    for identity in [SERVER, RENEWED] {
        tls.replace(serving(identity));
        let client = outcome(trusting(), clone.clone(), "localhost").0.unwrap();
        assert_eq!(client.info().peer_certificates, chain(identity).0.into());
    }
}

#[test]
fn k7_each_end_says_that_the_other_does_not_speak_tls() {
    // A `wss://` client meets a plain server.
    let mut executor = Executor::new();
    let (near, far) = pipe(1 << 20);
    let (time, server_time) = (executor.time.clone(), executor.time.clone());
    executor.spawn("server", async move {
        let decide = async |_: &Upgrade| Ok(Accept::new());
        let refused = accept_with(far, server_time.clock(), Config::new(), decide).await.unwrap_err();
        assert!(format!("{refused:?}").contains("LooksLikeTls"), "{refused:?}");
    });
    let client_end = executor.spawn("client", async move {
        let (tls, mut clock) = (trusting(), time.clock());
        connect_tls(near, &mut clock, &tls, "localhost", in_a_minute(&time)).await.map(drop)
    });
    executor.run_with_time();
    let error = client_end.take().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server answered in plain HTTP; this port does not speak TLS: use ws://"
    );

    // A `ws://` client meets a TLS server.
    let mut executor = Executor::new();
    let (near, far) = pipe(1 << 20);
    let (time, server_time) = (executor.time.clone(), executor.time.clone());
    let server = executor.spawn("server", async move {
        let decide = async |_: &Upgrade| Ok(Accept::new());
        let (clock, tls) = (server_time.clock(), serving(SERVER));
        accept_tls_with(far, clock, &tls, Config::new(), decide, |io| io).await.map(drop)
    });
    let client_end = executor.spawn("client", async move {
        let request = ClientRequest::new(&Url::parse("ws://localhost/").unwrap());
        client(near, time.clock(), request, Config::new()).await.map(drop)
    });
    executor.run_with_time();
    assert!(matches!(server.take(), Err(AcceptError::Tls(TlsError::PlainClient))));
    let error = client_end.take().unwrap_err();
    let ConnectError::Handshake(sockeye_core::handshake::client::ClientHandshakeError::Refused(response)) =
        error
    else {
        panic!("{error:?}");
    };
    assert_eq!(response.status(), 400);
    assert_eq!(response.content(), b"this port speaks TLS; use wss:// or https://\n");
}

#[test]
fn k7_a_handshake_ends_at_its_deadline() {
    for is_server in [false, true] {
        let mut executor = Executor::new();
        let (near, far) = pipe(1 << 20);
        let time = executor.time.clone();
        let ended = executor.spawn("one end", async move {
            let (mut clock, deadline) = (time.clock(), time.now() + Duration::from_secs(3));
            let error = if is_server {
                accept_tls(near, &mut clock, &serving(SERVER), deadline).await.unwrap_err().0
            } else {
                connect_tls(near, &mut clock, &trusting(), "localhost", deadline).await.unwrap_err()
            };
            (error.to_string(), time.elapsed())
        });
        executor.run_with_time();
        assert_eq!(ended.take(), ("the TLS handshake took too long".to_owned(), Duration::from_secs(3)));
        drop(far);
    }
}

#[test]
fn k7_a_handshake_over_a_transport_that_breaks_at_any_operation_ends() {
    for is_server in [false, true] {
        let run = |faults: Faults| {
            let mut executor = Executor::new();
            let (near, far) = pipe_with(1 << 20, faults);
            let probe = near.probe();
            let ends = if is_server { (far, near) } else { (near, far) };
            let time = executor.time.clone();
            let ends = executor.spawn("both ends", async move {
                let tls = (trusting(), serving(SERVER));
                shake_hands(ends, &time, &tls.0, &tls.1, "localhost").await
            });
            executor.run_with_time();
            let _ = ends.take();
            probe.get().ops
        };
        let first = Faults { pending: Pending::First, buffer: 300, ..Faults::default() };
        for faults in [Faults::default(), first] {
            let ops = run(faults);
            assert!(ops >= 4, "only {ops} operations");
            for at in 0..ops {
                for fail in [Fail::Eof, Fail::Error(ErrorKind::ConnectionReset)] {
                    run(Faults { fail: Some((at, fail)), ..faults });
                }
            }
        }
    }
}

#[test]
fn k7_a_record_with_a_changed_byte_ends_the_connection_with_an_alert() {
    let mut executor = Executor::new();
    let time = executor.time.clone();
    let errors = executor.spawn("both ends", async move {
        let (mut client, mut server) = pair(pipe(1 << 20), &time).await;
        // The client must not be ahead with tickets that it has not read.
        let slices = [IoSlice::new(b"hello")];
        poll_fn(|cx| client.poll_write(cx, &slices)).await.unwrap();
        let mut bytes = server.get_ref().take_all();
        *bytes.last_mut().unwrap() ^= 1;
        client.get_ref().push(&bytes);
        let mut buffer = [0; 100];
        let first = poll_fn(|cx| server.poll_read(cx, &mut buffer)).await.unwrap_err();
        let again = poll_fn(|cx| server.poll_read(cx, &mut buffer)).await.unwrap_err();
        assert_eq!(first.to_string(), again.to_string());
        assert!(poll_fn(|cx| server.poll_write(cx, &slices)).await.is_err());
        (first, poll_fn(|cx| client.poll_read(cx, &mut buffer)).await.unwrap_err())
    });
    executor.run();
    let (server, client) = errors.take();
    assert_eq!(server.to_string(), "TLS failed: cannot decrypt peer's message");
    assert_eq!(client.to_string(), "TLS failed: received fatal alert: BadRecordMac");
}
