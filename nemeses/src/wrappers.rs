//! Nemeses around nemeses: a bound on time, a check for mistakes, and one that does nothing.

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;

use crate::nemesis::{Nemesis, Ops, Plan, Scene};

/// Breaks nothing: its receipts say so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

#[async_trait]
impl Nemesis for Noop {
    fn fault(&self) -> &str {
        "noop"
    }

    async fn plan(&mut self, _: &Value, _: &Scene<'_>, _: &mut ChaCha8Rng) -> Result<Plan> {
        Ok(Plan { what: "nothing".to_owned(), nodes: Vec::new(), args: Value::Null })
    }

    async fn inject(&mut self, _: &Plan, _: &Scene<'_>) -> Result<Receipt> {
        Ok(Receipt::unconfirmed("nothing was done"))
    }

    async fn heal(&mut self, _: &Scene<'_>) -> Result<Receipt> {
        Ok(Receipt::unconfirmed("nothing was done"))
    }
}

/// Gives up on a step that takes too long, so that a nemesis that hangs becomes a message.
pub struct Timeout<N> {
    inner: N,
    limit: Duration,
}

impl<N: Nemesis> Timeout<N> {
    /// Each step of the nemesis may take this long.
    pub fn new(inner: N, limit: Duration) -> Timeout<N> {
        Timeout { inner, limit }
    }
}

async fn within<T>(limit: Duration, step: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || anyhow!("{step} did not end within {} s", limit.as_secs_f64());
    tokio::time::timeout(limit, future).await.map_err(|_| late())?
}

#[async_trait]
impl<N: Nemesis> Nemesis for Timeout<N> {
    fn fault(&self) -> &str {
        self.inner.fault()
    }

    fn ops(&self) -> Ops {
        self.inner.ops()
    }

    fn stacks(&self) -> bool {
        self.inner.stacks()
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        within(self.limit, "probing", self.inner.probe(on)).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        within(self.limit, "choosing", self.inner.plan(value, on, rng)).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        within(self.limit, "injecting", self.inner.inject(plan, on)).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        within(self.limit, "healing", self.inner.heal(on)).await
    }
}

/// Turns mistakes in a nemesis into messages that name it.
pub struct Validate<N>(pub N);

#[async_trait]
impl<N: Nemesis> Nemesis for Validate<N> {
    fn fault(&self) -> &str {
        self.0.fault()
    }

    fn ops(&self) -> Ops {
        self.0.ops()
    }

    fn stacks(&self) -> bool {
        self.0.stacks()
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        self.0.probe(on).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let plan = self.0.plan(value, on, rng).await?;
        let name = self.0.fault();
        ensure!(!plan.what.is_empty(), "the nemesis {name} does not say what it is about to do");
        let unknown = plan.nodes.iter().find(|node| on.cluster.node(node).is_none());
        match unknown {
            Some(node) => bail!("the nemesis {name} chose {node}, which is no node of the cluster"),
            None => Ok(plan),
        }
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        evident(self.0.inject(plan, on).await?, self.0.fault())
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        evident(self.0.heal(on).await?, self.0.fault())
    }
}

fn evident(receipt: Receipt, name: &str) -> Result<Receipt> {
    ensure!(
        !receipt.confirmed || !receipt.evidence.is_empty(),
        "the nemesis {name} confirms without evidence"
    );
    Ok(receipt)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;
    use crate::testing::cluster;

    /// Hangs when it injects, heals without evidence, and chooses a node that does not exist.
    struct Clumsy;

    #[async_trait]
    impl Nemesis for Clumsy {
        fn fault(&self) -> &str {
            "clumsy"
        }

        async fn plan(&mut self, _: &Value, _: &Scene<'_>, _: &mut ChaCha8Rng) -> Result<Plan> {
            Ok(Plan::on(vec!["n9".into()]))
        }

        async fn inject(&mut self, _: &Plan, _: &Scene<'_>) -> Result<Receipt> {
            pending().await
        }

        async fn heal(&mut self, _: &Scene<'_>) -> Result<Receipt> {
            Ok(Receipt::confirmed(""))
        }
    }

    #[tokio::test]
    async fn mistakes_of_a_nemesis_become_messages() {
        let (cluster, target, _) = cluster(2, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut nemesis = Validate(Timeout::new(Clumsy, Duration::from_millis(20)));
        let error = nemesis.plan(&Value::Null, &on, &mut rng).await.unwrap_err();
        assert_eq!(error.to_string(), "the nemesis clumsy chose n9, which is no node of the cluster");
        let error = nemesis.inject(&Plan::on(vec![]), &on).await.unwrap_err();
        assert_eq!(error.to_string(), "injecting did not end within 0.02 s");
        let error = nemesis.heal(&on).await.unwrap_err();
        assert_eq!(error.to_string(), "the nemesis clumsy confirms without evidence");
    }
}
