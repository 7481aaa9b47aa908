//! Cycles of the dependency graph, by class.
//!
//! Every cycle lies in a strongly connected component of all edges, so a graph without one is done in linear time. In each
//! component every class is searched for in turn: a class is a set of labels, or (G-nonadjacent, prefix) a graph in which each
//! transaction stands twice, or (G-single) a cycle with one edge of a kind.

use super::consistency::{Phenomena, Phenomenon as P};
use super::deps::{Dependencies, LINK, PROCESS, REALTIME, RW, RWI, WR, WW, WWI};
use super::fault::SHOWN;
use super::part::{Effort, Part, Single};
use crate::graph::{Arc, Mask};
use crate::intern::FastBuild;
use crate::txn::{NONE, Outcome, Txns};
use crate::{Budget, Spent};
use std::collections::{BTreeMap, HashMap};

/// A cycle of transactions.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    /// Elle's name: `G0`, `G1c`, `G-single`, `G-nonadjacent` or `G2-item`, with `-process` or `-realtime`.
    pub(super) name: String,
    pub(super) phenomenon: P,
    /// Each edge starts where the one before ends, and the first where the last ends.
    pub(super) arcs: Vec<Arc>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The first few of each name, worst first in each component.
    pub(super) cycles: Vec<Cycle>,
    pub(super) phenomena: Phenomena,
    /// At least so many cycles there are.
    pub(super) count: usize,
    pub(super) components: usize,
    /// A search for G-single was given up.
    pub(super) open: bool,
    pub(super) work: u64,
}

/// How else transactions may be ordered: what may be on the way, and what makes the difference.
const VARIANTS: [(Mask, Mask); 3] = [(0, 0), (PROCESS, PROCESS), (PROCESS | REALTIME, REALTIME)];

const G0: [P; 3] = [P::G0, P::G0Process, P::G0Realtime];
const G1C: [P; 3] = [P::G1c, P::G1cProcess, P::G1cRealtime];
const SINGLE: [P; 3] = [P::Single, P::SingleProcess, P::SingleRealtime];
const NONADJACENT: [P; 3] = [P::Nonadjacent, P::NonadjacentProcess, P::NonadjacentRealtime];
const G2: [P; 3] = [P::G2, P::G2Process, P::G2Realtime];

/// Searches all components. A search ends after `cap` edges, but never before it has found a cycle if there is one.
/// Transactions in `told` are left out of real-time cycles with rw edges, because that was said of them already.
pub(super) fn search(
    deps: &Dependencies,
    txns: &Txns,
    told: &[u32],
    cap: u64,
    budget: &Budget,
) -> Result<Found, Spent> {
    let graph = &deps.graph;
    let mut effort = Effort { work: (graph.nodes() + graph.edges()) as u64, cap, budget };
    let components = graph.components(Mask::MAX, |_| true, budget)?;
    let mut found = Found { components: components.len(), ..Found::default() };
    if !components.is_empty() {
        let _lease = budget.lease(graph.nodes() * size_of::<u32>() + graph.edges() * 2 * size_of::<Arc>())?;
        let mut local = vec![NONE; graph.nodes()];
        let mut named = BTreeMap::new();
        for mut component in components {
            component.sort_unstable();
            let part = part(deps, txns, &component, &mut local, budget)?;
            let told = |node: u32| told.binary_search(&component[node as usize]).is_ok();
            let mut hunt = Hunt { part, phenomena: Phenomena::default(), cycles: Vec::new(), open: false };
            hunt.hunt(told, &mut effort)?;
            found.open |= hunt.open;
            found.phenomena = found.phenomena.with(hunt.phenomena);
            found.count += hunt.cycles.len();
            for mut cycle in hunt.cycles {
                let count: &mut usize = named.entry((cycle.name.clone(), cycle.phenomenon)).or_default();
                *count += 1;
                if *count <= SHOWN {
                    for arc in &mut cycle.arcs {
                        (arc.from, arc.to) = (component[arc.from as usize], component[arc.to as usize]);
                    }
                    found.cycles.push(cycle);
                }
            }
        }
    }
    found.work = effort.work;
    Ok(found)
}

/// A component with numbers of its own, and with the edges of processes. `local` is for use again.
fn part<'a>(
    deps: &Dependencies,
    txns: &Txns,
    component: &[u32],
    local: &mut [u32],
    budget: &'a Budget,
) -> Result<Part<'a>, Spent> {
    (0..).zip(component).for_each(|(at, &node)| local[node as usize] = at);
    let inside = component.iter().flat_map(|&node| deps.graph.out(node));
    let mut arcs: Vec<Arc> = inside
        .map(|arc| Arc { from: local[arc.from as usize], to: local[arc.to as usize], ..arc })
        .filter(|arc| arc.to != NONE)
        .collect();
    let mut last: HashMap<u32, u32, FastBuild> = HashMap::default();
    for (at, txn) in (0..).zip(component).filter_map(|(at, &node)| Some((at, txns.list.get(node as usize)?)))
    {
        let before = last.insert(txn.session, if txn.outcome == Outcome::Ok { at } else { NONE });
        if let Some(from) = before.filter(|&from| from != NONE) {
            arcs.push(Arc { from, to: at, label: PROCESS, via: NONE });
        }
    }
    component.iter().for_each(|&node| local[node as usize] = NONE);
    Part::new(component.iter().map(|&node| node as usize >= deps.txns).collect(), &arcs, budget)
}

/// The search of one component.
struct Hunt<'a> {
    part: Part<'a>,
    phenomena: Phenomena,
    cycles: Vec<Cycle>,
    open: bool,
}

impl<'a> Hunt<'a> {
    fn hunt(&mut self, told: impl Fn(u32) -> bool, effort: &mut Effort<'a>) -> Result<(), Spent> {
        for (at, (order, only)) in VARIANTS.into_iter().enumerate() {
            let keep = |node: u32| at < 2 || !told(node);
            let first = |plain: Mask| if at == 0 { plain } else { only };
            if self.wants(G0[at]) {
                let cycle = self.part.cycle((first(WW), WW | order), |_| true, effort)?;
                self.take(G0[at], cycle);
            }
            if self.wants(G1C[at]) {
                let cycle = self.part.cycle((first(WR), WW | WR | order), |_| true, effort)?;
                self.take(G1C[at], cycle);
            }
            if at == 0 {
                self.hunt_causal(effort)?;
            }
            // What real time tells of versions counts only where it is respected.
            let inferred = if at == 2 { (WWI, RWI) } else { (0, 0) };
            let (behind, ahead) = (WW | WR | order | inferred.0, RW | inferred.1);
            if self.wants(SINGLE[at]) {
                let single = self.part.single((ahead, behind), keep, effort)?;
                self.take_single(SINGLE[at], single);
            }
            if at == 0 && self.wants(P::Unprefixed) {
                let cycle = self.part.unprefixed(effort.budget)?.cycle((RW, WW | WR | RW), keep, effort)?;
                self.take(P::Unprefixed, cycle);
            }
            if self.wants(NONADJACENT[at]) {
                let cycle =
                    self.part.nonadjacent(effort.budget)?.cycle((ahead, behind | ahead), keep, effort)?;
                self.take(NONADJACENT[at], cycle);
            }
            if self.wants(G2[at]) {
                let cycle = self.part.cycle((ahead, behind | ahead), keep, effort)?;
                self.take(G2[at], cycle);
            }
        }
        Ok(())
    }

    /// The kinds of G-single that read atomic and causal consistency rule out.
    fn hunt_causal(&mut self, effort: &mut Effort<'a>) -> Result<(), Spent> {
        let part = self.part.with_chains(effort.budget)?;
        let fractured = part.fractured(effort)?;
        self.take_single(P::Fractured, fractured);
        if self.wants(P::Acausal) {
            let single = part.single((RW, WR), |_| true, effort)?;
            self.take_single(P::Acausal, single);
        }
        Ok(())
    }

    /// Whether this does not follow from what was found.
    fn wants(&self, phenomenon: P) -> bool {
        !self.phenomena.closed().contains(phenomenon)
    }

    fn take_single(&mut self, phenomenon: P, single: Single) {
        match single {
            Single::Found(arcs) => self.take(phenomenon, Some(arcs)),
            Single::Absent => {}
            Single::Open => self.open = true,
        }
    }

    fn take(&mut self, phenomenon: P, arcs: Option<Vec<Arc>>) {
        let Some(arcs) = arcs else { return };
        self.phenomena.insert(phenomenon);
        self.cycles.push(Cycle { name: name(&arcs), phenomenon, arcs });
    }
}

/// Names a cycle after the edges that it holds.
fn name(cycle: &[Arc]) -> String {
    let holds = |labels: Mask| cycle.iter().any(|arc| arc.label & labels != 0);
    let rw = |arc: &Arc| arc.label & (RW | RWI) != 0;
    let next = |at: usize| &cycle[(at + 1) % cycle.len()];
    let class = match cycle.iter().filter(|arc| rw(arc)).count() {
        0 if holds(WR) => "G1c",
        0 => "G0",
        1 => "G-single",
        _ if (0..cycle.len()).any(|at| rw(&cycle[at]) && rw(next(at))) => "G2-item",
        _ => "G-nonadjacent",
    };
    let suffix = match () {
        () if holds(REALTIME | WWI | RWI) => "-realtime",
        () if holds(PROCESS) => "-process",
        () => "",
    };
    debug_assert!(!holds(LINK));
    format!("{class}{suffix}")
}
