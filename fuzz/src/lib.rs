//! What the fuzz targets check, as plain functions: they panic when something does not hold. The tests run them on any
//! compiler; see the README.

mod frames;
mod handshake;
mod input;
mod ops;
mod pair;
mod wire;

pub use frames::frames;
pub use handshake::handshake;
pub use ops::ops;
