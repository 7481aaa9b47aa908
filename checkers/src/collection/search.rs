//! What the engines cannot tell, searched for an order.

use serde_json::Value;

use super::object::Object;
use super::{Collection, Kind};
use crate::history::Pairs;
use crate::model::{Model, PriorityQueue, Queue, RawCall, Set, SetOp, Stack};
use crate::{Budget, Checker, History, Linearizable, Op, Verdict};

/// A set whose elements are judged one by one: without reads of the whole.
struct ByElement;

impl Model for ByElement {
    type State = <Set as Model>::State;
    type Op = SetOp;

    fn init(&self) -> Self::State {
        Set.init()
    }

    fn step(&self, state: &Self::State, op: &SetOp) -> Option<Self::State> {
        Set.step(state, op)
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        Set.state_bytes(state)
    }

    fn read_only(&self, op: &SetOp) -> bool {
        Set.read_only(op)
    }

    fn partition(&self, call: &RawCall<'_>) -> Option<Value> {
        Some(call.input.to_value())
    }
}

/// The verdict of the general engines on some operations of a collection. Events have the numbers of the whole history.
pub(crate) fn search(
    collection: &Collection,
    object: &Object,
    wanted: impl Fn(u32) -> bool,
    (history, pairs): (&History, &Pairs),
    budget: &Budget,
) -> Verdict {
    let mut events: Vec<usize> = Vec::new();
    for (_, op) in (0..).zip(&object.ops).filter(|&(at, _)| wanted(at)) {
        let invoke = object.event(op.start);
        events.push(invoke);
        events.extend(pairs.of(invoke));
    }
    events.sort_unstable();
    let mut part = History::new();
    for &event in &events {
        let op = history.get(event).to_op();
        part.push(&Op { value: if object.key.is_some() { stripped(op.value) } else { op.value }, ..op });
    }
    let steps_max = collection.steps_max;
    let mut verdict = match collection.kind {
        Kind::Queue => check(Queue, steps_max, &part, budget),
        Kind::Stack => check(Stack, steps_max, &part, budget),
        Kind::PriorityQueue { greatest_first: false } => {
            check(PriorityQueue::default(), steps_max, &part, budget)
        }
        Kind::PriorityQueue { greatest_first: true } => {
            check(PriorityQueue::greatest_first(), steps_max, &part, budget)
        }
        Kind::Set if part.iter().any(|op| op.f() == "read") => check(Set, steps_max, &part, budget),
        Kind::Set => check(ByElement, steps_max, &part, budget),
    };
    for anomaly in &mut verdict.anomalies {
        anomaly.witness.iter_mut().for_each(|at| *at = events[*at]);
        for edge in &mut anomaly.edges {
            (edge.from, edge.to) = (events[edge.from], events[edge.to]);
        }
    }
    verdict
}

fn check<M: Model>(model: M, steps_max: Option<u64>, part: &History, budget: &Budget) -> Verdict {
    let checker = Linearizable::new("search", model);
    match steps_max {
        Some(steps) => checker.steps_max(steps).check_within(part, budget),
        None => checker.check_within(part, budget),
    }
}

fn stripped(value: Value) -> Value {
    match value {
        Value::Array(mut pair) if pair.len() == 2 => pair.pop().unwrap_or_default(),
        other => other,
    }
}
