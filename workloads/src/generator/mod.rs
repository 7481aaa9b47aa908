//! Generators: pure, seeded, composable sources of operations, after Jepsen's.
//!
//! A generator is asked for its next operation with [`Generator::next`] and told of every event with
//! [`Generator::update`]. It does no I/O, reads no clock and draws randomness only from its context, so a schedule is
//! a function of the seed and of the completions.
//!
//! Operations are never in the future: a generator that wants to wait answers [`Next::Pending`] with the time at which
//! it is worth asking again. So nothing that was taken is ever put back, which is why `next` may change the generator.
//!
//! # Building blocks
//!
//! Small generators are functions of this module, and methods of [`GeneratorExt`] wrap them:
//!
//! ```
//! use std::time::Duration;
//! use squall_workloads::Op;
//! use squall_workloads::generator::{GeneratorExt as _, Simulation, clients, forever, from_fn, mix_weighted, once};
//!
//! let mut n = 0;
//! let write = from_fn(move |_| {
//!     n += 1;
//!     Op::new("write").value(n)
//! });
//! let main = mix_weighted([(3, forever(Op::new("read")).boxed()), (1, write.boxed())])
//!     .rate(100.0)
//!     .time_limit(Duration::from_secs(1));
//! let all = clients(main.then(once(Op::new("read"))));
//!
//! let schedule = Simulation::new(5).seed(7).run(all).unwrap();
//! assert_eq!(schedule.invocations().last().unwrap().f, "read");
//! ```
//!
//! | family | what is in it |
//! |---|---|
//! | leaves | [`once`], [`forever`], [`ops`], [`from_fn`], [`log`], [`nothing`] |
//! | how many | [`limit`](GeneratorExt::limit), [`once`](GeneratorExt::once), [`until_ok`](GeneratorExt::until_ok), [`process_limit`](GeneratorExt::process_limit) |
//! | when | [`stagger`](GeneratorExt::stagger), [`rate`](GeneratorExt::rate), [`delay`](GeneratorExt::delay), [`time_limit`](GeneratorExt::time_limit), [`sleep`] |
//! | one after the other | [`seq`], [`then`](GeneratorExt::then), [`phases`], [`synchronize`](GeneratorExt::synchronize), [`cycle`](GeneratorExt::cycle), [`repeat`](GeneratorExt::repeat), [`flip_flop`] |
//! | one of several | [`any`], [`mix`], [`mix_weighted`] |
//! | who | [`clients`], [`nemesis`], [`clients_and_nemesis`], [`on_threads`], [`reserve`], [`each_thread`] |
//! | on which key | [`concurrent_keys`], [`sequential_keys`] |
//! | changed | [`map`](GeneratorExt::map), [`f_map`](GeneratorExt::f_map), [`filter`](GeneratorExt::filter), [`on_update`](GeneratorExt::on_update) |
//! | checked | [`Validated`], [`Simulation`] |
//!
//! # Rules that every generator keeps
//!
//! 1. It draws no randomness unless it hands out an operation (or decides which one it will hand out next, and keeps
//!    to that). So a schedule does not depend on how often it was polled.
//! 2. Whatever splits the threads ([`clients`], [`reserve`], [`any`], …) gives each part its own stream of randomness,
//!    seeded when it is first asked. So the nemesis does the same under a fast and under a slow client.
//! 3. It never answers `Pending` with a time that is not in the future.

mod choice;
mod context;
mod ext;
mod keys;
mod lanes;
mod leaf;
mod limit;
mod sequence;
mod simulate;
mod threads;
mod time;
mod transform;
mod validate;

pub use choice::{Any, Mix, any, mix, mix_weighted};
pub use context::{Context, Threads};
pub use ext::GeneratorExt;
pub use keys::{ConcurrentKeys, SequentialKeys, concurrent_keys, sequential_keys};
pub use leaf::{Forever, FromFn, Log, Nothing, Ops, forever, from_fn, log, nothing, once, ops};
pub use limit::{Limit, ProcessLimit, UntilOk};
pub use sequence::{Cycle, FlipFlop, Seq, Synchronize, cycle_with, flip_flop, phases, seq};
#[cfg(test)]
pub(crate) use simulate::assert_text;
pub use simulate::{Reply, Schedule, Simulation};
use squall_checkers::Op;
pub use threads::{
    EachThread, OnThreads, Reserve, clients, clients_and_nemesis, each_thread, nemesis, on_threads, reserve,
};
pub use time::{Paced, Sleep, TimeLimit, sleep};
pub use transform::{Filter, Map, OnUpdate};
pub use validate::{Misuse, Validated};

/// A generator's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Perform this now. Its process is free; its time is the context's. An operation of type `info` is not performed
    /// but written to the history as it is (a log line).
    Op(Op),
    /// Nothing yet. Ask again at this time (ns since the start of the run), or after the next event, whichever is
    /// sooner; `None` is after the next event.
    Pending(Option<u64>),
    /// Nothing ever again.
    Done,
}

/// A source of operations.
pub trait Generator: Send {
    /// The next operation for one of the context's free threads.
    fn next(&mut self, ctx: &mut Context<'_>) -> Next;

    /// Takes note of an event: every invocation and completion, in order, but no log line. The context already shows
    /// the thread as busy or free; a process that an `info` retires is still on its thread.
    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        let _ = (ctx, event);
    }
}

impl Generator for Box<dyn Generator> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        (**self).next(ctx)
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        (**self).update(ctx, event);
    }
}

/// The sooner of two times at which to ask again; `None` is no time of its own.
fn sooner(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A duration in nanoseconds, as times in a run are counted.
fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
