//! Vector clocks over chains: how much of each chain happened before a transaction.

use super::plan::Plan;
use crate::txn::NONE;
use crate::{Budget, Lease, Spent};

/// Nodes between two looks at the budget.
pub(super) const ASK_EVERY: usize = 256;
const SESSIONS_ASK_EVERY: usize = 1 << 16;

/// A cover of the nodes by chains, each in happens-before order. A session is a chain; one that ended goes on with whatever has
/// seen its end, so that there are as many chains as clients at a time, however many processes crash.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    pub(super) chain: Vec<u32>,
    /// Place of each node in its chain, from 1.
    pub(super) place: Vec<u32>,
    /// Length of each chain.
    lengths: Vec<u32>,
}

impl Chains {
    pub(super) fn count(&self) -> usize {
        self.lengths.len()
    }

    /// Covers the nodes, in an order that respects sessions and reads.
    pub(super) fn cover(plan: &Plan, order: &[u32], budget: &Budget) -> Result<Chains, Spent> {
        let nodes = plan.nodes();
        let _lease = budget.lease(nodes)?;
        let mut leads = vec![false; nodes];
        plan.before
            .iter()
            .filter(|&&before| before != NONE)
            .for_each(|&before| leads[before as usize] = true);
        let (sessions, at_a_time) = Chains::sessions(plan, order, &leads, budget)?;
        // To see which chain may go on costs the clocks of all nodes.
        if sessions.count() <= 2 * at_a_time {
            return Ok(sessions);
        }
        drop(sessions);
        let mut clocks = Clocks::new(plan, Chains::none(nodes), budget)?;
        let mut ended: Vec<u32> = Vec::new();
        for (n, &node) in order.iter().enumerate() {
            if n % ASK_EVERY == 0 {
                budget.ask()?;
            }
            clocks.begin(node)?;
            let (chains, now) = (&mut clocks.chains, &clocks.now);
            let before = plan.before[node as usize];
            let over = |chain: &u32| now[*chain as usize] == chains.lengths[*chain as usize];
            let chain = chains.own(before).or_else(|| Some(ended.swap_remove(ended.iter().position(over)?)));
            let chain = chains.add(node, chain);
            if !leads[node as usize] {
                ended.push(chain);
            }
            clocks.end(node)?;
        }
        Ok(clocks.chains)
    }

    fn none(nodes: usize) -> Chains {
        Chains { chain: vec![NONE; nodes], place: vec![0; nodes], lengths: Vec::new() }
    }

    /// Each session as a chain, and how many of them go on at a time.
    fn sessions(
        plan: &Plan,
        order: &[u32],
        leads: &[bool],
        budget: &Budget,
    ) -> Result<(Chains, usize), Spent> {
        let (mut chains, mut ended, mut at_a_time) = (Chains::none(plan.nodes()), 0, 0);
        for (n, &node) in order.iter().enumerate() {
            if n % SESSIONS_ASK_EVERY == 0 {
                budget.ask()?;
            }
            let own = chains.own(plan.before[node as usize]);
            chains.add(node, own);
            at_a_time = at_a_time.max(chains.count() - ended);
            ended += usize::from(!leads[node as usize]);
        }
        Ok((chains, at_a_time))
    }

    /// The chain that goes on after the node before one, unless another went on already.
    fn own(&self, before: u32) -> Option<u32> {
        (before != NONE && self.is_last(before)).then(|| self.chain[before as usize])
    }

    /// Adds a node to this chain, or to a new one.
    fn add(&mut self, node: u32, chain: Option<u32>) -> u32 {
        let chain = chain.unwrap_or_else(|| {
            self.lengths.push(0);
            self.lengths.len() as u32 - 1
        });
        self.lengths[chain as usize] += 1;
        self.chain[node as usize] = chain;
        self.place[node as usize] = self.lengths[chain as usize];
        chain
    }

    fn is_last(&self, node: u32) -> bool {
        self.lengths[self.chain[node as usize] as usize] == self.place[node as usize]
    }
}

/// The clocks of the nodes that somebody will still ask for, in one arena. A clock is freed when the last of those has passed.
pub(super) struct Clocks<'a> {
    plan: &'a Plan,
    pub(super) chains: Chains,
    /// The clock of the node that is looked at: how many nodes of each chain happened before it.
    pub(super) now: Vec<u32>,
    /// Entries of a clock.
    width: usize,
    rows: Vec<u32>,
    free: Vec<u32>,
    /// The row of each node, or `NONE`.
    row: Vec<u32>,
    /// How often the clock of each node will still be asked for.
    uses: Vec<u32>,
    budget: &'a Budget,
    lease: Lease<'a>,
    fixed_bytes: usize,
}

impl<'a> Clocks<'a> {
    pub(super) fn new(plan: &'a Plan, chains: Chains, budget: &'a Budget) -> Result<Clocks<'a>, Spent> {
        let fixed_bytes = plan.nodes() * 16;
        let lease = budget.lease(fixed_bytes)?;
        let mut uses = vec![0; plan.nodes()];
        for node in 0..plan.nodes() as u32 {
            plan.preds(node).for_each(|pred| uses[pred as usize] += 1);
        }
        let width = chains.count().max(8);
        Ok(Clocks {
            plan,
            chains,
            now: vec![0; width],
            width,
            rows: Vec::new(),
            free: Vec::new(),
            row: vec![NONE; plan.nodes()],
            uses,
            budget,
            lease,
            fixed_bytes,
        })
    }

    /// Computes the clock of a node, all predecessors of which have passed.
    pub(super) fn begin(&mut self, node: u32) -> Result<(), Spent> {
        if self.chains.count() >= self.width {
            self.widen()?;
        }
        self.now.fill(0);
        for pred in self.plan.preds(node) {
            let chain = self.chains.chain[pred as usize] as usize;
            if self.now[chain] < self.chains.place[pred as usize] {
                let at = self.row[pred as usize] as usize * self.width;
                let row = &self.rows[at..at + self.width];
                self.now.iter_mut().zip(row).for_each(|(now, &row)| *now = (*now).max(row));
            }
        }
        Ok(())
    }

    /// How much of each chain had happened when `pred` had, itself included. It must be a predecessor of the node that is
    /// looked at.
    pub(super) fn of(&self, pred: u32) -> &[u32] {
        let at = self.row[pred as usize] as usize * self.width;
        &self.rows[at..at + self.width]
    }

    /// The node that is looked at has passed.
    pub(super) fn end(&mut self, node: u32) -> Result<(), Spent> {
        for pred in self.plan.preds(node) {
            self.uses[pred as usize] -= 1;
            if self.uses[pred as usize] == 0 {
                self.free.push(std::mem::replace(&mut self.row[pred as usize], NONE));
            }
        }
        if self.uses[node as usize] == 0 {
            return Ok(());
        }
        self.now[self.chains.chain[node as usize] as usize] = self.chains.place[node as usize];
        let row = match self.free.pop() {
            Some(row) => row,
            None => {
                if self.rows.len() == self.rows.capacity() {
                    let bytes = (3 * self.rows.len() + 64 * self.width) * size_of::<u32>();
                    self.lease.resize(self.fixed_bytes + bytes)?;
                    self.budget.ask()?;
                    self.rows.reserve_exact(self.rows.len() + 64 * self.width);
                }
                self.rows.resize(self.rows.len() + self.width, 0);
                (self.rows.len() / self.width) as u32 - 1
            }
        };
        self.row[node as usize] = row;
        let at = row as usize * self.width;
        self.rows[at..at + self.width].copy_from_slice(&self.now);
        Ok(())
    }

    /// Makes room for twice as many chains.
    fn widen(&mut self) -> Result<(), Spent> {
        let (old, new) = (self.width, 2 * self.width);
        let rows = self.rows.len() / old;
        self.lease.resize(self.fixed_bytes + (self.rows.capacity() + rows * new) * size_of::<u32>())?;
        let mut wide = Vec::with_capacity(rows * new);
        for row in self.rows.chunks(old) {
            wide.extend_from_slice(row);
            wide.resize(wide.len() + new - old, 0);
        }
        (self.rows, self.width) = (wide, new);
        self.now.resize(new, 0);
        Ok(())
    }
}
