//! Histories of transactions that others recorded get the verdict that their authors gave.
//!
//! See [`foreign`] for where they are.

#[path = "common/foreign.rs"]
mod foreign;

use squall_checkers::history::read_file;
use squall_checkers::{Append, Checker, Consistency, RwRegister, Valid};

/// The checker of a row.
fn checker(kind: &str, claim: &str) -> Option<Box<dyn Checker>> {
    let model = Consistency::from_name(claim)?;
    match kind {
        "list-append" => Some(Box::new(Append::new(model))),
        "rw-register" => Some(Box::new(RwRegister::new(model))),
        _ => None,
    }
}

#[test]
fn the_verdicts_are_those_of_the_authors() {
    let rows = foreign::rows();
    if rows.is_empty() {
        return;
    }
    let mut judged = 0;
    for (path, [file, _, kind, claim, holds]) in &rows {
        let Some(checker) = checker(kind, claim) else { continue };
        let parsed = read_file(path).unwrap_or_else(|e| panic!("{e}"));
        let verdict = checker.check(&parsed.history);
        println!("{file}, {claim}: {:?}, {}", verdict.valid, verdict.summary);
        let expected = if holds == "true" { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{file}: {verdict:#?}");
        judged += 1;
    }
    assert!(judged >= 5, "{judged} were judged");
}
