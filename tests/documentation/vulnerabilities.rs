//! The manual module quotes tests; they have to be there.

use super::{files, read};

#[test]
fn every_test_that_the_manual_names_exists() {
    let mut sources = String::new();
    for path in files("src", ".rs").into_iter().chain(files("tests", ".rs")) {
        sources += &std::fs::read_to_string(path).unwrap();
    }
    let manual = read("src/manual/vulnerabilities.rs");
    // In each item, what stands between backticks behind 'Test:' or 'Tests:'.
    let items = manual.split("\n//! * ").skip(1).filter_map(|item| item.split_once("//!   Test"));
    let quoted = items.flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2));
    let quoted: Vec<&str> = quoted.collect();
    assert!(quoted.len() >= 55, "only {} were found", quoted.len());
    let missing: Vec<&&str> =
        quoted.iter().filter(|name| !sources.contains(&format!("fn {name}()"))).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}

/// Every advisory of the list names a test.
#[test]
fn every_vulnerability_has_a_test() {
    let manual = read("src/manual/vulnerabilities.rs");
    for item in manual.split("\n//! * ").skip(1) {
        assert!(item.contains("//!   Test"), "no test is named for: {item}");
    }
}
