//! `squall doctor`: what can be done here, on ssh nodes, and with a target.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use squall_nemeses::registry::{MEANS, Means};
use squall_nemeses::{Scene, Schedule, Setting, journal};
use squall_results::Store;
use squall_targets::cluster::local::{self, Place};
use squall_targets::cluster::ssh::{SshCluster, SshOptions, leftovers};
use squall_targets::target::TargetOptions;
use squall_targets::{Client, Cluster, NodeHandle, Target, Unavailable};

use super::args::DoctorArgs;
use super::signals::Signals;
use super::{BadArgument, Ended, runtime};
use crate::Squall;
use crate::environment::{Environment, EnvironmentArgs, Kind};
use crate::exit::Exit;
use crate::readiness::start_target;
use crate::run_log::RunLog;
use crate::say::count;

/// What `squall demo` needs: what must work if nothing is asked for.
const DEMO: &str = "partition,kill,pause";

/// Of a swarm, what this seed chooses is tried.
const SEED: u64 = 0;

/// One thing that was tried.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// Where: `this machine`, or a node.
    on: String,
    /// What.
    name: String,
    /// Whether it works.
    ok: bool,
    /// What was seen.
    detail: String,
    /// What cannot be done without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
    /// How to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// Whether what was asked for needs it.
    needed: bool,
}

impl Check {
    /// What came of an attempt; an error that is an [`Unavailable`] brings a remedy.
    fn of(on: &str, name: &str, lost: &str, tried: Result<String>, needed: bool) -> Check {
        let (on, name) = (on.to_owned(), name.to_owned());
        match tried {
            Ok(detail) => Check { on, name, ok: true, detail, lost: None, remedy: None, needed },
            Err(error) => {
                let missing = error.downcast_ref::<Unavailable>();
                let detail = missing.map_or_else(|| format!("{error:#}"), |missing| missing.what.clone());
                let remedy = missing.map(|missing| missing.remedy.clone());
                Check { on, name, ok: false, detail, lost: Some(lost.to_owned()), remedy, needed }
            }
        }
    }
}

/// Tries what a run would need, with the means of a run: the cell, agents, and the nemeses' own probes.
pub(super) fn doctor(squall: &Squall, args: &DoctorArgs, store: &Store, json: bool) -> Result<Ended> {
    let environment = Environment::new(&args.environment)?;
    let asked = Asked::new(squall, args, &environment)?;
    let mut checks = Vec::new();
    match &environment {
        Environment::Local(_) => {
            checks.extend(this_machine());
            checks.push(journals(store));
            if checks.iter().all(|check| check.ok || !check.needed) {
                if let Place::Outside { code } = local::enter()? {
                    return Ok(Ended::Code(u8::try_from(code).unwrap_or(Exit::Internal as u8)));
                }
                checks.extend(runtime()?.block_on(asked.on_cluster(&environment, "this machine")));
            }
        }
        Environment::Ssh(options) => {
            let found = runtime()?.block_on(async {
                let mut signals = Signals::listen()?;
                anyhow::Ok(tokio::select! {
                    found = asked.on_nodes(options) => Ok(found),
                    exit = signals.next() => Err(exit),
                })
            })?;
            match found {
                Ok(found) => checks.extend(found),
                Err(exit) => return Ok(Ended::Exit(exit)),
            }
        }
    }
    let fine = checks.iter().all(|check| check.ok || !check.needed);
    if json {
        println!("{}", serde_json::to_string_pretty(&checks)?);
    } else {
        table(&checks);
        println!("\n{}", asked.verdict(fine));
    }
    Ok(Ended::Exit(if fine { Exit::Valid } else { Exit::Environment }))
}

/// What local clusters are made of.
fn this_machine() -> Vec<Check> {
    let probes = local::probe().into_iter().map(|probe| Check {
        on: "this machine".to_owned(),
        name: probe.name,
        ok: probe.ok,
        detail: probe.detail,
        lost: (!probe.ok).then(|| "local clusters".to_owned()),
        remedy: probe.remedy,
        needed: true,
    });
    probes.collect()
}

/// Runs that were killed.
fn journals(store: &Store) -> Check {
    let open = || -> Result<String> {
        let mut faults = 0;
        for run in store.runs().unwrap_or_default() {
            if !RunLog::is_live(&run.log_path()) {
                faults += journal::open_faults(&run.faults_path()).unwrap_or_default().len();
            }
        }
        match faults {
            0 => Ok("none".to_owned()),
            n => {
                let what =
                    format!("{} in the journals of killed runs", count(n, "open fault", "open faults"));
                Err(Unavailable::new(what, "squall heal").into())
            }
        }
    };
    Check::of("this machine", "leftovers of killed runs", "nothing", open(), false)
}

/// What somebody wants to do.
struct Asked<'a> {
    squall: &'a Squall,
    /// With its name.
    target: Option<(String, Arc<dyn Target>)>,
    nemeses: Option<String>,
    /// Options of the target.
    options: Vec<String>,
    nodes: usize,
    environment: &'a EnvironmentArgs,
}

impl<'a> Asked<'a> {
    fn new(squall: &'a Squall, args: &'a DoctorArgs, environment: &Environment) -> Result<Asked<'a>> {
        let target = match &args.target {
            None => None,
            Some(name) => {
                let bad = |error: &dyn std::fmt::Display| BadArgument(format!("{error:#}"));
                let options = TargetOptions::parse(&args.option).map_err(|error| bad(&error))?;
                let (name, target) = squall.make_target(name, &options).map_err(|error| bad(&error))?;
                Some((name, Arc::from(target)))
            }
        };
        if target.is_none() && !args.option.is_empty() {
            bail!(BadArgument("-o is an option of a target: name that with -t".to_owned()));
        }
        let asked = Asked {
            squall,
            target,
            nemeses: args.nemesis.clone(),
            options: args.option.clone(),
            nodes: environment.names().len(),
            environment: &args.environment,
        };
        // A mistake is found out before anything is tried.
        asked
            .schedule(args.nemesis.as_deref().unwrap_or("none"))
            .map_err(|error| BadArgument(format!("{error:#}")))?;
        Ok(asked)
    }

    /// What these nemeses would do.
    fn schedule(&self, nemeses: &str) -> Result<Schedule> {
        let target = self.target.as_ref().map(|(_, target)| target.as_ref());
        let setting = Setting::of(target, self.nodes, Duration::from_secs(1));
        self.squall.schedule_of_list(nemeses, &setting)
    }

    /// The nemeses to try: those asked for, or all. Whether each is needed.
    fn nemeses(&self) -> Vec<(String, bool)> {
        match &self.nemeses {
            Some(list) => {
                let each: Vec<&str> = list.split(',').map(str::trim).collect();
                let alone = each.iter().all(|name| self.schedule(name).is_ok());
                let tried = if alone { each } else { vec![list.as_str()] };
                tried.into_iter().map(|name| (name.to_owned(), true)).collect()
            }
            None => {
                let all = self.squall.nemeses.iter().map(|entry| entry.name);
                all.map(|name| (name.to_owned(), DEMO.split(',').any(|needed| needed == name))).collect()
            }
        }
    }

    /// Starts the environment, and tries everything there.
    async fn on_cluster(&self, environment: &Environment, on: &str) -> Vec<Check> {
        let mut checks = Vec::new();
        let folder = Scratch::new(environment);
        let started = match &folder {
            Ok(folder) => environment.start(&folder.id, &folder.path, &[]).await,
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let cluster = match started {
            Ok(cluster) => cluster,
            Err(error) => {
                checks.push(Check::of(on, "agents", "everything", Err(error), true));
                return checks;
            }
        };
        let detail = format!("{} up", count(cluster.nodes.len(), "agent", "agents"));
        checks.push(Check::of(on, "agents", "", Ok(detail), true));
        for means in &MEANS {
            checks.push(try_means(means, &cluster, on).await);
        }
        for (nemesis, needed) in self.nemeses() {
            checks.extend(self.try_nemesis(&nemesis, needed, &cluster, on).await);
        }
        cluster.close().await;
        checks.extend(self.try_target(environment, on).await);
        checks
    }

    async fn try_nemesis(&self, name: &str, needed: bool, cluster: &Cluster, on: &str) -> Option<Check> {
        // One that needs what was not given here, such as a parameter, cannot be tried.
        let mut schedule = self.schedule(name).ok().filter(|schedule| !schedule.kinds(SEED).is_empty())?;
        let target =
            self.target.as_ref().map(|(_, target)| target.clone()).unwrap_or_else(|| Arc::new(Nothing));
        let scene = Scene { cluster, target: target.as_ref() };
        let tried = schedule.probe(SEED, &scene).await.map(|left_out| match left_out.is_empty() {
            true => "can act".to_owned(),
            false => left_out.join(" "),
        });
        let lost = format!("-n {name}");
        Some(Check::of(on, &format!("nemesis {name}"), &lost, tried, needed))
    }

    /// Starts the target as a run does, with what its nemeses need prepared, and waits until it answers.
    async fn try_target(&self, environment: &Environment, on: &str) -> Option<Check> {
        let (name, target) = self.target.as_ref()?;
        let tried = async {
            let schedule = self.schedule(self.nemeses.as_deref().unwrap_or("none"))?;
            let folder = Scratch::new(environment)?;
            let cluster = environment.start(&folder.id, &folder.path, &schedule.preparations(SEED)).await?;
            let started = start_target(target.as_ref(), &cluster, &folder.path).await;
            cluster.close().await;
            started.map(|()| "starts and answers".to_owned())
        };
        Some(Check::of(on, &format!("target {name}"), &format!("-t {name}"), tried.await, true))
    }

    /// Each node by itself, then all together.
    async fn on_nodes(&self, options: &SshOptions) -> Vec<Check> {
        let each = options.nodes.iter().enumerate().map(|(at, address)| async move {
            let one = options.only(at);
            let on = format!("{} ({address})", one.name(0));
            let left = leftovers(&one, false).await.pop().context("no node").and_then(|found| found);
            let reached = left.is_ok();
            let left = left.and_then(|found| match (found.busy, found.left.is_empty()) {
                (true, _) => Ok("a run is at work there".to_owned()),
                (false, true) => Ok("none".to_owned()),
                (false, false) => {
                    let remedy = self.environment.command(&["heal".to_owned()], Some(&address.to_string()));
                    Err(Unavailable::new(found.left.join("; "), remedy).into())
                }
            });
            if !reached {
                return vec![Check::of(&on, "ssh", "everything", left, true)];
            }
            let mut checks = vec![Check::of(&on, "leftovers of killed runs", "nothing", left, false)];
            let (nemeses, options) = (self.nemeses.clone(), Vec::new());
            let alone = Asked { target: None, nemeses, options, ..*self };
            checks.extend(alone.on_cluster(&Environment::Ssh(one), &on).await);
            checks
        });
        let mut checks: Vec<Check> = join_all(each).await.into_iter().flatten().collect();
        let reached =
            checks.iter().all(|check| check.ok || !["ssh", "agents"].contains(&check.name.as_str()));
        if reached && options.nodes.len() > 1 {
            checks.push(self.together(options).await);
        }
        if reached {
            checks.extend(self.try_target(&Environment::Ssh(options.clone()), "all nodes").await);
        }
        checks
    }

    /// Whether they are different machines.
    async fn together(&self, options: &SshOptions) -> Check {
        let tried = async {
            let folder = Scratch::new(&Environment::Ssh(options.clone()))?;
            let cluster = SshCluster::start(options, &folder.id, &folder.path, &[]).await?;
            let ips: Vec<String> =
                cluster.nodes.iter().map(|node| format!("{} {}", node.name(), node.node.ip)).collect();
            cluster.close().await;
            Ok(ips.join(", "))
        };
        Check::of("all nodes", "addresses", "everything", tried.await, true)
    }

    fn verdict(&self, fine: bool) -> String {
        let nemeses = match (&self.target, &self.nemeses) {
            (None, None) if self.environment.env == Kind::Local => None,
            // What the nodes were tried for.
            (None, None) => Some(DEMO),
            (_, nemeses) => nemeses.as_deref(),
        };
        let mut words = Vec::new();
        for (flag, word) in [("-t", self.target.as_ref().map(|(name, _)| name.as_str())), ("-n", nemeses)] {
            words.extend(word.into_iter().flat_map(|word| [flag.to_owned(), word.to_owned()]));
        }
        words.extend(self.options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]));
        let what = match words.is_empty() {
            true => "squall demo".to_owned(),
            false => {
                words.insert(0, "test".to_owned());
                self.environment.command(&words, None)
            }
        };
        if fine { format!("{what} can run") } else { format!("{what} cannot run yet") }
    }
}

/// Tries something that the kernel has or has not, apart from what needs it: a fault may be made in another way, too.
async fn try_means(means: &Means, cluster: &Cluster, on: &str) -> Check {
    let (fault, what) = means.probe;
    let args = if what.is_empty() { Value::Null } else { what.into() };
    let tried = Scene { cluster, target: &Nothing }.probe(fault, &args).await;
    Check::of(on, means.name, means.lost, tried.map(|()| "works".to_owned()), false)
}

/// A directory for logs that nobody reads, gone with the value.
struct Scratch {
    id: String,
    path: PathBuf,
}

impl Scratch {
    fn new(environment: &Environment) -> Result<Scratch> {
        // Nodes are tried at the same time.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("doctor-{:x}-{}-{number}", crate::seed::fresh(), std::process::id());
        let parent = match environment {
            // A cell's own, which vanishes with it, whatever ends it.
            Environment::Local(_) => PathBuf::from("/run"),
            Environment::Ssh(_) => std::env::temp_dir(),
        };
        let path = parent.join(format!("squall-{id}"));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Scratch { id, path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// No target.
struct Nothing;

#[async_trait]
impl Target for Nothing {
    fn op_sets(&self) -> &[&str] {
        &[]
    }

    async fn start(&self, _: &Cluster, _: &NodeHandle) -> Result<()> {
        Ok(())
    }

    async fn ready(&self, _: &NodeHandle) -> Result<()> {
        Ok(())
    }

    fn client(&self, op_set: &str) -> Result<Box<dyn Client>> {
        bail!("nothing answers operations such as {op_set}")
    }
}

/// For a person: a line a check, and two more where something is missing.
fn table(checks: &[Check]) {
    let mut on = "";
    for check in checks {
        if check.on != on {
            println!("{}{}", if on.is_empty() { "" } else { "\n" }, check.on);
            on = &check.on;
        }
        let status = match (check.ok, check.needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "missing",
        };
        println!("  {status:<7} {:<38} {}", check.name, check.detail);
        if !check.ok {
            let more = [("lost", &check.lost), ("remedy", &check.remedy)];
            for (what, text) in more {
                if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                    println!("          {:<38} {what}: {text}", "");
                }
            }
        }
    }
}
