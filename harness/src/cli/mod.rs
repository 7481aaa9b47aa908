//! The `squall` command.

pub(crate) mod args;
mod check;
mod defaults;
mod doctor;
mod heal;
mod list;
mod runs;
mod signals;
mod test;

use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use squall_checkers::history::ReadError;
use squall_results::{FindError, Store};
use squall_targets::cluster::Unavailable;

use crate::Squall;
use crate::environment::EnvironmentArgs;
use crate::exit::Exit;
use args::{Cli, Command};

/// An argument that parses but makes no sense: exit code 254.
#[derive(Debug)]
pub(crate) struct BadArgument(pub(crate) String);

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadArgument {}

/// No operation was performed: the target never answered, or the history is empty. Exit code 4.
#[derive(Debug)]
pub(crate) struct NothingRan(pub(crate) String);

impl fmt::Display for NothingRan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NothingRan {}

/// Parses the arguments, does what they say, and tells how it ended.
pub(crate) fn main(squall: &Squall, args: Vec<OsString>) -> ExitCode {
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // clap's own code for a usage error is 2, which here means unknown.
            return if error.use_stderr() { Exit::BadArguments.into() } else { Exit::Valid.into() };
        }
    };
    match dispatch(squall, cli) {
        Ok(Ended::Exit(exit)) => exit.into(),
        Ok(Ended::Code(code)) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_of(&error).into()
        }
    }
}

/// How a command ended.
pub(crate) enum Ended {
    /// As this.
    Exit(Exit),
    /// As the process in the cell did.
    Code(u8),
}

/// For commands that ask nodes.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let command = defaults::apply(Cli::command())?;
    let mut matches = command.try_get_matches_from(&args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Command::Test(test) = &mut cli.command {
        one_of(test, matches.subcommand().expect("test").1)?;
        if let Some(wanted) = &test.replay {
            let (command, run) = defaults::of_run(&Store::open(&cli.results), wanted)?;
            matches = command.try_get_matches_from(args)?;
            cli = Cli::from_arg_matches(&matches)?;
            if let Command::Test(args) = &mut cli.command {
                // By its name, for `latest` will be another one.
                args.replay = Some(run);
            }
        }
    }
    match matches.subcommand().map(|(_, given)| EnvironmentArgs::astray(given)) {
        Some(flags) if !flags.is_empty() => {
            let what = format!(
                "{}: for --env ssh only; name that and its nodes (--env ssh --nodes db1,db2), or leave this out",
                flags.join(", ")
            );
            Err(Cli::command().error(ErrorKind::ArgumentConflict, what))
        }
        _ => Ok(cli),
    }
}

/// Which of a list, a schedule and a replay is meant: the one from the command line, else the one from the environment, else
/// the one from `squall.toml`.
fn one_of(test: &mut args::TestArgs, given: &ArgMatches) -> Result<(), clap::Error> {
    let from = |id| match given.value_source(id) {
        Some(ValueSource::CommandLine) => 3,
        Some(ValueSource::EnvVariable) => 2,
        Some(_) => 1,
        None => 0,
    };
    let [nemesis, schedule, replay] = ["nemesis", "schedule", "replay"].map(from);
    if [nemesis, schedule, replay].iter().filter(|&&from| from == 3).count() > 1 {
        let what = "-n, --schedule and --replay cannot be used with each other";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, what));
    }
    if nemesis > schedule {
        test.schedule = None;
    }
    Ok(())
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<BadArgument>() || error.is::<FindError>() || error.is::<ReadError>() {
        Exit::BadArguments
    } else if error.is::<NothingRan>() {
        Exit::NothingRan
    } else if error.is::<Unavailable>() {
        Exit::Environment
    } else {
        Exit::Internal
    }
}

fn dispatch(squall: &Squall, cli: Cli) -> Result<Ended> {
    let store = Store::open(&cli.results);
    let exit = match cli.command {
        Command::Demo(args) => return test::demo(squall, &args, &store, cli.json, cli.quiet),
        Command::Test(args) => return test::test(squall, &args, &store, cli.json, cli.quiet),
        Command::Suite(args) => {
            let seed = args.seed.unwrap_or_else(crate::seed::fresh);
            crate::suite::run(&args, &cli.results, cli.json, seed)?
        }
        Command::Check(args) => check::check(squall, &args, &store, cli.json)?,
        Command::Report(args) => runs::report(&store, &args.run)?,
        Command::Serve(args) => runs::serve(store, args.listen)?,
        Command::Runs(args::RunsCommand::List) => runs::list(&store, cli.json)?,
        Command::List { what } => list::list(squall, what, cli.json)?,
        Command::Explain { name } => list::explain(squall, &name)?,
        Command::Doctor(args) => return doctor::doctor(squall, &args, &store, cli.json),
        Command::Heal(args) => heal::heal(&args.environment, &store)?,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "squall", &mut text);
            print!("{}", String::from_utf8_lossy(&text));
            Exit::Valid
        }
        Command::Agent => {
            squall_targets::agent::run(squall_nemeses::faults::all())?;
            Exit::Valid
        }
        Command::Refkv(args) => {
            squall_refkv::run(args)?;
            Exit::Valid
        }
    };
    Ok(Ended::Exit(exit))
}
