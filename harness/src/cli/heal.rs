//! `squall heal`: what an interrupted run left behind.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use squall_nemeses::journal;
use squall_results::{Run, RunConfig, Store};
use squall_targets::cluster::ssh::{SshOptions, leftovers};

use super::args::{Cli, Command, RESULTS};
use super::{BadArgument, runtime};
use crate::environment::{self, Environment, EnvironmentArgs, Kind};
use crate::exit::Exit;
use crate::run_log::RunLog;
use crate::say::count;

/// Looks through the fault journals for faults that were never healed. A local cluster is gone with its controller, so
/// its open faults are only written down as healed; a controller that still lives is left alone. On ssh nodes, where they
/// are named, whatever a run left is removed.
pub(super) fn heal(args: &EnvironmentArgs, store: &Store) -> Result<Exit> {
    // Before the first run there is none by default, but whoever names one has runs there.
    let dir = store.dir();
    if dir != Path::new(RESULTS) && !dir.is_dir() {
        let what = format!("--results {}: there is no such directory, so no run in it", dir.display());
        bail!(BadArgument(format!("{what}; name the one that the runs are in")));
    }
    // Addresses of nodes that are clean now.
    let mut clean: Vec<String> = Vec::new();
    let mut exit = Exit::Valid;
    // Names without --env ssh are a mistake, after which nothing was healed.
    if let Environment::Ssh(options) = Environment::new(args)? {
        clean = heal_nodes(&options)?;
        if clean.len() < options.nodes.len() {
            exit = Exit::Environment;
        }
    }
    let (mut healed, mut alive) = (0, 0);
    for run in store.runs()? {
        // Before the journal is read: a run that ends in between has healed itself.
        let live = RunLog::is_live(&run.log_path());
        match heal_run(&run, live, &clean) {
            Ok(Healed::Nothing) => {}
            Ok(Healed::Lives) => {
                eprintln!("{}: still running, left alone", run.id());
                alive += 1;
            }
            Ok(Healed::Elsewhere(command)) => {
                println!("{}: its agents heal its nodes when it ends; to make sure: {command}", run.id());
                alive += 1;
            }
            Ok(Healed::Faults(faults, how)) => {
                println!("{}: {} {how}", run.id(), count(faults, "fault", "faults"));
                healed += faults;
            }
            Err(error) => eprintln!("warning  {}: {error:#}", run.id()),
        }
    }
    match (healed, alive) {
        (0, 0) if args.env == Kind::Local => println!("nothing to heal"),
        (0, _) => {}
        (n, _) => println!("{} closed in the journals", count(n, "fault", "faults")),
    }
    Ok(exit)
}

/// What became of a run's open faults.
enum Healed {
    /// It had none.
    Nothing,
    /// It is still running.
    Lives,
    /// They were on ssh nodes, which were not looked at: the command that does.
    Elsewhere(String),
    /// So many are gone, and written down as that; and how.
    Faults(usize, &'static str),
}

fn heal_run(run: &Run, live: bool, clean: &[String]) -> Result<Healed> {
    let open = journal::open_faults(&run.faults_path())?;
    if open.is_empty() {
        return Ok(Healed::Nothing);
    }
    if live {
        return Ok(Healed::Lives);
    }
    let config = fs::read_to_string(run.config_path()).context("reading run.toml")?;
    let config: RunConfig = toml::from_str(&config).context("run.toml")?;
    let nodes = environment::ssh_nodes(&config);
    if !nodes.iter().all(|node| clean.contains(node)) {
        return Ok(Healed::Elsewhere(heal_command(&config, &nodes.join(","))));
    }
    journal::close_faults(&run.faults_path(), &open)?;
    let how = if nodes.is_empty() { "vanished with the cluster" } else { "over: its nodes are clean" };
    Ok(Healed::Faults(open.len(), how))
}

/// The command that heals these nodes, with the run's own ways to reach them.
fn heal_command(config: &RunConfig, nodes: &str) -> String {
    let environment = match Cli::try_parse_from(&config.argv).map(|cli| cli.command) {
        Ok(Command::Test(test)) => test.environment,
        _ => {
            EnvironmentArgs { env: Kind::Ssh, ssh_dir: SshOptions::DIR.into(), ..EnvironmentArgs::default() }
        }
    };
    environment.command(&["heal".to_owned()], Some(nodes))
}

/// Removes what is left on ssh nodes, and tells which are clean.
fn heal_nodes(options: &SshOptions) -> Result<Vec<String>> {
    let found = runtime()?.block_on(leftovers(options, true));
    let mut clean = Vec::new();
    for (found, address) in found.into_iter().zip(&options.nodes) {
        match found {
            Err(error) => eprintln!("error: {error:#}"),
            Ok(found) if found.busy => {
                eprintln!("{} ({address}): a run is at work there, left alone", found.node);
            }
            Ok(found) => {
                found.left.iter().for_each(|left| println!("{} ({address}): removed {left}", found.node));
                if found.left.is_empty() {
                    println!("{} ({address}): nothing was left", found.node);
                }
                clean.push(address.to_string());
            }
        }
    }
    Ok(clean)
}
