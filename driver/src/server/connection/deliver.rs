//! Calling the handler with each message.

use sockeye_core::{RecvBuf, State};

use crate::engine::access::LinkAccess;
use crate::engine::buffer::READ;
use crate::engine::decoder::Decoded;
use crate::runtime::io::{Clock, Io};
use crate::server::api::handler::Handler;
use crate::server::api::inbound::Inbound;
use crate::server::connection::busy::{Busy, Lent, close_if_failed};
use crate::server::connection::inbox::{Inbox, Popped, Received, forwarded_frame};
use crate::server::connection::limiter::{Admit, Limiting};
use crate::server::connection::message_phase::MessagePhase;
use crate::server::registry::counters::ReceivedTally;
use crate::server::registry::flag::Flag;

impl<I: Io, C: Clock, H: Handler> MessagePhase<I, C, H> {
    /// Calls the handler with every message in the input, one after the other, until the turn is
    /// over. If the handler waits, the rest of the input is in the inbox afterwards.
    pub(crate) async fn deliver_input(&mut self) {
        let MessagePhase {
            reader,
            link,
            client,
            handler,
            inbox,
            forward,
            holds_partial_frames,
            has_undecoded_input,
            handler_failed,
            turn,
            ..
        } = self;
        let hold = if *holds_partial_frames { READ } else { 0 };
        let entry = client.entry();
        let (decoder, input) = reader.decoder_and_input();
        let len = decoder.frame_len(input.unread());
        input.release_if_whole(len);
        let mut view = RecvBuf::new(input.unread());
        let (mut tally, mut limiting) = (ReceivedTally::new(entry), Limiting::begin(entry));
        turn.begin(|| link.now());
        while !view.is_empty() || (decoder.is_inflating() && inbox.is_none()) {
            if entry.has_any([Flag::Full, Flag::Aborted, Flag::Paused]) {
                // A peer that sends requests and does not read the answers must wait.
                if entry.has_flag(Flag::Full) && !link.clear_full_flag() {
                    // It waits with the rest in an inbox, without the read buffer.
                    *inbox = Some(Box::new(Inbox::new(view.take_all())));
                    break;
                }
                if entry.has_flag(Flag::Aborted) {
                    break;
                }
                if entry.has_flag(Flag::Paused) && link.state() == State::Open {
                    *has_undecoded_input = true;
                    break;
                }
            }
            if let Some(until) = limiting.wait_until(|| link.now()) {
                let busy = Busy { link, client, decoder, rest: &mut view, inbox, lent: 0, turn };
                // Boxed, because few connections wait.
                Box::pin(busy.wait_for_rate(until)).await;
                // The rest of the input is in the inbox, unless there was no time to wait.
                if inbox.is_some() {
                    break;
                }
            }
            // Nearly every message is whole. A detour over `Decoded` would cost a tenth of the time
            // of a small one.
            if let Some(message) = decoder.decode_whole(&mut view) {
                if !*handler_failed {
                    let lent = message.as_bytes().len();
                    match limiting.admit(lent, || link.now()) {
                        Admit::Deliver => {
                            tally.add(lent, false);
                            let busy = Busy { link, client, decoder, rest: &mut view, inbox, lent, turn };
                            let outcome = busy.run(|| handler.message(client, Inbound::whole(message))).await;
                            close_if_failed(&**handler, client, link, handler_failed, outcome);
                        }
                        Admit::Skip => {}
                        Admit::End => break,
                    }
                }
                if turn.add_message(message.as_bytes().len(), || link.now()) {
                    *has_undecoded_input = true;
                    break;
                }
                continue;
            }
            let before = view.consumed();
            let decoded = decoder.decode_event_inlined(&mut view, hold, link);
            let used = view.consumed() - before;
            let is_over = match decoded {
                None => break,
                Some(_) if *handler_failed => turn.add_message(used, || link.now()),
                Some(Decoded::Message(message)) => {
                    let compressed = message.is_compressed();
                    let lent = Lent::new(message);
                    if compressed && !client.hub().may_lend(client.entry(), lent.len()) {
                        break;
                    }
                    match limiting.admit(lent.len(), || link.now()) {
                        Admit::Deliver => {
                            tally.add(lent.len(), compressed);
                            let len = lent.len();
                            let busy =
                                Busy { link, client, decoder, rest: &mut view, inbox, lent: len, turn };
                            let outcome =
                                busy.run(|| handler.message(client, lent.inbound(compressed))).await;
                            lent.release(decoder);
                            close_if_failed(&**handler, client, link, handler_failed, outcome);
                        }
                        Admit::Skip => lent.release(decoder),
                        Admit::End => break,
                    }
                    turn.add_message(used, || link.now())
                }
                Some(Decoded::Control(control)) => {
                    if let Some(frame) = forwarded_frame(&control, *forward) {
                        let busy = Busy { link, client, decoder, rest: &mut view, inbox, lent: 0, turn };
                        let outcome = busy.run(|| handler.control(client, &frame)).await;
                        close_if_failed(&**handler, client, link, handler_failed, outcome);
                    }
                    turn.add_message(used, || link.now())
                }
                Some(Decoded::Incomplete) => turn.add_frame(used, || link.now()),
            };
            if is_over || turn.add_inflated(decoder, || link.now()) {
                *has_undecoded_input = true;
                break;
            }
        }
        let used = view.consumed();
        input.consume(used);
        if inbox.is_some() {
            input.release();
        }
    }

    /// Calls the handler with everything in the inbox, then moves the rest of the input to the
    /// reader. Returns before that if the connection is paused or aborted, or the turn is over.
    pub(crate) async fn deliver_inbox(&mut self) {
        let MessagePhase {
            reader,
            link,
            client,
            handler,
            inbox,
            has_undecoded_input,
            handler_failed,
            turn,
            ..
        } = self;
        let entry = client.entry();
        let (decoder, input) = reader.decoder_and_input();
        let rest = &mut RecvBuf::default();
        let (mut tally, mut limiting) = (ReceivedTally::new(entry), Limiting::begin(entry));
        loop {
            turn.begin(|| link.now());
            if turn.is_over() {
                return;
            }
            if entry.has_flag(Flag::Full) {
                Busy { link, client, decoder, rest, inbox, lent: 0, turn }.wait_for_room().await;
            }
            if let Some(until) = limiting.wait_until(|| link.now()) {
                let busy = Busy { link, client, decoder, rest, inbox, lent: 0, turn };
                Box::pin(busy.wait_for_rate(until)).await;
            }
            if entry.has_flag(Flag::Aborted) {
                *inbox = None;
                return;
            }
            if entry.has_flag(Flag::Paused) && link.state() == State::Open {
                return;
            }
            let Some(items) = inbox.as_mut() else { break };
            items.lent = 0;
            let mut len = 0;
            let outcome = match items.pop(decoder, link, |held| client.hub().may_hold(entry, held)) {
                // A message leaves the inbox inflated.
                Popped::Nothing | Popped::Received(Received::Deflated(_)) => break,
                Popped::TooMuch => return,
                Popped::Inflating => {
                    turn.add_inflated(decoder, || link.now());
                    continue;
                }
                // Later messages may refer to this one, so it was inflated too.
                Popped::Received(_) if *handler_failed => None,
                Popped::Received(Received::Message { message, compressed }) => {
                    len = message.len();
                    let lent = Lent::Owned(message);
                    match limiting.admit(len, || link.now()) {
                        Admit::Deliver => {
                            tally.add(len, compressed);
                            let busy = Busy { link, client, decoder, rest, inbox, lent: len, turn };
                            let outcome =
                                busy.run(|| handler.message(client, lent.inbound(compressed))).await;
                            lent.release(decoder);
                            outcome
                        }
                        Admit::Skip => None,
                        Admit::End => return,
                    }
                }
                Popped::Received(Received::Control(frame)) => {
                    let busy = Busy { link, client, decoder, rest, inbox, lent: 0, turn };
                    busy.run(|| handler.control(client, &frame)).await
                }
            };
            close_if_failed(&**handler, client, link, handler_failed, outcome);
            turn.add_message(len, || link.now());
            turn.add_inflated(decoder, || link.now());
        }
        if let Some(inbox) = inbox.take() {
            *input = inbox.into_input();
            *has_undecoded_input = true;
        }
    }
}
