//! The loop of a device, `core/no-std/src/drive.rs`, on sockets: a thread for each connection stands
//! for the device.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sockeye_core::session::Session;
use sockeye_core::{Config, Instant};

use self::drive::{Wire, WouldBlock, drive};

#[path = "../../../../core/no-std/src/drive.rs"]
mod drive;

struct Socket {
    stream: TcpStream,
    start: std::time::Instant,
}

/// Returns how many bytes were moved. An error ends the transport, as 0 does.
fn moved(result: io::Result<usize>) -> Result<usize, WouldBlock> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(WouldBlock),
        other => Ok(other.unwrap_or(0)),
    }
}

impl Wire for Socket {
    fn read(&mut self, space: &mut [u8]) -> Result<usize, WouldBlock> {
        moved(self.stream.read(space))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, WouldBlock> {
        moved(self.stream.write(bytes))
    }

    fn shutdown(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn now(&self) -> Instant {
        Instant::from_epoch(self.start.elapsed())
    }

    fn sleep(&mut self) {
        thread::sleep(Duration::from_millis(1));
    }
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9501".to_owned());
    let listener = TcpListener::bind(address)?;
    let config = Arc::new(Config::new());
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Most likely out of file descriptors: give some connections time to end.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        stream.set_nonblocking(true)?;
        let session = Session::server(config.clone());
        thread::spawn(move || drive(&mut Socket { stream, start: std::time::Instant::now() }, session));
    }
}
