//! Another HTTP implementation on a port, in memory.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use sockeye_core::handshake::server::{Accept, Upgrade};
use sockeye_core::http::{Request, Response, Version};
use sockeye_core::{CloseInfo, Config, Opcode};
use sockeye_driver::Io;
use sockeye_driver::server::{
    Address, BoxError, Client, Handler, HandlerResult, HttpConnection, HttpContext, HttpIo, HttpRequest,
    HttpService, Inbound, Limits, Port, RefusalInfo, Refused, Runtime, Server, ServerHandle,
};
use sockeye_testkit::EventLog;
use sockeye_testkit::frames::*;
use sockeye_testkit::handshake::upgrade_request;
use sockeye_testkit::sim::*;

/// Logs all events with the id of their connection.
#[derive(Clone, Default)]
struct Recorder(EventLog);

impl Recorder {
    fn add(&self, client: &Client, event: &str) {
        self.0.add(format!("{} {event}", client.id()));
    }
}

impl Handler for Recorder {
    async fn connect(&self, client: &Client) -> Result<(), Refused> {
        self.add(client, "connect");
        Ok(())
    }

    async fn request(&self, client: &Client, _: &mut HttpRequest<'_>) -> Result<Option<Response>, BoxError> {
        self.add(client, "request");
        Ok(None)
    }

    async fn before_handshake_response(
        &self,
        client: &Client,
        upgrade: &Upgrade,
        accept: Accept,
    ) -> Result<Accept, Response> {
        client.push("early").unwrap();
        if upgrade.path() == "/refused" { Err(Response::text(403, "no\n")) } else { Ok(accept) }
    }

    async fn open(&self, client: &Client, request: &Request) -> HandlerResult {
        self.add(client, &format!("open {}", request.path()));
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }

    async fn close(&self, client: &Client, info: &CloseInfo) -> HandlerResult {
        self.add(client, &format!("close {}", info.code.as_u16()));
        Ok(())
    }

    async fn disconnect(&self, client: &Client) -> HandlerResult {
        self.add(client, "disconnect");
        Ok(())
    }

    fn refused(&self, client: &Client, refusal: &RefusalInfo<'_>) {
        self.add(client, &format!("refused {}", refusal.status().unwrap_or_default()));
    }
}

/// A minimal HTTP implementation. A `STREAM` request stands for a stream of HTTP/2: it opens a
/// WebSocket over a pipe, whose other end the test takes.
struct Simple {
    runtime: SimRuntime,
    streams: Arc<Mutex<Vec<Pipe>>>,
}

impl HttpService<Pipe> for Simple {
    async fn serve<H: Handler>(self: Arc<Self>, connection: HttpConnection<Pipe, H>) {
        let HttpConnection { mut io, context } = connection;
        while let Some(head) = next_head(&mut io, &context).await {
            let (method, target) = head.split_once(' ').unwrap();
            let target = target.split(' ').next().unwrap();
            let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            if method == "STREAM" {
                let fields = [("sec-websocket-version", "13")];
                let request = Request::from_extended_connect("http", "localhost", target, fields).unwrap();
                let answer = match context.accept(Upgrade::new(request).unwrap()).await {
                    Ok(upgrade) => {
                        let (near, far) = pipe(1 << 20);
                        self.streams.lock().unwrap().push(far);
                        let status = upgrade.response().status();
                        let open = upgrade.open(near, &[], self.runtime.clock());
                        self.runtime.spawn(async { open.await.unwrap() }).unwrap();
                        status
                    }
                    Err(response) => response.status(),
                };
                write(&mut io, format!("{answer}\n").as_bytes()).await;
                continue;
            }
            let request = Request::from_parts(method, target, Version::Http11, fields).unwrap();
            if !request.headers().contains("upgrade") {
                let response = match context.check_request(request) {
                    Ok(()) => Response::text(200, "from the service").keep_alive(true),
                    Err(response) => response,
                };
                write(&mut io, &response.encode()).await;
                context.request_answered();
                continue;
            }
            match context.accept(Upgrade::new(request).unwrap()).await {
                Ok(_) if target == "/dropped" => {}
                Ok(upgrade) => {
                    write(&mut io, &upgrade.response().encode_head()).await;
                    upgrade.open(io, &[], self.runtime.clock()).await.unwrap();
                }
                Err(response) => write(&mut io, &response.encode()).await,
            }
            return;
        }
    }
}

/// Reads the head of a request. Returns `None` at the end of the input, or once the server shuts
/// down.
async fn next_head<H: Handler>(io: &mut HttpIo<Pipe>, context: &HttpContext<H>) -> Option<String> {
    let mut shutdown = pin!(context.shutting_down());
    let mut head = Vec::new();
    poll_fn(|cx| {
        loop {
            if let Some(end) = head.strip_suffix(b"\r\n\r\n") {
                return Poll::Ready(Some(String::from_utf8(end.to_vec()).unwrap()));
            }
            let mut byte = [0];
            match io.poll_read(cx, &mut byte) {
                Poll::Ready(Ok(1)) => head.extend(byte),
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return shutdown.as_mut().poll(cx).map(|()| None),
            }
        }
    })
    .await
}

async fn write(io: &mut HttpIo<Pipe>, bytes: &[u8]) {
    let written = poll_fn(|cx| io.poll_write(cx, &[IoSlice::new(bytes)])).await;
    assert_eq!(written.unwrap(), bytes.len());
}

struct World {
    executor: Executor,
    server: ServerHandle,
    connector: Connector,
    ended: Handle<std::io::Result<()>>,
    log: EventLog,
    streams: Arc<Mutex<Vec<Pipe>>>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut executor = Executor::new();
        let (recorder, connector) = (Recorder::default(), Connector::default());
        let (log, streams) = (recorder.0.clone(), Arc::<Mutex<Vec<Pipe>>>::default());
        let runtime = SimRuntime::new(&executor);
        let service = Simple { runtime: runtime.clone(), streams: streams.clone() };
        let port = Port::new(recorder).config(Config::new());
        let listener = SimListener::new(&connector, &executor.time);
        let server = Server::builder_on(runtime)
            .limits(limits)
            .listen_http_with(listener, Address::Unix(None), port, service)
            .build();
        let (handle, ended) = (server.handle(), executor.spawn("the server", server.run()));
        executor.run_until_idle();
        World { executor, server: handle, connector, ended, log, streams }
    }

    fn connect(&mut self) -> Pipe {
        let pipe = self.connector.connect(1 << 20, Faults::default());
        self.executor.run_until_idle();
        pipe
    }

    fn send(&mut self, pipe: &Pipe, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        pipe.push(bytes.as_ref());
        self.executor.run_until_idle();
        pipe.take_all()
    }

    fn wait(&mut self, millis: u64) {
        self.executor.time.advance(Duration::from_millis(millis));
        self.executor.run_until_idle();
    }
}

const PLAIN: &str = "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn h18_the_service_answers_plain_requests_and_the_connection_becomes_a_websocket() {
    let mut world = World::new(Limits::new());
    let pipe = world.connect();
    for _ in 0..2 {
        let answer = world.send(&pipe, PLAIN);
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"from the service"));
    }
    let answer = world.send(&pipe, upgrade_request("/chat", ""));
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(answer.ends_with(b"\x81\x05early"), "pushes wait for the 101: {}", answer.escape_ascii());
    let echo = world.send(&pipe, client_frame(Opcode::Text, b"hello"));
    assert_eq!(*parse_frames(&echo)[0].data, b"hello"[..]);
    let id = world.server.connections()[0];
    assert!(world.server.is_established(id) && world.server.stats().total.requests == 2);
    let answer = world.send(&pipe, client_frame(Opcode::Close, &close_payload(1000, "")));
    assert_eq!(read_frames(&answer)[0].close_code(), 1000);
    world.log.expect(&["1 connect", "1 open /chat", "1 close 1000"]);
    pipe.shut();
    world.executor.run_until_idle();
    assert_eq!((world.server.connections(), world.server.stats().total.connections), (Vec::new(), 0));
}

#[test]
fn h18_o8_the_websockets_of_one_transport_have_their_own_ids_and_count_against_the_limit() {
    let mut world = World::new(Limits::new().max_connections(3));
    let pipe = world.connect();
    let stream = "STREAM /a HTTP/2\r\n\r\n";
    assert_eq!(world.send(&pipe, stream.repeat(2)), b"200\n200\n");
    assert_eq!(world.send(&pipe, stream), b"503\n");
    let streams = std::mem::take(&mut *world.streams.lock().unwrap());
    for stream in &streams {
        let answer = world.send(stream, client_frame(Opcode::Text, b"hello"));
        assert_eq!(parse_frames(&answer).len(), 2, "early and hello");
    }
    assert_eq!(world.server.broadcast(|_| true, "to all").queued, 2);
    assert_eq!(world.server.connections().len(), 3);
    // The transport ends, and its streams with it.
    drop(streams);
    drop(pipe);
    world.executor.run_until_idle();
    let mut lines = world.log.lines();
    lines[4..].sort_unstable();
    assert_eq!(lines[..4], ["1 connect", "2 open /a", "3 open /a", "1 refused 503"]);
    assert_eq!(lines[4..], ["1 disconnect", "2 close 1006", "3 close 1006"]);
    assert_eq!((world.server.connections(), world.server.stats().total.connections), (Vec::new(), 0));
}

#[test]
fn h18_a_connection_that_becomes_no_websocket_is_disconnected() {
    for (path, events) in [
        ("/refused", &["1 connect", "1 refused 403", "1 disconnect"][..]),
        ("/dropped", &["1 connect", "1 disconnect"]),
    ] {
        let mut world = World::new(Limits::new());
        let pipe = world.connect();
        let answer = world.send(&pipe, upgrade_request(path, ""));
        assert_eq!(answer.starts_with(b"HTTP/1.1 403 "), path == "/refused");
        assert!(pipe.is_shut());
        world.log.expect(events);
        assert_eq!((world.server.connections(), world.server.queued()), (Vec::new(), 0));
    }
}

#[test]
fn h18_o8_a_transport_counts_as_a_handshake_until_its_first_answer() {
    let mut world = World::new(Limits::new().max_handshakes(1));
    let first = world.connect();
    let second = world.connect();
    assert!(second.take_all().starts_with(b"HTTP/1.1 503 "));
    world.send(&first, PLAIN);
    let third = world.connect();
    assert!(world.send(&third, PLAIN).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn h18_m12_a_shutdown_lets_the_service_end_and_drops_it_after_the_grace() {
    let mut world = World::new(Limits::new());
    let idle = world.connect();
    world.send(&idle, PLAIN);
    let websocket = world.connect();
    world.send(&websocket, upgrade_request("/", ""));
    world.server.shutdown(Duration::from_secs(10));
    world.executor.run_until_idle();
    assert!(idle.is_shut());
    assert_eq!(read_frames(&websocket.take_all())[0].close_code(), 1001);
    assert!(!world.ended.is_finished());
    world.wait(10_000);
    assert!(world.ended.is_finished() && websocket.is_shut());
    world.log.expect(&["1 connect", "2 connect", "2 open /", "1 disconnect", "2 close 1001"]);
}

#[test]
fn h18_h12_a_silent_connection_never_reaches_the_service() {
    let mut world = World::new(Limits::new());
    let silent = world.connect();
    world.wait(10_000);
    assert!(silent.is_shut());
    world.log.expect(&["1 connect", "1 disconnect"]);
}
