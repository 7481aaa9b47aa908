//! The verdicts that others' recorded histories must get.
//!
//! See [`foreign`] for where they are.

#[path = "common/foreign.rs"]
mod foreign;

use std::collections::BTreeSet;

use squall_checkers::history::{Format, read_file};
use squall_checkers::registry::{self, CheckerEntry, Facts};
use squall_checkers::{Checker, History, Valid};

/// The checker that decides a claim about a model.
fn checker(model: &str, claim: &str) -> Option<&'static str> {
    Some(match (model, claim) {
        ("cas-register", "linearizable") => "linearizable-register",
        ("kv-append", "linearizable") => "linearizable-kv",
        ("mutex", "linearizable") => "linearizable-mutex",
        ("queue", "linearizable") => "linearizable-queue",
        ("stack", "linearizable") => "linearizable-stack",
        ("list-append", "serializable") => "append-serializable",
        ("list-append", "snapshot-isolation") => "append-snapshot-isolation",
        ("list-append", "repeatable-read") => "append-repeatable-read",
        ("list-append", "strict-serializable") => "append",
        // Elle says so of a read of what nobody wrote.
        ("rw-register", "strict-serializable") => "rw-register-open",
        ("kv-txn", "read-committed") => "txn-read-committed",
        ("kv-txn", "read-atomic") => "txn-read-atomic",
        ("kv-txn", "causal") => "txn-causal",
        ("kv-txn", "snapshot-isolation") => "txn-snapshot-isolation",
        ("bank", "bank") => "bank",
        ("counter", "counter") => "counter",
        ("set-full", "set-full") => "set-full",
        _ => return None,
    })
}

fn entry(name: &str) -> Option<&'static CheckerEntry> {
    let named = |name: &str| registry::all().find(|entry| entry.name == name);
    named(name).or_else(|| named(name.strip_suffix("-full")?))
}

/// The table says that this file is not snapshot isolated. Elle's own test of it (`intermediate-sequential-extension-test`) says
/// that it is, and only breaks repeatable read: start 4, commit 2, start 7, start 9, and the other commits explain it.
const MISTAKEN: (&str, &str) = ("elle/si-without-g-single.edn", "snapshot-isolation");

/// What is wrong with the verdict, and with the witnesses of its anomalies.
fn wrong(checker: &dyn Checker, history: &History, expected: Valid) -> Vec<String> {
    let mut wrong = Vec::new();
    let verdict = checker.check(history);
    if verdict.valid != expected {
        wrong.push(format!("expected {expected:?}, got {verdict:?}"));
    }
    for anomaly in &verdict.anomalies {
        let again = checker.check(&history.witness(&anomaly.witness)).valid;
        if again != Valid::False {
            wrong.push(format!("the witness of {} is {again:?}: {anomaly:?}", anomaly.kind));
        }
    }
    wrong
}

#[test]
fn foreign_histories_get_their_expected_verdicts() {
    let rows = foreign::rows();
    let (mut judged, mut bad, mut missing) = (0, Vec::new(), BTreeSet::new());
    for (path, [file, format, model, claim, holds]) in &rows {
        let parsed = match read_file(path) {
            Ok(parsed) => parsed,
            Err(e) => {
                bad.push(format!("{file} is not read: {e}"));
                continue;
            }
        };
        if Format::from_name(format) != Some(parsed.format) {
            bad.push(format!("{file}: expected {format}, recognised as {}", parsed.format));
        }
        let Some(name) = checker(model, claim) else {
            bad.push(format!("{file}: no checker decides {model}, {claim}"));
            continue;
        };
        let Some(entry) = entry(name) else {
            missing.insert(name);
            continue;
        };
        judged += 1;
        let expected = match holds.as_str() {
            _ if (file.as_str(), claim.as_str()) == MISTAKEN => Valid::True,
            "true" => Valid::True,
            _ => Valid::False,
        };
        let checker = (entry.build)(&Facts::of(&parsed.history));
        let found = wrong(checker.as_ref(), &parsed.history, expected);
        bad.extend(found.into_iter().map(|what| format!("{file}, {name}: {what}")));
    }
    println!("{judged} of {} rows judged", rows.len());
    assert!(missing.is_empty(), "there are no checkers {missing:?}");
    assert!(bad.is_empty(), "{} of {judged}:\n{}", bad.len(), bad.join("\n"));
}
