//! Any lines of `Sec-WebSocket-Extensions`, as an offer and as an answer.

use sockeye_core::deflate::{Context, Deflate, accept, offer, verify};

use crate::compressed::settings;
use crate::input::Input;

/// Checks one input: four bytes of settings for each end, then lines.
pub fn extensions(data: &[u8]) {
    let mut input = Input::new(data);
    let (server, client) = (settings(&mut input), settings(&mut input));
    let lines: Vec<&[u8]> = input.rest().split(|&byte| byte == b'\n').collect();
    check_offer(&lines, &server);
    check_answer(&lines, &client);
    check_agreement(&server, &client);
}

/// Checks that the answer to any offer is valid for its sender, and means the same to both ends.
fn check_offer(lines: &[&[u8]], server: &Deflate) {
    let accepted = accept(lines.iter().copied(), server);
    assert_eq!(accept([&lines.join(&b", "[..])[..]], server), accepted, "several lines differ from one line");
    let Some((at_server, answer)) = accepted else { return };
    // A client without limits accepts any valid answer.
    let at_client = verify([answer.as_bytes()], &Deflate::new()).expect("a valid answer").expect("an answer");
    assert_eq!((at_client.own, at_client.peer), (at_server.peer, at_server.own), "{answer}");
    assert!(within(at_server.own, server.window_bits, server.context_takeover));
    // A client that did not offer to limit its window cannot be asked to.
    assert!(within(at_server.peer, server.peer_window_bits.max(15), server.peer_context_takeover));
    // The answer is also a valid offer of the same parameters.
    let again = accept([answer.as_bytes()], server).expect("an acceptable offer");
    assert_eq!((again.0.own, again.0.peer), (at_server.own, at_server.peer), "{answer}");
}

/// Checks that no answer makes the client agree to more than it offered.
fn check_answer(lines: &[&[u8]], client: &Deflate) {
    let verified = verify(lines.iter().copied(), client);
    assert_eq!(verify([&lines.join(&b", "[..])[..]], client), verified, "several lines differ from one line");
    if let Ok(Some(agreed)) = verified {
        assert!(within(agreed.own, client.window_bits, client.context_takeover));
        assert!(within(agreed.peer, client.peer_window_bits, client.peer_context_takeover));
        // The same line is also an acceptable offer.
        assert!(accept(lines.iter().copied(), &Deflate::new()).is_some());
    }
}

/// Checks that the server accepts the client's offer, and the client the server's answer.
fn check_agreement(server: &Deflate, client: &Deflate) {
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
