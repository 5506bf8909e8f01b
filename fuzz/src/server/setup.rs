//! The settings of a server and the faults of a transport, from a few bytes.

use std::thread::ThreadId;
use std::time::Duration;

use sockeye_core::proxy::TrustedProxies;
use sockeye_core::{CloseCode, Config};
use sockeye_driver::server::{Limits, Port, SlowReader};
use sockeye_testkit::sim::{Executor, Faults, Pending, SimRuntime};

use super::app::App;
use crate::compressed::settings;
use crate::input::Input;

/// The settings of one server.
pub(super) struct Setup {
    pub(super) port: Port<App>,
    pub(super) limits: Limits,
    own_threads: bool,
    backwards: bool,
}

impl Setup {
    /// Reads five bytes. All zeros stand for the defaults.
    pub(super) fn read(input: &mut Input<'_>, app: App) -> Self {
        let (config, forward) = (input.byte(), input.byte());
        let port = Port::new(app).config(read_config(config, input.byte()));
        let (port, limits) = (input.byte(), input.byte()).apply(port, forward);
        Setup { port, limits, own_threads: forward & 64 != 0, backwards: forward & 128 != 0 }
    }

    /// Removes the settings whose effect depends on how input is cut.
    pub(super) fn without_limits(mut self) -> Self {
        self.limits = Limits::new();
        self.port = self.port.cancel_handlers(false);
        self
    }

    pub(super) fn executor(&self) -> Executor {
        Executor::new().backwards(self.backwards)
    }

    pub(super) fn runtime(&self, executor: &Executor) -> SimRuntime {
        let runtime = SimRuntime::new(executor);
        if self.own_threads { runtime.thread(other_thread()) } else { runtime }
    }
}

fn read_config(choices: u8, deflate: u8) -> Config {
    let mut config = Config::new();
    if choices & 1 != 0 {
        config = config.high_water_mark(300);
    }
    if choices & 2 != 0 {
        config = config.max_size(2000);
    }
    if choices & 4 != 0 {
        config = config.deflate(settings(&mut Input::new(&[deflate, 0x86, 5, 0])));
    }
    if choices & 8 != 0 {
        config = config.keepalive(Duration::from_secs(3), Duration::from_secs(3));
    }
    if choices & 16 != 0 {
        config = config.idle_timeout(Duration::from_secs(8));
    }
    if choices & 32 != 0 {
        config = config.message_timeout(Duration::from_secs(2)).min_message_rate(10);
    }
    if choices & 64 != 0 {
        config = config.fragment_size(50usize);
    }
    if choices & 128 != 0 {
        config = config.high_water_mark(2000).max_head_size(400usize);
    }
    config
}

/// Two bytes of choices for a port and the limits of its server.
trait Apply {
    fn apply(self, port: Port<App>, forward: u8) -> (Port<App>, Limits);
}

impl Apply for (u8, u8) {
    fn apply(self, mut port: Port<App>, forward: u8) -> (Port<App>, Limits) {
        let (choices, limited) = self;
        port = port.forward_close(forward & 1 != 0).forward_ping(forward & 2 != 0);
        port = port.forward_pong(forward & 4 != 0);
        if forward & 8 != 0 {
            port = port.without_keepalive();
        }
        if forward & 48 != 0 {
            // Every peer of the simulated listener connects to a Unix socket.
            port = port.trusted_proxies(TrustedProxies::none().unix()).proxy_protocol(forward & 16 != 0);
        }
        port = port.cancel_handlers(choices & 1 != 0).slow_reader(match choices >> 1 & 3 {
            0 | 1 => SlowReader::Error,
            2 => SlowReader::Drop,
            _ => SlowReader::Close(CloseCode::TRY_AGAIN_LATER),
        });
        if choices & 8 != 0 {
            port = port.inbox(200, 3);
        }
        if choices & 16 != 0 {
            port = port.low_water_mark(100);
        }
        if choices & 32 != 0 {
            port = port.max_body_size(100);
        }
        if choices & 64 != 0 {
            port = port.keep_alive_timeout(Duration::from_secs(1)).body_timeout(Duration::from_secs(1));
        }
        let mut limits = Limits::new();
        if limited & 1 != 0 {
            limits = limits.max_connections(3);
        }
        if limited & 2 != 0 {
            limits = limits.max_handshakes(2);
        }
        if limited & 4 != 0 {
            limits = limits.max_per_address(1);
        }
        limits = match limited >> 3 & 3 {
            0 => limits,
            1 => limits.max_queued(1000),
            2 => limits.max_queued(5000),
            _ => limits.max_queued(1),
        };
        limits = match limited >> 5 & 3 {
            0 => limits,
            1 => limits.max_received(16 << 10),
            2 => limits.max_received(40 << 10),
            _ => limits.max_received(1),
        };
        (port, limits)
    }
}

/// Reads the capacity and the faults of a transport, one byte. Zero stands for neither.
pub(super) fn read_transport(input: &mut Input<'_>) -> (usize, Faults) {
    let choices = input.byte();
    let capacity = [1 << 20, 40, 1000, 1][usize::from(choices & 3)];
    let pending = [Pending::Never, Pending::First, Pending::UntilIdle, Pending::Never];
    let faults = Faults {
        pending: pending[usize::from(choices >> 2 & 3)],
        chunk: [usize::MAX, 3, 50, 1][usize::from(choices >> 4 & 3)],
        interrupted: choices & 64 != 0,
        vectored: choices & 128 == 0,
        buffer: if choices & 128 != 0 { 10 } else { 0 },
        // A transport that fails at an operation of some number would fail because of a spurious
        // wake.
        fail: None,
    };
    (capacity, faults)
}

/// Returns a thread that pushes nothing.
fn other_thread() -> ThreadId {
    static OTHER: std::sync::OnceLock<ThreadId> = std::sync::OnceLock::new();
    *OTHER.get_or_init(|| std::thread::spawn(|| std::thread::current().id()).join().expect("a thread"))
}
