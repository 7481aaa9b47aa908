//! How far registers are from atomic: in versions (k-atomicity) and in time (Δ-atomicity).
//!
//! A history is *k-atomic* (Aiyer, Alvisi and Bazzi, *On the availability of non-strict quorum systems*, DISC 2005) if some
//! order of its operations that respects real time lets each read return one of the last k values written. It is
//! *Δ-atomic* (Golab, Li and Shah, *Analyzing consistency properties for fun and profit*, PODC 2011) if it is linearizable
//! once each read is taken to have begun Δ earlier. With k = 1 or Δ = 0 it is linearizable. Keys are judged alone.
//!
//! - **k = 1 and Δ**: zones (Gibbons and Korach 1997). The Δ of a key is found by halving, for a greater one only
//!   widens reads: O(n log n) and O(n) for each of some 40 steps on the keys that are not atomic.
//! - **k = 2**: the search from the end with limited backtracking of Golab, Hurwitz and Li, *On the k-atomicity-verification
//!   problem*, ICDCS 2013: O(n log n + c n log n), where c is the most writes under way at a time.
//! - **k > 2**: no polynomial algorithm is known. A read proves that k is more than the number of writes that lie wholly
//!   between the write it saw and itself, and an order made by hand proves that k is no more than what its reads need. Where the
//!   two meet, k is exact; else the verdict gives both.
//!
//! Reads and writes only, each value written to a key once. A write of unknown outcome that nobody read is left out.

mod cluster;
#[cfg(test)]
mod tests;
mod versions;

use std::time::Duration;

use cluster::{Conflict, Key, Times};

use crate::checker::without_real_time;
use crate::registers::{self, Kv, NONE, Source, Stop, Teller};
use crate::registry::{CheckerEntry, Object, Order};
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// Operations of a witness that are still tried one by one.
const TRIED: usize = 500;

/// Steps that the exact search for two versions may take, for each operation of a key.
const STEPS: u64 = 1_000;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "k-atomicity",
        about: "how stale reads of registers are, in versions",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(KAtomicity::default()),
    },
    CheckerEntry {
        name: "delta-atomicity",
        about: "how stale reads of registers are, in time",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(DeltaAtomicity::default()),
    },
];

/// Measures the least k for which a history is k-atomic, or checks a bound on it. See the [module](self).
///
/// Stats: `k_at_least` and `k_at_most`, which are equal where k is exact, and then also `k`.
///
/// ```
/// use squall_checkers::{Checker, History, KAtomicity, Op, Type, Valid};
///
/// let ops = [("write", 1), ("write", 2), ("read", 1)];
/// let both = |(f, value)| [Op::new(f).value(value), Op::new(f).value(value).kind(Type::Ok)];
/// let history: History = ops.into_iter().flat_map(both).collect();
/// let verdict = KAtomicity::default().check(&history);
/// assert_eq!((verdict.valid, verdict.stats["k"].as_u64()), (Valid::True, Some(2)));
/// assert_eq!(KAtomicity::at_most(1).check(&history).valid, Valid::False);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct KAtomicity {
    bound: Option<u64>,
}

impl KAtomicity {
    /// A checker that calls a history invalid if it is not k-atomic for this k, which is at least 1.
    pub fn at_most(k: u64) -> KAtomicity {
        KAtomicity { bound: Some(k.max(1)) }
    }
}

/// Measures the least Δ for which a history is Δ-atomic, or checks a bound on it. See the [module](self).
///
/// Stats: `delta_ns`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeltaAtomicity {
    bound: Option<Duration>,
}

impl DeltaAtomicity {
    /// A checker that calls a history invalid if it is not Δ-atomic for this Δ.
    pub fn at_most(delta: Duration) -> DeltaAtomicity {
        DeltaAtomicity { bound: Some(delta) }
    }
}

impl Checker for KAtomicity {
    fn name(&self) -> &str {
        "k-atomicity"
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judge(self, history, budget, |kv| self.measure(kv, budget))
    }
}

impl KAtomicity {
    fn measure(self, kv: &Kv, budget: &Budget) -> Result<Verdict, Stop> {
        let _lease = budget.lease(kv.ops.len() * cluster::BYTES)?;
        let (mut least, mut most, mut steps, mut over, mut doubtful) = (1, 1, 0, Vec::new(), 0);
        let keys = cluster::keys(kv);
        for key in &keys {
            let k = versions::bounds(key, budget)?;
            steps += k.steps;
            (least, most) = (k.least.max(least), k.most.max(most));
            if let Some(bound) = self.bound {
                doubtful += usize::from(k.least <= bound && k.most > bound);
                if k.least > bound {
                    over.push((key, k));
                }
            }
        }
        let size = format!("{} operations on {} keys", kv.recorded(), keys.len());
        let reads = |k: u64| match k {
            1 => "every read returned the last value written".to_owned(),
            k => format!("every read returned one of the last {k} values written"),
        };
        let verdict = if let Some(bound) = self.bound.filter(|_| !over.is_empty()) {
            let found = over.len();
            over.sort_by_key(|(_, k)| std::cmp::Reverse(k.least));
            over.truncate(SHOWN);
            let explained = over.iter().map(|(key, k)| explain_k(kv, key, k, bound, budget));
            let anomalies = explained.collect::<Result<Vec<Anomaly>, Spent>>()?;
            let summary = format!("{found} of {} keys are not {bound}-atomic", keys.len());
            Verdict::invalid(self.name(), summary, anomalies)
        } else if doubtful > 0 {
            let reason = format!(
                "{doubtful} of {} keys could not be decided: k is between {least} and {most}, and for more than 2 \
                 no exact algorithm is known",
                keys.len()
            );
            Verdict::unknown(self.name(), reason)
        } else {
            Verdict::valid(self.name(), format!("{}: {size}", reads(most)))
        };
        let verdict = verdict.stat("k_at_least", least).stat("k_at_most", most).stat("steps", steps);
        Ok(if least == most { verdict.stat("k", least) } else { verdict })
    }
}

fn explain_k(
    kv: &Kv,
    key: &Key,
    k: &versions::Bounds,
    bound: u64,
    budget: &Budget,
) -> Result<Anomaly, Spent> {
    let teller = Teller { kv, within: None };
    let (mut ops, sentence);
    if let Some(proof) = k.proof.as_ref().filter(|proof| proof.between.len() as u64 >= bound) {
        let between = &proof.between[..bound as usize];
        sentence = format!(
            "{}, although {} had been written since, and before that read began",
            teller.did_read(proof.read),
            between.iter().map(|&(op, _)| teller.wrote(op)).collect::<Vec<_>>().join(", ")
        );
        ops = between.iter().flat_map(|&(op, end)| [op, end]).chain([proof.read]).collect::<Vec<u32>>();
        ops.extend((proof.saw != NONE).then_some(proof.saw));
    } else {
        sentence = format!(
            "no order of the operations{} that respects real time lets every read return {}",
            kv.registers.key_phrase(key.key).replacen(" from", " on", 1),
            if bound == 1 { "the last value".to_owned() } else { format!("one of the last {bound} values") }
        );
        ops = match cluster::conflict(key, &Times::events(), 0).filter(|_| bound == 1) {
            Some(conflict) => conflict.ops(),
            None => key.ops.clone(),
        };
    }
    let fails = |ops: &[u32]| {
        let cut = kv.cut(&kv.with_sources(ops));
        cluster::keys(&cut).iter().flat_map(|key| versions::bounds(key, budget)).any(|k| k.least > bound)
    };
    ops = kv.with_sources(&ops);
    if ops.len() <= TRIED && fails(&ops) {
        ops = kv.with_sources(&registers::minimal(&ops, fails));
    }
    let kind = if bound == 1 { "stale-read".to_owned() } else { format!("not-{bound}-atomic") };
    let first = ops.first().copied().unwrap_or(0);
    Ok(teller.anomaly(&kind, first, sentence, &ops))
}

impl Checker for DeltaAtomicity {
    fn name(&self) -> &str {
        "delta-atomicity"
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judge(self, history, budget, |kv| self.measure(kv, budget))
    }
}

impl DeltaAtomicity {
    fn measure(self, kv: &Kv, budget: &Budget) -> Result<Verdict, Stop> {
        let _lease = budget.lease(kv.ops.len() * cluster::BYTES + kv.history.len() * 8)?;
        let times = Times::clock(kv.history);
        let keys = cluster::keys(kv);
        let (mut delta, mut steps, mut over) = (0, 0, Vec::new());
        let bound = self.bound.map(|bound| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX));
        for key in &keys {
            budget.ask()?;
            let (least, tried) = cluster::least_delta(key, &times);
            steps += tried * key.ops.len() as u64;
            delta = delta.max(least);
            if bound.is_some_and(|bound| least > bound) {
                over.push((key, least));
            }
        }
        over.sort_by_key(|&(_, least)| std::cmp::Reverse(least));
        let found = over.len();
        let explained = over.iter().take(SHOWN).filter_map(|&(key, least)| {
            let conflict = cluster::conflict(key, &times, bound.unwrap_or(0))?;
            Some(explain_delta(kv, &conflict, least))
        });
        let anomalies: Vec<Anomaly> = explained.collect();
        let verdict = if anomalies.is_empty() {
            let how = match delta {
                0 => "no read is stale".to_owned(),
                delta => format!("reads are at most {} stale", millis(delta)),
            };
            Verdict::valid(self.name(), format!("{how}: {} operations on {} keys", kv.recorded(), keys.len()))
        } else {
            let most = millis(bound.unwrap_or(0));
            let summary = format!("{found} of {} keys are more than {most} stale", keys.len());
            Verdict::invalid(self.name(), summary, anomalies)
        };
        Ok(verdict.stat("delta_ns", delta).stat("steps", steps))
    }
}

/// What a checker measures on registers, where the history has what a measure needs.
fn judge(
    checker: &dyn Checker,
    history: &History,
    budget: &Budget,
    measure: impl Fn(&Kv) -> Result<Verdict, Stop>,
) -> Verdict {
    without_real_time(checker.name(), history).unwrap_or_else(|| {
        registers::judge(checker, history, budget, |kv| match unreadable(checker.name(), kv)? {
            Some(verdict) => Ok(verdict),
            None => measure(kv),
        })
    })
}

fn millis(ns: u64) -> String {
    format!("{:.3} ms", ns as f64 / 1e6)
}

fn explain_delta(kv: &Kv, conflict: &Conflict, least: u64) -> Anomaly {
    let teller = Teller { kv, within: None };
    let ops = kv.with_sources(&conflict.ops());
    let names: Vec<String> = ops.iter().map(|&op| teller.name(op)).collect();
    let sentence = format!(
        "reads are {} stale{}: no order that respects real time fits {}",
        millis(least),
        kv.registers.key_phrase(kv.ops[ops[0] as usize].key).replacen(" from", " on", 1),
        names.join("; ")
    );
    teller.anomaly("stale-read", ops[0], sentence, &ops)
}

/// What makes a measure void: reads of what was never written or not yet, which are anomalies, and what the theory does
/// not take, which is a reason.
fn unreadable(name: &str, kv: &Kv) -> Result<Option<Verdict>, Stop> {
    let teller = Teller { kv, within: None };
    let mut anomalies = Vec::new();
    for (id, op) in (0u32..).zip(&kv.ops) {
        let did = || teller.did_read(id);
        match op.source {
            Source::ThinAir => {
                let sentence = format!("{}, which nobody ever wrote", did());
                anomalies.push(teller.anomaly("thin-air-read", id, sentence, &[id]));
            }
            Source::Aborted(event) => {
                let sentence = format!("{}, which only a failed operation wrote", did());
                let mut anomaly = teller.anomaly("aborted-read", id, sentence, &[id]);
                anomaly.witness.insert(0, event as usize);
                anomalies.push(anomaly);
            }
            Source::Write(write) if kv.ops[write as usize].invoke > op.complete => {
                let sentence = format!("{}, before the {} had begun", did(), teller.name(write));
                anomalies.push(teller.anomaly("future-read", id, sentence, &kv.with_sources(&[id])));
            }
            _ => {}
        }
        if anomalies.len() == SHOWN {
            break;
        }
    }
    if let Some(first) = anomalies.first() {
        return Ok(Some(Verdict::invalid(name, first.sentence.clone(), anomalies)));
    }
    if let Some(cas) = kv.ops.iter().find(|op| op.is_write() && op.read != NONE) {
        return Err(Stop::Unfit(format!(
            "{}: staleness is defined for reads and writes, and this is a cas",
            kv.history.event_name(cas.event() as usize)
        )));
    }
    kv.ambiguous.clone().map_or(Ok(None), |reason| Err(Stop::Unfit(reason)))
}
