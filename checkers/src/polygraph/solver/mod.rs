//! Orders the writers of a key where the known graph leaves it open: a search with learning, over a graph without cycles.
//!
//! A literal says that of two transactions that wrote the same keys, the one comes before the other; then so do those who
//! read its versions. The search keeps an order of all events ([`Order`]) that follows all edges so far and looks for a
//! version that was overwritten before it was read. Only such a pair becomes a variable. So a history whose
//! recorded order explains it takes no decision at all, and no list of all pairs is ever made.
//!
//! A cycle is a clause: not all of its literals. What is learned from a conflict is that of the first unique implication
//! point (Marques-Silva and Sakallah, *GRASP*, 1996), with two watched literals a clause (Moskewicz et al., *Chaff*, 2001).

mod violations;

use std::collections::{HashMap, VecDeque};

use super::PolygraphModel;
use super::known::{Known, Layout};
use super::order::Order;
use super::problem::Problem;
use crate::intern::FastBuild;
use crate::txn::NONE;
use crate::{Budget, Lease, Spent};

/// A tag with this bit is a literal.
pub(super) const LITERAL: u32 = 1 << 31;
/// A tag with this bit is a read of what the end of the edge is known to have overwritten. Others are edges of the known
/// graph.
pub(super) const READ: u32 = 1 << 30;

/// Edges between two looks at the budget.
const ASK_EVERY: u32 = 1 << 14;

/// Edges (from, to, tag) that close a circle.
pub(super) type Cycle = Vec<(u32, u32, u32)>;

/// How a search ended.
#[derive(Debug)]
pub(super) enum Found {
    /// This order of all nodes explains every read.
    Order,
    /// There is none. Each of these cycles rules out some choice, and all of them together every choice.
    Nothing(Vec<Cycle>),
    /// The cap on steps was reached.
    Capped,
}

pub(super) struct Solver<'a> {
    known: &'a Known<'a>,
    problem: &'a Problem,
    layout: Layout,
    order: Order,
    /// The versions of each key that has several writers, in the order of their commits when they were last looked at.
    contended: Vec<Vec<u32>>,
    /// Keys that are to be looked at, and whether a key is among them.
    open: VecDeque<u32>,
    is_open: Vec<bool>,
    /// The key that is being looked at, and how far.
    current: Option<(u32, usize)>,
    numbers: HashMap<(u32, u32), u32, FastBuild>,
    /// The two transactions of each variable, ascending.
    pairs: Vec<(u32, u32)>,
    values: Vec<Option<bool>>,
    levels: Vec<u32>,
    reasons: Vec<u32>,
    trail: Vec<u32>,
    head: usize,
    /// Where each level begins: in the trail, and in the edges of the order.
    marks: Vec<(usize, usize)>,
    clauses: Vec<Vec<u32>>,
    /// For each literal the clauses that watch it.
    watches: Vec<Vec<u32>>,
    cycles: Vec<Cycle>,
    pub(super) decisions: u64,
    steps: u64,
}

impl<'a> Solver<'a> {
    /// A search that goes on from a known graph without cycles.
    pub(super) fn new(known: &'a Known<'a>, budget: &Budget) -> Result<Solver<'a>, Spent> {
        let problem = known.problem;
        let mut order = Order::new(&known.order);
        for (tag, edge) in (0u32..).zip(&known.edges) {
            if tag.is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            order.insert(edge.from, edge.to, tag).expect("the known graph has no cycle");
        }
        // One lane is that of the initial version. Reads of a key with one more bind others only where the order of all writes
        // is not the order of all events.
        let few = if known.model == PolygraphModel::ParallelSnapshotIsolation { 1 } else { 2 };
        let written = &problem.written;
        let contended = written.keys.iter().map(|lanes| {
            let versions = lanes.iter().filter(|_| lanes.len() > few).flat_map(|lane| lane.versions.clone());
            let mut versions: Vec<u32> = versions.map(|at| written.versions[at as usize]).collect();
            let commit = |version: u32| known.layout.commit(problem.versions[version as usize].txn);
            versions.sort_by_key(|&version| order.place(commit(version)));
            versions
        });
        let contended: Vec<Vec<u32>> = contended.collect();
        budget.ask()?;
        Ok(Solver {
            known,
            problem,
            layout: known.layout,
            order,
            open: (0..contended.len() as u32).collect(),
            is_open: vec![true; contended.len()],
            current: None,
            contended,
            numbers: HashMap::default(),
            pairs: Vec::new(),
            values: Vec::new(),
            levels: Vec::new(),
            reasons: Vec::new(),
            trail: Vec::new(),
            head: 0,
            marks: Vec::new(),
            clauses: Vec::new(),
            watches: Vec::new(),
            cycles: Vec::new(),
            decisions: 0,
            steps: 0,
        })
    }

    /// Bytes that a search from this graph takes at first.
    pub(super) fn bytes(known: &Known) -> usize {
        Order::bytes(known.nodes(), known.edges.len()) + 4 * known.problem.versions.len()
    }

    /// Steps so far: edges and literals that were looked at.
    pub(super) fn steps(&self) -> u64 {
        self.steps + self.order.steps
    }

    fn parallel(&self) -> bool {
        self.known.model == PolygraphModel::ParallelSnapshotIsolation
    }

    /// Searches until it knows, or for so many steps.
    pub(super) fn search(&mut self, cap: u64, budget: &Budget, lease: &mut Lease) -> Result<Found, Spent> {
        let base = Solver::bytes(self.known);
        let stop = self.steps().saturating_add(cap);
        let mut rounds = 0u64;
        loop {
            if rounds.is_multiple_of(16) {
                budget.ask()?;
                lease.resize(base + self.grown())?;
            }
            rounds += 1;
            if let Some(conflict) = self.propagate() {
                if !self.learn(conflict) {
                    return Ok(Found::Nothing(std::mem::take(&mut self.cycles)));
                }
                continue;
            }
            if self.steps() > stop {
                return Ok(Found::Capped);
            }
            if let Some((a, b)) = self.violation() {
                self.decide(a, b);
                continue;
            }
            let torn = if self.parallel() { self.torn() } else { Vec::new() };
            if torn.is_empty() {
                return Ok(Found::Order);
            }
            if !self.learn_all(torn) {
                return Ok(Found::Nothing(std::mem::take(&mut self.cycles)));
            }
        }
    }

    /// Bytes beyond those at first.
    fn grown(&self) -> usize {
        let literals: usize = self.clauses.iter().map(Vec::capacity).sum();
        let cycles: usize = self.cycles.iter().map(Vec::capacity).sum();
        80 * self.pairs.len() + 4 * literals + 40 * self.clauses.len() + 12 * cycles + 40 * self.order.edges()
            - 40 * self.known.edges.len()
    }

    /// The literal that `a` comes before `b`.
    fn literal(&mut self, a: u32, b: u32) -> u32 {
        let pair = (a.min(b), a.max(b));
        let next = self.pairs.len() as u32;
        let var = *self.numbers.entry(pair).or_insert(next);
        if var == next {
            self.pairs.push(pair);
            self.values.push(None);
            self.levels.push(0);
            self.reasons.push(NONE);
            self.watches.extend([Vec::new(), Vec::new()]);
        }
        2 * var + u32::from(a > b)
    }

    /// The earlier and the later transaction of a literal.
    pub(super) fn pair(&self, literal: u32) -> (u32, u32) {
        let (a, b) = self.pairs[(literal / 2) as usize];
        if literal.is_multiple_of(2) { (a, b) } else { (b, a) }
    }

    fn value(&self, literal: u32) -> Option<bool> {
        self.values[(literal / 2) as usize].map(|value| value == (literal.is_multiple_of(2)))
    }

    fn undecided(&self, (a, b): (u32, u32)) -> bool {
        let var = self.numbers.get(&(a.min(b), a.max(b)));
        var.is_none_or(|&var| self.values[var as usize].is_none())
    }

    fn level(&self) -> u32 {
        self.marks.len() as u32
    }

    /// Assumes of two transactions what the order says.
    fn decide(&mut self, a: u32, b: u32) {
        let place = |txn| self.order.place(self.layout.commit(txn));
        let (first, second) = if place(a) < place(b) { (a, b) } else { (b, a) };
        let literal = self.literal(first, second);
        self.marks.push((self.trail.len(), self.order.edges()));
        self.decisions += 1;
        self.assign(literal, NONE);
    }

    fn assign(&mut self, literal: u32, reason: u32) {
        let var = (literal / 2) as usize;
        self.values[var] = Some(literal.is_multiple_of(2));
        self.levels[var] = self.level();
        self.reasons[var] = reason;
        self.trail.push(literal);
    }

    fn backtrack(&mut self, level: u32) {
        if self.level() <= level {
            return;
        }
        let (trail, edges) = self.marks[level as usize];
        for at in trail..self.trail.len() {
            let literal = self.trail[at];
            self.values[(literal / 2) as usize] = None;
            if self.parallel() {
                self.touch(self.pair(literal).0);
            }
        }
        self.trail.truncate(trail);
        self.order.shrink(edges);
        self.head = trail;
        self.marks.truncate(level as usize);
    }

    /// Draws the edges of all literals and assigns what the clauses then leave no choice in. A clause of which no literal
    /// is left, if it comes to that.
    fn propagate(&mut self) -> Option<Vec<u32>> {
        while let Some(&literal) = self.trail.get(self.head) {
            self.head += 1;
            if let Err(cycle) = self.enact(literal) {
                let clause = clause(&cycle);
                self.cycles.push(cycle);
                return Some(clause);
            }
            if let Some(conflict) = self.watch(literal ^ 1) {
                return Some(conflict);
            }
        }
        None
    }

    /// Draws the edges that a literal stands for.
    fn enact(&mut self, literal: u32) -> Result<(), Cycle> {
        let (a, b) = self.pair(literal);
        let (layout, problem, tag) = (self.layout, self.problem, literal | LITERAL);
        self.order.insert(layout.commit(a), self.known.model.written(layout, b), tag)?;
        if self.parallel() {
            return Ok(());
        }
        for (version, _) in problem.common(a, b) {
            for &read in problem.readers(version) {
                let reader = problem.reads[read as usize].txn;
                if reader != b {
                    self.order.insert(layout.begin(reader), layout.commit(b), tag)?;
                }
            }
        }
        Ok(())
    }

    /// Goes through the clauses that watch a literal which has become false.
    fn watch(&mut self, gone: u32) -> Option<Vec<u32>> {
        let mut watching = std::mem::take(&mut self.watches[gone as usize]);
        let mut conflict = None;
        let mut at = 0;
        while at < watching.len() && conflict.is_none() {
            let number = watching[at];
            self.steps += 1;
            let mut clause = std::mem::take(&mut self.clauses[number as usize]);
            if clause[0] == gone {
                clause.swap(0, 1);
            }
            let free = match self.value(clause[0]) {
                Some(true) => None,
                _ => (2..clause.len()).find(|&i| self.value(clause[i]) != Some(false)),
            };
            if let Some(free) = free {
                clause.swap(1, free);
                self.watches[clause[1] as usize].push(number);
                watching.swap_remove(at);
            } else {
                at += 1;
                match self.value(clause[0]) {
                    Some(true) => {}
                    Some(false) => conflict = Some(clause.clone()),
                    None => self.assign(clause[0], number),
                }
            }
            self.clauses[number as usize] = clause;
        }
        self.watches[gone as usize] = watching;
        conflict
    }

    /// Learns from a clause of which no literal is left, and goes back to where that would have helped. False if nothing
    /// would.
    fn learn(&mut self, conflict: Vec<u32>) -> bool {
        let level_of = |solver: &Solver, literal: &u32| solver.levels[(literal / 2) as usize];
        let level = conflict.iter().map(|literal| level_of(self, literal)).max().unwrap_or(0);
        if level == 0 {
            return false;
        }
        self.backtrack(level);
        let (mut learned, mut seen) = (vec![NONE], vec![false; self.pairs.len()]);
        let (mut open, mut at, mut clause) = (0, self.trail.len(), conflict);
        loop {
            for &literal in &clause {
                let var = (literal / 2) as usize;
                if !std::mem::replace(&mut seen[var], true) && self.levels[var] > 0 {
                    if self.levels[var] == level { open += 1 } else { learned.push(literal) }
                }
            }
            self.steps += clause.len() as u64;
            let literal = loop {
                at -= 1;
                let literal = self.trail[at];
                if seen[(literal / 2) as usize] {
                    break literal;
                }
            };
            open -= 1;
            if open == 0 {
                learned[0] = literal ^ 1;
                break;
            }
            clause = self.clauses[self.reasons[(literal / 2) as usize] as usize].clone();
        }
        let next = (1..learned.len()).max_by_key(|&at| level_of(self, &learned[at]));
        let back = next.map_or(0, |at| level_of(self, &learned[at]));
        if let Some(at) = next {
            learned.swap(1, at);
        }
        self.backtrack(back);
        let literal = learned[0];
        let reason = self.keep(learned);
        self.assign(literal, reason);
        true
    }

    /// Keeps a clause, whose first two literals are watched. Its number, or `NONE` if it has one literal.
    fn keep(&mut self, clause: Vec<u32>) -> u32 {
        if clause.len() < 2 {
            return NONE;
        }
        let number = self.clauses.len() as u32;
        self.watches[clause[0] as usize].push(number);
        self.watches[clause[1] as usize].push(number);
        self.clauses.push(clause);
        number
    }

    /// Starts again with all of these cycles ruled out. False if there is nothing left.
    fn learn_all(&mut self, cycles: Vec<Cycle>) -> bool {
        self.backtrack(0);
        for cycle in cycles {
            let mut clause = clause(&cycle);
            self.cycles.push(cycle);
            if clause.iter().any(|&literal| self.value(literal) == Some(true)) {
                continue;
            }
            clause.retain(|&literal| self.value(literal).is_none());
            let Some(&first) = clause.first() else { return false };
            let alone = clause.len() == 1;
            self.keep(clause);
            if alone {
                self.assign(first, NONE);
            }
        }
        true
    }
}

/// Not all of the literals of a cycle.
fn clause(cycle: &Cycle) -> Vec<u32> {
    let literals = cycle.iter().filter(|edge| edge.2 & LITERAL != 0);
    let mut clause: Vec<u32> = literals.map(|edge| (edge.2 & !LITERAL) ^ 1).collect();
    clause.sort_unstable();
    clause.dedup();
    clause
}
