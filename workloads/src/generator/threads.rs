//! Who: generators on some of the threads.
//!
//! Each part has randomness of its own, seeded when the whole is first asked, and sees only the events of its threads.

use squall_checkers::Op;

use super::lanes::Lanes;
use super::{Context, Generator, Next, Threads};

/// See [`on_threads`], [`clients`] and [`nemesis`].
#[derive(Clone, Debug)]
pub struct OnThreads<G> {
    parts: Vec<(Threads, G)>,
    lanes: Option<Lanes<G>>,
}

impl<G: Generator> OnThreads<G> {
    fn new(parts: impl IntoIterator<Item = (Threads, G)>) -> OnThreads<G> {
        OnThreads { parts: parts.into_iter().collect(), lanes: None }
    }
}

impl<G: Generator> Generator for OnThreads<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.lanes.get_or_insert_with(|| Lanes::new(ctx, self.parts.drain(..))).next(ctx)
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Some(lanes) = &mut self.lanes {
            lanes.update(ctx, event);
        }
    }
}

/// The generator on these threads only: it sees no others, and the others get nothing.
pub fn on_threads<G: Generator>(threads: Threads, generator: G) -> OnThreads<G> {
    OnThreads::new([(threads, generator)])
}

/// The generator on the client workers only.
pub fn clients<G: Generator>(generator: G) -> OnThreads<G> {
    on_threads(Threads::clients(), generator)
}

/// The generator on the nemesis only.
pub fn nemesis<G: Generator>(generator: G) -> OnThreads<G> {
    on_threads(Threads::nemesis(), generator)
}

/// One generator on the client workers and another one on the nemesis; done when both are.
///
/// What the nemesis does is a function of the seed and of its own completions: the clients draw from another stream.
pub fn clients_and_nemesis<C, N>(clients: C, nemesis: N) -> OnThreads<Box<dyn Generator>>
where
    C: Generator + 'static,
    N: Generator + 'static,
{
    OnThreads::new([
        (Threads::clients(), Box::new(clients) as Box<dyn Generator>),
        (Threads::nemesis(), Box::new(nemesis)),
    ])
}

/// See [`reserve`].
#[derive(Clone, Debug)]
pub struct Reserve<G> {
    parts: Vec<(usize, G)>,
    rest: Option<G>,
    lanes: Option<Lanes<G>>,
}

/// The first `n` threads of the context for the first generator, the next `m` for the second, …, the others for `rest`.
///
/// Where the context has too few threads, the last generators get none. So nobody takes the threads of a reserved
/// generator: reads go on while all writers hang.
pub fn reserve<G: Generator>(parts: impl IntoIterator<Item = (usize, G)>, rest: G) -> Reserve<G> {
    Reserve { parts: parts.into_iter().collect(), rest: Some(rest), lanes: None }
}

impl<G: Generator> Generator for Reserve<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.lanes
            .get_or_insert_with(|| {
                let all = ctx.threads;
                let mut left = all.iter();
                let rest = self.rest.take().map(|rest| (usize::MAX, rest));
                let parts = self.parts.drain(..).chain(rest);
                Lanes::new(ctx, parts.map(|(n, generator)| (left.by_ref().take(n).collect(), generator)))
            })
            .next(ctx)
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Some(lanes) = &mut self.lanes {
            lanes.update(ctx, event);
        }
    }
}

/// See [`each_thread`].
#[derive(Clone, Debug)]
pub struct EachThread<G, F> {
    make: F,
    lanes: Option<Lanes<G>>,
}

/// A generator of its own for each thread, made by the function from the thread's number (0 is the nemesis, where the
/// context has it); done when all are. For a generator that can be cloned see
/// [`GeneratorExt::each_thread`](super::GeneratorExt::each_thread).
pub fn each_thread<G, F>(make: F) -> EachThread<G, F>
where
    G: Generator,
    F: FnMut(usize) -> G + Send,
{
    EachThread { make, lanes: None }
}

impl<G: Generator, F: FnMut(usize) -> G + Send> Generator for EachThread<G, F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.lanes
            .get_or_insert_with(|| {
                let all = ctx.threads;
                Lanes::new(
                    ctx,
                    all.iter().map(|thread| (Threads::range(thread, thread + 1), (self.make)(thread))),
                )
            })
            .next(ctx)
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Some(lanes) = &mut self.lanes {
            lanes.update(ctx, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::simulate::assert_schedule;
    use super::super::{GeneratorExt as _, Reply, Simulation, flip_flop, forever, from_fn, ops};
    use super::*;

    fn numbers(f: &'static str) -> impl Generator + Clone {
        let mut n = 0;
        from_fn(move |_| {
            n += 1;
            Op::new(f).value(n)
        })
    }

    #[test]
    fn on_threads_uses_those_alone() {
        assert_schedule(
            &Simulation::new(4),
            on_threads(Threads::range(2, 4), numbers("add").limit(4)),
            "
                0.000 3 2 add 1
                0.000 2 1 add 2
                1.000 3 2 add 3
                1.000 2 1 add 4
            ",
        );
    }

    #[test]
    fn clients_and_nemesis_keep_apart() {
        let faults = flip_flop(forever(Op::new("start")), forever(Op::new("stop")));
        let faults = faults.delay(Duration::from_millis(2)).limit(3);
        assert_schedule(
            &Simulation::new(2),
            clients_and_nemesis(numbers("add").limit(5), faults),
            "
                0.000 2 1 add 1
                0.000 1 0 add 2
                0.000 0 nemesis start null
                1.000 2 1 add 3
                1.000 1 0 add 4
                2.000 1 0 add 5
                2.000 0 nemesis stop null
                4.000 0 nemesis start null
            ",
        );
        assert_schedule(
            &Simulation::new(2),
            clients(numbers("add").limit(3)),
            "
                0.000 2 1 add 1
                0.000 1 0 add 2
                1.000 2 1 add 3
            ",
        );
        assert_schedule(
            &Simulation::new(2),
            nemesis(numbers("break").limit(2)),
            "
                0.000 0 nemesis break 1
                1.000 0 nemesis break 2
            ",
        );
    }

    #[test]
    fn reserve_keeps_threads_free_for_each() {
        let parts = [(1, ops(["a", "a"].map(Op::new))), (2, ops(["b", "b", "b"].map(Op::new)))];
        assert_schedule(
            &Simulation::new(4),
            clients(reserve(parts, ops(["c", "c"].map(Op::new)))),
            "
                0.000 2 1 b null
                0.000 1 0 a null
                0.000 4 3 c null
                0.000 3 2 b null
                1.000 1 0 a null
                1.000 4 3 c null
                1.000 2 1 b null
            ",
        );
    }

    #[test]
    fn reserve_with_too_few_threads_leaves_the_last_out() {
        let parts = [(1, ops(["a"].map(Op::new))), (2, ops(["b"].map(Op::new)))];
        assert_schedule(
            &Simulation::new(1),
            clients(reserve(parts, ops(["c"].map(Op::new)))),
            "
                0.000 1 0 a null
            ",
        );
    }

    #[test]
    fn each_thread_has_its_own() {
        assert_schedule(
            &Simulation::new(2),
            clients(numbers("add").limit(2).each_thread()),
            "
                0.000 1 0 add 1
                0.000 2 1 add 1
                1.000 2 1 add 2
                1.000 1 0 add 2
            ",
        );
        assert_schedule(
            &Simulation::new(2),
            each_thread(|thread| ops([Op::new("id").value(thread)])),
            "
                0.000 1 0 id 1
                0.000 2 1 id 2
                0.000 0 nemesis id 0
            ",
        );
    }

    /// The rule that makes a run repeatable: the nemesis must do the same, whatever the clients do.
    #[test]
    fn the_nemesis_does_not_depend_on_the_clients() {
        let faults = |latency_us: u64| {
            let random = from_fn(|ctx| Op::new("cut").value(rand::Rng::random_range(ctx.rng, 0..1000)));
            let random = random.stagger(Duration::from_millis(7)).limit(20);
            let both =
                clients_and_nemesis(numbers("add").stagger(Duration::from_millis(1)).limit(300), random);
            let schedule = Simulation::new(3)
                .run_with(both, |op, rng| match op.process {
                    squall_checkers::Process::Nemesis => Reply::ok(),
                    _ if latency_us % 2 == 1 && rand::Rng::random_bool(rng, 0.2) => Reply::info(),
                    _ => Reply { after: Duration::from_micros(latency_us), ..Reply::ok() },
                })
                .unwrap();
            let faults: Vec<_> = schedule.invocations().filter(|op| op.f == "cut").cloned().collect();
            faults.into_iter().map(|op| (op.time_ns, op.value)).collect::<Vec<_>>()
        };
        assert_eq!(faults(100).len(), 20);
        assert_eq!(faults(100), faults(5_000));
        assert_eq!(faults(100), faults(777));
    }
}
