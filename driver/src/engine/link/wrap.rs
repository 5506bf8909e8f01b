//! A transport around that of a link.

use crate::engine::link::Link;

impl<I, C> Link<I, C> {
    /// Replaces the transport by one around it.
    pub(crate) fn map_io<J>(self, wrap: impl FnOnce(I) -> J) -> Link<J, C> {
        let Link { sender, io, clock, write_side, is_eof, read_in_turn, starvation, wakers, send_half_waits } =
            self;
        let io = wrap(io);
        Link { sender, io, clock, write_side, is_eof, read_in_turn, starvation, wakers, send_half_waits }
    }
}
