//! What a runtime implements: a byte stream and a clock.

pub(crate) mod clock;
pub(crate) mod io;
