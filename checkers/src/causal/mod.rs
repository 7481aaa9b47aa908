//! Causal consistency of key-value histories, CC, CCv and CM, and PRAM below them.
//!
//! Operations are `read`, `write` and `cas` (or `get`, `put` and `delete`), on independent keys (`[key, value]`) or on one
//! register. All keys start as null. A successful cas is a read of its old value and a write of its new one, at one
//! point.
//!
//! **Sessions.** Each process id is a session: a client thread. An operation of unknown outcome ends its session; the
//! thread goes on under a new process id, which is a new session, for whatever it does next need not come after
//! that operation took effect. (Where a history uses the id again, a new session starts all the same.)
//!
//! **Outcomes.** A write or cas of unknown outcome counts if its value was read, and else as if it never was. Reads of
//! unknown outcome and failed operations drop out. A read of what only a failed operation wrote is an anomaly.
//!
//! **Unique values.** The theory needs to know which write a read saw. Where two writes of a value to a key could be
//! the one, the read is left aside; the verdict is then invalid if the rest already is, and else unknown.
//!
//! The three models, and the bad patterns that decide them, are those of Bouajjani, Enea, Guerraoui and Hamza, *On
//! verifying causal consistency*, POPL 2017. The causal order is the transitive closure of session order and
//! reads-from. CC: what an operation returns follows from some order of the writes in its causal past. CCv: from one
//! order of all writes that is the same for everyone. CM: all that a session returns follows from one order for that
//! session. CCv and CM each imply CC; neither implies the other. PRAM (Lipton and Sandberg 1988) is CM with the session
//! order in the place of the causal one: CM implies it.

pub(crate) mod cc;
mod ccv;
pub(crate) mod clocks;
mod cm;
mod explain;
mod rows;
mod writers;

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
pub(crate) mod tests;

use cc::{Keep, Pattern};
pub(crate) use writers::Writers;

use crate::registers::{self, Kv, Sessions, Stop};
use crate::registry::{CheckerEntry, Object, Order};
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// Operations of a witness that are still tried one by one.
const TRIED: usize = 500;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "causal",
        about: "registers are causally consistent (CC)",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Causal::new(CausalModel::Cc)),
    },
    CheckerEntry {
        name: "causal-convergence",
        about: "registers are causally convergent (CCv)",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Causal::new(CausalModel::Ccv)),
    },
    CheckerEntry {
        name: "causal-memory",
        about: "registers are a causal memory (CM)",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Causal::new(CausalModel::Cm)),
    },
    CheckerEntry {
        name: "pram",
        about: "each process sees the writes of every other in the order in which it made them",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Causal::new(CausalModel::Pram)),
    },
];

/// Which model to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CausalModel {
    /// Causal consistency.
    Cc,
    /// Causal convergence: with one order of conflicting writes for all.
    Ccv,
    /// Causal memory: with one order for each session.
    Cm,
    /// Pipelined RAM: with one order for each session, which need not respect what other sessions had read.
    Pram,
}

/// Checks a key-value history against a causal model or PRAM. See the [module](self) for what is expected of the history.
///
/// For n operations in k sessions, CC takes O(n k) time and, of the vector clocks, holds those that are still needed;
/// CCv adds the conflicts that reads show. CM takes O(n k) time and 4 n k bytes, and more time only where reads hide
/// concurrent writes; PRAM takes O(n k) time.
///
/// ```
/// use squall_checkers::{Causal, CausalModel, Checker, History, Op, Process, Type, Valid};
///
/// let by = |process, f, value| Op::new(f).process(Process::Client(process)).value(value);
/// let history: History = [
///     by(0, "write", 1),
///     by(0, "write", 1).kind(Type::Ok),
///     by(0, "write", 2),
///     by(0, "write", 2).kind(Type::Ok),
///     by(1, "read", 2),
///     by(1, "read", 2).kind(Type::Ok),
///     by(1, "read", 1),
///     by(1, "read", 1).kind(Type::Ok),
/// ]
/// .into_iter()
/// .collect();
/// let verdict = Causal::new(CausalModel::Cc).check(&history);
/// assert_eq!((verdict.valid, verdict.anomalies[0].kind.as_str()), (Valid::False, "write-co-read"));
/// ```
#[derive(Clone, Debug)]
pub struct Causal {
    model: CausalModel,
    work_cap: u64,
}

impl Causal {
    /// A checker of this model with a cap of 2·10⁹ steps.
    pub fn new(model: CausalModel) -> Causal {
        Causal { model, work_cap: 2_000_000_000 }
    }

    /// The same checker, which stops the search for CM, PRAM or the shortest cycle after this many steps. Of CM and PRAM
    /// the sessions are then decided, from the first on, that take no more in all.
    pub fn work_cap(mut self, steps: u64) -> Causal {
        self.work_cap = steps;
        self
    }

    fn title(&self) -> &'static str {
        match self.model {
            CausalModel::Cc => "causally consistent",
            CausalModel::Ccv => "causally convergent",
            CausalModel::Cm => "causal memory",
            CausalModel::Pram => "pipelined RAM",
        }
    }

    /// The bad patterns of these sessions.
    fn examine(&self, kv: &Sessions, budget: &Budget) -> Result<Findings, Spent> {
        let mut found = Findings::default();
        if self.model == CausalModel::Pram {
            self.by_session(kv, cm::Past::Pram, budget, &mut found);
            return Ok(found);
        }
        let keep = match self.model {
            CausalModel::Ccv => Keep::Conflicts,
            CausalModel::Cm => Keep::Clocks,
            _ => Keep::Nothing,
        };
        let mut causality = cc::causality(kv, keep, budget)?;
        (found.patterns, found.work) = (std::mem::take(&mut causality.patterns), causality.work);
        found.clock_bytes = causality.clocks.rows_most();
        // The patterns of CCv and CM are defined over a causal order that has none of CC's.
        if !found.patterns.is_empty() {
            return Ok(found);
        }
        match self.model {
            CausalModel::Ccv => {
                let (patterns, work) = ccv::cycles(kv, &causality, self.work_cap, budget)?;
                (found.patterns, found.work) = (patterns, found.work + work);
            }
            CausalModel::Cm => {
                self.by_session(kv, cm::Past::Causal(&causality.clocks), budget, &mut found);
            }
            _ => {}
        }
        Ok(found)
    }

    fn by_session(&self, kv: &Sessions, past: cm::Past, budget: &Budget, found: &mut Findings) {
        let memory = cm::memory(kv, past, self.work_cap, budget);
        (found.patterns, found.work) = (memory.patterns, found.work + memory.work);
        if memory.decided < kv.sessions() {
            let why = match memory.spent {
                Some(spent) => spent.to_string(),
                None => format!("the cap of {} steps was reached: check CC or CCv", self.work_cap),
            };
            found.unfinished =
                Some(format!("{why}, with {} of {} sessions decided", memory.decided, kv.sessions()));
        }
    }

    fn verdict(&self, kv: &Kv, findings: Findings, budget: &Budget) -> Verdict {
        let size = format!("{} operations in {} sessions on {} keys", kv.ops.len(), kv.sessions(), kv.keys);
        let verdict = if findings.patterns.is_empty() {
            match findings.unfinished.or_else(|| kv.ambiguous.clone()) {
                Some(reason) => Verdict::unknown(self.name(), reason),
                None => Verdict::valid(self.name(), format!("{}: {size}", self.title())),
            }
        } else {
            let anomalies = self.explain_worst(kv, &findings.patterns, budget);
            let summary = format!("not {}: {}", self.title(), anomalies[0].sentence);
            Verdict::invalid(self.name(), summary, anomalies)
        };
        verdict
            .stat("operations", kv.ops.len())
            .stat("sessions", kv.sessions())
            .stat("keys", kv.keys)
            .stat("anomalies", findings.patterns.len())
            .stat("steps", findings.work)
            .stat("clock_bytes_max", findings.clock_bytes)
    }

    /// The first few patterns as anomalies, worst first.
    fn explain_worst(&self, kv: &Kv, patterns: &[Pattern], budget: &Budget) -> Vec<Anomaly> {
        let mut worst: Vec<&Pattern> = patterns.iter().collect();
        worst.sort_by_key(|pattern| match pattern {
            Pattern::ThinAirRead { .. } => 0,
            Pattern::AbortedRead { .. } => 1,
            Pattern::CyclicCo(circle) => 2 + circle.len(),
            _ => usize::MAX,
        });
        let explained = worst.into_iter().take(SHOWN).map(|pattern| {
            let mut anomaly = explain::explain(kv, pattern);
            let ops = match *pattern {
                // An operation of unknown outcome counts only with whoever shows that it took effect.
                Pattern::ThinAirRead { read } | Pattern::AbortedRead { read, .. } => vec![read],
                _ => {
                    anomaly.witness.clear();
                    self.witness(kv, pattern, budget)
                }
            };
            let ops = kv.with_readers(&ops);
            anomaly.witness.extend(ops.iter().map(|&op| kv.ops[op as usize].event() as usize));
            anomaly.witness.sort_unstable();
            anomaly.witness.dedup();
            if !self.stands_alone(kv, &anomaly, budget) {
                anomaly.steps.push(
                    "these operations alone do not show it: it follows from others with them".to_owned(),
                );
            }
            anomaly
        });
        explained.collect()
    }

    /// Whether the witness of an anomaly fails as a history of its own.
    fn stands_alone(&self, kv: &Kv, anomaly: &Anomaly, budget: &Budget) -> bool {
        let alone = kv.history.witness(&anomaly.witness);
        let found = registers::resolve(&alone, true, budget).and_then(|kv| Ok(self.examine(&kv, budget)?));
        found.is_ok_and(|found| !found.patterns.is_empty())
    }

    /// Operations that fail by themselves and hold the write of each read, starting from those of a pattern.
    fn witness(&self, kv: &Kv, pattern: &Pattern, budget: &Budget) -> Vec<u32> {
        let fails = |ops: &[u32]| {
            let cut = kv.cut(&kv.with_sources(ops));
            self.examine(&cut, budget).is_ok_and(|findings| !findings.patterns.is_empty())
        };
        let mut ops = kv.with_sources(&explain::ops(kv, pattern));
        if !fails(&ops) {
            // What a session must have seen may follow from reads that the cycle does not show.
            let session = explain::session(kv, pattern);
            ops = kv.with_sources(&explain::past(kv, session));
            if ops.len() > 20 * TRIED || !fails(&ops) {
                return ops;
            }
            return kv.with_sources(&registers::minimal(&ops, fails));
        }
        if ops.len() > TRIED {
            return ops;
        }
        kv.with_sources(&registers::minimal(&ops, fails))
    }
}

#[derive(Debug, Default)]
struct Findings {
    patterns: Vec<Pattern>,
    work: u64,
    clock_bytes: usize,
    /// Why the search ended early.
    unfinished: Option<String>,
}

impl Checker for Causal {
    fn name(&self) -> &str {
        match self.model {
            CausalModel::Cc => "causal",
            CausalModel::Ccv => "causal-convergence",
            CausalModel::Cm => "causal-memory",
            CausalModel::Pram => "pram",
        }
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        registers::judge(self, history, budget, |kv| {
            let findings = self.examine(kv, budget).map_err(Stop::from)?;
            Ok(self.verdict(kv, findings, budget))
        })
    }
}
