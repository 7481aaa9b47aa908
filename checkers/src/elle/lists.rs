//! List-append: the order of the versions of each key.
//!
//! Every version is a prefix of the next, so the longest list that was read of a key gives the order of its elements,
//! and every other read must be a prefix of it. An element that a committed transaction appended and nobody read comes after
//! the longest read. Linear in the size of the history.

use super::fault::{Fault, Faults};
use crate::txn::{Element, Mop, NONE, Outcome, Txns};
use crate::{Budget, Spent};

/// A read of a key in a transaction, without the transaction's own appends before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct External {
    pub(super) txn: u32,
    pub(super) key: u32,
    /// Length of the version that was read.
    pub(super) len: u32,
}

/// The version order of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    /// The longest list that was read, or `NONE`.
    longest: u32,
    /// The transaction that read it.
    pub(super) reader: u32,
    /// The first element of it that no transaction which did not fail appended, or `NONE`.
    first_bad: u32,
    /// Whether the order is not to be trusted.
    pub(super) tainted: bool,
}

/// A committed append that nobody read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    pub(super) key: u32,
    pub(super) txn: u32,
    pub(super) element: u32,
}

/// What the reads of lists tell.
#[derive(Debug)]
pub(super) struct Orders<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) keys: Vec<Versions>,
    /// The position of each element in its key's order, or `NONE`.
    pub(super) position: Vec<u32>,
    /// Whether each transaction is known to have committed.
    pub(super) committed: Vec<bool>,
    /// By transaction.
    pub(super) external: Vec<External>,
    /// By key, then by transaction.
    pub(super) unread: Vec<Unread>,
    pub(super) faults: Faults,
    /// Transactions that read a key in its last version and then made an append to it that was not read.
    updaters: Vec<(u32, u32)>,
}

/// What a transaction saw of a key before it appended to it: the lengths of versions, and how many own appends came before.
#[derive(Clone, Copy, Debug)]
struct Seen {
    oldest: u32,
    newest: u32,
    after: usize,
}

impl Seen {
    fn with(self, len: u32) -> Seen {
        Seen { oldest: self.oldest.min(len), newest: self.newest.max(len), ..self }
    }
}

/// Transactions between two looks at the budget.
const ASK_EVERY: u32 = 4096;

impl<'a> Orders<'a> {
    /// Derives the orders.
    pub(super) fn derive(txns: &'a Txns, budget: &Budget) -> Result<Orders<'a>, Spent> {
        let none = Versions { longest: NONE, reader: NONE, first_bad: NONE, tainted: false };
        let mut orders = Orders {
            txns,
            keys: vec![none; txns.keys.len()],
            position: vec![NONE; txns.elements.len()],
            committed: txns.committed(false),
            external: Vec::new(),
            unread: Vec::new(),
            faults: Faults::default(),
            updaters: Vec::new(),
        };
        for &key in txns.twice.keys() {
            orders.keys[key as usize].tainted = true;
        }
        orders.choose_longest(budget)?;
        orders.place();
        let mut scratch = Vec::new();
        let mut own = Vec::new();
        for txn in 0..txns.list.len() as u32 {
            if txn.is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            if let [mop] = txns.mops(txn) {
                orders.replay(txn, std::slice::from_ref(mop), &mut own);
            } else {
                for mops in txns.by_key(txn, &mut scratch) {
                    orders.replay(txn, mops, &mut own);
                }
            }
        }
        orders.check_external();
        orders.unread.sort_by_key(|unread| unread.key);
        orders.check_updaters();
        Ok(orders)
    }

    /// The elements of a key, in order.
    pub(super) fn elements(&self, key: u32) -> &'a [u32] {
        match self.keys[key as usize].longest {
            NONE => &[],
            list => self.txns.read(list),
        }
    }

    pub(super) fn writer(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].writer
    }

    /// Finds the longest list of each key, and those that are no prefix of it.
    fn choose_longest(&mut self, budget: &Budget) -> Result<(), Spent> {
        let txns = self.txns;
        for txn in 0..txns.list.len() as u32 {
            if txn.is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            for mop in txns.mops(txn) {
                let Mop::Read { key, list } = *mop else { continue };
                let (got, known) = (txns.read(list), self.elements(key));
                let versions = &mut self.keys[key as usize];
                let short = got.len().min(known.len());
                if got[..short] != known[..short] && !txns.twice.contains_key(&key) {
                    versions.tainted = true;
                    self.faults.push(Fault::Incompatible { txn, other: versions.reader, key });
                }
                if got.len() > known.len() {
                    (versions.longest, versions.reader) = (list, txn);
                }
            }
        }
        Ok(())
    }

    /// Gives each element its position, and finds those that should not be there.
    fn place(&mut self) {
        for key in 0..self.keys.len() as u32 {
            let elements = self.elements(key);
            let versions = &mut self.keys[key as usize];
            for (at, &element) in (0..).zip(elements) {
                if std::mem::replace(&mut self.position[element as usize], at) != NONE {
                    versions.tainted = true;
                    if !self.txns.twice.contains_key(&key) {
                        self.faults.push(Fault::Duplicate { txn: versions.reader, element });
                    }
                }
                if versions.first_bad == NONE && self.txns.elements[element as usize].writer == NONE {
                    versions.first_bad = at;
                }
            }
            if versions.first_bad != NONE {
                let reader = versions.reader;
                self.check_dirty(elements, reader);
            }
        }
    }

    fn check_dirty(&mut self, elements: &[u32], reader: u32) {
        let aborted = |element: &u32| {
            let element = &self.txns.elements[*element as usize];
            element.writer == NONE && element.aborted != NONE
        };
        let Some(at) = elements.iter().position(aborted) else { return };
        if let Some(&committed) = elements[at..].iter().find(|element| self.writer(**element) != NONE) {
            self.faults.push(Fault::DirtyUpdate { aborted: elements[at], committed, reader });
        }
    }

    /// Replays what a transaction did to a key against itself; notes what it read from others, and what nobody read from it.
    fn replay(&mut self, txn: u32, mops: &[Mop], own: &mut Vec<u32>) {
        let txns = self.txns;
        let key = mops[0].key();
        own.clear();
        // The last list that was read, and how many own appends came before it.
        let mut last: Option<(&[u32], usize)> = None;
        let mut first_read: Option<Seen> = None;
        for &mop in mops {
            let list = match mop {
                Mop::Write { element, .. } => {
                    own.push(element);
                    continue;
                }
                Mop::Read { list, .. } => list,
                Mop::Get { .. } => continue,
            };
            let got = txns.read(list);
            let right = match last {
                Some((known, before)) => {
                    got.len() >= known.len() && got.starts_with(known) && got[known.len()..] == own[before..]
                }
                None => got.ends_with(own),
            };
            if !right {
                let expected = last.map_or_else(
                    || own.clone(),
                    |(known, before)| known.iter().chain(&own[before..]).copied().collect(),
                );
                self.faults.push(Fault::Internal { txn, key, expected, got: got.to_vec() });
                let early = |element: &&u32| self.writer(**element) == txn && !own.contains(element);
                if let Some(&element) = got.iter().find(early) {
                    self.faults.push(Fault::FutureRead { txn, element });
                }
            }
            if !right || last.is_none() {
                let len = got.len() - if got.ends_with(own) { own.len() } else { 0 };
                self.external.push(External { txn, key, len: len as u32 });
                first_read = match first_read {
                    Some(known) if own.is_empty() => Some(known.with(len as u32)),
                    None if right => Some(Seen { oldest: len as u32, newest: len as u32, after: own.len() }),
                    known => known,
                };
            }
            last = Some((got, own.len()));
        }
        if !own.is_empty() && !self.keys[key as usize].tainted && self.committed[txn as usize] {
            self.check_own(txn, key, own, first_read);
        }
    }

    /// Checks where the appends of a committed transaction to a key are.
    fn check_own(&mut self, txn: u32, key: u32, own: &[u32], read: Option<Seen>) {
        let position = |element: u32| self.position[element as usize];
        let early = read.and_then(|seen| own.iter().find(|&&element| position(element) < seen.newest));
        if let Some(&element) = early {
            self.faults.push(Fault::FutureRead { txn, element });
        } else if let Some(Seen { oldest: len, after: 0, .. }) = read {
            // It read before it appended: nobody else may have come between.
            let until = (position(own[0]) as usize).min(self.elements(key).len());
            let between = self.elements(key).get(len as usize..until).unwrap_or_default();
            let other =
                |element: &u32| Some(self.writer(*element)).filter(|&other| other != NONE && other != txn);
            if let Some(other) = between.iter().find_map(other) {
                self.faults.push(Fault::LostUpdate { txn: other, other: txn, key });
            } else if position(own[0]) == NONE {
                self.updaters.push((key, txn));
            }
        }
        for pair in own.windows(2) {
            let (earlier, later) = (pair[0], pair[1]);
            let position = |element: u32| self.position[element as usize];
            if position(later) != NONE && position(earlier) > position(later) {
                let reader = self.keys[key as usize].reader;
                self.faults.push(Fault::Reordered { reader, earlier, later });
            }
        }
        for &element in own {
            if self.position[element as usize] == NONE {
                self.unread.push(Unread { key, txn, element });
            }
        }
    }

    /// Of two transactions that read the last version and appended to it unread, one overwrote the other.
    fn check_updaters(&mut self) {
        let mut updaters = std::mem::take(&mut self.updaters);
        updaters.sort_unstable();
        for pair in updaters.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            self.faults.push(Fault::LostUpdate { txn: pair[0].1, other: pair[1].1, key: pair[0].0 });
        }
    }

    /// Checks what external reads end with, and that they hold nothing which should not be there.
    fn check_external(&mut self) {
        let external = std::mem::take(&mut self.external);
        for &External { txn, key, len } in &external {
            let versions = self.keys[key as usize];
            if versions.tainted || len == 0 {
                continue;
            }
            let elements = self.elements(key);
            if versions.first_bad < len {
                let element = elements[versions.first_bad as usize];
                self.faults.push(match self.txns.elements[element as usize].aborted {
                    NONE => Fault::ThinAir { txn, element },
                    _ => Fault::Aborted { txn, element },
                });
            }
            let element = elements[len as usize - 1];
            let Element { writer, last, .. } = self.txns.elements[element as usize];
            if writer != NONE && writer != txn && !last {
                self.faults.push(Fault::Intermediate { txn, element });
            }
        }
        self.external = external;
    }

    /// Finds acknowledged elements that no read has although one began later: a violation in real time only. Returns the
    /// transactions that appended them.
    pub(super) fn find_lost(&mut self) -> Vec<u32> {
        if self.unread.is_empty() {
            return Vec::new();
        }
        let mut last: Vec<u32> = vec![NONE; self.keys.len()];
        for external in &self.external {
            // Transactions are in order of invocation, and so are external reads.
            last[external.key as usize] = external.txn;
        }
        let mut lost = Vec::new();
        for &Unread { key, txn, element } in &self.unread {
            let Some(reader) = self.txns.list.get(last[key as usize] as usize) else { continue };
            let writer = &self.txns.list[txn as usize];
            if writer.outcome == Outcome::Ok && writer.complete().is_some_and(|end| end < reader.invoke) {
                self.faults.push(Fault::Lost { element, reader: last[key as usize] });
                lost.push(txn);
            }
        }
        lost
    }

    /// A key to which several transactions made appends that nobody read, if there is any: their order is open.
    pub(super) fn open_key(&self) -> Option<u32> {
        let mut keys = self.unread.chunk_by(|a, b| a.key == b.key);
        let open = keys.find(|unread| unread.iter().any(|other| other.txn != unread[0].txn));
        open.map(|unread| unread[0].key)
    }

    /// The external reads of `key` by `txn`: one, unless they disagree.
    pub(super) fn reads_of(&self, txn: u32, key: u32) -> impl Iterator<Item = &External> {
        let first = self.external.partition_point(|external| external.txn < txn);
        self.external[first..].iter().take_while(move |e| e.txn == txn).filter(move |e| e.key == key)
    }
}
