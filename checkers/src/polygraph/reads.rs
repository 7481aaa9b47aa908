//! Which transactions committed and what each read from whom, and reads that no order can explain.

use std::collections::HashMap;

use super::problem::{Draft, Entry, INIT};
use crate::txn::{Mop, NONE, Outcome, Txns};

/// A read that is wrong under every model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A value that nobody wrote.
    ThinAir { txn: u32, element: u32 },
    /// A value that only a failed transaction wrote (G1a).
    Aborted { txn: u32, element: u32 },
    /// A value that its writer had overwritten itself (G1b).
    Intermediate { txn: u32, element: u32 },
    /// What the transaction itself wrote only later.
    Future { txn: u32, element: u32 },
    /// A read of `got`, after the transaction itself had written or read `expected`. `NONE` is the initial value.
    Internal { txn: u32, key: u32, expected: u32, got: u32 },
}

/// The committed transactions with their sessions, or what is wrong with the reads.
pub(super) struct Reads {
    pub(super) draft: Draft,
    pub(super) faults: Vec<Fault>,
}

/// Collects the committed transactions: the acknowledged ones, and those of unknown outcome of which something was read.
///
/// One of which nothing was read may be left out: it only writes, so an order of all the others is one in which it
/// never happened; and from an order with it, it can be taken away, for nobody read from it.
///
/// A value that was written twice tells nothing: reads of it are left aside.
///
/// With `forgiving`, failed transactions count as of unknown outcome.
pub(super) fn collect(txns: &Txns, forgiving: bool) -> Reads {
    let mut collector = Collector {
        txns,
        forgiving,
        external: Vec::new(),
        starts: Vec::with_capacity(txns.list.len() + 1),
        read: vec![false; txns.list.len()],
        faults: Vec::new(),
        seen: Vec::new(),
    };
    for txn in 0..txns.list.len() as u32 {
        collector.starts.push(collector.external.len());
        collector.read_by(txn);
    }
    collector.starts.push(collector.external.len());
    Reads { draft: collector.draft(), faults: collector.faults }
}

struct Collector<'a> {
    txns: &'a Txns<'a>,
    forgiving: bool,
    /// Of each transaction from `starts` on: a key, and the transaction that wrote what was read, or `NONE`.
    external: Vec<(u32, u32)>,
    starts: Vec<usize>,
    /// Whether others read from a transaction.
    read: Vec<bool>,
    faults: Vec<Fault>,
    /// What a transaction knows of each key so far: the element, and whether it read or wrote it.
    seen: Vec<(u32, u32)>,
}

impl Collector<'_> {
    fn read_by(&mut self, txn: u32) {
        let txns = self.txns;
        if txns.list[txn as usize].outcome != Outcome::Ok {
            return;
        }
        self.seen.clear();
        for &mop in txns.mops(txn) {
            let known = self.seen.iter().position(|&(key, _)| key == mop.key());
            match (mop, known) {
                (Mop::Write { element, .. }, Some(at)) => self.seen[at].1 = element,
                (Mop::Write { key, element }, None) => self.seen.push((key, element)),
                (Mop::Get { key, element }, Some(at)) if self.seen[at].1 != element => {
                    let expected = self.seen[at].1;
                    self.faults.push(Fault::Internal { txn, key, expected, got: element });
                }
                (Mop::Get { key, element }, None) => {
                    self.seen.push((key, element));
                    self.source(txn, key, element);
                }
                _ => {}
            }
        }
    }

    /// Notes from whom `txn` read an element.
    fn source(&mut self, txn: u32, key: u32, element: u32) {
        if element == NONE {
            self.external.push((key, NONE));
            return;
        }
        let value = self.txns.elements[element as usize];
        if value.twice {
            return;
        }
        let failed = if self.forgiving { value.aborted } else { NONE };
        let writer = if value.writer == NONE { failed } else { value.writer };
        if writer == NONE {
            self.faults.push(match value.aborted {
                NONE => Fault::ThinAir { txn, element },
                _ => Fault::Aborted { txn, element },
            });
        } else if writer == txn {
            self.faults.push(Fault::Future { txn, element });
        } else if !value.last {
            self.faults.push(Fault::Intermediate { txn, element });
        } else {
            self.external.push((key, writer));
            self.read[writer as usize] = true;
        }
    }

    fn draft(&self) -> Draft {
        let mut draft = Draft::new();
        let mut sessions = Sessions::default();
        let mut number = vec![NONE; self.txns.list.len()];
        let (mut sources, mut keys): (Vec<(u32, u32)>, Vec<u32>) = (Vec::new(), Vec::new());
        for (id, txn) in (0u32..).zip(&self.txns.list) {
            let ok = txn.outcome == Outcome::Ok;
            let session = if ok || self.read[id as usize] { sessions.of(txn.process) } else { NONE };
            if txn.outcome == Outcome::Unknown {
                sessions.open.remove(&txn.process);
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

/// Numbers sessions, from 1 up. A process is a session; a transaction of unknown outcome ends it, because whatever the
/// process does next need not come after that transaction took effect.
#[derive(Default)]
struct Sessions {
    open: HashMap<u32, u32>,
    count: u32,
}

impl Sessions {
    fn of(&mut self, process: u32) -> u32 {
        *self.open.entry(process).or_insert_with(|| {
            self.count += 1;
            self.count
        })
    }
}
