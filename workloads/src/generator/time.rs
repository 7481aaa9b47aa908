//! When: pace, pauses and deadlines.
//!
//! All times are the context's: nanoseconds since the start of the run, never a clock.

use std::time::Duration;

use rand::Rng as _;
use squall_checkers::Op;

use super::{Context, Generator, Next, nanos, sooner};

/// How far a paced generator may fall behind its plan before it forgets the debt. Timers are coarse (a millisecond is
/// common), so a little debt must be caught up for the mean rate to hold; a lot of it would be a burst after every
/// fault that blocked the clients.
const DEBT_MAX_NS: u64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
enum Interval {
    Exact(u64),
    /// Uniform from 0 to twice this.
    Mean(u64),
}

impl Interval {
    fn draw(self, ctx: &mut Context<'_>) -> u64 {
        match self {
            Interval::Exact(ns) => ns,
            Interval::Mean(ns) => ctx.rng.random_range(0..=ns.saturating_mul(2)),
        }
    }
}

/// See [`GeneratorExt::stagger`](super::GeneratorExt::stagger), [`rate`](super::GeneratorExt::rate) and
/// [`delay`](super::GeneratorExt::delay).
#[derive(Clone, Debug)]
pub struct Paced<G> {
    generator: G,
    interval: Interval,
    /// When the next operation is due; before the first one, at once.
    due_ns: Option<u64>,
}

impl<G> Paced<G> {
    pub(super) fn exact(generator: G, interval: Duration) -> Paced<G> {
        Paced { generator, interval: Interval::Exact(nanos(interval)), due_ns: None }
    }

    pub(super) fn mean(generator: G, interval: Duration) -> Paced<G> {
        Paced { generator, interval: Interval::Mean(nanos(interval)), due_ns: None }
    }
}

impl<G: Generator> Generator for Paced<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        let due_ns = *self.due_ns.get_or_insert(ctx.time_ns);
        if ctx.time_ns < due_ns {
            return Next::Pending(Some(due_ns));
        }
        let next = self.generator.next(ctx);
        if matches!(next, Next::Op(_)) {
            let planned_ns = due_ns.saturating_add(self.interval.draw(ctx));
            self.due_ns = Some(planned_ns.max(ctx.time_ns.saturating_sub(DEBT_MAX_NS)));
        }
        next
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

/// See [`GeneratorExt::time_limit`](super::GeneratorExt::time_limit).
#[derive(Clone, Debug)]
pub struct TimeLimit<G> {
    generator: G,
    limit_ns: u64,
    end_ns: Option<u64>,
}

impl<G> TimeLimit<G> {
    pub(super) fn new(generator: G, limit: Duration) -> TimeLimit<G> {
        TimeLimit { generator, limit_ns: nanos(limit), end_ns: None }
    }
}

impl<G: Generator> Generator for TimeLimit<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        let end_ns = *self.end_ns.get_or_insert(ctx.time_ns.saturating_add(self.limit_ns));
        if ctx.time_ns >= end_ns {
            return Next::Done;
        }
        match self.generator.next(ctx) {
            Next::Pending(until) => Next::Pending(sooner(until, Some(end_ns))),
            next => next,
        }
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

/// See [`sleep`].
#[derive(Clone, Debug)]
pub struct Sleep {
    for_ns: u64,
    end_ns: Option<u64>,
}

/// No operation for this long, then done.
///
/// The time runs from the first ask at which one of its threads is free. So in `nemesis(seq([start, sleep, stop]))` it
/// runs from the moment at which `start` has completed, as Jepsen's does.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { for_ns: nanos(duration), end_ns: None }
}

impl Generator for Sleep {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.end_ns.is_none() && ctx.free.is_empty() {
            return Next::Pending(None);
        }
        let end_ns = *self.end_ns.get_or_insert(ctx.time_ns.saturating_add(self.for_ns));
        if ctx.time_ns >= end_ns { Next::Done } else { Next::Pending(Some(end_ns)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulate::{assert_schedule, assert_text};
    use super::super::{GeneratorExt as _, Reply, Simulation, clients, forever, nemesis, once, seq};
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn stagger_draws_intervals_around_the_mean() {
        assert_schedule(
            &Simulation::new(2),
            forever(Op::new("read")).stagger(10 * MS).limit(6),
            "
                0.000 1 0 read null
                14.597 1 0 read null
                28.580 1 0 read null
                32.487 2 1 read null
                43.477 1 0 read null
                59.948 2 1 read null
            ",
        );
    }

    #[test]
    fn stagger_keeps_its_mean_rate() {
        let read = forever(Op::new("read")).rate(1000.0).time_limit(Duration::from_secs(20));
        let schedule = Simulation::new(10).run(read).unwrap();
        let count = schedule.invocations().count();
        assert!((19_500..20_500).contains(&count), "{count} operations in 20 s at 1,000 a second");
    }

    #[test]
    fn delay_is_exact() {
        assert_schedule(
            &Simulation::new(2),
            forever(Op::new("read")).delay(10 * MS).limit(4),
            "
                0.000 1 0 read null
                10.000 2 1 read null
                20.000 2 1 read null
                30.000 1 0 read null
            ",
        );
    }

    #[test]
    fn little_debt_is_caught_up_and_much_is_forgotten() {
        // The first operation blocks the only thread for 100 ms, 49 turns. Those of the last 10 ms are made up for.
        let mut first = true;
        let schedule = Simulation::new(1)
            .run_with(clients(forever(Op::new("read")).delay(2 * MS).limit(12)), |_, _| {
                let after = if first { 100 * MS } else { Duration::from_micros(1) };
                first = false;
                Reply { after, ..Reply::ok() }
            })
            .unwrap();
        assert_text(
            &schedule,
            "
                0.000 1 0 read null
                100.000 1 0 read null
                100.001 1 0 read null
                100.002 1 0 read null
                100.003 1 0 read null
                100.004 1 0 read null
                100.005 1 0 read null
                100.006 1 0 read null
                102.000 1 0 read null
                104.000 1 0 read null
                106.000 1 0 read null
                108.000 1 0 read null
            ",
        );
    }

    #[test]
    fn a_time_limit_ends_a_generator_that_waits() {
        let slow = |_: &Op, _: &mut _| Reply { after: 20 * MS, ..Reply::ok() };
        let read = forever(Op::new("read")).time_limit(5 * MS).then(once(Op::new("late")));
        let schedule = Simulation::new(1).run_with(read, slow).unwrap();
        assert_text(
            &schedule,
            "
                0.000 1 0 read null
                0.000 0 nemesis read null
                20.000 1 0 late null
            ",
        );
    }

    #[test]
    fn the_nemesis_sleeps_from_the_completion_on() {
        let faults =
            seq([once(Op::new("start")).boxed(), sleep(10 * MS).boxed(), once(Op::new("stop")).boxed()]);
        let slow = |_: &Op, _: &mut _| Reply { after: 3 * MS, ..Reply::ok() };
        let schedule = Simulation::new(1).run_with(nemesis(faults), slow).unwrap();
        assert_text(
            &schedule,
            "
                0.000 0 nemesis start null
                13.000 0 nemesis stop null
            ",
        );
    }
}
