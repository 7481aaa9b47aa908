//! Operations that found nothing, and the values that were there all the time.

use super::facts::{Facts, Span};
use super::object::{NEVER, Object};
use super::ruling::Found;

/// The first operation that found nothing though in every gap of it a value is critical, or more values were left than
/// removals of unknown result can have taken by then.
///
/// A collection can be empty in a gap `g` exactly if no value is critical there. Proof: Take a legal order and cut it at `g`.
/// A value that it holds there has an insertion or a removal that spans `g`. Move such insertions
/// behind the cut and the other values' removals before it, each group in the order in which the collection gives them.
/// Every part stays legal: it holds fewer values beside those it had. Removals of unknown result are such removals if enough
/// began before `g`; that the exchange then costs no later removal holds for queues (see `queue.rs`).
/// So the operations that found nothing can be put in such gaps one by one, and then left out.
pub(crate) fn false_empty(facts: &Facts, object: &Object) -> Option<u32> {
    if facts.empties.is_empty() {
        return None;
    }
    let last_open = last_open_gaps(facts);
    let full = |&&at: &&u32| {
        let op = object.ops[at as usize];
        let last = last_open[op.end as usize - 1];
        last == NEVER || last < op.start
    };
    facts.empties.iter().find(full).copied()
}

/// The values that show that this operation, which found nothing, should have found something.
pub(crate) fn empty(facts: &Facts, object: &Object, at: u32) -> Found {
    let op = object.ops[at as usize];
    let last = op.end - 1;
    let known = chain(facts, op.start, last, |_, span| facts.lost.is_empty() || !facts.left(span));
    let values = known.unwrap_or_else(|| overlapping(facts, op.start, last, |_, _| true));
    Found { values, observations: vec![at] }
}

/// For every gap the last one up to it in which the collection can be empty, or [`NEVER`].
fn last_open_gaps(facts: &Facts) -> Vec<u32> {
    let mut change = vec![(0i32, 0i32); facts.end as usize + 1];
    for span in facts.spans.iter().filter(|span| span.critical()) {
        if facts.left(span) {
            change[span.inserted as usize].1 += 1;
        } else {
            change[span.inserted as usize].0 += 1;
            change[span.removing as usize].0 -= 1;
        }
    }
    for &start in &facts.lost {
        change[start as usize].1 -= 1;
    }
    let (mut critical, mut left, mut last) = (0, 0, NEVER);
    let gaps = change.into_iter().enumerate().map(|(gap, (critically, stays))| {
        critical += critically;
        left += stays;
        if critical == 0 && left <= 0 {
            last = gap as u32;
        }
        last
    });
    gaps.collect()
}

/// The fewest values, one of which is critical in every gap from `first` to `last`, among those that are wanted.
pub(crate) fn chain(
    facts: &Facts,
    first: u32,
    last: u32,
    wanted: impl Fn(u32, &Span) -> bool,
) -> Option<Vec<u32>> {
    let mut all = overlapping(facts, first, last, wanted);
    all.sort_unstable_by_key(|&value| facts.spans[value as usize].inserted);
    let (mut chain, mut at, mut gap) = (Vec::new(), 0, first);
    while gap <= last {
        let mut best: Option<(u32, u32)> = None;
        while let Some(&value) = all.get(at) {
            let span = facts.spans[value as usize];
            if span.inserted > gap {
                break;
            }
            best = best.max(Some((span.removing, value)));
            at += 1;
        }
        let (end, value) = best.filter(|&(end, _)| end > gap)?;
        chain.push(value);
        gap = end;
    }
    Some(chain)
}

/// The values that are critical in some gap from `first` to `last`, among those that are wanted.
pub(crate) fn overlapping(
    facts: &Facts,
    first: u32,
    last: u32,
    wanted: impl Fn(u32, &Span) -> bool,
) -> Vec<u32> {
    let among = |(value, span): &(u32, &Span)| {
        span.critical() && span.inserted <= last && span.removing > first && wanted(*value, span)
    };
    (0..).zip(&facts.spans).filter(among).map(|(value, _)| value).collect()
}
