//! The causal, session and list-append checkers: `cargo bench -p squall-checkers --bench causal`.
//!
//! Histories of correct stores, 10^5 operations by 20 clients, or as many as `-- --ops N` and `-- --clients N` say. Prints
//! for each checker its seconds on the CPU, the operations a second, the steps that it counted, and the peak memory of the
//! process so far.

mod measure;
#[path = "../tests/common/stores.rs"]
mod stores;

use measure::{cpu_seconds, peak_kib};
use squall_checkers::{Append, AppendModel, Causal, CausalModel, Checker, History, Session};
use stores::{Conflicts, Rng, lists, push, replicated};

fn main() {
    let ops = argument("--ops", 100_000);
    let clients = argument("--clients", 20);
    println!(
        "{:<28} {:>8} {:>12} {:>12} {:>9}",
        format!("{ops} operations"),
        "CPU s",
        "ops/s",
        "steps",
        "peak MB"
    );
    let history = replicated(&mut Rng(1), ops, clients, 100, Conflicts::LastArrived);
    judge("causal memory store", &Causal::new(CausalModel::Cc), &history);
    judge("", &Causal::new(CausalModel::Cm), &history);
    judge("", &Session::default(), &history);
    let mut history = replicated(&mut Rng(1), ops, clients, 100, Conflicts::LastWritten);
    judge("causally convergent store", &Causal::new(CausalModel::Cc), &history);
    judge("", &Causal::new(CausalModel::Ccv), &history);
    judge("", &Session::default(), &history);
    for (process, value) in [(clients, 1), (clients, 2), (clients + 1, 2), (clients + 1, 1)] {
        let f = if process == clients { "write" } else { "read" };
        let value = serde_json::json!([ops, value]);
        push(&mut history, process, f, value.clone(), value);
    }
    judge("the same, and one anomaly", &Causal::new(CausalModel::Cc), &history);
    let history = lists(&mut Rng(1), ops, clients);
    judge("list store", &Append::new(AppendModel::Serializable), &history);
    judge("", &Append::default(), &history);
}

fn argument(name: &str, default: usize) -> usize {
    let args: Vec<String> = std::env::args().collect();
    let value = args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    value.map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
}

fn judge(store: &str, checker: &dyn Checker, history: &History) {
    if !store.is_empty() {
        println!("{store}");
    }
    let start = cpu_seconds();
    let verdict = checker.check(history);
    let seconds = cpu_seconds() - start;
    let rate = history.len() as f64 / 2.0 / seconds;
    let name = format!("  {}: {:?}", checker.name(), verdict.valid);
    let peak = peak_kib() / 1024;
    println!("{name:<28} {seconds:>8.3} {rate:>12.0} {:>12} {peak:>9}", verdict.stats["steps"]);
}
