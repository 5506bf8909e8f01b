//! Connecting to the first address of a host that answers.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use sockeye_core::Instant;
use sockeye_core::dial::HappyEyeballs;

use super::error::{Unreachable, unresolved};
use super::network::Network;
use super::plan::Destination;
use crate::runtime::clock::poll_deadline;
use crate::runtime::io::Clock;

/// Connects to the first address of the destination that answers, before `deadline`.
pub(super) async fn race<N: Network>(
    network: &N,
    clock: &mut N::Clock,
    destination: Destination,
    deadline: Instant,
) -> io::Result<N::Socket> {
    let addresses = match destination {
        Destination::Addresses(addresses) => addresses,
        Destination::Host { name, port } => {
            let resolved = within(clock, deadline, network.resolve(&name, port)).await;
            let resolved = resolved.ok_or_else(|| unresolved(&name, None))?;
            resolved.map_err(|error| unresolved(&name, Some(error)))?
        }
    };
    let mut race = Race { eyeballs: HappyEyeballs::new(addresses), attempts: Vec::new() };
    let won =
        poll_fn(|cx| race.poll(cx, clock, deadline, |address| Box::pin(network.connect(address)))).await;
    clock.cancel();
    won.ok_or_else(|| Unreachable::new(race.eyeballs.into_attempts()).into())
}

/// Runs a future until `deadline`. Returns `None` if it is late.
async fn within<C: Clock, F: Future>(clock: &mut C, deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let output = poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => poll_deadline(clock, cx, deadline).map(|_| None),
    })
    .await;
    clock.cancel();
    output
}

struct Race<F> {
    eyeballs: HappyEyeballs<io::Error>,
    /// The attempts that run, in the order in which they began.
    attempts: Vec<(SocketAddr, F)>,
}

impl<F, S> Race<F>
where
    F: Future<Output = io::Result<S>> + Unpin,
{
    /// Returns the first socket that is connected, or `None` if there will be none.
    fn poll<C: Clock>(
        &mut self,
        cx: &mut Context<'_>,
        clock: &mut C,
        deadline: Instant,
        connect: impl Fn(SocketAddr) -> F,
    ) -> Poll<Option<S>> {
        loop {
            while let Some(address) = self.eyeballs.poll_attempt(clock.now()) {
                self.attempts.push((address, connect(address)));
            }
            match self.poll_attempts(cx) {
                Poll::Ready(Ok(socket)) => return Poll::Ready(Some(socket)),
                // The next attempt may begin.
                Poll::Ready(Err(())) => continue,
                Poll::Pending => {}
            }
            if self.eyeballs.is_exhausted() {
                return Poll::Ready(None);
            }
            let wake_at = self.eyeballs.poll_timeout().map_or(deadline, |next| next.min(deadline));
            if ready!(poll_deadline(clock, cx, wake_at)) >= deadline {
                return Poll::Ready(None);
            }
        }
    }

    /// Returns a socket, or an error if an attempt has failed.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<Result<S, ()>> {
        for index in 0..self.attempts.len() {
            let (address, attempt) = &mut self.attempts[index];
            let address = *address;
            match std::pin::Pin::new(attempt).poll(cx) {
                Poll::Ready(Ok(socket)) => return Poll::Ready(Ok(socket)),
                Poll::Ready(Err(error)) => {
                    drop(self.attempts.remove(index));
                    self.eyeballs.handle_failure(address, error);
                    return Poll::Ready(Err(()));
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}
