//! The order of the versions of each key, and what can be wrong before any dependency is drawn.
//!
//! Every version is a prefix of the next, so the longest list that was read of a key gives the order of its elements,
//! and every other read must be a prefix of it. An element that a committed transaction appended and nobody read comes after
//! the longest read.

use crate::txn::{Element, Mop, NONE, Outcome, Txns};

/// The first read of a key in a transaction, without the transaction's own appends before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct External {
    pub(super) txn: u32,
    pub(super) key: u32,
    /// Length of the version that was read.
    pub(super) len: u32,
}

/// Something wrong with reads, with the transactions that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A read disagrees with what the transaction itself had read or appended before.
    Internal { txn: u32, key: u32, expected: Vec<u32>, got: Vec<u32> },
    /// A transaction read its own append before it made it.
    FutureRead { txn: u32, element: u32 },
    /// An element that nobody appended.
    ThinAir { txn: u32, element: u32 },
    /// An element that only a failed transaction appended (G1a).
    Aborted { txn: u32, element: u32 },
    /// A read that ends between two appends of another transaction (G1b).
    Intermediate { txn: u32, element: u32 },
    /// An element of a failed transaction that a committed one built upon.
    DirtyUpdate { aborted: u32, committed: u32 },
    /// A list that holds an element twice.
    Duplicate { txn: u32, element: u32 },
    /// Two reads, neither of which is a prefix of the other.
    Incompatible { txn: u32, other: u32, key: u32 },
    /// Elements of one transaction in another order than it appended them, or one without the one before.
    Reordered { reader: u32, earlier: u32, later: u32 },
    /// An acknowledged element that no read has, although one began after the acknowledgement.
    Lost { element: u32, reader: u32 },
}

/// The version order of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    /// Elements in order.
    pub(super) elements: Vec<u32>,
    /// The transaction that read all of them, or `NONE`.
    pub(super) reader: u32,
    /// Committed transactions with an append that was not read; ascending.
    pub(super) unread: Vec<u32>,
    /// Those appends.
    pub(super) unread_elements: Vec<u32>,
    /// Whether the order is not to be trusted.
    pub(super) tainted: bool,
}

pub(super) struct Orders {
    pub(super) keys: Vec<Versions>,
    /// The position of each element in its key's order, or `NONE`.
    pub(super) position: Vec<u32>,
    /// Whether each transaction is known to have committed.
    pub(super) committed: Vec<bool>,
    /// By transaction.
    pub(super) external: Vec<External>,
    pub(super) faults: Vec<Fault>,
}

impl Orders {
    /// Derives the orders. O(size of the history).
    pub(super) fn derive(txns: &Txns) -> Orders {
        let mut orders = Orders {
            keys: vec![Versions { reader: NONE, ..Versions::default() }; txns.keys.len()],
            position: vec![NONE; txns.elements.len()],
            committed: txns.committed(),
            external: Vec::new(),
            faults: Vec::new(),
        };
        for &key in txns.twice.keys() {
            orders.keys[key as usize].tainted = true;
        }
        orders.choose_longest(txns);
        orders.check_prefixes(txns);
        orders.place(txns);
        for txn in 0..txns.list.len() as u32 {
            orders.check_internal(txns, txn);
        }
        orders.check_external(txns);
        orders.check_appends(txns);
        orders
    }

    fn choose_longest(&mut self, txns: &Txns) {
        for (txn, key, list) in reads(txns) {
            let versions = &mut self.keys[key as usize];
            if list.len() > versions.elements.len() {
                versions.elements.clear();
                versions.elements.extend_from_slice(list);
                versions.reader = txn;
            }
        }
    }

    fn check_prefixes(&mut self, txns: &Txns) {
        for (txn, key, list) in reads(txns) {
            let versions = &mut self.keys[key as usize];
            if !txns.twice.contains_key(&key) && versions.elements[..list.len()] != *list {
                versions.tainted = true;
                self.faults.push(Fault::Incompatible { txn, other: versions.reader, key });
            }
        }
    }

    /// Gives each element its position, and finds those that should not be there.
    fn place(&mut self, txns: &Txns) {
        for versions in &mut self.keys {
            for (at, &element) in versions.elements.iter().enumerate() {
                if std::mem::replace(&mut self.position[element as usize], at as u32) != NONE {
                    versions.tainted = true;
                    if !txns.twice.contains_key(&txns.elements[element as usize].key) {
                        self.faults.push(Fault::Duplicate { txn: versions.reader, element });
                    }
                }
            }
            let aborted = |element: &u32| {
                let element = &txns.elements[*element as usize];
                element.writer == NONE && element.aborted != NONE
            };
            let bad = versions.elements.iter().position(aborted);
            let after = bad.and_then(|at| {
                versions.elements[at..].iter().find(|e| txns.elements[**e as usize].writer != NONE)
            });
            if let (Some(at), Some(&committed)) = (bad, after) {
                self.faults.push(Fault::DirtyUpdate { aborted: versions.elements[at], committed });
            }
        }
    }

    /// Replays a transaction against itself, and notes its external reads.
    fn check_internal(&mut self, txns: &Txns, txn: u32) {
        let mut scratch = Vec::new();
        for mops in txns.by_key(txn, &mut scratch) {
            let key = mops[0].key();
            let mut known: Option<Vec<u32>> = None;
            let mut own: Vec<u32> = Vec::new();
            let mut external = 0;
            for &mop in mops {
                let list = match mop {
                    Mop::Write { element, .. } => {
                        known.iter_mut().for_each(|known| known.push(element));
                        own.push(element);
                        continue;
                    }
                    Mop::Read { list, .. } => list,
                    Mop::Get { .. } => continue,
                };
                let got = txns.read(list);
                let right = match &known {
                    Some(known) => known == got,
                    None => got.ends_with(&own),
                };
                if !right {
                    let expected = known.clone().unwrap_or_else(|| own.clone());
                    self.faults.push(Fault::Internal { txn, key, expected, got: got.to_vec() });
                } else if known.is_none() {
                    external = (got.len() - own.len()) as u32;
                    self.external.push(External { txn, key, len: external });
                }
                known = Some(got.to_vec());
            }
            let tainted = self.keys[key as usize].tainted;
            let early =
                own.into_iter().find(|&element| !tainted && self.position[element as usize] < external);
            self.faults.extend(early.map(|element| Fault::FutureRead { txn, element }));
        }
    }

    /// Checks what external reads end with, and that they hold nothing which should not be there.
    fn check_external(&mut self, txns: &Txns) {
        let bad = |element: &u32| txns.elements[*element as usize].writer == NONE;
        let fault = |txn, element: u32| match txns.elements[element as usize].aborted {
            NONE => Fault::ThinAir { txn, element },
            _ => Fault::Aborted { txn, element },
        };
        for (txn, _, list) in reads(txns).filter(|&(_, key, _)| self.keys[key as usize].tainted) {
            self.faults.extend(list.iter().find(|e| bad(e)).map(|&element| fault(txn, element)));
        }
        let first_bad: Vec<Option<usize>> =
            self.keys.iter().map(|versions| versions.elements.iter().position(bad)).collect();
        for &External { txn, key, len } in &self.external {
            let versions = &self.keys[key as usize];
            if versions.tainted {
                continue;
            }
            if let Some(at) = first_bad[key as usize].filter(|&at| at < len as usize) {
                self.faults.push(fault(txn, versions.elements[at]));
            }
            let Some(at) = len.checked_sub(1) else { continue };
            let element = versions.elements[at as usize];
            let Element { writer, last, .. } = txns.elements[element as usize];
            if writer != NONE && writer != txn && !last {
                self.faults.push(Fault::Intermediate { txn, element });
            }
        }
    }

    /// Checks the elements of each committed transaction, and notes those that were not read.
    fn check_appends(&mut self, txns: &Txns) {
        let mut scratch = Vec::new();
        for txn in (0..txns.list.len() as u32).filter(|&txn| self.committed[txn as usize]) {
            for mops in txns.by_key(txn, &mut scratch) {
                let versions = &mut self.keys[mops[0].key() as usize];
                if versions.tainted {
                    continue;
                }
                let appended: Vec<u32> = mops.iter().filter_map(|mop| mop.element()).collect();
                let position = |element: u32| self.position[element as usize];
                for pair in appended.windows(2) {
                    if position(pair[1]) != NONE && position(pair[0]) > position(pair[1]) {
                        let (earlier, later) = (pair[0], pair[1]);
                        self.faults.push(Fault::Reordered { reader: versions.reader, earlier, later });
                    }
                }
                let unread = |element: &u32| position(*element) == NONE;
                versions.unread_elements.extend(appended.iter().copied().filter(unread));
                if appended.iter().any(unread) {
                    versions.unread.push(txn);
                }
            }
        }
    }

    /// Finds acknowledged elements that no read has although one began later: a violation in real time only.
    pub(super) fn lost(&self, txns: &Txns) -> Vec<Fault> {
        let mut last: Vec<Option<u32>> = vec![None; self.keys.len()];
        for external in &self.external {
            // Transactions are in order of invocation, and so are external reads.
            last[external.key as usize] = Some(external.txn);
        }
        let mut lost = Vec::new();
        for (key, versions) in self.keys.iter().enumerate() {
            let Some(reader) = last[key] else { continue };
            let began = txns.list[reader as usize].invoke;
            for &element in &versions.unread_elements {
                let txn = txns.list[txns.elements[element as usize].writer as usize];
                if txn.outcome == Outcome::Ok && txn.complete().is_some_and(|end| end < began) {
                    lost.push(Fault::Lost { element, reader });
                }
            }
        }
        lost
    }

    /// The external read of `key` by `txn`.
    pub(super) fn external(&self, txn: u32, key: u32) -> Option<&External> {
        let first = self.external.partition_point(|external| external.txn < txn);
        self.external[first..].iter().take_while(|e| e.txn == txn).find(|e| e.key == key)
    }
}

fn reads<'a>(txns: &'a Txns) -> impl Iterator<Item = (u32, u32, &'a [u32])> {
    (0..txns.list.len() as u32).flat_map(move |id| {
        txns.mops(id).iter().filter_map(move |mop| match *mop {
            Mop::Read { key, list } => Some((id, key, txns.read(list))),
            Mop::Write { .. } | Mop::Get { .. } => None,
        })
    })
}
