//! The table of what shows which behaviour of servers is true.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("server/README.md");
const TESTS: &str = include_str!("server/mod.rs");

/// The tests that are run, as `module::test`.
fn tests() -> BTreeSet<String> {
    let (_, list) = TESTS.split_once("server_tests! { @ $harness;").expect("the list of tests");
    let (list, _) = list.split_once('}').expect("its end");
    let modules = list.split(';').filter_map(|module| module.split_once(':'));
    modules
        .flat_map(|(module, names)| {
            // What is in front of a name says where the test is run.
            let names = names.split(',').filter_map(|name| name.split_whitespace().last());
            names.map(move |name| format!("{}::{name}", module.trim()))
        })
        .collect()
}

#[test]
fn the_table_names_every_test_and_no_other() {
    let quoted = TABLE.split('`').skip(1).step_by(2);
    let named: BTreeSet<String> = quoted.filter(|name| name.contains("::")).map(str::to_owned).collect();
    let tests = tests();
    assert!(tests.len() > 50, "{tests:?}");
    // The way names are written is shown with one that is none.
    let named: BTreeSet<String> = named.into_iter().filter(|name| name != "module::test").collect();
    assert_eq!(named.symmetric_difference(&tests).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_table_has_a_line_for_every_row() {
    let rows: BTreeSet<&str> = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .flat_map(|(rows, _)| rows.split(", "))
        .collect();
    let wanted = |letter: char, numbers: std::ops::RangeInclusive<u8>| {
        numbers.map(move |number| format!("{letter}{number}"))
    };
    for row in
        wanted('E', 1..=11).chain(wanted('M', 1..=13)).chain(wanted('O', 1..=8)).chain(wanted('H', 4..=13))
    {
        assert!(rows.contains(&*row), "{row}");
    }
}
