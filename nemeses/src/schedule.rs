use std::time::Duration;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::{Op, Process};
use squall_workloads::generator::Threads;
use squall_workloads::{Context, Generator, Next};

use crate::nemesis::Ops;

/// What draws the value of an injection.
pub type Draw = Box<dyn Fn(&mut ChaCha8Rng) -> Value + Send>;

/// Injects and heals in turns for ever, at random intervals. An injection's value is drawn by a function.
///
/// Intervals are uniform from half to one and a half times the mean, the first included: a fault always lasts for a
/// while, and there is always a while without. They are planned from the moment at which the last operation was due, and
/// nothing is drawn before it is needed, so that the schedule is a function of the seed alone.
pub struct Schedule {
    ops: Ops,
    draw: Draw,
    interval_ns: u64,
    due_ns: Option<u64>,
    healthy: bool,
}

impl Schedule {
    /// A schedule for a nemesis with these operations.
    pub fn new(ops: Ops, interval: Duration, draw: Draw) -> Schedule {
        let interval_ns = interval.as_nanos().try_into().unwrap_or(u64::MAX / 4);
        Schedule { ops, draw, interval_ns, due_ns: None, healthy: true }
    }

    fn pause(&self, ctx: &mut Context<'_>) -> u64 {
        ctx.rng.random_range(self.interval_ns / 2..=self.interval_ns + self.interval_ns / 2)
    }
}

impl Generator for Schedule {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        let due_ns = match self.due_ns {
            Some(due_ns) => due_ns,
            None => {
                let first = ctx.time_ns.saturating_add(self.pause(ctx));
                *self.due_ns.insert(first)
            }
        };
        if ctx.time_ns < due_ns {
            return Next::Pending(Some(due_ns));
        }
        if !ctx.free.contains(Threads::NEMESIS) {
            return Next::Pending(None);
        }
        let op = match self.healthy {
            true => Op::new(self.ops.inject.clone()).value((self.draw)(ctx.rng)),
            false => Op::new(self.ops.heal.clone()),
        };
        self.healthy = !self.healthy;
        self.due_ns = Some(due_ns.saturating_add(self.pause(ctx)));
        Next::Op(op.process(Process::Nemesis).at(ctx.time_ns))
    }
}
