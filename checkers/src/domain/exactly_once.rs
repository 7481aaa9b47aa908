//! Exactly once: what was submitted is processed, and not twice.
//!
//! **Operations.** `submit id` hands in work. What became of it is seen in two ways, of which a history may have either
//! or both: `process id` is a worker that says that it did the work, and `read` returns the list of the ids of all that was done, as often
//! as it was done. An id may be submitted again, as clients do that retry: it is the same work. Jepsen has no such checker.
//!
//! **Failures.**
//! - `lost`: the last read (that began last) lacks an id whose submission was acknowledged, or that another read had, before the
//!   read began: so read when all is done;
//! - `duplicate`: two `process` of one id were acknowledged, or a read has it twice;
//! - `phantom`: an id was processed or read that nobody had begun to submit;
//! - `aborted`: the same, but a submission of it had failed.
//!
//! A `process` of unknown outcome may or may not have been. Where there is no read, work that nobody says to have done
//! makes the verdict unknown, for it may yet be done. One pass, and one over the ids.

use super::calls::{Call, Calls, NONE, Pass, Stop, brief, judged};
use super::findings::Findings;
use crate::history::Raw;
use crate::intern::Interner;
use crate::registry::Order;
use crate::{Budget, Checker, History, Type, Verdict};

const NAME: &str = "exactly-once";
const KINDS: [&str; 4] = ["lost", "duplicate", "phantom", "aborted"];

/// Checks that work is done once: see the [module](super::exactly_once).
///
/// ```
/// use squall_checkers::domain::ExactlyOnce;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"submit","value":1}
/// {"process":0,"type":"info","f":"submit","value":1,"error":"timeout"}
/// {"process":1,"type":"invoke","f":"submit","value":1}
/// {"process":1,"type":"ok","f":"submit","value":1}
/// {"process":1,"type":"invoke","f":"read","time":3000000000}
/// {"process":1,"type":"ok","f":"read","value":[1,1],"time":4000000000}"#;
/// let verdict = ExactlyOnce::new().check(&history::read(text.as_bytes(), "work.jsonl")?.history);
/// assert_eq!(verdict.anomalies[0].sentence, "read by process 1 at 4.000 s has 1 twice");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactlyOnce {}

impl ExactlyOnce {
    /// The checker.
    pub fn new() -> ExactlyOnce {
        ExactlyOnce::default()
    }
}

impl Checker for ExactlyOnce {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `submitted` and `acknowledged` ids, `done` (processed or read), and how many show each kind of failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::RealTime, history, budget, judge)
    }
}

fn judge(calls: &Calls<'_>) -> Result<Verdict, Stop> {
    let found = Findings::new(NAME, &KINDS, calls);
    let mut works =
        Works { ids: Interner::default(), works: Vec::new(), last: None, seen: false, reads: 0, found };
    let _held = calls.run(&mut works)?;
    let undecided = works.finish();
    let count = |is: &dyn Fn(&Work) -> bool| works.works.iter().filter(|work| is(work)).count();
    let submitted = count(&|work| work.submit != NONE);
    let (acknowledged, done) = (count(&|work| work.acknowledged != NONE), count(&|work| work.done()));
    let lost = works.found.count("lost");
    let summary = format!("{submitted} submitted, {acknowledged} acknowledged, {done} done, {lost} lost");
    let verdict = works.found.verdict(summary, undecided);
    Ok(verdict.stat("submitted", submitted).stat("acknowledged", acknowledged).stat("done", done))
}

/// One id.
#[derive(Clone, Copy)]
struct Work {
    /// The first submission that did not fail, and the last that did.
    submit: u32,
    failed: u32,
    /// The submission that was acknowledged first, and its acknowledgement.
    by: u32,
    acknowledged: u32,
    /// Who processed it first.
    processed: u32,
    /// The read that had it first, its completion, and 1 + the number of the last read that has it.
    reader: u32,
    read: u32,
    seen: u32,
}

const NOTHING: Work = Work {
    submit: NONE,
    failed: NONE,
    by: NONE,
    acknowledged: NONE,
    processed: NONE,
    reader: NONE,
    read: NONE,
    seen: 0,
};

impl Work {
    fn done(&self) -> bool {
        self.processed != NONE || self.reader != NONE
    }
}

struct Works<'a> {
    ids: Interner,
    works: Vec<Work>,
    /// The read that began last, and its number from 1.
    last: Option<(u32, u32)>,
    /// Whether anything was processed or read.
    seen: bool,
    reads: u32,
    found: Findings<'a>,
}

impl<'a> Pass<'a> for Works<'a> {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        match call.f() {
            "submit" => {
                let work = self.work(call.asked());
                if call.kind() == Type::Fail {
                    work.failed = call.at();
                } else {
                    work.submit = work.submit.min(call.at());
                }
            }
            "process" | "read" => {}
            _ => return Err(Stop::function(call.invoke(), "work has submit, process and read")),
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((told, event)) = call.told() else { return Ok(()) };
        match call.f() {
            "submit" => {
                let work = self.work(call.asked());
                if work.acknowledged == NONE {
                    (work.by, work.acknowledged) = (call.at(), event.index() as u32);
                }
            }
            "process" => {
                let id = if call.asked() == Raw::Null { told } else { call.asked() };
                self.process(call.at(), id);
            }
            _ => {
                let list = || Stop::shape(event, "a read returns the list of what was done");
                let ids = told.items().ok_or_else(list)?;
                self.reads += 1;
                self.seen = true;
                if self.last.is_none_or(|(last, _)| last < call.at()) {
                    self.last = Some((call.at(), self.reads));
                }
                ids.for_each(|id| self.read(call.at(), event.index() as u32, id));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ids.memory_bytes() + self.works.capacity() * size_of::<Work>()
    }
}

impl<'a> Works<'a> {
    fn work(&mut self, id: Raw<'_>) -> &mut Work {
        let id = self.ids.intern_raw(id) as usize;
        if id == self.works.len() {
            self.works.push(NOTHING);
        }
        &mut self.works[id]
    }

    /// Says so if an id was done that nobody had submitted.
    fn submitted(&mut self, at: u32, id: Raw<'a>) {
        let work = *self.work(id);
        if work.submit != NONE {
            return;
        }
        let kind = if work.failed == NONE { "phantom" } else { "aborted" };
        self.found.add(kind, None, |calls| {
            let (did, id) = (calls.did(at), brief(id));
            if work.failed == NONE {
                return (format!("{did} has {id}, which nobody had submitted"), vec![at]);
            }
            let advice = "if that may have taken effect, record it as info";
            let by = calls.by(work.failed);
            (format!("{did} has {id}, whose submission by {by} failed; {advice}"), vec![at, work.failed])
        });
    }

    fn process(&mut self, at: u32, id: Raw<'a>) {
        self.seen = true;
        self.submitted(at, id);
        let work = self.work(id);
        if work.processed == NONE {
            work.processed = at;
            return;
        }
        let first = work.processed;
        self.found.add("duplicate", None, |calls| {
            let (did, again, id) = (calls.did(first), calls.did(at), brief(id));
            (format!("{id} was done twice: {did} and {again}"), vec![first, at])
        });
    }

    fn read(&mut self, at: u32, end: u32, id: Raw<'a>) {
        let number = self.reads;
        let work = self.work(id);
        if work.seen == number {
            let sentence = |calls: &Calls<'_>| format!("{} has {} twice", calls.did(at), brief(id));
            self.found.add("duplicate", None, |calls| (sentence(calls), vec![at]));
            return;
        }
        work.seen = number;
        if work.reader == NONE {
            (work.reader, work.read) = (at, end);
        }
        self.submitted(at, id);
    }

    /// Finds what was lost. Says why more may be.
    fn finish(&mut self) -> Option<String> {
        let open = self.works.iter().filter(|work| work.acknowledged != NONE && !work.done()).count();
        let Some((last, _)) = self.last else {
            let why =
                format!("{open} acknowledged submissions were not processed, and there is no final read");
            return (open > 0 || !self.seen).then_some(if self.seen {
                why
            } else {
                "nothing was processed or read".into()
            });
        };
        let has = self.final_ids(last);
        for (id, work) in self.works.iter().enumerate() {
            if has[id] || (work.acknowledged > last && (work.read > last || work.submit == NONE)) {
                continue;
            }
            let value = self.ids.value(id as u32);
            self.found.add("lost", None, |calls| {
                let did = calls.did(last);
                if work.acknowledged < last {
                    let (by, end) = (calls.by(work.by), calls.end(work.by));
                    let sentence = format!("{value} was acknowledged to {by} at {end}, but {did} lacks it");
                    return (sentence, vec![work.by, last]);
                }
                let reader = calls.did(work.reader);
                (format!("{reader} has {value}, but {did} lacks it"), vec![work.submit, work.reader, last])
            });
        }
        None
    }

    fn final_ids(&mut self, last: u32) -> Vec<bool> {
        let calls = self.found.calls();
        let mut has = vec![false; self.works.len()];
        for id in calls.call(last).told().and_then(|(told, _)| told.items()).into_iter().flatten() {
            has[self.ids.intern_raw(id) as usize] = true;
        }
        has
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
        let oks = |f: &'static str| ops.iter().filter(move |op| op.f == f && op.ok());
        let times =
            |op: &Whole, id: &Value| op.told.as_array().unwrap().iter().filter(|other| *other == id).count();
        let last = oks("read").max_by_key(|op| op.invoke);
        let mut open = 0;
        for id in [json!(1), json!(2)] {
            let submits: Vec<&Whole> = ops.iter().filter(|op| op.f == "submit" && op.asked == id).collect();
            let processed: Vec<&Whole> = oks("process").filter(|op| op.asked == id).collect();
            let read: Vec<&Whole> = oks("read").filter(|op| times(op, &id) > 0).collect();
            if processed.len() > 1 || read.iter().any(|op| times(op, &id) > 1) {
                kinds.insert("duplicate");
            }
            for done in processed.iter().chain(&read) {
                let before = |failed: bool| {
                    submits.iter().any(|op| op.invoke < done.complete && (op.kind == Type::Fail) == failed)
                };
                if !before(false) {
                    kinds.insert(if before(true) { "aborted" } else { "phantom" });
                }
            }
            let submitted = submits.iter().any(|op| op.kind != Type::Fail);
            if let Some(last) = last {
                let acknowledged = submits.iter().any(|op| op.ok() && op.before(last));
                let seen = submitted && read.iter().any(|op| op.before(last));
                if times(last, &id) == 0 && (acknowledged || seen) {
                    kinds.insert("lost");
                }
            } else if submits.iter().any(|op| op.ok()) && processed.is_empty() {
                open += 1;
            }
        }
        let nothing = oks("read").chain(oks("process")).next().is_none();
        if kinds.is_empty() && (nothing || open > 0) {
            kinds.insert("unknown");
        }
        kinds
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        let id = |f: &'static str, id: i32| (f, json!(id), json!(id));
        let mut choices: Vec<Choice> =
            vec![id("submit", 1), id("submit", 1), id("submit", 2), id("process", 1), id("process", 2)];
        choices.extend(
            [json!([]), json!([1]), json!([2, 1]), json!([2, 2])].map(|told| ("read", json!(null), told)),
        );
        agree(&ExactlyOnce::new(), naive, &choices, [2, 100_000, 8]);
    }
}
