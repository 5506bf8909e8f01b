//! The owner of a connection's id: its transport, or the WebSocket that it becomes.

use std::task::{Context, Poll, Waker};

use crate::lock::lock;
use crate::server::connection::task::RegistryGuard;
use crate::sync::Mutex;

/// The guard of a connection on which an HTTP service speaks. A request for a WebSocket over
/// HTTP/1.1 takes it, and returns it if the WebSocket does not open.
pub(super) struct Ownership(Mutex<State>);

enum State {
    /// The transport has it.
    Transport(RegistryGuard),
    /// A handshake has it. The transport's task may wait for the outcome.
    Handshake(Option<Waker>),
    /// A WebSocket has it, or the task has taken it at its end.
    Gone,
}

impl Ownership {
    pub(super) fn new(registered: RegistryGuard) -> Self {
        Ownership(Mutex::new(State::Transport(registered)))
    }

    /// Takes the guard for a handshake.
    pub(super) fn begin_handshake(&self) -> Option<RegistryGuard> {
        let mut state = lock(&self.0);
        if !matches!(*state, State::Transport(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, State::Handshake(None)) {
            State::Transport(registered) => Some(registered),
            _ => None,
        }
    }

    /// Ends a handshake, and returns the guard unless a WebSocket keeps it.
    pub(super) fn end_handshake(&self, registered: Option<RegistryGuard>) {
        let next = registered.map_or(State::Gone, State::Transport);
        let old = std::mem::replace(&mut *lock(&self.0), next);
        if let State::Handshake(Some(waker)) = old {
            waker.wake();
        }
    }

    /// Waits until no handshake is in progress, then takes the guard if no WebSocket has it.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<RegistryGuard>> {
        let mut state = lock(&self.0);
        if let State::Handshake(waker) = &mut *state {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Gone) {
            State::Transport(registered) => Poll::Ready(Some(registered)),
            _ => Poll::Ready(None),
        }
    }
}
