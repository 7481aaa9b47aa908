//! The command line, defined once: parsing, help and completions come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use squall_checkers::history::Format;
use squall_checkers::{Unknown, Value};

use crate::environment::EnvironmentArgs;
use crate::exit::Exit;

/// Where runs are kept if nobody says.
pub(crate) const RESULTS: &str = "results/runs";

/// Breaks distributed systems and tells what they did wrong.
#[derive(Debug, Parser)]
#[command(name = "squall", version, after_help = Exit::HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Where runs are kept.
    #[arg(long, global = true, env = "SQUALL_RESULTS", value_name = "DIR", default_value = RESULTS)]
    pub(crate) results: PathBuf,
    /// Print one JSON document instead of text.
    #[arg(long, global = true, env = "SQUALL_JSON")]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short, global = true, env = "SQUALL_QUIET")]
    pub(crate) quiet: bool,
}

/// Sub-commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Break the reference KV on this machine: no root, no configuration, under a minute.
    #[command(after_help = "Examples:
  squall demo                        a correct Raft under partitions, kills and pauses
  squall demo --bug stale-read       the same with a bug, which is found
  squall list bugs                   all bugs")]
    Demo(DemoArgs),
    /// Run one test: a workload against a target under nemeses.
    #[command(
        alias = "run",
        after_help = "Examples:
  squall test -w register -n partition,kill
  squall test -w append -n pause --nodes 3 --time-limit 1m --seed 7f3a91c2
  squall test -w set -n partition:primaries --interval 4s --bug ack-before-commit
  squall test -t targets/systems/etcd.toml -n clock:hour,partition:primaries
  squall test --env ssh --nodes root@db1,root@db2,root@db3 -n partition,kill
  squall test -n swarm               a mixture of nemeses that the seed chooses
  squall test --schedule storm.toml  when which fault strikes, from a file
  squall test -n kill --dry-run      print what would happen when, and run nothing
  squall test --replay latest        the last run again, fault by fault
A default for any flag can be set in squall.toml, in a table [test], or by SQUALL_<FLAG>."
    )]
    Test(Box<TestArgs>),
    /// Run a matrix of tests of the reference KV, and fail on any wrong verdict, either way.
    #[command(
        alias = "test-all",
        after_help = "Examples:
  squall suite                       correct designs must pass, every bug must be found
  squall suite --only bugs --tries 5"
    )]
    Suite(SuiteArgs),
    /// Judge a stored run or a history of your own.
    #[command(
        alias = "analyze",
        after_help = "Examples:
  squall check latest                judge the last run again
  squall check history.edn           Jepsen's EDN, JSON lines and others, told apart by content
  squall check logs/*.log            several at once, on all cores, with a table
  squall check h.txt -m causal,snapshot-isolation
  squall check h.jsonl -m queue --time-cap 10s --memory-cap 4GiB
  squall check h.json --witness small.jsonl && squall check small.jsonl
  squall check - -c linearizable-register < history.jsonl
The exit code is that of the worst verdict. See squall list models, squall list checkers, squall explain formats."
    )]
    Check(CheckArgs),
    /// Write the HTML report of a stored run again.
    #[command(after_help = "Examples:
  squall report                      of the last run
  squall report 7f3a                 of the run with this in its id")]
    Report(RunArg),
    /// Browse the runs in a web browser.
    #[command(after_help = "Examples:
  squall serve                       at http://127.0.0.1:8089
  squall serve --listen 0.0.0.0:80   for everybody who can reach this machine")]
    Serve(ServeArgs),
    /// List the stored runs.
    #[command(
        subcommand,
        after_help = "Examples:
  squall runs list
  squall runs list --json"
    )]
    Runs(RunsCommand),
    /// List what can be named.
    #[command(after_help = "Examples:
  squall list workloads
  squall list bugs --json")]
    List {
        /// Of which kind.
        what: Listed,
    },
    /// Explain a bug, an anomaly, a workload, a nemesis, a checker or a consistency model.
    #[command(after_help = "Examples:
  squall explain stale-read
  squall explain linearizable")]
    Explain {
        /// Its name.
        name: String,
    },
    /// Tell what this machine, ssh nodes and a target can do, what is lost without what is missing, and how to get it.
    #[command(after_help = "Examples:
  squall doctor                      exits with 3 where squall demo cannot run
  squall doctor -t refkv -n clock,packets --json
  squall doctor --env ssh --nodes root@db1,root@db2 -n partition")]
    Doctor(DoctorArgs),
    /// Close the fault journals of runs that were killed: their faults vanished with their clusters. Remove what is left on
    /// ssh nodes.
    #[command(after_help = "Examples:
  squall heal                        after a crash; more than once does no harm
  squall heal --env ssh --nodes root@db1,root@db2")]
    Heal(HealArgs),
    /// Print completions for a shell.
    #[command(after_help = "Example:
  squall completions bash > ~/.local/share/bash-completion/completions/squall")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// The agent on a node.
    #[command(hide = true)]
    Agent,
    /// A node of the reference KV.
    #[command(hide = true)]
    Refkv(squall_refkv::Args),
}

/// `squall demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Switch on a bug of the reference KV and find it.
    #[arg(long, value_name = "NAME")]
    pub(crate) bug: Option<String>,
    /// Decides every random choice (hexadecimal).
    #[arg(long, value_name = "HEX", value_parser = parse_seed)]
    pub(crate) seed: Option<u64>,
}

/// `squall test`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TestArgs {
    /// What to test: see `squall list targets`, or a file that describes it, such as `targets/systems/etcd.toml`.
    #[arg(long, short, env = "SQUALL_TARGET", value_name = "NAME|FILE", default_value = "refkv")]
    pub(crate) target: String,
    /// What clients do: see `squall list workloads`.
    #[arg(long, short, env = "SQUALL_WORKLOAD", value_name = "NAME", default_value = "register")]
    pub(crate) workload: String,
    /// What breaks, separated by commas: see `squall list nemeses`. `swarm` is some of all, which the seed chooses.
    #[arg(long, short, env = "SQUALL_NEMESIS", value_name = "NAME[:SPEC],..", default_value = "none")]
    pub(crate) nemesis: String,
    /// When what breaks, from a TOML file, instead of a list: see `squall explain schedules`.
    #[arg(long, env = "SQUALL_SCHEDULE", value_name = "FILE")]
    pub(crate) schedule: Option<PathBuf>,
    /// Where nodes come from.
    #[command(flatten)]
    pub(crate) environment: EnvironmentArgs,
    /// Client workers; `2n` is twice the number of nodes.
    #[arg(long, short, env = "SQUALL_CONCURRENCY", value_name = "N|Nn", default_value = "2n")]
    pub(crate) concurrency: String,
    /// Operations a second over all clients; 0 is as fast as they go.
    #[arg(long, short, env = "SQUALL_RATE", value_name = "HZ", default_value_t = 300.0, value_parser = parse_rate)]
    pub(crate) rate: f64,
    /// How long clients run, without start-up, healing and final reads.
    #[arg(long, env = "SQUALL_TIME_LIMIT", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) time_limit: Duration,
    /// Mean time between two acts of a nemesis.
    #[arg(long, env = "SQUALL_INTERVAL", value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) interval: Duration,
    /// After how long an operation's outcome is given up as unknown.
    #[arg(long, env = "SQUALL_OP_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) op_timeout: Duration,
    /// Operations on each independent key before the next key is begun.
    #[arg(long, env = "SQUALL_OPS_PER_KEY", value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ops_per_key: u32,
    /// Decides every random choice (hexadecimal); random if absent, and always printed.
    #[arg(long, env = "SQUALL_SEED", value_name = "HEX", value_parser = parse_seed)]
    pub(crate) seed: Option<u64>,
    /// Switch on a bug of the target: see `squall list bugs`.
    #[arg(long, env = "SQUALL_BUG", value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) bug: Vec<String>,
    /// An option of the target.
    #[arg(long, short = 'o', value_name = "KEY=VALUE")]
    pub(crate) option: Vec<String>,
    /// Do again what a stored run did, with the same faults at the same times; flags beside it beat those of the run. It is
    /// `latest`, a prefix of its id, or a path.
    #[arg(long, value_name = "RUN")]
    pub(crate) replay: Option<String>,
    /// Print what the nemeses would do and when, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl TestArgs {
    /// The command line that repeats the run but for its seed: what differs from the built-in defaults, wherever it came
    /// from (a flag, the environment, `squall.toml`).
    pub(crate) fn argv(&self) -> Vec<String> {
        let time = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
        let mut argv: Vec<String> =
            ["squall", "test", "-t", &self.target, "-w", &self.workload].map(Into::into).into();
        argv.extend(match (&self.replay, &self.schedule) {
            (Some(run), _) => ["--replay".to_owned(), run.clone()],
            (None, Some(path)) => ["--schedule".to_owned(), path.display().to_string()],
            (None, None) => ["-n".to_owned(), self.nemesis.clone()],
        });
        argv.extend(self.environment.argv());
        let given = [
            ("--concurrency", self.concurrency.clone(), "2n"),
            ("--rate", self.rate.to_string(), "300"),
            ("--time-limit", time(self.time_limit), "30s"),
            ("--interval", time(self.interval), "5s"),
            ("--op-timeout", time(self.op_timeout), "5s"),
            ("--ops-per-key", self.ops_per_key.to_string(), "200"),
            ("--bug", self.bug.join(","), ""),
        ];
        for (flag, value, default) in given {
            if value != default {
                argv.extend([flag.to_owned(), value]);
            }
        }
        self.option.iter().for_each(|option| argv.extend(["-o".to_owned(), option.clone()]));
        argv
    }
}

/// `squall suite`.
#[derive(Debug, Args)]
pub(crate) struct SuiteArgs {
    /// Only a part of the matrix.
    #[arg(long)]
    pub(crate) only: Option<SuitePart>,
    /// How often a bug may escape before that is a failure.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tries: u32,
    /// How long clients run in each test.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) time_limit: Duration,
    /// Decides every random choice (hexadecimal).
    #[arg(long, value_name = "HEX", value_parser = parse_seed)]
    pub(crate) seed: Option<u64>,
}

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuitePart {
    /// Correct designs, which must pass.
    Correct,
    /// Designs with a bug, which must be found.
    Bugs,
}

/// `squall check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Runs (`latest`, a prefix of the id, its folder), history files, or `-` for standard input.
    #[arg(value_name = "RUN|FILE|-", required = true)]
    pub(crate) histories: Vec<String>,
    /// Which checkers, separated by commas (see `squall list checkers`); by default those of the run's workload, or the
    /// one that fits the operations of the history.
    #[arg(long, short, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) checker: Vec<String>,
    /// Which models, separated by commas (see `squall list models`): `register`, `queue`, `serializable`, `causal` ...
    #[arg(long, short, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) model: Vec<String>,
    /// The checkers of this workload (see `squall list workloads`).
    #[arg(long, short, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    /// The format of the files; by default it is told by their content (see `squall explain formats`).
    #[arg(long, value_name = "NAME", value_parser = parse_format)]
    pub(crate) format: Option<Format>,
    /// Gives up on a history that is not judged after so long, such as 10s.
    #[arg(long, env = "SQUALL_TIME_CAP", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) time_cap: Option<Duration>,
    /// How much memory checkers may take besides the histories, such as 512MiB.
    #[arg(long, env = "SQUALL_MEMORY_CAP", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_cap: Option<usize>,
    /// What registers, keys or counters held before the first operation, as JSON: 0, '"word"' or '[1, 2]'. By default
    /// null, for counters 0.
    #[arg(long, value_name = "VALUE", value_parser = parse_value, allow_negative_numbers = true)]
    pub(crate) initial: Option<Value>,
    /// Writes the witness of the first anomaly there, as a history of its own. `-` is standard output; the verdict then goes to
    /// standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) witness: Option<PathBuf>,
}

/// `squall doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Where nodes come from.
    #[command(flatten)]
    pub(crate) environment: EnvironmentArgs,
    /// A target to start there: see `squall list targets`.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// An option of the target.
    #[arg(long, short = 'o', value_name = "KEY=VALUE")]
    pub(crate) option: Vec<String>,
    /// The nemeses that must work, separated by commas; by default those of squall demo, and all are tried.
    #[arg(long, short, value_name = "NAME[:SPEC],..")]
    pub(crate) nemesis: Option<String>,
}

/// `squall heal`.
#[derive(Debug, Args)]
pub(crate) struct HealArgs {
    /// Where to look.
    #[command(flatten)]
    pub(crate) environment: EnvironmentArgs,
}

/// A command on one run.
#[derive(Debug, Args)]
pub(crate) struct RunArg {
    /// `latest`, a prefix of its id, or a path.
    #[arg(default_value = "latest")]
    pub(crate) run: String,
}

/// `squall serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen.
    #[arg(long, env = "SQUALL_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8089")]
    pub(crate) listen: std::net::SocketAddr,
}

/// `squall runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the stored runs, newest first.
    #[command(alias = "ls")]
    List,
}

/// What `squall list` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    /// Systems that can be tested.
    Targets,
    /// What clients do.
    Workloads,
    /// What breaks.
    Nemeses,
    /// What judges.
    Checkers,
    /// Sequential specifications and consistency models.
    Models,
    /// Bugs of the reference KV.
    Bugs,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 500ms, 30s or 2m"))?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

fn parse_format(text: &str) -> Result<Format, String> {
    let names = || Format::ALL.map(Format::name);
    Format::from_name(text).ok_or_else(|| Unknown::new("format", text, names()).to_string())
}

fn parse_value(text: &str) -> Result<Value, String> {
    let how = |_| {
        "a value is written as JSON: 0, null, '[1, 2]', or a word in both kinds of quotes, '\"word\"'"
            .to_owned()
    };
    serde_json::from_str(text).map_err(how)
}

fn parse_size(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, usize); 8] = [
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<usize>().ok(), text[digits..].trim());
    let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
    match number.zip(factor).map(|(number, factor)| number.checked_mul(factor)) {
        Some(None) => Err("that is more memory than there can be".to_owned()),
        Some(Some(bytes)) if bytes > 0 => Ok(bytes),
        _ => Err("a size is written as 512MiB, 2GiB or 1000000B".to_owned()),
    }
}

fn parse_seed(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| "a seed is 1 to 16 hexadecimal digits, such as 7f3a91c2".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err("a rate is a number of operations a second, 0 or more".to_owned()),
    }
}

/// The number of client workers: a number, or a multiple of the number of nodes (`2n`).
pub(crate) fn parse_concurrency(text: &str, nodes: usize) -> Result<usize, String> {
    let max = squall_workloads::generator::Threads::CLIENTS_MAX;
    let count = match text.strip_suffix('n') {
        Some("") => Some(nodes),
        Some(factor) => factor.parse::<usize>().ok().and_then(|factor| factor.checked_mul(nodes)),
        None => text.parse().ok(),
    };
    count.filter(|count| (1..=max).contains(count)).ok_or_else(|| {
        format!("--concurrency {text}: a number from 1 to {max}, or a multiple of the nodes such as 2n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_that_repeats_a_run_says_what_differs_from_the_defaults() {
        let argv = |words: &[&str]| {
            let cli = Cli::try_parse_from(["squall", "test"].iter().chain(words)).unwrap();
            let Command::Test(args) = cli.command else { unreachable!() };
            args.argv()
        };
        let short = argv(&[]);
        assert_eq!(short.join(" "), "squall test -t refkv -w register -n none");
        let words =
            ["-w", "set", "--rate", "0.5", "--time-limit", "1m30s", "--bug", "a,b", "-o", "design=raft"];
        let long = argv(&words);
        assert_eq!(long[6..].join(" "), "-n none --rate 0.5 --time-limit 1m30s --bug a,b -o design=raft");
        let again: Vec<&str> = long[2..].iter().map(String::as_str).collect();
        assert_eq!(argv(&again), long, "it parses to the same");
    }

    #[test]
    fn concurrency_is_a_number_or_a_multiple_of_the_nodes() {
        assert_eq!(parse_concurrency("7", 5), Ok(7));
        assert_eq!(parse_concurrency("2n", 5), Ok(10));
        assert_eq!(parse_concurrency("n", 5), Ok(5));
        for bad in ["", "0", "0n", "-1", "2m", "99999", "18446744073709551615n"] {
            assert!(parse_concurrency(bad, 5).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_seeds_and_rates_say_how_they_are_written() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("30").unwrap_err().contains("30s"));
        assert!(parse_duration("0s").is_err());
        assert_eq!(parse_seed("7f3a91c2"), Ok(0x7f3a_91c2));
        assert!(parse_seed("xyz").unwrap_err().contains("hexadecimal"));
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("2 gib"), Ok(2 << 30));
        for bad in ["", "5", "0B", "MiB", "-1MiB"] {
            assert!(parse_size(bad).unwrap_err().contains("512MiB"), "{bad}");
        }
        assert!(parse_size("99999999999999TiB").unwrap_err().contains("more memory"));
        assert!(parse_format("plum-text").unwrap_err().contains("`plume-text`"));
        assert!(parse_rate("-1").is_err() && parse_rate("NaN").is_err() && parse_rate("0").is_ok());
    }
}
