//! Sending on whichever connection is open.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use sockeye_core::{Payload, SendError};

use crate::error::Error;
use crate::reconnect::client::State;
use crate::reconnect::{Dial, Reconnecting, Unsent, UnsentReason};
use crate::runtime::io::{Clock, Io};

impl<I: Io, C: Clock, D: Dial<I, C>> Reconnecting<I, C, D> {
    /// Sends a message: writes it to the transport of the open connection, after those that wait.
    ///
    /// While there is no connection, the policy decides
    /// ([`while_down`](crate::reconnect::ReconnectPolicy::while_down)): the message is refused, or
    /// waits for the next connection. This function does not connect; [`recv`](Reconnecting::recv)
    /// does.
    ///
    /// It waits until the peer has read enough, and does not receive meanwhile, like
    /// [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    ///
    /// Returns the message with the reason if it was not sent, or if that is in doubt. The client
    /// continues.
    ///
    /// # Cancel safety
    ///
    /// The message is taken whole or not at all. If it was taken, the next call of this client
    /// continues to write it.
    pub async fn send<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<(), Unsent> {
        let mut payload = Some(payload.into().into_owned());
        poll_fn(|cx| self.poll_send(cx, &mut payload)).await
    }

    /// Sends the message once everything before it is written. `payload` becomes `None` when it is
    /// taken.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        payload: &mut Option<Payload<'static>>,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            if let State::Up { is_write_broken: false, .. } = self.state {
                if ready!(self.poll_write(cx)).is_err() {
                    continue;
                }
                let Some(next) = payload.take() else { return Poll::Ready(Ok(())) };
                match self.hand_over(&next) {
                    Ok(()) => self.outgoing.begin(next),
                    Err(SendError::Closed) => {
                        // The peer's Close has arrived. The next receive reports the end.
                        self.break_write();
                        *payload = Some(next);
                    }
                    Err(error) => return Poll::Ready(Err(Unsent::new(next, UnsentReason::Invalid(error)))),
                }
                continue;
            }
            let Some(next) = payload.take() else {
                // The message was taken, and the connection broke while it was being written.
                let in_doubt = self.outgoing.take_in_doubt();
                return Poll::Ready(
                    in_doubt.map_or(Ok(()), |message| Err(Unsent::new(message, UnsentReason::InDoubt))),
                );
            };
            return Poll::Ready(match self.state {
                State::Over => Err(Unsent::new(next, UnsentReason::Over)),
                _ => self.outgoing.push(next),
            });
        }
    }

    /// Writes the message that is being written, and then those that wait. Returns an error if the
    /// connection is broken or closing.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let State::Up { ws, is_write_broken: false } = &mut self.state else {
                return Poll::Ready(Err(SendError::Closed.into()));
            };
            if self.outgoing.is_writing() {
                match ready!(ws.poll_flush(cx)) {
                    Ok(()) => self.outgoing.written(),
                    Err(error) => {
                        self.break_write();
                        return Poll::Ready(Err(error));
                    }
                }
            }
            // Each message begins with an empty queue, so that at most one is in doubt.
            if let Err(error) = ready!(ws.poll_flush(cx)) {
                self.break_write();
                return Poll::Ready(Err(error));
            }
            let Some(next) = self.outgoing.next().cloned() else { return Poll::Ready(Ok(())) };
            match self.hand_over(&next) {
                Ok(()) => self.outgoing.begin_next(),
                Err(SendError::Closed) => {
                    self.break_write();
                    return Poll::Ready(Err(SendError::Closed.into()));
                }
                Err(error) => self.outgoing.refuse_next(error),
            }
        }
    }

    /// Queues a message on the open connection, whose queue is empty.
    fn hand_over(&mut self, payload: &Payload<'static>) -> Result<(), SendError> {
        match &mut self.state {
            State::Up { ws, .. } => ws.queue_message(payload.clone()),
            _ => Err(SendError::Closed),
        }
    }

    fn break_write(&mut self) {
        if let State::Up { is_write_broken, .. } = &mut self.state {
            *is_write_broken = true;
        }
    }
}
