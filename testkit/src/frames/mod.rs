//! Frames as bytes (RFC 6455 section 5.2), built and read without the code under test.
//!
//! A frame is named by its first byte, so that tests can build frames that the protocol forbids:
//!
//! ```
//! use sockeye_testkit::frames::{TEXT, frame, read_frames};
//!
//! let from_server = frame(false, TEXT, "Hello");
//! assert_eq!(from_server, b"\x81\x05Hello");
//! assert_eq!(read_frames(&from_server)[0].payload, b"Hello");
//! ```

pub(crate) mod build;
pub(crate) mod read;

pub use build::{
    FrameWriter, client_frame, close_payload, frame, header, length, mask_keys, put_frame, server_frame, xor,
};
pub use read::{WireFrame, parse_frames, read_frame, read_frames, read_frames_until};

/// The masking key of the client frames built here.
pub const MASK_KEY: [u8; 4] = [0xa1, 0x02, 0x7f, 0xc4];

/// The first byte of an unfragmented text message: FIN and the opcode.
pub const TEXT: u8 = 0x81;
/// The first byte of an unfragmented binary message.
pub const BINARY: u8 = 0x82;
/// The first byte of a Close frame.
pub const CLOSE: u8 = 0x88;
/// The first byte of a ping.
pub const PING: u8 = 0x89;
/// The first byte of a pong.
pub const PONG: u8 = 0x8a;

/// The first byte of the first fragment of a text message: the opcode without FIN.
pub const TEXT_START: u8 = 0x01;
/// The first byte of the first fragment of a binary message.
pub const BINARY_START: u8 = 0x02;
/// The first byte of a fragment in the middle of a message.
pub const CONTINUATION: u8 = 0x00;
/// The first byte of the last fragment of a message.
pub const LAST_CONTINUATION: u8 = 0x80;

/// The bit that marks the first frame of a compressed message (RFC 7692 section 6).
pub const RSV1: u8 = 0x40;
