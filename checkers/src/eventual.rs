//! Eventual consistency, as far as a finite history shows it (Vogels, *Eventually consistent*, CACM 52(1), 2009: if no
//! new updates are made, eventually all accesses return the last updated value).
//!
//! A key is *quiet* once the last write to it has ended, acknowledged or not. Of the reads that begin after that, the last
//! one of each session counts: they must all return the same value, and somebody must have written it (or it is
//! the initial one). Which of the writes it is, is left to the store: nobody promised an order. Earlier reads may be
//! stale; for how long some were is the stat `converged_after_ns`.
//!
//! The definition promises nothing for any given time: end a test with a pause and with final reads by several processes.
//! A key that fewer than two sessions read when it was quiet says nothing, and if all are such, the verdict is unknown.
//! Stronger than this for one key at the end is strong eventual consistency (Shapiro, Preguiça, Baquero and Zawirski, SSS
//! 2011), of which a client sees no more than this. O(operations).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::checker::without_real_time;
use crate::registers::{self, Kv, NONE, Source, Stop, Teller};
use crate::registry::{CheckerEntry, Object, Order};
use crate::{Anomaly, Budget, Checker, History, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[CheckerEntry {
    name: "eventual-consistency",
    about: "once writes have ended, the final reads of all processes agree on each key",
    order: Order::RealTime,
    on: Object::Single,
    build: |_| Box::new(EventualConsistency),
}];

/// Checks that registers converge once they are no longer written. See the [module](self) for the definition.
///
/// ```
/// use squall_checkers::{Checker, EventualConsistency, History, Op, Process, Type, Valid};
///
/// let by = |process, f, value| Op::new(f).process(Process::Client(process)).value(value);
/// let history: History = [
///     by(0, "write", 1),
///     by(0, "write", 1).kind(Type::Ok),
///     by(0, "read", 1),
///     by(0, "read", 1).kind(Type::Ok),
///     Op::new("read").process(Process::Client(1)),
///     Op::new("read").process(Process::Client(1)).kind(Type::Ok),
/// ]
/// .into_iter()
/// .collect();
/// assert_eq!(EventualConsistency.check(&history).valid, Valid::False);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EventualConsistency;

/// The end of a key's life.
#[derive(Default)]
struct End {
    /// The event after which it was quiet.
    quiet: u32,
    /// The last read of each session since.
    finals: BTreeMap<u32, u32>,
    /// All reads since.
    reads: Vec<u32>,
}

impl Checker for EventualConsistency {
    fn name(&self) -> &str {
        "eventual-consistency"
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        if let Some(unknown) = without_real_time(self.name(), history) {
            return unknown;
        }
        registers::judge(self, history, budget, |kv| {
            let _lease = budget.lease(kv.keys * size_of::<End>() + kv.ops.len() * size_of::<u64>())?;
            judge(self.name(), kv, &ends(kv))
        })
    }
}

fn ends(kv: &Kv) -> Vec<End> {
    let mut ends: Vec<End> = (0..kv.keys).map(|_| End::default()).collect();
    let writes = || kv.ops.iter().chain(&kv.ghosts).filter(|op| op.is_write());
    let pairs = writes().any(|op| op.complete == NONE).then(|| kv.history.pairs());
    let unknown = |invoke: u32| {
        // One whose outcome was not told ends, for the client, with that message; one without any never does.
        let told = pairs.as_ref().and_then(|pairs| pairs.of(invoke as usize));
        told.map_or(invoke, |event| event as u32)
    };
    for op in writes() {
        let end = &mut ends[op.key as usize];
        let over = if op.complete == NONE { unknown(op.invoke) } else { op.complete };
        end.quiet = end.quiet.max(over + 1);
    }
    for (id, op) in kv.ops.iter().enumerate().filter(|(_, op)| op.read != NONE && !op.is_write()) {
        let end = &mut ends[op.key as usize];
        if op.invoke >= end.quiet {
            end.finals.insert(op.session, id as u32);
            end.reads.push(id as u32);
        }
    }
    ends
}

fn judge(name: &str, kv: &Kv, ends: &[End]) -> Result<Verdict, Stop> {
    let value = |read: &u32| kv.ops[*read as usize].read;
    let time = |event: u32| kv.history.get(event as usize).time_ns();
    let (mut anomalies, mut diverged, mut compared, mut slowest) = (Vec::new(), 0, 0, 0);
    for end in ends {
        let invented =
            |read: &&u32| matches!(kv.ops[**read as usize].source, Source::ThinAir | Source::Aborted(_));
        if let Some(&read) = end.finals.values().find(invented) {
            diverged += 1;
            anomalies.push(unwritten(kv, read));
        }
        if end.finals.len() < 2 {
            continue;
        }
        compared += 1;
        let last = end.finals.values().copied().max_by_key(|&read| kv.ops[read as usize].complete);
        let Some(last) = last else { continue };
        match end.finals.values().find(|read| value(read) != value(&last)) {
            Some(&other) => {
                diverged += 1;
                anomalies.push(disagreement(kv, other, last));
            }
            None => {
                let stale = end.reads.iter().filter(|read| value(read) != value(&last));
                let until = stale.map(|&read| kv.ops[read as usize].complete).max();
                if let Some(until) = until {
                    slowest = slowest.max(time(until).saturating_sub(time(end.quiet.saturating_sub(1))));
                }
            }
        }
    }
    anomalies.truncate(SHOWN);
    let verdict = match anomalies.first() {
        Some(first) => Verdict::invalid(name, first.sentence.clone(), anomalies),
        None if compared == 0 => Verdict::unknown(
            name,
            "no key was read by two processes after its last write had ended: end the test with final reads",
        ),
        None => Verdict::valid(name, format!("final reads agree on {compared} of {} keys", ends.len())),
    };
    Ok(verdict
        .stat("keys", ends.len())
        .stat("keys_compared", compared)
        .stat("anomalies", diverged)
        .stat("steps", kv.ops.len())
        .stat("converged_after_ns", Value::from(slowest)))
}

fn unwritten(kv: &Kv, read: u32) -> Anomaly {
    let teller = Teller { kv, within: None };
    let (kind, who) = match kv.ops[read as usize].source {
        Source::Aborted(_) => ("aborted-read", "only a failed operation wrote"),
        _ => ("thin-air-read", "nobody ever wrote"),
    };
    let sentence = format!("{} when all writes had ended, which {who}", teller.did_read(read));
    let mut anomaly = teller.anomaly(kind, read, sentence, &[read]);
    if let Source::Aborted(event) = kv.ops[read as usize].source {
        anomaly.witness.insert(0, event as usize);
    }
    anomaly
}

fn disagreement(kv: &Kv, one: u32, other: u32) -> Anomaly {
    let teller = Teller { kv, within: None };
    let sentence = format!(
        "{} and {}, the last of each, after all writes had ended",
        teller.did_read(one),
        teller.did_read(other)
    );
    let ops = kv.with_sources(&[one, other]);
    let mut anomaly = teller.anomaly("diverged", one, sentence, &ops);
    for read in [one, other] {
        if let Some(write) = kv.source(read) {
            teller.reads_from(&mut anomaly, write, read);
        }
    }
    anomaly
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registers::tiny::{self, Timed};
    use crate::testing::Random;
    use crate::{Op, Process, Type, Valid};

    /// Straight from the definition, for one register and clients that keep their process unless they crash.
    fn expected(ops: &[Timed], history: &History) -> Valid {
        let pairs = history.pairs();
        let over = |op: &Timed| pairs.of(op.start).unwrap_or(op.start);
        let quiet = ops.iter().filter(|op| op.write.is_some()).map(over).max();
        let finals: BTreeMap<String, u8> = ops
            .iter()
            .filter(|op| op.read.is_some() && quiet.is_none_or(|quiet| op.start > quiet))
            .map(|op| (history.get(op.start).process().to_string(), op.read.unwrap()))
            .collect();
        let written = |value: &u8| *value == 0 || ops.iter().any(|op| op.write == Some(*value));
        let first = finals.values().next();
        if finals.values().any(|value| !written(value) || Some(value) != first) {
            return Valid::False;
        }
        if finals.len() < 2 { Valid::Unknown } else { Valid::True }
    }

    #[test]
    fn random_histories_agree_with_the_definition() {
        let mut rng = Random(41);
        let mut seen = BTreeMap::new();
        for round in 0..100_000 {
            let (ops, history) = tiny::timed(&mut rng, 3 + round % 7);
            let verdict = EventualConsistency.check(&history);
            assert_eq!(verdict.valid, expected(&ops, &history), "{ops:?} {verdict:?}");
            for anomaly in &verdict.anomalies {
                let cut = tiny::cut(&history, &anomaly.witness);
                assert_eq!(EventualConsistency.check(&cut).valid, Valid::False, "{ops:?} {anomaly:?}");
            }
            *seen.entry(verdict.valid).or_insert(0) += 1;
        }
        println!("100000 random histories: {seen:?}");
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn a_disagreement_is_told() {
        let by =
            |process, kind, f, value| Op::new(f).process(Process::Client(process)).kind(kind).value(value);
        let history: History = [
            by(0, Type::Invoke, "put", json!(["x", 1])),
            by(0, Type::Ok, "put", json!(["x", 1])),
            by(0, Type::Invoke, "get", json!(["x", null])),
            by(0, Type::Ok, "get", json!(["x", 1])),
            by(1, Type::Invoke, "get", json!(["x", null])),
            by(1, Type::Ok, "get", json!(["x", null])),
        ]
        .into_iter()
        .collect();
        let verdict = EventualConsistency.check(&history);
        assert_eq!(
            verdict.summary,
            "process 0 read 1 from key \"x\" at 0.000 s and process 1 read the initial value from key \"x\" at \
             0.000 s, the last of each, after all writes had ended"
        );
        assert_eq!(verdict.anomalies[0].witness, [1, 3, 5]);
    }
}
