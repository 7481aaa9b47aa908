//! The verdicts that others' recorded histories must get.
//!
//! They are not part of this repository. Where `SQUALL_HISTORIES` names their folder, or `shared/histories` lies beside the
//! workspace, they are judged; elsewhere there is nothing to check.

use std::env;
use std::fs;
use std::path::PathBuf;

use squall_checkers::history::{Format, read_file};
use squall_checkers::model::{Counter, Kv, Mutex, Register};
use squall_checkers::{Checker, History, Linearizable, Op, SetFull, Type, Valid};

fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let folder = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from);
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    println!("skipped: there are no foreign histories in {}", folder.display());
    None
}

fn checker(model: &str, claim: &str) -> Option<Box<dyn Checker>> {
    Some(match (model, claim) {
        ("cas-register", "linearizable") => Box::new(Linearizable::new(model, Register)),
        ("mutex", "linearizable") => Box::new(Linearizable::new(model, Mutex)),
        ("kv-append", "linearizable") => Box::new(Linearizable::new(model, Kv).independent()),
        ("counter", "counter") => Box::new(Linearizable::new(model, Counter)),
        ("set-full", "set-full") => Box::new(SetFull::new()),
        _ => return None,
    })
}

/// In the console logs of 2014 a cas that failed did so because the value differed: that is an observation.
fn with_mismatches(history: &History) -> History {
    let observed = |mut op: Op| {
        if op.kind == Type::Fail && op.f == "cas" {
            op.error = Some("cas-mismatch".into());
        }
        op
    };
    history.iter().map(|event| observed(event.to_op())).collect()
}

#[test]
fn foreign_histories_get_their_expected_verdicts() {
    let Some(folder) = folder() else { return };
    let table = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let (mut judged, mut wrong) = (0, Vec::new());
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [file, format, model, claim, holds] = columns[..] else { panic!("five columns: {row}") };
        let Some(checker) = checker(model, claim) else {
            if claim == "linearizable" {
                println!("skipped: {file}: there is no model {model}");
            }
            continue;
        };
        let parsed = match read_file(folder.join(file)) {
            Ok(parsed) => parsed,
            Err(e) => {
                wrong.push(format!("{file} ({format}) is not read: {e}"));
                continue;
            }
        };
        let mut history = parsed.history;
        if parsed.format == Format::JepsenLog {
            history = with_mismatches(&history);
        }
        let verdict = checker.check(&history);
        judged += 1;
        let expected = if holds == "true" { Valid::True } else { Valid::False };
        if verdict.valid != expected {
            wrong.push(format!("{file}: expected {expected:?}, got {verdict:?}"));
        }
        for anomaly in &verdict.anomalies {
            let witness: History = anomaly.witness.iter().map(|&at| history.get(at).to_op()).collect();
            let again = checker.check(&witness).valid;
            if again != Valid::False {
                wrong.push(format!("{file}: the witness of {} is {again:?}: {anomaly:?}", anomaly.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged >= 125, "{judged} were judged");
}
