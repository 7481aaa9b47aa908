//! The engines against each other, and what they need.

use super::*;

/// Events after which a search over frontiers is given up.
const FRONTIERS: u64 = 20_000;

/// What the search with learning says, and that over frontiers where there is one. Counts the decisions of the first.
fn both(problem: &Problem, model: PolygraphModel, decisions: &mut u64) -> (bool, Option<bool>) {
    let budget = Budget::default();
    let decision = decide(problem, model, u64::MAX, &budget).unwrap();
    let holds = decision.answer == Answer::Holds;
    *decisions += decision.decisions;
    if model == PolygraphModel::ParallelSnapshotIsolation {
        return (holds, None);
    }
    // Without what the known graph implies, so that they have as little as may be in common.
    let mut known = known::Known::new(problem, model, &budget).unwrap();
    if !known.carry(&budget).unwrap() {
        return (holds, Some(false));
    }
    let frontiers = frontier::Frontier::new(&known).search(FRONTIERS, &budget).unwrap();
    (holds, frontiers)
}

#[test]
fn both_engines_agree_on_random_histories() {
    let (decisions, given_up) = (AtomicU64::new(0), AtomicU64::new(0));
    let rounds = 100_000;
    let held = each(rounds, 2, |rng| {
        let count = size(rng);
        let txns = nearly(rng, count, Mops::Any);
        let problem = problem(&oracle::record(&txns));
        let holds = MODELS.map(|model| {
            let mut made = 0;
            let (holds, other) = both(&problem, model, &mut made);
            decisions.fetch_add(made, Ordering::Relaxed);
            let parallel = model == PolygraphModel::ParallelSnapshotIsolation;
            given_up.fetch_add(u64::from(other.is_none() && !parallel), Ordering::Relaxed);
            assert!(other.is_none_or(|other| other == holds), "{model:?} {holds} {txns:#?}");
            holds
        });
        let [strict, serial, snapshot, parallel, prefix] = holds;
        assert!(
            (!strict || serial) && (!serial || snapshot) && (!snapshot || parallel && prefix),
            "{txns:#?}"
        );
        holds
    });
    let [decisions, given_up] = [decisions.into_inner(), given_up.into_inner()];
    println!(
        "{rounds} histories of 10 to 60 transactions by 4 models and two engines, of which {given_up} were too many frontiers; \
         the models held {held:?} times, with {decisions} decisions"
    );
    assert!(held.iter().all(|&held| held > rounds / 50 && held < rounds * 19 / 20));
    assert!(decisions > 10_000 && given_up < rounds / 20);
}

/// Every process whose transaction had an unknown outcome made all that is known of each transaction longer: 2,000 of them, one
/// after the other, were too much for this memory.
#[test]
fn processes_that_take_turns_need_no_memory() {
    let txn = |n: u64| {
        let before = if n < 2 { Value::Null } else { json!(n - 1 - u64::from(n % 10 == 1)) };
        let mops = |read: &Value| json!([["r", n % 7, null], ["r", "x", read], ["w", "x", n]]);
        let (kind, told) = match n % 10 {
            0 => (Type::Info, Value::Null),
            _ => (Type::Ok, mops(&before)),
        };
        let op = |kind, value| {
            Op::new("txn").process(Process::Client((n as u32 - 1) / 10)).kind(kind).value(value)
        };
        [op(Type::Invoke, mops(&Value::Null)), op(kind, told)]
    };
    let history: History = (1..20_000).flat_map(txn).collect();
    let budget = Budget::default().memory_bytes(64 << 20);
    let verdict = Polygraph::new(PolygraphModel::StrictSerializable).check_within(&history, &budget);
    assert_eq!(verdict.valid, Valid::True, "{}", verdict.summary);
}

/// Without sessions every transaction is one of its own; the search looks for chains of reads in their place.
#[test]
fn without_sessions_each_transaction_has_its_own() {
    let (rounds, invalid) = (20_000, AtomicU64::new(0));
    let held = each(rounds, 3, |rng| {
        let count = size(rng);
        let shape = [Mops::Any, Mops::Updates][rng.below(2)];
        let txns = nearly(rng, count, shape);
        let apart: Vec<TinyTxn> =
            (0..).zip(&txns).map(|(process, txn)| TinyTxn { process, ..txn.clone() }).collect();
        let (history, problem) = (oracle::record(&txns), problem(&oracle::record(&apart)));
        let model = MODELS[1 + rng.below(4)];
        let holds = decide(&problem, model, u64::MAX, &Budget::default()).unwrap().answer == Answer::Holds;
        let free = |history: &History| Polygraph::new(model).without_sessions().check(history);
        let verdict = free(&history);
        assert_eq!(
            verdict.valid,
            if holds { Valid::True } else { Valid::False },
            "{model:?} {txns:#?} {verdict:#?}"
        );
        for anomaly in &verdict.anomalies {
            closes(anomaly);
            assert!(anomaly.edges.iter().all(|edge| edge.kind != "session order"), "{anomaly:#?}");
            assert_eq!(free(&history.witness(&anomaly.witness)).valid, Valid::False);
            invalid.fetch_add(1, Ordering::Relaxed);
        }
        [holds, Polygraph::new(model).check(&history).valid == Valid::True]
    });
    println!("{rounds} histories, of which {held:?} held without sessions and with them");
    assert!(held[0] > held[1] + rounds / 50 && invalid.into_inner() > rounds / 50);
}
