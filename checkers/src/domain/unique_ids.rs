//! Unique ids: no id is given out twice.
//!
//! **Operations** (`jepsen.checker/unique-ids`; the id tests of Hazelcast and of Maelstrom use it): `generate`, which returns
//! an id, any value but null.
//!
//! **Failure.** `duplicate-id`: two acknowledged `generate`s returned the same id. An operation of unknown outcome returned
//! nothing, so it does not count. One pass; integers are sorted, other ids are looked up in a table.

use serde_json::{Value, json};

use super::calls::{Call, Calls, Pass, Stop, judged};
use super::findings::Findings;
use crate::history::Raw;
use crate::intern::Interner;
use crate::registry::Order;
use crate::{Budget, Checker, History, Verdict};

const NAME: &str = "unique-ids";

/// Checks that ids are unique: see the [module](super::unique_ids).
///
/// ```
/// use squall_checkers::domain::UniqueIds;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"generate"}
/// {"process":1,"type":"invoke","f":"generate"}
/// {"process":0,"type":"ok","f":"generate","value":7,"time":1000000000}
/// {"process":1,"type":"ok","f":"generate","value":7,"time":2000000000}"#;
/// let verdict = UniqueIds::new().check(&history::read(text.as_bytes(), "ids.jsonl")?.history);
/// assert_eq!(verdict.anomalies[0].witness, [0, 1, 2, 3]);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "7 was given to process 0 at 1.000 s and to process 1 at 2.000 s"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UniqueIds {}

impl UniqueIds {
    /// The checker.
    pub fn new() -> UniqueIds {
        UniqueIds::default()
    }
}

impl Checker for UniqueIds {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `attempted`, `acknowledged`, `duplicate_id` (acknowledgements of an id that was given out already), and the
    /// `range` `[lowest, highest]` of ids that are integers.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::Sessions, history, budget, judge)
    }
}

fn judge(calls: &Calls<'_>) -> Result<Verdict, Stop> {
    let mut ids = Ids::new(calls);
    let _held = calls.run(&mut ids)?;
    ids.compare_integers();
    let summary = format!("{} ids, {} of them again", ids.acknowledged, ids.found.count("duplicate-id"));
    let nothing = (ids.acknowledged == 0).then(|| "no `generate` was acknowledged".to_owned());
    let verdict = ids.found.verdict(summary, nothing);
    let range = ids.range.map_or(json!(null), |(low, high)| json!([low, high]));
    Ok(verdict.stat("attempted", ids.attempted).stat("acknowledged", ids.acknowledged).stat("range", range))
}

struct Ids<'a> {
    /// Ids that are integers, with who got them.
    integers: Vec<(i64, u32)>,
    /// All others, and who got each first.
    ids: Interner,
    first: Vec<u32>,
    attempted: usize,
    acknowledged: usize,
    range: Option<(i64, i64)>,
    found: Findings<'a>,
}

impl<'a> Ids<'a> {
    fn new(calls: &'a Calls<'a>) -> Ids<'a> {
        Ids {
            integers: Vec::new(),
            ids: Interner::default(),
            first: Vec::new(),
            attempted: 0,
            acknowledged: 0,
            range: None,
            found: Findings::new(NAME, &["duplicate-id"], calls),
        }
    }
}

impl<'a> Pass<'a> for Ids<'a> {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        self.attempted += usize::from(call.f() == "generate");
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((told, event)) = call.told().filter(|_| call.f() == "generate") else { return Ok(()) };
        if told == Raw::Null {
            return Err(Stop::shape(event, "`generate` returns an id"));
        }
        self.acknowledged += 1;
        if let Raw::Int(id) = told {
            self.integers.push((id, call.at()));
            return Ok(());
        }
        let id = self.ids.intern_raw(told) as usize;
        if id == self.first.len() {
            self.first.push(call.at());
        } else {
            self.again(&self.ids.value(id as u32), self.first[id], call.at());
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.integers.capacity() * size_of::<(i64, u32)>()
            + self.ids.memory_bytes()
            + self.first.capacity() * size_of::<u32>()
    }
}

impl Ids<'_> {
    fn again(&mut self, id: &Value, first: u32, at: u32) {
        self.found.add("duplicate-id", None, |calls| {
            let to = |at: u32| format!("to {} at {}", calls.by(at), calls.end(at));
            (format!("{id} was given {} and {}", to(first), to(at)), vec![first, at])
        });
    }

    fn compare_integers(&mut self) {
        let mut integers = std::mem::take(&mut self.integers);
        integers.sort_unstable();
        self.range = integers.first().zip(integers.last()).map(|(low, high)| (low.0, high.0));
        for same in integers.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            let (id, first) = same[0];
            same[1..].iter().for_each(|&(_, at)| self.again(&id.into(), first, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::{Whole, agree};
    use super::*;

    fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
        let ids: Vec<String> = ops.iter().filter(|op| op.ok()).map(|op| op.told.to_string()).collect();
        let distinct: BTreeSet<&String> = ids.iter().collect();
        match ids.len() {
            0 => BTreeSet::from(["unknown"]),
            n if n > distinct.len() => BTreeSet::from(["duplicate-id"]),
            _ => BTreeSet::new(),
        }
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let choices: Vec<_> = [json!(1), json!(-1), json!("1"), json!([1, 2]), json!(1.5)]
            .into_iter()
            .map(|id| ("generate", json!(null), id))
            .collect();
        agree(&UniqueIds::new(), naive, &choices, [2, 100_000, 8]);
    }
}
