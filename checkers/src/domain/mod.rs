//! Checkers for what a system is used as: sets, counters, queues, ids, banks, logs, locks.
//!
//! Each takes one pass or a few over the history and judges it by the promises of that one use. Where Jepsen has such a
//! checker, the operations and the failures are Jepsen's, so that its histories can be judged; the module says where
//! this one goes further. What all have in common:
//!
//! - An operation of unknown outcome may have taken effect at any time from its invocation on, or never. Nothing is
//!   called wrong that such an operation explains.
//! - An anomaly's witness is whole operations, which fail by themselves. Unless its module says otherwise, no operation
//!   can be left out.
//! - The verdict is unknown, with the reason, where nothing was judged: no acknowledged read, no final read. So it is where
//!   it rests on what ended before what began, and the history's format does not tell.
//! - An operation that was recorded as failed and was seen all the same is an anomaly. Its sentence says that it should
//!   have been recorded as `info` if it might have taken effect.

pub mod bank;
mod calls;
pub mod convergence;
pub mod counter;
pub mod exactly_once;
pub mod fencing;
mod findings;
pub mod kafka;
mod kafka_log;
mod kafka_mops;
mod kafka_ops;
#[cfg(test)]
mod kafka_tests;
pub mod long_fork;
pub mod monotonic;
pub mod queue;
pub mod set;
mod set_elements;
mod set_order;
#[cfg(test)]
mod set_tests;
pub mod staleness;
#[cfg(test)]
mod testing;
pub mod unique_ids;
pub mod watch;
mod watch_ops;
#[cfg(test)]
mod watch_tests;

pub use bank::Bank;
pub use convergence::Convergence;
pub use counter::Counter;
pub use exactly_once::ExactlyOnce;
pub use fencing::Fencing;
pub use kafka::Kafka;
pub use long_fork::LongFork;
pub use monotonic::Monotonic;
pub use queue::Queue;
pub use set::SetFull;
pub use staleness::Staleness;
pub use unique_ids::UniqueIds;
pub use watch::Watch;

use crate::registry::{CheckerEntry, Facts, Object, Order};

fn set(facts: &Facts) -> SetFull {
    if facts.keyed_sets { SetFull::new().independent() } else { SetFull::new() }
}

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "set",
        about: "a set that grows is linearizable",
        order: Order::RealTime,
        on: Object::Single,
        build: |facts| Box::new(set(facts).linearizable()),
    },
    CheckerEntry {
        name: "set-full",
        about: "a set loses nothing that was acknowledged; reads may be stale",
        order: Order::RealTime,
        on: Object::Single,
        build: |facts| Box::new(set(facts)),
    },
    CheckerEntry {
        name: "counter",
        about: "every read of a counter is between what was and what may have been added",
        order: Order::RealTime,
        on: Object::Counter,
        build: |facts| Box::new(if facts.keyed { Counter::new().independent() } else { Counter::new() }),
    },
    CheckerEntry {
        name: "unordered-queue",
        about: "a queue gives out only what was put in, and no more often, in any order",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Queue::new()),
    },
    CheckerEntry {
        name: "total-queue",
        about: "what was put into a queue comes out, perhaps twice, and nothing else does",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Queue::total()),
    },
    CheckerEntry {
        name: "unique-ids",
        about: "no id is given out twice",
        order: Order::Any,
        on: Object::Single,
        build: |_| Box::new(UniqueIds::new()),
    },
    CheckerEntry {
        name: "bank",
        about: "transfers keep a bank's total, and no balance is below 0",
        order: Order::Any,
        on: Object::Single,
        build: |_| Box::new(Bank::new()),
    },
    CheckerEntry {
        name: "long-fork",
        about: "no two readers disagree on which of two writes came first",
        order: Order::Sessions,
        on: Object::TxnRegisters,
        build: |_| Box::new(LongFork::new()),
    },
    CheckerEntry {
        name: "monotonic",
        about: "a value that only grows is never seen to shrink",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Monotonic::new()),
    },
    CheckerEntry {
        name: "kafka",
        about: "logs keep what was sent to them, each message at one offset, and are polled in order",
        order: Order::Sessions,
        on: Object::Logs,
        build: |_| Box::new(Kafka::new()),
    },
    CheckerEntry {
        name: "watch",
        about: "all who watch a value see the same changes in the same order",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Watch::new()),
    },
    CheckerEntry {
        name: "fencing",
        about: "a lock has one holder, its tokens grow, and no write with an old one is accepted",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Fencing::new()),
    },
    CheckerEntry {
        name: "staleness",
        about: "how long ago the values that are read were overwritten",
        order: Order::RealTime,
        on: Object::Single,
        build: |facts| Box::new(if facts.keyed { Staleness::new().independent() } else { Staleness::new() }),
    },
    CheckerEntry {
        name: "exactly-once",
        about: "what is submitted is processed, and not twice",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(ExactlyOnce::new()),
    },
    CheckerEntry {
        name: "convergence",
        about: "the final reads of all processes agree and lack nothing that was acknowledged",
        order: Order::RealTime,
        on: Object::Single,
        build: |_| Box::new(Convergence::new()),
    },
];
