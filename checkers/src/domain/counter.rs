//! Counters: every read is between what was certainly added and what may have been added.
//!
//! **Operations** (`jepsen.checker/counter`): `add n` (1 where no number is given) and `read`, which returns the number.
//! The counter starts at 0. With [`Counter::independent`] every value is `[key, value]`, and each key is a counter of its own.
//!
//! **Failure.** A read is `too-low` if it is below the sum of the adds that it must have seen, and `too-high` if it is
//! above what could have been added. An acknowledged add that completed before the read began counts in full. One that
//! failed, or began after the read had ended, does not count. Any other may count or not: one that ran beside the read, or one of unknown
//! outcome that began before the read ended. Jepsen allows no negative adds; here they widen the bounds
//! on the other side, and for non-negative ones the bounds are Jepsen's.
//!
//! The bounds are necessary, not sufficient: each read is judged alone. `linearizable-counter` judges all together, at
//! a higher price. This one takes one pass.

use std::collections::HashMap;

use super::calls::{Call, Calls, Pass, Stop, judged, split};
use super::findings::Findings;
use crate::history::{OpRef, Raw};
use crate::intern::{FastBuild, Interner};
use crate::registry::Order;
use crate::{Budget, Checker, History, Type, Verdict};

const NAME: &str = "counter";

/// Checks the bounds of a counter: see the [module](super::counter).
///
/// ```
/// use squall_checkers::domain::Counter;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"add","value":3}
/// {"process":0,"type":"ok","f":"add","value":3,"time":1000000000}
/// {"process":1,"type":"invoke","f":"add","value":2,"time":1000000000}
/// {"process":0,"type":"invoke","f":"read","time":2000000000}
/// {"process":0,"type":"ok","f":"read","value":2,"time":3000000000}"#;
/// let verdict = Counter::new().check(&history::read(text.as_bytes(), "counter.jsonl")?.history);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "read by process 0 at 3.000 s returned 2, but at least 3 had been added"
/// );
/// assert_eq!(verdict.anomalies[0].witness, [0, 1, 3, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    independent: bool,
}

impl Counter {
    /// A counter that starts at 0.
    pub fn new() -> Counter {
        Counter::default()
    }

    /// Many counters: every value is `[key, value]`.
    pub fn independent(self) -> Counter {
        Counter { independent: true }
    }

    fn judge(self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut bounds = Bounds {
            independent: self.independent,
            keys: Interner::default(),
            counters: Vec::new(),
            open: HashMap::default(),
            reads: 0,
            adds: 0,
            max_error: 0,
            found: Findings::new(NAME, &KINDS, calls),
        };
        let _held = calls.run(&mut bounds)?;
        // As in Jepsen, adds alone are valid: nothing contradicts them.
        let undecided = (bounds.reads + bounds.adds == 0).then(|| "nothing was added or read".to_owned());
        let wrong = bounds.found.count(KINDS[0]) + bounds.found.count(KINDS[1]);
        let summary = format!("{} reads beside {} adds, {wrong} out of bounds", bounds.reads, bounds.adds);
        let max_error = i64::try_from(bounds.max_error).unwrap_or(i64::MAX);
        let verdict = bounds.found.verdict(summary, undecided);
        Ok(verdict.stat("reads", bounds.reads).stat("adds", bounds.adds).stat("max_error", max_error))
    }
}

impl Checker for Counter {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `reads`, `adds`, `too_low`, `too_high`, and `max_error`, how far the worst read is outside its bounds.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::RealTime, history, budget, |calls| self.judge(calls))
    }
}

const KINDS: [&str; 2] = ["too-low", "too-high"];

/// Sums of the negative and of the positive adds.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    low: i128,
    high: i128,
}

impl Sums {
    fn add(&mut self, n: i64) {
        let sum = if n < 0 { &mut self.low } else { &mut self.high };
        *sum += i128::from(n);
    }
}

/// One counter. Every non-failed add is in `possible` when it begins, and moves into `acknowledged` when it is acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Adds {
    acknowledged: Sums,
    possible: Sums,
    failed: Sums,
}

struct Bounds<'a> {
    independent: bool,
    keys: Interner,
    counters: Vec<Adds>,
    /// What was acknowledged when each open read began, by its invocation.
    open: HashMap<u32, Sums, FastBuild>,
    reads: usize,
    adds: usize,
    max_error: i128,
    found: Findings<'a>,
}

impl<'a> Pass<'a> for Bounds<'a> {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        match (call.f(), call.told()) {
            ("add", _) => {
                self.adds += usize::from(!call.invoke().is_added());
                let (counter, n) = self.add(call)?;
                let failed = call.kind() == Type::Fail;
                (if failed { &mut counter.failed } else { &mut counter.possible }).add(n);
            }
            ("read", Some((_, event))) => {
                let acknowledged = self.counter(event)?.0.acknowledged;
                self.open.insert(call.at(), acknowledged);
            }
            ("read", None) => {}
            _ => return Err(Stop::function(call.invoke(), "a counter has add and read")),
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some(event) = call.ok() else { return Ok(()) };
        if call.f() == "add" {
            let (counter, n) = self.add(call)?;
            counter.acknowledged.add(n);
            return Ok(());
        }
        let before = self.open.remove(&call.at()).unwrap_or_default();
        let (&mut Adds { possible, failed, .. }, key, told) = self.counter(event)?;
        let Raw::Int(value) = told else { return Err(Stop::shape(event, "a counter is read as an integer")) };
        self.reads += 1;
        let low = before.high + possible.low;
        let high = before.low + possible.high;
        let read = i128::from(value);
        let (kind, bound, n, sign, saved) = if read < low {
            (KINDS[0], "at least", low, 1, read >= low + failed.low)
        } else if read > high {
            (KINDS[1], "at most", high, -1, read <= high + failed.high)
        } else {
            return Ok(());
        };
        self.max_error = self.max_error.max((read - n).abs());
        self.found.add(kind, key.map(Raw::to_value).as_ref(), |calls| {
            (sentence(calls, call, value, bound, n, saved), adds(calls, call, key, value, sign))
        });
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.open.capacity() * size_of::<(u32, Sums)>()
            + self.counters.capacity() * size_of::<Adds>()
            + self.keys.memory_bytes()
    }
}

impl Bounds<'_> {
    /// The counter that an event is on, its key, and the rest of its value.
    fn counter<'e>(&mut self, event: OpRef<'e>) -> Result<(&mut Adds, Option<Raw<'e>>, Raw<'e>), Stop> {
        let (key, value) = split(event, self.independent)?;
        let at = key.map_or(0, |key| self.keys.intern_raw(key) as usize);
        if at == self.counters.len() {
            self.counters.push(Adds::default());
        }
        Ok((&mut self.counters[at], key, value))
    }

    fn add(&mut self, call: Call<'_>) -> Result<(&mut Adds, i64), Stop> {
        let (counter, _, value) = self.counter(call.invoke())?;
        Ok((counter, amount(call, value)?))
    }
}

fn amount(call: Call<'_>, value: Raw<'_>) -> Result<i64, Stop> {
    match value {
        Raw::Int(n) => Ok(n),
        Raw::Null => Ok(1),
        _ => Err(Stop::shape(call.invoke(), "an add takes an integer")),
    }
}

fn sentence(calls: &Calls<'_>, read: Call<'_>, value: i64, bound: &str, n: i128, saved: bool) -> String {
    let advice = if saved { "; adds that failed would explain it: are they of unknown outcome?" } else { "" };
    format!("{} returned {value}, but {bound} {n} had been added{advice}", calls.did(read.at()))
}

/// The read, and as few acknowledged adds of that sign as already contradict it, the largest first.
fn adds(calls: &Calls<'_>, read: Call<'_>, key: Option<Raw<'_>>, value: i64, sign: i128) -> Vec<u32> {
    let counts = |call: &Call<'_>| call.f() == "add" && call.acknowledged() < read.at();
    let all = calls.iter().filter(counts).filter_map(|call| {
        let (_, n) = split(call.invoke(), key.is_some()).ok().filter(|&(of, _)| of == key)?;
        Some((i128::from(amount(call, n).ok()?) * sign, call))
    });
    let mut all: Vec<(i128, u32)> = all.filter(|&(n, _)| n > 0).map(|(n, call)| (n, call.at())).collect();
    all.sort_by_key(|&(n, at)| (std::cmp::Reverse(n), at));
    let (mut sum, mut witness) = (0, vec![read.at()]);
    for (n, at) in all {
        if sum > i128::from(value) * sign {
            break;
        }
        sum += n;
        witness.push(at);
    }
    witness
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::testing::{Whole, agree};
    use super::*;

    /// Tries both for every add that may count or not.
    fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
        let mut kinds = BTreeSet::new();
        let reads: Vec<&Whole> = ops.iter().filter(|op| op.f == "read" && op.ok()).collect();
        if reads.is_empty() && !ops.iter().any(|op| op.f == "add") {
            kinds.insert("unknown");
        }
        for read in reads {
            let mut sums = vec![0];
            for add in ops.iter().filter(|op| op.f == "add" && op.kind != Type::Fail) {
                let n = add.asked.as_i64().unwrap_or(1);
                if add.before(read) {
                    sums.iter_mut().for_each(|sum| *sum += n);
                } else if add.invoke < read.complete {
                    sums.extend(sums.clone().iter().map(|sum| sum + n));
                }
            }
            let value = read.told.as_i64().unwrap();
            if value < *sums.iter().min().unwrap() {
                kinds.insert("too-low");
            }
            if value > *sums.iter().max().unwrap() {
                kinds.insert("too-high");
            }
        }
        kinds
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let mut choices: Vec<_> = [json!(null), json!(2), json!(-1)].map(|n| ("add", n.clone(), n)).into();
        choices.extend([-1, 0, 1, 3].map(|n| ("read", json!(null), json!(n))));
        agree(&Counter::new(), naive, &choices, [2, 100_000, 9]);
    }

    /// Adds and reads of `[key, n]` were of no counter.
    #[test]
    fn each_key_is_a_counter() {
        let by_key = |ops: &[Whole]| {
            let part = |value: &Value, at: usize| value[at].clone();
            let keyed = |key: &str| -> Vec<Whole> {
                let of_key = ops.iter().filter(|op| {
                    let named = if op.f == "read" { &op.told } else { &op.asked };
                    part(named, 0) == json!(key)
                });
                of_key
                    .map(|op| Whole { asked: part(&op.asked, 1), told: part(&op.told, 1), ..op.clone() })
                    .collect()
            };
            let mut kinds: BTreeSet<_> = ["x", "y"].iter().flat_map(|key| naive(&keyed(key))).collect();
            let counts = |op: &Whole| op.f == "add" || op.ok();
            if kinds.remove("unknown") && !ops.iter().any(counts) {
                kinds.insert("unknown");
            }
            kinds
        };
        let mut choices: Vec<_> =
            [("x", 2), ("x", -1), ("y", 1)].map(|(key, n)| ("add", json!([key, n]), json!([key, n]))).into();
        // A read may name its key at its end alone.
        choices.extend([("x", 2), ("x", 1), ("y", 2)].map(|(key, n)| ("read", json!(null), json!([key, n]))));
        agree(&Counter::new().independent(), by_key, &choices, [2, 100_000, 9]);
    }
}
