use super::oracle;
use super::*;
use crate::registers::tiny::{self, Tiny};
use crate::testing::Random;
use crate::{Op, Process, Type, Valid};
use Type::{Fail, Info, Invoke, Ok};
use serde_json::json;

const MODELS: [CausalModel; 4] = [CausalModel::Cc, CausalModel::Ccv, CausalModel::Cm, CausalModel::Pram];

/// Whether a model holds of a history in which no read is ambiguous.
pub(crate) fn holds(kv: &Sessions, model: CausalModel) -> bool {
    let found = Causal::new(model).examine(kv, &Budget::default()).unwrap();
    assert_eq!(found.unfinished, None);
    found.patterns.is_empty()
}

fn judge(model: CausalModel, history: &History) -> Valid {
    Causal::new(model).check(history).valid
}

fn agrees(ops: &[Tiny], expected: impl Fn(CausalModel) -> bool) {
    let history = tiny::record(ops);
    for model in MODELS {
        let verdict = Causal::new(model).check(&history);
        let valid = if expected(model) { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, valid, "{model:?} {ops:?} {verdict:?}");
        for anomaly in &verdict.anomalies {
            assert!(!anomaly.witness.is_empty() && !anomaly.sentence.is_empty());
            if ops.len() > 6 {
                continue;
            }
            let cut = tiny::cut(&history, &anomaly.witness);
            assert_eq!(judge(model, &cut), Valid::False, "{model:?} {ops:?} {anomaly:?}");
        }
    }
}

#[test]
fn every_history_of_four_operations_agrees_with_the_definitions() {
    let mut count = 0;
    for shape in tiny::SHAPES {
        let orders = oracle::partial_orders(shape.len());
        let mut visit = |ops: &[Tiny]| {
            count += 1;
            agrees(ops, |model| oracle::holds(model, ops, &orders));
        };
        tiny::every(shape, 2, false, &mut visit);
        tiny::every(shape, 1, true, &mut visit);
    }
    println!("{count} histories of up to 4 operations");
    assert!(count > 10_000, "{count}");
}

#[test]
fn random_histories_of_five_operations_agree_with_every_causal_order() {
    let orders = oracle::partial_orders(5);
    assert_eq!(orders.len(), 4231);
    let mut rng = Random(5);
    for _ in 0..400 {
        let ops = tiny::random(&mut rng, 5);
        agrees(&ops, |model| oracle::holds(model, &ops, &orders));
    }
}

#[test]
fn random_histories_of_up_to_seven_operations_agree_with_the_least_causal_order() {
    let mut rng = Random(8);
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..100_000 {
        let ops = tiny::random(&mut rng, 4 + round % 4);
        let least = oracle::least_order(&ops);
        let holds = |model| match model {
            CausalModel::Pram => oracle::holds_with(model, &ops, &[0; 8]),
            _ => least.as_ref().is_some_and(|co| oracle::holds_with(model, &ops, co)),
        };
        if round % 8 == 0 {
            agrees(&ops, holds);
        } else {
            let history = tiny::record(&ops);
            let budget = Budget::default();
            let kv = registers::resolve(&history, true, &budget).unwrap();
            for model in MODELS {
                let found = Causal::new(model).examine(&kv, &budget).unwrap();
                assert_eq!(found.patterns.is_empty(), holds(model), "{model:?} {ops:?} {found:?}");
            }
        }
        let [cc, ccv, cm, pram] = MODELS.map(holds);
        assert!(cc || !(ccv || cm), "CCv and CM each imply CC");
        assert!(pram || !cm, "CM implies PRAM");
        assert!(!oracle::sequential(&ops) || (ccv && cm), "sequential consistency implies all");
        *seen.entry((cc, ccv, cm, pram)).or_insert(0) += 1;
    }
    println!("100000 random histories, of each verdict {seen:?}");
    assert!(seen.len() >= 4 && seen.len() >= 5, "the verdicts are mixed: {seen:?}");
}

fn read(session: usize, key: usize, value: u8) -> Tiny {
    Tiny { session, key, read: Some(value), write: None }
}

fn write(session: usize, key: usize, value: u8) -> Tiny {
    Tiny { session, key, read: None, write: Some(value) }
}

/// The examples of POPL 2017, figure 3.
#[test]
fn the_models_differ_as_in_the_paper() {
    let cases: [(&[Tiny], [bool; 4]); 4] = [
        (&[write(0, 0, 1), write(1, 0, 2), read(0, 0, 2), read(1, 0, 1)], [true, false, true, true]),
        (
            &[
                write(0, 2, 1),
                write(0, 0, 1),
                write(0, 1, 1),
                write(1, 0, 2),
                read(1, 2, 0),
                read(1, 1, 1),
                read(1, 0, 2),
            ],
            [true, true, false, false],
        ),
        (&[write(0, 0, 1), write(1, 0, 2), read(1, 0, 1), read(1, 0, 2)], [true, false, false, false]),
        (
            &[write(0, 0, 1), write(0, 1, 1), read(1, 1, 1), write(1, 0, 2), read(2, 0, 2), read(2, 0, 1)],
            [false, false, false, true],
        ),
    ];
    for (ops, expected) in cases {
        agrees(ops, |model| expected[MODELS.iter().position(|&m| m == model).unwrap()]);
    }
}

/// The last read puts 3 before 6, and with it 2 into the past of the second read of 5; that puts 2 before 5, and with it
/// 1 into the past of the read of the initial value.
#[test]
fn a_late_read_can_change_what_an_early_one_knew() {
    let (x, y, z, k) = (0, 1, 2, 3);
    let mut ops = vec![
        write(0, z, 1),
        write(0, y, 2),
        write(0, x, 3),
        write(0, k, 4),
        write(1, y, 5),
        write(2, x, 6),
        read(3, y, 5),
        read(3, z, 0),
        read(3, x, 6),
        read(3, y, 5),
        read(3, k, 4),
        read(3, x, 6),
    ];
    agrees(&ops, |model| !matches!(model, CausalModel::Cm | CausalModel::Pram));
    let verdict = Causal::new(CausalModel::Cm).check(&tiny::record(&ops));
    assert_eq!(verdict.anomalies[0].kind, "write-hb-init-read");
    ops.remove(9);
    agrees(&ops, |_| true);
}

fn event(process: u32, kind: Type, f: &'static str, value: serde_json::Value) -> Op {
    Op::new(f).process(Process::Client(process)).kind(kind).value(value)
}

fn history(events: &[(u32, Type, &'static str, serde_json::Value)]) -> History {
    let mut time = 0;
    events
        .iter()
        .map(|(process, kind, f, value)| {
            time += 1_000_000;
            event(*process, *kind, f, value.clone()).at(time)
        })
        .collect()
}

#[test]
fn an_overwritten_value_is_told_in_a_sentence_with_its_edges() {
    let verdict = Causal::new(CausalModel::Cc).check(&history(&[
        (1, Invoke, "write", json!([2, 7])),
        (1, Ok, "write", json!([2, 7])),
        (1, Invoke, "write", json!([2, 9])),
        (1, Ok, "write", json!([2, 9])),
        (3, Invoke, "read", json!([2, null])),
        (3, Ok, "read", json!([2, 9])),
        (3, Invoke, "read", json!([2, null])),
        (3, Ok, "read", json!([2, 7])),
    ]));
    let [anomaly] = verdict.anomalies.as_slice() else { panic!("{verdict:#?}") };
    assert_eq!(anomaly.kind, "write-co-read");
    assert_eq!(
        anomaly.sentence,
        "process 3 read 7 from key 2 at 0.008 s after reading 9, although 7 was causally overwritten by 9"
    );
    assert_eq!((anomaly.witness.as_slice(), anomaly.key.as_ref()), (&[1, 3, 5, 7][..], Some(&json!(2))));
    let edges: Vec<_> = anomaly.edges.iter().map(|e| (e.from, e.to, e.kind.as_str())).collect();
    assert_eq!(edges, [(1, 3, "session order"), (3, 7, "causal"), (1, 7, "reads from")]);
}

#[test]
fn a_write_of_unknown_outcome_counts_only_if_it_was_read() {
    // Unread, it may never have happened: the second read of null stands.
    let unread = [
        (0, Invoke, "write", json!(1)),
        (0, Info, "write", json!(1)),
        (1, Invoke, "read", json!(null)),
        (1, Ok, "read", json!(null)),
    ];
    let mut seen = unread.to_vec();
    seen.splice(2..2, [(1, Invoke, "read", json!(null)), (1, Ok, "read", json!(1))]);
    for model in MODELS {
        assert_eq!(judge(model, &history(&unread)), Valid::True);
        assert_eq!(judge(model, &history(&seen)), Valid::False, "{model:?}");
    }
}

#[test]
fn a_cas_of_unknown_outcome_that_was_read_makes_its_old_value_count() {
    let verdict = Causal::new(CausalModel::Cc).check(&history(&[
        (0, Invoke, "write", json!(1)),
        (0, Info, "write", json!(1)),
        (1, Invoke, "cas", json!([1, 2])),
        (1, Info, "cas", json!([1, 2])),
        (2, Invoke, "read", json!(null)),
        (2, Ok, "read", json!(2)),
        (2, Invoke, "read", json!(null)),
        (2, Ok, "read", json!(1)),
    ]));
    assert_eq!(verdict.anomalies[0].kind, "write-co-read", "{verdict:#?}");
}

/// The witness was the cas alone, which is valid: a cas of unknown outcome counts only because its value was read, here by
/// another such cas, the value of which was read by an acknowledged operation.
#[test]
fn a_cas_of_unknown_outcome_that_read_what_nobody_wrote_is_shown_with_its_readers() {
    let events = [
        (0, Invoke, "cas", json!([5, 6])),
        (0, Info, "cas", json!([5, 6])),
        (1, Invoke, "cas", json!([6, 7])),
        (1, Info, "cas", json!([6, 7])),
        (2, Invoke, "write", json!(9)),
        (2, Ok, "write", json!(9)),
        (3, Invoke, "read", json!(null)),
        (3, Ok, "read", json!(7)),
    ];
    for model in MODELS {
        let history = history(&events);
        let verdict = Causal::new(model).check(&history);
        let [anomaly] = verdict.anomalies.as_slice() else { panic!("{model:?} {verdict:#?}") };
        assert_eq!((anomaly.kind.as_str(), anomaly.witness.as_slice()), ("thin-air-read", &[0, 2, 7][..]));
        assert_eq!(judge(model, &history.witness(&anomaly.witness)), Valid::False, "{model:?}");
    }
}

#[test]
fn an_operation_of_unknown_outcome_ends_its_session() {
    // The write may take effect after the read that the same process id made next.
    let events = [
        (0, Invoke, "write", json!(1)),
        (0, Info, "write", json!(1)),
        (0, Invoke, "read", json!(null)),
        (0, Ok, "read", json!(null)),
        (1, Invoke, "read", json!(null)),
        (1, Ok, "read", json!(1)),
    ];
    assert_eq!(MODELS.map(|model| judge(model, &history(&events))), [Valid::True; 4]);
}

#[test]
fn a_read_of_a_failed_write_is_aborted_and_the_advice_says_when_info_would_do() {
    let events = [
        (0, Invoke, "write", json!([0, 1])),
        (0, Fail, "write", json!([0, 1])),
        (1, Invoke, "read", json!([0, null])),
        (1, Ok, "read", json!([0, 1])),
    ];
    let verdict = Causal::new(CausalModel::Cm).check(&history(&events));
    let anomaly = &verdict.anomalies[0];
    assert_eq!((anomaly.kind.as_str(), anomaly.witness.as_slice()), ("aborted-read", &[0, 3][..]));
    assert!(anomaly.steps.iter().any(|step| step.contains("info")), "{anomaly:#?}");
    let worse: Vec<_> = events
        .into_iter()
        .chain([(1, Invoke, "read", json!([0, null])), (1, Ok, "read", json!([0, null]))])
        .collect();
    let verdict = Causal::new(CausalModel::Cm).check(&history(&worse));
    assert!(!verdict.anomalies[0].steps.iter().any(|step| step.contains("info")));
}

#[test]
fn two_writes_of_a_value_are_unknown_only_where_they_matter() {
    let twice = [
        (0, Invoke, "write", json!([0, 1])),
        (0, Ok, "write", json!([0, 1])),
        (1, Invoke, "write", json!([0, 1])),
        (1, Ok, "write", json!([0, 1])),
    ];
    let then = |more: &[(u32, Type, &'static str, serde_json::Value)]| {
        Causal::new(CausalModel::Cc).check(&history(&[&twice[..], more].concat()))
    };
    assert_eq!(then(&[]).valid, Valid::True);
    let read = [(2, Invoke, "read", json!([0, null])), (2, Ok, "read", json!([0, 1]))];
    let verdict = then(&read);
    assert_eq!(verdict.valid, Valid::Unknown);
    assert_eq!(
        verdict.reason.as_deref(),
        Some("event 5 read 1 from key 0, which events 0 and 2 both wrote; write each value to a key once")
    );
    let stale = [(1, Invoke, "read", json!([0, null])), (1, Ok, "read", json!([0, null]))];
    assert_eq!(then(&[&read[..], &stale[..]].concat()).valid, Valid::False);
    // A read that ended before the second write began saw the first.
    let early = [&twice[..2], &read[..], &twice[2..]].concat();
    assert_eq!(judge(CausalModel::Cc, &history(&early)), Valid::True);
    // A write of the initial value makes reads of it ambiguous.
    let null = [(0, Invoke, "write", json!([0, null])), (0, Ok, "write", json!([0, null]))];
    let verdict = Causal::new(CausalModel::Cc).check(&history(&[&null[..], &stale[..]].concat()));
    assert!(verdict.reason.unwrap().contains("initial value"));
}

#[test]
fn values_that_do_not_fit_are_a_reason_and_no_panic() {
    let odd: [&[(u32, Type, &'static str, serde_json::Value)]; 5] = [
        &[(0, Invoke, "cas", json!(5)), (0, Ok, "cas", json!(5))],
        &[(0, Invoke, "write", json!([1, 2])), (1, Invoke, "write", json!(3))],
        &[(0, Invoke, "write", json!([1, 2])), (1, Invoke, "cas", json!([1, 2]))],
        &[(0, Ok, "read", json!([1, 2])), (1, Ok, "read", json!({"a": 1}))],
        &[
            (0, Invoke, "write", json!([1, 2])),
            (0, Info, "write", json!([1, 2])),
            (1, Fail, "write", json!([1])),
        ],
    ];
    for (case, events) in odd.iter().enumerate() {
        let verdict = Causal::new(CausalModel::Cm).check(&history(events));
        let expected = if case == 4 { Valid::True } else { Valid::Unknown };
        assert_eq!(
            (verdict.valid, verdict.reason.is_some()),
            (expected, case < 4),
            "case {case}: {verdict:?}"
        );
    }
    assert_eq!(MODELS.map(|model| judge(model, &History::new())), [Valid::True; 4]);
}

#[test]
fn the_caps_give_unknown_with_the_reason() {
    let ops = [write(0, 0, 1), write(1, 0, 2), read(0, 0, 2), read(1, 0, 1)];
    let history = tiny::record(&ops);
    let verdict = Causal::new(CausalModel::Cc).check_within(&history, &Budget::default().memory_bytes(300));
    assert!(verdict.reason.unwrap().contains("memory cap"));
    let verdict = Causal::new(CausalModel::Cm).work_cap(0).check(&history);
    assert!(verdict.reason.unwrap().contains("0 of 2 sessions decided"));
}
