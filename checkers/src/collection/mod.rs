//! Linearizability of queues, stacks, priority queues and sets in near-linear time.
//!
//! Where each value is inserted at most once, what was removed says when it must have been there, and there is an order
//! exactly if a few patterns are absent. [`queue`] needs linear time (Henzinger, Sezgin & Vafeiadis, CONCUR 2013), [`stack`]
//! and [`priority`] O(n log n) (Lee & Mathur, OOPSLA 2025, arXiv 2410.04581), and [`elements`] judges a set one
//! element after the other. Each module says why it is right, and what becomes of operations that found nothing
//! and of those whose outcome is unknown.
//!
//! What the engines cannot tell goes to the general search of [`Linearizable`](crate::Linearizable): values
//! that were inserted more than once, unless those that were not show a violation already; peeks of queues and stacks;
//! reads of whole sets; and removals of unknown result of stacks and priority queues where neither of the
//! bounds in [`priority`] decides.
//!
//! A witness holds all operations on the fewest values that fail by themselves: no value can be left out.

mod cover;
mod elements;
mod explain;
mod facts;
mod layers;
mod object;
mod priority;
mod queue;
mod ruling;
mod search;
mod stack;
#[cfg(test)]
mod tests;
mod witness;

use explain::Explainer;
use facts::Facts;
use object::{Object, Stop};
use ruling::Ruling;

use crate::checker::without_real_time;
use crate::history::Pairs;
use crate::registry::{self, CheckerEntry, Order};
use crate::{Anomaly, Budget, Checker, History, Valid, Verdict};

/// Anomalies that are explained; further ones are counted.
const EXPLAINED_MAX: usize = 8;

/// Bytes that a check takes for each event of the history: of its pairs, its operations, the numbers and the spans of its
/// values, and what an engine needs besides.
const BYTES_PER_EVENT: usize = 64;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "linearizable-queue",
        about: "a first-in-first-out queue with enqueue and dequeue is linearizable",
        order: Order::RealTime,
        on: registry::Object::Single,
        build: |_| Box::new(Collection::queue()),
    },
    CheckerEntry {
        name: "linearizable-stack",
        about: "a last-in-first-out stack with push and pop is linearizable",
        order: Order::RealTime,
        on: registry::Object::Single,
        build: |_| Box::new(Collection::stack()),
    },
    CheckerEntry {
        name: "linearizable-priority-queue",
        about: "a queue of integers with insert and poll, which gives the least first, is linearizable",
        order: Order::RealTime,
        on: registry::Object::Single,
        build: |_| Box::new(Collection::priority_queue()),
    },
    CheckerEntry {
        name: "linearizable-max-priority-queue",
        about: "a queue of integers with insert and poll, which gives the greatest first, is linearizable",
        order: Order::RealTime,
        on: registry::Object::Single,
        build: |_| Box::new(Collection::max_priority_queue()),
    },
    CheckerEntry {
        name: "linearizable-set",
        about: "a set with add, remove, contains and read is linearizable",
        order: Order::RealTime,
        on: registry::Object::Set,
        build: |_| Box::new(Collection::set()),
    },
];

/// Which collection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Queue,
    Stack,
    PriorityQueue { greatest_first: bool },
    Set,
}

impl Kind {
    /// The usual names of its insertion and its removal.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Queue => ("enqueue", "dequeue"),
            Kind::Stack => ("push", "pop"),
            Kind::PriorityQueue { .. } => ("insert", "poll"),
            Kind::Set => ("add", "remove"),
        }
    }
}

/// Checks that a history of a queue, a stack, a priority queue or a set is linearizable.
///
/// [`ContainerOp`](crate::model::ContainerOp) and [`Set`](crate::model::Set) list the operations.
///
/// ```
/// use squall_checkers::{Checker, Collection, History, Op, Type, Valid};
///
/// let done = |f: &'static str, input: Option<i64>, output: i64| {
///     [Op::new(f).value(input), Op::new(f).value(output).kind(Type::Ok)]
/// };
/// let ops = [done("enqueue", Some(1), 1), done("enqueue", Some(2), 2), done("dequeue", None, 2)];
/// let history: History = ops.into_iter().flatten().collect();
/// let verdict = Collection::queue().check(&history);
/// assert_eq!(verdict.valid, Valid::False);
/// assert_eq!(verdict.anomalies[0].kind, "lost-element");
/// assert_eq!(verdict.anomalies[0].witness, [0, 1, 2, 3, 4, 5]);
/// assert_eq!(Collection::stack().check(&history).valid, Valid::True);
/// ```
#[derive(Clone, Debug)]
pub struct Collection {
    name: &'static str,
    kind: Kind,
    independent: bool,
    steps_max: Option<u64>,
}

impl Collection {
    fn new(name: &'static str, kind: Kind) -> Collection {
        Collection { name, kind, independent: false, steps_max: None }
    }

    /// A [`Queue`](crate::model::Queue).
    pub fn queue() -> Collection {
        Collection::new("linearizable-queue", Kind::Queue)
    }

    /// A [`Stack`](crate::model::Stack).
    pub fn stack() -> Collection {
        Collection::new("linearizable-stack", Kind::Stack)
    }

    /// A [`PriorityQueue`](crate::model::PriorityQueue) that gives the least value first.
    pub fn priority_queue() -> Collection {
        Collection::new("linearizable-priority-queue", Kind::PriorityQueue { greatest_first: false })
    }

    /// A [`PriorityQueue`](crate::model::PriorityQueue) that gives the greatest value first.
    pub fn max_priority_queue() -> Collection {
        Collection::new("linearizable-max-priority-queue", Kind::PriorityQueue { greatest_first: true })
    }

    /// A [`Set`](crate::model::Set).
    pub fn set() -> Collection {
        Collection::new("linearizable-set", Kind::Set)
    }

    /// Of independent collections: every value is `[key, value]`.
    pub fn independent(self) -> Collection {
        Collection { independent: true, ..self }
    }

    /// Gives up on a search after this many configurations: see
    /// [`Linearizable::steps_max`](crate::Linearizable::steps_max).
    pub fn steps_max(self, steps_max: u64) -> Collection {
        Collection { steps_max: Some(steps_max), ..self }
    }

    fn judge(&self, history: &History, budget: &Budget) -> Result<Tally, Stop> {
        let texts = history.memory_bytes().saturating_sub(history.len() * 24);
        let _lease = budget.lease(history.len() * BYTES_PER_EVENT + texts)?;
        let pairs = history.pairs();
        let (objects, keys) = object::objects(self.kind, self.independent, history, &pairs, budget)?;
        let explainer = Explainer { kind: self.kind, history, pairs: &pairs, independent: self.independent };
        let mut tally = Tally { keys: objects.len(), ..Tally::default() };
        for object in objects {
            budget.ask()?;
            tally.ops += object.ops.len();
            let key = explain::key(&object, &keys);
            let judged = Judge { collection: self, explainer: &explainer, pairs: &pairs, budget };
            tally.add(key, judged.object(object));
        }
        Ok(tally)
    }
}

impl Checker for Collection {
    fn name(&self) -> &str {
        self.name
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        if let Some(unknown) = without_real_time(self.name, history) {
            return unknown;
        }
        match self.judge(history, budget) {
            Ok(tally) => tally.verdict(self.name),
            Err(Stop::Bad(why)) => Verdict::unknown(self.name, why),
            Err(Stop::Spent(spent)) => Verdict::unknown(self.name, format!("{spent}; nothing is decided")),
        }
    }
}

/// Facts of a queue, a stack or a priority queue, and what its engine says.
fn judge_container(kind: Kind, object: &Object) -> (Facts, Ruling) {
    let facts = Facts::new(kind, object);
    let ruling = match kind {
        Kind::Queue => queue::judge(&facts, object),
        Kind::Stack => stack::judge(&facts, object),
        Kind::PriorityQueue { .. } => priority::judge(&facts, object),
        Kind::Set => Ruling::Unsure,
    };
    (facts, ruling)
}

/// What was found on one collection.
#[derive(Default)]
struct Outcome {
    anomalies: Vec<Anomaly>,
    /// Anomalies that are not explained.
    more: usize,
    /// Why it is undecided, and whether a search was needed.
    undecided: Option<String>,
    searched: bool,
}

/// Judges one collection after the other.
struct Judge<'a> {
    collection: &'a Collection,
    explainer: &'a Explainer<'a>,
    pairs: &'a Pairs,
    budget: &'a Budget,
}

impl Judge<'_> {
    fn object(&self, object: Object) -> Outcome {
        match self.collection.kind {
            Kind::Set => self.set(object),
            kind => self.container(kind, object),
        }
    }

    fn container(&self, kind: Kind, object: Object) -> Outcome {
        let (facts, ruling) = judge_container(kind, &object);
        let mut outcome = Outcome::default();
        for &(value, flaw) in facts.flaws.iter().take(EXPLAINED_MAX) {
            outcome.anomalies.push(self.explainer.flaw(&object, value, flaw));
        }
        outcome.more = facts.flaws.len().saturating_sub(EXPLAINED_MAX);
        let distinct = facts.distinct;
        drop(facts);
        if let Ruling::Illegal(found) = &ruling {
            outcome.anomalies.push(self.explainer.core(&witness::core(kind, &object, found)));
        }
        if outcome.anomalies.is_empty() && (!distinct || ruling == Ruling::Unsure) {
            self.search(&object, |_| true, &mut outcome);
        }
        outcome
    }

    fn set(&self, object: Object) -> Outcome {
        let judged = elements::judge(&object);
        let mut outcome = Outcome::default();
        for ops in judged.illegal.iter().take(EXPLAINED_MAX) {
            outcome.anomalies.push(self.explainer.element(&object, ops));
        }
        outcome.more = judged.illegal.len().saturating_sub(EXPLAINED_MAX);
        if outcome.anomalies.is_empty() && (judged.read || !judged.repeated.is_empty()) {
            let repeated = |at: u32| judged.repeated.binary_search(&object.ops[at as usize].value).is_ok();
            self.search(&object, |at| judged.read || repeated(at), &mut outcome);
        }
        outcome
    }

    fn search(&self, object: &Object, wanted: impl Fn(u32) -> bool, outcome: &mut Outcome) {
        let recorded = (self.explainer.history, self.pairs);
        let verdict = search::search(self.collection, object, wanted, recorded, self.budget);
        outcome.searched = true;
        outcome.undecided = verdict.reason.filter(|_| verdict.valid == Valid::Unknown);
        outcome.anomalies = verdict.anomalies;
    }
}

/// What was found on all collections.
#[derive(Default)]
struct Tally {
    keys: usize,
    ops: usize,
    invalid: usize,
    searched: usize,
    unknown: usize,
    anomalies: Vec<Anomaly>,
    more: usize,
    undecided: Option<String>,
}

impl Tally {
    fn add(&mut self, key: Option<serde_json::Value>, outcome: Outcome) {
        self.invalid += usize::from(!outcome.anomalies.is_empty());
        self.searched += usize::from(outcome.searched);
        self.unknown += usize::from(outcome.undecided.is_some());
        self.more += outcome.more;
        if let (Some(reason), None) = (outcome.undecided, &self.undecided) {
            self.undecided = Some(key.as_ref().map_or(reason.clone(), |key| format!("key {key}: {reason}")));
        }
        for anomaly in outcome.anomalies {
            if self.anomalies.len() >= EXPLAINED_MAX {
                self.more += 1;
                continue;
            }
            let sentence = match &key {
                Some(key) => format!("key {key}: {}", anomaly.sentence),
                None => anomaly.sentence,
            };
            self.anomalies.push(Anomaly { key: key.clone().or(anomaly.key), sentence, ..anomaly });
        }
    }

    fn verdict(self, name: &str) -> Verdict {
        let found = self.anomalies.len() + self.more;
        let verdict = if !self.anomalies.is_empty() {
            let summary = format!("not linearizable: {}", self.anomalies[0].sentence);
            Verdict::invalid(name, summary, self.anomalies)
        } else if let Some(reason) = self.undecided {
            Verdict::unknown(name, reason)
        } else {
            Verdict::valid(name, format!("{} ops linearizable", self.ops))
        };
        verdict
            .stat("keys", self.keys)
            .stat("ops", self.ops)
            .stat("violations", found)
            .stat("keys_invalid", self.invalid)
            .stat("keys_searched", self.searched)
            .stat("keys_unknown", self.unknown)
    }
}
