//! JSON messages like those of an application: the keys repeat, the values only in part.

use std::fmt::Write;

const NAMES: [&str; 12] = [
    "Astrid",
    "Bjarne",
    "Chloé",
    "Dmitri",
    "Elif",
    "Farah",
    "Giulia",
    "Hiroshi",
    "Inés",
    "Jamal",
    "Katarzyna",
    "Lwazi",
];
const FAMILIES: [&str; 12] = [
    "Andersen",
    "Bianchi",
    "Castillo",
    "Dlamini",
    "Eriksson",
    "Fournier",
    "Grabowska",
    "Haddad",
    "Ito",
    "Johansson",
    "Kowalski",
    "Lindqvist",
];
const WORDS: [&str; 24] = [
    "river",
    "fall",
    "spawn",
    "upstream",
    "salt",
    "lake",
    "gill",
    "smolt",
    "pool",
    "current",
    "gravel",
    "tide",
    "delivered",
    "late",
    "again",
    "with",
    "the",
    "second",
    "order",
    "to",
    "harbour",
    "please",
    "call",
    "before",
];
const STATES: [&str; 5] = ["open", "paid", "shipped", "returned", "cancelled"];

/// Returns an array of records, cut to `size` bytes.
pub(crate) fn json(size: usize, random: &mut fastrand::Rng) -> String {
    let mut text = format!("{{\"type\":\"orders\",\"seq\":{},\"records\":[", random.u32(..));
    while text.len() < size {
        record(&mut text, random);
        text.push(',');
    }
    // The cut may fall inside a character.
    let end = (0..=size).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text.extend(std::iter::repeat_n(' ', size - end));
    text
}

/// Writes a record of about 300 bytes.
fn record(text: &mut String, random: &mut fastrand::Rng) {
    let pick =
        |words: &'static [&'static str], random: &mut fastrand::Rng| words[random.usize(..words.len())];
    let (id, at) = (random.u64(..), random.u32(..2_592_000));
    let (name, family) = (pick(&NAMES, random), pick(&FAMILIES, random));
    let (day, hour, minute, second) = (1 + at / 86_400, at / 3600 % 24, at / 60 % 60, at % 60);
    let written = write!(
        text,
        "{{\"id\":\"{id:016x}\",\"user\":{{\"id\":{},\"name\":\"{name} {family}\"}},\"state\":\"{}\",\
         \"at\":\"2025-11-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z\",\"amount\":{}.{:02},\
         \"position\":[{:.6},{:.6}],\"quantity\":{},\"express\":{},\"note\":",
        random.u32(10_000..10_000_000),
        pick(&STATES, random),
        random.u32(..1000),
        random.u32(..2000),
        random.u32(..100),
        random.f64() * 180.0 - 90.0,
        random.f64() * 360.0 - 180.0,
        random.u32(1..12),
        random.bool(),
    );
    written.expect("writing to a string cannot fail");
    if random.u8(..3) == 0 {
        text.push_str("null}");
    } else {
        let words: Vec<_> = (0..random.usize(2..9)).map(|_| pick(&WORDS, random)).collect();
        write!(text, "\"{}\"}}", words.join(" ")).expect("writing to a string cannot fail");
    }
}
