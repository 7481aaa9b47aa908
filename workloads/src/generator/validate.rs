//! The validating wrapper: a generator's mistake becomes a message and not a hang.

use std::fmt;

use squall_checkers::{Op, Process, Type};

use super::{Context, Generator, Next};

/// What a generator did wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Misuse {
    /// An operation for a process that is not idle, or that the generator may not use.
    NotFree(Op),
    /// An operation at another time than the context's.
    WrongTime {
        /// The operation.
        op: Op,
        /// The context's time.
        now_ns: u64,
    },
    /// An operation that is a completion.
    NotInvocation(Op),
    /// A wait that is over before it begins, which would keep the controller spinning.
    PastWait {
        /// Until when it wanted to wait.
        until_ns: u64,
        /// The context's time.
        now_ns: u64,
    },
    /// A wait for an event while every thread is idle, so that none will ever come.
    Stuck {
        /// The context's time.
        now_ns: u64,
    },
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::NotFree(op) => write!(
                f,
                "the generator gave {} {} to process {}, which is not free: pick processes with Context::fill",
                op.f, op.value, op.process
            ),
            Misuse::WrongTime { op, now_ns } => write!(
                f,
                "the generator gave {} {} the time {} ns at {now_ns} ns: operations happen now, to wait answer Pending",
                op.f, op.value, op.time_ns
            ),
            Misuse::NotInvocation(op) => write!(
                f,
                "the generator gave {} {} the type {}: an operation is an invoke, a log line an info",
                op.f,
                op.value,
                op.kind.name()
            ),
            Misuse::PastWait { until_ns, now_ns } => {
                write!(f, "the generator wants to wait until {until_ns} ns, but it is {now_ns} ns already")
            }
            Misuse::Stuck { now_ns } => write!(
                f,
                "at {now_ns} ns the generator waits for an event while every thread is idle: none will come"
            ),
        }
    }
}

impl std::error::Error for Misuse {}

/// A generator whose answers are checked. At its first mistake it is done, and [`error`](Validated::error) says why:
/// whoever drives it looks there when it is done.
///
/// It belongs around the whole generator of a run: further inside, idle threads do not mean that no event will come.
#[derive(Clone, Debug)]
pub struct Validated<G> {
    generator: G,
    error: Option<Misuse>,
}

impl<G> Validated<G> {
    /// The generator, checked.
    pub fn new(generator: G) -> Validated<G> {
        Validated { generator, error: None }
    }

    /// The mistake that ended it, if one did.
    pub fn error(&self) -> Option<&Misuse> {
        self.error.as_ref()
    }
}

impl<G: Generator> Generator for Validated<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.error.is_some() {
            return Next::Done;
        }
        let next = self.generator.next(ctx);
        match misuse(ctx, &next) {
            None => next,
            error => {
                self.error = error;
                Next::Done
            }
        }
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        self.generator.update(ctx, event);
    }
}

fn misuse(ctx: &Context<'_>, next: &Next) -> Option<Misuse> {
    let now_ns = ctx.time_ns;
    match next {
        Next::Op(op) if !matches!(op.kind, Type::Invoke | Type::Info) => {
            Some(Misuse::NotInvocation(op.clone()))
        }
        Next::Op(op) if op.time_ns != now_ns => Some(Misuse::WrongTime { op: op.clone(), now_ns }),
        Next::Op(op) if op.kind == Type::Invoke && !is_free(ctx, op.process) => {
            Some(Misuse::NotFree(op.clone()))
        }
        Next::Pending(Some(until_ns)) if *until_ns <= now_ns => {
            Some(Misuse::PastWait { until_ns: *until_ns, now_ns })
        }
        Next::Pending(None) if ctx.free == ctx.threads => Some(Misuse::Stuck { now_ns }),
        _ => None,
    }
}

fn is_free(ctx: &Context<'_>, process: Process) -> bool {
    ctx.thread(process).is_some_and(|thread| ctx.free.contains(thread))
}

#[cfg(test)]
mod tests {
    use super::super::{GeneratorExt as _, Simulation, forever};
    use super::*;

    struct Always(Next);

    impl Generator for Always {
        fn next(&mut self, _: &mut Context<'_>) -> Next {
            self.0.clone()
        }
    }

    #[test]
    fn every_mistake_has_its_message() {
        let read = || Op::new("read");
        let cases = [
            (
                Next::Op(read()),
                "the generator gave read null to process 0, which is not free: pick processes with Context::fill",
            ),
            (
                Next::Op(read().process(Process::Client(9))),
                "the generator gave read null to process 9, which is not free: pick processes with Context::fill",
            ),
            (
                Next::Op(read().at(5)),
                "the generator gave read null the time 5 ns at 0 ns: operations happen now, to wait answer Pending",
            ),
            (
                Next::Op(read().kind(Type::Ok)),
                "the generator gave read null the type ok: an operation is an invoke, a log line an info",
            ),
            (Next::Pending(Some(0)), "the generator wants to wait until 0 ns, but it is 0 ns already"),
            (
                Next::Pending(None),
                "at 0 ns the generator waits for an event while every thread is idle: none will come",
            ),
        ];
        for (answer, message) in cases {
            let error = Simulation::new(2).run(Always(answer)).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_good_generator_passes_unchanged() {
        let plain = Simulation::new(2).run(forever(Op::new("read")).limit(5)).unwrap();
        let checked = Simulation::new(2).run(forever(Op::new("read")).limit(5).validated()).unwrap();
        assert_eq!(plain.to_string(), checked.to_string());
    }
}
