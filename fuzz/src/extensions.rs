//! Any lines of `Sec-WebSocket-Extensions`, offered and answered.

use sockeye_core::deflate::{Context, Deflate, accept, offer, verify};

use crate::compressed::settings;
use crate::input::Input;

/// Checks one input: four bytes of settings for either end, then lines.
pub fn extensions(data: &[u8]) {
    let mut input = Input::new(data);
    let (server, client) = (settings(&mut input), settings(&mut input));
    let lines: Vec<&[u8]> = input.rest().split(|&byte| byte == b'\n').collect();
    offered(&lines, &server);
    answered(&lines, &client);
    agreed(&server, &client);
}

/// Whatever is offered, the answer is one that its sender can take, and both understand the same by it.
fn offered(lines: &[&[u8]], server: &Deflate) {
    let accepted = accept(lines.iter().copied(), server);
    assert_eq!(accept([&lines.join(&b", "[..])[..]], server), accepted, "a list in many lines is one");
    let Some((at_server, answer)) = accepted else { return };
    // Who sets no limits takes any valid answer.
    let at_client = verify([answer.as_bytes()], &Deflate::new()).expect("a valid answer").expect("an answer");
    assert_eq!((at_client.own, at_client.peer), (at_server.peer, at_server.own), "{answer}");
    assert!(within(at_server.own, server.window_bits, server.context_takeover));
    // A client that did not offer to limit its window cannot be asked to.
    assert!(within(at_server.peer, server.peer_window_bits.max(15), server.peer_context_takeover));
    // The answer is an offer too, of just that.
    let again = accept([answer.as_bytes()], server).expect("it can be accepted");
    assert_eq!((again.0.own, again.0.peer), (at_server.own, at_server.peer), "{answer}");
}

/// Whatever is answered, no more is agreed on than was offered.
fn answered(lines: &[&[u8]], client: &Deflate) {
    let verified = verify(lines.iter().copied(), client);
    assert_eq!(verify([&lines.join(&b", "[..])[..]], client), verified, "a list in many lines is one");
    if let Ok(Some(agreed)) = verified {
        assert!(within(agreed.own, client.window_bits, client.context_takeover));
        assert!(within(agreed.peer, client.peer_window_bits, client.peer_context_takeover));
        // A server is offered no less by the same line.
        assert!(accept(lines.iter().copied(), &Deflate::new()).is_some());
    }
}

/// What one end offers the other accepts, and what that answers the first one takes.
fn agreed(server: &Deflate, client: &Deflate) {
    let (at_server, answer) = accept([offer(client).as_bytes()], server).expect("an offer");
    let at_client = verify([answer.as_bytes()], client).expect("a valid answer").expect("an answer");
    assert_eq!((at_client.own, at_client.peer), (at_server.peer, at_server.own), "{answer}");
    for (settings, agreed) in [(server, at_server), (client, at_client)] {
        assert!(within(agreed.own, settings.window_bits, settings.context_takeover), "{answer}");
        assert!(within(agreed.peer, settings.peer_window_bits, settings.peer_context_takeover), "{answer}");
    }
}

fn within(context: Context, window_bits: u8, takeover: bool) -> bool {
    (8..=window_bits).contains(&context.window_bits) && (takeover || !context.takeover)
}
