//! The state that the halves share, and the reading side after its half was dropped.

use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use crate::engine::link::Link;
use crate::engine::reader::Reader;
use crate::engine::wakers::Half;
use crate::error::Error;
use crate::runtime::io::{Clock, Io};
use crate::split::RecvHalf;
use crate::sync::Mutex;

/// The state that the halves share.
#[derive(Debug)]
pub(super) struct Shared<I, C> {
    pub(super) link: Mutex<Link<I, C>>,
    /// The reading side of a receiving half that was dropped. The sending half polls it.
    pub(super) abandoned: OnceLock<Mutex<Reader>>,
}

/// Leaves the connection to the sending half.
impl<I, C> Drop for RecvHalf<I, C> {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        if !reader.is_end_reported() {
            let _ = self.shared.abandoned.set(Mutex::new(reader));
        }
        self.wakers.clear(Half::Recv);
        // If it waits, it now reads and enforces the deadlines itself.
        self.wakers.wake_half(Half::Send);
    }
}

/// Receives and discards messages until the connection is over. Returns an abnormal end as an
/// error, once.
pub(super) fn poll_end<I: Io, C: Clock>(
    reader: &mut Reader,
    mut link: &Mutex<Link<I, C>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    while ready!(reader.poll_message(&mut link, cx, |_, _| ()))?.is_some() {}
    Poll::Ready(Ok(()))
}
