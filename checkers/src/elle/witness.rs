//! Makes the witnesses of registers fail by themselves.
//!
//! What is found rests on an order of versions that transactions outside of a cycle may have told: who wrote what was read, or
//! who read it and so shows that it was there at some time. So each witness is judged as a history of its own. If it does not
//! fail, it grows by those who could have told; then whatever is not needed goes again, and what is left is told as it
//! stands.

use crate::registers::minimal;
use crate::txn::{Mop, NONE, Txns};
use crate::{Anomaly, Budget, History, Verdict};

/// Transactions of a witness that may still be made smaller, and to which it may grow.
const MINIMISED_MAX: usize = 500;
const GROWN_MAX: usize = 5_000;

/// Makes each anomaly of a verdict stand alone; one that does not says so. `judge` gives the anomalies of a history by the
/// same model.
pub(super) fn stand_alone(
    verdict: &mut Verdict,
    txns: &Txns,
    budget: &Budget,
    judge: impl Fn(&Anomaly, &History) -> Vec<Anomaly>,
) {
    if verdict.anomalies.is_empty() {
        return;
    }
    let mut of = vec![NONE; txns.history.len()];
    for (id, txn) in (0..).zip(&txns.list) {
        of[txn.event()] = id;
    }
    for anomaly in &mut verdict.anomalies {
        let told: Vec<u32> =
            anomaly.witness.iter().map(|&event| of[event]).filter(|&id| id != NONE).collect();
        let trial = Trial { txns, anomaly, judge: &|history| judge(anomaly, history) };
        match trial.standing(told, budget) {
            Some(standing) => {
                verdict.summary = verdict.summary.replace(&anomaly.sentence, &standing.sentence);
                *anomaly = standing;
            }
            None => {
                let why = match budget.ask() {
                    Ok(()) => "what others read tells the order of the versions".to_owned(),
                    Err(spent) => format!("those who tell the order of the versions were not found: {spent}"),
                };
                anomaly.steps.push(format!("these transactions alone do not show it; {why}"));
            }
        }
    }
    verdict.anomalies.dedup_by(|a, b| a.kind == b.kind && a.witness == b.witness);
}

struct Trial<'a> {
    txns: &'a Txns<'a>,
    anomaly: &'a Anomaly,
    judge: &'a dyn Fn(&History) -> Vec<Anomaly>,
}

impl Trial<'_> {
    /// The anomaly of as few transactions as may be, starting from these.
    fn standing(&self, mut told: Vec<u32>, budget: &Budget) -> Option<Anomaly> {
        for grow in [None, Some(Grow::Writers), Some(Grow::Versions), Some(Grow::Keys), Some(Grow::All)] {
            if let Some(grow) = grow {
                budget.ask().ok()?;
                self.grow(&mut told, grow);
            }
            if told.len() > GROWN_MAX {
                return None;
            }
            if let Some(found) = self.found(&told) {
                if told.len() > MINIMISED_MAX {
                    let large = "the witness was not made smaller, since it is large".to_owned();
                    return Some(Anomaly { steps: [found.steps, vec![large]].concat(), ..found });
                }
                return self.found(&self.fewest(&told));
            }
        }
        None
    }

    /// Of transactions that fail, so few that none can go. What counts as committed depends on who is there, so that one which
    /// had to stay may go after another went.
    fn fewest(&self, told: &[u32]) -> Vec<u32> {
        let fails = |some: &[u32]| self.found(some).is_some();
        let mut few = minimal(told, fails);
        let without = |few: &[u32], at: usize| [&few[..at], &few[at + 1..]].concat();
        while let Some(at) = (0..few.len()).find(|&at| fails(&without(&few, at))) {
            few.remove(at);
        }
        few
    }

    /// An anomaly of the same kind that these transactions show by themselves, with the events of the whole history.
    fn found(&self, told: &[u32]) -> Option<Anomaly> {
        let txns = told.iter().map(|&id| &self.txns.list[id as usize]);
        let events = txns.flat_map(|txn| [Some(txn.invoke), txn.complete()]).flatten();
        let mut events: Vec<usize> = events.map(|event| event as usize).collect();
        events.sort_unstable();
        let alone = self.txns.history.only(&events);
        let mut found = (self.judge)(&alone).into_iter().find(|found| found.kind == self.anomaly.kind)?;
        for edge in &mut found.edges {
            (edge.from, edge.to) = (events[edge.from], events[edge.to]);
        }
        found.witness = told.iter().map(|&id| self.txns.list[id as usize].event()).collect();
        found.witness.sort_unstable();
        Some(found)
    }

    /// Takes in more transactions, after those that there are.
    fn grow(&self, told: &mut Vec<u32>, by: Grow) {
        let txns = self.txns;
        let mut inside = vec![false; txns.list.len()];
        told.iter().for_each(|&id| inside[id as usize] = true);
        let (mut elements, mut keys) = (vec![false; txns.elements.len()], vec![false; txns.keys.len()]);
        for mop in told.iter().flat_map(|&id| txns.mops(id)) {
            keys[mop.key() as usize] = true;
            if let Some(element) = version(mop) {
                elements[element as usize] = true;
            }
        }
        let mut add = |id: u32| {
            if id != NONE && !std::mem::replace(&mut inside[id as usize], true) {
                told.push(id);
            }
        };
        for (element, _) in txns.elements.iter().zip(&elements).filter(|(_, seen)| **seen) {
            add(element.writer);
            add(element.aborted);
        }
        let touches = |mop: &Mop| match by {
            Grow::Writers => false,
            Grow::Versions => version(mop).is_some_and(|element| elements[element as usize]),
            Grow::Keys => keys[mop.key() as usize],
            Grow::All => true,
        };
        if by != Grow::Writers {
            (0..txns.list.len() as u32).filter(|&id| txns.mops(id).iter().any(touches)).for_each(add);
        }
    }
}

/// By which transactions a witness grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grow {
    /// Those who wrote what it read.
    Writers,
    /// Those who read or wrote a version of it.
    Versions,
    /// Those who read or wrote a key of it.
    Keys,
    All,
}

/// The version that a micro-operation read or wrote, unless it is the initial one.
fn version(mop: &Mop) -> Option<u32> {
    match *mop {
        Mop::Write { element, .. } => Some(element),
        Mop::Get { element, .. } => Some(element).filter(|&element| element != NONE),
        Mop::Read { .. } => None,
    }
}
