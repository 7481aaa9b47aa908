//! How many operations.

use std::collections::HashSet;

use squall_checkers::{Op, Process, Type};

use super::{Context, Generator, Next};

/// See [`GeneratorExt::limit`](super::GeneratorExt::limit).
#[derive(Clone, Debug)]
pub struct Limit<G> {
    pub(super) generator: G,
    pub(super) left: usize,
}

impl<G: Generator> Generator for Limit<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.left == 0 {
            return Next::Done;
        }
        let next = self.generator.next(ctx);
        if matches!(next, Next::Op(_)) {
            self.left -= 1;
        }
        next
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

/// See [`GeneratorExt::until_ok`](super::GeneratorExt::until_ok).
#[derive(Clone, Debug)]
pub struct UntilOk<G> {
    generator: G,
    /// Processes that have one of our operations open.
    open: Vec<Process>,
    done: bool,
}

impl<G> UntilOk<G> {
    pub(super) fn new(generator: G) -> UntilOk<G> {
        UntilOk { generator, open: Vec::new(), done: false }
    }
}

impl<G: Generator> Generator for UntilOk<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.done {
            return Next::Done;
        }
        let next = self.generator.next(ctx);
        if let Next::Op(op) = &next
            && op.kind == Type::Invoke
        {
            self.open.push(op.process);
        }
        next
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if event.kind != Type::Invoke
            && let Some(at) = self.open.iter().position(|&process| process == event.process)
        {
            self.open.swap_remove(at);
            self.done |= event.kind == Type::Ok;
        }
        self.generator.update(ctx, event);
    }
}

/// See [`GeneratorExt::process_limit`](super::GeneratorExt::process_limit).
#[derive(Clone, Debug)]
pub struct ProcessLimit<G> {
    generator: G,
    processes_max: usize,
    seen: HashSet<Process>,
}

impl<G> ProcessLimit<G> {
    pub(super) fn new(generator: G, processes_max: usize) -> ProcessLimit<G> {
        ProcessLimit { generator, processes_max, seen: HashSet::new() }
    }
}

impl<G: Generator> Generator for ProcessLimit<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        let next = self.generator.next(ctx);
        if let Next::Op(op) = &next
            && !self.seen.contains(&op.process)
        {
            if self.seen.len() >= self.processes_max {
                return Next::Done;
            }
            self.seen.insert(op.process);
        }
        next
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulate::{assert_schedule, assert_text};
    use super::super::{GeneratorExt as _, Reply, Simulation, clients, forever};
    use super::*;

    #[test]
    fn limit_counts_operations() {
        assert_schedule(
            &Simulation::new(2),
            forever(Op::new("read")).limit(3),
            "
                0.000 1 0 read null
                0.000 2 1 read null
                0.000 0 nemesis read null
            ",
        );
    }

    #[test]
    fn until_ok_goes_on_after_fail_and_info() {
        let mut tries = 0;
        let schedule = Simulation::new(1)
            .run_with(clients(forever(Op::new("read")).until_ok()), |_, _| {
                tries += 1;
                match tries {
                    1 => Reply::fail(),
                    2 => Reply::info(),
                    _ => Reply::ok(),
                }
            })
            .unwrap();
        assert_text(
            &schedule,
            "
                0.000 1 0 read null
                1.000 1 0 read null
                2.000 1 1 read null
            ",
        );
    }

    #[test]
    fn until_ok_ignores_the_success_of_others() {
        let ours = forever(Op::new("ours")).delay(std::time::Duration::from_millis(2)).until_ok().limit(3);
        let both = super::super::reserve([(1, ours.boxed())], forever(Op::new("other")).limit(2).boxed());
        let schedule = Simulation::new(2)
            .run_with(both, |op, _| if op.f == "ours" { Reply::fail() } else { Reply::ok() })
            .unwrap();
        assert_eq!(schedule.invocations().filter(|op| op.f == "ours").count(), 3);
    }

    #[test]
    fn process_limit_ends_when_a_process_too_many_comes() {
        let schedule = Simulation::new(2)
            .run_with(clients(forever(Op::new("read")).process_limit(5)), |_, _| Reply::info())
            .unwrap();
        assert_text(
            &schedule,
            "
                0.000 2 1 read null
                0.000 1 0 read null
                1.000 2 3 read null
                1.000 1 2 read null
                2.000 1 4 read null
            ",
        );
    }
}
