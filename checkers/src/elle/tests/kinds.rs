//! Each anomaly by name, and in words.

use super::*;
use crate::{Anomaly, Valid};
use serde_json::json;

/// Edges form a cycle.
pub(super) fn closes(anomaly: &Anomaly) {
    for (at, edge) in anomaly.edges.iter().enumerate() {
        assert_eq!(edge.to, anomaly.edges[(at + 1) % anomaly.edges.len()].from, "{anomaly:#?}");
    }
}

fn kinds(history: &History) -> Vec<String> {
    let verdict = Append::default().check(history);
    verdict.anomalies.iter().map(|anomaly| anomaly.kind.clone()).collect()
}

#[test]
fn each_anomaly_has_its_name() {
    let cases = [
        ("internal", one_by_one(&[json!([["append", 0, 1], ["r", 0, []]])])),
        ("future-read", one_by_one(&[json!([["r", 0, [1]], ["append", 0, 1]])])),
        ("thin-air-read", one_by_one(&[json!([["r", 0, [9]]])])),
        ("duplicate-elements", one_by_one(&[json!([["append", 0, 1]]), json!([["r", 0, [1, 1]]])])),
        (
            "incompatible-order",
            at_once(&[
                json!([["append", 0, 1]]),
                json!([["append", 0, 2]]),
                json!([["r", 0, [1, 2]]]),
                json!([["r", 0, [2, 1]]]),
            ]),
        ),
        ("G1b G-single", at_once(&[json!([["append", 0, 1], ["append", 0, 2]]), json!([["r", 0, [1]]])])),
        (
            "reordered-append G-single",
            at_once(&[json!([["append", 0, 1], ["append", 0, 2]]), json!([["r", 0, [2]]])]),
        ),
        ("lost-append", one_by_one(&[json!([["append", 0, 1]]), json!([["r", 0, []]])])),
        (
            "G0",
            at_once(&[
                json!([["append", 0, 1], ["append", 1, 1]]),
                json!([["append", 0, 2], ["append", 1, 2]]),
                json!([["r", 0, [1, 2]]]),
                json!([["r", 1, [2, 1]]]),
            ]),
        ),
        (
            "G1c",
            at_once(&[json!([["append", 0, 1], ["r", 1, [2]]]), json!([["append", 1, 2], ["r", 0, [1]]])]),
        ),
        (
            "G-single",
            at_once(&[
                json!([["append", 0, 1], ["append", 1, 1]]),
                json!([["r", 0, [1]], ["r", 1, []]]),
                json!([["r", 1, [1]]]),
            ]),
        ),
        (
            "G2-item",
            at_once(&[json!([["append", 0, 1], ["r", 1, []]]), json!([["append", 1, 1], ["r", 0, []]])]),
        ),
        (
            "G-single-realtime",
            one_by_one(&[json!([["append", 0, 1]]), json!([["r", 0, []]]), json!([["r", 0, [1]]])]),
        ),
    ];
    for (kind, history) in cases {
        assert_eq!(kinds(&history).join(" "), kind, "{:#?}", Append::default().check(&history));
    }
}

#[test]
fn a_cycle_in_one_process_has_its_own_name() {
    let events: Vec<_> = [json!([["append", 0, 1]]), json!([["r", 0, []]])]
        .iter()
        .flat_map(|txn| [(7, Type::Invoke, txn.clone()), (7, Type::Ok, txn.clone())])
        .chain([(8, Type::Invoke, json!([["r", 0, null]])), (8, Type::Ok, json!([["r", 0, [1]]]))])
        .collect();
    assert_eq!(kinds(&history(&events)), ["G-single-process"]);
    let weak = Append::new(Consistency::Serializable).check(&history(&events));
    assert_eq!(weak.valid, Valid::True);
}

/// A process went on after an operation of unknown outcome, which others than Jepsen do: what came after was of the same
/// session for Elle's edges and for the isolation levels, so that a valid history was invalid, while the searches began a new one.
#[test]
fn an_operation_of_unknown_outcome_ends_its_session() {
    use crate::{Isolation, IsolationLevel, Polygraph, PolygraphModel};
    // Real time would order the sessions: no model here asks for it.
    let of = |write: &str, unread: Value, crash: Option<Value>| {
        let wrote = json!([[write, 0, 1]]);
        let events = [(0, Type::Invoke, wrote.clone()), (0, Type::Ok, wrote)];
        let crashes =
            crash.into_iter().flat_map(|txn| [(0, Type::Invoke, txn.clone()), (0, Type::Info, txn)]);
        let read = [(0, Type::Invoke, json!([["r", 0, null]])), (0, Type::Ok, json!([["r", 0, unread]]))];
        history(&events.into_iter().chain(crashes).chain(read).collect::<Vec<_>>())
    };
    let model = Consistency::StrongSessionSerializable;
    let lists: [Box<dyn Checker>; 1] = [Box::new(Append::new(model))];
    let registers: [Box<dyn Checker>; 3] = [
        Box::new(RwRegister::new(model)),
        Box::new(Isolation::new(IsolationLevel::Causal)),
        Box::new(Polygraph::new(PolygraphModel::Serializable)),
    ];
    for (checkers, write, unread) in [(&lists[..], "append", json!([])), (&registers, "w", json!(null))] {
        for checker in checkers {
            let valid = |crash: Option<Value>| checker.check(&of(write, unread.clone(), crash)).valid;
            assert_eq!(valid(None), Valid::False, "{}", checker.name());
            assert_eq!(valid(Some(json!([["r", 1, null]]))), Valid::True, "{}", checker.name());
            assert_eq!(valid(Some(json!([[write, 1, 2]]))), Valid::True, "{}", checker.name());
        }
    }
    // The operation that the next one is in doubt about was read: it is in its session, and nothing comes after it there.
    let seen: Vec<_> = [json!([["append", 0, 1]]), json!([["append", 1, 1]])]
        .into_iter()
        .zip([Type::Ok, Type::Info])
        .flat_map(|(txn, kind)| [(0, Type::Invoke, txn.clone()), (0, kind, txn)])
        .chain([(0, Type::Invoke, json!([["r", 0, []]])), (0, Type::Ok, json!([["r", 0, []]]))])
        .chain([(1, Type::Invoke, json!([["r", 1, [1]]])), (1, Type::Ok, json!([["r", 1, [1]]]))])
        .collect();
    assert_eq!(Append::new(model).check(&history(&seen)).valid, Valid::True);
}

/// No execution of snapshot isolation explains these, whatever the order of the two appends that nobody read, and yet nothing is
/// found: the verdict was valid without a word that this is not the whole truth.
#[test]
fn a_verdict_that_is_not_complete_says_so() {
    let txns = [
        json!([["append", "a", 1], ["r", "b", []], ["append", "b", 2]]),
        json!([["r", "a", [1]], ["append", "a", 3]]),
        json!([["append", "b", 4], ["r", "a", []]]),
    ];
    let says = |model, txns: &[Value]| {
        let verdict = Append::new(model).check(&at_once(txns));
        assert_eq!(verdict.valid, Valid::True, "{verdict:#?}");
        verdict.stats.get("not complete").map(|told| told.as_str().unwrap().to_owned())
    };
    let told = says(Consistency::SnapshotIsolation, &txns).unwrap();
    assert!(told.starts_with("nobody read what several transactions appended to key \"b\""), "{told}");
    assert!(says(Consistency::ParallelSnapshotIsolation, &txns).is_some());
    assert_eq!(says(Consistency::SnapshotIsolation, &txns[..2]), None, "one unread append for each key");
    let blind = [json!([["append", "a", 1]]), json!([["append", "a", 2]])];
    assert_eq!(says(Consistency::Serializable, &blind), None, "exact");
}

#[test]
fn an_aborted_append_is_dirty_when_another_builds_upon_it() {
    let (first, second, read) =
        (json!([["append", 0, 1]]), json!([["append", 0, 2]]), json!([["r", 0, [1, 2]]]));
    let history = history(&[
        (0, Type::Invoke, first.clone()),
        (0, Type::Fail, first),
        (1, Type::Invoke, second.clone()),
        (1, Type::Ok, second),
        (2, Type::Invoke, json!([["r", 0, null]])),
        (2, Type::Ok, read),
    ]);
    assert_eq!(kinds(&history), ["dirty-update", "G1a"]);
}

#[test]
fn a_stale_read_is_told_as_a_cycle_with_its_keys_and_times() {
    let history = one_by_one(&[json!([["append", 3, 1]]), json!([["r", 3, []]]), json!([["r", 3, [1]]])]);
    let verdict = Append::default().check(&history);
    let anomaly = &verdict.anomalies[0];
    assert_eq!(
        anomaly.steps,
        [
            "process 1's transaction of 0.400 s read key 3 without 1 of key 3, \
             which process 0's transaction of 0.200 s appended",
            "process 0's transaction of 0.200 s had completed before process 1's transaction of 0.400 s began",
        ]
    );
    assert_eq!(anomaly.witness, [1, 3, 5], "with the read that tells the order");
    let edges: Vec<_> = anomaly.edges.iter().map(|e| (e.from, e.to, e.kind.as_str())).collect();
    assert_eq!(edges, [(3, 1, "rw"), (1, 3, "real time")]);
}

#[test]
fn a_value_appended_twice_is_unknown_unless_something_else_is_wrong() {
    let twice = [json!([["append", 0, 1]]), json!([["append", 0, 1]]), json!([["r", 0, [1, 1]]])];
    let verdict = Append::default().check(&one_by_one(&twice));
    assert_eq!(
        (verdict.valid, verdict.reason.as_deref()),
        (Valid::Unknown, Some("events 0 and 2 both write 1 to key 0; write each value to a key once"))
    );
    let more = [&twice[..], &[json!([["append", 1, 1], ["r", 1, []]])]].concat();
    assert_eq!(kinds(&one_by_one(&more)), ["internal"]);
}

#[test]
fn malformed_transactions_are_a_reason_and_no_panic() {
    for value in [json!(null), json!([["w", 0, 1]]), json!([["append", 0]]), json!([["r", 0, 5]]), json!([3])]
    {
        let events = [(0, Type::Invoke, value.clone()), (0, Type::Ok, value)];
        let verdict = Append::default().check(&history(&events));
        assert_eq!(verdict.valid, Valid::Unknown, "{verdict:?}");
        assert!(verdict.reason.unwrap().starts_with("event "));
    }
    let other: History = [Op::new("read"), Op::new("read").kind(Type::Ok)].into_iter().collect();
    assert_eq!(Append::default().check(&other).valid, Valid::True);
}
