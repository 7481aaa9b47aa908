//! The life of a run: cluster up, clients and nemesis at work, heal, recover, final reads, judge, report.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use squall_checkers::{FaultEvent, History};
use squall_nemeses::{Chaos, Composition, Journal, Package, compose, journal};
use squall_results::{Run, RunConfig};
use squall_targets::cluster::local::LocalCluster;
use squall_targets::{Cluster, NodeHandle, Target};
use squall_workloads::client::TimeoutClient;
use squall_workloads::generator::{GeneratorExt as _, clients, clients_and_nemesis};
use squall_workloads::{Client, Workload};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cli::NothingRan;
use crate::display::Display;
use crate::event::{All, Event, Sink};
use crate::interpreter::{Crew, Interpreter};
use crate::recorder::Recorder;
use crate::run_log::RunLog;

/// How long the nodes may take to answer after they were started.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long they may take to answer again after everything was healed, before the final reads go ahead all the same.
const RECOVER_MAX: Duration = Duration::from_secs(30);
/// How long final reads may take altogether.
const FINAL_MAX: Duration = Duration::from_secs(30);
/// How often a node is asked whether it answers.
const READY_EVERY: Duration = Duration::from_millis(20);

/// Everything that a run is made of.
pub(crate) struct Plan {
    /// What is written down to repeat it.
    pub(crate) config: RunConfig,
    /// The system under test.
    pub(crate) target: Arc<dyn Target>,
    /// What clients do, and who judges.
    pub(crate) workload: Workload,
    /// What breaks.
    pub(crate) packages: Vec<Package>,
    /// When an operation is given up.
    pub(crate) op_timeout: Duration,
    /// Whether to show no progress.
    pub(crate) quiet: bool,
}

/// What came of a run, before it is judged.
pub(crate) struct Ran {
    /// The whole history.
    pub(crate) history: History,
    /// The fault journal.
    pub(crate) faults: Vec<FaultEvent>,
    /// What is worth a warning.
    pub(crate) notes: Vec<String>,
    /// Why the controller stopped early, if it did. What was recorded until then is judged all the same.
    pub(crate) broken: Option<anyhow::Error>,
}

/// Runs a plan in a cell that was entered before, until it ends or `stop` turns true.
///
/// # Errors
/// If it could not begin. What breaks later is in [`Ran::broken`], with all that was recorded until then.
pub(crate) async fn run(plan: Plan, run: &Run, stop: watch::Receiver<bool>) -> Result<Ran> {
    let mut display = Display::new(Duration::from_secs_f64(plan.config.time_limit_s), plan.quiet);
    display.event(Event::Phase("starting the cluster"));
    let cluster = LocalCluster::start(plan.config.nodes.len(), &run.dir().join("nodes")).await?;
    display.event(Event::Phase("starting the target"));
    let mut stopped = stop.clone();
    tokio::select! {
        started = start_target(plan.target.as_ref(), &cluster, run) => started?,
        _ = stopped.wait_for(|&stop| stop) => bail!("interrupted while the target was starting"),
    }
    let client: Arc<dyn Client> =
        Arc::new(TimeoutClient::new(plan.target.client(&plan.workload.op_set)?, plan.op_timeout));
    set_up(client.as_ref(), &cluster).await?;

    let mut recorder = Recorder::create(&run.history_path())?;
    let mut log = RunLog::create(&run.log_path())?;
    let mut sinks = All(vec![&mut recorder, &mut log, &mut display]);
    let ended = perform(plan, run, &cluster, client, stop, &mut sinks).await;
    display.event(Event::Phase("stopping the cluster"));
    cluster.close().await;
    display.finish();
    let recorded = recorder.finish()?;
    if let Err(error) = recorded.on_disk {
        eprintln!("warning  {error:#}");
    }
    let (notes, broken) = match ended {
        Ok(notes) => (notes, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    Ok(Ran { history: recorded.history, faults: journal::read(&run.faults_path())?, notes, broken })
}

/// Starts the target on all nodes and waits until each answers.
async fn start_target(target: &dyn Target, cluster: &Cluster, run: &Run) -> Result<()> {
    for node in &cluster.nodes {
        target
            .start(cluster, node)
            .await
            .with_context(|| format!("the target could not be started on {}", node.name()))?;
    }
    for node in &cluster.nodes {
        let answered = tokio::select! {
            ready = await_ready(target, node, READY_MAX) => ready,
            () = ended(node) => Err(anyhow::anyhow!("it has ended")),
        };
        if let Err(error) = answered {
            let logs = run.node_dir(node.name());
            bail!(NothingRan(format!(
                "the target on {} does not answer: {error:#}; its output is in {}{}",
                node.name(),
                logs.display(),
                last_words(&logs).map_or_else(String::new, |line| format!(", and ends with: {line}"))
            )));
        }
    }
    Ok(())
}

/// Returns when no process of the target lives on the node any more, and does not come back within a second.
async fn ended(node: &NodeHandle) {
    let mut since: Option<Instant> = None;
    while since.is_none_or(|since| since.elapsed() < Duration::from_secs(1)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let gone = node.pids().await.is_ok_and(|pids| pids.is_empty());
        since = if gone { since.or(Some(Instant::now())) } else { None };
    }
}

/// The last line that is not empty in the log of the target on a node.
fn last_words(logs: &Path) -> Option<String> {
    let logs = std::fs::read_dir(logs).ok()?.flatten().map(|entry| entry.path());
    let mut logs = logs.filter(|path| path.file_name().is_some_and(|name| name != "agent.log"));
    let text = std::fs::read_to_string(logs.next()?).ok()?;
    text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Asks a node until it answers, at most this long; the error is that of the last time.
async fn await_ready(target: &dyn Target, node: &NodeHandle, max: Duration) -> Result<()> {
    let deadline = Instant::now() + max;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = tokio::time::timeout(left.max(READY_EVERY), target.ready(node)).await;
        match asked.context("it did not reply").and_then(|ready| ready) {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(READY_EVERY).await,
            Ok(()) => return Ok(()),
        }
    }
}

async fn set_up(client: &dyn Client, cluster: &Cluster) -> Result<()> {
    let mut client =
        client.open(&cluster.nodes[0].node).await.context("no client could be opened for the setup")?;
    client.setup().await.context("the setup of the workload failed")?;
    client.close().await;
    Ok(())
}

/// The main phase, healing, recovery and the final phase. Returns what is worth a warning.
async fn perform(
    plan: Plan,
    run: &Run,
    cluster: &Cluster,
    client: Arc<dyn Client>,
    stop: watch::Receiver<bool>,
    sink: &mut dyn Sink,
) -> Result<Vec<String>> {
    let Plan { config, target, workload, packages, .. } = plan;
    let start = Instant::now();
    let Composition { nemeses, generator: schedule, final_generator: mut heal } = compose(packages);
    let has_nemesis = !nemeses.is_empty();
    let journal = Journal::create(&run.faults_path(), start)?;
    let chaos = Chaos::new(nemeses, journal, cluster.clone(), target.clone(), config.seed)?;
    let crew = Crew {
        concurrency: config.concurrency as usize,
        client,
        nodes: cluster.nodes.iter().map(|handle| handle.node.clone()).collect(),
        nemesis: has_nemesis.then(|| Box::new(chaos.clone()) as Box<dyn Client>),
    };
    let mut interpreter = Interpreter::new(crew, start, config.seed, stop.clone())?;

    let mut healer = JoinSet::new();
    healer.spawn(heal_on_stop(chaos.clone(), stop.clone()));

    let time_limit = Duration::from_secs_f64(config.time_limit_s);
    let main = workload.generator.rate(config.rate_hz.unwrap_or(0.0)).time_limit(time_limit);
    sink.event(Event::Phase("running"));
    let mut outcome = if has_nemesis {
        interpreter.run(&mut clients_and_nemesis(main, schedule.time_limit(time_limit)), sink).await
    } else {
        interpreter.run(&mut clients(main), sink).await
    };
    sink.event(Event::Phase("healing"));
    if outcome.is_ok() && has_nemesis {
        outcome = interpreter.run(&mut heal, sink).await;
    }
    // Whatever happened, nothing stays broken; healing what the generators healed already does nothing.
    for (fault, healed) in chaos.heal_all().await {
        healed.with_context(|| format!("{fault} could not be healed"))?;
    }
    outcome?;
    if *stop.borrow() {
        return Ok(vec!["The run was interrupted: this is its beginning.".to_owned()]);
    }
    sink.event(Event::Phase("waiting for recovery"));
    let notes = recover(target.as_ref(), cluster).await;
    if let Some(generator) = workload.final_generator {
        sink.event(Event::Phase("final reads"));
        interpreter.run(&mut clients(generator.time_limit(FINAL_MAX)), sink).await?;
    }
    Ok(notes)
}

/// Heals as soon as the run is told to stop: operations under way may last as long as the faults do. What cannot be
/// healed is tried again, and told, when they have ended.
async fn heal_on_stop(chaos: Chaos, mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|&stop| stop).await.is_ok() {
        chaos.heal_all().await;
    }
}

/// Waits until every node answers, within a bound for all; tells which do not, and why.
async fn recover(target: &dyn Target, cluster: &Cluster) -> Vec<String> {
    let start = Instant::now();
    let mut notes = Vec::new();
    for node in &cluster.nodes {
        let left = RECOVER_MAX.saturating_sub(start.elapsed());
        let Err(error) = await_ready(target, node, left).await else { continue };
        let ended = node.pids().await.is_ok_and(|pids| pids.is_empty());
        notes.push(if ended {
            format!("The target on {0} ended by itself: see nodes/{0}.", node.name())
        } else {
            format!(
                "{} did not answer within {} s of healing: {error:#}.",
                node.name(),
                RECOVER_MAX.as_secs()
            )
        });
    }
    notes
}
