//! Takes commands from the parent process and answers each with one line.

use std::fmt::Write;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use sockeye_tokio::server::{Address, ServerHandle};

use super::app::{App, ON_PURPOSE};
use super::pushing::{Stream, broadcast, publish, say};

/// The streams and shutdowns that commands have started.
pub(super) struct Control {
    streams: Receiver<Stream>,
    shutdowns: Receiver<Instant>,
}

/// Whether there was an unintended panic.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Keeps intended panics off the terminal and remembers all others.
pub(super) fn watch_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_intended = |payload: &dyn std::any::Any| {
            payload.downcast_ref::<&str>() == Some(&ON_PURPOSE)
                || payload.downcast_ref::<String>().is_some_and(|text| text == ON_PURPOSE)
        };
        if !is_intended(panic.payload()) {
            PANICKED.store(true, Ordering::Relaxed);
            print(panic);
        }
    }));
}

/// Fails if there was an unintended panic.
pub(super) fn check_panics() -> io::Result<()> {
    if PANICKED.load(Ordering::Relaxed) { Err(io::Error::other("the server panicked")) } else { Ok(()) }
}

impl Control {
    /// Prints the addresses and starts to execute commands. When the input ends, the server shuts
    /// down.
    pub(super) fn start(
        app: Arc<App>,
        handle: ServerHandle,
        addresses: &[Address],
        loops: &[SocketAddr],
    ) -> Self {
        let addresses = addresses.iter().map(ToString::to_string);
        let addresses: Vec<String> = addresses.chain(loops.iter().map(ToString::to_string)).collect();
        println!("{}", addresses.join(" "));
        let (streams_sender, streams) = channel();
        let (shutdowns_sender, shutdowns) = channel();
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let mut words = line.split(' ');
                let command = words.next().unwrap_or_default();
                let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
                match (command, &*numbers) {
                    ("stats", []) => println!("{}", stats(&app, &handle)),
                    ("publish", [count, size, pause]) => {
                        println!("{}", publish(&app, *count, *size as usize, Duration::from_micros(*pause)));
                    }
                    ("say", [number, size]) => println!("{}", say(&app, *number, *size as usize)),
                    ("broadcast", [count, size, room]) => {
                        println!("{}", broadcast(&handle, *count, *size as usize, *room as usize));
                    }
                    ("stream", [size]) => {
                        let _ = streams_sender.send(Stream::start(app.members(), *size as usize));
                        println!("ok=1");
                    }
                    ("shutdown", [grace]) => {
                        let _ = shutdowns_sender.send(Instant::now());
                        handle.shutdown(Duration::from_millis(*grace));
                    }
                    _ => println!("unknown=1"),
                }
            }
            handle.shutdown(Duration::from_secs(1));
        });
        Control { streams, shutdowns }
    }

    /// Prints how long the shutdown took, and how many messages each stream has pushed.
    pub(super) fn report_shutdown(self) {
        let Ok(started) = self.shutdowns.try_recv() else { return };
        println!("took={}", started.elapsed().as_millis());
        for stream in self.streams.try_iter() {
            let mut line = String::new();
            for (id, count) in stream.end() {
                let _ = write!(line, "{id}={count} ");
            }
            println!("{line}");
        }
    }
}

fn stats(app: &App, handle: &ServerHandle) -> String {
    let (queued, received) = (handle.queued(), handle.received());
    let mut line = format!("connections={} queued={queued} received={received}", handle.connections().len());
    for (name, count) in app.counts() {
        let _ = write!(line, " {name}={count}");
    }
    line
}
