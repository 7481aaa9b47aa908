//! The life of a run: cluster up, clients and nemesis at work, heal, recover, final reads, judge, report.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use squall_checkers::{FaultEvent, History, Op, Type};
use squall_nemeses::{Chaos, Composition, Journal, RECOVER, Scene, Schedule};
use squall_results::{Run, RunConfig};
use squall_targets::{Cluster, Target, Unavailable};
use squall_workloads::client::{TimeoutClient, ValidatedClient};
use squall_workloads::generator::{GeneratorExt as _, clients, clients_and_nemesis, nemesis, once};
use squall_workloads::{Client, Workload};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clocks;
use crate::display::Display;
use crate::environment::Environment;
use crate::event::{All, Event, Sink};
use crate::interpreter::{Crew, Interpreter};
use crate::readiness::{NemesisClient, Patience, start_target};
use crate::recorder::Recorder;
use crate::run_log::RunLog;

/// How often healing is tried: one fault may be in the way of healing another.
const HEAL_TRIES: usize = 4;
/// How long final reads may take altogether.
const FINAL_MAX: Duration = Duration::from_secs(30);

/// Everything that a run is made of.
pub(crate) struct Plan {
    /// What is written down to repeat it.
    pub(crate) config: RunConfig,
    /// Where its nodes come from.
    pub(crate) environment: Environment,
    /// The system under test.
    pub(crate) target: Arc<dyn Target>,
    /// What clients do, and who judges.
    pub(crate) workload: Workload,
    /// What breaks, and when.
    pub(crate) schedule: Schedule,
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
    /// The nemeses that never acted because a machine lacks something, and what that is.
    pub(crate) lacking: Vec<(String, Unavailable)>,
    /// Why the controller stopped early, if it did. What was recorded until then is judged all the same.
    pub(crate) broken: Option<anyhow::Error>,
}

/// Runs a plan, a local one in a cell that was entered before, until it ends or `stop` turns true.
///
/// # Errors
/// If it could not begin. What breaks later is in [`Ran::broken`], with all that was recorded until then.
pub(crate) async fn run(mut plan: Plan, run: &Run, stop: watch::Receiver<bool>) -> Result<Ran> {
    let mut display = Display::new(Duration::from_secs_f64(plan.config.time_limit_s), plan.quiet);
    display.event(Event::Phase("starting the cluster"));
    let logs = run.dir().join("nodes");
    let prepare = plan.schedule.preparations(plan.config.seed);
    let cluster = plan.environment.start(run.id(), &logs, &prepare).await?;
    display.event(Event::Phase("starting the target"));
    let scene = Scene { cluster: &cluster, target: plan.target.as_ref() };
    let mut stage = Stage::default();
    let begun = match plan.schedule.probe(plan.config.seed, &scene).await {
        Ok(left_out) => {
            stage.notes = left_out;
            begin(&plan, &cluster, &logs, stop.clone()).await
        }
        Err(error) => Err(error),
    };
    let client = match begun {
        Ok(client) => client,
        Err(error) => {
            cluster.close().await;
            return Err(error);
        }
    };
    let mut recorder = Recorder::create(&run.history_path())?;
    let mut log = RunLog::create(&run.log_path())?;
    let mut sinks = All(vec![&mut recorder, &mut log, &mut display]);
    let ended = stage.perform(plan, run, &cluster, client, stop, &mut sinks).await;
    display.event(Event::Phase("stopping the cluster"));
    cluster.close().await;
    display.finish();
    let recorded = recorder.finish()?;
    // A verdict on what nobody can look at again is worth little.
    let broken = ended.err().or(recorded.on_disk.err());
    let Stage { faults, notes, lacking } = stage;
    Ok(Ran { history: recorded.history, faults, notes, lacking, broken })
}

/// Starts the target, and sets up what its clients need.
async fn begin(
    plan: &Plan,
    cluster: &Cluster,
    logs: &Path,
    mut stop: watch::Receiver<bool>,
) -> Result<Arc<dyn Client>> {
    tokio::select! {
        started = start_target(plan.target.as_ref(), cluster, logs) => started?,
        _ = stop.wait_for(|&stop| stop) => bail!("interrupted while the target was starting"),
    }
    let client = plan.target.client(&plan.workload.op_set)?;
    let client: Arc<dyn Client> =
        Arc::new(TimeoutClient::new(Box::new(ValidatedClient::new(client)), plan.op_timeout));
    set_up(client.as_ref(), cluster).await?;
    Ok(client)
}

async fn set_up(client: &dyn Client, cluster: &Cluster) -> Result<()> {
    let mut client =
        client.open(&cluster.nodes[0].node).await.context("no client could be opened for the setup")?;
    client.setup().await.context("the setup of the workload failed")?;
    client.close().await;
    Ok(())
}

/// What is learned on the way, whether or not the run comes to its end.
#[derive(Default)]
struct Stage {
    faults: Vec<FaultEvent>,
    notes: Vec<String>,
    lacking: Vec<(String, Unavailable)>,
}

impl Stage {
    /// The main phase, healing, recovery and the final phase.
    async fn perform(
        &mut self,
        plan: Plan,
        run: &Run,
        cluster: &Cluster,
        client: Arc<dyn Client>,
        stop: watch::Receiver<bool>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let Plan { config, target, workload, schedule, .. } = plan;
        let start = Instant::now();
        let Composition { nemeses, generator: faults, final_generator: mut heal } =
            schedule.compose(config.seed);
        let has_nemesis = !nemeses.is_empty();
        let skews = nemeses.iter().any(|nemesis| nemesis.fault() == "clock");
        let journal = Journal::create(&run.faults_path(), start)?;
        let chaos = Chaos::new(nemeses, journal, cluster.clone(), target.clone(), config.seed)?;
        let mut patience =
            Patience { target, cluster: cluster.clone(), stop: stop.clone(), logs: run.dir().join("nodes") };
        let hands = NemesisClient { chaos: chaos.clone(), patience: patience.clone() };
        let crew = Crew {
            concurrency: config.concurrency as usize,
            client,
            nodes: cluster.nodes.iter().map(|handle| handle.node.clone()).collect(),
            nemesis: has_nemesis.then(|| Box::new(hands) as Box<dyn Client>),
        };
        let mut interpreter = Interpreter::new(crew, start, config.seed, stop.clone())?;
        let mut healer = JoinSet::new();
        healer.spawn(heal_on_stop(chaos.clone(), stop.clone()));
        let mut sampler = JoinSet::new();
        if skews {
            sampler.spawn(clocks::sample(cluster.clone(), run.clocks_path(), start));
        }

        let time_limit = Duration::from_secs_f64(config.time_limit_s);
        let main = workload.generator.rate(config.rate_hz.unwrap_or(0.0)).time_limit(time_limit);
        sink.event(Event::Phase("running"));
        let mut outcome = if has_nemesis {
            interpreter.run(&mut clients_and_nemesis(main, faults.time_limit(time_limit)), sink).await
        } else {
            interpreter.run(&mut clients(main), sink).await
        };
        sink.event(Event::Phase("healing"));
        if outcome.is_ok() && has_nemesis {
            outcome = interpreter.run(&mut heal, sink).await;
        }
        // Whatever happened, nothing stays broken; healing what the generators healed already does nothing.
        let mut healed = chaos.heal_all().await;
        for _ in 1..HEAL_TRIES {
            if healed.iter().any(|(_, receipt)| receipt.is_err()) {
                healed = chaos.heal_all().await;
            }
        }
        for (fault, receipt) in healed {
            if let Err(error) = receipt {
                self.notes.push(format!("A {fault} could not be healed: {error:#}."));
            }
        }
        self.faults = chaos.events().await;
        self.lacking = chaos.lacking().await;
        outcome?;
        if *stop.borrow() {
            self.notes.push("The run was interrupted: this is its beginning.".to_owned());
            return Ok(());
        }
        sink.event(Event::Phase("waiting for recovery"));
        if let Some(recovery) = patience.last().await {
            self.notes.extend(patience.notes(&recovery).await);
            if has_nemesis {
                let line = Op::new(RECOVER).kind(Type::Info).value(serde_json::to_value(&recovery)?);
                interpreter.run(&mut nemesis(once(line)), sink).await?;
            }
        }
        if let Some(generator) = workload.final_generator {
            sink.event(Event::Phase("final reads"));
            interpreter.run(&mut clients(generator.time_limit(FINAL_MAX)), sink).await?;
        }
        Ok(())
    }
}

/// Heals as soon as the run is told to stop: operations under way may last as long as the faults do. What cannot be
/// healed is tried again, and told, when they have ended.
async fn heal_on_stop(chaos: Chaos, mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|&stop| stop).await.is_ok() {
        chaos.heal_all().await;
    }
}
