//! Keeps docs/requirements.md true: the tests it names exist, and each test is named in its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A test, as the document writes it: `path/to/file.rs::name`.
type Test = String;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the rows of the document and the tests that each of them names.
fn rows() -> BTreeMap<String, BTreeSet<Test>> {
    let document = fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in document.lines() {
        let Some((row, rest)) = line.strip_prefix("| ").and_then(|line| line.split_once(" |")) else {
            continue;
        };
        if row == "Row" {
            continue;
        }
        let quoted = rest.split('`').skip(1).step_by(2);
        let tests = quoted.filter(|quoted| quoted.contains(".rs::")).map(str::to_owned).collect();
        assert!(rows.insert(row.to_lowercase(), tests).is_none(), "{row} has two lines");
    }
    rows
}

/// Returns the rows at the start of a test's name: `h3` and `t8` for `h3_t8_it_works`.
fn prefixes(name: &str) -> Vec<&str> {
    let is_row = |part: &&str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_ascii_lowercase())
            && part.len() > 1
            && chars.all(|c| c.is_ascii_digit())
    };
    name.split('_').take_while(is_row).collect()
}

/// Collects the tests in the files below `folder`.
fn collect(folder: &Path, found: &mut BTreeSet<Test>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") {
            let file = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            let text = fs::read_to_string(&path).unwrap();
            found.extend(tests(&text).into_iter().map(|test| format!("{file}::{test}")));
        }
    }
}

/// Returns the names of the functions with a `test` attribute.
fn tests(text: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if ["#[test]", "#[tokio::test"].iter().any(|attribute| line.starts_with(attribute)) {
            is_test = true;
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| is_test) {
            tests.extend(name.split_once('(').map(|(name, _)| name));
            is_test = false;
        }
    }
    tests
}

fn all_tests() -> BTreeSet<Test> {
    let mut found = BTreeSet::new();
    collect(&root(), &mut found);
    found
}

#[test]
fn every_test_named_in_the_document_exists() {
    let found = all_tests();
    let rows = rows();
    let named: BTreeSet<&Test> = rows.values().flatten().collect();
    assert!(named.len() > 100, "the document names only {} tests", named.len());
    let missing: Vec<_> = named.into_iter().filter(|test| !found.contains(*test)).collect();
    assert!(missing.is_empty(), "docs/requirements.md names tests that do not exist: {missing:#?}");
}

#[test]
fn every_test_with_a_row_in_its_name_is_named_in_that_row() {
    let rows = rows();
    let mut missing = Vec::new();
    for test in all_tests() {
        let (_, name) = test.split_once("::").unwrap();
        for row in prefixes(name) {
            if !rows.get(row).is_some_and(|tests| tests.contains(&test)) {
                missing.push(format!("{}: {test}", row.to_uppercase()));
            }
        }
    }
    assert!(missing.is_empty(), "add these tests to their rows in docs/requirements.md: {missing:#?}");
}
