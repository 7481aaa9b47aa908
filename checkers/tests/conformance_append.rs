//! List-append histories that others recorded get the verdict that their authors gave.
//!
//! See [`foreign`] for where they are.

#[path = "common/foreign.rs"]
mod foreign;

use squall_checkers::history::read_file;
use squall_checkers::{Append, AppendModel, Checker, Valid};

/// The model that decides a claim. A history that violates a weaker model than serializability violates that, too.
fn model(claim: &str, holds: bool) -> Option<AppendModel> {
    match claim {
        "strict-serializable" => Some(AppendModel::StrictSerializable),
        "strong-session-serializable" => Some(AppendModel::StrongSessionSerializable),
        "serializable" => Some(AppendModel::Serializable),
        "repeatable-read" | "snapshot-isolation" if !holds => Some(AppendModel::Serializable),
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
        if kind != "list-append" {
            continue;
        }
        let Some(model) = model(claim, holds == "true") else { continue };
        let parsed = read_file(path).unwrap_or_else(|e| panic!("{e}"));
        let verdict = Append::new(model).check(&parsed.history);
        println!("{file}, {claim}: {:?}, {}", verdict.valid, verdict.summary);
        let expected = if holds == "true" { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{file}: {verdict:#?}");
        judged += 1;
    }
    assert!(judged > 0, "the table has list-append histories");
}
