//! `set`: add unique elements, and look which of them are still there.
//!
//! # What it does
//!
//! Every thread adds integers, each only once in the run: 0, 1, 2, … About once a second somebody reads the whole set.
//! When the cluster is healed, each thread reads it until one read succeeds, at most ten times.
//!
//! # Why
//!
//! It is the plainest question to a store: is what you acknowledged still there? An element is *lost* when its `add`
//! was acknowledged and reads that began later lack it for good; *stale* when one that began later lacks it and another
//! has it, as where one replica has diverged and the rest have not. Neither is allowed. Adds commute, so there is nothing
//! to order and judging takes one pass, however long the run and however many outcomes are unknown.
//!
//! The final reads show what is lost. The reads in between show when: an element that was there and vanished points to
//! a moment, often the end of a partition, where the losing side is truncated. They are rare because each returns all
//! elements so far, and a history of them grows with the square of the run. Each thread reads at the end because its
//! node may disagree with the others.

use std::time::Duration;

use squall_checkers::{Op, SetFull, Stats};

use super::{Options, Workload};
use crate::generator::{GeneratorExt as _, any, forever, from_fn};

/// Mean time between reads during the run.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// Adds of unique integers, with reads; op set `set`.
pub fn set(_: &Options) -> Workload {
    let mut next = 0_u64;
    let add = from_fn(move |_| {
        next += 1;
        Op::new("add").value(next - 1)
    });
    let read = forever(Op::new("read"));
    let last = read.clone().delay(Duration::from_millis(500)).until_ok().limit(10).each_thread();
    Workload::new("set", any([add.boxed(), read.stagger(READ_INTERVAL).boxed()]))
        .finally(last)
        .check(Box::new(SetFull::new().linearizable()))
        .check(Box::new(Stats))
}

#[cfg(test)]
mod tests {
    use squall_checkers::{Valid, Verdict};

    use super::*;
    use crate::client::{AtomClient, Fault};
    use crate::generator::{Reply, Simulation, assert_text, clients};
    use crate::workload::testing::{simulate, test_options};

    #[test]
    fn adds_with_a_read_now_and_then() {
        let workload = set(&test_options(2, 3, 100));
        let main = clients(workload.generator.rate(2.0).limit(8));
        assert_text(
            &Simulation::new(2).run(main).unwrap(),
            "
                0.000 2 1 add 0
                534.088 2 1 read null
                1033.545 1 0 add 1
                1153.953 1 0 add 2
                1962.324 1 0 add 3
                2025.610 1 0 add 4
                2967.062 1 0 read null
                3142.398 1 0 add 5
            ",
        );
    }

    #[test]
    fn each_thread_reads_until_it_could() {
        let last = clients(set(&test_options(2, 3, 100)).final_generator.unwrap());
        let schedule = Simulation::new(2)
            .run_with(last, |op, _| match op.process {
                squall_checkers::Process::Client(0) if op.time_ns < 800_000_000 => Reply::fail(),
                _ => Reply::ok(),
            })
            .unwrap();
        assert_text(
            &schedule,
            "
                0.000 1 0 read null
                0.000 2 1 read null
                500.000 1 0 read null
                1000.000 1 0 read null
            ",
        );
    }

    #[test]
    fn the_final_reads_end_even_if_none_succeeds() {
        let last = clients(set(&test_options(3, 3, 100)).final_generator.unwrap());
        let schedule = Simulation::new(3).run_with(last, |_, _| Reply::fail()).unwrap();
        assert_eq!(schedule.invocations().count(), 30);
    }

    fn judge(fault: Fault) -> Verdict {
        let options = test_options(5, 5, 100);
        simulate(&options, set(&options), &AtomClient::with_fault(fault), 100.0, 1000).1
    }

    #[test]
    fn a_correct_store_passes() {
        let verdict = judge(Fault::None);
        assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
    }

    #[test]
    fn lost_adds_are_found() {
        assert_eq!(judge(Fault::LostWrite(100)).valid, Valid::False);
    }
}
