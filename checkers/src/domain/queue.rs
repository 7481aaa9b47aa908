//! Queues without an order: what comes out was put in, and, if asked, what was put in comes out.
//!
//! **Operations** (`jepsen.checker/queue` and `total-queue`): `enqueue v`; `dequeue`, which returns an element, or null where
//! the queue was empty; `drain`, which returns the list of all that it dequeued until the queue was empty. A value may be
//! enqueued several times; then it may come out as often.
//!
//! **Failures.**
//! - `phantom-dequeue`: an element came out that nobody had tried to enqueue by then;
//! - `aborted-dequeue`: the same, but an enqueue of it had failed;
//! - `duplicate-dequeue`: an element came out more often than it had been enqueued by then;
//! - `lost-element`: an acknowledged element did not come out though the queue was *emptied* after that: by an
//!   acknowledged `drain`, by a `dequeue` that returned null, or by one that failed with an error that has `empty` or
//!   `exhausted` in it, as Jepsen's clients say.
//!
//! [`Queue`] is Jepsen's `queue` with an unordered queue: it judges the first three. [`Queue::total`] is `total-queue`: what goes
//! in must come out, and, as in Jepsen, may come out twice (that is counted, not called wrong).
//!
//! **Where this is more exact than Jepsen.** An element that came out before anybody tried to enqueue it is a phantom
//! even if it was enqueued later. A dequeue of unknown outcome may have taken one element, and a drain any number: if
//! there are no more lost elements than such dequeues, the verdict is unknown. So it is where
//! elements are left that were acknowledged after the queue was last emptied. One pass, and one over the enqueues.

use super::calls::{Call, Calls, NONE, Pass, Stop, brief, judged};
use super::findings::Findings;
use crate::history::{OpRef, Raw};
use crate::intern::Interner;
use crate::registry::Order;
use crate::{Budget, Checker, History, Type, Verdict};

const KINDS: [&str; 4] = ["lost-element", "phantom-dequeue", "aborted-dequeue", "duplicate-dequeue"];

/// Checks a queue that promises no order: see the [module](super::queue).
///
/// ```
/// use squall_checkers::domain::Queue;
/// use squall_checkers::{Checker, Valid, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"enqueue","value":"a"}
/// {"process":0,"type":"ok","f":"enqueue","value":"a","time":1000000000}
/// {"process":1,"type":"invoke","f":"drain","time":2000000000}
/// {"process":1,"type":"ok","f":"drain","value":[],"time":3000000000}"#;
/// let history = history::read(text.as_bytes(), "queue.jsonl")?.history;
/// // Nothing came out: nothing to judge, unless what goes in must come out.
/// assert_eq!(Queue::new().check(&history).valid, Valid::Unknown);
/// assert_eq!(
///     Queue::total().check(&history).anomalies[0].sentence,
///     "\"a\" was enqueued by process 0 at 1.000 s and never dequeued, though drain by process 1 at 3.000 s left nothing"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    total: bool,
}

impl Queue {
    /// A queue that gives out nothing that was not put in, nor more often.
    pub fn new() -> Queue {
        Queue::default()
    }

    /// A queue that loses nothing, and may give out an element twice.
    pub fn total() -> Queue {
        Queue { total: true }
    }

    fn judge(self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut items = Items {
            total: self.total,
            ids: Interner::default(),
            items: Vec::new(),
            enqueues: Vec::new(),
            emptied: None,
            crashed: 0,
            crashed_drain: false,
            dequeues: 0,
            duplicates: 0,
            found: Findings::new(self.label(), &KINDS, calls),
        };
        let _held = calls.run(&mut items)?;
        let undecided = if self.total { items.lost() } else { items.nothing() };
        let (enqueues, dequeues) = (items.enqueues.len(), items.dequeues);
        let recovered: u32 =
            items.items.iter().map(|item| item.dequeued.saturating_sub(item.acknowledged)).sum();
        let attempts: u32 = items.items.iter().map(|item| item.attempts).sum();
        let summary = format!(
            "{enqueues} elements enqueued, {dequeues} dequeued, {} lost",
            items.found.count("lost-element")
        );
        let duplicates = items.duplicates;
        let verdict = items.found.verdict(summary, undecided);
        Ok(verdict
            .stat("attempts", attempts)
            .stat("acknowledged", enqueues)
            .stat("dequeued", dequeues)
            .stat("duplicated", duplicates)
            .stat("recovered", recovered.saturating_sub(duplicates as u32)))
    }

    fn label(self) -> &'static str {
        if self.total { "total-queue" } else { "unordered-queue" }
    }
}

impl Checker for Queue {
    fn name(&self) -> &str {
        self.label()
    }

    /// Stats: `attempts`, `acknowledged`, `dequeued`, `duplicated`, `recovered` (dequeued, though the enqueue was of
    /// unknown outcome), and how many elements show each failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(self.label(), Order::RealTime, history, budget, |calls| self.judge(calls))
    }
}

/// What is known of the elements that are equal.
#[derive(Clone, Copy)]
struct Item {
    /// Enqueues so far that did not fail, and the first.
    attempts: u32,
    first: u32,
    acknowledged: u32,
    /// A failed enqueue.
    failed: u32,
    /// Dequeues, and the first.
    dequeued: u32,
    first_out: u32,
}

const NOTHING: Item =
    Item { attempts: 0, first: NONE, acknowledged: 0, failed: NONE, dequeued: 0, first_out: NONE };

struct Items<'a> {
    total: bool,
    ids: Interner,
    items: Vec<Item>,
    /// Acknowledged enqueues: the element, and the invocation.
    enqueues: Vec<(u32, u32)>,
    /// Who found the queue empty, and began last.
    emptied: Option<Call<'a>>,
    /// Dequeues of unknown outcome.
    crashed: usize,
    crashed_drain: bool,
    dequeues: usize,
    duplicates: usize,
    found: Findings<'a>,
}

impl<'a> Pass<'a> for Items<'a> {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        match (call.f(), call.kind()) {
            ("enqueue", kind) => {
                let at = call.at();
                let item = self.item(call.asked());
                if kind == Type::Fail {
                    item.failed = at;
                } else {
                    item.attempts += 1;
                    item.first = item.first.min(at);
                }
            }
            ("dequeue", Type::Info) => self.crashed += 1,
            ("drain", Type::Info) => self.crashed_drain = true,
            ("dequeue" | "drain", _) => {}
            _ => return Err(Stop::function(call.invoke(), "a queue has enqueue, dequeue and drain")),
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some(event) = call.complete() else { return Ok(()) };
        match (call.f(), event.kind()) {
            ("enqueue", Type::Ok) => {
                self.item(call.asked()).acknowledged += 1;
                let id = self.ids.intern_raw(call.asked());
                self.enqueues.push((id, call.at()));
            }
            ("dequeue", Type::Ok) if event.raw() != Raw::Null => self.dequeue(call, event.raw()),
            ("drain", Type::Ok) => {
                let list = || Stop::shape(event, "a drain returns a list");
                event.raw().items().ok_or_else(list)?.for_each(|element| self.dequeue(call, element));
                self.empty(call);
            }
            ("dequeue", Type::Ok) => self.empty(call),
            ("dequeue", Type::Fail) if says_empty(event) => self.empty(call),
            _ => {}
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.items.capacity() * size_of::<Item>()
            + self.enqueues.capacity() * size_of::<(u32, u32)>()
    }
}

fn says_empty(event: OpRef<'_>) -> bool {
    event.error().is_some_and(|error| error.contains("empty") || error.contains("exhausted"))
}

impl<'a> Items<'a> {
    fn item(&mut self, element: Raw<'_>) -> &mut Item {
        let id = self.ids.intern_raw(element) as usize;
        if id == self.items.len() {
            self.items.push(NOTHING);
        }
        &mut self.items[id]
    }

    fn empty(&mut self, call: Call<'a>) {
        if self.emptied.is_none_or(|last| last.at() < call.at()) {
            self.emptied = Some(call);
        }
    }

    fn dequeue(&mut self, call: Call<'a>, element: Raw<'a>) {
        let (at, total) = (call.at(), self.total);
        self.dequeues += 1;
        let item = self.item(element);
        if item.attempts == 0 {
            let failed = item.failed;
            let kind = if failed == NONE { "phantom-dequeue" } else { "aborted-dequeue" };
            self.found.add(kind, None, |calls| phantom(calls, element, at, failed));
            return;
        }
        item.dequeued += 1;
        if item.first_out == NONE {
            item.first_out = at;
        }
        let item = *item;
        if item.dequeued > item.attempts {
            self.duplicates += 1;
            if !total {
                self.found.add("duplicate-dequeue", None, |calls| {
                    let twice = |out: u32| drained(calls.call(out)).filter(|out| *out == element).count() > 1;
                    let whole = [at, item.first_out].into_iter().find(|&out| twice(out));
                    let (first, at) = whole.map_or((item.first_out, at), |out| (out, out));
                    let (out, again) = (calls.did(first), calls.did(at));
                    let element = brief(element);
                    let sentence =
                        format!("{out} returned {element}, and so did {again}: more than were enqueued");
                    (sentence, vec![item.first, first, at])
                });
            }
        }
    }

    /// Finds lost elements. Says why there may be others.
    fn lost(&mut self) -> Option<String> {
        let Some(emptied) = self.emptied else {
            let left = self.items.iter().any(|item| item.acknowledged > item.dequeued);
            let why = "no drain, nor a dequeue that found it empty: drain the queue at the end";
            return left.then(|| format!("elements are left, but the queue was never emptied: {why}"));
        };
        // What was acknowledged before the queue was emptied, less what came out.
        let mut owed: Vec<i64> = self.items.iter().map(|item| -i64::from(item.dequeued)).collect();
        let mut lost = Vec::new();
        for &(id, at) in &self.enqueues {
            let acknowledged = self.found.calls().call(at).acknowledged();
            if acknowledged < emptied.at() {
                owed[id as usize] += 1;
                if owed[id as usize] > 0 {
                    lost.push((id, at));
                }
            }
        }
        if self.crashed_drain || lost.len() <= self.crashed {
            let takers =
                if self.crashed_drain { "a drain".into() } else { format!("{} dequeues", self.crashed) };
            let why = format!(
                "{} elements were never dequeued, but {takers} of unknown outcome may have",
                lost.len()
            );
            return if lost.is_empty() { self.left(&owed) } else { Some(why) };
        }
        for &(id, at) in &lost {
            let element = self.ids.value(id);
            let same = self.enqueues.iter().filter(|(other, _)| *other == id).map(|(_, at)| *at);
            self.found.add("lost-element", None, |calls| {
                let out = drained(emptied).filter(|out| out.to_value() == element).count();
                let before = same.filter(|&at| calls.call(at).acknowledged() < emptied.at());
                let witness = before.take(out + 1).chain([emptied.at()]).collect();
                let (by, end, emptied) = (calls.by(at), calls.end(at), calls.did(emptied.at()));
                (
                    format!("{element} was enqueued by {by} at {end} and never dequeued, though {emptied} left nothing"),
                    witness,
                )
            });
        }
        self.left(&owed)
    }

    /// Says so if elements were acknowledged after the queue was emptied, and are still in it.
    fn left(&self, owed: &[i64]) -> Option<String> {
        let left = |(item, owed): (&Item, &i64)| item.acknowledged > item.dequeued && *owed <= 0;
        let left = self.items.iter().zip(owed).any(left);
        left.then(|| "elements are left that were enqueued after the queue was last emptied".to_owned())
    }

    fn nothing(&self) -> Option<String> {
        (self.dequeues == 0).then(|| "nothing was dequeued".to_owned())
    }
}

/// The elements that a call dequeued, if it was a drain.
fn drained(call: Call<'_>) -> impl Iterator<Item = Raw<'_>> {
    call.told().and_then(|(told, _)| told.items()).into_iter().flatten()
}

fn phantom(calls: &Calls<'_>, element: Raw<'_>, at: u32, failed: u32) -> (String, Vec<u32>) {
    let (did, element) = (calls.did(at), brief(element));
    if failed == NONE {
        return (format!("{did} returned {element}, which nobody had tried to enqueue"), vec![at]);
    }
    let advice = "if that may have taken effect, record it as info";
    let by = calls.by(failed);
    (format!("{did} returned {element}, whose enqueue by {by} failed; {advice}"), vec![at, failed])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::testing::{Choice, Whole, agree};
    use super::*;

    /// Every element that came out, and where.
    fn outs(ops: &[Whole]) -> Vec<(Value, usize)> {
        let mut outs = Vec::new();
        for op in ops.iter().filter(|op| op.ok()) {
            match &op.told {
                Value::Array(list) if op.f == "drain" => {
                    outs.extend(list.iter().map(|v| (v.clone(), op.complete)))
                }
                Value::Null => {}
                value if op.f == "dequeue" => outs.push((value.clone(), op.complete)),
                _ => {}
            }
        }
        outs
    }

    fn ins(ops: &[Whole], element: &Value, before: usize) -> Vec<Whole> {
        let enqueues = ops.iter().filter(|op| op.f == "enqueue" && op.asked == *element);
        enqueues.filter(|op| op.invoke < before).cloned().collect()
    }

    fn unordered(ops: &[Whole]) -> BTreeSet<&'static str> {
        let outs = outs(ops);
        let mut kinds = BTreeSet::new();
        for (element, at) in &outs {
            let ins = ins(ops, element, *at);
            let tried: Vec<&Whole> = ins.iter().filter(|op| op.kind != Type::Fail).collect();
            if tried.is_empty() {
                kinds.insert(if ins.is_empty() { "phantom-dequeue" } else { "aborted-dequeue" });
                continue;
            }
            let since = tried[0].invoke;
            let out = outs.iter().filter(|(other, p)| other == element && (since..=*at).contains(p)).count();
            if out > tried.len() {
                kinds.insert("duplicate-dequeue");
            }
        }
        if outs.is_empty() {
            kinds.insert("unknown");
        }
        kinds
    }

    fn total(ops: &[Whole]) -> BTreeSet<&'static str> {
        let outs = outs(ops);
        let mut kinds = unordered(ops);
        kinds.remove("duplicate-dequeue");
        kinds.remove("unknown");
        let empty = |op: &&Whole| op.ok() && (op.f == "drain" || op.f == "dequeue" && op.told.is_null());
        let emptied = ops.iter().filter(empty).map(|op| op.invoke).max().unwrap_or(0);
        let elements: Vec<Value> = [1, 2].map(Value::from).into();
        let acked = |element: &Value, before: usize| {
            ins(ops, element, usize::MAX).iter().filter(|op| op.ok() && op.complete < before).count()
        };
        let out = |element: &Value| {
            let first = ins(ops, element, usize::MAX)
                .iter()
                .filter(|op| op.kind != Type::Fail)
                .map(|op| op.invoke)
                .min();
            outs.iter()
                .filter(|(other, at)| other == element && first.is_some_and(|first| first < *at))
                .count()
        };
        let lost: usize = elements.iter().map(|e| acked(e, emptied).saturating_sub(out(e))).sum();
        let left = elements.iter().any(|e| acked(e, usize::MAX) > out(e));
        let crashed = |f: &str| ops.iter().filter(|op| op.f == f && op.kind == Type::Info).count();
        if lost > crashed("dequeue") && crashed("drain") == 0 {
            kinds.insert("lost-element");
        } else if left && kinds.is_empty() {
            kinds.insert("unknown");
        }
        kinds
    }

    fn choices() -> Vec<Choice> {
        let mut choices: Vec<Choice> = [1, 1, 2].map(|n| ("enqueue", json!(n), json!(n))).into();
        choices.extend([json!(1), json!(2), json!(null)].map(|out| ("dequeue", json!(null), out)));
        choices.extend([json!([]), json!([1, 1]), json!([2])].map(|out| ("drain", json!(null), out)));
        choices
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        agree(&Queue::new(), unordered, &choices(), [2, 100_000, 8]);
    }

    #[test]
    fn agrees_with_the_plain_definition_where_nothing_may_be_lost() {
        agree(&Queue::total(), total, &choices(), [2, 100_000, 8]);
    }
}
