//! Restarts: processes are killed and started again at once, node by node, again and again, or with other flags.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use squall_checkers::Receipt;
use squall_targets::NodeHandle;
use tokio::time::{Instant, sleep};

use crate::kill::{KILLED, start_unless_killed};
use crate::nemesis::{NOBODY, Nemesis, Ops, Plan, Scene, joined};
use crate::nodes::{CHOICES, NodeSpec, at_nodes, nodes_of};
use crate::recovery::await_ready;

/// How long a node may take to answer after it was started. Other nemeses wait meanwhile.
const ANSWERS: Duration = Duration::from_secs(5);

/// Under this name `measured` holds how long that took.
const ANSWERS_AFTER: &str = "answers_after_ms";

/// How often a crash loop kills a node, and how long it lets it run before.
const CRASHES: usize = 5;
const UPTIME: Duration = Duration::from_millis(300);

/// In what way a [`Restart`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All nodes together.
    AtOnce,
    /// One node after the other, each when the one before it answers again: as a new version is rolled out.
    Rolling,
    /// Again and again, shortly after each start: as a supervisor does with a process that crashes when it starts.
    CrashLoop,
}

/// Kills everything of the target on some nodes and starts it again. Takes a [`NodeSpec`] as text, or nothing: a random
/// one, or for a rolling restart all nodes. Healing makes sure that all run, but for what another fault has killed since.
#[derive(Clone, Debug)]
pub struct Restart {
    manner: Manner,
    touched: BTreeSet<String>,
}

impl Restart {
    fn new(manner: Manner) -> Restart {
        Restart { manner, touched: BTreeSet::new() }
    }

    /// All nodes together.
    pub fn at_once() -> Restart {
        Restart::new(Manner::AtOnce)
    }

    /// One node after the other.
    pub fn rolling() -> Restart {
        Restart::new(Manner::Rolling)
    }

    /// Each node again and again.
    pub fn crash_loop() -> Restart {
        Restart::new(Manner::CrashLoop)
    }

    /// One node after the other, until one does not come back: whoever rolls a version out stops there.
    async fn roll(&mut self, names: &[String], on: Scene<'_>) -> Result<Receipt> {
        let live = on.live(names).await?;
        self.touched.extend(live.iter().cloned());
        let (mut receipts, mut silent) = (Vec::new(), None);
        for name in names {
            let node = on.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
            let receipt = match silent {
                _ if !live.contains(name) => Receipt::unconfirmed(NOBODY),
                Some(silent) => {
                    Receipt::unconfirmed(format!("not restarted, since {silent} did not come back"))
                }
                None => {
                    let receipt = restart(node, on).await?;
                    // What died again is unconfirmed too.
                    silent = (!receipt.measured.contains_key(ANSWERS_AFTER)).then_some(name);
                    receipt
                }
            };
            receipts.push((name.clone(), receipt));
        }
        Ok(joined(receipts))
    }
}

#[async_trait]
impl Nemesis for Restart {
    fn fault(&self) -> &str {
        match self.manner {
            Manner::AtOnce => "restart",
            Manner::Rolling => "rolling",
            Manner::CrashLoop => "crash-loop",
        }
    }

    fn ops(&self) -> Ops {
        match self.manner {
            Manner::AtOnce => Ops::new("restart", "await-restart"),
            Manner::Rolling => Ops::new("roll", "await-roll"),
            Manner::CrashLoop => Ops::new("start-crash-loop", "stop-crash-loop"),
        }
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let choices: &[NodeSpec] = if self.manner == Manner::Rolling { &[NodeSpec::All] } else { &CHOICES };
        nodes_of(value, choices, on, rng).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let on = *on;
        // What is down stays down: somebody else took it down.
        match self.manner {
            Manner::AtOnce => on.each_live(&plan.nodes, &mut self.touched, |node| restart(node, on)).await,
            Manner::Rolling => self.roll(&plan.nodes, on).await,
            Manner::CrashLoop => on.each_live(&plan.nodes, &mut self.touched, |node| crash(node, on)).await,
        }
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        start_unless_killed(&mut self.touched, on).await
    }
}

/// Kills, starts again, and waits until the node answers.
async fn restart(node: &NodeHandle, on: Scene<'_>) -> Result<Receipt> {
    let killed = node.kill_to_restart().await?;
    on.target.start(on.cluster, node).await.with_context(|| format!("starting {} again", node.name()))?;
    let (says, answers_after) = answers(node, on).await;
    let pids = node.pids().await?;
    let receipt = Receipt {
        confirmed: killed.confirmed && !pids.is_empty(),
        evidence: format!("{}, {} after its start", killed.evidence, says),
        ..killed
    };
    Ok(match answers_after {
        Some(took) => receipt.with(ANSWERS_AFTER, took.as_millis() as u64),
        None => receipt,
    }
    .with("new_pids", pids))
}

/// Waits until a node answers, within a bound.
async fn answers(node: &NodeHandle, on: Scene<'_>) -> (String, Option<Duration>) {
    let began = Instant::now();
    match await_ready(on.target, node, ANSWERS).await {
        Ok(()) => (format!("answers {} ms", began.elapsed().as_millis()), Some(began.elapsed())),
        Err(error) => (format!("does not answer {} s ({error:#})", ANSWERS.as_secs()), None),
    }
}

/// Kills shortly after each start, some times, then lets it run.
async fn crash(node: &NodeHandle, on: Scene<'_>) -> Result<Receipt> {
    let mut gone = Vec::new();
    for round in 0..CRASHES {
        if round > 0 {
            sleep(UPTIME).await;
        }
        let killed = node.kill_to_restart().await?;
        if let Some(Value::Array(pids)) = killed.measured.get("pids") {
            gone.extend(pids.iter().filter_map(Value::as_i64));
        }
        on.target.start(on.cluster, node).await.with_context(|| format!("starting {} again", node.name()))?;
    }
    let pids = node.pids().await?;
    let list = |pids: &[i64]| pids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let evidence =
        format!("pids {} gone one after the other (SIGKILL), started {CRASHES} times", list(&gone));
    Ok(Receipt { confirmed: gone.len() >= CRASHES && !pids.is_empty(), ..Receipt::confirmed(evidence) }
        .with("crashes", gone.len())
        .with("pids", gone)
        .with("new_pids", pids))
}

/// Restarts some nodes with other flags, for targets that can be: `--heartbeat-ms=350@one`, several with `+` between
/// them. Nothing is a random choice of the target's own. Healing restarts them as they were, but for what another fault has
/// killed since: that one's healing does.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    changed: BTreeSet<String>,
}

/// The flags of a text such as `--a=1+--b`.
pub(crate) fn flags(text: &str) -> Result<Vec<String>> {
    let flags: Vec<String> = text.split('+').map(str::to_owned).collect();
    match flags.iter().find(|flag| !flag.starts_with('-') || flag.contains(char::is_whitespace)) {
        Some(flag) => bail!("{flag:?} is no flag, such as --heartbeat-ms=350"),
        None => Ok(flags),
    }
}

fn capability<'a>(on: &Scene<'a>) -> Result<&'a dyn squall_targets::Flags> {
    on.target.flags().context("this target cannot be started with other flags")
}

#[async_trait]
impl Nemesis for Flags {
    fn fault(&self) -> &str {
        "flags"
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (text, nodes) = match value {
            Value::Null => {
                let choice = capability(on)?
                    .choices()
                    .choose(rng)
                    .context("the target has no flags to choose from")?;
                (choice.join("+"), Value::Null)
            }
            Value::String(text) => {
                let (text, nodes) = at_nodes(text);
                (text.to_owned(), nodes)
            }
            other => bail!("flags are text, not {other}"),
        };
        let flags = flags(&text)?;
        let plan =
            nodes_of(&nodes, &[NodeSpec::One, NodeSpec::Minority, NodeSpec::Primaries], on, rng).await?;
        Ok(Plan { what: format!("{text} on {}", plan.what), args: json!(flags), ..plan })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let flags: Vec<String> = serde_json::from_value(plan.args.clone())?;
        let (on, target) = (*on, capability(on)?);
        let flags = &flags;
        on.each_live(&plan.nodes, &mut self.changed, |node| async move {
            node.kill_to_restart().await?;
            target.start_with(on.cluster, node, flags).await?;
            let (says, _) = answers(node, on).await;
            has_flags(node, flags, true, &says).await
        })
        .await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let on = *on;
        let names: Vec<String> = self.changed.iter().cloned().collect();
        if names.is_empty() {
            return Ok(Receipt::unconfirmed("no flag was changed"));
        }
        let receipt = on
            .each(&names, |node| async move {
                if node.was_killed() && node.pids().await?.is_empty() {
                    return Ok(Receipt::confirmed(KILLED));
                }
                node.kill_to_restart().await?;
                on.target.start(on.cluster, node).await?;
                let (says, _) = answers(node, on).await;
                has_flags(node, &[], false, &says).await
            })
            .await?;
        self.changed.clear();
        Ok(receipt)
    }
}

/// A receipt for a node whose processes have these flags, by their command lines in /proc; or, as `wanted` says, any.
async fn has_flags(node: &NodeHandle, flags: &[String], wanted: bool, says: &str) -> Result<Receipt> {
    let commands = node.commands().await?;
    let found = commands.iter().find(|(_, command)| flags.iter().all(|flag| command.contains(flag)));
    let evidence = match (found, wanted) {
        (Some(_), true) => {
            format!("runs with {} by its command line, {says} after its start", flags.join(" "))
        }
        (Some(_), false) => format!("restarted as it was, {says} after its start"),
        (None, _) => format!("no process with {}", flags.join(" ")),
    };
    let pids: Vec<i32> = commands.iter().map(|(pid, _)| *pid).collect();
    Ok(Receipt { confirmed: found.is_some(), ..Receipt::confirmed(evidence) }.with("pids", pids))
}
