//! Leaves: generators that make operations themselves.

use std::collections::VecDeque;

use squall_checkers::{Op, Process, Type};

use super::{Context, Generator, Next, Threads};

/// The operation, or a wait for a free thread: every leaf ends here.
fn emit(ctx: &mut Context<'_>, op: Op) -> Next {
    ctx.fill(op).map_or(Next::Pending(None), Next::Op)
}

/// See [`ops`] and [`once`].
#[derive(Clone, Debug)]
pub struct Ops(VecDeque<Op>);

/// This operation, once, on a random free thread, as soon as there is one.
pub fn once(op: Op) -> Ops {
    ops([op])
}

/// These operations, each once, in order, each on a random free thread as soon as there is one. An operation does not
/// wait for the one before it to complete.
pub fn ops(ops: impl IntoIterator<Item = Op>) -> Ops {
    Ops(ops.into_iter().collect())
}

impl Generator for Ops {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.0.is_empty() {
            return Next::Done;
        }
        if ctx.free.is_empty() {
            return Next::Pending(None);
        }
        self.0.pop_front().map_or(Next::Done, |op| emit(ctx, op))
    }
}

/// See [`forever`].
#[derive(Clone, Debug)]
pub struct Forever(Op);

/// This operation again and again, on every free thread.
pub fn forever(op: Op) -> Forever {
    Forever(op)
}

impl Generator for Forever {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        match ctx.pick_process() {
            Some(process) => Next::Op(Op { process, time_ns: ctx.time_ns, ..self.0.clone() }),
            None => Next::Pending(None),
        }
    }
}

/// See [`from_fn`].
#[derive(Clone, Debug)]
pub struct FromFn<F>(F);

/// Whatever the function makes, forever, on every free thread.
///
/// It is called once for each operation, and only when a thread is free, so it may count. Its result's process and time
/// are filled in. Randomness comes from the context.
pub fn from_fn<F>(make: F) -> FromFn<F>
where
    F: FnMut(&mut Context<'_>) -> Op + Send,
{
    FromFn(make)
}

impl<F: FnMut(&mut Context<'_>) -> Op + Send> Generator for FromFn<F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if ctx.free.is_empty() {
            return Next::Pending(None);
        }
        let op = (self.0)(ctx);
        emit(ctx, op)
    }
}

/// See [`log`].
#[derive(Clone, Debug)]
pub struct Log(Option<String>);

/// A line in the history, once: an `info` event of the nemesis with `f` `log` and the text as its value.
///
/// Nobody performs it, so it needs no free thread. Where the context has the nemesis it waits until that is idle, for
/// the line must not be taken for the completion of a fault.
pub fn log(text: impl Into<String>) -> Log {
    Log(Some(text.into()))
}

impl Generator for Log {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.0.is_some() && ctx.threads.contains(Threads::NEMESIS) && !ctx.free.contains(Threads::NEMESIS)
        {
            return Next::Pending(None);
        }
        let line =
            |text| Op::new("log").value(text).kind(Type::Info).process(Process::Nemesis).at(ctx.time_ns);
        self.0.take().map_or(Next::Done, |text| Next::Op(line(text)))
    }
}

/// See [`nothing`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

/// No operation: done at once.
pub fn nothing() -> Nothing {
    Nothing
}

impl Generator for Nothing {
    fn next(&mut self, _: &mut Context<'_>) -> Next {
        Next::Done
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulate::assert_schedule;
    use super::super::{GeneratorExt as _, Simulation, clients, nemesis, seq};
    use super::*;

    #[test]
    fn once_and_ops_end() {
        assert_schedule(
            &Simulation::new(2),
            once(Op::new("read")),
            "
                0.000 1 0 read null
            ",
        );
        let list = ops((1..=4).map(|v| Op::new("write").value(v)));
        assert_schedule(
            &Simulation::new(2),
            list,
            "
                0.000 1 0 write 1
                0.000 2 1 write 2
                0.000 0 nemesis write 3
                1.000 1 0 write 4
            ",
        );
    }

    #[test]
    fn forever_uses_every_free_thread() {
        assert_schedule(
            &Simulation::new(2).ops_max(6),
            forever(Op::new("read")),
            "
                0.000 1 0 read null
                0.000 2 1 read null
                0.000 0 nemesis read null
                1.000 1 0 read null
                1.000 2 1 read null
                1.000 0 nemesis read null
            ",
        );
    }

    #[test]
    fn a_function_is_called_once_an_operation() {
        let mut n = 0;
        let count = from_fn(move |_| {
            n += 1;
            Op::new("add").value(n)
        });
        assert_schedule(
            &Simulation::new(2),
            count.limit(6),
            "
                0.000 1 0 add 1
                0.000 2 1 add 2
                0.000 0 nemesis add 3
                1.000 1 0 add 4
                1.000 2 1 add 5
                1.000 0 nemesis add 6
            ",
        );
    }

    #[test]
    fn a_log_line_takes_no_thread_and_waits_for_the_nemesis() {
        let lines =
            || seq([once(Op::new("read")).boxed(), log("begun").boxed(), once(Op::new("read")).boxed()]);
        assert_schedule(
            &Simulation::new(1),
            nemesis(lines()),
            "
                0.000 0 nemesis read null
                1.000 0 nemesis log \"begun\"
                1.000 0 nemesis read null
            ",
        );
        assert_schedule(
            &Simulation::new(2),
            clients(lines()),
            "
                0.000 2 1 read null
                0.000 0 nemesis log \"begun\"
                0.000 1 0 read null
            ",
        );
    }

    #[test]
    fn nothing_is_nothing() {
        assert_schedule(&Simulation::new(1), nothing(), "");
    }
}
