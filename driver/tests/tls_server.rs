//! Servers with TLS, in memory, with a clock that only the test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye_core::Config;
use sockeye_core::handshake::client::{ClientHandshakeError, ClientRequest, Url};
use sockeye_core::http::{Request, Response};
use sockeye_driver::server::{
    Client, Handler, HandlerResult, Inbound, Limits, Port, RefusalInfo, Refused, ServerHandle, TrustedProxies,
};
use sockeye_driver::tls::{ClientTls, ServerTls, TlsInfo, TlsIo, rustls};
use sockeye_driver::{ConnectError, WebSocket, client_tls};
use sockeye_testkit::sim::*;
use sockeye_testkit::tls::*;

type TlsClient = WebSocket<TlsIo<Pipe>, TestClock>;

fn trusting() -> ClientTls {
    ClientTls::with_ca_pem(CA).unwrap()
}

fn serving(identity: Identity) -> ServerTls {
    ServerTls::from_pem(identity.certificate, identity.key).unwrap()
}

/// The text and the status of a refusal.
type Refusal = (String, Option<u16>);

/// A handler that echoes, and records what it learns of clients and refusals.
#[derive(Debug, Clone, Default)]
struct Recorder {
    infos: Arc<Mutex<Vec<Option<Arc<TlsInfo>>>>>,
    refusals: Arc<Mutex<Vec<Refusal>>>,
    refuses: bool,
}

impl Recorder {
    fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap().clone()
    }
}

impl Handler for Recorder {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        self.infos.lock().unwrap().push(client.tls());
        if self.refuses { Err(Response::text(429, "later\n").into()) } else { Ok(()) }
    }

    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.infos.lock().unwrap().push(client.tls());
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }

    fn refused(&self, _: &Client, refusal: &RefusalInfo<'_>) {
        self.refusals.lock().unwrap().push((refusal.to_string(), refusal.status()));
    }
}

struct World {
    executor: Executor,
    server: ServerHandle,
    connector: Connector,
    recorder: Recorder,
}

impl World {
    fn new(tls: ServerTls) -> Self {
        Self::with(tls, |port| port, Limits::new(), false)
    }

    fn with(
        tls: ServerTls,
        set: impl FnOnce(Port<Recorder>) -> Port<Recorder>,
        limits: Limits,
        refuses: bool,
    ) -> Self {
        let mut executor = Executor::new();
        let recorder = Recorder { refuses, ..Recorder::default() };
        let port = set(Port::new(recorder.clone()).tls(tls));
        let (server, connector, _) = SimRuntime::serve(&mut executor, port, limits);
        executor.run_until_idle();
        World { executor, server, connector, recorder }
    }

    fn connect(&mut self) -> Pipe {
        let pipe = self.connector.connect(1 << 20, Faults::default());
        self.executor.run_until_idle();
        pipe
    }

    /// Opens a WebSocket over this transport. Returns `None` while the server does not answer.
    fn open_over(&mut self, pipe: Pipe, tls: ClientTls) -> Option<Result<TlsClient, ConnectError>> {
        let time = self.executor.time.clone();
        let client = self.executor.spawn("client", async move {
            let request = ClientRequest::new(&Url::parse("wss://localhost/").unwrap());
            let opening =
                client_tls(pipe, time.clock(), (&tls, "localhost"), request, Config::new(), |io| io);
            opening.await.map(|(ws, _)| ws)
        });
        self.executor.run_until_idle();
        client.is_finished().then(|| client.take())
    }

    fn open(&mut self, tls: ClientTls) -> Result<TlsClient, ConnectError> {
        let pipe = self.connect();
        self.open_over(pipe, tls).expect("the server answers")
    }

    fn echo(&mut self, mut ws: TlsClient, text: &'static str) -> TlsClient {
        let echo = self.executor.spawn("echo", async move {
            ws.send(text).await.unwrap();
            let message = ws.recv().await.unwrap().unwrap();
            assert_eq!(message.as_text(), Some(text));
            ws
        });
        self.executor.run_until_idle();
        echo.take()
    }

    fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }
}

#[test]
fn m13_handlers_see_what_tls_has_agreed_on_and_the_certificate_of_the_client() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
    let chain = |identity: Identity| {
        let certificate = CertificateDer::from_pem_slice(identity.certificate).unwrap();
        (vec![certificate], PrivateKeyDer::from_pem_slice(identity.key).unwrap())
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone());
    let (server_chain, key) = chain(SERVER);
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(server_chain, key)
        .unwrap();
    let mut world = World::new(ServerTls::from(config));
    let (client_chain, key) = chain(CLIENT);
    let identified = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(client_chain.clone(), key)
        .unwrap();
    for (tls, certificates) in [(ClientTls::from(identified), client_chain), (trusting(), Vec::new())] {
        let ws = world.open(tls).unwrap();
        world.echo(ws, "hello");
        let infos = std::mem::take(&mut *world.recorder.infos.lock().unwrap());
        let [None, Some(info)] = &infos[..] else { panic!("{infos:?}") };
        assert_eq!(info.peer_certificates.to_vec(), certificates);
        assert_eq!(info.server_name.as_deref(), Some("localhost"));
        assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn m13_plain_http_on_a_tls_port_gets_a_readable_400() {
    let mut world = World::new(serving(SERVER));
    let pipe = world.connect();
    pipe.push(b"GET /chat HTTP/1.1\r\nHost: localhost\r\n\r\n");
    world.executor.run_until_idle();
    let response = String::from_utf8(pipe.take_all()).unwrap();
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nthis port speaks TLS; use wss:// or https://\n"), "{response}");
    let refusal = ("the client sent plain HTTP; this port speaks TLS".to_owned(), Some(400));
    assert_eq!(world.recorder.refusals(), [refusal]);
    drop(pipe);
    // A probe, which leaves without a byte, is no event.
    drop(world.connect());
    world.executor.run_until_idle();
    assert_eq!(world.server.connections().len(), 0);
    assert_eq!(world.recorder.refusals().len(), 1);
}

#[test]
fn m13_a_tls_port_can_also_accept_clients_without_tls() {
    let mut world = World::with(serving(SERVER), |port| port.allow_plain(true), Limits::new(), false);
    let pipe = world.connect();
    pipe.push(sockeye_testkit::handshake::UPGRADE_REQUEST);
    world.executor.run_until_idle();
    assert!(pipe.take_all().starts_with(b"HTTP/1.1 101 "));
    // The beginning of a ClientHello. As HTTP it would be malformed, and get a 400.
    let secure = world.connect();
    secure.push(&[0x16, 3, 1, 2, 0, 1, 0, b'\r', b'\n', b'\r', b'\n']);
    world.executor.run_until_idle();
    assert!(secure.take_all().is_empty() && !secure.is_shut());
    assert!(matches!(&world.recorder.infos.lock().unwrap()[..], [None, None, None]));
}

#[test]
fn m13_t1_t2_the_handshakes_of_tls_and_websocket_have_one_deadline() {
    let config = Config::new().handshake_timeout(Duration::from_secs(3));
    let mut world = World::with(serving(SERVER), |port| port.config(config), Limits::new(), false);
    let silent = world.connect();
    let half = world.connect();
    // The beginning of a ClientHello.
    half.push(&[0x16, 3, 1, 2, 0, 1, 0]);
    let secured = world.connect();
    world.wait(2000);
    // TLS is complete after two seconds, and then the request does not come.
    let (time, tls) = (world.executor.time.clone(), trusting());
    let secured = world.executor.spawn("client", async move {
        let deadline = time.now() + Duration::from_secs(60);
        sockeye_driver::tls::connect_tls(secured, &mut time.clock(), &tls, "localhost", deadline)
            .await
            .unwrap()
    });
    world.executor.run_until_idle();
    let secured = secured.take();
    world.wait(999);
    let is_open = |pipe: &Pipe| !pipe.is_shut();
    assert!(is_open(&silent) && is_open(&half) && is_open(secured.get_ref()));
    // A healthy client is not affected.
    let ws = world.open(trusting()).unwrap();
    world.wait(1);
    assert!(silent.is_shut() && half.is_shut() && secured.get_ref().is_shut());
    let ws = world.echo(ws, "still here");
    let late = ("the TLS handshake took too long".to_owned(), None);
    assert_eq!(world.recorder.refusals()[..2], [late.clone(), late]);
    drop((silent, half, secured));
    world.wait(2000);
    assert_eq!(world.server.connections().len(), 1);
    drop(ws);
}

#[test]
fn m13_a_certificate_can_be_replaced_while_the_server_runs() {
    let tls = serving(SERVER);
    let mut world = World::new(tls.clone());
    let certificate = |ws: &TlsClient| ws.io().info().peer_certificates[0].clone();
    let old = world.open(trusting()).unwrap();
    assert_eq!(certificate(&old), CertificateDer::from_pem_slice(SERVER.certificate).unwrap());
    tls.replace(serving(RENEWED));
    let new = world.open(trusting()).unwrap();
    assert_eq!(certificate(&new), CertificateDer::from_pem_slice(RENEWED.certificate).unwrap());
    world.echo(old, "the old connection stays");
}

#[test]
fn m13_o8_a_tls_handshake_counts_and_a_full_server_answers_over_tls() {
    let mut world = World::with(serving(SERVER), |port| port, Limits::new().max_handshakes(1), false);
    let waiting = world.connect();
    let error = world.open(trusting()).unwrap_err();
    let ConnectError::Handshake(ClientHandshakeError::Refused(response)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(response.status(), 503);
    // The place is free again once the handshakes of TLS and WebSocket are complete.
    let ws = world.open_over(waiting, trusting()).unwrap().unwrap();
    world.open(trusting()).unwrap();
    world.echo(ws, "hello");
}

#[test]
fn m13_a_handler_that_refuses_a_connection_answers_over_tls() {
    let mut world = World::with(serving(SERVER), |port| port, Limits::new(), true);
    let error = world.open(trusting()).unwrap_err();
    let ConnectError::Handshake(ClientHandshakeError::Refused(response)) = error else {
        panic!("{error:?}");
    };
    assert_eq!((response.status(), response.content()), (429, &b"later\n"[..]));
}

#[test]
fn m13_a_proxy_names_the_client_before_tls_begins() {
    let proxies = TrustedProxies::none().unix();
    let set = |port: Port<Recorder>| port.trusted_proxies(proxies).proxy_protocol(true);
    let mut world = World::with(serving(SERVER), set, Limits::new(), false);
    let pipe = world.connect();
    pipe.push(b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");
    let ws = world.open_over(pipe, trusting()).unwrap().unwrap();
    let id = world.server.connections()[0];
    assert_eq!(world.server.info(id).unwrap().peer.to_string(), "203.0.113.7:4711");
    world.echo(ws, "hello");
}

#[test]
fn m13_m12_a_shutdown_ends_connections_in_the_tls_handshake() {
    let mut world = World::new(serving(SERVER));
    let pipe = world.connect();
    pipe.push(&[0x16, 3, 1]);
    world.executor.run_until_idle();
    world.server.shutdown(Duration::from_secs(10));
    world.wait(0);
    assert!(pipe.is_shut());
    assert_eq!(world.server.connections().len(), 0);
}

#[test]
fn m13_a_server_closes_tls_before_the_transport() {
    let mut world = World::new(serving(SERVER));
    let mut ws = world.open(trusting()).unwrap();
    world.server.shutdown(Duration::from_secs(10));
    let ended = world.executor.spawn("client", async move {
        let end = ws.recv().await;
        (end, ws.close_info().unwrap().clean)
    });
    world.executor.run_until_idle();
    let (end, clean) = ended.take();
    assert!(matches!(end, Ok(None)) && clean, "{end:?}");
}

#[test]
fn m13_t31_a_transport_that_breaks_at_any_operation_leaves_nothing() {
    let run = |faults: Faults| {
        let mut executor = Executor::new();
        let recorder = Recorder::default();
        let port = Port::new(recorder).tls(serving(SERVER));
        let (server, connector, _) = SimRuntime::serve(&mut executor, port, Limits::new());
        let (far, near) = pipe_with(1 << 20, faults);
        let probe = far.probe();
        connector.offer(Ok(far));
        let time = executor.time.clone();
        let client = executor.spawn("client", async move {
            let request = ClientRequest::new(&Url::parse("wss://localhost/").unwrap());
            let tls = trusting();
            let opened =
                client_tls(near, time.clock(), (&tls, "localhost"), request, Config::new(), |io| io).await;
            let Ok((mut ws, _)) = opened else { return };
            if ws.send("hello").await.is_ok() {
                let _ = ws.recv().await;
            }
            let _ = ws.close(sockeye_core::CloseCode::NORMAL, "").await;
            while let Ok(Some(_)) = ws.recv().await {}
        });
        for _ in 0..40 {
            executor.run_until_idle();
            executor.time.advance(Duration::from_secs(1));
        }
        executor.run_until_idle();
        let () = client.take();
        assert_eq!((server.connections().len(), server.queued()), (0, 0), "{faults:?}");
        probe.get().ops
    };
    let first = Faults { pending: Pending::First, buffer: 300, ..Faults::default() };
    for faults in [Faults::default(), first] {
        let ops = run(faults);
        assert!(ops >= 10, "only {ops} operations");
        for at in 0..ops {
            for fail in [Fail::Eof, Fail::Error(std::io::ErrorKind::ConnectionReset)] {
                run(Faults { fail: Some((at, fail)), ..faults });
            }
        }
    }
}
