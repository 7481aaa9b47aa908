//! Regular and safe registers (Lamport, *On interprocess communication*, 1986, part II), for any number of writers.
//!
//! Lamport has one writer: a *regular* register answers a read with the last value written before it, or with one that is
//! being written meanwhile; a *safe* one does so only where nothing is being written, and answers anything otherwise.
//! For many writers a register is regular here if it is *MWRegWeak* of Shao, Welch, Pierce and Lee, *Multiwriter
//! consistency conditions for shared memory registers*, SIAM J. Comput. 40(1), 2011: for each read alone, some order of it
//! and all writes respects real time, and the read returns the value of the write just before it. That is so
//! exactly if the write it saw had begun before the read ended, and no other write lies wholly between the two.
//! Two reads may see two writes in different orders. With one writer both are Lamport's. A linearizable register is
//! regular, and a regular one is safe.
//!
//! A write of unknown outcome goes on for ever. A successful cas is a read and a write. Where a value was written to a key
//! several times, any of the writes will do. Each key is one register.
//!
//! One pass over the events: O(operations), but for values that were written several times.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::checker::without_real_time;
use crate::intern::FastBuild;
use crate::registers::{self, Kv, KvOp, NONE, Source, Teller};
use crate::registry::{CheckerEntry, Object, Order};
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "regular-register",
        about: "a read returns the last value written, or one that is being written",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(LamportRegister::Regular),
    },
    CheckerEntry {
        name: "safe-register",
        about: "a read during which nothing is written returns the last value written",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(LamportRegister::Safe),
    },
];

/// Checks that each key is a regular or a safe register. See the [module](self) for the definitions.
///
/// ```
/// use squall_checkers::{Checker, History, LamportRegister, Op, Process, Type, Valid};
///
/// let by = |process, f, value| Op::new(f).process(Process::Client(process)).value(value);
/// let history: History = [
///     by(0, "write", 1),
///     by(0, "write", 1).kind(Type::Ok),
///     by(0, "write", 2),
///     by(1, "read", 2),
///     by(1, "read", 2).kind(Type::Ok),
///     by(1, "read", 1),
///     by(1, "read", 1).kind(Type::Ok),
///     by(0, "write", 2).kind(Type::Ok),
/// ]
/// .into_iter()
/// .collect();
/// // New, then old, while the write goes on: not linearizable, but regular.
/// assert_eq!(LamportRegister::Regular.check(&history).valid, Valid::True);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LamportRegister {
    /// A read sees the last write before it, or one that overlaps it.
    Regular,
    /// A read that overlaps no write sees the last one before it.
    Safe,
}

impl Checker for LamportRegister {
    fn name(&self) -> &str {
        match self {
            LamportRegister::Regular => "regular-register",
            LamportRegister::Safe => "safe-register",
        }
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        if let Some(unknown) = without_real_time(self.name(), history) {
            return unknown;
        }
        registers::judge(self, history, budget, |kv| {
            let misreads = Sweep::new(kv).misreads(*self, budget)?;
            let anomalies: Vec<Anomaly> =
                misreads.iter().take(SHOWN).map(|misread| misread.explain(kv)).collect();
            let reads = kv.ops.iter().filter(|op| op.read != NONE).count();
            let verdict = match anomalies.first() {
                None => Verdict::valid(self.name(), format!("{reads} reads of {} keys", kv.keys)),
                Some(first) => Verdict::invalid(self.name(), first.sentence.clone(), anomalies),
            };
            Ok(verdict.stat("reads", reads).stat("anomalies", misreads.len()).stat("steps", 2 * kv.ops.len()))
        })
    }
}

/// A read that no order explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Misread {
    read: u32,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Nobody wrote it.
    ThinAir,
    /// Only an operation that failed, at this event, wrote it.
    Aborted(u32),
    /// The write began after the read had ended.
    Future(u32),
    /// `newer` lies wholly between the write, if it is not the initial value, and the read.
    Stale { newer: u32, write: Option<u32> },
}

/// What is known of a key so far.
#[derive(Clone, Copy)]
struct Key {
    /// Of the writes that have ended, the one that began last.
    last: u32,
    /// Writes under way, and when the last one began.
    open: u32,
    begun: u32,
}

/// The pass over the events.
struct Sweep<'a> {
    kv: &'a Kv<'a>,
    keys: Vec<Key>,
    /// By read: the last write that had ended when it began, and whether a write was under way.
    before: Vec<(u32, bool)>,
    /// Writes of versions that were written several times.
    several: HashMap<(u32, u32), Vec<KvOp>, FastBuild>,
}

impl<'a> Sweep<'a> {
    fn new(kv: &'a Kv) -> Sweep<'a> {
        let mut several: HashMap<(u32, u32), Vec<KvOp>, FastBuild> = HashMap::default();
        for op in kv.ops.iter().filter(|op| op.source == Source::Several) {
            several.entry((op.key, op.read)).or_default();
        }
        if !several.is_empty() {
            for op in kv.ops.iter().chain(&kv.ghosts).filter(|op| op.is_write()) {
                if let Some(writes) = several.get_mut(&(op.key, op.wrote)) {
                    writes.push(*op);
                }
            }
        }
        let key = Key { last: NONE, open: 0, begun: 0 };
        Sweep { kv, keys: vec![key; kv.keys], before: vec![(NONE, false); kv.ops.len()], several }
    }

    fn misreads(mut self, model: LamportRegister, budget: &Budget) -> Result<Vec<Misread>, Spent> {
        let kv = self.kv;
        // For each event the operation, twice its number, and 1 more where it is the completion; ghosts follow.
        let _lease = budget.lease(kv.history.len() * 8 + self.before.len() * 8)?;
        let mut at = vec![u64::MAX; kv.history.len()];
        for (id, op) in kv.ops.iter().chain(&kv.ghosts).enumerate() {
            at[op.invoke as usize] = 2 * id as u64;
            if op.complete != NONE {
                at[op.complete as usize] = 2 * id as u64 + 1;
            }
        }
        let mut found = Vec::new();
        for (event, &code) in at.iter().enumerate() {
            if event % (1 << 16) == 0 {
                budget.ask()?;
            }
            if code == u64::MAX {
                continue;
            }
            let id = (code / 2) as usize;
            let op = match kv.ops.get(id) {
                Some(op) => op,
                None => &kv.ghosts[id - kv.ops.len()],
            };
            if code % 2 == 0 {
                self.begin(id, op);
            } else {
                found.extend(self.end(id, op, model));
            }
        }
        // A cas of unknown outcome that took effect reads for ever; only what had ended before it began counts.
        for (id, op) in kv.ops.iter().enumerate().filter(|(_, op)| op.complete == NONE && op.read != NONE) {
            found.extend(self.judge(id, op, model, true));
        }
        Ok(found)
    }

    fn begin(&mut self, id: usize, op: &KvOp) {
        let key = &mut self.keys[op.key as usize];
        if let Some(before) = self.before.get_mut(id) {
            *before = (key.last, key.open > 0);
        }
        if op.is_write() {
            (key.open, key.begun) = (key.open + 1, op.invoke);
        }
    }

    fn end(&mut self, id: usize, op: &KvOp, model: LamportRegister) -> Option<Misread> {
        let key = self.keys[op.key as usize];
        let misread = match op.read {
            NONE => None,
            _ => self.judge(id, op, model, key.begun > op.invoke),
        };
        if op.is_write() {
            let key = &mut self.keys[op.key as usize];
            key.open -= 1;
            if key.last == NONE || self.kv.ops[key.last as usize].invoke < op.invoke {
                key.last = id as u32;
            }
        }
        misread
    }

    /// Judges a read that overlaps writes which began after it, or does not.
    fn judge(&self, id: usize, op: &KvOp, model: LamportRegister, overlapped: bool) -> Option<Misread> {
        let (last, open) = self.before[id];
        if model == LamportRegister::Safe && (overlapped || open) {
            return None;
        }
        let newer = self.kv.ops.get(last as usize);
        let old = |write: &KvOp| newer.is_some_and(|newer| write.complete < newer.invoke);
        let why = match op.source {
            Source::Nothing => None,
            Source::ThinAir => Some(Why::ThinAir),
            Source::Aborted(event) => Some(Why::Aborted(event)),
            Source::Initial => newer.map(|_| Why::Stale { newer: last, write: None }),
            Source::Write(write) => match &self.kv.ops[write as usize] {
                writer if writer.invoke > op.complete => Some(Why::Future(write)),
                writer if old(writer) => Some(Why::Stale { newer: last, write: Some(write) }),
                _ => None,
            },
            Source::Several => {
                let writes = &self.several[&(op.key, op.read)];
                let others =
                    writes.iter().filter(|write| write.invoke != op.invoke && write.invoke < op.complete);
                let initial = op.read == self.kv.registers.initial && newer.is_none();
                let fits = initial || others.clone().any(|write| !old(write));
                (!fits).then_some(Why::Stale { newer: last, write: None })
            }
        };
        why.map(|why| Misread { read: id as u32, why })
    }
}

impl Misread {
    fn explain(self, kv: &Kv) -> Anomaly {
        let teller = Teller { kv, within: None };
        let read = self.read;
        let did = teller.did_read(read);
        let (kind, sentence, ops) = match self.why {
            Why::ThinAir => ("thin-air-read", format!("{did}, which nobody ever wrote"), vec![read]),
            Why::Aborted(_) => {
                ("aborted-read", format!("{did}, which only a failed operation wrote"), vec![read])
            }
            Why::Future(write) => (
                "future-read",
                format!("{did}, before the {} had begun", teller.name(write)),
                vec![read, write],
            ),
            Why::Stale { newer, write } => {
                let since = match write {
                    Some(write) => format!("after the {} had ended and ", teller.name(write)),
                    None => String::new(),
                };
                let sentence =
                    format!("{did}, although the {} began {since}ended before that read", teller.name(newer));
                let sentence = if write.is_none() {
                    format!("{did}, although the {} had ended before that read", teller.name(newer))
                } else {
                    sentence
                };
                ("stale-read", sentence, [Some(newer), write, Some(read)].into_iter().flatten().collect())
            }
        };
        // With each read the write that it saw, and of a value that was written several times all of the writes.
        let mut ops = kv.with_sources(&ops);
        let saw = kv.ops[read as usize];
        if saw.source == Source::Several {
            let same =
                |op: &u32| (kv.ops[*op as usize].key, kv.ops[*op as usize].wrote) == (saw.key, saw.read);
            ops.extend((0..kv.ops.len() as u32).filter(same));
        }
        let mut anomaly = teller.anomaly(kind, read, sentence, &ops);
        match self.why {
            Why::Aborted(event) => anomaly.witness.insert(0, event as usize),
            Why::Future(write) => teller.reads_from(&mut anomaly, write, read),
            Why::Stale { newer, write } => {
                if let Some(write) = write {
                    teller.edge(&mut anomaly, write, newer, "real time");
                    teller.reads_from(&mut anomaly, write, read);
                }
                teller.edge(&mut anomaly, newer, read, "real time");
                anomaly.steps.push(format!(
                    "the {} ended before the {} began",
                    teller.name(newer),
                    teller.name(read)
                ));
            }
            Why::ThinAir => {}
        }
        anomaly.witness.sort_unstable();
        anomaly
    }
}
