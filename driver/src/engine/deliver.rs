//! The two ways to receive: messages only, or messages and control frames.

use sockeye_core::{Assembled, Control, Incoming};

use crate::engine::decoder::{Decoder, SenderAccess};

/// The receiver of one item. `L` is the link, which it may use to answer.
pub(crate) trait Deliver<L>: Sized {
    type Output;

    fn message(self, message: Assembled<'_, '_>, link: &mut L) -> Self::Output;

    /// Takes a control frame, or returns itself to wait for something else.
    fn control(self, control: Control<'_>, link: &mut L) -> Result<Self::Output, Self>;
}

/// Receives messages, and skips control frames.
pub(crate) struct Messages<F>(pub(crate) F);

impl<L: SenderAccess, R, F: FnOnce(Assembled<'_, '_>, &mut L) -> R> Deliver<L> for Messages<F> {
    type Output = R;

    #[inline(always)]
    fn message(self, message: Assembled<'_, '_>, link: &mut L) -> R {
        self.0(message, link)
    }

    fn control(self, control: Control<'_>, link: &mut L) -> Result<R, Self> {
        Decoder::skip(&control, link);
        Err(self)
    }
}

/// Receives messages and control frames.
pub(crate) struct Events<F>(pub(crate) F);

impl<L, R, F: FnOnce(Incoming<'_, '_>, &mut L) -> R> Deliver<L> for Events<F> {
    type Output = R;

    fn message(self, message: Assembled<'_, '_>, link: &mut L) -> R {
        self.0(Incoming::Message(message), link)
    }

    fn control(self, control: Control<'_>, link: &mut L) -> Result<R, Self> {
        Ok(self.0(Incoming::Control(control), link))
    }
}
