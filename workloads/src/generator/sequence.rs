//! One generator after the other.

use std::collections::VecDeque;

use squall_checkers::Op;

use super::{Context, Generator, Next};

/// See [`seq`].
#[derive(Clone, Debug)]
pub struct Seq<G>(VecDeque<G>);

/// Each generator in turn, the next as soon as one is done. It does not wait for the operations of the last one to
/// complete: for that see [`phases`]. Events go to the generator whose turn it is.
pub fn seq<G: Generator>(generators: impl IntoIterator<Item = G>) -> Seq<G> {
    Seq(generators.into_iter().collect())
}

impl<G: Generator> Generator for Seq<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        while let Some(first) = self.0.front_mut() {
            match first.next(ctx) {
                Next::Done => self.0.pop_front(),
                next => return next,
            };
        }
        Next::Done
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Some(first) = self.0.front_mut() {
            first.update(ctx, event);
        }
    }
}

/// Each generator in turn, the next when one is done and every thread of the context is free: all operations of one
/// phase have completed before the first of the next begins.
pub fn phases<G: Generator>(generators: impl IntoIterator<Item = G>) -> Seq<Synchronize<G>> {
    seq(generators.into_iter().map(Synchronize::new))
}

/// See [`GeneratorExt::synchronize`](super::GeneratorExt::synchronize).
#[derive(Clone, Debug)]
pub struct Synchronize<G> {
    generator: G,
    begun: bool,
}

impl<G> Synchronize<G> {
    pub(super) fn new(generator: G) -> Synchronize<G> {
        Synchronize { generator, begun: false }
    }
}

impl<G: Generator> Generator for Synchronize<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.begun |= ctx.free == ctx.threads;
        if self.begun { self.generator.next(ctx) } else { Next::Pending(None) }
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        // What completes before the beginning belongs to whoever came before.
        if self.begun {
            self.generator.update(ctx, event);
        }
    }
}

/// See [`cycle_with`].
#[derive(Clone, Debug)]
pub struct Cycle<G, F> {
    current: Option<G>,
    make: F,
    /// Rounds that may still begin; `None` without end.
    left: Option<usize>,
}

/// What the function makes, made anew whenever it is done; `rounds` times, or without end.
///
/// Use it where a generator cannot be cloned; else see [`cycle`](super::GeneratorExt::cycle) and
/// [`repeat`](super::GeneratorExt::repeat). It is done when a round has nothing at all, for so would be all that follow.
pub fn cycle_with<G, F>(rounds: impl Into<Option<usize>>, make: F) -> Cycle<G, F>
where
    G: Generator,
    F: FnMut() -> G + Send,
{
    Cycle { current: None, make, left: rounds.into() }
}

impl<G: Generator, F: FnMut() -> G + Send> Generator for Cycle<G, F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if let Some(current) = &mut self.current {
            match current.next(ctx) {
                Next::Done => self.current = None,
                next => return next,
            }
        }
        match &mut self.left {
            Some(0) => return Next::Done,
            Some(left) => *left -= 1,
            None => {}
        }
        let fresh = self.current.insert((self.make)());
        let next = fresh.next(ctx);
        if next == Next::Done {
            self.left = Some(0);
            self.current = None;
        }
        next
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Some(current) = &mut self.current {
            current.update(ctx, event);
        }
    }
}

/// See [`flip_flop`].
#[derive(Clone, Debug)]
pub struct FlipFlop<A, B> {
    a: A,
    b: B,
    second: bool,
}

/// An operation of `a`, one of `b`, one of `a`, … until the one whose turn it is has none. Both see every event.
pub fn flip_flop<A: Generator, B: Generator>(a: A, b: B) -> FlipFlop<A, B> {
    FlipFlop { a, b, second: false }
}

impl<A: Generator, B: Generator> Generator for FlipFlop<A, B> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        let next = if self.second { self.b.next(ctx) } else { self.a.next(ctx) };
        if matches!(next, Next::Op(_)) {
            self.second = !self.second;
        }
        next
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.a.update(ctx, event);
        self.b.update(ctx, event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::simulate::assert_schedule;
    use super::super::{GeneratorExt as _, Simulation, nothing, once, ops, sleep};
    use super::*;

    fn abc() -> [super::super::Ops; 2] {
        [ops(["a", "b", "c"].map(Op::new)), ops(["x", "y"].map(Op::new))]
    }

    #[test]
    fn a_sequence_does_not_wait_for_completions() {
        assert_schedule(
            &Simulation::new(4),
            seq(abc()),
            "
                0.000 3 2 a null
                0.000 2 1 b null
                0.000 4 3 c null
                0.000 0 nemesis x null
                0.000 1 0 y null
            ",
        );
    }

    #[test]
    fn phases_wait_for_every_thread() {
        assert_schedule(
            &Simulation::new(4),
            phases(abc()),
            "
                0.000 3 2 a null
                0.000 2 1 b null
                0.000 4 3 c null
                1.000 2 1 x null
                1.000 3 2 y null
            ",
        );
    }

    #[test]
    fn then_and_synchronize_wait_once() {
        let [a, x] = abc();
        assert_schedule(
            &Simulation::new(4),
            a.then(x),
            "
                0.000 3 2 a null
                0.000 2 1 b null
                0.000 4 3 c null
                1.000 2 1 x null
                1.000 3 2 y null
            ",
        );
        let [a, x] = abc();
        let list = seq([a.boxed(), x.synchronize().boxed()]);
        assert_schedule(
            &Simulation::new(4),
            list,
            "
                0.000 3 2 a null
                0.000 2 1 b null
                0.000 4 3 c null
                1.000 2 1 x null
                1.000 3 2 y null
            ",
        );
    }

    #[test]
    fn cycle_begins_again_and_repeat_counts_rounds() {
        let [_, x] = abc();
        assert_schedule(
            &Simulation::new(1).ops_max(5),
            x.clone().cycle(),
            "
                0.000 1 0 x null
                0.000 0 nemesis y null
                1.000 1 0 x null
                1.000 0 nemesis y null
                2.000 1 0 x null
            ",
        );
        assert_schedule(
            &Simulation::new(1),
            x.repeat(2),
            "
                0.000 1 0 x null
                0.000 0 nemesis y null
                1.000 1 0 x null
                1.000 0 nemesis y null
            ",
        );
        let pause = || seq([once(Op::new("start")).boxed(), sleep(Duration::from_millis(5)).boxed()]);
        assert_schedule(
            &Simulation::new(1),
            cycle_with(3, pause),
            "
                0.000 1 0 start null
                5.000 1 0 start null
                10.000 1 0 start null
            ",
        );
    }

    #[test]
    fn a_cycle_of_nothing_ends() {
        assert_schedule(&Simulation::new(1), nothing().cycle(), "");
    }

    #[test]
    fn flip_flop_alternates_until_one_is_done() {
        let [a, x] = abc();
        assert_schedule(
            &Simulation::new(2),
            flip_flop(a, x),
            "
                0.000 1 0 a null
                0.000 2 1 x null
                0.000 0 nemesis b null
                1.000 1 0 y null
                1.000 2 1 c null
            ",
        );
    }

    #[test]
    fn events_before_a_phase_are_not_its_own() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = seen.clone();
        let read = once(Op::new("read")).on_update(move |event| note.lock().unwrap().push(event.f.clone()));
        Simulation::new(1).run(once(Op::new("write")).then(read)).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["read"], "its own invocation, not the completion of the write");
    }
}
