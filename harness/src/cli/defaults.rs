//! Defaults from `squall.toml`: a flag beats an environment variable, which beats this file, which beats the built-in.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Command, CommandFactory as _};
use squall_results::{Store, seed_hex};

use super::args::Cli;

const FILE: &str = "squall.toml";

/// The command with the defaults of `squall.toml` in the current directory, if there is one: a table per sub-command,
/// a key per long flag.
pub(super) fn apply(command: Command) -> Result<Command, clap::Error> {
    match std::fs::read_to_string(Path::new(FILE)) {
        Ok(text) => apply_text(command, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(command),
        Err(error) => Err(clap::Error::raw(ErrorKind::Io, format!("{FILE}: {error}\n"))),
    }
}

fn apply_text(mut command: Command, text: &str) -> Result<Command, clap::Error> {
    let wrong = |message: String| clap::Error::raw(ErrorKind::InvalidValue, format!("{FILE}: {message}\n"));
    let tables: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    for (name, table) in tables {
        let Some(known) = command.find_subcommand(&name) else {
            return Err(wrong(format!("[{name}] is not a command of squall")));
        };
        let toml::Value::Table(table) = table else {
            return Err(wrong(format!("{name} must be a table: [{name}]")));
        };
        let flags: Vec<String> =
            known.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
        for (flag, value) in table {
            if !flags.contains(&flag) {
                return Err(wrong(format!("[{name}] has no flag --{flag}; it has --{}", flags.join(", --"))));
            }
            let value = match value {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            let id = flag.replace('-', "_");
            command =
                command.mut_subcommand(&name, |sub| sub.mut_arg(id, |arg| arg.default_value(value.clone())));
        }
    }
    Ok(command)
}

/// The command with the flags of a stored run as defaults of `test`, and with its seed: what its replay begins from. Neither
/// the environment nor `squall.toml` has a say in it. With it comes the run as it is found again later.
pub(super) fn of_run(store: &Store, wanted: &str) -> Result<(Command, String), clap::Error> {
    let wrong = |message: String| clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n"));
    let find = || {
        let run = store.find(wanted)?;
        let stored = store.find(run.id()).is_ok_and(|stored| stored == run);
        let name = if stored { run.id().to_owned() } else { run.dir().display().to_string() };
        anyhow::Ok((name, run.config()?))
    };
    let (run, config) = find().map_err(|error| wrong(format!("--replay {wanted}: {error:#}")))?;
    let given = Cli::command().try_get_matches_from(&config.argv)?;
    let Some(("test", given)) = given.subcommand() else {
        return Err(wrong(format!("--replay {wanted}: its run.toml does not say how it was started")));
    };
    let mut command = Cli::command();
    for arg in Cli::command().find_subcommand("test").into_iter().flat_map(Command::get_arguments) {
        let id = arg.get_id().as_str().to_owned();
        let values: Vec<OsString> = match id.as_str() {
            "nemesis" | "schedule" | "replay" => Vec::new(),
            "seed" => vec![seed_hex(config.seed).into()],
            id if given.value_source(id) == Some(ValueSource::CommandLine) => {
                given.get_raw(id).into_iter().flatten().map(OsString::from).collect()
            }
            _ => Vec::new(),
        };
        command = command.mut_subcommand("test", |sub| {
            sub.mut_arg(id, |arg| {
                let arg = arg.env(Resettable::Reset);
                if values.is_empty() { arg } else { arg.default_values(values) }
            })
        });
    }
    Ok((command, run))
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::cli::args::Command as Sub;
    use crate::environment::Environment;

    fn nodes(text: &str, args: &[&str]) -> Result<usize, String> {
        let command = apply_text(Cli::command(), text).map_err(|error| error.to_string())?;
        let matches = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
        match Cli::from_arg_matches(&matches).map_err(|error| error.to_string())?.command {
            Sub::Test(args) => {
                let environment = Environment::new(&args.environment).map_err(|error| error.to_string())?;
                Ok(environment.names().len())
            }
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_flag_beats_the_file_which_beats_the_built_in() {
        let file = "[test]\nnodes = 3\ntime-limit = \"10s\"";
        assert_eq!(nodes("", &["squall", "test"]), Ok(5));
        assert_eq!(nodes(file, &["squall", "test"]), Ok(3));
        assert_eq!(nodes(file, &["squall", "test", "--nodes", "7"]), Ok(7));
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        assert!(nodes("[tset]\nnodes = 3", &["squall", "test"]).unwrap_err().contains("[tset]"));
        assert!(nodes("[test]\nnode = 3", &["squall", "test"]).unwrap_err().contains("--node;"));
        assert!(nodes("[test]\nnodes = 12", &["squall", "test"]).unwrap_err().contains("12"));
        assert!(nodes("[test", &["squall", "test"]).unwrap_err().contains("squall.toml"));
    }
}
