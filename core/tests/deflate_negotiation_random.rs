//! Random negotiations: both ends agree on the same parameters, and the answer matches any offer
//! (X1, X9).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use sockeye_core::deflate::{Context, Deflate, accept, offer, verify};

/// Returns settings with this window and context takeover for this end, then for the peer.
fn settings(window: u8, takeover: bool, peer_window: u8, peer_takeover: bool) -> Deflate {
    let own = Deflate::new().window_bits(window).context_takeover(takeover);
    own.peer_window_bits(peer_window).peer_context_takeover(peer_takeover)
}

fn pair(context: Context) -> (u8, bool) {
    (context.window_bits, context.takeover)
}

fn all_settings() -> impl Iterator<Item = Deflate> + Clone {
    (0..8 * 8 * 4_u32).map(|n| {
        let bits = |shift: u32| 8 + (n >> shift & 7) as u8;
        settings(bits(0), n >> 6 & 1 == 1, bits(3), n >> 7 & 1 == 1)
    })
}

#[test]
fn x1_x9_two_ends_agree_on_the_smaller_of_their_settings() {
    for client in all_settings() {
        let offer = offer(&client);
        for server in all_settings() {
            let (at_server, answer) = accept([offer.as_bytes()], &server).unwrap();
            let at_client = verify([answer.as_bytes()], &client).unwrap().unwrap();
            let least =
                |sender: (u8, bool), receiver: (u8, bool)| (sender.0.min(receiver.0), sender.1 && receiver.1);
            let from_client = least(
                (client.window_bits, client.context_takeover),
                (server.peer_window_bits, server.peer_context_takeover),
            );
            let from_server = least(
                (server.window_bits, server.context_takeover),
                (client.peer_window_bits, client.peer_context_takeover),
            );
            assert_eq!(pair(at_client.own), from_client, "{offer} / {answer}");
            assert_eq!(pair(at_client.peer), from_server, "{offer} / {answer}");
            assert_eq!(
                (at_server.own, at_server.peer),
                (at_client.peer, at_client.own),
                "{offer} / {answer}"
            );
        }
    }
}

/// A lexical element of the list in RFC 6455 9.1. Unlike the crate, this parser splits a whole line
/// into words first.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Token(String),
    Quoted(String),
    Sign(char),
}

fn words(line: &str) -> Option<Vec<Word>> {
    let is_tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let (mut words, mut chars) = (Vec::new(), line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => {}
            ',' | ';' | '=' => words.push(Word::Sign(c)),
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => text.push(chars.next()?),
                        c => text.push(c),
                    }
                }
                // "the value after quoted-string unescaping MUST conform to the 'token' ABNF"
                let is_token = !text.is_empty() && text.chars().all(is_tchar);
                words.push(is_token.then_some(Word::Quoted(text))?);
            }
            c if is_tchar(c) => {
                let mut text = String::from(c);
                while let Some(c) = chars.next_if(|&c| is_tchar(c)) {
                    text.push(c);
                }
                words.push(Word::Token(text));
            }
            _ => return None,
        }
    }
    Some(words)
}

type Param = (String, Option<String>);

/// Returns the name and parameters of each element, in lower case, or `None` if the list is
/// malformed.
fn elements(lines: &[String]) -> Option<Vec<(String, Vec<Param>)>> {
    let mut all = Vec::new();
    for line in lines {
        let words = words(line)?;
        for element in words.split(|word| *word == Word::Sign(',')).filter(|element| !element.is_empty()) {
            let mut parts = element.split(|word| *word == Word::Sign(';'));
            let [Word::Token(name)] = parts.next()? else { return None };
            let params = parts.map(|part| match part {
                [Word::Token(name)] => Some((name.to_ascii_lowercase(), None)),
                [Word::Token(name), Word::Sign('='), Word::Token(value) | Word::Quoted(value)] => {
                    Some((name.to_ascii_lowercase(), Some(value.clone())))
                }
                _ => None,
            });
            all.push((name.to_ascii_lowercase(), params.collect::<Option<_>>()?));
        }
    }
    Some(all)
}

/// The parameters of an element that RFC 7692 7 allows a server to accept.
#[derive(Debug, Default)]
struct Meaning {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Option<u8>>,
}

fn meaning(params: &[Param]) -> Option<Meaning> {
    let mut meaning = Meaning::default();
    let bits = |text: &str| (8..=15_u8).find(|bits| bits.to_string() == text);
    for (at, (name, value)) in params.iter().enumerate() {
        if params[..at].iter().any(|(before, _)| before == name) {
            return None;
        }
        match (name.as_str(), value) {
            ("server_no_context_takeover", None) => meaning.server_no_context_takeover = true,
            ("client_no_context_takeover", None) => meaning.client_no_context_takeover = true,
            ("server_max_window_bits", Some(value)) => meaning.server_max_window_bits = Some(bits(value)?),
            ("client_max_window_bits", None) => meaning.client_max_window_bits = Some(None),
            ("client_max_window_bits", Some(value)) => {
                meaning.client_max_window_bits = Some(Some(bits(value)?));
            }
            _ => return None,
        }
    }
    Some(meaning)
}

/// Returns the first acceptable offer.
fn first_offer(lines: &[String]) -> Option<Meaning> {
    let elements = elements(lines)?;
    elements.iter().filter(|(name, _)| name == "permessage-deflate").find_map(|(_, params)| meaning(params))
}

/// Checks the server's answer against RFC 7692 7.1.1 and 7.1.2 and against its settings.
fn check_answer(lines: &[String], server: &Deflate) {
    let accepted = accept(lines.iter().map(String::as_bytes), server);
    let Some(offer) = first_offer(lines) else {
        assert_eq!(accepted, None, "{lines:?}");
        return;
    };
    let (negotiated, text) = accepted.unwrap_or_else(|| panic!("{lines:?} should have been accepted"));
    let elements = elements(std::slice::from_ref(&text)).unwrap();
    assert_eq!((elements.len(), elements[0].0.as_str()), (1, "permessage-deflate"), "{text}");
    assert_eq!(text, text.to_ascii_lowercase());
    let answer = meaning(&elements[0].1).unwrap();
    // Parameters that the answer must have.
    assert!(answer.server_no_context_takeover >= offer.server_no_context_takeover, "{lines:?} / {text}");
    assert!(answer.server_no_context_takeover >= !server.context_takeover, "{lines:?} / {text}");
    assert!(answer.client_no_context_takeover >= !server.peer_context_takeover, "{lines:?} / {text}");
    if let Some(most) = offer.server_max_window_bits {
        assert!(answer.server_max_window_bits.unwrap() <= most, "{lines:?} / {text}");
    }
    // Parameters that the answer must not have.
    match (offer.client_max_window_bits, answer.client_max_window_bits) {
        (_, None) | (Some(None), Some(Some(_))) => {}
        (Some(Some(most)), Some(Some(bits))) => assert!(bits <= most, "{lines:?} / {text}"),
        (_, Some(None)) | (None, Some(_)) => panic!("{lines:?} / {text}"),
    }
    // The server uses the parameters of its answer. They are within its settings, except that it
    // cannot limit the window of a client that did not offer `client_max_window_bits`.
    let own = (answer.server_max_window_bits.unwrap_or(15), !answer.server_no_context_takeover);
    let peer = (answer.client_max_window_bits.flatten().unwrap_or(15), !answer.client_no_context_takeover);
    assert_eq!((pair(negotiated.own), pair(negotiated.peer)), (own, peer), "{lines:?} / {text}");
    assert!(own.0 <= server.window_bits, "{lines:?} / {text}");
    assert!(
        peer.0 <= server.peer_window_bits || offer.client_max_window_bits.is_none(),
        "{lines:?} / {text}"
    );
}

/// Checks that a client accepts an answer if and only if it matches the offer.
fn check_verified(lines: &[String], client: &Deflate) {
    let verified = verify(lines.iter().map(String::as_bytes), client);
    let elements = elements(lines);
    let expected = match elements.as_deref() {
        Some([]) => lines.is_empty().then_some(None),
        Some([(name, params)]) if name == "permessage-deflate" => meaning(params)
            .filter(|answer| answer.server_no_context_takeover >= !client.peer_context_takeover)
            .filter(|answer| answer.server_max_window_bits.unwrap_or(15) <= client.peer_window_bits)
            .filter(|answer| answer.client_max_window_bits != Some(None))
            .filter(|answer| answer.client_max_window_bits.flatten().unwrap_or(8) <= client.window_bits)
            .map(Some),
        _ => None,
    };
    match (verified, expected) {
        (Ok(None), Some(None)) | (Err(_), None) => {}
        (Ok(Some(negotiated)), Some(Some(answer))) => {
            let bits = answer.client_max_window_bits.flatten().unwrap_or(15).min(client.window_bits);
            let own = (bits, client.context_takeover && !answer.client_no_context_takeover);
            let peer = (answer.server_max_window_bits.unwrap_or(15), !answer.server_no_context_takeover);
            assert_eq!((pair(negotiated.own), pair(negotiated.peer)), (own, peer), "{lines:?}");
        }
        (verified, expected) => panic!("{lines:?}: {verified:?}, but {expected:?}"),
    }
}

fn any_settings() -> impl Strategy<Value = Deflate> {
    (8..=15_u8, any::<bool>(), 8..=15_u8, any::<bool>()).prop_map(|(a, b, c, d)| settings(a, b, c, d))
}

/// Generates mostly valid parameters, in every spelling.
fn param() -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        8 => (8..=15_u8).prop_map(|bits| format!("={bits}")),
        2 => (8..=15_u8).prop_map(|bits| format!(" = \"{bits}\"")),
        1 => (8..=15_u8).prop_map(|bits| format!("=\"\\{bits}\" ")),
        2 => Just(String::new()),
        1 => (0..=30_u8).prop_map(|bits| format!("={bits}")),
        1 => "=[\"\\\\0-9a ]{0,3}",
    ];
    prop_oneof![
        4 => Just("server_no_context_takeover".to_owned()),
        4 => Just("client_no_context_takeover".to_owned()),
        1 => Just("Server_No_Context_Takeover".to_owned()),
        6 => bits.clone().prop_map(|bits| format!("server_max_window_bits{bits}")),
        6 => bits.clone().prop_map(|bits| format!("client_max_window_bits{bits}")),
        1 => bits.prop_map(|bits| format!("client_MAX_window_bits{bits}")),
        1 => "[a-c]{0,2}=?[\"\\\\a-c,;]{0,4}",
    ]
}

fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => Just("permessage-deflate"),
        1 => Just("PerMessage-Deflate"),
        1 => Just("x"),
        1 => Just(""),
    ];
    let separator = prop_oneof![6 => Just("; "), 1 => Just(";"), 1 => Just(" \t; ")];
    let params = prop::collection::vec((separator, param()).prop_map(|(a, b)| a.to_owned() + &b), 0..4);
    let element = (name, params).prop_map(|(name, params)| name.to_owned() + &params.concat());
    prop::collection::vec(element, 0..4).prop_map(|elements| elements.join(", "))
}

/// Generates arbitrary text from the characters of the grammar.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => Just("permessage-deflate"), 2 => Just("server_max_window_bits"), 3 => Just("="), 3 => Just(";"),
        2 => Just(","), 2 => Just(" "), 1 => Just("\t"), 2 => Just("\""), 1 => Just("\\"), 2 => Just("1"),
        2 => Just("2"), 1 => Just("é"), 1 => Just("\0"),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn x1_the_answer_matches_any_offer(
        lines in prop::collection::vec(prop_oneof![4 => line(), 1 => soup()], 1..3),
        server in any_settings(),
    ) {
        check_answer(&lines, &server);
    }

    #[test]
    fn x9_an_answer_is_accepted_if_and_only_if_it_matches(
        lines in prop::collection::vec(prop_oneof![4 => line(), 1 => soup()], 1..2),
        client in any_settings(),
    ) {
        check_verified(&lines, &client);
    }

    #[test]
    fn x1_x9_no_input_causes_a_panic(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..4),
        settings in any_settings(),
    ) {
        let _ = accept(lines.iter().map(Vec::as_slice), &settings);
        let _ = verify(lines.iter().map(Vec::as_slice), &settings);
    }
}

#[test]
fn t35_a_header_of_delimiters_alone_is_parsed_quickly_and_without_recursion() {
    let pieces = [
        "\"",
        "\\",
        ";",
        ",",
        "=",
        " ",
        "\t",
        "a",
        ",;",
        ";a",
        ";a=",
        ";a=\"",
        ";a=\"b\"",
        ";a=\"\\b",
        "\\\"",
        "a,",
        "a;b,",
        "permessage-deflate,",
        ";server_no_context_takeover",
        "permessage-deflate;a=\"",
        "permessage-deflate;client_max_window_bits=16,",
        ",\"",
        "\",",
        " ;",
    ];
    let run = move || {
        for start in ["", "permessage-deflate", "permessage-deflate;a=\"", "permessage-deflate;a="] {
            for piece in pieces {
                let header = [start, &piece.repeat((64 << 10) / piece.len())].concat();
                let _ = accept([header.as_bytes()], &Deflate::new());
                let _ = verify([header.as_bytes()], &Deflate::new());
                // The same header in as many lines as it has bytes.
                let _ = accept(header.as_bytes().chunks(1), &Deflate::new());
            }
        }
    };
    std::thread::Builder::new().stack_size(64 << 10).spawn(run).unwrap().join().unwrap();
}
