//! Monotonic values: what only grows is never seen to shrink.
//!
//! **Operations** (`jepsen.faunadb.monotonic`, and the increment-only registers of `jepsen.tests.monotonic-cycle`): any number
//! of `inc` and `read`, of which the acknowledged ones return an integer, the value that they saw. Null is skipped, and
//! other functions are left out. With [`Monotonic::timestamped`] they return FaunaDB's `[timestamp, value]`; then timestamps
//! must not go back either. With [`Monotonic::independent`] every value is `[key, value]`.
//!
//! **Failures.** `process-regression`: a process saw a lower value than it had seen before. `regression`: an operation
//! saw a lower value than one that had completed before it began, of another process. Jepsen's checks are of the first
//! kind; [`Monotonic::per_process`] leaves the second out, for systems that promise no real-time order.
//!
//! Only what was acknowledged was seen, so operations of unknown outcome change nothing, but that a process which goes on after
//! one is another client. One pass.

use std::collections::HashMap;

use serde_json::Value;

use super::calls::{Call, Calls, NONE, Pass, Stop, judged};
use super::findings::Findings;
use crate::history::{OpRef, Raw};
use crate::intern::{FastBuild, Interner};
use crate::registry::Order;
use crate::{Budget, Checker, History, Process, Type, Verdict};

const NAME: &str = "monotonic";
const KINDS: [&str; 2] = ["process-regression", "regression"];

/// Checks that values never go back: see the [module](super::monotonic).
///
/// ```
/// use squall_checkers::domain::Monotonic;
/// use squall_checkers::{Checker, Valid, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"inc"}
/// {"process":0,"type":"ok","f":"inc","value":5,"time":1000000000}
/// {"process":1,"type":"invoke","f":"read","time":2000000000}
/// {"process":1,"type":"ok","f":"read","value":4,"time":3000000000}"#;
/// let history = history::read(text.as_bytes(), "monotonic.jsonl")?.history;
/// let verdict = Monotonic::new().check(&history);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "read by process 1 at 3.000 s returned 4, after inc by process 0 at 1.000 s had returned 5"
/// );
/// assert_eq!(Monotonic::new().per_process().check(&history).valid, Valid::True);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic {
    per_process: bool,
    timestamped: bool,
    independent: bool,
}

impl Monotonic {
    /// One value that never goes back, for nobody.
    pub fn new() -> Monotonic {
        Monotonic::default()
    }

    /// A value that never goes back for one process; another may be behind.
    pub fn per_process(self) -> Monotonic {
        Monotonic { per_process: true, ..self }
    }

    /// Operations return `[timestamp, value]`, both integers or timestamps in text that sort as they should.
    pub fn timestamped(self) -> Monotonic {
        Monotonic { timestamped: true, ..self }
    }

    /// Many values: all that operations take and return is `[key, value]`.
    pub fn independent(self) -> Monotonic {
        Monotonic { independent: true, ..self }
    }

    fn judge(self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut pass = Values {
            options: self,
            keys: Interner::default(),
            highest: Vec::new(),
            mine: HashMap::default(),
            clients: HashMap::default(),
            open: HashMap::default(),
            seen: 0,
            found: Findings::new(NAME, &KINDS, calls),
        };
        let _held = calls.run(&mut pass)?;
        let undecided = (pass.seen == 0).then(|| "no value was seen".to_owned());
        let back = pass.found.count(KINDS[0]) + pass.found.count(KINDS[1]);
        let summary = format!("{} values seen, {back} of them lower than before", pass.seen);
        Ok(pass.found.verdict(summary, undecided).stat("seen", pass.seen))
    }
}

impl Checker for Monotonic {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `seen`, how many values were seen, and how many show each kind of failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        let order = if self.per_process { Order::Sessions } else { Order::RealTime };
        judged(NAME, order, history, budget, |calls| self.judge(calls))
    }
}

/// The highest timestamp and value so far, each with who saw it.
type Highest<'a> = [(Raw<'a>, u32); 2];

const NOTHING: Highest<'_> = [(Raw::Null, NONE); 2];
const WHAT: [&str; 2] = ["timestamp ", ""];

struct Values<'a> {
    options: Monotonic,
    keys: Interner,
    /// By key: what was seen by operations that have completed.
    highest: Vec<Highest<'a>>,
    /// By client and key: what the client saw.
    mine: HashMap<(Process, u32, u32), Highest<'a>, FastBuild>,
    /// How many clients each process was before, if any: each ended with an operation of unknown outcome.
    clients: HashMap<Process, u32, FastBuild>,
    /// What was highest when an open operation began, by its invocation.
    open: HashMap<u32, Highest<'a>, FastBuild>,
    seen: usize,
    found: Findings<'a>,
}

impl<'a> Pass<'a> for Values<'a> {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        if call.kind() == Type::Info {
            *self.clients.entry(call.invoke().process()).or_default() += 1;
        }
        if let Some((told, event)) = call.told().filter(|_| matches!(call.f(), "inc" | "read"))
            && !self.options.per_process
        {
            let key = self.split(event, told)?.0;
            let before = self.highest.get(key as usize).copied().unwrap_or(NOTHING);
            if before[1].1 != NONE {
                self.open.insert(call.at(), before);
            }
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((told, event)) = call.told().filter(|_| matches!(call.f(), "inc" | "read")) else {
            return Ok(());
        };
        let (key, told) = self.split(event, told)?;
        let before = self.open.remove(&call.at()).unwrap_or(NOTHING);
        if told == Raw::Null {
            return Ok(());
        }
        let seen = self.seen(event, told)?;
        self.seen += 1;
        let client = self.clients.get(&event.process()).copied().unwrap_or(0);
        let mine = *self.mine.entry((event.process(), client, key)).or_insert(NOTHING);
        for part in 0..2 {
            let lower = |than: (Raw<'a>, u32)| than.1 != NONE && less(seen[part], than.0);
            if lower(mine[part]) {
                self.tell(KINDS[0], key, call.at(), mine[part], seen[part], part);
            } else if lower(before[part]) {
                self.tell(KINDS[1], key, call.at(), before[part], seen[part], part);
            }
        }
        let raise = |highest: &mut Highest<'a>| {
            for (highest, seen) in highest.iter_mut().zip(seen) {
                if highest.1 == NONE || less(highest.0, seen) {
                    *highest = (seen, call.at());
                }
            }
        };
        self.mine.get_mut(&(event.process(), client, key)).map(raise);
        if self.highest.len() <= key as usize {
            self.highest.resize(key as usize + 1, NOTHING);
        }
        raise(&mut self.highest[key as usize]);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.highest.capacity() * size_of::<Highest<'_>>()
            + self.mine.capacity() * size_of::<((Process, u32, u32), Highest<'_>)>()
            + self.clients.capacity() * size_of::<(Process, u32)>()
            + self.open.capacity() * size_of::<(u32, Highest<'_>)>()
            + self.keys.memory_bytes()
    }
}

impl<'a> Values<'a> {
    /// The number of the key, and the rest of the value.
    fn split(&mut self, event: OpRef<'a>, value: Raw<'a>) -> Result<(u32, Raw<'a>), Stop> {
        if !self.options.independent {
            return Ok((0, value));
        }
        let (key, value) = value.pair().ok_or_else(|| Stop::shape(event, "every value is [key, value]"))?;
        Ok((self.keys.intern_raw(key), value))
    }

    /// The timestamp and the value that an operation returned.
    fn seen(&self, event: OpRef<'a>, told: Raw<'a>) -> Result<[Raw<'a>; 2], Stop> {
        let seen = if self.options.timestamped { told.pair() } else { Some((Raw::Int(0), told)) };
        match seen {
            Some((time @ (Raw::Int(_) | Raw::Text([b'"', ..])), value @ Raw::Int(_))) => Ok([time, value]),
            _ if self.options.timestamped => Err(Stop::shape(event, "it returns [timestamp, integer]")),
            _ => Err(Stop::shape(event, "it returns an integer")),
        }
    }

    fn tell(
        &mut self,
        kind: &'static str,
        key: u32,
        at: u32,
        before: (Raw<'a>, u32),
        seen: Raw<'a>,
        part: usize,
    ) {
        let key: Option<Value> = self.options.independent.then(|| self.keys.value(key));
        let what = WHAT[part];
        self.found.add(kind, key.as_ref(), |calls| {
            let (did, earlier) = (calls.did(at), calls.did(before.1));
            let (low, high) = (seen.to_value(), before.0.to_value());
            let sentence = format!("{did} returned {what}{low}, after {earlier} had returned {what}{high}");
            (sentence, vec![before.1, at])
        });
    }
}

/// Integers before texts; each by their own order.
fn less(a: Raw<'_>, b: Raw<'_>) -> bool {
    match (a, b) {
        (Raw::Int(a), Raw::Int(b)) => a < b,
        (Raw::Text(a), Raw::Text(b)) => a < b,
        (Raw::Int(_), _) => b != Raw::Null,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::testing::{Choice, Whole, agree};
    use super::*;
    use crate::Valid;

    fn kinds(ops: &[Whole], real_time: bool, part: &dyn Fn(&Value) -> Vec<Value>) -> BTreeSet<&'static str> {
        let mut kinds = BTreeSet::new();
        let mut seen: Vec<&Whole> = ops.iter().filter(|op| op.ok() && !op.told.is_null()).collect();
        seen.sort_by_key(|op| op.complete);
        for (at, op) in seen.iter().enumerate() {
            for (n, value) in part(&op.told).iter().enumerate() {
                let rank = |value: &Value| (value.as_i64(), value.as_str().map(str::to_owned));
                let higher = |other: &&&Whole| rank(&part(&other.told)[n]) > rank(value);
                let ends = |end: &&Whole, other: &Whole| {
                    end.kind == Type::Info && (other.invoke..op.invoke).contains(&end.invoke)
                };
                let mine = seen[..at].iter().filter(higher).any(|other| {
                    let mut same = ops.iter().filter(|end| end.process == op.process);
                    other.process == op.process && !same.any(|end| ends(&end, other))
                });
                if mine {
                    kinds.insert("process-regression");
                } else if real_time && seen[..at].iter().filter(higher).any(|other| other.before(op)) {
                    kinds.insert("regression");
                }
            }
        }
        if seen.is_empty() {
            kinds.insert("unknown");
        }
        kinds
    }

    fn choices() -> Vec<Choice> {
        let mut choices: Vec<Choice> = [1, 2, 3].map(|n| ("read", json!(null), json!(n))).into();
        choices.extend([("inc", json!(null), json!(2)), ("read", json!(null), json!(null))]);
        choices
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let naive = |ops: &[Whole]| kinds(ops, true, &|told| vec![told.clone()]);
        agree(&Monotonic::new(), naive, &choices(), [3, 100_000, 8]);
    }

    #[test]
    fn agrees_with_the_plain_definition_per_process() {
        let naive = |ops: &[Whole]| kinds(ops, false, &|told| vec![told.clone()]);
        agree(&Monotonic::new().per_process(), naive, &choices(), [2, 20_000, 8]);
    }

    #[test]
    fn agrees_with_the_plain_definition_with_timestamps() {
        let times = [("a", 1), ("b", 1), ("b", 2), ("c", 3)];
        let choices = times.map(|seen| ("read", json!(null), json!(seen)));
        let naive = |ops: &[Whole]| kinds(ops, true, &|told| told.as_array().unwrap().clone());
        agree(&Monotonic::new().timestamped(), naive, &choices, [2, 20_000, 8]);
    }

    /// It was one client all the time, as nowhere else: what it had seen before bound it.
    #[test]
    fn a_process_that_goes_on_after_an_unknown_outcome_is_another_client() {
        let op = |kind, value| crate::Op::new("read").kind(kind).value(value);
        let read = |n: i32| [op(Type::Invoke, json!(null)), op(Type::Ok, json!(n))];
        let crashed = [op(Type::Invoke, json!(null)), op(Type::Info, json!(null))];
        let history = |ops: &[[crate::Op; 2]]| -> History { ops.iter().flatten().cloned().collect() };
        let apart = history(&[read(2), crashed.clone(), read(1)]);
        let per_process = Monotonic::new().per_process();
        assert_eq!(per_process.check(&apart).valid, Valid::True);
        assert_eq!(Monotonic::new().check(&apart).anomalies[0].kind, "regression");
        for same in [[read(2), read(1), crashed.clone()], [crashed, read(2), read(1)]] {
            assert_eq!(per_process.check(&history(&same)).anomalies[0].kind, "process-regression");
        }
    }

    #[test]
    fn keys_are_judged_apart() {
        let event = |key: &str, n: i32| {
            let op = crate::Op::new("read");
            [op.clone().value(json!([key, null])), op.value(json!([key, n])).kind(crate::Type::Ok)]
        };
        let history: History = [event("x", 2), event("y", 1), event("x", 1)].into_iter().flatten().collect();
        let verdict = Monotonic::new().independent().check(&history);
        assert_eq!((verdict.anomalies.len(), verdict.anomalies[0].key.clone()), (1, Some(json!("x"))));
        assert_eq!(verdict.anomalies[0].witness, [0, 1, 4, 5]);
    }
}
