//! Staleness: for how long the values that reads return had been overwritten.
//!
//! **Operations.** `write v` and `read`, which returns a value, or null before the first write. Each value is written once.
//! With [`Staleness::independent`] every value is `[key, value]`. Jepsen's `jepsen.tests.kafka` measures its logs' lag in the same way.
//!
//! **Age.** A version is *in place* when its write was acknowledged or a read of it had completed, whichever is first; the
//! initial one is from the start. It is *overwritten* when a version is in place whose write began after
//! that. The age of a read is how long before its invocation the version was overwritten, or 0: the least that can be
//! proved. Ages are measured on the clock of the history.
//!
//! **Failures.** `stale-read`: a read is older than the bound ([`Staleness::bound`]; without one there is only the distribution).
//! `phantom-read`: a read returned what nobody had begun to write. `aborted-read`: it returned what only a failed
//! write wrote. A value that was written twice makes the verdict unknown. O(n log n).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::calls::{Call, Calls, NONE, Pass, Stop, brief, judged};
use super::findings::{Findings, percentiles};
use crate::history::{OpRef, Raw};
use crate::intern::Interner;
use crate::registry::Order;
use crate::{Budget, Checker, History, Type, Verdict};

const NAME: &str = "staleness";
const KINDS: [&str; 3] = ["phantom-read", "aborted-read", "stale-read"];

/// Keys whose distributions are in the stats.
const KEYS_MAX: usize = 8;

/// Measures how old reads are: see the [module](super::staleness).
///
/// ```
/// use std::time::Duration;
/// use squall_checkers::domain::Staleness;
/// use squall_checkers::{Checker, Valid, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"write","value":1}
/// {"process":0,"type":"ok","f":"write","value":1,"time":1000000000}
/// {"process":1,"type":"invoke","f":"read","time":4000000000}
/// {"process":1,"type":"ok","f":"read","value":null,"time":5000000000}"#;
/// let history = history::read(text.as_bytes(), "stale.jsonl")?.history;
/// let verdict = Staleness::new().check(&history);
/// assert_eq!((verdict.valid, &verdict.stats["age_ms"]["max"]), (Valid::True, &3000.0.into()));
/// let verdict = Staleness::new().bound(Duration::from_secs(2)).check(&history);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "read by process 1 at 5.000 s returned null, which had been overwritten with 1 for 3.000 s"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Staleness {
    bound: Option<Duration>,
    independent: bool,
}

impl Staleness {
    /// Measures ages, and allows all.
    pub fn new() -> Staleness {
        Staleness::default()
    }

    /// Allows no read that is older than this.
    pub fn bound(self, bound: Duration) -> Staleness {
        Staleness { bound: Some(bound), ..self }
    }

    /// Many registers: every value is `[key, value]`.
    pub fn independent(self) -> Staleness {
        Staleness { independent: true, ..self }
    }

    fn judge(self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut pass = Registers { independent: self.independent, ..Registers::default() };
        let _held = calls.run(&mut pass)?;
        let _more = calls.budget.lease(pass.versions.len() * 16 + pass.reads.len() * 24)?;
        let bound = self.bound.map_or(u64::MAX, |bound| bound.as_nanos().try_into().unwrap_or(u64::MAX));
        let mut judge = Judge { bound, registers: &pass, found: Findings::new(NAME, &KINDS, calls) };
        let overwritten = pass.overwritten();
        let mut ages = Vec::with_capacity(pass.reads.len());
        for &read in &pass.reads {
            if let Some(age) = judge.read(calls, read, &overwritten) {
                ages.push((pass.versions[read.version as usize].key, age));
            }
        }
        let found = judge.found;
        let undecided =
            pass.twice.clone().or_else(|| ages.is_empty().then(|| "no read was acknowledged".to_owned()));
        let mut all: Vec<u64> = ages.iter().map(|(_, age)| *age).collect();
        let stale = all.iter().filter(|age| **age > 0).count();
        let distribution = percentiles(&mut all);
        let summary =
            format!("{} reads, {stale} of them stale, the oldest {} ms", ages.len(), distribution["max"]);
        let verdict = found.verdict(summary, undecided).stat("reads", ages.len()).stat("stale", stale);
        let verdict = verdict.stat("age_ms", distribution);
        if !self.independent {
            return Ok(verdict);
        }
        Ok(verdict.stat("age_ms_by_key", pass.by_key(ages)))
    }
}

impl Checker for Staleness {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `reads`, `stale` (older than 0), `age_ms` `{p50, p95, p99, max}`, and where keys are independent
    /// `age_ms_by_key` of those that were most stale.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::RealTime, history, budget, |calls| self.judge(calls))
    }
}

/// A value of a key.
#[derive(Clone, Copy)]
struct Version {
    key: u32,
    initial: bool,
    /// Its write: of those that did not fail, and of those that did.
    write: u32,
    failed: u32,
    /// Since which event it is in place, and by whose completion.
    known: u32,
    known_by: u32,
}

#[derive(Clone, Copy)]
struct Read {
    at: u32,
    version: u32,
}

#[derive(Default)]
struct Registers {
    independent: bool,
    ids: Interner,
    keys: Interner,
    versions: Vec<Version>,
    /// Versions that were written, in the order in which their writes began.
    written: Vec<u32>,
    reads: Vec<Read>,
    twice: Option<String>,
}

impl<'a> Pass<'a> for Registers {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        match call.f() {
            "write" => {
                let id = self.version(call.invoke(), call.asked())?;
                let version = &mut self.versions[id as usize];
                if call.kind() == Type::Fail {
                    version.failed = version.failed.min(call.at());
                } else if version.write != NONE || version.initial {
                    let value = brief(call.asked());
                    self.twice.get_or_insert_with(|| {
                        format!("{value} was written twice: which one is read is not known")
                    });
                } else {
                    version.write = call.at();
                    self.written.push(id);
                }
            }
            "read" => {}
            _ => return Err(Stop::function(call.invoke(), "a register has read and write")),
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((told, event)) = call.told() else { return Ok(()) };
        let reads = call.f() == "read";
        let id = if reads { self.version(event, told)? } else { self.version(call.invoke(), call.asked())? };
        let version = &mut self.versions[id as usize];
        if version.known == NONE && (version.write != NONE) {
            (version.known, version.known_by) = (event.index() as u32, call.at());
        }
        if reads {
            self.reads.push(Read { at: call.at(), version: id });
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.keys.memory_bytes()
            + self.versions.capacity() * size_of::<Version>()
            + self.written.capacity() * size_of::<u32>()
            + self.reads.capacity() * size_of::<Read>()
    }
}

impl Registers {
    fn version(&mut self, event: OpRef<'_>, value: Raw<'_>) -> Result<u32, Stop> {
        let (key, part) = match value.pair().filter(|_| self.independent) {
            Some((key, part)) => (self.keys.intern_raw(key), part),
            None if self.independent => return Err(Stop::shape(event, "every value is [key, value]")),
            None => (0, value),
        };
        let id = self.ids.intern_raw(value);
        if id as usize == self.versions.len() {
            let initial = part == Raw::Null;
            let none = Version { key, initial, write: NONE, failed: NONE, known: NONE, known_by: NONE };
            self.versions.push(none);
        }
        Ok(id)
    }

    /// For each version the one that overwrote it first, or `NONE`.
    fn overwritten(&self) -> Vec<u32> {
        let mut by_key = self.written.clone();
        by_key.sort_by_key(|&id| self.versions[id as usize].key);
        let mut ranges = vec![0..0; self.keys.len().max(1)];
        let mut from = 0;
        for group in by_key.chunk_by(|&a, &b| self.versions[a as usize].key == self.versions[b as usize].key)
        {
            ranges[self.versions[group[0] as usize].key as usize] = from..from + group.len();
            from += group.len();
        }
        // Of the writes from each on, the version that was in place first.
        let mut first = by_key.clone();
        for range in &ranges {
            for at in range.clone().rev().skip(1) {
                let known = |at: usize| self.versions[first[at] as usize].known;
                if known(at + 1) < known(at) {
                    first[at] = first[at + 1];
                }
            }
        }
        let overwriter = |version: &Version| {
            let range = ranges[version.key as usize].clone();
            let began = |id: &u32| version.initial || self.versions[*id as usize].write > version.known;
            let skip = by_key[range.clone()].partition_point(|id| !began(id));
            let by = first[range].get(skip).copied().unwrap_or(NONE);
            if by != NONE && self.versions[by as usize].known == NONE { NONE } else { by }
        };
        self.versions.iter().map(overwriter).collect()
    }

    fn by_key(&self, mut ages: Vec<(u32, u64)>) -> Value {
        ages.sort_unstable();
        let mut keys: Vec<Vec<u64>> = Vec::new();
        let mut names = Vec::new();
        for of_key in ages.chunk_by(|a, b| a.0 == b.0) {
            names.push((of_key[of_key.len() - 1].1, keys.len(), of_key[0].0));
            keys.push(of_key.iter().map(|(_, age)| *age).collect());
        }
        names.sort_unstable_by_key(|&(max, at, _)| (std::cmp::Reverse(max), at));
        let named = |&(_, at, key): &(u64, usize, u32)| {
            (self.keys.value(key).to_string(), percentiles(&mut keys[at]))
        };
        json!(names.iter().take(KEYS_MAX).map(named).collect::<Map<_, _>>())
    }
}

struct Judge<'a, 'b> {
    bound: u64,
    registers: &'b Registers,
    found: Findings<'a>,
}

impl Judge<'_, '_> {
    /// The age of a read, unless there is something worse about it.
    fn read(&mut self, calls: &Calls<'_>, read: Read, overwritten: &[u32]) -> Option<u64> {
        let version = self.registers.versions[read.version as usize];
        let value = || calls.call(read.at).told().map_or_else(String::new, |(told, _)| brief(told));
        let end = calls.call(read.at).acknowledged();
        if !version.initial && (version.write == NONE || version.write > end) {
            let failed = version.failed;
            let kind = if failed < end { "aborted-read" } else { "phantom-read" };
            self.found.add(kind, None, |calls| {
                let (did, value) = (calls.did(read.at), value());
                if kind == "phantom-read" {
                    return (format!("{did} returned {value}, which nobody had written"), vec![read.at]);
                }
                let advice = "if that may have taken effect, record it as info";
                let by = calls.by(failed);
                (
                    format!("{did} returned {value}, whose write by {by} failed; {advice}"),
                    vec![read.at, failed],
                )
            });
            return None;
        }
        let by = overwritten[read.version as usize];
        let newer = match self.registers.versions.get(by as usize) {
            Some(newer) if newer.known < read.at => *newer,
            _ => return Some(0),
        };
        let since = |event: u32| {
            let ns = |event: u32| calls.history.get(event as usize).time_ns();
            ns(read.at).saturating_sub(ns(event))
        };
        let age = since(newer.known);
        if age > self.bound && self.registers.twice.is_none() {
            self.found.add("stale-read", None, |calls| {
                let old = Judge::evidence(calls, version, |event| event < newer.write);
                let new = Judge::evidence(calls, newer, |event| event < read.at && since(event) > self.bound);
                let with = brief(calls.call(newer.write).asked());
                let sentence = format!(
                    "{} returned {}, which had been overwritten with {with} for {}",
                    calls.did(read.at),
                    value(),
                    super::findings::time(age)
                );
                (sentence, [old, new, vec![read.at]].concat())
            });
        }
        Some(age)
    }

    /// What proves that a version was in place: its write, and who read it unless the acknowledgement is early enough.
    fn evidence(calls: &Calls<'_>, version: Version, early: impl Fn(u32) -> bool) -> Vec<u32> {
        if version.initial {
            return Vec::new();
        }
        let acknowledged = calls.call(version.write).acknowledged();
        if acknowledged != NONE && early(acknowledged) {
            return vec![version.write];
        }
        vec![version.write, version.known_by]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::{Choice, Whole, agree};
    use super::*;

    /// Every write that certainly came later, for every read. Events are a second apart.
    fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
        let mut kinds = BTreeSet::new();
        let reads: Vec<&Whole> = ops.iter().filter(|op| op.f == "read" && op.ok()).collect();
        let writes: Vec<&Whole> = ops.iter().filter(|op| op.f == "write" && op.kind != Type::Fail).collect();
        let in_place = |write: &Whole| {
            let read = reads.iter().filter(|read| read.told == write.asked && read.complete > write.invoke);
            let acknowledged = write.ok().then_some(write.complete);
            read.map(|read| read.complete).chain(acknowledged).min()
        };
        let mut judged = false;
        let twice = writes.iter().any(|a| writes.iter().any(|b| a.invoke < b.invoke && a.asked == b.asked));
        for read in &reads {
            let write = writes.iter().find(|write| write.asked == read.told && write.invoke < read.complete);
            if write.is_none() && !read.told.is_null() {
                let failed = |op: &Whole| op.f == "write" && op.kind == Type::Fail && op.asked == read.told;
                let aborted = ops.iter().any(|op| failed(op) && op.invoke < read.complete);
                kinds.insert(if aborted { "aborted-read" } else { "phantom-read" });
                continue;
            }
            judged = true;
            let newer = writes.iter().filter(|newer| match write {
                Some(write) => in_place(write).is_some_and(|known| known < newer.invoke),
                None => true,
            });
            let overwritten = newer.filter_map(|newer| in_place(newer)).min().unwrap_or(usize::MAX);
            if !twice && overwritten < read.invoke && read.invoke - overwritten > 2 {
                kinds.insert("stale-read");
            }
        }
        if kinds.is_empty() && (twice || !judged) {
            kinds.insert("unknown");
        }
        kinds
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let mut choices: Vec<Choice> = (1..6).map(|n| ("write", json!(n), json!(n))).collect();
        choices.extend([json!(null), json!(1), json!(2), json!(3)].map(|told| ("read", json!(null), told)));
        agree(&Staleness::new().bound(Duration::from_secs(2)), naive, &choices, [2, 100_000, 6]);
    }

    #[test]
    fn keys_are_measured_apart() {
        let event = |f: &'static str, key: &str, asked: Value, told: Value, at: u64| {
            let op = crate::Op::new(f).at(at * 1_000_000);
            [op.clone().value(json!([key, asked])), op.value(json!([key, told])).kind(Type::Ok)]
        };
        let ops = [
            event("write", "x", json!(1), json!(1), 0),
            event("read", "x", json!(null), json!(null), 7),
            event("read", "y", json!(null), json!(null), 9),
        ];
        let verdict = Staleness::new().independent().check(&ops.into_iter().flatten().collect());
        let all = |ms: f64| json!({"p50": ms, "p95": ms, "p99": ms, "max": ms});
        assert_eq!(verdict.stats["age_ms_by_key"], json!({"\"x\"": all(7.0), "\"y\"": all(0.0)}));
    }
}
