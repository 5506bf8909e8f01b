//! The parts of a connection, for a server that adopts it.

use std::sync::Arc;

use sockeye_core::Config;

use crate::engine::link::Link;
use crate::engine::reader::Reader;
use crate::websocket::WebSocket;

impl<I, C> WebSocket<I, C> {
    /// Takes the connection apart: its reading side, its writing side, and the subprotocol.
    pub(crate) fn into_parts(self) -> (Reader, Link<I, C>, Option<Box<str>>) {
        (self.reader, self.link, self.subprotocol)
    }

    /// Returns the options with which the connection was opened.
    pub(crate) fn config(&self) -> &Arc<Config> {
        self.link.sender.config()
    }
}
