//! Cycles as anomalies: a sentence, the transactions, and the proof.

use super::order::{CO, Forced, SO};
use super::plan::Plan;
use super::witness::{Proof, path};
use crate::graph::Arc;
use crate::txn::{Mop, NONE, Teller, Txns};
use crate::{Anomaly, Edge};

/// Puts proofs into words.
#[derive(Clone, Copy)]
pub(super) struct Explainer<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) teller: Teller<'a>,
}

impl<'a> Explainer<'a> {
    pub(super) fn new(txns: &'a Txns) -> Explainer<'a> {
        Explainer { txns, teller: Teller { txns } }
    }

    /// The anomaly of a small plan, all of which is the witness.
    pub(super) fn proof(&self, plan: &Plan, kind: &str, proof: &Proof) -> Anomaly {
        let Proof { cycle, forced } = proof;
        let (key, steps, sentence) = if cycle.is_empty() {
            let steps: Vec<String> = forced.iter().map(|edge| self.reason(plan, edge)).collect();
            let sentence = format!("{kind}: {}", steps.join("; "));
            (forced.first().map_or(NONE, |edge| edge.key), steps, sentence)
        } else {
            let steps: Vec<String> = cycle.iter().map(|arc| self.step(plan, arc, forced)).collect();
            let sentence = format!("{kind}: {}; so each comes before itself", steps.join("; "));
            let drawn = cycle.iter().find(|arc| arc.label == CO).map(|arc| forced[arc.via as usize].key);
            (drawn.unwrap_or(NONE), steps, sentence)
        };
        let mut anomaly = self.teller.anomaly(kind, key, sentence, &plan.origin);
        anomaly.steps = steps;
        anomaly.edges = cycle.iter().map(|arc| self.edge(plan, arc, forced)).collect();
        anomaly
    }

    fn edge(&self, plan: &Plan, arc: &Arc, forced: &[Forced]) -> Edge {
        let kind = match arc.label {
            SO => "session order".to_owned(),
            CO => {
                let Forced { by, key, .. } = forced[arc.via as usize];
                let (by, key) = (self.teller.name(plan.origin[by as usize]), self.txns.object(key));
                format!("commit order because {by} read {key} from the later")
            }
            _ => format!("reads from, {}", self.txns.object(arc.via)),
        };
        Edge {
            from: self.teller.event(plan.origin[arc.from as usize]),
            to: self.teller.event(plan.origin[arc.to as usize]),
            kind,
        }
    }

    /// Why the one transaction comes before the other.
    fn step(&self, plan: &Plan, arc: &Arc, forced: &[Forced]) -> String {
        let [from, to] = [arc.from, arc.to].map(|node| plan.origin[node as usize]);
        match arc.label {
            SO => {
                format!("{} came before {} in the same session", self.teller.name(from), self.teller.name(to))
            }
            CO => {
                let edge = &forced[arc.via as usize];
                format!(
                    "{}, so {} commits before {}",
                    self.reason(plan, edge),
                    self.teller.name(from),
                    self.teller.name(to)
                )
            }
            _ => format!(
                "{} read {} from {}",
                self.teller.name(to),
                self.seen(to, from, arc.via),
                self.teller.name(from)
            ),
        }
    }

    /// What the axiom is about: a read although another write was known.
    fn reason(&self, plan: &Plan, edge: &Forced) -> String {
        let [by, from] = [edge.by, edge.from].map(|node| plan.origin[node as usize]);
        let to = if edge.to == NONE { NONE } else { plan.origin[edge.to as usize] };
        let written = self.txns.written(from, edge.key).last().unwrap_or(NONE);
        let reads = plan.reads.row(edge.by).iter().any(|read| read.from == edge.from);
        let known = if reads {
            format!("read from {}", self.teller.name(from))
        } else {
            let path = path(plan, edge.from, edge.by);
            let through: Vec<String> = path[1..path.len() - 1]
                .iter()
                .map(|&node| self.teller.name(plan.origin[node as usize]))
                .collect();
            match through.as_slice() {
                [] => format!("came after {} in the same session", self.teller.name(from)),
                _ => format!("came, by way of {}, after {}", through.join(" and "), self.teller.name(from)),
            }
        };
        format!(
            "{} read {}, although it {known}, and the latter wrote {}",
            self.teller.name(by),
            self.seen(by, to, edge.key),
            self.teller.version(edge.key, written)
        )
    }

    /// What `txn` read of `key` that `writer` wrote.
    fn seen(&self, txn: u32, writer: u32, key: u32) -> String {
        let of =
            |element: u32| self.txns.elements.get(element as usize).map_or(NONE, |element| element.writer);
        let read = self.txns.mops(txn).iter().find_map(|mop| match *mop {
            Mop::Get { key: of_key, element } if of_key == key && of(element) == writer => Some(element),
            _ => None,
        });
        self.teller.version(key, read.unwrap_or(NONE))
    }
}
