//! Stacks whose values are distinct, in O(n log n), after the decrease-and-conquer of Lee & Mathur (OOPSLA 2025, section 5).
//!
//! A value whose push and pop overlap can be pushed and popped in one gap, whatever else is there. Of the others,
//! some value must be pushed onto an empty stack and popped when nothing is above it. That is possible exactly if its push
//! and its pop each have a gap where no value is critical: the stack can be empty there (see `cover.rs`), and between
//! the two the value lies below all others. Such a value is taken away, which lowers the count of
//! critical values in its gaps, and so on: the history is legal exactly if all can be taken. What stays has no bottom.
//!
//! Gaps between two critical ends are alike; they form a class. Each class falls to zero once, and each push or
//! pop is taken once, by the first such class that it has.
//!
//! **Pops of unknown result** are treated as those of priority queues are: see `priority.rs`.

use std::collections::BTreeSet;

use super::cover::{empty, false_empty};
use super::facts::Facts;
use super::layers::{Layers, Ranges};
use super::object::Object;
use super::ruling::{Found, Ruling};

pub(crate) fn judge(facts: &Facts, object: &Object) -> Ruling {
    let found = violation(facts, object);
    let legal = if facts.peeks.is_empty() { Ruling::Legal } else { Ruling::Unsure };
    if found.is_none() {
        return legal;
    }
    let relaxed = facts.all_taken();
    if let Some(found) = relaxed.as_ref().map_or(found, |relaxed| violation(relaxed, object)) {
        return Ruling::Illegal(found);
    }
    if violation(&taken_by_deadline(facts, object), object).is_none() { legal } else { Ruling::Unsure }
}

/// What fails where removals of unknown result took nothing.
fn violation(facts: &Facts, object: &Object) -> Option<Found> {
    let untaken = Facts { lost: Vec::new(), ..facts.clone() };
    match false_empty(&untaken, object) {
        Some(at) => Some(empty(&untaken, object, at)),
        None => bottomless(facts).map(Found::values),
    }
}

/// Values none of which can be at the bottom, if there are any.
fn bottomless(facts: &Facts) -> Option<Vec<u32>> {
    let critical = || (0u32..).zip(&facts.spans).filter(|(_, span)| span.critical());
    let last_gap = facts.end as usize + 1;
    let mut change = vec![0i8; last_gap + 1];
    for (_, span) in critical() {
        change[span.inserted as usize] = 1;
        change[span.removing as usize] = 1;
    }
    let mut classes: Vec<u32> = Vec::with_capacity(change.len());
    for &change in &change {
        classes.push(classes.last().copied().unwrap_or(0) + change as u32);
    }
    drop(change);
    let class = |gap: u32| classes[gap as usize];
    let mut counts = vec![0i32; class(last_gap as u32) as usize + 2];
    // Of each push and pop the first and the last class, and its value.
    let mut ranges: Vec<(u32, u32, u32)> = Vec::new();
    for (value, span) in critical() {
        counts[class(span.inserted) as usize] += 1;
        counts[class(span.removing) as usize] -= 1;
        ranges.push((class(span.inserting), class(span.inserted - 1), value));
        ranges.push((class(span.removing), class(span.removed - 1), value));
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += *count;
        *count = sum;
    }
    counts.pop();
    ranges.sort_unstable();
    let mut layers = Layers::new(&counts);
    let mut open = Ranges::new(ranges.iter().map(|r| r.0).collect(), ranges.iter().map(|r| r.1));
    let mut ends_left = vec![2u8; facts.spans.len()];
    let mut bare = vec![false; counts.len()];
    while let Some(class_bare) = layers.next_bare() {
        bare[class_bare] = true;
        while let Some(at) = open.take(class_bare as u32) {
            let value = ranges[at].2 as usize;
            ends_left[value] -= 1;
            if ends_left[value] == 0 {
                let span = &facts.spans[value];
                layers.lower(class(span.inserted) as usize, class(span.removing) as usize);
            }
        }
    }
    // The smallest run of classes that stays covered: its values fail by themselves.
    let mut run_of: Vec<u32> = Vec::with_capacity(bare.len());
    for &bare in &bare {
        run_of.push(run_of.last().copied().unwrap_or(0) + u32::from(bare));
    }
    let mut runs = vec![0u32; run_of.last().map_or(0, |&run| run as usize + 1)];
    let stuck = || critical().filter(|&(value, _)| ends_left[value as usize] > 0);
    let run = |inserted: u32| run_of[class(inserted) as usize] as usize;
    stuck().for_each(|(_, span)| runs[run(span.inserted)] += 1);
    let smallest = (0..runs.len()).filter(|&run| runs[run] > 0).min_by_key(|&run| runs[run])?;
    Some(stuck().filter(|(_, span)| run(span.inserted) == smallest).map(|(value, _)| value).collect())
}

/// The facts where pops of unknown result took the values that must be gone by some time, the most urgent first.
fn taken_by_deadline(facts: &Facts, object: &Object) -> Facts {
    let mut taken = Facts { lost: Vec::new(), ..facts.clone() };
    let mut lost: BTreeSet<(u32, usize)> = facts.lost.iter().copied().zip(0..).collect();
    for (deadline, _, value) in deadlines(facts, object) {
        let Some(&pop) = lost.range(..(deadline, 0)).next_back() else { break };
        lost.remove(&pop);
        let span = &mut taken.spans[value as usize];
        (span.removing, span.removed) = (pop.0, facts.end + 1);
    }
    taken
}

/// For values that were left and lie above one that was popped, or were there before nothing was found: by when they must be gone.
/// In order, and those that were pushed last first.
fn deadlines(facts: &Facts, object: &Object) -> Vec<(u32, u32, u32)> {
    const NONE: u32 = u32::MAX;
    let mut left: Vec<u32> = (0..).zip(&facts.spans).filter(|(_, s)| facts.left(s)).map(|(v, _)| v).collect();
    left.sort_unstable_by_key(|&value| std::cmp::Reverse(facts.spans[value as usize].inserted));
    let mut popped: Vec<u32> =
        (0..).zip(&facts.spans).filter(|(_, s)| s.critical() && !facts.left(s)).map(|(v, _)| v).collect();
    popped.sort_unstable_by_key(|&value| std::cmp::Reverse(facts.spans[value as usize].removing));
    let mut empties = facts.empties.iter().rev().map(|&at| object.ops[at as usize]).peekable();
    let (mut popped, mut first_empty) = (popped.into_iter().peekable(), NONE);
    // A Fenwick tree: the first end of a pop among values pushed by some gap.
    let mut ends = vec![NONE; facts.end as usize + 2];
    let mut deadlines = Vec::new();
    for value in left {
        let span = &facts.spans[value as usize];
        while let Some(other) = popped.next_if(|&other| facts.spans[other as usize].removing > span.inserted)
        {
            let other = &facts.spans[other as usize];
            let mut at = other.inserted as usize + 1;
            while at < ends.len() {
                ends[at] = ends[at].min(other.removed);
                at += at & at.wrapping_neg();
            }
        }
        while let Some(op) = empties.next_if(|op| op.start >= span.inserted) {
            first_empty = first_empty.min(op.end);
        }
        let (mut at, mut deadline) = (span.inserting as usize + 1, first_empty);
        while at > 0 {
            deadline = deadline.min(ends[at]);
            at &= at - 1;
        }
        if deadline != NONE {
            deadlines.push((deadline, u32::MAX - span.inserted, value));
        }
    }
    deadlines.sort_unstable();
    deadlines
}
