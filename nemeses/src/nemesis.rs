//! The nemesis trait.

use std::collections::BTreeSet;
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

/// What a receipt says of a node where there was nothing to break.
pub(crate) const NOBODY: &str = "no process lived there";

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

    /// What a list of nemeses says after the colon for such a plan, without its nodes: `full`, `offset=1h+machine`. Nothing
    /// where every plan needs the same of a machine.
    fn parameter(&self, _plan: &Plan) -> Option<String> {
        None
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

    fn parameter(&self, plan: &Plan) -> Option<String> {
        (**self).parameter(plan)
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
    /// Does something on these nodes at once, and joins their receipts: it is confirmed if it bit on each. An error on one
    /// does not keep the others from ending.
    pub async fn each<F>(&self, names: &[String], act: impl Fn(&'a NodeHandle) -> F) -> Result<Receipt>
    where
        F: Future<Output = Result<Receipt>>,
    {
        Ok(joined(self.receipts(names, act).await?))
    }

    /// The same where a process lives; there is nothing to break on the others, so it did not bite there. `touched` has
    /// those where one does before anything is done.
    pub(crate) async fn each_live<F>(
        &self,
        names: &[String],
        touched: &mut BTreeSet<String>,
        act: impl Fn(&'a NodeHandle) -> F,
    ) -> Result<Receipt>
    where
        F: Future<Output = Result<Receipt>>,
    {
        Ok(joined(self.live_receipts(names, touched, act).await?))
    }

    /// The same, and tells each one's receipt.
    pub(crate) async fn live_receipts<F>(
        &self,
        names: &[String],
        touched: &mut BTreeSet<String>,
        act: impl Fn(&'a NodeHandle) -> F,
    ) -> Result<Vec<(String, Receipt)>>
    where
        F: Future<Output = Result<Receipt>>,
    {
        let live = self.live(names).await?;
        touched.extend(live.iter().cloned());
        let mut receipts = self.receipts(&live, act).await?.into_iter().peekable();
        let of = |name: &String| match receipts.next_if(|(live, _)| live == name) {
            Some(bitten) => bitten,
            None => (name.clone(), Receipt::unconfirmed(NOBODY)),
        };
        Ok(names.iter().map(of).collect())
    }

    /// Does something on these nodes at once, and tells each one's receipt.
    pub(crate) async fn receipts<F>(
        &self,
        names: &[String],
        act: impl Fn(&'a NodeHandle) -> F,
    ) -> Result<Vec<(String, Receipt)>>
    where
        F: Future<Output = Result<Receipt>>,
    {
        let mut nodes = Vec::new();
        for name in names {
            nodes.push(self.cluster.node(name).with_context(|| format!("there is no node {name}"))?);
        }
        let done = join_all(nodes.into_iter().map(act)).await;
        names.iter().cloned().zip(done).map(|(name, receipt)| Ok((name, receipt?))).collect()
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

/// The receipts of nodes as one: `n1: pid 17 gone; n2: pid 12 gone`; measurements are kept by node.
///
/// The rule for all faults: one that was asked for on several nodes is confirmed if it bit on every one of them. If it did on
/// some only, the others are named first. It is pending if some do not know yet and none has failed to.
pub(crate) fn joined(receipts: Vec<(String, Receipt)>) -> Receipt {
    let open = |receipt: &Receipt| receipt.confirmed || receipt.pending;
    let failed: Vec<&str> =
        receipts.iter().filter(|(_, receipt)| !open(receipt)).map(|(name, _)| name.as_str()).collect();
    let mut evidence: Vec<String> =
        receipts.iter().map(|(name, receipt)| format!("{name}: {}", receipt.evidence)).collect();
    if evidence.is_empty() {
        evidence.push(NOBODY.to_owned());
    }
    if !failed.is_empty() && failed.len() < receipts.len() {
        evidence.insert(0, format!("it did not bite on {}", failed.join(",")));
    }
    let sure = !receipts.is_empty() && failed.is_empty();
    let pending = sure && receipts.iter().any(|(_, receipt)| receipt.pending);
    Receipt {
        confirmed: sure && !pending,
        pending,
        evidence: evidence.join("; "),
        measured: receipts
            .into_iter()
            .filter(|(_, receipt)| !receipt.measured.is_empty())
            .map(|(name, receipt)| (name, Value::Object(receipt.measured)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_on_several_nodes_is_confirmed_if_it_bit_on_every_one() {
        let on = |receipts: &[Receipt]| {
            joined((1..).map(|n| format!("n{n}")).zip(receipts.iter().cloned()).collect())
        };
        let [bit, not] = [Receipt::confirmed("bit"), Receipt::unconfirmed("did not")];
        let unknown = Receipt::pending("who knows");
        for (receipts, confirmed, pending, evidence) in [
            (vec![], false, false, "no process lived there"),
            (vec![bit.clone(), bit.clone()], true, false, "n1: bit; n2: bit"),
            (vec![not.clone()], false, false, "n1: did not"),
            (
                vec![not.clone(), bit.clone(), not.clone()],
                false,
                false,
                "it did not bite on n1,n3; n1: did not; n2: bit; n3: did not",
            ),
            (vec![bit, unknown.clone()], false, true, "n1: bit; n2: who knows"),
            (vec![not, unknown], false, false, "it did not bite on n1; n1: did not; n2: who knows"),
        ] {
            let receipt = on(&receipts);
            assert_eq!(
                (receipt.confirmed, receipt.pending, receipt.evidence.as_str()),
                (confirmed, pending, evidence)
            );
        }
    }
}
