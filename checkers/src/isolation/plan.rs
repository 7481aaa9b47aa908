//! What the committed transactions read, wrote and came after, as numbers.

use std::collections::HashMap;

use super::IsolationLevel;
use crate::intern::FastBuild;
use crate::txn::{Misread, Mop, NONE, Outcome, Replay, Told, Txns};
use crate::{Budget, Lease, Spent};

/// Rows of items, one for each node.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows { starts: vec![0], items: Vec::new() }
    }
}

impl<T> Rows<T> {
    #[inline]
    pub(super) fn row(&self, node: u32) -> &[T] {
        &self.items[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    pub(super) fn items(&self) -> &[T] {
        &self.items
    }

    fn push(&mut self, item: T) {
        self.items.push(item);
    }

    fn end_row(&mut self) {
        self.starts.push(self.items.len() as u32);
    }

    fn memory_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u32>() + self.items.capacity() * size_of::<T>()
    }
}

/// A read of what another transaction wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) key: u32,
    /// The node that wrote it, or `NONE`: the initial value.
    pub(super) from: u32,
}

/// The committed transactions, as nodes in order of invocation.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The transaction that each node is.
    pub(super) origin: Vec<u32>,
    /// The acknowledged node before each in its session, or `NONE`. What did not complete may take effect after what the same
    /// process did next, so that it comes before nothing in its session.
    pub(super) before: Vec<u32>,
    /// Reads of what other nodes wrote, in program order.
    pub(super) reads: Rows<Read>,
    /// The keys that each node wrote, ascending.
    pub(super) writes: Rows<u32>,
    pub(super) keys: usize,
    /// Whether sessions overlap in the history, so that its order tells something about the order of commits.
    pub(super) interleaved: bool,
}

impl Plan {
    pub(super) fn nodes(&self) -> usize {
        self.origin.len()
    }

    /// The nodes that come right before `node` in session order and by reads.
    pub(super) fn preds(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let reads = self.reads.row(node).iter().map(|read| read.from);
        std::iter::once(self.before[node as usize]).chain(reads).filter(|&pred| pred != NONE)
    }

    pub(super) fn wrote(&self, node: u32, key: u32) -> bool {
        self.writes.row(node).binary_search(&key).is_ok()
    }

    /// The plan of some nodes, which must ascend. Reads from others are left out.
    pub(super) fn restrict(&self, nodes: &[u32]) -> Plan {
        let at = |node: u32| nodes.binary_search(&node).map_or(NONE, |at| at as u32);
        let mut plan = Plan { keys: self.keys, interleaved: self.interleaved, ..Plan::default() };
        for &node in nodes {
            let mut before = self.before[node as usize];
            while before != NONE && at(before) == NONE {
                before = self.before[before as usize];
            }
            plan.before.push(at(before));
            plan.origin.push(self.origin[node as usize]);
            for read in self.reads.row(node).iter().filter(|read| read.from == NONE || at(read.from) != NONE)
            {
                plan.reads.push(Read { key: read.key, from: at(read.from) });
            }
            plan.reads.end_row();
            self.writes.row(node).iter().for_each(|&key| plan.writes.push(key));
            plan.writes.end_row();
        }
        plan
    }

    pub(super) fn memory_bytes(&self) -> usize {
        (self.origin.capacity() + self.before.capacity()) * size_of::<u32>()
            + self.reads.memory_bytes()
            + self.writes.memory_bytes()
    }
}

/// Nodes between two looks at the budget.
const ASK_EVERY: usize = 4096;

/// A plan with what was found on the way.
pub(super) struct Drawn<'a> {
    pub(super) plan: Plan,
    pub(super) misreads: Vec<Misread>,
    /// A transaction that read a value which was written twice, and the element.
    pub(super) ambiguous: Option<(u32, u32)>,
    _lease: Lease<'a>,
}

/// Draws the plan. With `forgiving`, a failed transaction whose write was read counts as committed.
pub(super) fn draw<'a>(
    txns: &Txns,
    level: IsolationLevel,
    forgiving: bool,
    budget: &'a Budget,
) -> Result<Drawn<'a>, Spent> {
    let reads = txns.elements.len() * size_of::<Read>() + Replay::bytes(txns);
    let lease = budget.lease(txns.list.len() * 24 + txns.keys.len() * size_of::<u32>() + reads)?;
    let mut drawer = Drawer {
        txns,
        replay: Replay::new(txns, forgiving, level != IsolationLevel::ReadCommitted),
        node: vec![NONE; txns.list.len()],
        wrote: vec![NONE; txns.keys.len()],
        drawn: Drawn { plan: Plan::default(), misreads: Vec::new(), ambiguous: None, _lease: lease },
    };
    drawer.number(&txns.committed(forgiving));
    for txn in 0..txns.list.len() as u32 {
        if (txn as usize).is_multiple_of(ASK_EVERY) {
            budget.ask()?;
        }
        if drawer.node[txn as usize] != NONE {
            drawer.add(txn);
        }
    }
    let mut drawn = drawer.drawn;
    drawn._lease.resize(drawn.plan.memory_bytes())?;
    Ok(drawn)
}

struct Drawer<'a, 'b> {
    txns: &'a Txns<'a>,
    replay: Replay<'a>,
    /// The node of each transaction.
    node: Vec<u32>,
    /// For each key, the last transaction that wrote to it so far.
    wrote: Vec<u32>,
    drawn: Drawn<'b>,
}

impl Drawer<'_, '_> {
    /// Numbers the nodes and links them in session order.
    fn number(&mut self, committed: &[bool]) {
        let txns = self.txns;
        let plan = &mut self.drawn.plan;
        plan.keys = txns.keys.len();
        let mut latest: HashMap<u32, u32, FastBuild> = HashMap::default();
        let (mut session, mut switches) = (NONE, 0);
        for (id, txn) in txns.list.iter().enumerate().filter(|(id, _)| committed[*id]) {
            let node = plan.origin.len() as u32;
            self.node[id] = node;
            plan.origin.push(id as u32);
            let latest = latest.entry(txn.session).or_insert(NONE);
            plan.before.push(*latest);
            if txn.outcome == Outcome::Ok {
                *latest = node;
            }
            switches += usize::from(std::mem::replace(&mut session, txn.session) != txn.session);
        }
        plan.interleaved = switches > latest.len();
    }

    fn add(&mut self, txn: u32) {
        let plan = &mut self.drawn.plan;
        let start = plan.writes.items.len();
        for &mop in self.txns.mops(txn) {
            let key = mop.key();
            if mop.element().is_some() && std::mem::replace(&mut self.wrote[key as usize], txn) != txn {
                plan.writes.push(key);
            }
            match (self.replay.step(txn, mop), mop) {
                (Told::Source(NONE), _) => plan.reads.push(Read { key, from: NONE }),
                (Told::Source(writer), _) => {
                    plan.reads.push(Read { key, from: self.node[writer as usize] });
                }
                (Told::Wrong(misread), _) => self.drawn.misreads.push(misread),
                (Told::Several, Mop::Get { element, .. }) => {
                    self.drawn.ambiguous.get_or_insert((txn, element));
                }
                _ => {}
            }
        }
        plan.writes.items[start..].sort_unstable();
        plan.writes.end_row();
        plan.reads.end_row();
    }
}
