//! Causal consistency of key-value histories: CC, CCv and CM.
//!
//! Operations are `read`, `write` and `cas`, on independent keys (`[key, value]`) or on one register. All keys start
//! as null. A successful cas is a read of its old value and a write of its new one, at one point.
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
//! session. CCv and CM each imply CC; neither implies the other.

mod cc;
mod ccv;
pub(crate) mod clocks;
mod cm;
pub(crate) mod explain;
pub(crate) mod kv;
mod raw;

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;

use cc::{Causality, Pattern};
use clocks::Clocks;
use kv::Kv;

use crate::registry::CheckerEntry;
use crate::{Anomaly, Budget, Checker, History, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "causal",
        about: "registers are causally consistent (CC)",
        build: || Box::new(Causal::new(CausalModel::Cc)),
    },
    CheckerEntry {
        name: "causal-convergence",
        about: "registers are causally convergent (CCv)",
        build: || Box::new(Causal::new(CausalModel::Ccv)),
    },
    CheckerEntry {
        name: "causal-memory",
        about: "registers are a causal memory (CM)",
        build: || Box::new(Causal::new(CausalModel::Cm)),
    },
];

/// Which causal model to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CausalModel {
    /// Causal consistency.
    Cc,
    /// Causal convergence: with one order of conflicting writes for all.
    Ccv,
    /// Causal memory: with one order for each session.
    Cm,
}

/// Checks a key-value history against a causal model. See the [module](self) for what is expected of the history.
///
/// For n operations in k sessions, CC and CCv take O(n k) time and 4 n k bytes; CM takes the same, and more only where
/// reads hide concurrent writes.
#[derive(Clone, Debug)]
pub struct Causal {
    model: CausalModel,
    memory_cap_bytes: u64,
    work_cap: u64,
}

impl Causal {
    /// A checker of this model with caps of 1 GiB and 2·10⁹ steps.
    pub fn new(model: CausalModel) -> Causal {
        Causal { model, memory_cap_bytes: 1 << 30, work_cap: 2_000_000_000 }
    }

    /// The same checker, which answers `unknown` where its vector clocks would take more than this.
    pub fn memory_cap_bytes(mut self, bytes: u64) -> Causal {
        self.memory_cap_bytes = bytes;
        self
    }

    /// The same checker, which stops the search for CM or for the shortest cycle after this many steps.
    pub fn work_cap(mut self, steps: u64) -> Causal {
        self.work_cap = steps;
        self
    }

    fn title(&self) -> &'static str {
        match self.model {
            CausalModel::Cc => "causally consistent",
            CausalModel::Ccv => "causally convergent",
            CausalModel::Cm => "causal memory",
        }
    }

    fn examine(&self, kv: &Kv) -> Result<Findings, String> {
        let bytes = Clocks::bytes(kv);
        if bytes > self.memory_cap_bytes {
            return Err(format!(
                "the vector clocks of {} operations in {} sessions would take {bytes} bytes and the cap is {}",
                kv.ops.len(),
                kv.sessions(),
                self.memory_cap_bytes
            ));
        }
        let mut causality = cc::causality(kv);
        let mut patterns = std::mem::take(&mut causality.patterns);
        let (mut work, mut unfinished) = (causality.work, None);
        // The patterns of CCv and CM are defined over a causal order that has none of CC's.
        if patterns.is_empty() {
            (patterns, work, unfinished) = self.widen(kv, &causality);
        }
        Ok(Findings { patterns, work, unfinished })
    }

    fn widen(&self, kv: &Kv, causality: &Causality) -> (Vec<Pattern>, u64, Option<String>) {
        match self.model {
            CausalModel::Cc => (Vec::new(), causality.work, None),
            CausalModel::Ccv => {
                let (patterns, work) = ccv::cycles(kv, causality, self.work_cap);
                (patterns, causality.work + work, None)
            }
            CausalModel::Cm => {
                let memory = cm::memory(kv, causality, self.work_cap);
                let unfinished = (memory.decided < kv.sessions()).then(|| {
                    format!(
                        "the cap of {} steps was reached with {} of {} sessions decided; raise it or check CC or CCv",
                        self.work_cap,
                        memory.decided,
                        kv.sessions()
                    )
                });
                (memory.patterns, causality.work + memory.work, unfinished)
            }
        }
    }

    fn verdict(&self, kv: &Kv, findings: Findings) -> Verdict {
        let size = format!("{} operations in {} sessions on {} keys", kv.ops.len(), kv.sessions(), kv.keys);
        let verdict = if findings.patterns.is_empty() {
            match findings.unfinished.or_else(|| kv.ambiguous.clone()) {
                Some(reason) => Verdict::unknown(self.name(), reason),
                None => Verdict::valid(self.name(), format!("{}: {size}", self.title())),
            }
        } else {
            let anomalies = explain_worst(kv, &findings.patterns);
            let summary = format!("not {}: {}", self.title(), anomalies[0].sentence);
            Verdict::invalid(self.name(), summary, anomalies)
        };
        verdict
            .stat("operations", kv.ops.len())
            .stat("sessions", kv.sessions())
            .stat("keys", kv.keys)
            .stat("anomalies", findings.patterns.len())
            .stat("steps", findings.work)
    }
}

struct Findings {
    patterns: Vec<Pattern>,
    work: u64,
    /// Why the search ended early.
    unfinished: Option<String>,
}

impl Checker for Causal {
    fn name(&self) -> &str {
        match self.model {
            CausalModel::Cc => "causal",
            CausalModel::Ccv => "causal-convergence",
            CausalModel::Cm => "causal-memory",
        }
    }

    fn check_within(&self, history: &History, _budget: &Budget) -> Verdict {
        let outcome = kv::resolve(history, true)
            .and_then(|kv| self.examine(&kv).map(|findings| self.verdict(&kv, findings)));
        let mut verdict = outcome.unwrap_or_else(|reason| Verdict::unknown(self.name(), reason));
        advise(self, history, &mut verdict);
        verdict
    }
}

/// Where a failed operation was seen and all would be well had it been recorded as `info`, says so.
fn advise(checker: &Causal, history: &History, verdict: &mut Verdict) {
    if !verdict.anomalies.iter().any(|anomaly| anomaly.kind == "aborted-read") {
        return;
    }
    let innocent = kv::resolve(history, false)
        .and_then(|kv| checker.examine(&kv).map(|findings| findings.patterns.is_empty()))
        .unwrap_or(false);
    if innocent {
        for anomaly in verdict.anomalies.iter_mut().filter(|anomaly| anomaly.kind == "aborted-read") {
            anomaly.steps.push(
                "recorded as info instead of fail, the history would be valid: does the client know that it failed?"
                    .to_owned(),
            );
        }
    }
}

/// The first few patterns as anomalies, worst first.
fn explain_worst(kv: &Kv, patterns: &[Pattern]) -> Vec<Anomaly> {
    let mut worst: Vec<&Pattern> = patterns.iter().collect();
    worst.sort_by_key(|pattern| match pattern {
        Pattern::ThinAirRead { .. } => 0,
        Pattern::AbortedRead { .. } => 1,
        Pattern::CyclicCo(circle) => 2 + circle.len(),
        _ => usize::MAX,
    });
    worst.into_iter().take(SHOWN).map(|pattern| explain::explain(kv, pattern)).collect()
}
