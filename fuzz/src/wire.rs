//! What one end has written, held against the rules of sending.

use sockeye_core::{CloseFrame, Frame, MessageKind, Opcode, Role};

/// A message that owns its data.
pub(crate) type Said = (MessageKind, Vec<u8>);

/// Reads all that an end has written, which may end in half a frame; gives the messages that are whole.
pub(crate) fn check(writer: Role, mut wire: &[u8]) -> Vec<Said> {
    let mut messages = Vec::new();
    let mut message: Option<Said> = None;
    let mut closed = false;
    while let Some((frame, used)) = Frame::unpack(wire).expect("an end writes valid frames") {
        assert!(!closed, "nothing follows a Close: {frame:?}");
        assert_eq!(wire[1] & 0x80 != 0, writer == Role::Client, "a client masks, a server does not");
        assert!(!frame.flags.compress);
        let begins = match frame.opcode {
            Opcode::Close => {
                CloseFrame::parse(frame.data.clone()).expect("a Close says what it may");
                closed = true;
                None
            }
            Opcode::Ping | Opcode::Pong => None,
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation => {
                let (_, begun) = message.as_mut().expect("a continuation continues something");
                begun.extend_from_slice(&frame.data);
                None
            }
        };
        if let Some(kind) = begins {
            assert!(message.is_none(), "no message inside another");
            message = Some((kind, frame.data.into_owned()));
        }
        if !frame.opcode.is_control() && frame.flags.finish {
            let (kind, payload) = message.take().expect("it was begun");
            assert!(kind == MessageKind::Binary || std::str::from_utf8(&payload).is_ok(), "text is text");
            messages.push((kind, payload));
        }
        wire = &wire[used..];
    }
    messages
}
