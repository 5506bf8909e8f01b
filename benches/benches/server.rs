//! The cost of the server for a message: an echo by a handler, beside an echo through a bare
//! `WebSocket`, in memory.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sockeye_benches::{Kind, Shape, Traffic, measure, settle_allocator};
use sockeye_core::{Config, Connection, Instant};
use sockeye_driver::server::{
    Accepted, Address, Client, Handler, HandlerResult, Inbound, Listener, Port, Runtime, Server,
};
use sockeye_driver::{Clock, Io, WebSocket};
use sockeye_testkit::handshake::UPGRADE_REQUEST;

fn server(criterion: &mut Criterion) {
    settle_allocator();
    for batch in [1, 16] {
        for size in [16, 125] {
            let traffic = Traffic::new(Shape::new(Kind::Binary, size));
            let mut group = criterion.benchmark_group(format!("server/{batch} at a time/{}", traffic.shape));
            group.throughput(Throughput::Elements(1));
            let bytes: Arc<[u8]> = traffic.first(batch).into();
            let batches = |count: u64| count.div_ceil(batch as u64);
            group.bench_function("WebSocket", |bencher| {
                bencher.iter_custom(|count| {
                    let io = Batches { head: b"", batch: bytes.clone(), left: batches(count) };
                    measure(|| echo_alone(io))
                });
            });
            group.bench_function("Server", |bencher| {
                bencher.iter_custom(|count| {
                    let io = Batches { head: UPGRADE_REQUEST, batch: bytes.clone(), left: batches(count) };
                    measure(|| echo_served(io))
                });
            });
            group.finish();
        }
    }
}

fn echo_alone(io: Batches) {
    let mut ws = WebSocket::new(Connection::server(Arc::new(Config::new())), &[], io, Still);
    let all =
        async move { while let Ok(Some(_)) = ws.recv_with(|message, sender| sender.send(message)).await {} };
    finish(Box::pin(all));
}

fn echo_served(io: Batches) {
    let tasks = Tasks::default();
    let server = Server::builder_on(tasks.clone())
        .listen_with(Once(Some(io)), Address::Unix(None), Port::new(Echo))
        .build();
    let handle = server.handle();
    let run = async move { drop(server.run().await) };
    let mut running: Vec<Task> = vec![Box::pin(run)];
    let mut cx = Context::from_waker(Waker::noop());
    while !handle.is_shutting_down() || !running.is_empty() {
        running.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
        let spawned = std::mem::take(&mut *tasks.0.lock().unwrap_or_else(PoisonError::into_inner));
        let nothing_new = spawned.is_empty();
        running.extend(spawned);
        // The only connection has ended.
        if nothing_new && handle.connections().is_empty() {
            handle.shutdown(std::time::Duration::ZERO);
        }
    }
}

fn finish(mut task: Task) {
    let mut cx = Context::from_waker(Waker::noop());
    while task.as_mut().poll(&mut cx).is_pending() {}
}

struct Echo;

impl Handler for Echo {
    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream that returns the same bytes for a number of reads, and then its end. It discards
/// writes.
struct Batches {
    head: &'static [u8],
    batch: Arc<[u8]>,
    left: u64,
}

impl Io for Batches {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let head = std::mem::take(&mut self.head);
        let bytes = if !head.is_empty() {
            head
        } else if self.left > 0 {
            self.left -= 1;
            &*self.batch
        } else {
            &[]
        };
        buffer[..bytes.len()].copy_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(std::hint::black_box(slices).iter().map(|slice| slice.len()).sum()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(1)
    }

    fn poll_until(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> {
        Poll::Pending
    }

    fn cancel(&mut self) {}
}

#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<Task>>>);

impl Runtime for Tasks {
    type Io = Batches;
    type Clock = Still;
    type Listener = Once;

    fn clock(&self) -> Still {
        Still
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(future));
        Ok(())
    }

    fn listen(&self, _: std::net::TcpListener) -> io::Result<Once> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(unix)]
    fn listen_unix(&self, _: std::os::unix::net::UnixListener) -> io::Result<Once> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A listener with a single connection.
struct Once(Option<Batches>);

impl Listener for Once {
    type Io = Batches;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Accepted<Batches>>> {
        let nowhere = Address::Unix(None);
        match self.0.take() {
            Some(io) => Poll::Ready(Ok(Accepted { io, peer: nowhere.clone(), local: nowhere })),
            None => Poll::Pending,
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = server
}
criterion_main!(benches);
