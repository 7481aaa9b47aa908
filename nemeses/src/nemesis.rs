//! The nemesis trait.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use squall_checkers::Receipt;
use squall_targets::{Cluster, NodeHandle, Target};
use tokio::time::timeout;

use crate::nodes::{CHOICES, nodes_of};

/// How long a node may take to say whether it answers clients, before an injection and after healing.
const HEALTH_MAX: Duration = Duration::from_millis(250);

/// Injects and heals one kind of fault across a cluster.
///
/// It decides and acts in two steps, so that [`Chaos`](crate::Chaos) can write the decision to the fault journal before
/// anything is touched. Whatever goes wrong in a step, its [`heal`](Nemesis::heal) is called afterwards.
///
/// ```
/// use async_trait::async_trait;
/// use squall_nemeses::{Nemesis, Plan, Receipt, Scene};
///
/// struct Hiccup;
///
/// #[async_trait]
/// impl Nemesis for Hiccup {
///     fn fault(&self) -> &str {
///         "hiccup"
///     }
///
///     async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> anyhow::Result<Receipt> {
///         on.each(&plan.nodes, |node| node.inject("signal", Default::default())).await
///     }
///
///     async fn heal(&mut self, on: &Scene<'_>) -> anyhow::Result<Receipt> {
///         on.each(&on.cluster.names(), |node| node.heal("signal")).await
///     }
/// }
/// ```
#[async_trait]
pub trait Nemesis: Send {
    /// The kind of its fault: `partition`, `kill`, `pause`.
    fn fault(&self) -> &str;

    /// The operations that it answers: `start-FAULT` and `stop-FAULT`, unless it says otherwise.
    fn ops(&self) -> Ops {
        Ops::new(format!("start-{}", self.fault()), format!("stop-{}", self.fault()))
    }

    /// Whether an injection adds to the one before, as a second kill does. Otherwise the first is healed before.
    fn stacks(&self) -> bool {
        false
    }

    /// Tries whether it can be done here at all, before the run begins. Touches nothing.
    ///
    /// # Errors
    /// [`Unavailable`](squall_targets::Unavailable) if a machine lacks something.
    async fn probe(&mut self, _on: &Scene<'_>) -> Result<()> {
        Ok(())
    }

    /// Decides what an injection with this value does, and to which nodes. Touches nothing. All randomness is `rng`'s.
    ///
    /// Unless it says otherwise, the value is a [`NodeSpec`](crate::NodeSpec) as text, or nothing for a random one.
    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        nodes_of(value, &CHOICES, on, rng).await
    }

    /// Does it, and measures that it took effect.
    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt>;

    /// Undoes everything that it may have done, in whatever state that is, and reports what was measured while it
    /// lasted. Idempotent.
    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt>;
}

#[async_trait]
impl Nemesis for Box<dyn Nemesis> {
    fn fault(&self) -> &str {
        (**self).fault()
    }

    fn ops(&self) -> Ops {
        (**self).ops()
    }

    fn stacks(&self) -> bool {
        (**self).stacks()
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        (**self).probe(on).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        (**self).plan(value, on, rng).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        (**self).inject(plan, on).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        (**self).heal(on).await
    }
}

/// The names of a nemesis' two operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ops {
    /// Its value says what to inject.
    pub inject: String,
    /// Heals all of this kind.
    pub heal: String,
}

impl Ops {
    /// Operations of these names.
    pub fn new(inject: impl Into<String>, heal: impl Into<String>) -> Ops {
        Ops { inject: inject.into(), heal: heal.into() }
    }
}

/// What an injection is going to do. It goes into the journal whole, from which a run can be repeated: an injection depends
/// on nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For a person: `{n1} | {n2,n3}`, `n2`.
    pub what: String,
    /// The nodes that it touches.
    pub nodes: Vec<String>,
    /// What else the nemesis needs to know to do it.
    pub args: Value,
}

impl Plan {
    /// A fault on these nodes, described by their names.
    pub fn on(nodes: Vec<String>) -> Plan {
        Plan { what: nodes.join(","), nodes, args: Value::Null }
    }
}

/// Where a nemesis acts.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The nodes.
    pub cluster: &'a Cluster,
    /// What runs on them: restarted after a kill, asked for its primaries.
    pub target: &'a dyn Target,
}

impl<'a> Scene<'a> {
    /// Does something on these nodes at once. The receipt is confirmed if each node's is: `n1: pid 17 gone; n2: pid 12
    /// gone`; measurements are kept by node. An error on one does not keep the others from ending.
    pub async fn each<F>(&self, names: &[String], act: impl Fn(&'a NodeHandle) -> F) -> Result<Receipt>
    where
        F: Future<Output = Result<Receipt>>,
    {
        let mut nodes = Vec::new();
        for name in names {
            nodes.push(self.cluster.node(name).with_context(|| format!("there is no node {name}"))?);
        }
        let receipts: Vec<Receipt> =
            join_all(nodes.into_iter().map(act)).await.into_iter().collect::<Result<_>>()?;
        Ok(joined(names, receipts))
    }

    /// Whether each node can do what a fault of this kind with these arguments does there.
    pub async fn probe(&self, fault: &str, args: &Value) -> Result<()> {
        join_all(self.cluster.nodes.iter().map(|node| node.probe(fault, args.clone())))
            .await
            .into_iter()
            .collect()
    }

    /// Those of the nodes where a process lives. There is nothing to break on the others.
    pub async fn live(&self, names: &[String]) -> Result<Vec<String>> {
        let mut live = Vec::new();
        for name in names {
            let node = self.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
            if !node.pids().await?.is_empty() {
                live.push(name.clone());
            }
        }
        Ok(live)
    }

    /// The nodes that do not answer clients now, and why. Takes no longer than [`HEALTH_MAX`].
    pub(crate) async fn down(&self) -> Map<String, Value> {
        let asked = self.cluster.nodes.iter().map(|node| async move {
            let why = match timeout(HEALTH_MAX, self.target.ready(node)).await {
                Ok(Ok(())) => return None,
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => format!("no answer within {} ms", HEALTH_MAX.as_millis()),
            };
            Some((node.name().to_owned(), Value::from(why)))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The nodes that believe that they lead, in the cluster's order: none if the target cannot tell.
    pub async fn primaries(&self) -> Vec<String> {
        let Some(capability) = self.target.primaries() else {
            return Vec::new();
        };
        let primaries = capability.primaries(self.cluster).await;
        self.cluster.names().into_iter().filter(|name| primaries.contains(name)).collect()
    }
}

/// The receipts of these nodes as one.
pub(crate) fn joined(names: &[String], receipts: Vec<Receipt>) -> Receipt {
    let evidence: Vec<String> =
        names.iter().zip(&receipts).map(|(name, receipt)| format!("{name}: {}", receipt.evidence)).collect();
    let confirmed = !receipts.is_empty() && receipts.iter().all(|receipt| receipt.confirmed);
    let pending = receipts.iter().any(|receipt| receipt.pending);
    let measured = names.iter().zip(receipts).filter(|(_, receipt)| !receipt.measured.is_empty());
    Receipt {
        confirmed,
        pending,
        evidence: if evidence.is_empty() { "no process lived there".to_owned() } else { evidence.join("; ") },
        measured: measured.map(|(name, receipt)| (name.clone(), Value::Object(receipt.measured))).collect(),
    }
}
