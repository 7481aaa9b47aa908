//! From a cycle to the few transactions that show it.

use super::axioms::Saturated;
use super::explain::Explainer;
use super::order::{CO, Forced, cycles};
use super::plan::Plan;
use super::{Finding, IsolationLevel, SHOWN};
use crate::graph::Arc;
use crate::txn::NONE;
use crate::{Anomaly, Budget, Spent};

/// Witnesses of more transactions are shown as they were found.
const MINIMISED_MAX: usize = 64;

/// What is wrong with a plan: a cycle, or an edge to the initial value.
pub(super) struct Proof {
    /// Each edge starts where the one before ends, and the first where the last ends. `via` of an edge of the axiom is its place in
    /// `forced`.
    pub(super) cycle: Vec<Arc>,
    /// The edges of the axiom.
    pub(super) forced: Vec<Forced>,
}

impl Proof {
    /// A cycle whose edges of the axiom are among `all`.
    fn of_cycle(mut cycle: Vec<Arc>, all: &[Forced]) -> Proof {
        let mut forced = Vec::new();
        for arc in cycle.iter_mut().filter(|arc| arc.label == CO) {
            forced.push(all[arc.via as usize]);
            arc.via = forced.len() as u32 - 1;
        }
        Proof { cycle, forced }
    }

    /// An edge to the initial value.
    fn of_initial(edge: &Forced) -> Proof {
        Proof { cycle: Vec::new(), forced: vec![*edge] }
    }

    /// The nodes that it is about, ascending.
    fn nodes(&self, plan: &Plan, level: IsolationLevel) -> Vec<u32> {
        let mut nodes: Vec<u32> = self.cycle.iter().map(|arc| arc.from).collect();
        for edge in &self.forced {
            nodes.push(edge.by);
            match level {
                IsolationLevel::Causal => nodes.extend(path(plan, edge.from, edge.by)),
                _ => nodes.push(edge.from),
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// The same proof where only these nodes are left.
    fn renumber(mut self, nodes: &[u32]) -> Proof {
        let at = |node: u32| nodes.binary_search(&node).map_or(NONE, |at| at as u32);
        for arc in &mut self.cycle {
            (arc.from, arc.to) = (at(arc.from), at(arc.to));
        }
        for edge in &mut self.forced {
            (edge.from, edge.to, edge.by) = (at(edge.from), at(edge.to), at(edge.by));
        }
        self
    }
}

/// The first few anomalies of a broken plan, and how many were found. `left` are the nodes on cycles and after them.
pub(super) fn anomalies(
    explainer: &Explainer,
    level: IsolationLevel,
    plan: &Plan,
    saturated: &Saturated,
    left: &[u32],
    budget: &Budget,
) -> Result<(Vec<Anomaly>, usize), Spent> {
    let forced = &saturated.forced;
    let (found, mut count) = cycles(plan, forced, left, SHOWN, budget)?;
    let mut readers: Vec<&Forced> = forced.iter().filter(|edge| edge.to == NONE).collect();
    readers.dedup_by_key(|edge| (edge.by, edge.key));
    count += readers.len();
    let cyclic = found.into_iter().map(|cycle| Proof::of_cycle(cycle, forced));
    let proofs = cyclic.chain(readers.into_iter().take(SHOWN).map(Proof::of_initial));
    let mut anomalies: Vec<Anomaly> = Vec::new();
    for proof in proofs {
        let anomaly = anomaly(explainer, level, plan, proof, budget)?;
        if anomalies.iter().all(|known| known.witness != anomaly.witness) {
            anomalies.push(anomaly);
        }
    }
    Ok((anomalies, count))
}

fn anomaly(
    explainer: &Explainer,
    level: IsolationLevel,
    plan: &Plan,
    proof: Proof,
    budget: &Budget,
) -> Result<Anomaly, Spent> {
    let mut nodes = proof.nodes(plan, level);
    let mut proof = proof.renumber(&nodes);
    let minimised = nodes.len() <= MINIMISED_MAX;
    let mut small = plan.restrict(&nodes);
    if minimised {
        minimise(plan, level, &mut nodes, budget)?;
        small = plan.restrict(&nodes);
        proof = prove(&small, level, budget)?.unwrap_or(proof);
    }
    let mut anomaly = explainer.proof(&small, kind(&small, level, &proof, budget)?, &proof);
    if !minimised {
        anomaly.steps.push("the witness was not made smaller, since it is large".to_owned());
    }
    Ok(anomaly)
}

/// The nodes of a shortest path by sessions and reads, both ends included; only the ends if there is none.
pub(super) fn path(plan: &Plan, from: u32, to: u32) -> Vec<u32> {
    let mut next = vec![NONE; plan.nodes()];
    let mut queue = std::collections::VecDeque::from([to]);
    while let Some(node) = queue.pop_front() {
        if node == from {
            break;
        }
        for pred in plan.preds(node) {
            if pred != to && next[pred as usize] == NONE {
                next[pred as usize] = node;
                queue.push_back(pred);
            }
        }
    }
    let mut path = vec![from];
    while let Some(&node) = path.last().filter(|&&node| node != to) {
        path.push(if next[node as usize] == NONE { to } else { next[node as usize] });
    }
    path
}

/// Takes out every node without which the rest is still broken.
fn minimise(plan: &Plan, level: IsolationLevel, nodes: &mut Vec<u32>, budget: &Budget) -> Result<(), Spent> {
    for at in (0..nodes.len()).rev() {
        let mut fewer = nodes.clone();
        fewer.remove(at);
        if let (_, Finding::Broken(_)) = level.judge(&plan.restrict(&fewer), budget)? {
            *nodes = fewer;
        }
    }
    Ok(())
}

/// What is wrong with a small plan.
fn prove(plan: &Plan, level: IsolationLevel, budget: &Budget) -> Result<Option<Proof>, Spent> {
    let (saturated, finding) = level.judge(plan, budget)?;
    let Finding::Broken(left) = finding else { return Ok(None) };
    let forced = &saturated.forced;
    let initial = || forced.iter().find(|edge| edge.to == NONE).map(Proof::of_initial);
    let cycle = cycles(plan, forced, &left, 1, budget)?.0.pop();
    Ok(cycle.map(|cycle| Proof::of_cycle(cycle, forced)).or_else(initial))
}

/// The name of what is wrong: after the weakest level that forbids it.
fn kind(plan: &Plan, level: IsolationLevel, proof: &Proof, budget: &Budget) -> Result<&'static str, Spent> {
    let has = |label| proof.cycle.iter().any(|arc| arc.label == label);
    if !proof.cycle.is_empty() && !has(CO) {
        return Ok(if has(super::order::SO) { "G1c-process" } else { "G1c" });
    }
    let names = [
        (IsolationLevel::ReadCommitted, "non-monotonic-read"),
        (IsolationLevel::ReadAtomic, "fractured-read"),
    ];
    for (weaker, name) in names {
        if weaker == level || matches!(weaker.judge(plan, budget)?.1, Finding::Broken(_)) {
            return Ok(name);
        }
    }
    Ok("causality-violation")
}
