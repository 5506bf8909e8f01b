//! Negotiating compression: offers, answers, and the answers that a client fails on (RFC 7692 5 and
//! 7.1, RFC 6455 9.1; X1, X9).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::panic)]

use sockeye_core::deflate::{Context, Deflate, InvalidAnswer, Negotiated, accept, offer, verify};

/// Returns settings with this window and context takeover for this end, then for the peer.
fn settings(window: u8, takeover: bool, peer_window: u8, peer_takeover: bool) -> Deflate {
    let own = Deflate::new().window_bits(window).context_takeover(takeover);
    own.peer_window_bits(peer_window).peer_context_takeover(peer_takeover)
}

fn pair(context: Context) -> (u8, bool) {
    (context.window_bits, context.takeover)
}

fn answer(offers: &str, settings: &Deflate) -> Option<String> {
    accept([offers.as_bytes()], settings).map(|(_, answer)| answer)
}

fn verified(answer: &str, settings: &Deflate) -> Result<Option<Negotiated>, InvalidAnswer> {
    verify([answer.as_bytes()], settings)
}

#[test]
fn x1_the_offer_states_the_client_s_settings() {
    let table = [
        (settings(15, true, 15, true), "; client_max_window_bits"),
        (settings(14, true, 15, true), "; client_max_window_bits=14"),
        (settings(8, true, 15, true), "; client_max_window_bits=8"),
        (settings(15, true, 14, true), "; server_max_window_bits=14; client_max_window_bits"),
        (settings(15, true, 8, true), "; server_max_window_bits=8; client_max_window_bits"),
        (settings(15, false, 15, true), "; client_no_context_takeover; client_max_window_bits"),
        (settings(15, true, 15, false), "; server_no_context_takeover; client_max_window_bits"),
        (
            settings(9, false, 10, false),
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=9",
        ),
        // An invalid window is clamped to the nearest valid one.
        (settings(16, true, 255, true), "; client_max_window_bits"),
        (settings(7, true, 0, true), "; server_max_window_bits=8; client_max_window_bits=8"),
    ];
    for (settings, params) in table {
        assert_eq!(offer(&settings), format!("permessage-deflate{params}"));
    }
}

#[test]
fn x1_the_examples_of_rfc_7692_7_1_3_are_negotiated() {
    let server = Deflate::new();
    assert_eq!(answer("permessage-deflate", &server).unwrap(), "permessage-deflate");
    assert_eq!(
        answer("permessage-deflate; client_max_window_bits; server_max_window_bits=10", &server).unwrap(),
        "permessage-deflate; server_max_window_bits=10"
    );
    let both = "permessage-deflate; client_max_window_bits; server_max_window_bits=10, \
                permessage-deflate; client_max_window_bits";
    assert_eq!(answer(both, &server).unwrap(), "permessage-deflate; server_max_window_bits=10");
    // The client accepts the first answer. The second one does not match its offer, which has a
    // single element.
    let client = settings(15, true, 10, true);
    assert_eq!(
        pair(verified("permessage-deflate; server_max_window_bits=10", &client).unwrap().unwrap().peer),
        (10, true)
    );
    assert_eq!(verified("permessage-deflate", &client), Err(InvalidAnswer::ServerWindow));
}

#[test]
fn x1_the_answer_matches_offer_and_settings() {
    let all = settings(15, true, 15, true);
    let small = settings(12, true, 11, true);
    let forgetful = settings(15, false, 15, false);
    // The offer's parameters, settings, the answer's parameters, own direction, peer's direction.
    let table = [
        ("", &all, "", (15, true), (15, true)),
        ("; server_no_context_takeover", &all, "; server_no_context_takeover", (15, false), (15, true)),
        ("; client_no_context_takeover", &all, "; client_no_context_takeover", (15, true), (15, false)),
        ("; server_max_window_bits=15", &all, "; server_max_window_bits=15", (15, true), (15, true)),
        ("; server_max_window_bits=8", &all, "; server_max_window_bits=8", (8, true), (15, true)),
        ("; client_max_window_bits", &all, "", (15, true), (15, true)),
        ("; client_max_window_bits=15", &all, "; client_max_window_bits=15", (15, true), (15, true)),
        ("; client_max_window_bits=9", &all, "; client_max_window_bits=9", (15, true), (9, true)),
        // The client did not offer to limit its window, so the server cannot request it.
        ("", &small, "; server_max_window_bits=12", (12, true), (15, true)),
        ("; server_max_window_bits=13", &small, "; server_max_window_bits=12", (12, true), (15, true)),
        ("; server_max_window_bits=10", &small, "; server_max_window_bits=10", (10, true), (15, true)),
        (
            "; client_max_window_bits",
            &small,
            "; server_max_window_bits=12; client_max_window_bits=11",
            (12, true),
            (11, true),
        ),
        (
            "; client_max_window_bits=14",
            &small,
            "; server_max_window_bits=12; client_max_window_bits=11",
            (12, true),
            (11, true),
        ),
        (
            "; client_max_window_bits=9",
            &small,
            "; server_max_window_bits=12; client_max_window_bits=9",
            (12, true),
            (9, true),
        ),
        (
            "",
            &forgetful,
            "; server_no_context_takeover; client_no_context_takeover",
            (15, false),
            (15, false),
        ),
    ];
    for (offered, settings, answered, own, peer) in table {
        let offers = format!("permessage-deflate{offered}");
        let (negotiated, answer) = accept([offers.as_bytes()], settings).unwrap();
        assert_eq!(answer, format!("permessage-deflate{answered}"), "to {offers}");
        assert_eq!((pair(negotiated.own), pair(negotiated.peer)), (own, peer), "of {offers}");
    }
}

#[test]
fn x1_a_server_skips_unacceptable_offers() {
    let unacceptable = [
        "",
        "x-webkit-deflate-frame",
        "permessage-bzip2; server_max_window_bits=9",
        "permessage-deflate; x",
        "permessage-deflate; x=1",
        "permessage-deflate; server_max_window",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=\"1\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; Client_No_Context_Takeover",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=x",
        // A parameter that looks like an extension is not one.
        "x; a=b; permessage-deflate",
    ];
    let server = Deflate::new();
    for offers in unacceptable {
        assert_eq!(answer(offers, &server), None, "{offers}");
        let good = "permessage-deflate; server_max_window_bits=9";
        for offers in
            [format!("{offers}, {good}"), format!("{good}, {offers}"), format!("x, {offers},{good},y")]
        {
            assert_eq!(answer(&offers, &server).unwrap(), good, "{offers}");
        }
        let lines = [offers.as_bytes(), good.as_bytes(), b"permessage-deflate"];
        assert_eq!(accept(lines, &server).unwrap().1, good, "{offers}");
    }
    assert_eq!(accept([], &server), None);
}

#[test]
fn x9_a_client_fails_on_an_answer_that_does_not_match() {
    let all = settings(15, true, 15, true);
    let small = settings(11, true, 12, true);
    let forgetful = settings(15, false, 15, false);
    let table = [
        ("x", &all, InvalidAnswer::UnknownExtension),
        ("permessage-deflate, x", &all, InvalidAnswer::UnknownExtension),
        ("permessage-bzip2", &all, InvalidAnswer::UnknownExtension),
        ("permessage-deflate, permessage-deflate", &all, InvalidAnswer::RepeatedExtension),
        ("permessage-deflate,, PERMESSAGE-DEFLATE", &all, InvalidAnswer::RepeatedExtension),
        ("permessage-deflate; x", &all, InvalidAnswer::UnknownParameter),
        ("permessage-deflate; window_bits=9", &all, InvalidAnswer::UnknownParameter),
        (
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            &all,
            InvalidAnswer::RepeatedParameter,
        ),
        ("permessage-deflate; server_max_window_bits", &all, InvalidAnswer::ParameterValue),
        ("permessage-deflate; server_max_window_bits=16", &all, InvalidAnswer::ParameterValue),
        ("permessage-deflate; client_max_window_bits", &all, InvalidAnswer::ParameterValue),
        ("permessage-deflate; client_max_window_bits=7", &all, InvalidAnswer::ParameterValue),
        ("permessage-deflate; server_no_context_takeover=1", &all, InvalidAnswer::ParameterValue),
        ("permessage-deflate", &small, InvalidAnswer::ServerWindow),
        ("permessage-deflate; server_max_window_bits=13", &small, InvalidAnswer::ServerWindow),
        (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            &small,
            InvalidAnswer::ClientWindow,
        ),
        ("permessage-deflate", &forgetful, InvalidAnswer::ServerContextTakeover),
        ("permessage-deflate; client_no_context_takeover", &forgetful, InvalidAnswer::ServerContextTakeover),
        ("permessage-deflate;", &all, InvalidAnswer::Malformed),
    ];
    let mut messages = std::collections::HashSet::new();
    for (answer, settings, fault) in table {
        assert_eq!(verified(answer, settings), Err(fault), "{answer}");
        let error: &dyn std::error::Error = &fault;
        messages.insert(error.to_string());
    }
    assert_eq!(messages.len(), 9, "each rule has its own message: {messages:?}");
    let lines = [&b"permessage-deflate"[..], b"permessage-deflate"];
    assert_eq!(verify(lines, &all), Err(InvalidAnswer::RepeatedExtension));
}

#[test]
fn x9_a_server_may_decline() {
    for settings in [settings(15, true, 15, true), settings(8, false, 8, false)] {
        assert_eq!(verify([], &settings), Ok(None));
        // A list without an element is not a list.
        for empty in ["", " , ,"] {
            assert_eq!(verified(empty, &settings), Err(InvalidAnswer::Malformed), "{empty:?}");
        }
        assert_eq!(verify([&b""[..], b" "], &settings), Err(InvalidAnswer::Malformed));
    }
}

#[test]
fn x9_an_answer_may_restrict_both_ends_further_than_the_offer() {
    let all = settings(15, true, 15, true);
    let small = settings(12, false, 12, true);
    let table = [
        ("", &all, (15, true), (15, true)),
        // Restrictions that were not requested.
        ("; server_no_context_takeover", &all, (15, true), (15, false)),
        ("; client_no_context_takeover", &all, (15, false), (15, true)),
        ("; server_max_window_bits=9", &all, (15, true), (9, true)),
        ("; client_max_window_bits=9", &all, (9, true), (15, true)),
        ("; client_max_window_bits=15; server_max_window_bits=15", &all, (15, true), (15, true)),
        // Smaller windows than requested.
        ("; server_max_window_bits=11; client_max_window_bits=10", &small, (10, false), (11, true)),
        // The client keeps to its own offer even if the answer does not repeat it.
        ("; server_max_window_bits=12", &small, (12, false), (12, true)),
    ];
    for (params, settings, own, peer) in table {
        let negotiated = verified(&format!("permessage-deflate{params}"), settings).unwrap().unwrap();
        assert_eq!((pair(negotiated.own), pair(negotiated.peer)), (own, peer), "{params}");
    }
}

#[test]
fn x9_windows_of_an_answer_must_not_exceed_the_limit() {
    for limit in 8..=15 {
        for bits in 8..=15 {
            let server = format!("permessage-deflate; server_max_window_bits={bits}");
            let client = format!("permessage-deflate; client_max_window_bits={bits}");
            let of_server = verified(&server, &settings(15, true, limit, true));
            let of_client = verified(&client, &settings(limit, true, 15, true));
            if bits <= limit {
                assert_eq!(pair(of_server.unwrap().unwrap().peer), (bits, true), "{server}, {limit}");
                assert_eq!(pair(of_client.unwrap().unwrap().own), (bits, true), "{client}, {limit}");
            } else {
                assert_eq!(of_server, Err(InvalidAnswer::ServerWindow), "{server}, {limit}");
                assert_eq!(of_client, Err(InvalidAnswer::ClientWindow), "{client}, {limit}");
            }
        }
    }
}
