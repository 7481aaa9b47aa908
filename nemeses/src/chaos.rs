//! What carries out a run's nemesis operations, and heals whatever they did.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value, json};
use squall_checkers::history::faults;
use squall_checkers::{FaultEvent, FaultSummary, Op, Phase, Receipt, Type};
use squall_targets::{Cluster, Target, Unavailable};
use squall_workloads::{Client, Completion, Node};
use tokio::sync::Mutex;

use crate::journal::Journal;
use crate::nemesis::{Nemesis, Ops, Plan, Scene};
use crate::nodes::{CHOICES, known, nodes_of};
use crate::streams::stream;
use crate::together::{TOGETHER, Together};
use crate::wrappers::{Timeout, Validate};

/// How long a step of a nemesis may take: longer than an agent takes to give up on a call.
const STEP_MAX: Duration = Duration::from_secs(30);

/// The nemeses of a run, with their journal. Clones share them.
///
/// Before anything is touched an `Intent` is in the journal; what then happened follows it. Dropping a call, or a panic
/// inside a nemesis, leaves the intent open, and [`heal_all`](Chaos::heal_all) heals it like any other.
#[derive(Clone)]
pub struct Chaos(Arc<Mutex<State>>);

struct State {
    drivers: Vec<Driver>,
    /// Chooses the nodes that several faults share.
    rng: ChaCha8Rng,
    journal: Journal,
    cluster: Cluster,
    target: Arc<dyn Target>,
}

/// A nemesis, its randomness, and what it did that is not healed yet.
struct Driver {
    nemesis: Box<dyn Nemesis>,
    ops: Ops,
    rng: ChaCha8Rng,
    open: Vec<Open>,
    /// What its machine lacks, if that was the end of its first injection.
    lacks: Option<Unavailable>,
    injected: bool,
}

struct Open {
    intent: FaultEvent,
    /// Why it could not be injected.
    failed: Option<String>,
    /// The nodes that did not answer clients before it.
    down: Map<String, Value>,
}

impl Chaos {
    /// Nemeses for a run with this seed. Each has randomness of its own.
    ///
    /// # Errors
    /// If two nemeses have the same name, or answer the same operation.
    pub fn new(
        nemeses: Vec<Box<dyn Nemesis>>,
        journal: Journal,
        cluster: Cluster,
        target: Arc<dyn Target>,
        seed: u64,
    ) -> Result<Chaos> {
        let mut drivers: Vec<Driver> = Vec::new();
        for nemesis in nemeses {
            let (fault, ops) = (nemesis.fault().to_owned(), nemesis.ops());
            ensure!(ops.inject != ops.heal, "the nemesis {fault} injects and heals by the same operation");
            for other in &drivers {
                let name = other.nemesis.fault();
                ensure!(name != fault, "two nemeses are called {fault}");
                let taken = [&other.ops.inject, &other.ops.heal]
                    .into_iter()
                    .find(|op| **op == ops.inject || **op == ops.heal);
                ensure!(taken.is_none(), "{name} and {fault} both answer {}", taken.expect("some"));
            }
            let rng = stream(seed, &fault);
            let nemesis = Box::new(Validate(Timeout::new(nemesis, STEP_MAX)));
            drivers.push(Driver { nemesis, ops, rng, open: Vec::new(), lacks: None, injected: false });
        }
        Ok(Chaos(Arc::new(Mutex::new(State {
            drivers,
            rng: stream(seed, TOGETHER),
            journal,
            cluster,
            target,
        }))))
    }

    /// Carries out an operation. The completion is always `info`: what happened is in its value, or in its error.
    pub async fn perform(&self, op: &Op) -> Completion {
        let mut state = self.0.lock().await;
        let (value, error) = match state.perform(op).await {
            Ok(value) => {
                let error = failures(&value);
                (Some(value), error)
            }
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Completion { kind: Type::Info, value, error }
    }

    /// Heals what is in force, kind by kind, whatever failed before; tells each kind's receipt or error. Idempotent:
    /// what is healed is not healed again, and what could not be is tried again.
    pub async fn heal_all(&self) -> Vec<(String, Result<Receipt>)> {
        let mut state = self.0.lock().await;
        let mut healed = Vec::new();
        for at in 0..state.drivers.len() {
            if !state.drivers[at].open.is_empty() {
                let receipt = state.heal(at).await;
                healed.push((state.drivers[at].nemesis.fault().to_owned(), receipt));
            }
        }
        healed
    }

    /// The intents of what is in force, or may be.
    pub async fn in_force(&self) -> Vec<FaultEvent> {
        let state = self.0.lock().await;
        state.drivers.iter().flat_map(|driver| &driver.open).map(|open| open.intent.clone()).collect()
    }

    /// The nemeses that never acted because their machine lacks something, and what that is.
    pub async fn lacking(&self) -> Vec<(String, Unavailable)> {
        let state = self.0.lock().await;
        let lacks = |driver: &Driver| Some((driver.nemesis.fault().to_owned(), driver.lacks.clone()?));
        state.drivers.iter().filter(|driver| !driver.injected).filter_map(lacks).collect()
    }

    /// How many faults bit so far.
    pub async fn summary(&self) -> FaultSummary {
        FaultSummary::of(&faults(self.0.lock().await.journal.events(), 0))
    }

    /// The journal so far.
    pub async fn events(&self) -> Vec<FaultEvent> {
        self.0.lock().await.journal.events().to_vec()
    }
}

/// So that the controller's nemesis worker can drive it like any client.
#[async_trait]
impl Client for Chaos {
    async fn open(&self, _node: &Node) -> Result<Box<dyn Client>> {
        Ok(Box::new(self.clone()))
    }

    async fn invoke(&mut self, op: &Op) -> Result<Completion> {
        Ok(self.perform(op).await)
    }
}

impl State {
    async fn perform(&mut self, op: &Op) -> Result<Value> {
        if op.f == TOGETHER {
            return self.together(&op.value).await;
        }
        let answers =
            self.drivers.iter().position(|driver| op.f == driver.ops.inject || op.f == driver.ops.heal);
        let Some(at) = answers else {
            let known = self.drivers.iter().flat_map(|driver| [driver.ops.inject.as_str(), &driver.ops.heal]);
            let known: Vec<&str> = known.collect();
            return Err(anyhow!("no nemesis answers {}: they answer {}", op.f, known.join(", ")));
        };
        if op.f == self.drivers[at].ops.inject {
            return self.inject(at, &op.value).await;
        }
        if self.drivers[at].open.is_empty() {
            return Ok(json!("nothing was in force"));
        }
        let intents: Vec<FaultEvent> = self.drivers[at].open.iter().map(|open| open.intent.clone()).collect();
        let ids: Vec<u64> = intents.iter().map(|intent| intent.id).collect();
        let what: Vec<&str> = intents.iter().map(|intent| intent.what.as_str()).collect();
        let receipt = self.heal(at).await?;
        Ok(
            json!({"healed": ids, "what": what.join("; "), "receipt": receipt.evidence, "confirmed": receipt.confirmed}),
        )
    }

    async fn inject(&mut self, at: usize, value: &Value) -> Result<Value> {
        if !self.drivers[at].nemesis.stacks() && !self.drivers[at].open.is_empty() {
            self.heal(at).await.context("healing what was in force")?;
        }
        let on = Scene { cluster: &self.cluster, target: self.target.as_ref() };
        let driver = &mut self.drivers[at];
        let plan = match value.get("again") {
            Some(plan) => again(plan, &on)?,
            None => driver.nemesis.plan(value, &on, &mut driver.rng).await?,
        };
        // So that a broken nemesis is not blamed on the target, nor the other way round.
        let down = on.down().await;
        let intent = self.journal.intent(driver.nemesis.fault(), &plan)?;
        driver.open.push(Open { intent: intent.clone(), failed: None, down: down.clone() });
        match driver.nemesis.inject(&plan, &on).await {
            Ok(receipt) => {
                driver.injected = true;
                let receipt = noting(receipt, Receipt::DOWN_BEFORE, down);
                self.journal.injected(&intent, receipt.clone())?;
                Ok(json!({
                    "fault": intent.id, "kind": intent.fault, "what": plan.what,
                    "receipt": receipt.evidence, "confirmed": receipt.confirmed,
                }))
            }
            Err(error) => {
                driver.lacks = driver.lacks.take().or_else(|| error.downcast_ref::<Unavailable>().cloned());
                let error = error.context(format!("{} {}", intent.fault, intent.what));
                driver.open.last_mut().expect("pushed above").failed = Some(format!("{error:#}"));
                // It may have come half-way.
                Err(match self.heal(at).await {
                    Ok(_) => error,
                    Err(worse) => anyhow!("{error:#}; and it could not be undone: {worse:#}"),
                })
            }
        }
    }

    /// Injects several faults on the same nodes, one right after the other. One that cannot be injected does not keep the
    /// others from it.
    async fn together(&mut self, value: &Value) -> Result<Value> {
        let Together { nodes, faults } = Together::deserialize(value).context("faults together")?;
        let on = Scene { cluster: &self.cluster, target: self.target.as_ref() };
        let chosen = nodes_of(&Value::from(nodes), &CHOICES, &on, &mut self.rng).await?;
        let mut done = Vec::new();
        for (kind, before) in faults {
            let named = |driver: &Driver| driver.nemesis.fault() == kind;
            let at = self
                .drivers
                .iter()
                .position(named)
                .with_context(|| format!("no nemesis is called {kind}"))?;
            let value = format!("{before}{}", chosen.nodes.join("+"));
            done.push(match self.inject(at, &Value::from(value)).await {
                Ok(value) => value,
                Err(error) => json!({"kind": kind, "error": format!("{error:#}")}),
            });
        }
        Ok(json!({"nodes": chosen.what, "faults": done}))
    }

    /// Heals all of one kind, and closes what was open. What could not be healed stays open.
    async fn heal(&mut self, at: usize) -> Result<Receipt> {
        let on = Scene { cluster: &self.cluster, target: self.target.as_ref() };
        let driver = &mut self.drivers[at];
        let began_ns = self.journal.now_ns();
        let receipt =
            driver.nemesis.heal(&on).await.with_context(|| format!("healing {}", driver.nemesis.fault()))?;
        let receipt = noting(receipt, Receipt::DOWN_AFTER, on.down().await);
        for Open { intent, failed, down } in driver.open.drain(..) {
            match failed {
                None => self.journal.over(&intent, Phase::Healed, began_ns, receipt.clone())?,
                Some(error) => {
                    let failed = noting(Receipt::unconfirmed(error), Receipt::DOWN_BEFORE, down);
                    self.journal.over(&intent, Phase::Failed, began_ns, failed)?;
                }
            }
        }
        Ok(receipt)
    }
}

/// The value of an injection that does exactly what was planned before.
pub(crate) fn do_again(plan: &Plan) -> Value {
    #[derive(Serialize)]
    struct Again<'a> {
        again: &'a Plan,
    }
    json!(Again { again: plan })
}

/// The plan that is to be carried out again, if its nodes are there.
fn again(plan: &Value, on: &Scene<'_>) -> Result<Plan> {
    let plan = Plan::deserialize(plan).context("a fault to be done again")?;
    known(&plan.nodes, &on.cluster.names())?;
    Ok(plan)
}

/// What went wrong with some of several faults.
fn failures(value: &Value) -> Option<String> {
    let failed = value["faults"].as_array()?.iter().filter_map(|fault| fault["error"].as_str());
    let failed: Vec<&str> = failed.collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

/// The receipt with the nodes that were down, if any were.
fn noting(receipt: Receipt, when: &str, down: Map<String, Value>) -> Receipt {
    if down.is_empty() { receipt } else { receipt.with(when, down) }
}

#[cfg(test)]
#[path = "chaos_tests.rs"]
mod tests;
