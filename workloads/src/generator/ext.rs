//! Method chaining.

use std::time::Duration;

use squall_checkers::Op;

use super::{
    Cycle, EachThread, Filter, Generator, Limit, Map, OnThreads, OnUpdate, Paced, ProcessLimit, Seq,
    Synchronize, Threads, TimeLimit, UntilOk, Validated, cycle_with, each_thread, on_threads, phases,
    transform,
};

/// Combinators as methods of every generator. Unless it says otherwise, a combinator passes events on to what it wraps
/// and leaves the choice of threads to it.
pub trait GeneratorExt: Generator + Sized {
    /// The generator as a trait object, so that generators of different kinds fit one list.
    fn boxed(self) -> Box<dyn Generator>
    where
        Self: 'static,
    {
        Box::new(self)
    }

    /// At most `n` operations.
    fn limit(self, n: usize) -> Limit<Self> {
        Limit { generator: self, left: n }
    }

    /// Its first operation only.
    fn once(self) -> Limit<Self> {
        self.limit(1)
    }

    /// Its operations until one of them completes with `ok`. Operations that are open by then still complete. It may
    /// never end: put a [`limit`](GeneratorExt::limit) or [`time_limit`](GeneratorExt::time_limit) around it.
    fn until_ok(self) -> UntilOk<Self> {
        UntilOk::new(self)
    }

    /// Its operations until one comes by the `n + 1`-th different process. Each `info` brings in a new process, so this
    /// bounds the operations of unknown outcome, which make a history hard to check.
    fn process_limit(self, n: usize) -> ProcessLimit<Self> {
        ProcessLimit::new(self, n)
    }

    /// Its operations until this long after it was first asked. Operations that are open by then still complete.
    fn time_limit(self, limit: Duration) -> TimeLimit<Self> {
        TimeLimit::new(self, limit)
    }

    /// Its operations at random intervals, uniform from 0 to twice the mean, over all threads together.
    ///
    /// The first comes at once. Intervals are planned from the moment at which the last operation was due, so small
    /// delays do not lower the mean rate; but when more than 10 ms behind (all threads were busy) it gives up what it
    /// missed instead of making up for it in a burst.
    fn stagger(self, mean: Duration) -> Paced<Self> {
        Paced::mean(self, mean)
    }

    /// [`stagger`](GeneratorExt::stagger) to a mean of this many operations a second; not positive or not finite means
    /// as fast as possible.
    fn rate(self, ops_per_s: f64) -> Paced<Self> {
        Paced::mean(self, Duration::try_from_secs_f64(ops_per_s.recip()).unwrap_or_default())
    }

    /// Its operations exactly this far apart, over all threads together; otherwise as [`stagger`](GeneratorExt::stagger).
    fn delay(self, interval: Duration) -> Paced<Self> {
        Paced::exact(self, interval)
    }

    /// The other generator after this one, when every thread of the context is free. See also [`phases`].
    fn then(self, next: impl Generator + 'static) -> Seq<Synchronize<Box<dyn Generator>>>
    where
        Self: 'static,
    {
        phases([self.boxed(), next.boxed()])
    }

    /// Nothing until every thread of the context is free, then this generator. It waits once, at its beginning.
    fn synchronize(self) -> Synchronize<Self> {
        Synchronize::new(self)
    }

    /// This generator from the beginning each time it is done, without end. See also [`cycle_with`].
    fn cycle(self) -> Cycle<Self, impl FnMut() -> Self + Clone + Send>
    where
        Self: Clone,
    {
        cycle_with(None, move || self.clone())
    }

    /// This generator `n` times over. See also [`cycle_with`].
    fn repeat(self, n: usize) -> Cycle<Self, impl FnMut() -> Self + Clone + Send>
    where
        Self: Clone,
    {
        cycle_with(n, move || self.clone())
    }

    /// A copy of this generator for each thread, with its own randomness; each sees only the events of its thread.
    fn each_thread(self) -> EachThread<Self, impl FnMut(usize) -> Self + Clone + Send>
    where
        Self: Clone,
    {
        each_thread(move |_| self.clone())
    }

    /// This generator on these threads only. See [`on_threads`](super::on_threads()).
    fn on_threads(self, threads: Threads) -> OnThreads<Self> {
        on_threads(threads, self)
    }

    /// Its operations, each changed by the function, which must leave process and time alone. Events are not changed
    /// back.
    fn map<F: FnMut(Op) -> Op + Send>(self, change: F) -> Map<Self, F> {
        Map { generator: self, change }
    }

    /// Its operations with their functions renamed, `(from, to)`; others stay. So the generators of two nemeses can be
    /// told apart. Events keep the new names.
    fn f_map(
        self,
        names: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Map<Self, impl FnMut(Op) -> Op + Clone + Send> {
        self.map(transform::rename(names))
    }

    /// Those of its operations that satisfy the predicate; the others are lost. After 1,000 in a row that do not, it
    /// pauses for a millisecond of the run, so that a predicate which nothing satisfies cannot hang it.
    fn filter<F: FnMut(&Op) -> bool + Send>(self, keep: F) -> Filter<Self, F> {
        Filter { generator: self, keep }
    }

    /// This generator, with a function that sees each event first.
    fn on_update<F: FnMut(&Op) + Send>(self, watch: F) -> OnUpdate<Self, F> {
        OnUpdate { generator: self, watch }
    }

    /// This generator, its answers checked.
    fn validated(self) -> Validated<Self> {
        Validated::new(self)
    }
}

impl<G: Generator> GeneratorExt for G {}
