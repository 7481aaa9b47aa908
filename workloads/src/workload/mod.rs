//! Workloads: what clients do, and what judges it.
//!
//! A workload is made for the [`Options`] of a run. The ready-made ones are in [`ALL`], one file each:
//!
//! | workload | what it shows |
//! |---|---|
//! | [`register()`] | single-key linearizability and causal consistency: stale reads, lost and reordered writes |
//! | [`set()`] | durability: acknowledged elements that are gone, or come late |
//! | [`append()`] | transactions: every isolation anomaly that Elle knows |

mod append;
mod register;
mod registry;
mod set;
#[cfg(test)]
mod testing;

pub use append::append;
pub use register::register;
pub use registry::{ALL, Entry, find};
pub use set::set;
use squall_checkers::Checker;

use crate::Generator;

/// What a workload may know of the run it is built for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Client workers.
    pub concurrency: usize,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Operations on each independent key before the next key is begun.
    pub ops_per_key: usize,
}

/// A generator and the checkers that judge the history it makes.
///
/// The operations that it asks of a client form an *op set*, by which a target says which workloads it can serve:
///
/// | op set | operations |
/// |---|---|
/// | `register` | `read [k nil]`, `write [k v]`, `cas [k [old new]]` |
/// | `set` | `add v`, `read nil` returning a list |
/// | `txn` | `txn [[append k v] [r k nil] …]` returning the same with the reads filled in |
pub struct Workload {
    /// Its name, as `-w` takes it.
    pub name: String,
    /// The op set that a client must know.
    pub op_set: String,
    /// The main phase. The harness adds rate and time limit.
    pub generator: Box<dyn Generator>,
    /// After healing and recovery: final reads.
    pub final_generator: Option<Box<dyn Generator>>,
    /// What judges the history.
    pub checkers: Vec<Box<dyn Checker>>,
}

impl Workload {
    /// A workload whose op set has its own name, without final phase or checkers.
    pub fn new(name: impl Into<String>, generator: impl Generator + 'static) -> Workload {
        let name = name.into();
        Workload {
            op_set: name.clone(),
            name,
            generator: Box::new(generator),
            final_generator: None,
            checkers: Vec::new(),
        }
    }

    /// The same workload on this op set.
    pub fn op_set(mut self, op_set: impl Into<String>) -> Workload {
        self.op_set = op_set.into();
        self
    }

    /// The same workload, followed by this final phase.
    pub fn finally(mut self, generator: impl Generator + 'static) -> Workload {
        self.final_generator = Some(Box::new(generator));
        self
    }

    /// The same workload, judged by this checker too.
    pub fn check(mut self, checker: Box<dyn Checker>) -> Workload {
        self.checkers.push(checker);
        self
    }
}
