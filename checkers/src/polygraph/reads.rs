//! Which transactions committed and what each read from whom, and reads that no order can explain.

use std::collections::HashMap;

use super::problem::{Draft, Entry, INIT};
use crate::txn::{Misread, NONE, Outcome, Replay, Told, Txns};
use crate::{Budget, Lease, Spent};

/// The committed transactions with their sessions, or what is wrong with the reads.
pub(super) struct Reads<'a> {
    pub(super) draft: Draft,
    pub(super) misreads: Vec<Misread>,
    _lease: Lease<'a>,
}

/// Transactions between two looks at the budget.
const ASK_EVERY: u32 = 4096;

/// Collects the committed transactions: the acknowledged ones, and those of unknown outcome of which something was read.
///
/// One of which nothing was read may be left out: it only writes, so an order of all the others is one in which it
/// never happened; and from an order with it, it can be taken away, for nobody read from it.
///
/// A value that was written twice tells nothing: reads of it are left aside.
///
/// With `forgiving`, failed transactions count as of unknown outcome.
pub(super) fn collect<'a>(txns: &Txns, forgiving: bool, budget: &'a Budget) -> Result<Reads<'a>, Spent> {
    let mut lease = budget.lease(Replay::bytes(txns) + txns.list.len() * 16)?;
    let mut collector = Collector {
        txns,
        committed: txns.committed(forgiving),
        external: Vec::new(),
        starts: Vec::with_capacity(txns.list.len() + 1),
    };
    let (mut replay, mut misreads) = (Replay::new(txns, forgiving, true), Vec::new());
    for txn in 0..txns.list.len() as u32 {
        if txn.is_multiple_of(ASK_EVERY) {
            budget.ask()?;
        }
        collector.starts.push(collector.external.len());
        if !collector.committed[txn as usize] {
            continue;
        }
        for &mop in txns.mops(txn) {
            match replay.step(txn, mop) {
                Told::Source(writer) => collector.external.push((mop.key(), writer)),
                Told::Wrong(misread) => misreads.push(misread),
                Told::Nothing | Told::Several => {}
            }
        }
    }
    collector.starts.push(collector.external.len());
    budget.ask()?;
    lease.resize(Replay::bytes(txns) + txns.list.len() * 32 + collector.external.capacity() * 8)?;
    let draft = collector.draft();
    lease.resize(draft.bytes())?;
    Ok(Reads { draft, misreads, _lease: lease })
}

struct Collector<'a> {
    txns: &'a Txns<'a>,
    committed: Vec<bool>,
    /// Of each transaction from `starts` on: a key, and the transaction that wrote what was read, or `NONE`.
    external: Vec<(u32, u32)>,
    starts: Vec<usize>,
}

impl Collector<'_> {
    fn draft(&self) -> Draft {
        let mut draft = Draft::new();
        let mut sessions = Sessions::default();
        let mut number = vec![NONE; self.txns.list.len()];
        let (mut sources, mut keys): (Vec<(u32, u32)>, Vec<u32>) = (Vec::new(), Vec::new());
        for (id, txn) in (0u32..).zip(&self.txns.list) {
            let ok = txn.outcome == Outcome::Ok;
            let session = if self.committed[id as usize] { sessions.of(txn.session) } else { NONE };
            if !ok && self.committed[id as usize] {
                sessions.open.remove(&txn.session);
            }
            if session == NONE {
                continue;
            }
            let (writes, reads) = (draft.writes.len() as u32, sources.len() as u32);
            keys.clear();
            keys.extend(self.txns.mops(id).iter().filter(|mop| mop.element().is_some()).map(|mop| mop.key()));
            keys.sort_unstable();
            keys.dedup();
            draft.writes.extend(&keys);
            sources.extend(&self.external[self.starts[id as usize]..self.starts[id as usize + 1]]);
            number[id as usize] = draft.entries.len() as u32;
            draft.entries.push(Entry {
                id,
                session,
                invoke: txn.invoke,
                complete: txn.complete().filter(|_| ok).unwrap_or(NONE),
                writes: writes..draft.writes.len() as u32,
                reads: reads..sources.len() as u32,
            });
        }
        let source = |writer: u32| if writer == NONE { INIT } else { number[writer as usize] };
        draft.reads = sources.into_iter().map(|(key, writer)| (key, source(writer))).collect();
        draft
    }
}

/// Numbers sessions, from 1 up. One that failed and still took effect ends its session, as those of unknown outcome do.
#[derive(Default)]
struct Sessions {
    open: HashMap<u32, u32>,
    count: u32,
}

impl Sessions {
    fn of(&mut self, session: u32) -> u32 {
        *self.open.entry(session).or_insert_with(|| {
            self.count += 1;
            self.count
        })
    }
}
