//! As few transactions as may be that have no order.

use super::PolygraphModel;
use super::engine::{Answer, decide};
use super::problem::{INIT, Problem};
use crate::Budget;

/// Steps that may be spent on taking transactions away, in all and at once.
const STEPS: u64 = 50_000_000;
const STEPS_EACH: u64 = 1_000_000;

/// What is left of a failing set.
pub(super) struct Witness {
    /// Ascending, without the initial one.
    pub(super) txns: Vec<u32>,
    /// Whether none can be taken away.
    pub(super) minimal: bool,
}

/// Takes away what can be: halves at first, then single transactions (Zeller and Hildebrandt, *Simplifying and isolating
/// failure-inducing input*, TSE 2002). A set that fails still fails with more in it, so one round of single ones that all
/// stay is enough. Each failing part tells itself which of it is needed.
pub(super) fn reduce(problem: &Problem, model: PolygraphModel, core: Vec<u32>, budget: &Budget) -> Witness {
    let mut txns: Vec<u32> = core.into_iter().filter(|&txn| txn != INIT).collect();
    let (mut size, mut from, mut steps) = (txns.len().div_ceil(2).max(1), 0, 0);
    while from < txns.len() {
        if steps > STEPS {
            return Witness { txns, minimal: false };
        }
        let kept = [&txns[..from], &txns[(from + size).min(txns.len())..]].concat();
        let part = problem.only(&kept, budget);
        let Ok(decision) = part.and_then(|part| decide(&part, model, STEPS_EACH, budget)) else {
            return Witness { txns, minimal: false };
        };
        steps += decision.steps + 10 * kept.len() as u64;
        match decision.answer {
            Answer::Fails(core) => {
                let needed = core.into_iter().filter(|&txn| txn != INIT).map(|txn| kept[txn as usize - 1]);
                // Those before `from` that stay were found to be needed.
                let before = txns[..from].to_vec();
                txns = needed.collect();
                from = if size == 1 { before.iter().filter(|txn| txns.contains(txn)).count() } else { 0 };
            }
            _ => from += size,
        }
        if from >= txns.len() && size > 1 {
            (size, from) = (size.min(txns.len()).div_ceil(2).max(1), 0);
        }
        size = size.min(txns.len().max(1));
    }
    Witness { txns, minimal: true }
}
