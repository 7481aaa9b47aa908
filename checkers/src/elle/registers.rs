//! Rw-register: what reads and writes of registers tell of the order of versions.
//!
//! A register forgets, so only part of the order is known, as in Elle: the initial value comes first; what a transaction wrote comes
//! after what it had read, since what was installed before what its writer had seen would be a G1c; and where the user says
//! that each key alone is sequential or linearizable, versions follow the order of processes or real time. What real time tells
//! in any case is kept apart: it counts only in the models that respect it.

use super::deps::{Builder, Dependencies, LINK, RW, RWI, WR, WW, WWI};
use super::fault::{Fault, Faults};
use crate::graph::{Arc, Graph};
use crate::txn::{Mop, NONE, Outcome, Txns};
use crate::{Budget, Spent};

/// A read of a key in a transaction that saw somebody else's write, or the initial value (`NONE`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) txn: u32,
    pub(super) key: u32,
    pub(super) element: u32,
}

/// A transaction that read or wrote a key: the versions that it saw or made first and last, or `NONE` for the initial one and for
/// those that nobody is known to have written.
#[derive(Clone, Copy, Debug)]
struct Touch {
    key: u32,
    txn: u32,
    first: u32,
    last: u32,
}

/// One version right before another, because of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) because: u32,
}

/// What else is known of the order of versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Assumptions {
    /// Each process sees the versions of a key in order.
    pub(super) sequential_keys: bool,
    /// Real time orders the versions of a key.
    pub(super) linearizable_keys: bool,
    /// Others may have written than the recorded transactions.
    pub(super) open: bool,
}

/// What the reads and writes of registers tell.
#[derive(Debug)]
pub(super) struct Registers<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) committed: Vec<bool>,
    /// Keys that are left out.
    pub(super) tainted: Vec<bool>,
    /// By transaction.
    pub(super) reads: Vec<Read>,
    /// Without those after the initial value.
    pub(super) order: Vec<Before>,
    /// The same, told by real time.
    inferred: Vec<Before>,
    pub(super) faults: Faults,
    assumptions: Assumptions,
    touches: Vec<Touch>,
}

/// Transactions between two looks at the budget.
const ASK_EVERY: u32 = 4096;

impl<'a> Registers<'a> {
    /// Derives what can be known, in time linear in the history for a given concurrency.
    pub(super) fn derive(
        txns: &'a Txns,
        assumptions: Assumptions,
        budget: &Budget,
    ) -> Result<Registers<'a>, Spent> {
        let mut registers = Registers {
            txns,
            committed: txns.committed(false),
            tainted: vec![false; txns.keys.len()],
            reads: Vec::new(),
            order: Vec::new(),
            inferred: Vec::new(),
            faults: Faults::default(),
            assumptions,
            touches: Vec::new(),
        };
        for &key in txns.twice.keys() {
            registers.tainted[key as usize] = true;
        }
        let mut scratch = Vec::new();
        for txn in 0..txns.list.len() as u32 {
            if txn.is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            if !registers.committed[txn as usize] {
                continue;
            }
            for mops in txns.by_key(txn, &mut scratch) {
                registers.replay(txn, mops);
            }
        }
        registers.check_updates();
        registers.touches.sort_by_key(|touch| touch.key);
        if assumptions.sequential_keys {
            registers.follow_processes();
        }
        if txns.history.has_real_time() {
            registers.follow_time(budget)?;
        }
        registers.check_cycles(budget)?;
        Ok(registers)
    }

    fn writer(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].writer
    }

    /// Replays what a transaction did to a key against itself.
    fn replay(&mut self, txn: u32, mops: &[Mop]) {
        let key = mops[0].key();
        if self.tainted[key as usize] {
            return;
        }
        // What the next read must see, whether it was written here, and what was seen or made first.
        let (mut now, mut own, mut first) = (None, false, None);
        for &mop in mops {
            match mop {
                Mop::Write { element, .. } => {
                    let before = |from: &u32| {
                        *from != NONE && self.is_known(*from) && (own || self.writer(*from) != txn)
                    };
                    let known = now.filter(before);
                    if let Some(from) = known {
                        self.order.push(Before { from, to: element, because: txn });
                    }
                    (now, own) = (Some(element), true);
                }
                Mop::Get { element, .. } => {
                    if let Some(expected) = now
                        && expected != element
                    {
                        let (expected, got) = (vec![expected], vec![element]);
                        self.faults.push(Fault::Internal { txn, key, expected, got });
                    }
                    if now != Some(element) {
                        self.read(txn, key, element, own);
                        (now, own) = (Some(element), false);
                    }
                }
                Mop::Read { .. } => {}
            }
            first = first.or(now);
        }
        let known = |element: Option<u32>| element.filter(|&e| e != NONE && self.is_known(e)).unwrap_or(NONE);
        let (first, last) = (known(first), known(now));
        if first != NONE || last != NONE {
            self.touches.push(Touch { key, txn, first, last });
        }
    }

    /// Whether a transaction that did not fail wrote it.
    fn is_known(&self, element: u32) -> bool {
        self.writer(element) != NONE
    }

    /// A read that does not follow from what the transaction did before.
    fn read(&mut self, txn: u32, key: u32, element: u32, after_write: bool) {
        if element != NONE {
            let found = self.txns.elements[element as usize];
            if found.writer == NONE {
                let aborted = found.aborted != NONE;
                self.faults.push(match (aborted, self.assumptions.open) {
                    (true, _) => Fault::Aborted { txn, element },
                    (false, false) => Fault::ThinAir { txn, element },
                    (false, true) => Fault::Unwritten { txn, element },
                });
                return;
            }
            if found.writer == txn {
                if !after_write {
                    self.faults.push(Fault::FutureRead { txn, element });
                }
                return;
            }
            if !found.last {
                self.faults.push(Fault::Intermediate { txn, element });
            }
        }
        self.reads.push(Read { txn, key, element });
    }

    /// Of two transactions that read one version and wrote the key, one overwrote the other.
    fn check_updates(&mut self) {
        let wrote = |read: &&Read| {
            let mut mops = self.txns.mops(read.txn).iter();
            mops.any(|mop| mop.key() == read.key && mop.element().is_some())
        };
        let mut updates: Vec<(u32, u32, u32)> =
            self.reads.iter().filter(wrote).map(|read| (read.key, read.element, read.txn)).collect();
        updates.sort_unstable();
        updates.dedup();
        for pair in updates.windows(2) {
            let ((key, element, txn), (other_key, other_element, other)) = (pair[0], pair[1]);
            if (key, element) == (other_key, other_element) {
                self.faults.push(Fault::LostUpdate { txn, other, key });
            }
        }
    }

    /// Versions follow each other as a process saw or made them.
    fn follow_processes(&mut self) {
        let session = |touch: &Touch| (touch.key, self.txns.list[touch.txn as usize].session);
        let mut touches = self.touches.clone();
        touches.sort_by_key(|touch| (session(touch), touch.txn));
        for pair in touches.windows(2).filter(|pair| session(&pair[0]) == session(&pair[1])) {
            let acknowledged = self.txns.list[pair[0].txn as usize].outcome == Outcome::Ok;
            let (from, to) = (pair[0].last, pair[1].first);
            if acknowledged && from != to && from != NONE && to != NONE {
                self.order.push(Before { from, to, because: pair[1].txn });
            }
        }
    }

    /// Versions follow each other in real time. Of those who completed before, only the latest count: those before whose invocation
    /// nobody else of them had completed.
    fn follow_time(&mut self, budget: &Budget) -> Result<(), Spent> {
        let touches = std::mem::take(&mut self.touches);
        let mut before = Vec::new();
        for touches in touches.chunk_by(|a, b| a.key == b.key) {
            budget.ask()?;
            let txn = |touch: &Touch| &self.txns.list[touch.txn as usize];
            // Completions in order, next to invocations in order, which they are already.
            let mut ends: Vec<(u32, &Touch)> = touches
                .iter()
                .filter(|touch| touch.last != NONE && txn(touch).outcome == Outcome::Ok)
                .filter_map(|touch| Some((txn(touch).complete()?, touch)))
                .collect();
            ends.sort_unstable_by_key(|end| end.0);
            let mut ends = ends.into_iter().peekable();
            let mut latest: Vec<(u32, &Touch)> = Vec::new();
            for touch in touches {
                let begun = txn(touch).invoke;
                while let Some((end, done)) = ends.next_if(|end| end.0 < begun) {
                    latest.retain(|(end, _)| *end > txn(done).invoke);
                    latest.push((end, done));
                }
                let differ =
                    latest.iter().filter(|(_, done)| touch.first != NONE && done.last != touch.first);
                before.extend(differ.map(|(_, done)| Before {
                    from: done.last,
                    to: touch.first,
                    because: touch.txn,
                }));
            }
        }
        if self.assumptions.linearizable_keys {
            self.order.extend(before)
        } else {
            self.inferred = before
        }
        Ok(())
    }

    /// Finds versions that come before themselves, and leaves their keys out.
    fn check_cycles(&mut self, budget: &Budget) -> Result<(), Spent> {
        let _lease = budget.lease(self.order.len() * size_of::<Arc>())?;
        let arc = |(via, before): (u32, &Before)| Arc { from: before.from, to: before.to, label: 1, via };
        let arcs: Vec<Arc> = (0..).zip(&self.order).map(arc).collect();
        let graph = Graph::new(self.txns.elements.len(), &arcs, budget)?;
        for mut component in graph.components(1, |_| true, budget)? {
            component.sort_unstable();
            let start = component[0];
            let keep = |node: u32| component.binary_search(&node).is_ok();
            let next = graph.out(start).find(|arc| keep(arc.to)).expect("it is on a cycle");
            let rest = graph.path((next.to, start), 1, 0, keep, &mut 0, budget)?.unwrap_or_default();
            let because = |arc: &Arc| (arc.from, self.order[arc.via as usize].because);
            let steps = std::iter::once(&next).chain(&rest).map(because).collect();
            let key = self.txns.elements[start as usize].key;
            self.tainted[key as usize] = true;
            self.faults.push(Fault::CyclicVersions { key, steps });
        }
        Ok(())
    }

    /// The dependency graph.
    pub(super) fn dependencies<'b>(&'b self, budget: &'b Budget) -> Result<Dependencies<'b>, Spent> {
        let mut builder = Builder::new(self.txns, &self.committed, budget)?;
        let mut reads: Vec<Read> =
            self.reads.iter().filter(|read| !self.tainted[read.key as usize]).copied().collect();
        for read in reads.iter().filter(|read| read.element != NONE) {
            builder.edge(self.writer(read.element), read.txn, WR, read.key);
        }
        builder.pay()?;
        reads.sort_by_key(|read| (read.element, read.key));
        let first_reads = reads.partition_point(|read| read.element != NONE);
        self.first_edges(&reads[first_reads..], &mut builder);
        builder.pay()?;
        self.version_edges(&reads[..first_reads], &mut builder);
        builder.pay()?;
        self.inferred_edges(&reads[..first_reads], &mut builder);
        builder.pay()?;
        builder.finish()
    }

    /// From those who read the initial value to the writers of versions that nothing else is known to come before.
    fn first_edges(&self, reads: &[Read], builder: &mut Builder) {
        let mut minimal = vec![true; self.txns.elements.len()];
        self.order.iter().for_each(|before| minimal[before.to as usize] = false);
        let committed = |writer: u32| writer != NONE && self.committed[writer as usize];
        let mut writers: Vec<(u32, u32)> = (self.txns.elements.iter().zip(minimal))
            .filter(|(element, minimal)| *minimal && committed(element.writer))
            .map(|(element, _)| (element.key, element.writer))
            .collect();
        writers.sort_unstable();
        writers.dedup();
        for readers in reads.chunk_by(|a, b| a.key == b.key) {
            let key = readers[0].key;
            let first = writers.partition_point(|writer| writer.0 < key);
            let targets: Vec<u32> = writers[first..].iter().take_while(|w| w.0 == key).map(|w| w.1).collect();
            builder.connect(readers.iter().map(|read| (read.txn, RW)), &targets, key);
        }
    }

    /// From the writer and the readers of each version to the writers of the next ones. `reads` are in order of versions.
    fn version_edges(&self, reads: &[Read], builder: &mut Builder) {
        let mut order: Vec<(u32, u32)> =
            self.live(&self.order).map(|before| (before.from, before.to)).collect();
        order.sort_unstable();
        for next in order.chunk_by(|a, b| a.0 == b.0) {
            let from = next[0].0;
            let key = self.txns.elements[from as usize].key;
            let mut targets: Vec<u32> = next.iter().map(|(_, to)| self.writer(*to)).collect();
            targets.sort_unstable();
            targets.dedup();
            let readers = readers(reads, from).map(|read| (read.txn, RW));
            builder.connect(std::iter::once((self.writer(from), WW)).chain(readers), &targets, key);
        }
    }

    /// The same for what real time tells, unless it was known. All lead into one auxiliary node for each version: a reader that wrote
    /// the next version is known to have done so, and left out.
    fn inferred_edges(&self, reads: &[Read], builder: &mut Builder) {
        let mut order: Vec<(u32, u32)> =
            self.live(&self.inferred).map(|before| (before.from, before.to)).collect();
        order.sort_unstable();
        order.dedup();
        for next in order.chunk_by(|a, b| a.0 == b.0) {
            let from = next[0].0;
            let key = self.txns.elements[from as usize].key;
            let writer = self.writer(from);
            // Reads of one version are in order of transactions.
            let read =
                |txn: u32| reads.binary_search_by_key(&(from, txn), |read| (read.element, read.txn)).is_ok();
            let unknown = |target: &u32| *target != writer && !read(*target);
            let targets: Vec<u32> = next.iter().map(|(_, to)| self.writer(*to)).filter(unknown).collect();
            if targets.is_empty() {
                continue;
            }
            let node = builder.auxiliary();
            builder.edge(writer, node, WWI, key);
            readers(reads, from).for_each(|read| builder.edge(read.txn, node, RWI, key));
            targets.iter().for_each(|&target| builder.edge(node, target, LINK, key));
        }
    }

    fn live<'b>(&'b self, order: &'b [Before]) -> impl Iterator<Item = &'b Before> {
        let key = |before: &&Before| self.txns.elements[before.from as usize].key;
        let committed = |element: u32| self.committed.get(self.writer(element) as usize) == Some(&true);
        order
            .iter()
            .filter(move |before| !self.tainted[key(before) as usize])
            .filter(move |before| committed(before.from) && committed(before.to))
    }
}

/// Those who read a version, in reads that are in order of versions.
fn readers(reads: &[Read], element: u32) -> impl Iterator<Item = &Read> + Clone {
    let first = reads.partition_point(|read| read.element < element);
    reads[first..].iter().take_while(move |read| read.element == element)
}
