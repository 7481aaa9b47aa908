//! Priority queues whose values are distinct, in O(n log n) (Lee & Mathur, "Efficient decrease-and-conquer linearizability
//! monitoring", OOPSLA 2025, section 5).
//!
//! A value can be polled or seen in a gap exactly if no value that comes before it is critical there: the queue
//! can then be empty of all such values (see `cover.rs`; the proof is the same). So the values are taken in the order of
//! their priority, and the critical gaps of those taken are united: each operation must have a gap outside the union. That nothing is found
//! is what comes last of all. A value that was seen is critical from the first such end to the last such start.
//!
//! **Polls of unknown result.** Which value each took decides which gaps are critical, and no order of choice is always
//! right. So three questions are asked: whether the history is legal if they took nothing, which makes it legal;
//! whether it is illegal even if each value that was left was taken as early as any could, which makes it illegal; and
//! whether it is legal if each poll takes what is in the way when something is. If that fails too, a search must tell.

use std::collections::BTreeSet;

use super::cover::{chain, overlapping};
use super::facts::{Facts, Span};
use super::object::Object;
use super::ruling::{Found, Ruling};

/// Gaps that are tried for one operation before a search must tell.
const TRIES: usize = 64;

pub(crate) fn judge(facts: &Facts, object: &Object) -> Ruling {
    let found = violation(facts, object);
    if found.is_none() {
        return Ruling::Legal;
    }
    let relaxed = facts.all_taken();
    if let Some(found) = relaxed.as_ref().map_or(found, |relaxed| violation(relaxed, object)) {
        return Ruling::Illegal(found);
    }
    match taken_from_the_way(facts, object) {
        Some(taken) if violation(&taken, object).is_none() => Ruling::Legal,
        _ => Ruling::Unsure,
    }
}

/// The first operation without a gap, and the values that are in its way.
fn violation(facts: &Facts, object: &Object) -> Option<Found> {
    let mut union = Union::new(facts.end);
    let priority = |value: u32| object.priorities[value as usize];
    let before = |value: u32| move |other: u32, _: &Span| priority(other) < priority(value);
    let way = |first, last, wanted: &dyn Fn(u32, &Span) -> bool| {
        chain(facts, first, last, wanted).unwrap_or_else(|| overlapping(facts, first, last, wanted))
    };
    for check in checks(facts, object) {
        let Check { value, first, last, peek } = check;
        if first <= last && union.open(first) > last {
            let mut found = Found::values(way(first, last, &before(value)).into_iter().chain([value]));
            found.observations.extend(peek);
            return Some(found);
        }
        let span = &facts.spans[value as usize];
        if peek.is_none() && span.critical() {
            union.add(span.inserted, span.removing);
        }
    }
    let closed = |&&at: &&u32| union.open(object.ops[at as usize].start) >= object.ops[at as usize].end;
    let at = *facts.empties.iter().find(closed)?;
    let op = object.ops[at as usize];
    Some(Found { values: way(op.start, op.end - 1, &|_, _| true), observations: vec![at] })
}

/// Gaps of which one must be outside the union of what comes before.
struct Check {
    value: u32,
    first: u32,
    last: u32,
    /// The operation that saw the value; none for the one that removed it, which is there for every value. What is left has no gaps.
    peek: Option<u32>,
}

/// All checks in the order of priorities, each value's own removal last.
fn checks(facts: &Facts, object: &Object) -> impl Iterator<Item = Check> {
    let mut order: Vec<(i128, u32, Option<u32>)> = Vec::new();
    let mut add = |value: u32, peek| {
        if facts.spans[value as usize].known() {
            order.push((object.priorities[value as usize], value, peek));
        }
    };
    facts.peeks.iter().for_each(|&at| add(object.ops[at as usize].value, Some(at)));
    (0..facts.spans.len() as u32).for_each(|value| add(value, None));
    order.sort_unstable_by_key(|&(priority, _, peek)| (priority, peek.is_none(), peek));
    order.into_iter().map(|(_, value, peek)| {
        let span = &facts.spans[value as usize];
        let (start, end) = match peek.map(|at| &object.ops[at as usize]) {
            Some(op) => (op.start, op.end.min(span.removed)),
            None if facts.left(span) => (1, 1),
            None => (span.removing, span.removed),
        };
        let (first, last) = if start == end { (1, 0) } else { (start.max(span.inserting), end - 1) };
        Check { value, first, last, peek }
    })
}

/// The facts where each poll of unknown result took a value that is in the way of an operation, as they come.
fn taken_from_the_way(facts: &Facts, object: &Object) -> Option<Facts> {
    let mut taken = facts.clone();
    let mut lost: BTreeSet<(u32, usize)> = facts.lost.iter().copied().zip(0..).collect();
    let mut left: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut union = Union::new(facts.end);
    let empties = facts.empties.iter().map(|&at| object.ops[at as usize]);
    let empties = empties.map(|op| (None, op.start, op.end - 1));
    let checks: Vec<_> = checks(facts, object)
        .map(|check| (check.peek.is_none().then_some(check.value), check.first, check.last))
        .chain(empties)
        .collect();
    for (value, first, last) in checks {
        if first <= last {
            clear_a_gap(first, last, &mut union, &mut left, &mut lost, &mut taken)?;
        }
        let Some(value) = value else { continue };
        let span = &facts.spans[value as usize];
        if facts.left(span) {
            left.insert((span.inserted, value));
        } else if span.critical() {
            union.add(span.inserted, span.removing);
        }
    }
    taken.lost.clear();
    Some(taken)
}

/// Lets polls of unknown result take what is in the way in the first gap where there are enough of them.
fn clear_a_gap(
    first: u32,
    last: u32,
    union: &mut Union,
    left: &mut BTreeSet<(u32, u32)>,
    lost: &mut BTreeSet<(u32, usize)>,
    taken: &mut Facts,
) -> Option<()> {
    let mut gap = union.open(first);
    for _ in 0..TRIES {
        if gap > last {
            return None;
        }
        let way: Vec<(u32, u32)> = left.range(..=(gap, u32::MAX)).copied().collect();
        let polls: Vec<(u32, usize)> =
            lost.range(..=(gap, usize::MAX)).rev().take(way.len()).copied().collect();
        let seen = |value: u32| taken.last_seen.get(&value).copied().unwrap_or(0);
        if polls.len() == way.len() && way.iter().all(|&(_, value)| seen(value) <= gap) {
            for (value, poll) in way.into_iter().zip(polls) {
                left.remove(&value);
                lost.remove(&poll);
                let seen = taken.last_seen.get(&value.1).copied().unwrap_or(0);
                let span = &mut taken.spans[value.1 as usize];
                (span.removing, span.removed) = (poll.0.max(seen), taken.end + 1);
                if span.critical() {
                    union.add(span.inserted, span.removing);
                }
            }
            return Some(());
        }
        gap = union.open(gap + 1);
    }
    None
}

/// A union of ranges of gaps that only grows: each gap points towards the next one outside.
struct Union {
    next: Vec<u32>,
}

impl Union {
    /// Of gaps up to `end`, and the one after them, which stays outside.
    fn new(end: u32) -> Union {
        Union { next: (0..end + 3).collect() }
    }

    /// The first gap from `gap` on that is outside.
    fn open(&mut self, gap: u32) -> u32 {
        let mut at = gap as usize;
        while self.next[at] as usize != at {
            self.next[at] = self.next[self.next[at] as usize];
            at = self.next[at] as usize;
        }
        at as u32
    }

    /// Adds the gaps from `first` to the one before `end`.
    fn add(&mut self, first: u32, end: u32) {
        let mut gap = self.open(first);
        while gap < end {
            self.next[gap as usize] = gap + 1;
            gap = self.open(gap + 1);
        }
    }
}
