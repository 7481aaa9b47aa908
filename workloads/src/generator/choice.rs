//! One of several generators.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use squall_checkers::Op;

use super::{Context, Generator, Next, sooner};

/// See [`any`].
#[derive(Clone, Debug)]
pub struct Any<G> {
    generators: Vec<G>,
    /// Each generator's own randomness, from the first ask on.
    rngs: Vec<ChaCha8Rng>,
    first: usize,
}

/// Whichever generator has an operation first; done when all are.
///
/// They share the threads. Those that are ready at the same time take turns. Each has its own randomness, so what one of
/// them does is not changed by how often the others were asked. Every generator sees every event.
pub fn any<G: Generator>(generators: impl IntoIterator<Item = G>) -> Any<G> {
    Any { generators: generators.into_iter().collect(), rngs: Vec::new(), first: 0 }
}

impl<G> Any<G> {
    fn seed(&mut self, ctx: &mut Context<'_>) {
        while self.rngs.len() < self.generators.len() {
            self.rngs.push(ChaCha8Rng::from_rng(ctx.rng));
        }
    }
}

impl<G: Generator> Generator for Any<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.seed(ctx);
        let mut until = None;
        let mut tried = 0;
        while tried < self.generators.len() {
            let at = (self.first + tried) % self.generators.len();
            match self.generators[at].next(&mut ctx.with_rng(&mut self.rngs[at])) {
                Next::Op(op) => {
                    self.first = at + 1;
                    return Next::Op(op);
                }
                Next::Pending(time) => {
                    until = sooner(until, time);
                    tried += 1;
                }
                Next::Done => {
                    self.generators.remove(at);
                    self.rngs.remove(at);
                    if at < self.first {
                        self.first -= 1;
                    }
                }
            }
        }
        if self.generators.is_empty() { Next::Done } else { Next::Pending(until) }
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.seed(ctx);
        for (generator, rng) in self.generators.iter_mut().zip(&mut self.rngs) {
            generator.update(&mut ctx.with_rng(rng), event);
        }
    }
}

/// See [`mix`] and [`mix_weighted`].
#[derive(Clone, Debug)]
pub struct Mix<G> {
    generators: Vec<(u32, G)>,
    total: u64,
    /// Whose turn it is. Kept until it has given its operation, so that polling draws nothing.
    chosen: Option<usize>,
}

/// Each operation from a random generator, all equally likely. See [`mix_weighted`].
pub fn mix<G: Generator>(generators: impl IntoIterator<Item = G>) -> Mix<G> {
    mix_weighted(generators.into_iter().map(|generator| (1, generator)))
}

/// Each operation from a random generator, with these weights. A generator that is done, or whose weight is 0, leaves
/// the mix.
///
/// The mix waits for the generator whose turn it is, even if another one is ready: that keeps the shares. For
/// whoever is ready first see [`any`]. Every generator sees every event.
pub fn mix_weighted<G: Generator>(generators: impl IntoIterator<Item = (u32, G)>) -> Mix<G> {
    let generators: Vec<_> = generators.into_iter().filter(|(weight, _)| *weight > 0).collect();
    let total = generators.iter().map(|(weight, _)| u64::from(*weight)).sum();
    Mix { generators, total, chosen: None }
}

impl<G> Mix<G> {
    fn choose(&self, ctx: &mut Context<'_>) -> usize {
        let mut ticket = ctx.rng.random_range(0..self.total);
        for (at, (weight, _)) in self.generators.iter().enumerate() {
            match ticket.checked_sub(u64::from(*weight)) {
                Some(rest) => ticket = rest,
                None => return at,
            }
        }
        0
    }
}

impl<G: Generator> Generator for Mix<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        while !self.generators.is_empty() {
            let at = match self.chosen {
                Some(at) => at,
                None if ctx.free.is_empty() => return Next::Pending(None),
                None => *self.chosen.insert(self.choose(ctx)),
            };
            match self.generators[at].1.next(ctx) {
                Next::Op(op) => {
                    self.chosen = None;
                    return Next::Op(op);
                }
                Next::Pending(until) => return Next::Pending(until),
                Next::Done => {
                    self.total -= u64::from(self.generators.remove(at).0);
                    self.chosen = None;
                }
            }
        }
        Next::Done
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        for (_, generator) in &mut self.generators {
            generator.update(ctx, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::simulate::assert_schedule;
    use super::super::{GeneratorExt as _, Simulation, forever, ops};
    use super::*;

    #[test]
    fn any_takes_whoever_is_ready() {
        let slow = forever(Op::new("slow")).delay(Duration::from_millis(5)).limit(3);
        let fast = forever(Op::new("fast")).delay(Duration::from_millis(2)).limit(5);
        assert_schedule(
            &Simulation::new(3),
            any([slow.boxed(), fast.boxed()]),
            "
                0.000 3 2 slow null
                0.000 2 1 fast null
                2.000 2 1 fast null
                4.000 2 1 fast null
                5.000 1 0 slow null
                6.000 1 0 fast null
                8.000 0 nemesis fast null
                10.000 2 1 slow null
            ",
        );
    }

    #[test]
    fn any_shares_out_between_those_that_are_always_ready() {
        let both = any([forever(Op::new("a")), forever(Op::new("b")), forever(Op::new("c"))]);
        let schedule = Simulation::new(2).run(both.limit(300)).unwrap();
        for f in ["a", "b", "c"] {
            assert_eq!(schedule.invocations().filter(|op| op.f == f).count(), 100);
        }
    }

    #[test]
    fn mix_draws_and_drops_what_is_done() {
        let few = ops((1..=2).map(|v| Op::new("write").value(v)));
        let many = ops((1..=6).map(|_| Op::new("read")));
        assert_schedule(
            &Simulation::new(2),
            mix([few, many]),
            "
                0.000 2 1 read null
                0.000 1 0 read null
                0.000 0 nemesis write 1
                1.000 1 0 read null
                1.000 2 1 read null
                1.000 0 nemesis write 2
                2.000 2 1 read null
                2.000 1 0 read null
            ",
        );
    }

    #[test]
    fn weights_are_shares() {
        let weighted = mix_weighted([
            (9, forever(Op::new("read"))),
            (1, forever(Op::new("write"))),
            (0, forever(Op::new("never"))),
        ]);
        let schedule = Simulation::new(4).run(weighted.limit(10_000)).unwrap();
        let writes = schedule.invocations().filter(|op| op.f == "write").count();
        assert!(
            (900..1100).contains(&writes),
            "{writes} writes of 10,000 operations at a share of one in ten"
        );
        assert!(schedule.invocations().all(|op| op.f != "never"));
    }
}
