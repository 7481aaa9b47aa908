//! Linearizability (Herlihy & Wing 1990): whether some order of the operations, one that respects real time, is legal
//! for a sequential model.
//!
//! A history is split into independent objects, each is judged alone and in parallel, and a failure is explained by a
//! small witness. Operations whose outcome is unknown may take effect at any time after their invocation, or never.

mod bags;
mod breadth;
mod cache;
mod cursor;
mod depth;
mod engine;
mod explain;
mod interner;
mod meter;
mod misread;
mod portfolio;
mod problem;
mod space;
mod split;
#[cfg(test)]
mod tests;
mod window;
mod witness;
mod zones;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use engine::{Found, Report};
use explain::Explainer;
use meter::{Limit, Limits};
use split::{Keys, Objects, Part, Refusal};

use crate::checker::without_real_time;
use crate::model::{self, Counter, Kv, Model, Register, Values};
use crate::registry::CheckerEntry;
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// Configurations that a key may cost, where nothing else is said.
const STEPS_MAX: u64 = 50_000_000;

/// Failing keys that are explained with a witness; further ones are counted.
const EXPLAINED_MAX: usize = 8;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "linearizable-register",
        about: "one register with read, write and cas is linearizable",
        build: || Box::new(Linearizable::new("linearizable-register", Register)),
    },
    CheckerEntry {
        name: "linearizable-registers",
        about: "independent registers, whose values are [key, value], are each linearizable",
        build: || Box::new(Linearizable::new("linearizable-registers", Register).independent()),
    },
    CheckerEntry {
        name: "linearizable-kv",
        about: "a map with get, put, append and delete is linearizable",
        build: || Box::new(Linearizable::new("linearizable-kv", Kv).independent()),
    },
    CheckerEntry {
        name: "linearizable-mutex",
        about: "a lock with acquire and release is linearizable",
        build: || Box::new(Linearizable::new("linearizable-mutex", model::Mutex)),
    },
    CheckerEntry {
        name: "linearizable-counter",
        about: "a counter with add and read is linearizable",
        build: || Box::new(Linearizable::new("linearizable-counter", Counter)),
    },
];

/// Checks that a history is linearizable with respect to a model.
///
/// ```
/// use squall_checkers::model::Register;
/// use squall_checkers::{Checker, History, Linearizable, Op, Type, Valid};
///
/// let history: History = [
///     Op::new("write").value(1),
///     Op::new("write").value(1).kind(Type::Ok),
///     Op::new("read"),
///     Op::new("read").value(2).kind(Type::Ok),
/// ]
/// .into_iter()
/// .collect();
/// assert_eq!(Linearizable::new("register", Register).check(&history).valid, Valid::False);
/// ```
pub struct Linearizable<M> {
    name: String,
    model: M,
    keys: Keys,
    steps_max: u64,
}

impl<M: Model> Linearizable<M> {
    /// A checker of that name, of one object or of the objects into which the model partitions a history.
    pub fn new(name: impl Into<String>, model: M) -> Linearizable<M> {
        Linearizable { name: name.into(), model, keys: Keys::Model, steps_max: STEPS_MAX }
    }

    /// Of independent objects: every value is `[key, value]`, and the model sees `value` only.
    pub fn independent(self) -> Linearizable<M> {
        Linearizable { keys: Keys::Independent, ..self }
    }

    /// Gives up on a key after this many configurations.
    pub fn steps_max(self, steps_max: u64) -> Linearizable<M> {
        Linearizable { steps_max, ..self }
    }

    /// Every object is searched for no more than the budget, which all share. One that found too little memory because others had
    /// it is searched again alone, so that the answer does not depend on which came first.
    fn judge(&self, parts: &[Part<M>], budget: &Budget) -> Vec<Report> {
        let limits = Limits { steps: self.steps_max, budget };
        let solve = |part: &Part<M>| portfolio::solve(&self.model, &part.problem, &limits);
        let mut reports = in_parallel(parts, solve);
        for (part, report) in parts.iter().zip(&mut reports).filter(|_| parts.len() > 1) {
            if let Found::Exhausted(Limit::Spent(Spent::Memory { .. })) = report.found {
                *report = solve(part);
            }
        }
        reports
    }
}

impl<M: Model> Checker for Linearizable<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        if let Some(unknown) = without_real_time(&self.name, history) {
            return unknown;
        }
        let mut objects = Objects::default();
        let values = Values::default();
        let split = split::split(&self.model, self.keys, history, values, |_| true, &mut objects, budget);
        let (parts, values) = match &split {
            Ok(split) => (&split.parts, &split.values),
            Err(Refusal::Malformed(why)) => return Verdict::unknown(&self.name, why),
            Err(Refusal::Spent(spent)) => {
                return Verdict::unknown(&self.name, format!("{spent}; nothing is decided"));
            }
        };
        let reports = self.judge(parts, budget);
        let model = &self.model;
        let explainer = Explainer { model, keys: self.keys, history, pairs: history.pairs(), values, budget };
        let judged = || parts.iter().zip(&reports);
        let failing: Vec<_> = judged().filter(|(_, report)| report.found == Found::Illegal).collect();
        let anomalies: Vec<Anomaly> =
            in_parallel(&failing[..failing.len().min(EXPLAINED_MAX)], |(part, report)| {
                explainer.anomaly(part, report)
            });
        let undecided = judged().find_map(|(part, report)| match report.found {
            Found::Exhausted(limit) => Some(explainer.undecided(part, report, limit)),
            _ => None,
        });
        let ops: usize = parts.iter().map(|part| part.problem.entries.len()).sum();
        let verdict = if !anomalies.is_empty() {
            let summary = format!("{} of {} not linearizable", failing.len(), count(parts.len(), "key"));
            Verdict::invalid(&self.name, summary, anomalies)
        } else if let Some(reason) = undecided {
            Verdict::unknown(&self.name, reason)
        } else {
            let summary = format!("{} on {} linearizable", count(ops, "op"), count(parts.len(), "key"));
            Verdict::valid(&self.name, summary)
        };
        verdict
            .stat("keys", parts.len())
            .stat("ops", ops)
            .stat("keys_invalid", failing.len())
            .stat("keys_unknown", judged().filter(|(_, r)| matches!(r.found, Found::Exhausted(_))).count())
            .stat("configurations", reports.iter().map(|report| report.steps).sum::<u64>())
            .stat("search_bytes_max", reports.iter().map(|report| report.memory_bytes).max().unwrap_or(0))
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// How many of so many items are worked on at once.
fn threads(items: usize) -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(items)
}

/// The results of `work` on every item, in order, on all cores.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = threads(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    *done[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    done.into_iter()
        .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
        .map(|result| result.expect("a worker that panics is re-raised by the scope"))
        .collect()
}
