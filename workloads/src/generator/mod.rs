//! Generators: pure, seeded, composable sources of operations, after Jepsen's.
//!
//! A generator is asked for its next operation with [`Generator::next`] and told of every event with
//! [`Generator::update`]. It does no I/O, reads no clock and draws randomness only from its context, so a schedule is
//! a function of the seed and of the completions.
//!
//! Operations are never in the future: a generator that wants to wait answers [`Next::Pending`] with the time at which
//! it is worth asking again. So nothing that was taken is ever put back, which is why `next` may change the generator.

mod context;

pub use context::{Context, Threads};
use squall_checkers::Op;

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

    /// Takes note of an event: every invocation and completion in the history, in order.
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
