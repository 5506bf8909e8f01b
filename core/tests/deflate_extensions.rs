//! Parsing `Sec-WebSocket-Extensions` (RFC 6455 9.1) at both ends (X1, X9).
#![cfg(feature = "_deflate")]
#![allow(clippy::unwrap_used, clippy::panic)]

use sockeye_core::deflate::{Deflate, InvalidAnswer, accept, verify};

fn answer(offers: &str) -> Option<String> {
    accept([offers.as_bytes()], &Deflate::new()).map(|(_, answer)| answer)
}

/// Returns whether a server and whether a client with the default settings accept this element.
fn accepted(element: &str) -> (bool, bool) {
    let verified = verify([element.as_bytes()], &Deflate::new());
    (answer(element).is_some(), verified.is_ok())
}

#[test]
fn x1_all_spellings_of_an_offer_are_equivalent() {
    let spellings = [
        "permessage-deflate; server_max_window_bits=12",
        "permessage-deflate;server_max_window_bits=12",
        "  permessage-deflate\t;  server_max_window_bits  =\t12  ",
        "PerMessage-DEFLATE; Server_Max_Window_Bits=12",
        "permessage-deflate; server_max_window_bits=\"12\"",
        "permessage-deflate; server_max_window_bits= \"12\" ",
        "permessage-deflate; server_max_window_bits=\"\\1\\2\"",
        "permessage-deflate; server_max_window_bits=\"1\\2\"",
        ", ,\t,, permessage-deflate; server_max_window_bits=12 , ,",
        "x; a=\"1\\2\"; b; c=d, permessage-deflate; server_max_window_bits=12",
    ];
    for spelling in spellings {
        let (server, client) = (Deflate::new(), Deflate::new().peer_window_bits(12));
        let expected = "permessage-deflate; server_max_window_bits=12";
        assert_eq!(answer(spelling).unwrap(), expected, "{spelling}");
        if !spelling.contains("x;") {
            let negotiated = verify([spelling.as_bytes()], &client).unwrap().unwrap();
            assert_eq!(negotiated.peer.window_bits, 12, "{spelling}");
        }
        // A list may be split into several lines.
        let lines: Vec<&[u8]> = spelling.split(',').map(str::as_bytes).collect();
        assert_eq!(accept(lines, &server).unwrap().1, expected, "{spelling}");
    }
}

#[test]
fn x1_x9_a_malformed_list_negotiates_nothing() {
    let malformed: [&[u8]; 36] = [
        b";",
        b"=",
        b"\"",
        b"\\",
        b"\"permessage-deflate\"",
        b"permessage-deflate;",
        b"permessage-deflate; ",
        b"permessage-deflate;;server_max_window_bits=12",
        b"permessage-deflate; ,",
        b"permessage-deflate; server_max_window_bits=12;",
        b"permessage-deflate; server_max_window_bits=",
        b"permessage-deflate; server_max_window_bits= , x",
        b"permessage-deflate; server_max_window_bits==12",
        b"permessage-deflate; server_max_window_bits=12=12",
        b"permessage-deflate; server_max_window_bits=1 2",
        b"permessage-deflate; server_max_window_bits 12",
        b"permessage-deflate; =12",
        b"permessage-deflate; server_max_window_bits=\"\"",
        b"permessage-deflate; server_max_window_bits=\"12",
        b"permessage-deflate; server_max_window_bits=12\"",
        b"permessage-deflate; server_max_window_bits=\"12\\\"",
        b"permessage-deflate; server_max_window_bits=\"12\"\"\"",
        b"permessage-deflate; server_max_window_bits=\"12\"3",
        b"permessage-deflate; server_max_window_bits=1\"2\"",
        b"permessage-deflate; server_max_window_bits=\" 12\"",
        b"permessage-deflate; server_max_window_bits=\"1\\ 2\"",
        b"permessage-deflate; server_max_window_bits=\"1\\\\2\"",
        b"permessage-deflate; server_max_window_bits=\"1\\\"2\"",
        b"permessage-deflate; server_max_window_bits='12\\'",
        b"permessage-deflate; \"server_max_window_bits\"=12",
        b"permessage-deflate server_max_window_bits=12",
        b"permessage-deflate=12",
        b"permessage deflate",
        b"permessage-deflate/1",
        b"permessage-deflate\0",
        b"permessage-deflate; caf\xc3\xa9",
    ];
    let settings = Deflate::new();
    let good: &[u8] = b"permessage-deflate";
    for list in malformed {
        let shown = list.escape_ascii();
        assert_eq!(verify([list], &settings), Err(InvalidAnswer::Malformed), "{shown}");
        // The rest of a malformed list is not used either, before or after the fault.
        for lines in [[list, good], [good, list]] {
            assert_eq!(accept(lines, &settings), None, "{shown}");
            assert_eq!(accept([lines.join(&b", "[..]).as_slice()], &settings), None, "{shown}");
        }
    }
    // A quoted string that spans two lines would contain the comma that joins them.
    assert_eq!(accept([&b"x; y=\"a"[..], b"b\", permessage-deflate"], &settings), None);
}

#[test]
fn x1_quoted_text_is_not_an_element() {
    for list in [
        "x; a=\"1, permessage-deflate\"",
        "x; a=\"1, permessage-deflate; b=\"",
        "x; a=\"\\\", permessage-deflate; b=\\\"\"",
    ] {
        assert_eq!(answer(list), None, "{list}");
    }
}

#[test]
fn x1_x9_each_parameter_takes_only_its_valid_values() {
    const NAMES: [&str; 4] = [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    ];
    for name in NAMES {
        let bare = format!("permessage-deflate; {name}");
        // Only an offer may have client_max_window_bits without a value.
        let expected = match name {
            "server_max_window_bits" => (false, false),
            "client_max_window_bits" => (true, false),
            _ => (true, true),
        };
        assert_eq!(accepted(&bare), expected, "{bare}");
        assert_eq!(accepted(&format!("{bare}; {name}")), (false, false), "{name} twice");
        for number in -1..=300 {
            let is_window = name.ends_with("bits") && (8..=15).contains(&number);
            for (text, is_plain) in [
                (format!("{number}"), true),
                (format!("0{number}"), false),
                (format!("00{number}"), false),
                (format!("+{number}"), false),
                (format!("{number}.0"), false),
                (format!("{number}x"), false),
                (format!("0x{number:x}"), false),
            ] {
                let fits = is_window && is_plain;
                for value in [text.clone(), format!("\"{text}\""), format!("\"\\{text}\"")] {
                    let element = format!("{bare}={value}");
                    assert_eq!(accepted(&element), (fits, fits), "{element}");
                    let twice = format!("{element}; {name}={value}");
                    assert_eq!(accepted(&twice), (false, false), "{twice}");
                }
            }
        }
    }
}
