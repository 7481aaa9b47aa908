//! `squall test` and `squall demo`: one run, from the arguments to the last line.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use clap::Parser as _;
use squall_checkers::{Budget, Unknown, Valid, Verdict};
use squall_nemeses::{Forecast, Schedule, Setting, journal};
use squall_refkv::BUGS;
use squall_results::{Run, RunConfig, Store, Timestamp, Totals, seed_hex};
use squall_targets::cluster::local::{self, Place};
use squall_targets::target::TargetOptions;
use squall_workloads::workload::Options;
use tokio::sync::watch;

use super::args::{Cli, DemoArgs, TestArgs, parse_concurrency};
use super::signals::Signals;
use super::{BadArgument, Ended};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::judge::judge;
use crate::run::{Plan, Ran, run};
use crate::say::tell;
use crate::suite::BUG_ARGS;
use crate::{Squall, seed};

/// How long the clients of a demo run.
const DEMO_TIME: &str = "20s";

/// The same with a bug, some of which need luck.
const DEMO_BUG_TIME: &str = "40s";

/// `squall demo`: the reference KV, under everything or under what brings its bug out.
pub(super) fn demo(
    squall: &Squall,
    args: &DemoArgs,
    store: &Store,
    json: bool,
    quiet: bool,
) -> Result<Ended> {
    let mut words = vec!["squall", "test", "--time-limit"];
    match &args.bug {
        None => words.extend([DEMO_TIME, "-w", "register", "-n", "partition,kill,pause", "--interval", "3s"]),
        Some(name) => {
            let bug = find_bug(name)?;
            words.extend([
                DEMO_BUG_TIME,
                "-w",
                bug.workload,
                "-n",
                bug.nemesis,
                "--bug",
                bug.name,
                "--nodes",
                "3",
            ]);
            words.extend(BUG_ARGS);
        }
    }
    // A squall.toml has no say in a demo.
    let super::Command::Test(mut test_args) = Cli::try_parse_from(words)?.command else {
        unreachable!("a demo is a test")
    };
    test_args.seed = args.seed;
    perform(squall, &test_args, store, json, quiet)
}

/// `squall test`.
pub(super) fn test(
    squall: &Squall,
    args: &TestArgs,
    store: &Store,
    json: bool,
    quiet: bool,
) -> Result<Ended> {
    perform(squall, args, store, json, quiet)
}

fn perform(squall: &Squall, args: &TestArgs, store: &Store, json: bool, quiet: bool) -> Result<Ended> {
    let seed = args.seed.unwrap_or_else(seed::fresh);
    // Mistakes in the arguments are found out before the cell is made.
    let plan = plan(squall, args, store, seed, quiet || json)?;
    let forecast = plan.schedule.forecast(seed, args.time_limit);
    if args.dry_run {
        return dry_run(&forecast, seed, json);
    }
    std::fs::create_dir_all(store.dir())
        .map_err(|error| BadArgument(format!("--results {}: {error}", store.dir().display())))?;
    if let Environment::Local(_) = plan.environment
        && let Place::Outside { code } = local::enter()?
    {
        return Ok(Ended::Code(u8::try_from(code).unwrap_or(Exit::Internal as u8)));
    }
    eprintln!("seed     {}", seed_hex(seed));
    forecast.never.iter().for_each(|never| eprintln!("warning  the schedule never comes to {never}"));
    if !quiet && !json && !plan.schedule.kinds(seed).is_empty() {
        forecast.brief().iter().for_each(|line| eprintln!("schedule {line}"));
        if let Some(length) = plan.schedule.length().filter(|&length| length > args.time_limit) {
            let [length, limit] = [length, args.time_limit].map(humantime::format_duration);
            eprintln!("schedule is cut short: it lasts {length}, the clients run for {limit} (--time-limit)");
        }
    }
    let exit = super::runtime()?.block_on(run_and_judge(plan, store, json))?;
    Ok(Ended::Exit(exit))
}

/// Prints what a run with this seed would do.
fn dry_run(forecast: &Forecast, seed: u64, json: bool) -> Result<Ended> {
    if json {
        let document = serde_json::json!({ "seed": seed_hex(seed), "schedule": forecast });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print!("seed     {}\n{forecast}", seed_hex(seed));
    }
    Ok(Ended::Exit(Exit::Valid))
}

/// The schedule that was asked for, and the text of its file if it has one.
fn schedule(
    squall: &Squall,
    args: &TestArgs,
    setting: &Setting,
    store: &Store,
) -> Result<(Schedule, String)> {
    let bad = |error: anyhow::Error| BadArgument(format!("{error:#}"));
    if let Some(run) = &args.replay {
        let journal = journal::read(&store.find(run)?.faults_path())?;
        let schedule = squall.schedule_of_journal(&journal, setting);
        return Ok((schedule.map_err(|error| bad(error.context(format!("--replay {run}"))))?, String::new()));
    }
    let Some(path) = &args.schedule else {
        return Ok((squall.schedule_of_list(&args.nemesis, setting).map_err(bad)?, String::new()));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| BadArgument(format!("cannot read the schedule {name}: {error}")))?;
    Ok((squall.schedule_of_file(&name, &text, setting).map_err(bad)?, text))
}

fn plan(squall: &Squall, args: &TestArgs, store: &Store, seed: u64, quiet: bool) -> Result<Plan> {
    let bad = |error: &dyn std::fmt::Display| BadArgument(error.to_string());
    let environment = Environment::new(&args.environment)?;
    let nodes = environment.names();
    let concurrency = parse_concurrency(&args.concurrency, nodes.len()).map_err(|error| bad(&error))?;
    let entry = squall.find_workload(&args.workload).map_err(|error| bad(&error))?;
    let options = Options { concurrency, nodes: nodes.clone(), ops_per_key: args.ops_per_key as usize };
    let workload = (entry.build)(&options);
    let mut target_options = TargetOptions::parse(&args.option).map_err(|error| bad(&error))?;
    for name in &args.bug {
        let bug = find_bug(name)?;
        target_options.push("bug", bug.name);
        if target_options.last("design").is_none() {
            target_options.push("design", bug.design);
        }
        bug.args.iter().for_each(|arg| target_options.push("flag", *arg));
    }
    let made = squall.make_target(&args.target, &target_options);
    let (target_name, target) = made.map_err(|error| bad(&format!("{error:#}")))?;
    let target: Arc<dyn squall_targets::Target> = Arc::from(target);
    if !target.op_sets().contains(&workload.op_set.as_str()) {
        return Err(BadArgument(format!(
            "target {} does not know the operations of workload {} ({}); it knows {}",
            args.target,
            workload.name,
            workload.op_set,
            target.op_sets().join(", ")
        ))
        .into());
    }
    let setting = Setting::of(Some(target.as_ref()), nodes.len(), args.interval);
    let (schedule, schedule_text) = schedule(squall, args, &setting, store)?;
    let config = RunConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        argv: args.argv(),
        seed,
        started: Timestamp::now(),
        target: target_name,
        workload: args.workload.clone(),
        nemeses: schedule.kinds(seed),
        target_options: options_table(args),
        nodes,
        concurrency: concurrency as u32,
        schedule: schedule_text,
        rate_hz: (args.rate > 0.0).then_some(args.rate),
        time_limit_s: args.time_limit.as_secs_f64(),
        extra: environment.table(),
        ..RunConfig::default()
    };
    Ok(Plan { config, environment, target, workload, schedule, op_timeout: args.op_timeout, quiet })
}

/// The options of the target, as they were given.
fn options_table(args: &TestArgs) -> toml::Table {
    let pairs = args.option.iter().filter_map(|option| option.split_once('='));
    let mut table: toml::Table = pairs.map(|(key, value)| (key.to_owned(), value.into())).collect();
    if !args.bug.is_empty() {
        table.insert("bug".to_owned(), args.bug.join(",").into());
    }
    table
}

fn find_bug(name: &str) -> Result<&'static squall_refkv::Bug> {
    let unknown = || BadArgument(Unknown::new("bug", name, BUGS.iter().map(|bug| bug.name)).to_string());
    Ok(BUGS.iter().find(|bug| bug.name == name).ok_or_else(unknown)?)
}

/// Runs the plan, and whatever came of it is judged, written down and told.
async fn run_and_judge(mut plan: Plan, store: &Store, json: bool) -> Result<Exit> {
    let dir = store.create(&plan.config)?;
    let (stop, stopped) = watch::channel(false);
    let signalled = Arc::new(OnceLock::new());
    tokio::spawn(stop_on_signal(stop, signalled.clone()));
    let workload = plan.workload.name.clone();
    let checkers = std::mem::take(&mut plan.workload.checkers);
    let mut ran = match (run(plan, &dir, stopped).await, signalled.get()) {
        (Err(error), Some(&exit)) => {
            eprintln!("stopped before it began: {error:#}");
            return Ok(exit);
        }
        (ran, _) => ran?,
    };
    // On a thread of its own, so that a second signal is heard while a long history is judged.
    let history = std::mem::take(&mut ran.history);
    let judging = move || (judge(&workload, &checkers, &history, &Budget::default()), history);
    let (verdict, history) = tokio::task::spawn_blocking(judging).await?;
    ran.history = history;
    let told = keep_and_tell(&dir, &mut ran, &verdict, json);
    if let Some(error) = ran.broken {
        let error = error.context("the run broke off; what was recorded until then has been judged");
        // What was proven stays proven.
        if verdict.valid != Valid::False {
            return Err(error);
        }
        eprintln!("warning  {error:#}");
    }
    told?;
    for (nemesis, lacks) in &ran.lacking {
        eprintln!("error: the nemesis {nemesis} never acted: {lacks}");
    }
    let judged = match verdict.valid {
        // What was proven stays proven.
        Valid::False => Exit::Invalid,
        _ if !ran.lacking.is_empty() => Exit::Environment,
        valid => valid.into(),
    };
    Ok(signalled.get().copied().unwrap_or(judged))
}

/// Writes verdict and report, and prints the last lines. What cannot be written changes no verdict.
fn keep_and_tell(dir: &Run, ran: &mut Ran, verdict: &Verdict, json: bool) -> Result<()> {
    let warn = |error: anyhow::Error| eprintln!("warning  {error:#}");
    dir.write_verdict(verdict, &Totals::of(&ran.history, &ran.faults)).unwrap_or_else(warn);
    let mut data = dir.load().unwrap_or_default();
    // What is on disk may be less.
    data.history = std::mem::take(&mut ran.history);
    data.faults = std::mem::take(&mut ran.faults);
    data.verdict = Some(verdict.clone());
    if !ran.notes.is_empty() {
        data.config.notes.clone_from(&ran.notes);
        dir.write_config(&data.config).unwrap_or_else(warn);
        data.notes.append(&mut ran.notes);
    }
    let report = dir.write_report_of(&data).map_err(warn).ok().map(|path| path.display().to_string());
    tell(&data, report, json)
}

/// The first signal ends the run early, which heals and judges; the second ends the program, and the cell with it.
async fn stop_on_signal(stop: watch::Sender<bool>, signalled: Arc<OnceLock<Exit>>) -> Result<()> {
    let mut signals = Signals::listen()?;
    loop {
        let exit = signals.next().await;
        if signalled.set(exit).is_err() {
            std::process::exit(exit as i32);
        }
        eprintln!("\nstopping: healing and keeping what was recorded; once more to stop at once");
        let _ = stop.send(true);
    }
}
