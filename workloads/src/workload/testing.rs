//! Workloads played on a store inside the process, and judged.

use std::time::Duration;

use rand::Rng as _;
use squall_checkers::checker::check_all;
use squall_checkers::{Budget, History, Verdict};

use super::{Options, Workload};
use crate::client::AtomClient;
use crate::generator::{GeneratorExt as _, Reply, Schedule, Simulation, clients};

pub(super) fn test_options(concurrency: usize, nodes: usize, ops_per_key: usize) -> Options {
    let nodes = (1..=nodes).map(|i| format!("n{i}")).collect();
    Options { concurrency, nodes, ops_per_key }
}

/// Both phases against the store, with this many operations at this rate in the first; and the verdict.
///
/// The store performs an operation when it is invoked; it completes up to 2 ms later, one in fifty with `info`.
pub(super) fn simulate(
    options: &Options,
    workload: Workload,
    client: &AtomClient,
    ops_per_s: f64,
    ops: usize,
) -> (Schedule, Verdict) {
    let main = workload.generator.rate(ops_per_s).limit(ops);
    let all = match workload.final_generator {
        Some(last) => clients(main.then(last).boxed()),
        None => clients(main.boxed()),
    };
    let schedule = Simulation::new(options.concurrency)
        .run_with(all, |op, rng| {
            let after = Duration::from_micros(rng.random_range(1..2000));
            let reply = Reply { after, ..Reply::from(client.apply(op)) };
            if rng.random_ratio(1, 50) { Reply { after, ..Reply::info() } } else { reply }
        })
        .unwrap();
    let history: History = schedule.events.iter().cloned().collect();
    (schedule, check_all(&workload.name, &workload.checkers, &history, &Budget::default()))
}
