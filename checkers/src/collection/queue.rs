//! Queues whose values are distinct, in linear time.
//!
//! Without operations that found nothing and without crashes a history is illegal exactly if a value was dequeued twice,
//! from nowhere or before it was enqueued, or if two values show a *FIFO violation*: `x` was enqueued before `y`, and `y` was
//! dequeued before `x` or `x` never was (Henzinger, Sezgin & Vafeiadis, "Aspect-oriented linearizability proofs", CONCUR
//! 2013; Bouajjani, Emmi, Enea & Hamza, ICALP 2015). A sweep finds the second: among the values that were enqueued
//! before `y` only the one whose dequeue began last matters.
//!
//! **Removals of unknown result.** One that began at `c` may take any value that nobody else dequeued, at any time after
//! `c`. Such a value `v` has a deadline: the end of the first dequeue among values enqueued after it. Nothing else constrains
//! it, for a dequeue that never returns precedes nothing. A removal that began at `c` serves every deadline after `c`, so
//! enough removals exist exactly if, for every time `T`, no more deadlines than removals lie before `T` (Hall).
//!
//! **With operations that found nothing as well**, one in gap `g` gives the deadline `g` to all values that were left and
//! enqueued by `g`. That needs as many removals before `g`; and that is enough: the deadlines grow in the order
//! of the enqueues, so if a value enqueued after `g` has a deadline before some `T`, all values enqueued before `g` have one
//! too, and the count at `T` is the same without the empty result; if there is none, it is that at `g`.

use super::cover::{empty, false_empty};
use super::facts::Facts;
use super::object::{Act, NEVER, Object};
use super::ruling::{Found, Ruling};

pub(crate) fn judge(facts: &Facts, object: &Object) -> Ruling {
    if let Some(at) = false_empty(facts, object) {
        return Ruling::Illegal(empty(facts, object, at));
    }
    if let Some((first, second)) = overtaken(facts, object) {
        return Ruling::Illegal(Found::values([first, second]));
    }
    if let Some(values) = too_few_removals(facts, object) {
        return Ruling::Illegal(Found::values(values));
    }
    if facts.peeks.is_empty() { Ruling::Legal } else { Ruling::Unsure }
}

/// Values of which the first was enqueued before the second was, and dequeued after it or never.
fn overtaken(facts: &Facts, object: &Object) -> Option<(u32, u32)> {
    let mut enqueued = vec![NEVER; facts.end as usize + 1];
    for (value, span) in (0..).zip(&facts.spans) {
        // What a removal of unknown result may have taken has a deadline instead.
        if span.known() && (facts.lost.is_empty() || !facts.left(span)) {
            enqueued[span.inserted as usize] = value;
        }
    }
    let (mut at, mut latest, mut first) = (0, 0, 0);
    for op in object.ops.iter().filter(|op| op.act == Act::Insert) {
        while at < op.start {
            if let Some(span) = facts.spans.get(enqueued[at as usize] as usize)
                && span.removing > latest
            {
                (latest, first) = (span.removing, enqueued[at as usize]);
            }
            at += 1;
        }
        let span = &facts.spans[op.value as usize];
        if span.known() && latest > span.removed {
            return Some((first, op.value));
        }
    }
    None
}

/// Values that had to be dequeued by some time and were not, more of them than removals of unknown result began by then,
/// with the values that were dequeued before them.
fn too_few_removals(facts: &Facts, object: &Object) -> Option<Vec<u32>> {
    if facts.lost.is_empty() {
        return None;
    }
    let mut left: Vec<u32> = (0..).zip(&facts.spans).filter(|(_, s)| facts.left(s)).map(|(v, _)| v).collect();
    left.sort_unstable_by_key(|&value| std::cmp::Reverse(facts.spans[value as usize].inserted));
    let mut later = object.ops.iter().rev().filter(|op| op.act == Act::Insert).peekable();
    // The value that was dequeued first among those enqueued after the one at hand.
    let mut first: Option<u32> = None;
    let mut deadlines: Vec<(u32, u32, u32)> = Vec::new();
    for value in left {
        while let Some(op) = later.next_if(|op| op.start > facts.spans[value as usize].inserted) {
            let span = &facts.spans[op.value as usize];
            let earlier = first.is_none_or(|first| span.removed < facts.spans[first as usize].removed);
            if span.known() && !facts.left(span) && earlier {
                first = Some(op.value);
            }
        }
        deadlines.extend(first.map(|first| (facts.spans[first as usize].removed, value, first)));
    }
    deadlines.sort_unstable();
    let began = |deadline: u32| facts.lost.partition_point(|&start| start < deadline);
    let late = (0..deadlines.len()).find(|&at| began(deadlines[at].0) <= at)?;
    Some(deadlines[..=late].iter().flat_map(|&(_, value, first)| [value, first]).collect())
}
