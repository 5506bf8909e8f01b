//! The traits that a runtime implements: a byte stream and a clock.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sockeye_core::Instant;

/// A byte stream that can be polled: a socket, a pipe, or TLS over either.
///
/// It is the common part of the runtimes' async I/O traits, with `&mut self` for `Unpin` types. An
/// adapter implements it once, for all the streams of its runtime. `Box<dyn Io>` and
/// `&mut I` are transports too.
///
/// # Contract
///
/// The feature `conformance` checks these rules.
///
/// **Waking.** An operation that returns `Pending` wakes its task once it can make progress. It
/// wakes the waker of the latest poll: a later poll may come from another task. Reading keeps one
/// waker; writing, flushing and closing share another one. A spurious wake is allowed, but not an
/// endless series of them.
///
/// **Flushing.** Once everything is written, the driver calls [`poll_flush`](Io::poll_flush) until
/// it is `Ready`, and always before its task sleeps. The driver does not flush while
/// [`poll_write`](Io::poll_write) returns `Pending`. So a stream that buffers must empty a full
/// buffer in `poll_write`. A stream whose reads produce bytes to send, like TLS, sends them in
/// [`poll_read`](Io::poll_read).
///
/// **Errors.** [`Interrupted`](io::ErrorKind::Interrupted) means "call again at once". After any
/// other error of `poll_write` or `poll_flush`, neither is called again, but reading continues: the
/// peer may have sent the reason. After any other error of `poll_read`, it is not called again.
/// `poll_close` may follow both.
///
/// **Threads.** The driver has `&mut` access, so calls never overlap. A [`WebSocket`] polls on the
/// thread of its task and needs no `Send`. The halves of [`split`](crate::WebSocket::split) poll on
/// the threads of their tasks, under a lock. A server's connection reads and closes on its own
/// task, but writes and flushes on the thread of any push that finds the queue full. If its handler
/// may [block its thread](crate::server::Runtime::own_thread), another task of the server reads
/// meanwhile.
///
/// [`WebSocket`]: crate::WebSocket
///
/// # Examples
///
/// One end of a pipe in memory, for two tasks on one thread:
///
/// ```
/// use std::cell::RefCell;
/// use std::collections::VecDeque;
/// use std::io::{self, IoSlice};
/// use std::rc::Rc;
/// use std::task::{Context, Poll, Waker};
///
/// use sockeye_driver::Io;
///
/// /// One direction: the bytes, whether the writer has closed, and the waker of the reader.
/// #[derive(Default)]
/// struct Channel {
///     bytes: VecDeque<u8>,
///     closed: bool,
///     reader: Option<Waker>,
/// }
///
/// struct Pipe {
///     input: Rc<RefCell<Channel>>,
///     output: Rc<RefCell<Channel>>,
/// }
///
/// impl Io for Pipe {
///     fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
///         let mut input = self.input.borrow_mut();
///         if input.bytes.is_empty() && !input.closed {
///             input.reader = Some(cx.waker().clone());
///             return Poll::Pending;
///         }
///         Poll::Ready(io::Read::read(&mut input.bytes, buffer))
///     }
///
///     fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
///         let mut output = self.output.borrow_mut();
///         if Rc::strong_count(&self.output) == 1 {
///             return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
///         }
///         let written = io::Write::write_vectored(&mut output.bytes, slices);
///         output.reader.take().into_iter().for_each(Waker::wake);
///         Poll::Ready(written)
///     }
///
///     fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
///         let mut output = self.output.borrow_mut();
///         output.closed = true;
///         output.reader.take().into_iter().for_each(Waker::wake);
///         Poll::Ready(Ok(()))
///     }
/// }
///
/// impl Drop for Pipe {
///     fn drop(&mut self) {
///         let _ = self.poll_close(&mut Context::from_waker(Waker::noop()));
///     }
/// }
/// #
/// # fn pipe() -> (Pipe, Pipe) {
/// #     let (a, b) = (Rc::<RefCell<Channel>>::default(), Rc::<RefCell<Channel>>::default());
/// #     (Pipe { input: a.clone(), output: b.clone() }, Pipe { input: b, output: a })
/// # }
/// # #[cfg(feature = "conformance")]
/// # {
/// #     use std::future::Future;
/// #     let check = sockeye_driver::conformance::check_io(async || pipe(), async |_| ());
/// #     let checked = std::pin::pin!(check).poll(&mut Context::from_waker(Waker::noop()));
/// #     assert!(matches!(checked, Poll::Ready(Ok(()))), "{checked:?}");
/// # }
/// ```
pub trait Io {
    /// Reads some bytes into `buffer` and returns how many. Returns zero when the peer has closed
    /// its side.
    ///
    /// `buffer` is never empty. Its contents have no meaning, and the call may overwrite all of it,
    /// regardless of its result. After zero the driver may read again, and must get zero again.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke. [`UnexpectedEof`](io::ErrorKind::UnexpectedEof),
    /// as of TLS without `close_notify`, is no error but the end of the input, like zero.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some bytes of `slices`, in their order, and returns how many.
    ///
    /// There is at least one slice, at most [`WRITE_SLICES`](crate::tuning::WRITE_SLICES), and none
    /// is empty. Writing a part of the first one is enough. Writing nothing is not: the driver
    /// treats zero as the error [`WriteZero`](io::ErrorKind::WriteZero). The next call may pass
    /// other slices, but they begin where this write stopped.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Writes like [`poll_write`](Io::poll_write), for a push that finds the queue full: before the
    /// push is refused, the transport takes what it can.
    ///
    /// A runtime may limit what a task does before it yields, as tokio does. That limit must not
    /// apply here, because a push would take it for a slow peer. The default calls `poll_write`,
    /// which fits every transport without such a limit. A transport around another one passes the
    /// call on.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_write_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write(cx, slices)
    }

    /// Passes on everything that was written, for streams that buffer.
    ///
    /// Once it returns `Ready`, the written bytes reach the peer without another call. It may be
    /// called when there is nothing to flush. A stream without a buffer returns `Ready`.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes this end's side for writing, after it has flushed what was written. Reading remains
    /// possible, and the driver reads until the peer closes too.
    ///
    /// The driver writes nothing after the first call. Once the call has returned `Ready`, with or
    /// without an error, the driver does not repeat it. If the transport broke or the connection
    /// was dropped, the driver may never call it: dropping the stream must close both sides.
    ///
    /// # Errors
    ///
    /// Returns an error if the transport broke. The driver ignores it: the next read reports that.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A monotonic clock with one timer.
///
/// # Contract
///
/// The feature `conformance` checks these rules.
///
/// **Epoch.** The driver compares the instants of a clock only with one another, so a clock may
/// choose its epoch: the start of the process, of a simulation, of the page. All clocks of one
/// [`Runtime`](crate::server::Runtime) share an epoch, because [`Info`](crate::server::Info) shows
/// the times of connections side by side. Clocks that use [`std::time::Instant`] convert it with
/// [`to_core_instant`](crate::to_core_instant).
///
/// **The timer.** [`poll_until`](Clock::poll_until) sets the timer. The timer is off once
/// `poll_until` has returned `Ready` or [`cancel`](Clock::cancel) was called. Dropping the clock
/// cancels it. Most connections have no deadline most of the time, so the timer should take memory
/// only while it is set.
///
/// **Yielding.** A task whose peer never pauses calls [`yield_now`](Clock::yield_now) and returns
/// `Pending`. The runtime must then look at its sockets and timers before it runs the task again.
/// The check `check_yield` of the feature `conformance` tests that.
///
/// **Threads.** A [`WebSocket`](crate::WebSocket) polls its clock on the thread of its task. A
/// server also polls it on the thread of any push that waits for room. That thread may lie outside
/// the runtime: a clock that needs the runtime's context to create a timer keeps a handle to it.
///
/// # Examples
///
/// A clock over a runtime that can sleep:
///
/// ```
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
/// use std::time::Instant as StdInstant;
///
/// use sockeye_core::Instant;
/// use sockeye_driver::{Clock, to_core_instant};
/// # mod my_runtime {
/// #     pub type Sleep = std::future::Pending<()>;
/// #     pub fn sleep(_: std::time::Duration) -> Sleep { std::future::pending() }
/// # }
///
/// #[derive(Default)]
/// struct MyClock {
///     timer: Option<(Instant, Pin<Box<my_runtime::Sleep>>)>,
/// }
///
/// impl Clock for MyClock {
///     fn now(&self) -> Instant {
///         to_core_instant(StdInstant::now())
///     }
///
///     fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
///         if self.timer.as_ref().is_none_or(|(at, _)| *at != deadline) {
///             let sleep = my_runtime::sleep(deadline.since(self.now()));
///             self.timer = Some((deadline, Box::pin(sleep)));
///         }
///         let Some((_, sleep)) = &mut self.timer else { return Poll::Pending };
///         let fired = sleep.as_mut().poll(cx);
///         if fired.is_ready() {
///             self.timer = None;
///         }
///         fired
///     }
///
///     fn cancel(&mut self) {
///         self.timer = None;
///     }
/// }
/// ```
pub trait Clock {
    /// Returns the current time, which never goes back.
    fn now(&self) -> Instant;

    /// Sets the timer to wake the task at `deadline`, in place of any other deadline.
    ///
    /// Returns `Ready` once [`now`](Clock::now) has reached `deadline`, not before. Until then it
    /// returns `Pending` and wakes the waker of the latest call at the deadline. A late wake is
    /// allowed; it delays the timeout.
    ///
    /// A deadline that has passed is `Ready` at once, or wakes the task at once. A deadline may
    /// also lie centuries ahead, up to the last [`Instant`].
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()>;

    /// Cancels the timer, if it is set, and frees its memory. The timer does not wake the task
    /// after that.
    fn cancel(&mut self);

    /// Wakes the task again, after the runtime has looked at its sockets and timers. The caller then
    /// returns `Pending`, so that other tasks run. The timer is not affected.
    ///
    /// Many executors put a task that wakes itself to the end of their queue, and look at sockets
    /// only when the queue is empty or after a number of tasks. Two connections whose peers never
    /// pause would then keep everything else waiting for many turns of theirs. Tokio's `yield_now`
    /// avoids this: it keeps the task until the runtime has polled its driver.
    ///
    /// The default wakes the task at once. That is enough for an executor that looks at its sockets
    /// after every task, and where each task has its own thread.
    fn yield_now(&mut self, cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }
}

/// Reads from `io`, see [`end_of_input`].
pub(crate) fn poll_read<I: Io>(
    io: &mut I,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    io.poll_read(cx, buffer).map(end_of_input)
}

/// Converts an [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) of a read to the end of the input.
///
/// TLS reports that error if the peer vanishes without the alert `close_notify`. A WebSocket needs
/// no such mark: without a Close frame, every end of the input is abnormal. So a peer that vanishes
/// causes the same error over TLS as over TCP.
///
/// # Errors
///
/// Returns any other error of `read`.
#[inline]
pub fn end_of_input(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

/// Flushes `io`. Retries whenever the call is interrupted.
pub(crate) fn poll_flush<I: Io>(io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        match io.poll_flush(cx) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}

/// Closes this end's side of `io`.
///
/// It ignores errors: closing fails if the peer has gone, and the next read reports that.
pub(crate) fn poll_close<I: Io>(io: &mut I, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        match ready!(io.poll_close(cx)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return Poll::Ready(()),
        }
    }
}
