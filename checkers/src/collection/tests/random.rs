//! Random histories against brute force and the general search.

use super::{LEAST_FIRST, QUEUE, STACK, brute};
use crate::collection::object::{Act, NEVER, Object, Op};
use crate::collection::ruling::Ruling;
use crate::collection::{Collection, Kind, judge_container, witness};
use crate::model::{Model, PriorityQueue, Queue, Stack};
use crate::testing::Random;
use crate::{Checker, History, Linearizable, Process, Type, Valid};

/// A history of a collection that keeps its promises, of which then up to two results or times are changed.
fn random_object(random: &mut Random, kind: Kind, count: usize) -> Object {
    let width = 1 + random.below(4);
    let crash_every = [usize::MAX, 3, 6][random.below(3)];
    let mut ops: Vec<Op> = Vec::new();
    let mut names: Vec<u32> = (0..count as u32).collect();
    let mut open: Vec<(usize, bool, bool)> = Vec::new();
    let mut held: Vec<u32> = Vec::new();
    let mut time = 0;
    while ops.len() < count || !open.is_empty() {
        if ops.len() < count && (open.is_empty() || (open.len() < width && random.below(2) == 0)) {
            let acts = [Act::Insert, Act::Remove, Act::Insert, Act::Remove, Act::Remove, Act::Peek];
            let act = acts[random.below(if matches!(kind, Kind::PriorityQueue { .. }) { 6 } else { 5 })];
            let value = if act == Act::Insert { names.swap_remove(random.below(names.len())) } else { 0 };
            open.push((ops.len(), false, random.below(crash_every) == 1));
            ops.push(Op { start: time, end: NEVER, value, act });
            time += 1;
            continue;
        }
        let which = random.below(open.len());
        let (at, applied, crashes) = open[which];
        if crashes && (applied || random.below(2) == 0) {
            open.swap_remove(which);
            if matches!(ops[at].act, Act::Remove | Act::Empty) {
                ops[at] = Op { act: Act::RemoveAny, value: 0, ..ops[at] };
            }
        } else if applied {
            open.swap_remove(which);
            ops[at].end = time;
            time += 1;
        } else {
            apply(kind, &mut ops[at], &mut held);
            open[which].1 = true;
        }
    }
    ops.retain(|op| !(op.act == Act::Peek && op.end == NEVER));
    for _ in 0..random.below(3) {
        disturb(random, &mut ops);
    }
    ops.sort_unstable_by_key(|op| op.start);
    Object::of(ops, time, count as u32)
}

fn apply(kind: Kind, op: &mut Op, held: &mut Vec<u32>) {
    if op.act == Act::Insert {
        return held.push(op.value);
    }
    let next = match kind {
        Kind::Stack => held.len().checked_sub(1),
        Kind::PriorityQueue { .. } => (0..held.len()).min_by_key(|&at| held[at]),
        _ => held.first().map(|_| 0),
    };
    match (next, op.act) {
        (None, _) => op.act = Act::Empty,
        (Some(at), Act::Remove) => op.value = held.remove(at),
        (Some(at), _) => op.value = held[at],
    }
}

/// Exchanges two results, or two times that follow each other, or loses a result.
fn disturb(random: &mut Random, ops: &mut [Op]) {
    let removals: Vec<usize> = (0..ops.len()).filter(|&at| ops[at].act == Act::Remove).collect();
    if removals.is_empty() {
        return;
    }
    let pick = |random: &mut Random| removals[random.below(removals.len())];
    let (a, b) = (pick(random), pick(random));
    match random.below(4) {
        0 | 1 => (ops[a].value, ops[b].value) = (ops[b].value, ops[a].value),
        2 => (ops[a].act, ops[a].value) = (Act::Empty, 0),
        _ => {
            let (start, end) = (ops[a].start, ops[a].end);
            (ops[a].start, ops[a].end) = (ops[b].start, ops[b].end);
            (ops[b].start, ops[b].end) = (start, end);
        }
    }
}

/// Compares with brute force, and asserts that what was found fails alone and not without one of its values.
fn agree(kind: Kind, seed: u64) {
    let mut random = Random(seed);
    let (mut legal, mut unsure, mut cores) = (0, 0, 0);
    let all = 100_000;
    for _ in 0..all {
        let count = 2 + random.below(9);
        let object = random_object(&mut random, kind, count);
        let expected = brute::linearizable(kind, &object.ops);
        legal += usize::from(expected);
        let (facts, ruling) = judge_container(kind, &object);
        let shown = || format!("{kind:?} {ruling:?} {:?} {}", facts.flaws, brute::show(&object.ops));
        match &ruling {
            Ruling::Unsure => unsure += 1,
            Ruling::Legal => assert_eq!(facts.flaws.is_empty(), expected, "{}", shown()),
            Ruling::Illegal(found) => {
                assert!(!expected, "{}", shown());
                let core = witness::core(kind, &object, found);
                // Values were numbered anew.
                let mut object = core.object;
                if matches!(kind, Kind::PriorityQueue { .. }) {
                    let priorities = &object.priorities;
                    object
                        .ops
                        .iter_mut()
                        .filter(|op| !matches!(op.act, Act::Empty | Act::RemoveAny))
                        .for_each(|op| op.value = priorities[op.value as usize] as u32);
                }
                let ops = &object.ops;
                assert!(core.minimal && !brute::linearizable(kind, ops), "{} {}", shown(), brute::show(ops));
                cores += 1;
                for value in
                    ops.iter().filter(|op| op.act == Act::Insert && facts.lost.is_empty()).map(|op| op.value)
                {
                    let own = |op: &Op| op.act != Act::Empty && op.value == value;
                    let rest = brute::only(&object, |op| !own(op));
                    assert!(brute::linearizable(kind, &rest), "{} {}", shown(), brute::show(ops));
                }
            }
        }
    }
    println!(
        "{kind:?}: {all} random histories of up to 10 operations, {legal} legal, {unsure} left to a search, {cores} cores"
    );
    assert!(legal > all / 10 && legal < all * 9 / 10 && unsure < all / 50 && cores > all / 20);
}

#[test]
fn random_queues_agree_with_brute_force() {
    agree(QUEUE, 1);
}

#[test]
fn random_stacks_agree_with_brute_force() {
    agree(STACK, 2);
}

#[test]
fn random_priority_queues_agree_with_brute_force() {
    agree(LEAST_FIRST, 3);
}

/// The history of an object's operations, each by a process of its own.
fn history(object: &Object) -> History {
    let mut events: Vec<(u32, crate::Op)> = Vec::new();
    for (process, op) in (0..).zip(&object.ops) {
        let (f, input, output) = match op.act {
            Act::Insert => ("enqueue", Some(op.value), Some(op.value)),
            Act::Peek => ("peek", None, Some(op.value)),
            Act::Remove => ("dequeue", None, Some(op.value)),
            _ => ("dequeue", None, None),
        };
        let event = crate::Op::new(f).process(Process::Client(process));
        events.push((op.start, event.clone().value(input)));
        if op.end != NEVER {
            events.push((op.end, event.value(output).kind(Type::Ok)));
        }
    }
    events.sort_unstable_by_key(|(time, _)| *time);
    events.into_iter().map(|(_, op)| op).collect()
}

/// Configurations after which a search is no use for a test.
const STEPS_MAX: u64 = 2_000;

/// The checker against the general search. The values of some histories are made to coincide.
fn agree_with_search<M: Model + Copy + 'static>(
    kind: Kind,
    checker: &Collection,
    model: M,
    seed: u64,
    all: usize,
) {
    let mut random = Random(seed);
    let general = Linearizable::new("general", model).steps_max(STEPS_MAX);
    let (mut legal, mut repeated, mut decided) = (0, 0, 0);
    for n in 0..all {
        let count = 5 + random.below(16);
        let mut object = random_object(&mut random, kind, count);
        if n % 10 == 0 {
            let distinct = 1 + random.below(count) as u32;
            object.ops.iter_mut().for_each(|op| op.value %= distinct);
            repeated += 1;
        }
        let history = history(&object);
        let (ours, theirs) = (checker.check(&history), general.check(&history));
        if theirs.valid == Valid::Unknown || ours.valid == Valid::Unknown {
            continue;
        }
        decided += 1;
        assert_eq!(ours.valid, theirs.valid, "{ours:?} {theirs:?} {}", brute::show(&object.ops));
        legal += usize::from(ours.valid == Valid::True);
        for anomaly in &ours.anomalies {
            let part: History = anomaly.witness.iter().map(|&at| history.get(at).to_op()).collect();
            assert_ne!(general.check(&part).valid, Valid::True, "{anomaly:?} {}", brute::show(&object.ops));
        }
    }
    println!(
        "{kind:?}: {all} random histories of up to 20 operations, {decided} decided by both, {legal} legal, {repeated} with values inserted more than once"
    );
    assert!(decided > all / 2 && legal > all / 10 && legal < decided);
}

#[test]
fn random_queues_agree_with_the_search() {
    agree_with_search(QUEUE, &Collection::queue().steps_max(STEPS_MAX), Queue, 4, 100_000);
}

#[test]
fn random_stacks_agree_with_the_search() {
    agree_with_search(STACK, &Collection::stack().steps_max(STEPS_MAX), Stack, 5, 100_000);
}

#[test]
fn random_priority_queues_agree_with_the_search() {
    agree_with_search(
        LEAST_FIRST,
        &Collection::priority_queue().steps_max(STEPS_MAX),
        PriorityQueue::default(),
        6,
        100_000,
    );
}
