//! Long forks: two readers who disagree on which of two writes came first.
//!
//! **Operations** (`jepsen.tests.long-fork`): `txn`, either a single write `[["w", k, v]]` or reads `[["r", x, 1], ["r", y, null]]`.
//! Each key is written once, and reads of the same keys form a *group*. Transactions of another shape are left out.
//!
//! **Failures.** `long-fork`: of two reads of one group, the first has a key that the second lacks, and the second one
//! that the first lacks. Then no order of the two writes explains both. Snapshot isolation forbids it, parallel
//! snapshot isolation does not. `aborted-read`: a read has a value whose write failed.
//!
//! **Algorithm.** A group has no fork exactly if its reads, in the order of how many keys they have, each have all keys of the
//! one before. So each read is compared with one other, where Jepsen compares all pairs. A key of which two values
//! were written or read makes the verdict unknown, as in Jepsen, and so does a value that nobody wrote.

use serde_json::Value;

use super::calls::{Call, Calls, NONE, Pass, Stop, judged};
use super::findings::Findings;
use crate::history::{Raw, Scan};
use crate::intern::{Interner, Texts};
use crate::registry::Order;
use crate::{Budget, Checker, History, Type, Verdict};

const NAME: &str = "long-fork";
const KINDS: [&str; 2] = ["long-fork", "aborted-read"];

/// Groups, or reads of one, between two looks at the budget.
const PACE: usize = 1 << 12;

/// Looks for long forks: see the [module](super::long_fork).
///
/// ```
/// use squall_checkers::domain::LongFork;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"txn","value":[["w",1,1]]}
/// {"process":1,"type":"invoke","f":"txn","value":[["w",2,1]]}
/// {"process":2,"type":"invoke","f":"txn","value":[["r",1,null],["r",2,null]]}
/// {"process":2,"type":"ok","f":"txn","value":[["r",1,1],["r",2,null]],"time":1000000000}
/// {"process":3,"type":"invoke","f":"txn","value":[["r",2,null],["r",1,null]]}
/// {"process":3,"type":"ok","f":"txn","value":[["r",2,1],["r",1,null]],"time":2000000000}"#;
/// let verdict = LongFork::new().check(&history::read(text.as_bytes(), "fork.jsonl")?.history);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "txn by process 2 at 1.000 s has key 1 but not 2, txn by process 3 at 2.000 s has key 2 but not 1"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LongFork {}

impl LongFork {
    /// The checker.
    pub fn new() -> LongFork {
        LongFork::default()
    }
}

impl Checker for LongFork {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `reads`, `groups`, `writes`, and how many `long_fork`s (at most one for each read) and `aborted_read`s.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::Sessions, history, budget, judge)
    }
}

fn judge(calls: &Calls<'_>) -> Result<Verdict, Stop> {
    let mut txns = Txns::default();
    let _held = calls.run(&mut txns)?;
    let mut found = Findings::new(NAME, &KINDS, calls);
    // Without real time it is not known that the write that did not fail came later.
    let real_time = calls.history.has_real_time();
    let aborted = |key: u32| real_time || txns.keys[key as usize].writer == NONE;
    for &(at, key) in txns.aborted.iter().filter(|(_, key)| aborted(*key)) {
        let (writer, key) = (txns.keys[key as usize].failed, txns.ids.value(key));
        found.add("aborted-read", None, |calls| {
            let advice = "if that may have taken effect, record it as info";
            let by = calls.by(writer);
            (
                format!("{} has key {key}, whose write by {by} failed; {advice}", calls.did(at)),
                vec![at, writer],
            )
        });
    }
    let _more =
        calls.budget.lease(txns.reads.len() * size_of::<Read>() + txns.ends.len() * size_of::<u32>())?;
    let mut reads = txns.grouped();
    for (nth, group) in reads.chunk_by_mut(|a, b| a.group == b.group).enumerate() {
        if nth % PACE == 0 || group.len() > PACE {
            calls.budget.ask()?;
        }
        txns.judge(group, &mut found);
    }
    let (reads, groups, forks) = (reads.len(), txns.ends.len(), found.count("long-fork"));
    let summary = format!("{reads} reads of {groups} groups of keys, {forks} long forks");
    let undecided = txns.undecided(reads);
    let verdict = found.verdict(summary, undecided);
    Ok(verdict.stat("reads", reads).stat("groups", groups).stat("writes", txns.writes))
}

#[derive(Clone, Copy)]
struct Key {
    /// Its one value.
    value: u32,
    /// Its write, if that did not fail, and if it did.
    writer: u32,
    failed: u32,
    /// The group of the last read of which it is the first key.
    group: u32,
}

/// A read of several keys. Those of the same keys are a group.
#[derive(Clone, Copy, Default)]
struct Read {
    group: u32,
    at: u32,
    /// Where the bits begin that say which of the group's keys it has.
    bits: usize,
}

#[derive(Default)]
struct Txns {
    ids: Interner,
    values: Interner,
    keys: Vec<Key>,
    /// The keys of each group, four bytes a key.
    groups: Texts,
    /// How many reads each group has; then where they end.
    ends: Vec<u32>,
    reads: Vec<Read>,
    bits: Vec<u64>,
    aborted: Vec<(u32, u32)>,
    twice: Option<String>,
    writes: usize,
    /// The keys of the read at hand, and whether it has them.
    row: Vec<(u32, bool)>,
    row_keys: Vec<u8>,
}

/// The text of a transaction, from its first micro-operation on; none if it is no list.
fn mops(txn: Raw<'_>) -> Option<Scan<'_>> {
    let Raw::Text(text) = txn else { return None };
    let mut scan = Scan::new(text);
    scan.eat(b'[').then_some(scan)
}

/// Goes on to the key of a micro-operation: whether it writes; none if it is no read or write.
#[inline]
fn begin(scan: &mut Scan<'_>) -> Option<bool> {
    let mut is = |names: [&[u8]; 2]| names.iter().any(|name| scan.eat_text(name));
    match is([br#"["r","#, br#"[":r","#]) {
        true => Some(false),
        false => is([br#"["w","#, br#"[":w","#]).then_some(true),
    }
}

/// Goes on to the end of a micro-operation from that of its value.
#[inline]
fn end(scan: &mut Scan<'_>) -> Option<()> {
    while scan.eat(b',') {
        scan.item()?;
    }
    scan.eat(b']').then_some(())
}

/// The key and the value of a transaction that is one write.
fn only_write<'a>(mut scan: Scan<'a>) -> Option<(Raw<'a>, Raw<'a>)> {
    if !begin(&mut scan)? {
        return None;
    }
    let key = scan.item()?;
    let value = scan.eat(b',').then(|| scan.item())??;
    end(&mut scan)?;
    (!scan.eat(b',')).then_some((key, value))
}

impl<'a> Pass<'a> for Txns {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((id, value)) = mops(call.asked()).and_then(only_write) else { return Ok(()) };
        self.writes += 1;
        let failed = call.kind() == Type::Fail;
        let id = self.key(id);
        let key = &mut self.keys[id as usize];
        if failed {
            key.failed = key.failed.min(call.at());
        } else if key.writer != NONE {
            self.note_twice(id);
        } else {
            key.writer = call.at();
        }
        let value = self.values.intern_raw(value);
        self.has_value(id, value);
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some(mut scan) = call.ok().and_then(|event| mops(event.raw())) else { return Ok(()) };
        self.row.clear();
        let mut more = !scan.eat(b']');
        while more {
            let Some((id, value)) = self.read_mop(&mut scan) else { return Ok(()) };
            self.row.push((id, value.is_some()));
            if let Some(value) = value {
                self.has_value(id, value);
                let key = self.keys[id as usize];
                if key.writer == NONE && key.failed != NONE {
                    self.aborted.push((call.at(), id));
                }
            }
            more = scan.eat(b',');
        }
        if !self.row.is_empty() {
            self.row.sort_unstable();
            self.row.dedup_by_key(|(key, _)| *key);
            self.read(call.at());
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.values.memory_bytes()
            + self.aborted.capacity() * size_of::<(u32, u32)>()
            + self.keys.capacity() * size_of::<Key>()
            + self.groups.memory_bytes()
            + self.ends.capacity() * size_of::<u32>()
            + self.reads.capacity() * size_of::<Read>()
            + self.bits.capacity() * size_of::<u64>()
    }
}

impl Txns {
    fn key(&mut self, id: Raw<'_>) -> u32 {
        let id = self.ids.intern_raw(id);
        if id as usize == self.keys.len() {
            self.keys.push(Key { value: NONE, writer: NONE, failed: NONE, group: NONE });
        }
        id
    }

    /// Goes on behind a read: its key, and its value unless that is null; none if it is no read.
    #[inline]
    fn read_mop(&mut self, scan: &mut Scan<'_>) -> Option<(u32, Option<u32>)> {
        if begin(scan)? {
            return None;
        }
        let key = scan.item_to(|key| self.key(key))?;
        if !scan.eat(b',') {
            return None;
        }
        let value = scan.item_to(|value| match value {
            Raw::Null => None,
            value => Some(self.values.intern_raw(value)),
        })?;
        end(scan)?;
        Some((key, value))
    }

    /// The key has this value, and must have no other.
    fn has_value(&mut self, id: u32, value: u32) {
        let key = &mut self.keys[id as usize];
        if key.value == NONE {
            key.value = value;
        } else if key.value != value {
            self.note_twice(id);
        }
    }

    fn note_twice(&mut self, id: u32) {
        let key = self.ids.value(id);
        let why = || format!("key {key} was written more than once: the order of its values is not known");
        self.twice.get_or_insert_with(why);
    }

    /// Why the verdict is unknown where nothing was found.
    fn undecided(&self, reads: usize) -> Option<String> {
        let unwritten = |key: &Key| key.value != NONE && key.writer == NONE && key.failed == NONE;
        let nowhere = || {
            let at = self.keys.iter().position(unwritten)? as u32;
            let (key, value) = (self.ids.value(at), self.values.value(self.keys[at as usize].value));
            Some(format!(
                "key {key} has the value {value}, which no transaction of one write is known to have written"
            ))
        };
        let unread = || (reads == 0).then(|| "no read was acknowledged".to_owned());
        self.twice.clone().or_else(nowhere).or_else(unread)
    }

    /// Puts the row into its group.
    fn read(&mut self, at: u32) {
        self.row_keys.clear();
        self.row.iter().for_each(|(key, _)| self.row_keys.extend_from_slice(&key.to_ne_bytes()));
        let first = &mut self.keys[self.row[0].0 as usize].group;
        if *first == NONE || self.groups.text(*first) != self.row_keys {
            *first = self.groups.intern(&self.row_keys, self.ends.len() as u32).0;
        }
        let group = *first;
        if group as usize == self.ends.len() {
            self.ends.push(0);
        }
        self.ends[group as usize] += 1;
        self.reads.push(Read { group, at, bits: self.bits.len() });
        let word =
            |row: &[(u32, bool)]| row.iter().rev().fold(0, |word, (_, has)| word << 1 | u64::from(*has));
        self.bits.extend(self.row.chunks(64).map(word));
    }

    /// The reads, group by group.
    fn grouped(&mut self) -> Vec<Read> {
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        let mut grouped = vec![Read::default(); self.reads.len()];
        for read in &self.reads {
            let end = &mut self.ends[read.group as usize];
            grouped[*end as usize] = *read;
            *end += 1;
        }
        grouped
    }

    /// Sorts the reads of a group by how many keys they have, and compares each with the next.
    fn judge(&self, group: &mut [Read], found: &mut Findings<'_>) {
        let keys = self.groups.text(group[0].group).as_chunks().0;
        // Which of its group's keys a read has.
        let has = |read: Read| &self.bits[read.bits..][..keys.len().div_ceil(64)];
        group.sort_by_key(|read| has(*read).iter().map(|word| word.count_ones()).sum::<u32>());
        for pair in group.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let (Some(only_a), Some(only_b)) = (without(has(a), has(b)), without(has(b), has(a))) else {
                continue;
            };
            let key = |at: usize| self.ids.value(u32::from_ne_bytes(keys[at]));
            let (x, y): (Value, Value) = (key(only_a), key(only_b));
            found.add("long-fork", None, |calls| {
                let (first, second) = (calls.did(a.at), calls.did(b.at));
                let sentence = format!("{first} has key {x} but not {y}, {second} has key {y} but not {x}");
                (sentence, vec![a.at, b.at])
            });
        }
    }
}

/// The first bit that is set in `a` and not in `b`.
fn without(a: &[u64], b: &[u64]) -> Option<usize> {
    let words = a.iter().zip(b).map(|(a, b)| a & !b);
    let (word, only) = words.enumerate().find(|(_, only)| *only != 0)?;
    Some(word * 64 + only.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::super::testing::{Choice, Whole, agree};
    use super::*;
    use crate::{Op, Valid};

    fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
        let list = |value: &Value| value.as_array().unwrap().clone();
        let reads: Vec<(usize, BTreeMap<String, Value>)> = ops
            .iter()
            .filter(|op| op.ok() && list(&op.told)[0][0] == "r")
            .map(|op| {
                (op.complete, list(&op.told).iter().map(|mop| (mop[1].to_string(), mop[2].clone())).collect())
            })
            .collect();
        let writes: Vec<(&Whole, String)> = ops
            .iter()
            .filter(|op| list(&op.asked)[0][0] == "w")
            .map(|op| (op, list(&op.asked)[0][1].to_string()))
            .collect();
        let mut kinds = BTreeSet::new();
        for (at, read) in &reads {
            for (_, other) in reads.iter().filter(|(_, other)| read.keys().eq(other.keys())) {
                let only = |a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>| {
                    a.iter().any(|(key, value)| !value.is_null() && b[key].is_null())
                };
                if only(read, other) && only(other, read) {
                    kinds.insert("long-fork");
                }
            }
            for (key, _) in read.iter().filter(|(_, value)| !value.is_null()) {
                let before = |failed: bool| {
                    let of = writes.iter().filter(|(op, to)| to == key && op.invoke < *at);
                    of.filter(|(op, _)| (op.kind == Type::Fail) == failed).count()
                };
                if before(false) == 0 && before(true) > 0 {
                    kinds.insert("aborted-read");
                }
            }
        }
        let twice =
            |key: &String| writes.iter().filter(|(op, to)| to == key && op.kind != Type::Fail).count() > 1;
        let nowhere = reads
            .iter()
            .flat_map(|(_, read)| read)
            .any(|(key, value)| !value.is_null() && writes.iter().all(|(_, to)| to != key));
        if kinds.is_empty() && (reads.is_empty() || nowhere || writes.iter().any(|(_, key)| twice(key))) {
            kinds.insert("unknown");
        }
        kinds
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let null = json!(null);
        let read = |x: Value, y: Value| json!([["r", 1, x], ["r", 2, y]]);
        let mut choices: Vec<Choice> =
            [1, 2].map(|key| json!([["w", key, 1]])).map(|w| ("txn", w.clone(), w)).into();
        for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let bit = |bit: i32| if bit == 0 { null.clone() } else { json!(1) };
            choices.push(("txn", read(null.clone(), null.clone()), read(bit(x), bit(y))));
        }
        choices.push(("txn", json!([["r", 2, null], ["r", 1, null]]), json!([["r", 2, 1], ["r", 1, null]])));
        choices.push(("txn", json!([["r", 1, null]]), json!([["r", 1, 1]])));
        agree(&LongFork::new(), naive, &choices, [2, 100_000, 8]);
    }

    /// A value that nobody had written was valid.
    #[test]
    fn a_value_from_nowhere_is_not_valid() {
        let txn = |value: Value| {
            [Type::Invoke, Type::Ok].map(|kind| Op::new("txn").value(value.clone()).kind(kind))
        };
        let [write, read, other] =
            [json!([["w", 1, 1]]), json!([["r", 1, 1]]), json!([["r", 2, 1]])].map(txn);
        let judge = |ops: &[&[Op; 2]]| {
            let verdict = LongFork::new().check(&ops.iter().flat_map(|op| op.iter().cloned()).collect());
            (verdict.valid, verdict.reason.unwrap_or_default())
        };
        assert_eq!(judge(&[&write, &read]).0, Valid::True);
        let reason = "key 2 has the value 1, which no transaction of one write is known to have written";
        assert_eq!(judge(&[&write, &read, &other]), (Valid::Unknown, reason.to_owned()));
    }

    #[test]
    fn groups_may_be_wide() {
        let reads = |missing: usize| -> Value {
            (0..100)
                .map(|key| json!(["r", key, if key == missing { json!(null) } else { json!(1) }]))
                .collect()
        };
        let txn = |value: Value, kind| Op::new("txn").value(value).kind(kind);
        let ops =
            [70, 99].into_iter().flat_map(|at| [txn(json!([]), Type::Invoke), txn(reads(at), Type::Ok)]);
        let verdict = LongFork::new().check(&ops.collect());
        let sentence = "txn by process 0 at 0.000 s has key 99 but not 70, txn by process 0 at 0.000 s has key 70 but not 99";
        assert_eq!(verdict.anomalies[0].sentence, sentence);
    }
}
