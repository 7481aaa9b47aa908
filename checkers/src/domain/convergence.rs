//! Convergence: when all is quiet, all replicas say the same.
//!
//! **Operations.** `read` returns what a process's replica holds; everything else is an update. *Final reads* are those
//! that began after the last event of an update; the last one of each process counts. Lists are compared without
//! their order, all else as it is. Jepsen has no such checker; Maelstrom's `broadcast` and `g-set` workloads judge
//! final reads in this way.
//!
//! **Failures.**
//! - `divergence`: a process's final read differs from the most common one (of several, from the one that ended first);
//! - `lost-update`: a final read is a list that lacks an element that an acknowledged `add` added, and that nobody
//!   tried to `remove`.
//!
//! [`counter`](super::counter) compares final counters with their adds. An update of unknown outcome may show or not, but in
//! all replicas alike. Unknown if fewer than two processes have a final read. One pass, and one over the final reads.

use std::collections::{BTreeMap, HashMap};

use super::calls::{Call, Calls, NONE, Pass, Stop, brief, judged};
use super::findings::Findings;
use crate::history::Raw;
use crate::intern::{FastBuild, Interner};
use crate::registry::Order;
use crate::{Budget, Checker, History, Process, Verdict};

const NAME: &str = "convergence";
const KINDS: [&str; 2] = ["divergence", "lost-update"];

/// Checks that final reads agree: see the [module](super::convergence).
///
/// ```
/// use squall_checkers::domain::Convergence;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"add","value":1}
/// {"process":0,"type":"info","f":"add","value":1,"error":"timeout"}
/// {"process":1,"type":"invoke","f":"read"}
/// {"process":1,"type":"ok","f":"read","value":[1],"time":1000000000}
/// {"process":2,"type":"invoke","f":"read"}
/// {"process":2,"type":"ok","f":"read","value":[],"time":2000000000}"#;
/// let verdict = Convergence::new().check(&history::read(text.as_bytes(), "crdt.jsonl")?.history);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "read by process 2 at 2.000 s returned [], but read by process 1 at 1.000 s returned [1]"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Convergence {}

impl Convergence {
    /// The checker.
    pub fn new() -> Convergence {
        Convergence::default()
    }
}

impl Checker for Convergence {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `final_reads` (processes that have one), `updates`, `divergence` (processes that differ) and `lost_update`
    /// (elements that final reads lack).
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::RealTime, history, budget, judge)
    }
}

fn judge(calls: &Calls<'_>) -> Result<Verdict, Stop> {
    let mut updates = Updates::default();
    let _held = calls.run(&mut updates)?;
    let mut found = Findings::new(NAME, &KINDS, calls);
    let mut finals: Vec<u32> = updates.last.values().copied().filter(|at| updates.quiet <= *at).collect();
    finals.sort_unstable_by_key(|&at| calls.call(at).acknowledged());
    let mut states = Vec::new();
    let mut held = Vec::new();
    for &at in &finals {
        calls.budget.ask()?;
        let state = updates.state(told(calls, at));
        held.push(calls.budget.lease(state.capacity() * size_of::<u32>())?);
        states.push(state);
    }
    let mut same: BTreeMap<&[u32], (usize, usize)> = BTreeMap::new();
    for (at, state) in states.iter().enumerate() {
        same.entry(state).or_insert((0, at)).0 += 1;
    }
    let usual =
        same.values().max_by_key(|(count, first)| (*count, usize::MAX - first)).map_or(0, |group| group.1);
    for (&at, _) in finals.iter().zip(&states).filter(|(_, state)| **state != states[usual]) {
        found.add("divergence", None, |calls| {
            let read = |at: u32| format!("{} returned {}", calls.did(at), brief(told(calls, at)));
            (format!("{}, but {}", read(at), read(finals[usual])), vec![finals[usual], at])
        });
    }
    updates.lost(calls, &finals, &states, &mut found);
    let few = "processes have a read that began after the last update: let every process read at the end";
    let undecided = (finals.len() < 2).then(|| format!("{} {few}", finals.len()));
    let summary = format!("{} final reads, {} of them different", finals.len(), found.count("divergence"));
    let verdict = found.verdict(summary, undecided);
    Ok(verdict.stat("final_reads", finals.len()).stat("updates", updates.count))
}

/// What a read returned.
fn told<'a>(calls: &Calls<'a>, read: u32) -> Raw<'a> {
    calls.call(read).told().map_or(Raw::Null, |(told, _)| told)
}

/// The updates, and the last read of each process.
#[derive(Default)]
struct Updates {
    ids: Interner,
    /// By element: an acknowledged add of it, or `NONE`; and whether somebody tried to remove it.
    added: Vec<u32>,
    removed: Vec<bool>,
    last: HashMap<Process, u32, FastBuild>,
    /// The event after the last of an update.
    quiet: u32,
    count: usize,
}

impl<'a> Pass<'a> for Updates {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        if call.f() != "read" {
            self.quiet = call.at() + 1;
            self.count += 1;
            if call.f() == "remove" {
                let id = self.element(call.asked());
                self.removed[id] = true;
            }
        } else if call.is_ok() {
            self.last.insert(call.invoke().process(), call.at());
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        if call.f() != "read" {
            self.quiet = call.complete().map_or(0, |event| event.index() as u32 + 1);
            if call.f() == "add" && call.is_ok() {
                let id = self.element(call.asked());
                self.added[id] = self.added[id].min(call.at());
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.added.capacity() * (size_of::<u32>() + size_of::<bool>())
            + self.last.capacity() * size_of::<(Process, u32)>()
    }
}

impl Updates {
    fn element(&mut self, value: Raw<'_>) -> usize {
        let id = self.ids.intern_raw(value) as usize;
        if id >= self.added.len() {
            self.added.resize(id + 1, NONE);
            self.removed.resize(id + 1, false);
        }
        id
    }

    /// The elements of a list, sorted; of anything else itself, after a mark that no element has.
    fn state(&mut self, told: Raw<'_>) -> Vec<u32> {
        let Some(items) = told.items() else { return vec![NONE, self.element(told) as u32] };
        let mut state: Vec<u32> = items.map(|item| self.element(item) as u32).collect();
        state.sort_unstable();
        state
    }

    /// Finds elements that were added and that a final read lacks.
    fn lost(&self, calls: &Calls<'_>, finals: &[u32], states: &[Vec<u32>], found: &mut Findings<'_>) {
        let lists: Vec<(u32, &Vec<u32>)> =
            finals.iter().copied().zip(states).filter(|(at, _)| told(calls, *at).items().is_some()).collect();
        let mut next = vec![0; lists.len()];
        for (id, &add) in self.added.iter().enumerate() {
            let mut lacks = None;
            for ((at, state), next) in lists.iter().zip(&mut next) {
                let skip = state[*next..].iter().take_while(|other| (**other as usize) < id).count();
                *next += skip;
                if state.get(*next).is_none_or(|other| *other as usize != id) {
                    lacks.get_or_insert(*at);
                }
            }
            let Some(read) = lacks.filter(|_| add != NONE && !self.removed[id]) else { continue };
            let value = self.ids.value(id as u32);
            found.add("lost-update", None, |calls| {
                let (by, end, did) = (calls.by(add), calls.end(add), calls.did(read));
                (format!("{value} was added by {by} at {end}, but {did} lacks it"), vec![add, read])
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::testing::{Choice, Whole, agree};
    use super::*;

    fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
        let mut kinds = BTreeSet::new();
        let ends = |op: &Whole| if op.complete == usize::MAX { op.invoke } else { op.complete };
        let quiet = ops.iter().filter(|op| op.f != "read").map(ends).max();
        let is_final = |op: &&Whole| op.f == "read" && op.ok() && quiet.is_none_or(|quiet| quiet < op.invoke);
        let reads: Vec<&Whole> = ops.iter().filter(is_final).collect();
        let later =
            |op: &&&Whole| !reads.iter().any(|other| other.process == op.process && other.invoke > op.invoke);
        let finals: Vec<&&Whole> = reads.iter().filter(later).collect();
        let sorted = |value: &Value| match value.as_array() {
            Some(list) => {
                let mut list: Vec<String> = list.iter().map(Value::to_string).collect();
                list.sort();
                json!(list)
            }
            None => json!({"other": value}),
        };
        if finals.iter().any(|op| sorted(&op.told) != sorted(&finals[0].told)) {
            kinds.insert("divergence");
        }
        for add in ops.iter().filter(|op| op.f == "add" && op.ok()) {
            let removed = ops.iter().any(|op| op.f == "remove" && op.asked == add.asked);
            let lacks = |op: &Whole| op.told.as_array().is_some_and(|list| !list.contains(&add.asked));
            if !removed && finals.iter().any(|op| lacks(op)) {
                kinds.insert("lost-update");
            }
        }
        if kinds.is_empty() && finals.len() < 2 {
            kinds.insert("unknown");
        }
        kinds
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let both = |f: &'static str, value: Value| (f, value.clone(), value);
        let mut choices: Vec<Choice> =
            vec![both("add", json!(1)), both("add", json!(2)), both("remove", json!(1))];
        let reads =
            [json!([1]), json!([1, 2]), json!([2, 1]), json!([1]), json!([]), json!(7), json!([1, 2])];
        choices.extend(reads.map(|told| ("read", json!(null), told)));
        agree(&Convergence::new(), naive, &choices, [2, 100_000, 6]);
    }
}
