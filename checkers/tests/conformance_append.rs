//! List-append histories that others recorded get the verdict that their authors gave.
//!
//! They are not part of this repository. Where `SQUALL_HISTORIES` names their folder, or `shared/histories` lies beside the
//! workspace, they are read; elsewhere there is nothing to check.

use std::path::PathBuf;
use std::{env, fs};

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
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let folder = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from);
    let Ok(table) = fs::read_to_string(folder.join("expected.tsv")) else {
        println!("skipped: there are no foreign histories in {}", folder.display());
        return;
    };
    let mut judged = 0;
    for row in table.lines().skip(1) {
        let [file, _, "list-append", claim, holds] = row.split('\t').collect::<Vec<_>>()[..] else {
            continue;
        };
        let Some(model) = model(claim, holds == "true") else { continue };
        let parsed = read_file(folder.join(file)).unwrap_or_else(|e| panic!("{e}"));
        let verdict = Append::new(model).check(&parsed.history);
        println!("{file}, {claim}: {:?}, {}", verdict.valid, verdict.summary);
        let expected = if holds == "true" { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{file}: {verdict:#?}");
        judged += 1;
    }
    assert!(judged > 0, "the table has list-append histories");
}
