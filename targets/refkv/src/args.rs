//! The command line.

use crate::bug::{BUGS, Bug, Bugs, DESIGNS};
use crate::raft::{Members, NodeId};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Runs one node of the reference key-value store.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The protocol to run
    #[arg(long, value_name = "NAME", default_value = "raft")]
    pub design: String,
    /// A bug to switch on; may be given several times
    #[arg(long = "bug", value_name = "NAME")]
    pub bugs: Vec<String>,
    /// The name of this node
    #[arg(long)]
    pub id: NodeId,
    /// All nodes as NAME=HOST[:PEERPORT], separated by commas; HOST is an IPv4 address, an IPv6 address in brackets or a
    /// name
    #[arg(long, value_name = "LIST")]
    pub cluster: String,
    /// Start without being a member, to be added by a membership change; the list then says whom to know
    #[arg(long)]
    pub join: bool,
    /// The port for clients (HTTP)
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub client_port: u16,
    /// The port for peers where the list gives none
    #[arg(long, value_name = "PORT", default_value_t = 7080)]
    pub peer_port: u16,
    /// The data directory; made if need be
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A follower may campaign after so long without a leader; each round draws from this to twice this
    #[arg(long, value_name = "MS", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..))]
    pub election_timeout_ms: u64,
    /// How often a leader says that it is there
    #[arg(long, value_name = "MS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub heartbeat_ms: u64,
    /// Take a snapshot after so many entries
    #[arg(long, value_name = "ENTRIES", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_every: u64,
    /// What leases rely on: no clock is faster or slower by more than this
    #[arg(long, value_name = "PPM", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(..1_000_000))]
    pub lease_drift_ppm: u64,
    /// Give a client's request up after so long
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    pub request_timeout_ms: u64,
    /// Decides the election time-outs; drawn at random if not given
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Args {
    /// The address list, with ports filled in.
    ///
    /// # Errors
    ///
    /// When the list is malformed, names a node twice, or lacks this node although it does not join; when the design is
    /// unknown; when the heartbeat is not shorter than the election time-out.
    pub fn cluster(&self) -> Result<Members> {
        if !DESIGNS.iter().any(|design| design.name == self.design) {
            let names: Vec<_> = DESIGNS.iter().map(|design| design.name).collect();
            bail!("unknown design {:?}; the designs are: {}", self.design, names.join(", "));
        }
        if self.heartbeat_ms >= self.election_timeout_ms {
            bail!(
                "--heartbeat-ms must be less than --election-timeout-ms, or every follower campaigns all the time"
            );
        }
        let mut members = Members::new();
        for item in self.cluster.split(',') {
            let Some((id, host)) =
                item.trim().split_once('=').filter(|(id, host)| !id.is_empty() && !host.is_empty())
            else {
                bail!("--cluster: expected NAME=HOST[:PORT], found {item:?}");
            };
            if members.insert(id.to_owned(), with_port(host, self.peer_port)?).is_some() {
                bail!("--cluster names {id} twice");
            }
        }
        if !self.join && !members.contains_key(&self.id) {
            let ids: Vec<_> = members.keys().map(String::as_str).collect();
            bail!(
                "--id {} is not in --cluster ({}); use --join for a node that is to be added to the cluster later",
                self.id,
                ids.join(", ")
            );
        }
        Ok(members)
    }

    /// The bugs that are switched on.
    ///
    /// # Errors
    ///
    /// When there is no bug of that name in the design.
    pub fn bug_set(&self) -> Result<Bugs> {
        let mut set = Bugs::default();
        for name in &self.bugs {
            let known = || BUGS.iter().filter(|bug| bug.design == self.design);
            let Some(Bug { kind, .. }) = known().find(|bug| bug.name == *name) else {
                let names: Vec<_> = known().map(|bug| bug.name).collect();
                bail!("unknown bug {name:?}; the bugs of {} are: {}", self.design, names.join(", "));
            };
            set = set.with(*kind);
        }
        Ok(set)
    }
}

/// `host` with `port` added if it has none. IPv6 addresses stand in brackets.
///
/// # Errors
///
/// When the brackets or the port are malformed.
pub fn with_port(host: &str, port: u16) -> Result<String> {
    let (name, given) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, after)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                (&host[..address.len() + 2], after)
            }
            _ => bail!("{host:?} is not an IPv6 address in brackets"),
        },
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    match given.strip_prefix(':') {
        Some(given) if given.parse::<u16>().is_ok_and(|port| port > 0) && !name.is_empty() => {
            Ok(host.to_owned())
        }
        None if given.is_empty() && !name.is_empty() => Ok(format!("{name}:{port}")),
        _ => bail!("{host:?} is not HOST or HOST:PORT (an IPv6 address needs brackets)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        let common = "refkv --data d --id n1 --cluster n1=10.0.0.1,n2=10.0.0.2";
        Cli::try_parse_from(common.split(' ').chain(line.split_whitespace())).unwrap().args
    }

    fn cluster(list: &str) -> Result<Members> {
        Args { cluster: list.to_owned(), ..args("") }.cluster()
    }

    #[test]
    fn ports_are_filled_in_where_they_are_missing() {
        let members = cluster("n1=10.0.0.1,n2=[fd00::2],n3=host:7001,n4=[::1]:7002").unwrap();
        let addresses: Vec<_> = members.values().map(String::as_str).collect();
        assert_eq!(addresses, ["10.0.0.1:7080", "[fd00::2]:7080", "host:7001", "[::1]:7002"]);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for list in
            ["n1", "n1=", "=h", "n1=h:", "n1=h:x", "n1=h:0", "n1=fd00::1", "n1=[fd00::1", "n1=[x]", "n1=:1"]
        {
            assert!(cluster(list).is_err(), "{list}");
        }
        assert!(cluster("n1=a,n1=b").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_stranger_must_join() {
        let stranger = Args { id: "n9".into(), ..args("") };
        assert!(stranger.cluster().unwrap_err().to_string().contains("--join"));
        assert!(Args { join: true, ..stranger }.cluster().is_ok());
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let error = args("--bug no-such").bug_set().unwrap_err().to_string();
        assert!(BUGS.iter().all(|bug| error.contains(bug.name) == (bug.design == "raft")), "{error}");
        let error = args("--design paxos").cluster().unwrap_err().to_string();
        assert!(error.contains("raft"), "{error}");
        for bug in BUGS {
            let line = format!("--design {} --bug {}", bug.design, bug.name);
            assert!(args(&line).bug_set().unwrap().has(bug.kind));
        }
    }
}
