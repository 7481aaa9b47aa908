//! Where nodes come from.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, ValueEnum};
use squall_results::{RunConfig, shell_quoted};
use squall_targets::Cluster;
use squall_targets::cluster::local::LocalCluster;
use squall_targets::cluster::ssh::{self, SshAddress, SshCluster, SshOptions};

use crate::cli::BadArgument;

/// How many local nodes there are if nobody says.
const LOCAL_NODES: usize = 5;
const LOCAL_NODES_MAX: usize = 9;

/// Kinds of environments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Namespaces on this machine, gone with the run.
    #[default]
    Local,
    /// Machines reached through ssh.
    Ssh,
}

/// The flags that choose an environment.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct EnvironmentArgs {
    /// Where nodes come from: namespaces on this machine, or machines reached through ssh.
    #[arg(long, env = "SQUALL_ENV", value_name = "KIND", default_value = "local")]
    pub(crate) env: Kind,
    /// How many local nodes (1 to 9, 5 by default); or the ssh nodes, each as [user@]host[:port][/ip], where ip is how the
    /// others reach it if ssh arrives at another address. They are called n1, n2 ...
    #[arg(long, env = "SQUALL_NODES", value_name = "N|HOST,..")]
    pub(crate) nodes: Option<String>,
    /// Use sudo on ssh nodes where the user is not root.
    #[arg(long, env = "SQUALL_SUDO")]
    pub(crate) sudo: bool,
    /// A configuration file for ssh, instead of ~/.ssh/config.
    #[arg(long, env = "SQUALL_SSH_CONFIG", value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// An option for ssh, as in its configuration file: `IdentityFile=key`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) ssh_option: Vec<String>,
    /// Where squall puts its directory on ssh nodes.
    #[arg(long, env = "SQUALL_SSH_DIR", value_name = "DIR", default_value = SshOptions::DIR)]
    pub(crate) ssh_dir: PathBuf,
    /// The squall binary to copy to ssh nodes, if this one does not run there.
    #[arg(long, env = "SQUALL_AGENT", value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Leave the data and logs of the run on the ssh nodes.
    #[arg(long, env = "SQUALL_KEEP")]
    pub(crate) keep: bool,
}

impl EnvironmentArgs {
    /// The words of the command line that say the same.
    pub(crate) fn argv(&self) -> Vec<String> {
        let mut argv = Vec::new();
        let mut add = |words: &[&str]| argv.extend(words.iter().map(ToString::to_string));
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        if self.env == Kind::Ssh {
            add(&["--env", "ssh"]);
        }
        if let Some(nodes) = self.nodes.as_ref().filter(|nodes| **nodes != LOCAL_NODES.to_string()) {
            add(&["--nodes", nodes]);
        }
        for (flag, on) in [("--sudo", self.sudo), ("--keep", self.keep)] {
            if on {
                add(&[flag]);
            }
        }
        self.ssh_option.iter().for_each(|option| add(&["--ssh-option", option]));
        let dir = Some(&self.ssh_dir).filter(|dir| *dir != Path::new(SshOptions::DIR));
        let paths = [
            ("--ssh-config", self.ssh_config.as_ref()),
            ("--ssh-dir", dir),
            ("--agent", self.agent.as_ref()),
        ];
        for (flag, value) in paths {
            if let Some(value) = value {
                add(&[flag, &path(value)]);
            }
        }
        argv
    }

    /// The flags of a command line that only ssh nodes know what to do with, where nodes are local. What the environment or
    /// `squall.toml` say may be meant for other runs.
    pub(crate) fn astray(given: &ArgMatches) -> Vec<String> {
        if !matches!(given.try_get_one("env"), Ok(Some(Kind::Local))) {
            return Vec::new();
        }
        let flags = EnvironmentArgs::augment_args(Command::new(""));
        let of_ssh = |arg: &&Arg| !["env", "nodes"].contains(&arg.get_id().as_str());
        let typed = |arg: &&Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let typed = flags.get_arguments().filter(of_ssh).filter(typed).filter_map(Arg::get_long);
        typed.map(|flag| format!("--{flag}")).collect()
    }

    /// A command of squall, such as `heal`, for these of the nodes, as it is typed in a shell.
    pub(crate) fn command(&self, words: &[String], nodes: Option<&str>) -> String {
        let nodes = nodes.map(str::to_owned).or_else(|| self.nodes.clone());
        let environment = EnvironmentArgs { nodes, keep: false, ..self.clone() };
        let words = ["squall".to_owned()].into_iter().chain(words.iter().cloned()).chain(environment.argv());
        words.map(|word| shell_quoted(&word)).collect::<Vec<_>>().join(" ")
    }
}

/// Where the nodes of a run come from.
#[derive(Clone, Debug)]
pub(crate) enum Environment {
    /// So many namespaces on this machine.
    Local(usize),
    /// Machines.
    Ssh(SshOptions),
}

impl Environment {
    /// What the flags choose.
    ///
    /// # Errors
    /// [`BadArgument`], if they do not fit each other.
    pub(crate) fn new(args: &EnvironmentArgs) -> Result<Environment> {
        let given = args.nodes.as_deref();
        match args.env {
            Kind::Local => match given.map(str::parse::<usize>) {
                None => Ok(Environment::Local(LOCAL_NODES)),
                Some(Ok(nodes @ 1..=LOCAL_NODES_MAX)) => Ok(Environment::Local(nodes)),
                Some(Ok(nodes)) => {
                    bail!(BadArgument(format!(
                        "--nodes {nodes}: there are 1 to {LOCAL_NODES_MAX} local nodes"
                    )))
                }
                Some(Err(_)) => bail!(BadArgument(format!(
                    "--nodes {}: local nodes are counted (--nodes 3); machines need --env ssh",
                    given.unwrap_or_default()
                ))),
            },
            Kind::Ssh => Ok(Environment::Ssh(ssh_options(args, given)?)),
        }
    }

    /// The nodes' names.
    pub(crate) fn names(&self) -> Vec<String> {
        let count = match self {
            Environment::Local(nodes) => *nodes,
            Environment::Ssh(options) => options.nodes.len(),
        };
        (1..=count).map(|at| format!("n{at}")).collect()
    }

    /// What is written down about it with a run, besides the command line; nothing about a local one.
    pub(crate) fn table(&self) -> toml::Table {
        let mut table = toml::Table::new();
        if let Environment::Ssh(options) = self {
            let address = |(name, address): (String, &SshAddress)| (name, address.to_string().into());
            let nodes: toml::Table = self.names().into_iter().zip(&options.nodes).map(address).collect();
            table.insert("ssh".to_owned(), nodes.into());
        }
        table
    }

    /// Brings the nodes up for a run with this id, with these kinds of faults prepared. Logs go to `<logs>/<node>`.
    pub(crate) async fn start(&self, run: &str, logs: &Path, prepare: &[String]) -> Result<Cluster> {
        match self {
            Environment::Local(nodes) => LocalCluster::start(*nodes, logs, prepare).await,
            Environment::Ssh(options) => SshCluster::start(options, run, logs, prepare).await,
        }
    }
}

/// The addresses of the ssh nodes of a run, in order; none if it was local.
pub(crate) fn ssh_nodes(config: &RunConfig) -> Vec<String> {
    let table = config.extra.get("ssh").and_then(toml::Value::as_table);
    let address = |name: &String| table?.get(name)?.as_str().map(str::to_owned);
    config.nodes.iter().filter_map(address).collect()
}

fn ssh_options(args: &EnvironmentArgs, nodes: Option<&str>) -> Result<SshOptions> {
    let Some(nodes) = nodes else {
        bail!(BadArgument("--env ssh needs its nodes: --nodes db1,db2,root@db3:2222".to_owned()));
    };
    if nodes.parse::<usize>().is_ok() {
        bail!(BadArgument(format!("--nodes {nodes}: --env ssh needs names (--nodes db1,db2), not a number")));
    }
    let addresses: Result<Vec<SshAddress>, String> =
        nodes.split(',').map(|node| node.trim().parse()).collect();
    let nodes = addresses.map_err(|error| BadArgument(format!("--nodes: {error}")))?;
    for (at, node) in nodes.iter().enumerate() {
        let same = |other: &SshAddress| (other.host(), other.port) == (node.host(), node.port);
        if nodes[..at].iter().any(same) {
            bail!(BadArgument(format!(
                "--nodes: {node} is there twice; each node needs a machine of its own"
            )));
        }
    }
    for (flag, path) in [("--ssh-config", &args.ssh_config), ("--agent", &args.agent)] {
        let Some(path) = path else { continue };
        let why = match File::open(path).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_file() => continue,
            Ok(_) => "it is no file".to_owned(),
            Err(error) => error.to_string(),
        };
        bail!(BadArgument(format!("{flag} {}: {why}", path.display())));
    }
    let is_setting = |option: &str| option.split_once(['=', ' ']).is_some_and(|(key, _)| !key.is_empty());
    if let Some(option) = args.ssh_option.iter().find(|option| !is_setting(option)) {
        bail!(BadArgument(format!("--ssh-option {option}: it is written as KEY=VALUE, such as Port=2222")));
    }
    if !args.ssh_dir.is_absolute() {
        let dir = args.ssh_dir.display();
        bail!(BadArgument(format!(
            "--ssh-dir {dir}: it is a path from the root, such as {}",
            SshOptions::DIR
        )));
    }
    if nodes.len() > ssh::NODES_MAX {
        bail!(BadArgument(format!("--nodes: there are at most {} ssh nodes", ssh::NODES_MAX)));
    }
    Ok(SshOptions {
        config: args.ssh_config.clone(),
        options: args.ssh_option.clone(),
        sudo: args.sudo,
        dir: args.ssh_dir.clone(),
        agent: args.agent.clone(),
        keep: args.keep,
        ..SshOptions::new(nodes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(env: Kind, nodes: Option<&str>) -> Result<Environment> {
        let nodes = nodes.map(str::to_owned);
        let ssh_dir = SshOptions::DIR.into();
        Environment::new(&EnvironmentArgs { env, nodes, ssh_dir, ..EnvironmentArgs::default() })
    }

    #[test]
    fn local_nodes_are_counted_and_ssh_nodes_are_named() {
        assert_eq!(environment(Kind::Local, None).unwrap().names().len(), 5);
        assert_eq!(environment(Kind::Local, Some("2")).unwrap().names(), ["n1", "n2"]);
        let ssh = environment(Kind::Ssh, Some("db1, root@db2:2222/10.0.0.2")).unwrap();
        assert_eq!(ssh.names(), ["n1", "n2"]);
        assert_eq!(ssh.table()["ssh"]["n2"].as_str(), Some("root@db2:2222/10.0.0.2"));
    }

    #[test]
    fn what_ssh_would_stumble_over_is_told_before() {
        let nodes = Some("db1".to_owned());
        let fine = EnvironmentArgs { env: Kind::Ssh, nodes, ssh_dir: "/srv".into(), ..Default::default() };
        assert!(Environment::new(&fine).is_ok());
        for (args, why) in [
            (
                EnvironmentArgs { ssh_config: Some("/no/config".into()), ..fine.clone() },
                "--ssh-config /no/config: No such",
            ),
            (EnvironmentArgs { agent: Some("/".into()), ..fine.clone() }, "--agent /: it is no file"),
            (EnvironmentArgs { ssh_option: vec!["Port".into()], ..fine.clone() }, "KEY=VALUE"),
            (EnvironmentArgs { ssh_option: vec!["=1".into()], ..fine.clone() }, "KEY=VALUE"),
            (EnvironmentArgs { ssh_dir: "here".into(), ..fine.clone() }, "a path from the root"),
        ] {
            let error = Environment::new(&args).unwrap_err();
            assert!(error.is::<BadArgument>() && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_command_reaches_the_nodes_as_they_are_reached() {
        let args = EnvironmentArgs {
            env: Kind::Ssh,
            nodes: Some("db1,db2:2222".into()),
            sudo: true,
            ssh_config: Some("my config".into()),
            ssh_dir: SshOptions::DIR.into(),
            keep: true,
            ..Default::default()
        };
        assert_eq!(
            args.command(&["heal".to_owned()], Some("db2:2222")),
            "squall heal --env ssh --nodes db2:2222 --sudo --ssh-config 'my config'"
        );
    }

    #[test]
    fn a_mix_up_is_explained() {
        for (env, nodes, why) in [
            (Kind::Local, Some("db1,db2"), "need --env ssh"),
            (Kind::Local, Some("12"), "1 to 9"),
            (Kind::Ssh, Some("3"), "not a number"),
            (Kind::Ssh, None, "needs its nodes"),
            (Kind::Ssh, Some("db1,,db2"), "names no host"),
            (Kind::Ssh, Some("db1,db2,db1"), "db1 is there twice"),
            (Kind::Ssh, Some("root@db1:9,db1:9"), "db1:9 is there twice"),
            (Kind::Ssh, Some("db1:0"), "is no port"),
        ] {
            let error = environment(env, nodes).unwrap_err();
            assert!(error.is::<BadArgument>() && error.to_string().contains(why), "{error}");
        }
    }
}
