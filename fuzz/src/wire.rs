//! Checks the bytes that an end has written.

use sockeye_core::{CloseFrame, Frame, MessageKind, Opcode, Role};

/// A message that owns its data.
pub(crate) type OwnedMessage = (MessageKind, Vec<u8>);

/// Checks all bytes that an end has written, which may end in half a frame. Returns the complete
/// messages.
pub(crate) fn check(writer: Role, mut wire: &[u8]) -> Vec<OwnedMessage> {
    let mut messages = Vec::new();
    let mut message: Option<OwnedMessage> = None;
    let mut closed = false;
    while let Some((frame, used)) = Frame::unpack(wire).expect("an end writes valid frames") {
        assert!(!closed, "a frame follows a Close: {frame:?}");
        assert_eq!(wire[1] & 0x80 != 0, writer == Role::Client, "a client masks and a server does not");
        assert!(!frame.flags.rsv1);
        let begins = match frame.opcode {
            Opcode::Close => {
                CloseFrame::parse(frame.data.clone()).expect("a Close is valid");
                closed = true;
                None
            }
            Opcode::Ping | Opcode::Pong => None,
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation => {
                let (_, begun) = message.as_mut().expect("a continuation follows a first fragment");
                begun.extend_from_slice(&frame.data);
                None
            }
        };
        if let Some(kind) = begins {
            assert!(message.is_none(), "a message begins inside another");
            message = Some((kind, frame.data.into_owned()));
        }
        if !frame.opcode.is_control() && frame.flags.finish {
            let (kind, payload) = message.take().expect("a message has begun");
            assert!(
                kind == MessageKind::Binary || std::str::from_utf8(&payload).is_ok(),
                "text is not UTF-8"
            );
            messages.push((kind, payload));
        }
        wire = &wire[used..];
    }
    messages
}
