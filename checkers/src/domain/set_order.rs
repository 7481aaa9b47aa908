//! Whether a set without stale reads is linearizable: see [`set`](super::set) for the argument.

use super::calls::{Calls, NONE, Stop, split};
use super::findings::Findings;
use super::set_elements::{Element, Set};
use crate::history::Raw;
use crate::intern::Interner;
use crate::near::partition_near;

/// Finds a pair of reads of which each has something that the other lacks, or one of adds whose order a read contradicts.
pub(super) fn judge(
    calls: &Calls<'_>,
    set: &mut Set,
    independent: bool,
    found: &mut Findings<'_>,
) -> Result<(), Stop> {
    let reads = set.reads.len() as u32;
    // In a chain an element is in as many of the largest reads as have it.
    let level = |element: &Element| reads - element.count;
    let fork = set.elements.iter().position(|element| element.read() && element.lowest_rank < level(element));
    if let Some(id) = fork {
        incomparable(calls, set, id as u32, independent, found);
        return Ok(());
    }
    // By when they began.
    let began = |(id, element): (u32, &Element)| element.was_added().then_some((element.tried, id));
    let mut adds: Vec<(u32, u32)> = (0..).zip(&set.elements).filter_map(began).collect();
    let _held = calls.budget.lease(adds.capacity() * (size_of::<(u32, u32)>() + size_of::<u32>()))?;
    adds.sort_unstable();
    // Of the adds from each on, the one of the lowest level.
    let mut lowest = vec![0; adds.len()];
    let mut least = (reads + 1, 0);
    for (at, &(_, id)) in adds.iter().enumerate().rev() {
        let own = level(&set.elements[id as usize]);
        if own <= least.0 {
            least = (own, id);
        }
        lowest[at] = least.1;
    }
    for (at, &(_, id)) in adds.iter().enumerate() {
        let first = &set.elements[id as usize];
        let after = partition_near(&adds, at, |&(began, _)| began < first.acknowledged);
        let Some(&later) = lowest.get(after).filter(|_| first.acknowledged != NONE) else { continue };
        let second = &set.elements[later as usize];
        if level(second) < level(first) {
            let read = set.reads.iter().find(|read| read.rank == level(second)).map_or(0, |read| read.at);
            let (one, two) = (set.ids.value(id), set.ids.value(later));
            found.add("reordered-adds", set.key.as_ref(), |calls| {
                let add = first.add(calls);
                let (by, end, did) = (calls.by(add), calls.end(add), calls.did(read));
                let began = super::findings::time(calls.history.get(second.tried as usize).time_ns());
                let sentence = format!(
                    "{one} was added by {by} at {end}, before the add of {two} began at {began}, but {did} has {two} only"
                );
                (sentence, vec![add, second.tried, read])
            });
        }
    }
    Ok(())
}

/// The smallest read that has the element, and a larger one that lacks it.
fn incomparable(calls: &Calls<'_>, set: &mut Set, id: u32, independent: bool, found: &mut Findings<'_>) {
    let element = set.elements[id as usize];
    let mut by_rank: Vec<u32> = vec![0; set.reads.len()];
    set.reads.iter().for_each(|read| by_rank[read.rank as usize] = read.at);
    let has = |ids: &mut Interner, read: u32| -> Vec<u32> {
        let value = calls.call(read).complete().and_then(|event| split(event, independent).ok());
        let items = value.and_then(|(_, value): (_, Raw<'_>)| value.items());
        let mut has: Vec<u32> = items.into_iter().flatten().map(|value| ids.intern_raw(value)).collect();
        has.sort_unstable();
        has
    };
    let one = by_rank[element.lowest_rank as usize];
    let mine = has(&mut set.ids, one);
    for &other in &by_rank[element.lowest_rank as usize + 1..] {
        let theirs = has(&mut set.ids, other);
        let more = theirs.iter().find(|&id| mine.binary_search(id).is_err()).copied();
        let Some(more) = more.filter(|_| theirs.binary_search(&id).is_err()) else { continue };
        let (a, b) = (set.ids.value(id), set.ids.value(more));
        found.add("incomparable-reads", set.key.as_ref(), |calls| {
            let (one_did, other_did) = (calls.did(one), calls.did(other));
            (format!("{one_did} has {a} but not {b}, {other_did} has {b} but not {a}"), vec![one, other])
        });
        return;
    }
}
