//! The commit order that transactional causal consistency forces.
//!
//! A transaction that read a key from `to` must not know of another writer `from` of the key, by sessions and reads, unless `from`
//! commits before `to`. There are up to n·k of these edges for k sessions, and almost all of them go forward in any reasonable order
//! of the transactions. So we take an order, draw the edges that go backward in it only, mend the order, and look again. An order
//! without backward edges is a commit order: the history is valid. If the edges drawn so far have a cycle it is not. Where mending
//! takes too long all edges are drawn, as AWDIT does.

use super::axioms::Saturated;
use super::clocks::{ASK_EVERY, Chains, Clocks};
use super::order::{Forced, Next, sort};
use super::plan::{Plan, Read};
use crate::txn::NONE;
use crate::{Budget, Spent};

/// How often an order is mended before all edges are drawn.
const ROUNDS: usize = 6;

/// Draws edges until there is a commit order or a cycle. They have a cycle, or one ends at the initial value, or the history is valid.
/// Also whether an order was found: then there is no need to look for a cycle.
pub(super) fn causal<'a>(plan: &Plan, budget: &'a Budget) -> Result<(Saturated<'a>, bool), Spent> {
    let mut saturated = Saturated::new(budget)?;
    let _lease =
        budget.lease(plan.nodes() * 4 * size_of::<u32>() + plan.writes.items().len() * WROTE_BYTES)?;
    // Nodes are in order of invocation, and that order is near that of the commits, unless the sessions are recorded one by one.
    let mut ranks: Vec<u32> = (0..plan.nodes() as u32).collect();
    let first = if plan.interleaved { Next::Least(&ranks) } else { Next::First };
    let Ok(mut order) = sort(plan, &[], first, budget)? else { return Ok((saturated, false)) };
    let mut clocks = Clocks::new(plan, Chains::cover(plan, &order, budget)?, budget)?;
    let mut by_chain = None;
    for round in 0..=ROUNDS {
        for (rank, &node) in order.iter().enumerate() {
            ranks[node as usize] = rank as u32;
        }
        let before = saturated.forced.len();
        let chains = clocks.chains;
        clocks = Clocks::new(plan, chains, budget)?;
        let pass =
            Pass { plan, clocks: &mut clocks, ranks: &ranks, by_chain: &mut by_chain, all: round == ROUNDS };
        pass.run(&order, &mut saturated, budget)?;
        if saturated.forced.len() == before {
            return Ok((saturated, true));
        }
        if round == ROUNDS || saturated.forced.iter().any(|edge| edge.to == NONE) {
            break;
        }
        match sort(plan, &saturated.forced, Next::Least(&ranks), budget)? {
            Ok(mended) => order = mended,
            Err(_) => break,
        }
    }
    Ok((saturated, false))
}

/// A write to a key: who and where in its chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wrote {
    chain: u32,
    place: u32,
    node: u32,
}

const WROTE_BYTES: usize = size_of::<Wrote>();

/// The writes to each key.
struct Writes {
    starts: Vec<u32>,
    /// How many of each key are there.
    ends: Vec<u32>,
    items: Vec<Wrote>,
}

impl Writes {
    /// Room for those of a plan.
    fn room(plan: &Plan) -> Writes {
        let mut starts = vec![0u32; plan.keys + 1];
        plan.writes.items().iter().for_each(|&key| starts[key as usize + 1] += 1);
        for key in 0..plan.keys {
            starts[key + 1] += starts[key];
        }
        Writes { ends: starts.clone(), items: vec![Wrote::default(); plan.writes.items().len()], starts }
    }

    #[inline]
    fn add(&mut self, key: u32, wrote: Wrote) {
        let end = &mut self.ends[key as usize];
        self.items[*end as usize] = wrote;
        *end += 1;
    }

    #[inline]
    fn of(&self, key: u32) -> &[Wrote] {
        &self.items[self.starts[key as usize] as usize..self.ends[key as usize] as usize]
    }
}

/// The writes to each key by chain, so that the last one that is known is found by a binary search.
struct ByChain {
    writes: Writes,
    /// Where the writes of each chain start, key by key.
    heads: Vec<u32>,
    /// Where the heads of each key start.
    starts: Vec<u32>,
}

impl ByChain {
    fn new(plan: &Plan, chains: &Chains) -> ByChain {
        let mut writes = Writes::room(plan);
        for node in 0..plan.nodes() as u32 {
            let (chain, place) = (chains.chain[node as usize], chains.place[node as usize]);
            plan.writes.row(node).iter().for_each(|&key| writes.add(key, Wrote { chain, place, node }));
        }
        let (mut heads, mut starts) = (Vec::new(), Vec::with_capacity(plan.keys + 1));
        for key in 0..plan.keys {
            let (from, to) = (writes.starts[key] as usize, writes.ends[key] as usize);
            writes.items[from..to].sort_unstable();
            starts.push(heads.len() as u32);
            let head = |at: &usize| *at == from || writes.items[at - 1].chain != writes.items[*at].chain;
            heads.extend((from..to).filter(head).map(|at| at as u32));
        }
        starts.push(heads.len() as u32);
        heads.push(writes.items.len() as u32);
        ByChain { writes, heads, starts }
    }

    /// The writes to `key`, chain by chain.
    fn of(&self, key: u32) -> impl Iterator<Item = &[Wrote]> {
        let heads = self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize;
        heads.map(|at| &self.writes.items[self.heads[at] as usize..self.heads[at + 1] as usize])
    }
}

/// One look at all reads, in a given order of the nodes.
struct Pass<'p, 'a> {
    plan: &'p Plan,
    clocks: &'p mut Clocks<'a>,
    ranks: &'p [u32],
    by_chain: &'p mut Option<ByChain>,
    /// Whether to draw the edges that go forward, too.
    all: bool,
}

impl Pass<'_, '_> {
    fn run(mut self, order: &[u32], out: &mut Saturated, budget: &Budget) -> Result<(), Spent> {
        let _lease = budget.lease(self.plan.writes.items().len() * WROTE_BYTES + self.plan.keys * 8)?;
        let mut passed = Writes::room(self.plan);
        let mut work = 0;
        for &node in order {
            if work >= ASK_EVERY {
                out.pay(budget)?;
                work = 0;
            }
            self.clocks.begin(node)?;
            work += 1;
            for &read in self.plan.reads.row(node) {
                work += self.judge(node, read, &passed, &mut out.forced);
            }
            self.clocks.end(node)?;
            let (chain, place) =
                (self.clocks.chains.chain[node as usize], self.clocks.chains.place[node as usize]);
            self.plan.writes.row(node).iter().for_each(|&key| passed.add(key, Wrote { chain, place, node }));
        }
        out.pay(budget)
    }

    /// Draws the edges that a read forces, and returns a measure of the work.
    fn judge(&mut self, by: u32, read: Read, passed: &Writes, out: &mut Vec<Forced>) -> usize {
        let Read { key, from: to } = read;
        let now = &self.clocks.now;
        if !self.all {
            // Those that go backward are writes that came after the one that was read.
            let cap = self.clocks.chains.count().max(16);
            let later = passed.of(key).iter().rev().take_while(|wrote| wrote.node != to);
            let (mut met, start) = (0, out.len());
            for wrote in later.take(cap + 1) {
                met += 1;
                if wrote.place <= now[wrote.chain as usize] {
                    out.push(Forced { from: wrote.node, to, by, key });
                }
            }
            if met <= cap {
                return met / 64;
            }
            out.truncate(start);
        }
        let plan = self.plan;
        let by_chain = self.by_chain.get_or_insert_with(|| ByChain::new(plan, &self.clocks.chains));
        let known: &[u32] = if to == NONE { &[] } else { self.clocks.of(to) };
        let mut met = 0;
        for chain in by_chain.of(key) {
            met += 1;
            let at = chain[0].chain as usize;
            let known = known.get(at).copied().unwrap_or(0);
            if now[at] <= known {
                continue;
            }
            let end = chain.partition_point(|wrote| wrote.place <= now[at]);
            let Some(last) = end.checked_sub(1).map(|end| chain[end]) else { continue };
            let backward = || to == NONE || self.ranks[last.node as usize] > self.ranks[to as usize];
            if last.place > known && (self.all || backward()) {
                out.push(Forced { from: last.node, to, by, key });
            }
        }
        met / 8
    }
}
