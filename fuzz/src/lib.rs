//! The checks of the fuzz targets, as plain functions that panic when a check fails. The tests run
//! them on any compiler. See the README.

mod compressed;
mod deflate;
mod deflate_differential;
mod extensions;
mod frames;
mod handshake;
mod input;
mod ops;
mod original;
mod pair;
mod proxies;
mod reference;
mod server;
mod session;
mod wire;

pub use deflate::deflate;
pub use deflate_differential::deflate_differential;
pub use extensions::extensions;
pub use frames::frames;
pub use handshake::handshake;
pub use ops::ops;
pub use proxies::proxies;
pub use server::server;
pub use session::session;
