//! Sequential consistency (Lamport, *How to make a multiprocessor computer that correctly executes multiprocess programs*,
//! IEEE ToC C-28, 1979): all operations fit one order that respects the order of each process.
//!
//! Unlike linearizability it does not respect real time, and keys cannot be judged alone. But what is linearizable is sequentially
//! consistent, and linearizability is local (Herlihy and Wing 1990): where each key is, by its zones, in near-linear time,
//! so is the whole, and nothing more is to be done. Otherwise deciding it is NP-complete even where
//! it is known which write each read saw (Gibbons and Korach 1997). First, what must hold in every order is saturated, in
//! polynomial time: a cycle there decides against. Then a search goes over the window of the next operations of all
//! processes, guided by that order and by real time; what is found once not to lead on is not tried again. It is
//! capped by steps and the budget, and an `unknown` verdict says how many operations were placed.
//!
//! Sessions, outcomes and values that were written twice are treated as in [`causal`](crate::causal), whose models this one
//! implies.

mod order;
mod search;
#[cfg(test)]
mod tests;

use order::Order;
use search::{Found, Search};

use crate::linear::clusters::{self, BYTES_PER_CLUSTER, Cluster, NONE};
use crate::linear::meter::Limit;
use crate::registers::{self, Kv, Sessions, Source, Teller};
use crate::registry::{self, CheckerEntry};
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// Steps that a search may cost, where nothing else is said.
const STEPS_MAX: u64 = 50_000_000;

/// Operations times sessions from which a witness is still cut.
const CUT_MAX: usize = 2_000_000;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[CheckerEntry {
    name: "sequential",
    about: "registers fit one order of all operations that respects that of each process",
    order: registry::Order::Sessions,
    on: registry::Object::Single,
    build: |_| Box::new(Sequential::default()),
}];

/// Checks that registers are sequentially consistent. See the [module](self).
///
/// ```
/// use squall_checkers::{Checker, History, Op, Process, Sequential, Type, Valid};
///
/// let by = |process, f, value| Op::new(f).process(Process::Client(process)).value(value);
/// let history: History = [
///     by(0, "write", 1),
///     by(0, "write", 1).kind(Type::Ok),
///     Op::new("read").process(Process::Client(1)),
///     Op::new("read").process(Process::Client(1)).kind(Type::Ok),
/// ]
/// .into_iter()
/// .collect();
/// // The read is stale in real time, but it may come first.
/// assert_eq!(Sequential::default().check(&history).valid, Valid::True);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sequential {
    steps_max: u64,
}

impl Default for Sequential {
    fn default() -> Sequential {
        Sequential { steps_max: STEPS_MAX }
    }
}

/// What came out.
struct Outcome {
    found: Found,
    placed: usize,
    steps: u64,
}

impl Sequential {
    /// The same checker, which gives up after so many steps of the search.
    pub fn steps_max(self, steps_max: u64) -> Sequential {
        Sequential { steps_max }
    }

    fn decide(self, kv: &Sessions, budget: &Budget) -> Result<Outcome, Spent> {
        let unreadable = |source| matches!(source, Source::ThinAir | Source::Aborted(_));
        if kv.ops.iter().any(|op| unreadable(op.source)) {
            return Ok(Outcome { found: Found::None, placed: 0, steps: 0 });
        }
        if linearizable(kv, budget)? {
            return Ok(Outcome { found: Found::Order, placed: kv.ops.len(), steps: 0 });
        }
        let Some(order) = Order::new(kv, budget)? else {
            return Ok(Outcome { found: Found::None, placed: 0, steps: 0 });
        };
        if kv.ops.iter().any(|op| op.source == Source::Several) {
            return Ok(Outcome { found: Found::Capped, placed: 0, steps: order.steps });
        }
        let mut search = Search::new(kv, &order);
        let found = search.run(self.steps_max, budget)?;
        Ok(Outcome { found, placed: search.most, steps: order.steps + search.steps })
    }

    fn explain(self, kv: &Kv, budget: &Budget) -> Anomaly {
        let teller = Teller { kv, within: None };
        for (id, op) in (0..).zip(&kv.ops) {
            let did = || teller.did_read(id);
            match op.source {
                Source::ThinAir => {
                    let sentence = format!("{}, which nobody ever wrote", did());
                    return teller.anomaly("thin-air-read", id, sentence, &[id]);
                }
                Source::Aborted(event) => {
                    let sentence = format!("{}, which only a failed operation wrote", did());
                    let mut anomaly = teller.anomaly("aborted-read", id, sentence, &[id]);
                    anomaly.witness.insert(0, event as usize);
                    return anomaly;
                }
                _ => {}
            }
        }
        let fails = |ops: &[u32]| {
            let cut = kv.cut(&kv.with_sources(ops));
            self.decide(&cut, budget).is_ok_and(|outcome| outcome.found == Found::None)
        };
        let mut ops: Vec<u32> = (0..kv.ops.len() as u32).collect();
        let small = ops.len().saturating_mul(kv.sessions()) <= CUT_MAX;
        if small {
            // In the order of events, so that the first operations that fail are found.
            ops = kv.with_sources(&registers::minimal(&kv.by_event(), fails));
        }
        let names: Vec<String> = ops.iter().take(20).map(|&op| teller.name(op)).collect();
        let sentence = if small {
            format!("no one order that respects each process fits {}", names.join("; "))
        } else {
            format!("no one order that respects each process fits the {} operations", ops.len())
        };
        let mut anomaly = teller.anomaly("not-sequential", ops[0], sentence, &ops);
        if small {
            for &op in &ops {
                if let Some(write) = kv.source(op) {
                    teller.reads_from(&mut anomaly, write, op);
                }
            }
        } else {
            anomaly.steps.push("the history is too large for a smaller witness to be cut from it".to_owned());
        }
        anomaly
    }
}

/// Whether the operations on each key have an order that respects that of their events, which that of each session is
/// part of.
fn linearizable(kv: &Sessions, budget: &Budget) -> Result<bool, Spent> {
    let count = kv.keys + kv.ops.len();
    let _lease = budget.lease(count * (size_of::<Cluster>() + BYTES_PER_CLUSTER))?;
    // The initial value of each key, then what each operation wrote.
    let initial = (0..kv.keys as u32).map(Cluster::initial);
    let mut clusters: Vec<Cluster> = initial.chain(kv.ops.iter().map(|op| Cluster::new(op.key))).collect();
    for (id, op) in kv.ops.iter().enumerate() {
        let (begun, ended) = (op.invoke + 1, op.complete.saturating_add(1));
        let saw = match op.source {
            Source::Nothing => NONE,
            Source::Initial => op.key,
            Source::Write(write) => kv.keys as u32 + write,
            Source::Several | Source::Aborted(_) | Source::ThinAir => return Ok(false),
        };
        if op.is_write() {
            let cluster = &mut clusters[kv.keys + id];
            (cluster.called, cluster.returned, cluster.from) = (begun, ended, saw);
        } else if saw != NONE {
            clusters[saw as usize].read(begun, ended);
        }
    }
    match clusters::illegal(&mut clusters, kv.keys, budget) {
        Ok(illegal) => Ok(!illegal.contains(&true)),
        Err(Limit::Spent(spent)) => Err(spent),
        Err(_) => Ok(false),
    }
}

impl Checker for Sequential {
    fn name(&self) -> &str {
        "sequential"
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        registers::judge(self, history, budget, |kv| {
            let outcome = self.decide(kv, budget)?;
            let n = kv.ops.len();
            let verdict = match (outcome.found, &kv.ambiguous) {
                (Found::None, _) => {
                    let anomaly = self.explain(kv, budget);
                    Verdict::invalid(self.name(), anomaly.sentence.clone(), vec![anomaly])
                }
                (_, Some(reason)) => Verdict::unknown(self.name(), reason),
                (Found::Order, None) => Verdict::valid(
                    self.name(),
                    format!("{n} operations in {} sessions fit one order", kv.sessions()),
                ),
                (Found::Capped, None) => Verdict::unknown(
                    self.name(),
                    format!(
                        "the cap of {} steps was reached with {} of {n} operations placed",
                        self.steps_max, outcome.placed
                    ),
                ),
            };
            Ok(verdict.stat("operations", n).stat("sessions", kv.sessions()).stat("steps", outcome.steps))
        })
    }
}
