//! Operations changed, dropped or watched on their way.

use std::borrow::Cow;
use std::collections::HashMap;

use squall_checkers::Op;

use super::{Context, Generator, Next};

/// See [`GeneratorExt::map`](super::GeneratorExt::map).
#[derive(Clone, Debug)]
pub struct Map<G, F> {
    pub(super) generator: G,
    pub(super) change: F,
}

impl<G: Generator, F: FnMut(Op) -> Op + Send> Generator for Map<G, F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        match self.generator.next(ctx) {
            Next::Op(op) => Next::Op((self.change)(op)),
            next => next,
        }
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

/// The change that [`GeneratorExt::f_map`](super::GeneratorExt::f_map) makes.
pub(super) fn rename(
    names: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> impl FnMut(Op) -> Op + Clone + Send {
    let names: HashMap<&str, &str> = names.into_iter().collect();
    move |mut op| {
        if let Some(&name) = names.get(op.f.as_ref()) {
            op.f = Cow::Borrowed(name);
        }
        op
    }
}

/// Rejections in a row after which a [`Filter`] pauses: a predicate that nothing satisfies must not hang the run.
const REJECTED_MAX: usize = 1000;

/// How long it pauses then.
const PAUSE_NS: u64 = 1_000_000;

/// See [`GeneratorExt::filter`](super::GeneratorExt::filter).
#[derive(Clone, Debug)]
pub struct Filter<G, F> {
    pub(super) generator: G,
    pub(super) keep: F,
}

impl<G: Generator, F: FnMut(&Op) -> bool + Send> Generator for Filter<G, F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        for _ in 0..REJECTED_MAX {
            match self.generator.next(ctx) {
                Next::Op(op) if !(self.keep)(&op) => {}
                next => return next,
            }
        }
        Next::Pending(Some(ctx.time_ns.saturating_add(PAUSE_NS)))
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

/// See [`GeneratorExt::on_update`](super::GeneratorExt::on_update).
#[derive(Clone, Debug)]
pub struct OnUpdate<G, F> {
    pub(super) generator: G,
    pub(super) watch: F,
}

impl<G: Generator, F: FnMut(&Op) + Send> Generator for OnUpdate<G, F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.generator.next(ctx)
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        (self.watch)(event);
        self.generator.update(ctx, event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::simulate::assert_schedule;
    use super::super::{GeneratorExt as _, Simulation, clients, flip_flop, forever, from_fn, ops};
    use super::*;

    #[test]
    fn map_changes_each() {
        let list = ops((1..=3).map(|v| Op::new("add").value(v)));
        assert_schedule(
            &Simulation::new(1),
            list.map(|op| op.value("x")),
            "
                0.000 1 0 add \"x\"
                0.000 0 nemesis add \"x\"
                1.000 1 0 add \"x\"
            ",
        );
    }

    #[test]
    fn f_map_renames_what_it_knows() {
        let list = ops(["start", "stop", "other"].map(Op::new));
        assert_schedule(
            &Simulation::new(1),
            list.f_map([("start", "start-partition"), ("stop", "stop-partition")]),
            "
                0.000 1 0 start-partition null
                0.000 0 nemesis stop-partition null
                1.000 1 0 other null
            ",
        );
    }

    #[test]
    fn filter_keeps_what_fits() {
        let mut n = 0;
        let count = from_fn(move |_| {
            n += 1;
            Op::new("add").value(n)
        });
        assert_schedule(
            &Simulation::new(2),
            count.filter(|op| op.value.as_i64() > Some(4)).limit(3),
            "
                0.000 1 0 add 5
                0.000 2 1 add 6
                0.000 0 nemesis add 7
            ",
        );
    }

    #[test]
    fn a_filter_that_keeps_nothing_does_not_hang() {
        let none = forever(Op::new("read")).filter(|_| false).time_limit(Duration::from_millis(5));
        assert_schedule(&Simulation::new(1), none, "");
    }

    #[test]
    fn on_update_sees_invocations_and_completions() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = seen.clone();
        let both = flip_flop(forever(Op::new("a")), forever(Op::new("b"))).limit(2);
        let watched = both
            .on_update(move |event| note.lock().unwrap().push(format!("{} {}", event.kind.name(), event.f)));
        Simulation::new(1).run(clients(watched)).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["invoke a", "ok a", "invoke b", "ok b"]);
    }
}
