//! What the unit tests share.

#[path = "../tests/common/random.rs"]
mod random;

pub(crate) use random::Random;

/// Every interval order of `count` operations, up to isomorphism, as intervals between positions: `a` precedes `b` where `a` ends
/// before `b` begins. Whether a history is linearizable depends on this order alone.
///
/// These are Fishburn's matrices: upper triangular, without an empty row or column, with the sum `count` (Fishburn 1970;
/// Dukes & Parviainen 2010). An entry counts the operations with that begin and end.
pub(crate) fn interval_orders(count: usize) -> Vec<Vec<(u32, u32)>> {
    let mut all = Vec::new();
    for size in 1..=count as u32 {
        let cells: Vec<(u32, u32)> = (0..size).flat_map(|a| (a..size).map(move |b| (a, b))).collect();
        let mut stack: Vec<(usize, Vec<(u32, u32)>)> = vec![(0, Vec::new())];
        while let Some((cell, intervals)) = stack.pop() {
            if intervals.len() == count {
                let covered = |at| intervals.iter().any(|i| i.0 == at) && intervals.iter().any(|i| i.1 == at);
                if (0..size).all(covered) {
                    all.push(intervals);
                }
                continue;
            }
            if cell < cells.len() {
                stack.push((cell + 1, intervals.clone()));
                let more = [&intervals[..], &[cells[cell]]].concat();
                stack.push((cell, more));
            }
        }
    }
    all
}
