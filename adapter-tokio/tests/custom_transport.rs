//! A server over a transport of the application's, built from this crate alone.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_tokio::driver::server::Server;
use sockeye_tokio::server::{Accepted, Address, Callbacks, Listener, Port, Runtime, Socket};
use sockeye_tokio::{ClientRequest, Clock, CloseCode, Io, Message, TokioClock, TokioIo, Url};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// Connections in memory, some of them boxed.
type Transport = Socket<TokioIo<DuplexStream>, Box<dyn Io + Send>>;

/// The server's ends of the connections that the test opens.
struct Backlog(mpsc::UnboundedReceiver<Transport>);

impl Listener for Backlog {
    type Io = Transport;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Transport>>> {
        let Some(io) = ready!(self.0.poll_recv(cx)) else { return Poll::Pending };
        Poll::Ready(Ok(Accepted { io, peer: Address::Unix(None), local: Address::Unix(None) }))
    }
}

/// The tasks and timers of tokio, with connections in memory.
#[derive(Clone)]
struct InMemory;

impl Runtime for InMemory {
    type Io = Transport;
    type Clock = Box<dyn Clock + Send>;
    type Listener = Backlog;

    fn clock(&self) -> Self::Clock {
        Box::new(TokioClock::default())
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        tokio::spawn(future);
        Ok(())
    }
}

#[tokio::test]
async fn a_server_runs_over_the_transport_of_an_application() {
    let (connections, backlog) = mpsc::unbounded_channel();
    let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
    let server = Server::builder_on(InMemory)
        .listen_with(Backlog(backlog), Address::Unix(None), Port::new(echo))
        .build();
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    let url = Url::parse("ws://memory/").unwrap();
    for boxed in [false, true] {
        let (near, far) = duplex(1000);
        let far = TokioIo::new(far);
        let far = if boxed { Socket::Unix(Box::new(far) as Box<dyn Io + Send>) } else { Socket::Tcp(far) };
        connections.send(far).map_err(drop).unwrap();
        let (mut ws, _) =
            sockeye_tokio::client(near, ClientRequest::new(&url), Arc::default()).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("hello")));
        assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    }
    handle.shutdown(Duration::ZERO);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_without_sockets_refuses_to_listen_on_one() {
    let echo = Callbacks::on_message(|client, message| async move { client.push(message) });
    let listening = Server::builder_on(InMemory).listen("127.0.0.1:0", Port::new(echo));
    assert_eq!(listening.map(drop).unwrap_err().kind(), io::ErrorKind::Unsupported);
}
