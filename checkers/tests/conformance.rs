//! The verdicts that others' recorded histories must get.
//!
//! See [`foreign`] for where they are.

#[path = "common/foreign.rs"]
mod foreign;

use squall_checkers::history::read_file;
use squall_checkers::model::{Kv, Mutex, Register};
use squall_checkers::{Checker, History, Linearizable, SetFull, Valid, domain};

fn checker(model: &str, claim: &str) -> Option<Box<dyn Checker>> {
    Some(match (model, claim) {
        ("cas-register", "linearizable") => Box::new(Linearizable::new(model, Register)),
        ("mutex", "linearizable") => Box::new(Linearizable::new(model, Mutex)),
        ("kv-append", "linearizable") => Box::new(Linearizable::new(model, Kv).independent()),
        ("counter", "counter") => Box::new(domain::Counter::new()),
        ("bank", "bank") => Box::new(domain::Bank::new()),
        ("set-full", "set-full") => Box::new(SetFull::new()),
        _ => return None,
    })
}

#[test]
fn foreign_histories_get_their_expected_verdicts() {
    let rows = foreign::rows();
    if rows.is_empty() {
        return;
    }
    let (mut judged, mut wrong) = (0, Vec::new());
    for (path, [file, format, model, claim, holds]) in &rows {
        let Some(checker) = checker(model, claim) else {
            if claim == "linearizable" {
                println!("skipped: {file}: there is no model {model}");
            }
            continue;
        };
        let parsed = match read_file(path) {
            Ok(parsed) => parsed,
            Err(e) => {
                wrong.push(format!("{file} ({format}) is not read: {e}"));
                continue;
            }
        };
        let history = parsed.history;
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
