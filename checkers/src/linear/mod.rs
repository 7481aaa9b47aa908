//! Linearizability (Herlihy & Wing 1990): whether some order of the operations, one that respects real time, is legal
//! for a sequential model.
//!
//! Operations whose outcome is unknown may take effect at any time after their invocation, or never.
//!
//! Registers whose values are set once each are judged straight from the events, in near-linear time ([`direct`],
//! [`clusters`]: Gibbons & Korach 1997). What these do not decide is split into independent objects ([`split`]), and
//! each is searched alone and in parallel, by two engines in turns ([`portfolio`]): depth first (Wing & Gong 1993, Lowe
//! 2017) and just in time, return by return (Lowe 2017). That is exponential in the operations that are pending at once
//! and linear in the length of the history. A failure is explained by a small witness.

mod bags;
mod begun;
mod breadth;
mod cache;
pub(crate) mod clusters;
mod cursor;
mod depth;
mod direct;
mod engine;
mod explain;
mod foresight;
mod interner;
pub(crate) mod meter;
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

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use begun::Begun;
use engine::{Found, Report};
use explain::Explainer;
use meter::{Limit, Limits};
use split::{Keys, Objects, Part, Refusal};

use serde_json::Value;

use crate::checker::without_real_time;
use crate::model::{self, Counter, Kv, Model, MultiRegister, Register, Semaphore, Values};
use crate::registry::{CheckerEntry, Object, Order};
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
        order: Order::RealTime,
        on: Object::Single,
        build: |facts| match facts.keyed {
            true => Box::new(Linearizable::new("linearizable-registers", Register).independent()),
            false => Box::new(Linearizable::new("linearizable-register", Register)),
        },
    },
    CheckerEntry {
        name: "linearizable-registers",
        about: "independent registers, whose values are [key, value], are each linearizable",
        order: Order::RealTime,
        on: Object::KeyedRegisters,
        build: |_| Box::new(Linearizable::new("linearizable-registers", Register).independent()),
    },
    CheckerEntry {
        name: "linearizable-kv",
        about: "a map with get, put, append and delete is linearizable",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Linearizable::new("linearizable-kv", Kv).independent()),
    },
    CheckerEntry {
        name: "linearizable-mutex",
        about: "a lock with acquire and release is linearizable",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Linearizable::new("linearizable-mutex", model::Mutex)),
    },
    CheckerEntry {
        name: "linearizable-counter",
        about: "a counter with add and read, or one for each key, is linearizable",
        order: Order::RealTime,
        on: Object::Counter,
        build: |_| Box::new(Linearizable::new("linearizable-counter", Counter).independent()),
    },
    CheckerEntry {
        name: "linearizable-semaphore",
        about: "a semaphore with acquire and release is linearizable",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Linearizable::new("linearizable-semaphore", Semaphore::default())),
    },
    CheckerEntry {
        name: "linearizable-multi-register",
        about: "registers that are read and written several at a time are linearizable",
        order: Order::RealTime,
        on: Object::MultiRegister,
        build: |_| Box::new(Linearizable::new("linearizable-multi-register", MultiRegister)),
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
    initial: Option<Value>,
}

impl<M: Model> Linearizable<M> {
    /// A checker of that name, of one object or of the objects into which the model partitions a history.
    pub fn new(name: impl Into<String>, model: M) -> Linearizable<M> {
        Linearizable { name: name.into(), model, keys: Keys::Model, steps_max: STEPS_MAX, initial: None }
    }

    /// Of independent objects: every value is `[key, value]`, and the model sees `value` only.
    pub fn independent(self) -> Linearizable<M> {
        Linearizable { keys: Keys::Independent, ..self }
    }

    /// Every object holds this value before the first operation: a register or a key, a counter, a semaphore's permits.
    pub fn starting_at(self, value: impl Into<Value>) -> Linearizable<M> {
        Linearizable { initial: Some(value.into()), ..self }
    }

    /// Gives up on a key after this many configurations.
    pub fn steps_max(self, steps_max: u64) -> Linearizable<M> {
        Linearizable { steps_max, ..self }
    }

    /// All objects share the budget. One that found too little memory because others had it is searched again alone,
    /// so that the answer does not depend on which came first.
    fn judge(&self, model: &Begun<'_, M>, parts: &[Part<Begun<'_, M>>], budget: &Budget) -> Vec<Report> {
        let limits = Limits { steps: self.steps_max, budget };
        let solve = |part: &Part<Begun<'_, M>>| portfolio::solve(model, &part.problem, &limits);
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
        let model = Begun { model: &self.model, initial: self.initial.as_ref() };
        let initial = self.initial.clone().unwrap_or_default();
        if self.initial.is_some() && self.model.starting_at(&initial).is_none() {
            return Verdict::unknown(&self.name, format!("this object cannot hold {initial} at first"));
        }
        let nothing =
            |limit: &dyn fmt::Display| Verdict::unknown(&self.name, format!("{limit}; nothing is decided"));
        // The others say what objects hold at first.
        let recorded = |ops: usize| ops.saturating_sub(history.added_ops());
        let mut objects = Objects::default();
        let direct = match model.register_names() {
            Some(names) => direct::judge(&names, self.keys, &initial, history, &mut objects, budget),
            None => Ok(None),
        };
        let direct = match direct {
            Ok(direct) => direct,
            Err(spent) => return nothing(&spent),
        };
        let decided = |object: usize| direct.as_ref().is_some_and(|d| d.decided.get(object) == Some(&true));
        if let Some(direct) = direct.as_ref().filter(|direct| direct.decided.iter().all(|&decided| decided)) {
            let found = Found::Linearizable;
            let report = Report { memory_bytes: direct.memory_bytes, ..Report::new(found) };
            return self.valid(direct.keys, recorded(direct.ops), &[report]);
        }
        let values = Values::starting_at(&initial);
        let wanted = |object| !decided(object);
        let split = match split::split(&model, self.keys, history, values, wanted, &mut objects, budget) {
            Ok(split) => split,
            Err(Refusal::Malformed(why)) => return Verdict::unknown(&self.name, why),
            Err(Refusal::Spent(spent)) => return nothing(&spent),
        };
        let reports = self.judge(&model, &split.parts, budget);
        let searched: usize = split.parts.iter().map(|part| part.problem.entries.len()).sum();
        let (keys, ops) = match &direct {
            Some(direct) => (direct.keys, recorded(direct.ops + searched)),
            None => (split.parts.len(), recorded(searched)),
        };
        if reports.iter().all(|report| report.found == Found::Linearizable) {
            return self.valid(keys, ops, &reports);
        }
        let Ok(_pairs) = budget.lease(history.len() * size_of::<u32>()) else {
            return nothing(&"no memory is left to say what was found");
        };
        let pairs = history.pairs();
        let explainer =
            Explainer { model: &model, keys: self.keys, history, pairs, values: &split.values, budget };
        self.explain(&explainer, &split.parts, &reports, keys, ops)
    }
}

impl<M: Model> Linearizable<M> {
    fn valid(&self, keys: usize, ops: usize, reports: &[Report]) -> Verdict {
        let summary = format!("{} on {} linearizable", count(ops, "op"), count(keys, "key"));
        with_stats(Verdict::valid(&self.name, summary), keys, ops, reports)
    }

    /// The verdict where some objects have no order or are not decided.
    fn explain<'m>(
        &self,
        explainer: &Explainer<'_, Begun<'m, M>>,
        parts: &[Part<Begun<'m, M>>],
        reports: &[Report],
        keys: usize,
        ops: usize,
    ) -> Verdict {
        let judged = || parts.iter().zip(reports);
        let failing: Vec<_> = judged().filter(|(_, report)| report.found == Found::Illegal).collect();
        let explained = &failing[..failing.len().min(EXPLAINED_MAX)];
        let anomalies: Vec<Anomaly> =
            in_parallel(explained, |(part, report)| explainer.anomaly(part, report));
        let undecided = judged().find_map(|(part, report)| match report.found {
            Found::Exhausted(limit) => Some(explainer.undecided(part, report, limit)),
            _ => None,
        });
        let prefix = judged()
            .filter(|(_, report)| report.found != Found::Linearizable)
            .map(|(part, report)| explainer.decided_events(part, report))
            .min();
        let verdict = if let Some(reason) = undecided.filter(|_| anomalies.is_empty()) {
            Verdict::unknown(&self.name, reason)
        } else {
            let summary = format!("{} of {} not linearizable", failing.len(), count(keys, "key"));
            Verdict::invalid(&self.name, summary, anomalies)
        };
        with_stats(verdict, keys, ops, reports).stat("valid_prefix_events", prefix.unwrap_or(0))
    }
}

fn with_stats(verdict: Verdict, keys: usize, ops: usize, reports: &[Report]) -> Verdict {
    let number = |wanted: fn(&Found) -> bool| reports.iter().filter(|report| wanted(&report.found)).count();
    verdict
        .stat("keys", keys)
        .stat("ops", ops)
        .stat("keys_invalid", number(|found| *found == Found::Illegal))
        .stat("keys_unknown", number(|found| matches!(found, Found::Exhausted(_))))
        .stat("configurations", reports.iter().map(|report| report.steps).sum::<u64>())
        .stat("search_bytes_max", reports.iter().map(|report| report.memory_bytes).max().unwrap_or(0))
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
