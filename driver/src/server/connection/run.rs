//! Whole messages that arrived together.

use std::ops::Range;

use sockeye_core::{MessageKind, MessageRef, RecvBuf};

use crate::engine::decoder::Decoder;

/// The largest number of messages in a run.
const MAX_RUN: usize = 64;

/// The memory that a run begins with: room for this many messages.
const RUN: usize = 16;

/// Decodes the whole messages that follow `first`, each in one frame of the input. Stops at anything
/// else.
pub(super) fn decode_run<'i>(
    first: MessageRef<'i>,
    decoder: &mut Decoder,
    input: &mut RecvBuf<'i>,
) -> Vec<MessageRef<'i>> {
    let mut run = Vec::with_capacity(RUN);
    run.push(first);
    while run.len() < MAX_RUN
        && !input.is_empty()
        && let Some(message) = decoder.decode_whole(input)
    {
        run.push(message);
    }
    run
}

/// Copies of the messages of a run.
#[derive(Debug, Default)]
pub(super) struct Copies {
    text: String,
    bytes: Vec<u8>,
    places: Vec<(MessageKind, Range<usize>)>,
}

impl Copies {
    /// Replaces the copies.
    pub(super) fn fill(&mut self, messages: &[MessageRef<'_>]) {
        self.text.clear();
        self.bytes.clear();
        self.places.clear();
        for message in messages {
            let start = match message {
                MessageRef::Text(text) => {
                    self.text.push_str(text);
                    self.text.len() - text.len()
                }
                MessageRef::Binary(bytes) => {
                    self.bytes.extend_from_slice(bytes);
                    self.bytes.len() - bytes.len()
                }
            };
            self.places.push((message.kind(), start..start + message.as_bytes().len()));
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = MessageRef<'_>> {
        self.places.iter().map(|(kind, place)| match kind {
            MessageKind::Text => MessageRef::Text(&self.text[place.clone()]),
            MessageKind::Binary => MessageRef::Binary(&self.bytes[place.clone()]),
        })
    }
}
