//! A library that is written once runs over every connection: `json_rpc` on tokio, smol and
//! threads, with a transport that is not `Send`, and in a server's handler.

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::{Value, json};
use sockeye_core::channel::{Channel, RecvMessage, SendMessage};
use sockeye_core::handshake::client::{ClientRequest, Url};
use sockeye_core::handshake::server::{Policy, Upgrade};
use sockeye_core::{CloseCode, Config, MessageRef};
use sockeye_driver::{Clock, ConnectOptions, Error, Io};
use sockeye_examples::json_rpc::{CallError, Dispatcher, Incoming, Peer, RpcError, Service};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The service of either end. It remembers the notifications.
#[derive(Debug, Default)]
struct Calculator {
    name: &'static str,
    log: Vec<Value>,
}

impl Calculator {
    fn new(name: &'static str) -> Self {
        Calculator { name, log: Vec::new() }
    }
}

impl Service for Calculator {
    fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        match (method, params.as_array().map(Vec::as_slice)) {
            ("subtract", Some([a, b])) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Ok(json!(a - b)),
                _ => Err(RpcError::invalid_params()),
            },
            ("name", _) => Ok(json!(self.name)),
            ("echo", _) => Ok(params),
            ("log", _) => {
                self.log.push(params);
                Ok(Value::Null)
            }
            _ => Err(RpcError::method_not_found()),
        }
    }
}

/// Calls the client while the client calls the server, then serves until the client closes.
async fn server<C: Channel>(channel: C) -> Result<Calculator, AnyError> {
    assert_eq!(channel.subprotocol(), Some("jsonrpc"));
    let mut peer = Peer::new(channel, Calculator::new("server"));
    assert_eq!(peer.call("name", Value::Null).await?, json!("client"));
    Ok(peer.serve().await?)
}

async fn client<C: Channel>(channel: C) -> Result<(), AnyError> {
    assert_eq!(channel.subprotocol(), Some("jsonrpc"));
    let mut peer = Peer::new(channel, Calculator::new("client"));
    assert_eq!(peer.call("subtract", json!([42, 23])).await?, json!(19));
    assert_eq!(peer.call("subtract", json!([23, 42])).await?, json!(-19));
    peer.notify("log", json!(["one"])).await?;
    peer.notify("unknown", json!(["no answer comes"])).await?;
    let text = "\u{1f980}".repeat(100_000);
    assert_eq!(peer.call("echo", json!({"text": text})).await?["text"], json!(text));
    match peer.call("divide", json!([1, 0])).await {
        Err(CallError::Method(error)) => assert_eq!(error.code, -32601),
        other => panic!("{other:?}"),
    }
    peer.notify("log", json!(["two"])).await?;
    assert_eq!(peer.call("name", Value::Null).await?, json!("server"));
    assert!(peer.close().await?.clean);
    Ok(())
}

fn check_log(service: &Calculator) {
    assert_eq!(service.log, [json!(["one"]), json!(["two"])]);
}

fn policy() -> Policy {
    Policy::new().subprotocol("jsonrpc").unwrap()
}

fn options(address: std::net::SocketAddr) -> (String, ConnectOptions) {
    (format!("ws://{address}/"), ConnectOptions::new().subprotocol("jsonrpc").unwrap())
}

async fn tokio_server(stream: tokio::net::TcpStream) -> sockeye_tokio::WebSocket {
    let decide = async |upgrade: &Upgrade| Ok(policy().decide(upgrade)?);
    sockeye_tokio::accept_with(stream, Arc::default(), decide).await.unwrap()
}

async fn tokio_client(address: std::net::SocketAddr) -> sockeye_tokio::WebSocket {
    let (url, options) = options(address);
    sockeye_tokio::connect_with(&url, options).await.unwrap().0
}

async fn smol_server(stream: smol::net::TcpStream) -> sockeye_smol::WebSocket {
    let decide = async |upgrade: &Upgrade| Ok(policy().decide(upgrade)?);
    sockeye_smol::accept_with(stream, Arc::default(), decide).await.unwrap()
}

async fn smol_client(address: std::net::SocketAddr) -> sockeye_smol::WebSocket {
    let (url, options) = options(address);
    sockeye_smol::connect_with(&url, options).await.unwrap().0
}

fn std_server(stream: std::net::TcpStream) -> sockeye_std::WebSocket {
    sockeye_std::accept_with(stream, Arc::default(), |upgrade| Ok(policy().decide(upgrade)?)).unwrap()
}

fn std_client(address: std::net::SocketAddr) -> sockeye_std::WebSocket {
    let (url, options) = options(address);
    sockeye_std::connect_with(&url, options).unwrap().0
}

/// Starts a thread that serves one blocking connection.
fn std_listen<T: Send + 'static>(
    serve: impl FnOnce(sockeye_std::WebSocket) -> T + Send + 'static,
) -> (std::net::SocketAddr, std::thread::JoinHandle<T>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, std::thread::spawn(move || serve(std_server(listener.accept().unwrap().0))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_tokio_both_ends_are_tasks_of_a_pool_of_threads() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::spawn(async move { server(tokio_server(listener.accept().await.unwrap().0).await).await });
    tokio::spawn(async move { client(tokio_client(address).await).await }).await.unwrap().unwrap();
    check_log(&serving.await.unwrap().unwrap());
}

#[test]
fn on_smol_both_ends_are_tasks() {
    smol::block_on(async {
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving =
            smol::spawn(async move { server(smol_server(listener.accept().await.unwrap().0).await).await });
        smol::spawn(async move { client(smol_client(address).await).await }).await.unwrap();
        check_log(&serving.await.unwrap());
    });
}

#[test]
fn on_std_both_ends_are_threads() {
    let (address, serving) = std_listen(|ws| sockeye_std::block_on(server(ws)));
    sockeye_std::block_on(client(std_client(address))).unwrap();
    check_log(&serving.join().unwrap().unwrap());
}

#[test]
fn the_ends_of_a_connection_may_use_different_adapters() {
    let (address, serving) = std_listen(|ws| sockeye_std::block_on(server(ws)));
    smol::block_on(async { client(smol_client(address).await).await }).unwrap();
    check_log(&serving.join().unwrap().unwrap());
}

#[test]
fn a_boxed_channel_hides_the_adapter() {
    type AnyChannel = Box<dyn Channel<Error = Error> + Send>;
    let (address, serving) = std_listen(|ws| sockeye_std::block_on(server(Box::new(ws) as AnyChannel)));
    let channel: AnyChannel = smol::block_on(async { Box::new(smol_client(address).await) });
    smol::block_on(client(channel)).unwrap();
    check_log(&serving.join().unwrap().unwrap());
}

/// A transport that must stay on its thread, like the transports of thread-per-core runtimes.
#[derive(Debug)]
struct NotSend<I>(I, PhantomData<Rc<()>>);

impl<I: Io> Io for NotSend<I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

fn not_send<S>(stream: S) -> NotSend<sockeye_smol::FuturesIo<S>> {
    NotSend(sockeye_smol::FuturesIo::new(stream), PhantomData)
}

#[test]
fn a_transport_that_is_not_send_runs_on_an_executor_of_one_thread() {
    let executor = smol::LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = executor.spawn(async move {
            let io = not_send(listener.accept().await.unwrap().0);
            let decide = async |upgrade: &Upgrade| Ok(policy().decide(upgrade)?);
            let clock = sockeye_smol::SmolClock::default();
            server(sockeye_driver::accept_with(io, clock, Arc::default(), decide).await.unwrap()).await
        });
        let calling = executor.spawn(async move {
            let io = not_send(smol::net::TcpStream::connect(address).await.unwrap());
            let url = Url::parse(&format!("ws://{address}/")).unwrap();
            let request = ClientRequest::new(&url).subprotocol("jsonrpc").unwrap();
            let clock = sockeye_smol::SmolClock::default();
            let opened = sockeye_driver::client(io, clock, request, Arc::default()).await;
            client(opened.unwrap().0).await
        });
        calling.await.unwrap();
        check_log(&serving.await.unwrap());
    }));
}

/// A handler that pushes the answers of one dispatcher for all clients. The dispatcher has no state
/// that belongs to a single client.
#[derive(Default)]
struct RpcHandler(Mutex<Dispatcher<Calculator>>);

impl sockeye_tokio::server::Handler for RpcHandler {
    async fn message(
        &self,
        client: &sockeye_tokio::server::Client,
        message: sockeye_tokio::server::Inbound<'_>,
    ) -> sockeye_tokio::server::HandlerResult {
        let incoming = self.0.lock().unwrap().handle(message.as_bytes());
        if let Incoming::Request { answer } = incoming {
            client.push(answer)?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_s_handler_uses_the_same_logic_without_a_channel() {
    let server = sockeye_tokio::server::Server::bind("127.0.0.1:0", RpcHandler::default()).unwrap();
    let address = server.addresses()[0].as_inet().unwrap();
    let serving = tokio::spawn(server.run());
    let ws = sockeye_tokio::connect(&format!("ws://{address}/")).await.unwrap();
    let mut peer = Peer::new(ws, Calculator::new("client"));
    assert_eq!(peer.call("subtract", json!([42, 23])).await.unwrap(), json!(19));
    let Err(CallError::Method(error)) = peer.call("divide", json!([1, 0])).await else { panic!() };
    assert_eq!(error.code, -32601);
    assert!(peer.close().await.unwrap().clean);
    serving.abort();
}

/// The loop of a library that sends: it writes what a queue contains until all senders are gone.
async fn write_loop<S: SendMessage>(
    mut half: S,
    queue: async_channel::Receiver<String>,
) -> Result<(), S::Error> {
    while let Ok(text) = queue.recv().await {
        half.feed(text).await?;
        if queue.is_empty() {
            half.flush().await?;
        }
    }
    half.begin_close(CloseCode::NORMAL, "done").await
}

/// The loop of a library that receives: it collects the messages until the end.
async fn read_loop<R: RecvMessage>(mut half: R) -> Result<Vec<String>, R::Error> {
    let mut received = Vec::new();
    while let Some(message) = half.recv().await? {
        received.extend(message.as_text().map(str::to_owned));
    }
    assert!(half.close_info().is_some_and(|info| info.clean && info.reason == "done"));
    Ok(received)
}

async fn echo<C: Channel>(mut channel: C) -> Result<(), C::Error> {
    while let Some(message) = channel.recv().await? {
        channel.feed(message).await?;
    }
    Ok(())
}

/// Returns messages that together exceed the high-water mark.
fn texts() -> Vec<String> {
    (0..200).map(|n| format!("{n} {}", "x".repeat(2000))).collect()
}

fn queue_of(texts: Vec<String>) -> async_channel::Receiver<String> {
    let (sender, queue) = async_channel::unbounded();
    for text in texts {
        sender.try_send(text).unwrap();
    }
    queue
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_tokio_halves_are_two_tasks() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::spawn(async move { echo(tokio_server(listener.accept().await.unwrap().0).await).await });
    let (send, recv) = tokio_client(address).await.split();
    let writing = tokio::spawn(write_loop(send, queue_of(texts())));
    assert_eq!(tokio::spawn(read_loop(recv)).await.unwrap().unwrap(), texts());
    writing.await.unwrap().unwrap();
    serving.await.unwrap().unwrap();
}

#[test]
fn on_smol_halves_are_two_tasks() {
    smol::block_on(async {
        let (address, serving) = std_listen(|ws| sockeye_std::block_on(echo(ws)));
        let (send, recv) = smol_client(address).await.split();
        let writing = smol::spawn(write_loop(send, queue_of(texts())));
        assert_eq!(smol::spawn(read_loop(recv)).await.unwrap(), texts());
        writing.await.unwrap();
        smol::unblock(|| serving.join().unwrap()).await.unwrap();
    });
}

#[test]
fn on_std_halves_are_two_threads() {
    let (address, serving) = std_listen(|ws| sockeye_std::block_on(echo(ws)));
    let (send, recv) = std_client(address).split();
    let (sender, queue) = async_channel::unbounded();
    let writing = std::thread::spawn(move || sockeye_std::block_on(write_loop(send, queue)));
    let reading = std::thread::spawn(move || sockeye_std::block_on(read_loop(recv)));
    for text in texts() {
        sender.send_blocking(text).unwrap();
    }
    // Let the writer wait for its queue: the thread sleeps until it is woken.
    std::thread::sleep(Duration::from_millis(20));
    sender.send_blocking("last".into()).unwrap();
    drop(sender);
    writing.join().unwrap().unwrap();
    let received = reading.join().unwrap().unwrap();
    assert_eq!(received.len(), texts().len() + 1);
    assert_eq!(received.last().map(String::as_str), Some("last"));
    serving.join().unwrap().unwrap();
}

/// Queues more than the high-water mark and receives nothing meanwhile.
async fn feed_all<C: Channel>(mut channel: C) -> Result<(), C::Error> {
    for text in texts() {
        channel.feed(text).await?;
    }
    channel.flush().await?;
    assert!(channel.close(CloseCode::NORMAL, "done").await?.clean);
    Ok(())
}

#[test]
fn a_feed_above_the_high_water_mark_waits_on_every_adapter() {
    let (address, serving) = std_listen(|ws| sockeye_std::block_on(read_loop(ws)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { feed_all(tokio_client(address).await).await }).unwrap();
    assert_eq!(serving.join().unwrap().unwrap(), texts());

    let (address, serving) = std_listen(|ws| sockeye_std::block_on(read_loop(ws)));
    smol::block_on(async { feed_all(smol_client(address).await).await }).unwrap();
    assert_eq!(serving.join().unwrap().unwrap(), texts());

    let (address, serving) = std_listen(|ws| sockeye_std::block_on(read_loop(ws)));
    sockeye_std::block_on(feed_all(std_client(address))).unwrap();
    assert_eq!(serving.join().unwrap().unwrap(), texts());
}

#[test]
fn a_generic_future_is_send_exactly_if_its_channel_is() {
    fn assert_send<T: Send>(_: &T) {}
    fn check<I: Io + Send + 'static, C: Clock + Send + 'static>(ws: sockeye_driver::WebSocket<I, C>) {
        assert_send(&client(ws));
    }
    fn check_generic<C: Channel + Send>(channel: C) {
        assert_send(&client(channel));
    }
    let (address, serving) = std_listen(|mut ws| ws.recv().map(|_| ()));
    smol::block_on(async { check(smol_client(address).await) });
    let _ = serving.join().unwrap();
    let (address, serving) = std_listen(|mut ws| ws.recv().map(|_| ()));
    check_generic(std_client(address));
    let _ = serving.join().unwrap();
}

#[test]
fn a_message_that_cannot_be_sent_leaves_the_channel_open() {
    let (address, serving) = std_listen(|ws| sockeye_std::block_on(echo(ws)));
    let (url, options) = options(address);
    let options = options.config(Config::new().max_send_size(10));
    let mut ws = sockeye_std::connect_with(&url, options).unwrap().0;
    /// Generic, so that the calls resolve to the traits' methods.
    async fn run<C: Channel<Error = Error>>(ws: &mut C) {
        assert!(ws.send("longer than ten").await.unwrap_err().is_recoverable());
        assert!(ws.close(CloseCode::NO_STATUS, "").await.unwrap_err().is_recoverable());
        assert!(ws.close_info().is_none());
        ws.send("short").await.unwrap();
        assert_eq!(ws.recv().await.unwrap().unwrap().as_ref(), MessageRef::Text("short"));
        assert!(ws.close(CloseCode::NORMAL, "done").await.unwrap().clean);
        assert!(ws.recv().await.unwrap().is_none());
        assert!(ws.send("late").await.is_err());
    }
    sockeye_std::block_on(run(&mut ws));
    serving.join().unwrap().unwrap();
}
