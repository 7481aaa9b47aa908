//! What is said of a collection that is not linearizable.

use serde_json::Value;

use super::Kind;
use super::facts::Flaw;
use super::object::{Act, NEVER, Object, Op, recorded};
use super::witness::Core;
use crate::history::{Pairs, Raw};
use crate::model::{Outcome, RawCall};
use crate::{Anomaly, History, Type};

/// Turns operations back into what was recorded.
pub(crate) struct Explainer<'a> {
    pub(crate) kind: Kind,
    pub(crate) history: &'a History,
    pub(crate) pairs: &'a Pairs,
    pub(crate) independent: bool,
}

impl Explainer<'_> {
    /// A value that is flawed by itself.
    pub(crate) fn flaw(&self, object: &Object, value: u32, flaw: Flaw) -> Anomaly {
        let (insert, remove) = self.kind.words();
        let ops: Vec<Op> =
            object.ops.iter().filter(|op| op.value == value && is_of_value(op)).copied().collect();
        let of = |acts: &[Act]| ops.iter().filter(|op| acts.contains(&op.act)).copied().collect::<Vec<Op>>();
        let (inserts, removals) = (of(&[Act::Insert]), of(&[Act::Remove]));
        let seen = of(&[Act::Remove, Act::Peek]);
        let first_seen: Vec<Op> = seen.iter().min_by_key(|op| op.end).copied().into_iter().collect();
        let says = |ops: &[Op]| ops.first().map_or_else(String::new, |op| self.says(object, op));
        let (kind, ops, sentence) = match flaw {
            Flaw::Nowhere => {
                let advice = first_seen.first().and_then(|op| self.failed_insert(object, op)).map_or_else(
                    || format!("that value was never {}", past(insert)),
                    |failed| {
                        format!(
                            "process {} failed to {insert} that value at {}; if that may have taken effect, record it as info",
                            self.history.get(failed).process(),
                            self.time(failed)
                        )
                    },
                );
                (
                    format!("{remove}-from-nowhere"),
                    first_seen.clone(),
                    format!("{}, but {advice}", says(&first_seen)),
                )
            }
            Flaw::Twice => {
                let twice = removals
                    .iter()
                    .take(2)
                    .map(|op| self.says(object, op))
                    .collect::<Vec<_>>()
                    .join(", and ");
                (
                    format!("duplicate-{remove}"),
                    inserts.iter().chain(removals.iter().take(2)).copied().collect(),
                    format!("{twice}: the value was {} once", past(insert)),
                )
            }
            Flaw::Early => {
                let sentence = format!("{} was over before {} began", says(&first_seen), says(&inserts));
                (format!("{remove}-before-{insert}"), [inserts, first_seen].concat(), sentence)
            }
            Flaw::Late => {
                let last: Vec<Op> =
                    of(&[Act::Peek]).into_iter().max_by_key(|op| op.start).into_iter().collect();
                let sentence = format!("{} began after {} was over", says(&last), says(&removals));
                ("stale-peek".to_owned(), [inserts, removals, last].concat(), sentence)
            }
        };
        self.anomaly(object, kind, &sentence, &ops, true)
    }

    /// A smallest part that fails.
    pub(crate) fn core(&self, core: &Core) -> Anomaly {
        let object = &core.object;
        let (_, remove) = self.kind.words();
        let removed = |value: u32| object.ops.iter().any(|op| op.act == Act::Remove && op.value == value);
        let lost = (0..object.values).find(|&value| !removed(value));
        let inserts: Vec<&Op> = object.ops.iter().filter(|op| op.act == Act::Insert).collect();
        let values = list(inserts.iter().map(|op| self.value(object, op)));
        let of = |op: &&Op| self.says(object, op);
        let (kind, sentence) = if let Some(empty) = object.ops.iter().find(|op| op.act == Act::Empty) {
            let was = if inserts.len() == 1 { "was" } else { "one of them was" };
            let sentence = format!("{}, but of {values} {was} in it at every moment of that", of(&empty));
            ("false-empty".to_owned(), sentence)
        } else if let (Kind::PriorityQueue { .. }, Some(peek)) =
            (self.kind, object.ops.iter().find(|op| op.act == Act::Peek))
        {
            (
                "priority-violation".to_owned(),
                format!("{}, but another of {values} came before it", of(&peek)),
            )
        } else if let Some(lost) = lost {
            let inserted = inserts.iter().find(|op| op.value == lost).map(of).unwrap_or_default();
            let sentence = format!(
                "{inserted} was never followed by a {remove} that returned it, though others did that were to come later"
            );
            ("lost-element".to_owned(), sentence)
        } else {
            let (kind, what) = match self.kind {
                Kind::Queue => ("fifo-violation", "first in, first out"),
                Kind::Stack => ("lifo-violation", "last in, first out"),
                Kind::PriorityQueue { .. } => ("priority-violation", "in the order of priority"),
                Kind::Set => ("nonlinearizable", "as a set gives them"),
            };
            (kind.to_owned(), format!("{values} were not taken {what}: {}", self.order(object)))
        };
        self.anomaly(object, kind, &sentence, &object.ops, core.minimal)
    }

    /// An element of a set that is not linearizable.
    pub(crate) fn element(&self, object: &Object, ops: &[u32]) -> Anomaly {
        let ops: Vec<Op> = ops.iter().map(|&at| object.ops[at as usize]).collect();
        let find = |acts: &[Act]| ops.iter().find(|op| acts.contains(&op.act));
        let add = find(&[Act::Insert]);
        let found = find(&[Act::Present, Act::RemovePresent]);
        let absent = find(&[Act::Absent]);
        let kind = match (add, found, absent) {
            (None, ..) => "element-from-nowhere",
            (Some(add), Some(found), _) if found.end < add.start => "element-from-nowhere",
            (Some(_), _, Some(_)) => "lost-element",
            _ => "stale-element",
        };
        let last = ops.iter().filter(|op| op.act != Act::Insert).max_by_key(|op| op.end);
        let of = last.map_or_else(String::new, |op| self.says(object, op));
        let sentence = match kind {
            "element-from-nowhere" => format!("{of}, but it had not been added"),
            "lost-element" => format!("{of}, but no removal can have made that so"),
            _ => format!("{of}, but it had been removed"),
        };
        self.anomaly(object, kind.to_owned(), &sentence, &ops, true)
    }

    fn anomaly(&self, object: &Object, kind: String, sentence: &str, ops: &[Op], minimal: bool) -> Anomaly {
        let mut witness: Vec<usize> = Vec::new();
        let mut steps: Vec<String> = Vec::new();
        for op in ops {
            let invoke = object.event(op.start);
            witness.push(invoke);
            witness.extend(self.pairs.of(invoke));
            steps.push(format!("{}.", self.says(object, op)));
        }
        witness.sort_unstable();
        steps.push(
            "No order of these operations respects both real time and the model, whatever the others did."
                .into(),
        );
        if !minimal {
            steps.push("A smaller witness may exist: the search for one ran out of its budget.".into());
        }
        Anomaly { steps, ..Anomaly::new(kind, sentence, witness) }
    }

    fn call(&self, object: &Object, op: &Op) -> RawCall<'_> {
        let invoke = object.event(op.start);
        let completion = self.pairs.of(invoke).map(|at| self.history.get(at));
        recorded(self.history.get(invoke), completion, self.independent).1
    }

    /// The value that an operation has to do with.
    fn value(&self, object: &Object, op: &Op) -> String {
        let call = self.call(object, op);
        let value = output(&call).filter(|_| matches!(op.act, Act::Remove | Act::Peek)).unwrap_or(call.input);
        value.to_value().to_string()
    }

    /// `pop -> 3 by process 1 from 0.100 s to 0.200 s`.
    fn says(&self, object: &Object, op: &Op) -> String {
        let call = self.call(object, op);
        let invoke = object.event(op.start);
        let mut text = call.f.to_owned();
        let input = call.input.to_value();
        if !input.is_null() {
            text += &format!(" {input}");
        }
        if let Some(output) =
            output(&call).map(Raw::to_value).filter(|output| *output != input || output.is_null())
        {
            text += &format!(" -> {output}");
        }
        let process = self.history.get(invoke).process();
        let from = self.time(invoke);
        match op.end {
            NEVER => format!("{text} (outcome unknown) by process {process} from {from}"),
            end => format!("{text} by process {process} from {from} to {}", self.time(object.event(end))),
        }
    }

    /// The operations in the order in which they ended, in short.
    fn order(&self, object: &Object) -> String {
        let mut ops: Vec<&Op> = object.ops.iter().collect();
        ops.sort_unstable_by_key(|op| op.end);
        let short = ops.iter().take(8).map(|op| {
            let call = self.call(object, op);
            let until = if op.end == NEVER { "never".to_owned() } else { self.time(object.event(op.end)) };
            let from = self.time(object.event(op.start));
            format!("{} {} ({from} to {until})", call.f, self.value(object, op))
        });
        list(short)
    }

    /// The completion of a failed insertion of the value that `seen` returned.
    fn failed_insert(&self, object: &Object, seen: &Op) -> Option<usize> {
        let invoke = object.event(seen.start);
        let completion = self.pairs.of(invoke).map(|at| self.history.get(at));
        let (key, call) = recorded(self.history.get(invoke), completion, self.independent);
        let value = output(&call)?;
        let failed = self.history.iter().filter(|event| event.is_client() && event.kind() == Type::Fail);
        failed.map(|event| event.index()).find(|&fail| {
            let Some(invoke) = self.pairs.of(fail).map(|at| self.history.get(at)) else { return false };
            let (other_key, call) = recorded(invoke, None, self.independent);
            let insert = matches!(self.kind.decode(&call), Ok(Some((Act::Insert, _))));
            insert && other_key == key && call.input == value
        })
    }

    fn time(&self, event: usize) -> String {
        format!("{:.3} s", self.history.get(event).time_ns() as f64 / 1e9)
    }
}

fn output<'a>(call: &RawCall<'a>) -> Option<Raw<'a>> {
    if let Outcome::Ok(output) = call.outcome { Some(output) } else { None }
}

fn is_of_value(op: &Op) -> bool {
    !matches!(op.act, Act::RemoveAny | Act::Empty | Act::Read)
}

fn past(verb: &str) -> String {
    format!("{verb}{}", if verb.ends_with('e') { "d" } else { "ed" })
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    match items.pop() {
        Some(last) if !items.is_empty() => format!("{} and {last}", items.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// The key of an object as a value.
pub(crate) fn key(object: &Object, keys: &crate::intern::Interner) -> Option<Value> {
    object.key.map(|key| keys.value(key))
}
