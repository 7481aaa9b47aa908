//! All small histories: every interval order with every assignment of operations.

use super::{LEAST_FIRST, QUEUE, STACK, brute};
use crate::collection::object::{Act, NEVER, Object, Op};
use crate::collection::ruling::Ruling;
use crate::collection::{Kind, elements, judge_container};

/// The interval orders of `count` elements: the first and the last block of each, where every block is the first
/// of one and the last of one (Fishburn's matrices: 1, 2, 5, 15, 53, 217 of them).
fn interval_orders(count: usize) -> Vec<Vec<(usize, usize)>> {
    let mut all = Vec::new();
    for blocks in 1..=count {
        let cells: Vec<(usize, usize)> =
            (0..blocks).flat_map(|first| (first..blocks).map(move |last| (first, last))).collect();
        let mut stack = vec![(0, Vec::new())];
        while let Some((cell, order)) = stack.pop() {
            if order.len() == count {
                let full = |pick: fn(&(usize, usize)) -> usize| {
                    (0..blocks).all(|block| order.iter().any(|cell| pick(cell) == block))
                };
                if full(|cell| cell.0) && full(|cell| cell.1) {
                    all.push(order);
                }
            } else if cell < cells.len() {
                stack.push((cell + 1, order.clone()));
                let mut more = order;
                more.push(cells[cell]);
                stack.push((cell, more));
            }
        }
    }
    all
}

/// An operation to be placed: what it does, to which value, and whether it returns.
type Todo = (Act, u32, bool);

/// The object in which each operation takes the place of the same number in an interval order, if that can be.
fn object(order: &[(usize, usize)], todo: &[Todo], values: u32) -> Option<Object> {
    // Block `b` begins at `2 b count` with the starts, and ends with the ends.
    let (count, blocks) = (order.len() as u32, order.iter().map(|cell| cell.1).max()? + 1);
    let mut ops = Vec::new();
    for (at, (&(first, last), &(act, value, returns))) in order.iter().zip(todo).enumerate() {
        if !returns && last + 1 < blocks {
            return None;
        }
        let end = if returns { (2 * last as u32 + 1) * count + at as u32 } else { NEVER };
        ops.push(Op { start: 2 * first as u32 * count + at as u32, end, value, act });
    }
    ops.sort_unstable_by_key(|op| op.start);
    Some(Object::of(ops, 2 * blocks as u32 * count, values))
}

/// Calls `visit` with every order of `todo`, each once where operations are alike.
fn permutations(todo: &[Todo], visit: &mut impl FnMut(&[Todo])) {
    let mut todo: Vec<(usize, Todo)> =
        todo.iter().map(|op| (todo.iter().position(|other| other == op).unwrap(), *op)).collect();
    todo.sort_unstable_by_key(|&(number, _)| number);
    loop {
        visit(&todo.iter().map(|&(_, op)| op).collect::<Vec<_>>());
        let Some(at) = todo.windows(2).rposition(|pair| pair[0].0 < pair[1].0) else { break };
        let with = todo.iter().rposition(|&(number, _)| number > todo[at].0).unwrap();
        todo.swap(at, with);
        todo[at + 1..].reverse();
    }
}

#[derive(Default, Debug)]
struct Count {
    all: usize,
    legal: usize,
    unsure: usize,
}

impl Count {
    fn compare(&mut self, kind: Kind, object: &Object) {
        let expected = brute::linearizable(kind, &object.ops);
        self.all += 1;
        self.legal += usize::from(expected);
        if kind == Kind::Set {
            let judged = elements::judge(object);
            if judged.repeated.is_empty() {
                assert_eq!(judged.illegal.is_empty(), expected, "{}", brute::show(&object.ops));
            } else {
                self.unsure += 1;
            }
            return;
        }
        let (facts, ruling) = judge_container(kind, object);
        let illegal = !facts.flaws.is_empty() || matches!(ruling, Ruling::Illegal(_));
        if !illegal && (!facts.distinct || ruling == Ruling::Unsure) {
            self.unsure += 1;
        } else {
            assert_eq!(
                !illegal,
                expected,
                "{kind:?} {ruling:?} {:?} {}",
                facts.flaws,
                brute::show(&object.ops)
            );
        }
    }
}

/// All histories of `count` operations that are made of these units: the operations on one value, or one operation.
fn exhaust(kind: Kind, count: usize, units: &[&[(Act, bool)]], tally: &mut Count) {
    let orders = interval_orders(count);
    let mut stack: Vec<(Vec<usize>, usize)> = vec![(vec![], 0)];
    while let Some((chosen, size)) = stack.pop() {
        // The values of a priority queue differ in their rank, so there the order of the units matters.
        let least =
            if matches!(kind, Kind::PriorityQueue { .. }) { 0 } else { chosen.last().copied().unwrap_or(0) };
        for (unit, ops) in units.iter().enumerate().skip(least) {
            if size + ops.len() <= count {
                stack.push(([chosen.clone(), vec![unit]].concat(), size + ops.len()));
            }
        }
        if size < count {
            continue;
        }
        let todo: Vec<Todo> = (0..)
            .zip(&chosen)
            .flat_map(|(value, &unit)| {
                units[unit].iter().map(move |&(act, returns)| match act {
                    Act::Empty | Act::RemoveAny => (act, 0, returns),
                    _ => (act, value, returns),
                })
            })
            .collect();
        permutations(&todo, &mut |todo| {
            for order in &orders {
                // Places alike are filled in order.
                let twice =
                    (1..count).any(|at| order[at - 1] == order[at] && key(todo[at - 1]) > key(todo[at]));
                if let Some(object) = object(order, todo, chosen.len() as u32).filter(|_| !twice) {
                    tally.compare(kind, &object);
                }
            }
        });
    }
}

fn key(todo: Todo) -> (u8, u32, bool) {
    (todo.0 as u8, todo.1, todo.2)
}

const INSERT: &[(Act, bool)] = &[(Act::Insert, true)];
const BOTH: &[(Act, bool)] = &[(Act::Insert, true), (Act::Remove, true)];
const CRASHED: &[(Act, bool)] = &[(Act::Insert, false)];
const CRASHED_BOTH: &[(Act, bool)] = &[(Act::Insert, false), (Act::Remove, true)];
const NOWHERE: &[(Act, bool)] = &[(Act::Remove, true)];
const TWICE: &[(Act, bool)] = &[(Act::Insert, true), (Act::Remove, true), (Act::Remove, true)];
const EMPTY: &[(Act, bool)] = &[(Act::Empty, true)];
const ANY: &[(Act, bool)] = &[(Act::RemoveAny, false)];
const PEEKED: &[(Act, bool)] = &[(Act::Insert, true), (Act::Peek, true)];
const PEEKED_BOTH: &[(Act, bool)] = &[(Act::Insert, true), (Act::Peek, true), (Act::Remove, true)];

const UNITS: &[&[(Act, bool)]] = &[INSERT, BOTH, CRASHED, CRASHED_BOTH, NOWHERE, TWICE, EMPTY, ANY];

fn all_small(kind: Kind, more: &[&[(Act, bool)]]) {
    let units = [UNITS, more].concat();
    let mut tally = Count::default();
    for count in 1..=4 {
        exhaust(kind, count, &units, &mut tally);
    }
    exhaust(kind, 5, &[INSERT, BOTH, CRASHED_BOTH, EMPTY, ANY], &mut tally);
    println!("{kind:?}: {tally:?} histories of up to 5 operations");
    assert!(0 < tally.legal && tally.legal < tally.all && tally.unsure * 20 < tally.all, "{tally:?}");
}

#[test]
fn all_small_queues() {
    assert_eq!([1, 2, 3, 4, 5, 6].map(|count| interval_orders(count).len()), [1, 2, 5, 15, 53, 217]);
    all_small(QUEUE, &[]);
}

#[test]
fn all_small_stacks() {
    all_small(STACK, &[]);
}

#[test]
fn all_small_priority_queues() {
    all_small(LEAST_FIRST, &[PEEKED, PEEKED_BOTH]);
}

#[test]
fn all_queues_and_stacks_of_six_operations_on_three_values() {
    for kind in [QUEUE, STACK, LEAST_FIRST] {
        let mut tally = Count::default();
        exhaust(kind, 6, &[BOTH], &mut tally);
        println!("{kind:?}: {tally:?} histories of 6 operations");
        assert!(0 < tally.legal && tally.legal < tally.all && tally.unsure == 0, "{tally:?}");
    }
}

/// One element of a set, which is all there is to a set.
#[test]
fn all_small_sets() {
    let acts = [
        (Act::Insert, true),
        (Act::Insert, false),
        (Act::Remove, true),
        (Act::Remove, false),
        (Act::RemovePresent, true),
        (Act::Present, true),
        (Act::Absent, true),
    ];
    let mut tally = Count::default();
    for count in 1..=6 {
        let orders = interval_orders(count);
        for choice in 0..acts.len().pow(count as u32) {
            let todo: Vec<Todo> = (0..count as u32)
                .map(|at| acts[choice / acts.len().pow(at) % acts.len()])
                .map(|(act, returns)| (act, 0, returns))
                .collect();
            let number = |wanted: &[Act]| todo.iter().filter(|op| wanted.contains(&op.0)).count();
            if number(&[Act::Insert]) > 1 || number(&[Act::Remove, Act::RemovePresent]) > 1 {
                continue;
            }
            for order in &orders {
                let twice =
                    (1..count).any(|at| order[at - 1] == order[at] && key(todo[at - 1]) > key(todo[at]));
                if let Some(object) = object(order, &todo, 1).filter(|_| !twice) {
                    tally.compare(Kind::Set, &object);
                }
            }
        }
    }
    println!("{tally:?} sets of up to 6 operations");
    assert!(0 < tally.legal && tally.legal < tally.all && tally.unsure == 0, "{tally:?}");
}
