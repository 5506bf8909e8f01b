//! What a server does, row by row of its specification, over real sockets: written once, and run by each runtime's crate, which
//! includes this with `#[path]` and says with [`Harness`] how its servers run.
//!
//! The clients here are plain blocking sockets that write and read bytes: whatever the runtime, they see the same.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sockeye_driver::server::{Handler, Port, Runtime, Server, ServerBuilder, ServerHandle};

mod client;
pub(crate) mod pushing;

use client::Raw;

/// How servers run on one runtime.
pub(crate) trait Harness {
    type Runtime: Runtime;

    /// Builds a server where the runtime runs, gives it to `built`, and runs it to its end. Blocks.
    fn serve(
        build: impl FnOnce(ServerBuilder<Self::Runtime>) -> Server<Self::Runtime> + Send + 'static,
        built: impl FnOnce(&Server<Self::Runtime>) + Send + 'static,
    );
}

/// A server that runs beside the test, and ends with it.
pub(crate) struct Running {
    pub(crate) handle: ServerHandle,
    pub(crate) addresses: Vec<sockeye_driver::server::Address>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start<T: Harness>(
        build: impl FnOnce(ServerBuilder<T::Runtime>) -> ServerBuilder<T::Runtime> + Send + 'static,
    ) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            T::serve(
                |builder| build(builder).build(),
                move |server| tell.send((server.handle(), server.addresses().to_vec())).unwrap(),
            );
        });
        let (handle, addresses) = told.recv_timeout(PATIENCE).expect("a server that starts");
        Running { handle, addresses, thread: Some(thread) }
    }

    /// One port.
    pub(crate) fn port<T: Harness, H: Handler>(port: Port<H>) -> Self {
        Self::start::<T>(move |builder| builder.listen("127.0.0.1:0", port).unwrap())
    }

    /// One port with nothing set.
    pub(crate) fn handler<T: Harness>(handler: impl Handler) -> Self {
        Self::port::<T, _>(Port::new(handler))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].as_inet().unwrap()
    }

    /// A client that is connected and has said nothing.
    pub(crate) fn connect(&self) -> Raw {
        Raw::connect(self.address())
    }

    /// A client with an open WebSocket.
    pub(crate) fn open(&self) -> Raw {
        let mut raw = self.connect();
        raw.upgrade("/");
        raw
    }

    /// Waits until the server has ended, which somebody has asked for.
    pub(crate) fn join(mut self) {
        let thread = self.thread.take().unwrap();
        eventually("the end of the server", || thread.is_finished());
        thread.join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown(Duration::ZERO);
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            eventually("the end of the server", || thread.is_finished());
            thread.join().unwrap();
        }
    }
}

/// Nothing here takes that long; who has to wait so long has found a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that nobody tells.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the events have said, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until these are all.
    pub(crate) fn expect(&self, lines: &[&str]) {
        let begun = Instant::now();
        while self.lines() != lines {
            assert!(begun.elapsed() < PATIENCE, "{:?} and not {lines:?}", self.lines());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn wait_for(&self, line: &str) {
        eventually(line, || self.lines().iter().any(|known| known == line));
    }
}

/// Makes a test of each scenario, for a [`Harness`]. One that is missing here is dead code.

macro_rules! server_tests {
    ($harness:ty) => {
        server_tests! { @ $harness;
            pushing: m1_an_echo_and_a_push_from_another_thread_arrive_in_order;
        }
    };
    (@ $harness:ty; $($module:ident: $($name:ident),*;)*) => {$(
        mod $module {
            $(
                #[test]
                fn $name() {
                    $crate::suite::$module::$name::<$harness>();
                }
            )*
        }
    )*};
}
