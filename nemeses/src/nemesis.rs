//! The nemesis trait and packages.

use anyhow::Result;
use async_trait::async_trait;
use squall_checkers::{Op, Receipt};
use squall_targets::{Cluster, Target};
use squall_workloads::Generator;

/// What a nemesis did.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It applied a fault, which lasts until a `Healed` of the same kind.
    Injected {
        /// What it does, for a person: `{n1} | {n2,n3}`.
        what: String,
        /// The nodes that it touches.
        nodes: Vec<String>,
        /// What was measured.
        receipt: Receipt,
    },
    /// It undid its fault; the receipt tells what was measured while it lasted.
    Healed(Receipt),
}

/// Injects and heals one kind of fault across a cluster.
#[async_trait]
pub trait Nemesis: Send {
    /// The kind of its fault: `partition`, `kill`, `pause`.
    fn fault(&self) -> &str;

    /// Performs an operation of its generator: chooses nodes, applies or undoes.
    /// `intend` must be told what is about to be done, and to which nodes, before anything is touched.
    async fn invoke(
        &mut self,
        op: &Op,
        on: &Scene<'_>,
        intend: &mut (dyn FnMut(&str, &[String]) + Send),
    ) -> Result<Effect>;

    /// Undoes everything, whatever the state. Idempotent. `None` if nothing was in force.
    async fn heal(&mut self, on: &Scene<'_>) -> Result<Option<Receipt>>;
}

/// Where a nemesis acts.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The nodes.
    pub cluster: &'a Cluster,
    /// What runs on them: restarted after a kill, asked for its primaries.
    pub target: &'a dyn Target,
}

/// A nemesis with the generator that drives it, as `-n` names it.
pub struct Package {
    /// Its name.
    pub name: String,
    /// What acts.
    pub nemesis: Box<dyn Nemesis>,
    /// When it acts, in the main phase.
    pub generator: Box<dyn Generator>,
    /// What heals it before the final phase.
    pub final_generator: Box<dyn Generator>,
}
