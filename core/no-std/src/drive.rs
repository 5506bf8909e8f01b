//! The loop of a device. `examples/embedding/src/bin/device.rs` runs it on a socket.

use sockeye_core::Instant;
use sockeye_core::handshake::server::Policy;
use sockeye_core::session::{InputBuffer, Session, SessionEvent};

/// The network has no bytes, or no room for any, at the moment.
pub(crate) struct WouldBlock;

/// The network and the clock of a device.
pub(crate) trait Wire {
    /// Reads some bytes. Returns 0 at the end of the transport.
    fn read(&mut self, space: &mut [u8]) -> Result<usize, WouldBlock>;
    fn write(&mut self, bytes: &[u8]) -> Result<usize, WouldBlock>;
    /// Closes this side of the transport. Called repeatedly.
    fn shutdown(&mut self);
    fn now(&self) -> Instant;
    /// Waits for the network, or for a short time.
    fn sleep(&mut self);
}

/// Echoes until the connection has ended.
pub(crate) fn drive(wire: &mut impl Wire, mut session: Session) {
    let (policy, mut input) = (Policy::new(), InputBuffer::with_read_size(512));
    loop {
        while let Some(event) = session.poll_event_from(&mut input) {
            match event {
                SessionEvent::Upgrade(upgrade) => session.decide(upgrade, &policy),
                SessionEvent::Message(message) => {
                    let message = message.into_message();
                    let _ = session.send(message); // fails only while the connection is closing
                }
                SessionEvent::Ended(_) => return,
                _ => {}
            }
        }
        session.handle_timeout(wire.now());
        let has_written = session.write_with(|bytes| wire.write(bytes));
        if session.wants_shutdown() {
            wire.shutdown();
        }
        let has_read = session.read_with(&mut input, |space| wire.read(space));
        if !matches!(has_written, Ok(true)) && !matches!(has_read, Ok(true)) {
            wire.sleep();
        }
    }
}
