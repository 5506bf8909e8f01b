//! Reading the payloads of frames.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use super::{Receiver, Step};
use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::event::{Control, Data, Event};
use crate::frame::Opcode;
use crate::input::RecvBuf;
use crate::mask::{advance_key, apply_mask};
use crate::message::MessageKind;
use crate::role::Role;
use sockeye_mask::unmask_text;

impl Receiver {
    /// Returns the part of a data frame's payload that has arrived.
    #[inline]
    pub(super) fn read_data<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<Event<'a>> {
        let (masked, key) = self.take_payload(input);
        let frame_ends = self.frame.remaining == 0;
        let last = frame_ends && self.frame.finish;
        if frame_ends {
            self.step = Step::Header;
        }
        let message = self.message.as_mut()?;
        let (kind, compressed, first) = (message.kind, message.compressed, message.first);
        if masked.is_empty() && !last && !(first && frame_ends) {
            return None;
        }
        message.first = false;
        if last {
            self.message = None;
        }
        let (payload, ascii) = self.unmask(masked, key, kind);
        Some(Event::Data(Data { kind, payload, ascii, compressed, first, last }))
    }

    /// Returns the payload of a control frame when it is complete. It is borrowed if it arrived in
    /// one piece, as it nearly always does.
    pub(super) fn read_control<'a>(&mut self, input: &mut RecvBuf<'a>) -> Option<(Opcode, Cow<'a, [u8]>)> {
        let (part, key) = self.take_payload(input);
        let (part, _) = self.unmask(part, key, MessageKind::Binary);
        let complete = self.frame.remaining == 0;
        match &mut self.step {
            Step::Control(opcode) => {
                let opcode = *opcode;
                if complete {
                    return Some((opcode, Cow::Borrowed(part)));
                }
                self.step = Step::PartialControl(opcode, Box::new(part.to_vec()));
                None
            }
            Step::PartialControl(opcode, payload) => {
                payload.extend_from_slice(part);
                complete.then(|| (*opcode, Cow::Owned(core::mem::take(&mut **payload))))
            }
            _ => None,
        }
    }

    pub(super) fn control_event<'a>(
        &mut self,
        opcode: Opcode,
        payload: Cow<'a, [u8]>,
    ) -> Result<Event<'a>, ProtocolError> {
        self.step = Step::Header;
        Ok(Event::Control(match opcode {
            Opcode::Ping => Control::Ping(payload),
            Opcode::Pong => Control::Pong(payload),
            _ => {
                let close = CloseFrame::parse(payload)?;
                self.step = Step::Closed;
                Control::Close(close)
            }
        }))
    }

    /// Takes the part of the payload that has arrived. Returns it with the mask key for its first
    /// byte.
    #[inline]
    fn take_payload<'a>(&mut self, input: &mut RecvBuf<'a>) -> (&'a mut [u8], [u8; 4]) {
        let frame = &mut self.frame;
        let payload = input.take(usize::try_from(frame.remaining).unwrap_or(usize::MAX));
        frame.remaining = frame.remaining.saturating_sub(payload.len() as u64);
        let key = frame.key;
        frame.key = advance_key(key, payload.len());
        (payload, key)
    }

    /// Unmasks a payload that comes from a client. The same pass determines whether text is all
    /// ASCII.
    #[inline(always)]
    pub(super) fn unmask<'a>(
        &self,
        payload: &'a mut [u8],
        key: [u8; 4],
        kind: MessageKind,
    ) -> (&'a [u8], Option<&'a str>) {
        match (self.role, kind) {
            (Role::Client, _) => (payload, None),
            (Role::Server, MessageKind::Binary) => {
                apply_mask(payload, key);
                (payload, None)
            }
            (Role::Server, MessageKind::Text) => match unmask_text(payload, key) {
                Ok(text) => (text.as_bytes(), Some(text)),
                Err(bytes) => (bytes, None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use alloc::sync::Arc;

    use super::*;
    use crate::Config;

    #[test]
    fn only_text_received_by_a_server_is_known_to_be_ascii() {
        let server = |payload: &'static str, first: u8| {
            let mut bytes = alloc::vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
            bytes.extend_from_slice(payload.as_bytes());
            (Role::Server, bytes, payload)
        };
        let client = (Role::Client, alloc::vec![0x81, 2, b'h', b'i'], "hi");
        for ((role, mut bytes, payload), is_known) in [
            (server("plain", 0x81), true),
            (server("", 0x81), true),
            (server("fl\u{f1}", 0x81), false),
            (server("plain", 0x82), false),
            (client, false),
        ] {
            let mut receiver = Receiver::new(role, Arc::new(Config::new()));
            let event = receiver.poll_event(&mut RecvBuf::new(&mut bytes)).unwrap();
            let Some(Event::Data(mut data)) = event else { panic!() };
            assert_eq!(data.ascii(), is_known.then_some(payload));
            data.payload = b"replaced";
            assert_eq!(data.ascii(), None, "the text of another payload");
        }
    }
}
