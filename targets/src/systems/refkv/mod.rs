//! The reference key-value store, as a target: `squall refkv` on each node, HTTP to its clients.

mod client;
mod http;

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use squall_workloads::Client;
use tokio::task::JoinSet;

use self::client::{OpSet, RefKvClient};
use self::http::Http;
use crate::agent::Spawn;
use crate::cluster::{Cluster, DATA_DIR, NodeHandle};
use crate::systems::host;
use crate::target::{Flags, Membership, Primaries, Target, TargetOptions, Transfer};

/// The target's name.
pub const NAME: &str = "refkv";
/// Its options.
pub const OPTIONS: &[(&str, &str)] = &[
    ("design", "the protocol to run (raft if not given)"),
    ("bug", "a bug to switch on; may come several times"),
    ("flag", "an argument to add to the server's command line; may come several times"),
    ("timeout-ms", "how long a client waits for an answer (4000 if not given)"),
];

const MEMBERS: &[&str] = &["v1", "members"];
const LEADER: &[&str] = &["leader"];
const CLIENT_PORT: u16 = 8080;
const PEER_PORT: u16 = 7080;
/// Above the server's own 3 s, so that it is the server that says what it knows; below the 5 s after which a run gives an
/// operation up, so that a read that brings nothing is known to have failed.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(4);
/// For questions that a node answers at once or not at all.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// The reference key-value store.
pub struct RefKv {
    design: String,
    bugs: Vec<String>,
    flags: Vec<String>,
    clients: Http,
    status: Http,
}

impl RefKv {
    /// With the options of [`OPTIONS`]. That design and bugs exist is for the server to say.
    ///
    /// # Errors
    /// A time-out that is no number.
    pub fn new(options: &TargetOptions) -> Result<RefKv> {
        let timeout = match options.last("timeout-ms") {
            None => CLIENT_TIMEOUT,
            Some(text) => Duration::from_millis(
                text.parse().map_err(|_| anyhow!("timeout-ms is a number of milliseconds, not {text:?}"))?,
            ),
        };
        let all = |key| options.all(key).map(str::to_owned).collect();
        Ok(RefKv {
            design: options.last("design").unwrap_or("raft").to_owned(),
            bugs: all("bug"),
            flags: all("flag"),
            clients: Http::new(CLIENT_PORT, timeout)?,
            status: Http::new(CLIENT_PORT, STATUS_TIMEOUT)?,
        })
    }

    /// The command line. Of a flag that is among those of the options and among these, these count.
    fn argv(&self, cluster: &Cluster, id: &str, join: bool, flags: &[String]) -> Vec<String> {
        let members: Vec<String> = cluster
            .nodes
            .iter()
            .map(|handle| format!("{}={}", handle.name(), host(handle.node.ip)))
            .collect();
        let mut argv: Vec<String> = ["squall", "refkv", "--design", &self.design].map(str::to_owned).to_vec();
        argv.extend(self.bugs.iter().flat_map(|bug| ["--bug".to_owned(), bug.clone()]));
        let own = [
            ("--id", id),
            ("--cluster", &members.join(",")),
            ("--client-port", &CLIENT_PORT.to_string()),
            ("--peer-port", &PEER_PORT.to_string()),
            ("--data", DATA_DIR),
        ];
        argv.extend(own.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]));
        argv.extend(join.then(|| "--join".to_owned()));
        let name = |flag: &String| flag.split_once('=').map_or(flag.clone(), |(name, _)| name.to_owned());
        let overridden = |flag: &String| flags.iter().any(|other| name(other) == name(flag));
        argv.extend(self.flags.iter().filter(|flag| !overridden(flag)).chain(flags).cloned());
        argv
    }

    /// Whether nodes that answer agree that `node` is no member: started as one, it could vote where it must not.
    async fn was_removed(&self, cluster: &Cluster, node: &NodeHandle) -> bool {
        let others = cluster.nodes.iter().filter(|other| other.name() != node.name());
        let answers = self.ask_all(others, MEMBERS).await;
        let member = |answer: &Value| answer["members"].get(node.name()).is_some();
        !answers.is_empty() && !answers.iter().any(|(_, answer)| member(answer))
    }

    /// What each node that answers says to a GET, at the same time.
    async fn ask_all<'a>(
        &self,
        nodes: impl Iterator<Item = &'a NodeHandle>,
        path: &'static [&'static str],
    ) -> Vec<(String, Value)> {
        let mut asked = JoinSet::new();
        for handle in nodes {
            let (http, node) = (self.status.clone(), handle.node.clone());
            asked.spawn(async move {
                let answer = http.call(Method::GET, &node, path, None, None).await;
                Some((node.name, answer.ok()?))
            });
        }
        asked.join_all().await.into_iter().flatten().collect()
    }

    async fn change(&self, via: &NodeHandle, change: Value) -> Result<()> {
        match self.clients.call(Method::POST, &via.node, MEMBERS, Some(change.clone()), None).await {
            Ok(_) => Ok(()),
            Err(failure) => bail!("{}: {change}: {failure}", via.name()),
        }
    }
}

#[async_trait]
impl Target for RefKv {
    fn op_sets(&self) -> &[&str] {
        OpSet::NAMES
    }

    /// Starts a member, or, once the others have removed it, a node that waits to be added again.
    async fn start(&self, cluster: &Cluster, node: &NodeHandle) -> Result<()> {
        self.start_with(cluster, node, &[]).await
    }

    async fn ready(&self, node: &NodeHandle) -> Result<()> {
        match self.status.call(Method::GET, &node.node, &["health"], None, None).await {
            Ok(_) => Ok(()),
            // Its body tells no error, only that it has no leader yet.
            Err(failure) => bail!("{} is not healthy: {failure}", node.name()),
        }
    }

    fn client(&self, op_set: &str) -> Result<Box<dyn Client>> {
        Ok(Box::new(RefKvClient::new(OpSet::from_name(op_set)?, self.clients.clone())))
    }

    fn primaries(&self) -> Option<&dyn Primaries> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn Membership> {
        Some(self)
    }

    fn flags(&self) -> Option<&dyn Flags> {
        Some(self)
    }

    fn transfer(&self) -> Option<&dyn Transfer> {
        Some(self)
    }
}

#[async_trait]
impl Flags for RefKv {
    fn choices(&self) -> &[&[&str]] {
        &[
            &["--election-timeout-ms=150"],
            &["--election-timeout-ms=2000"],
            &["--heartbeat-ms=350"],
            &["--snapshot-every=5"],
        ]
    }

    async fn start_with(&self, cluster: &Cluster, node: &NodeHandle, flags: &[String]) -> Result<()> {
        let join = self.was_removed(cluster, node).await;
        let argv = self.argv(cluster, node.name(), join, flags);
        // A Rust program that is out of memory while it prints a backtrace never ends, for both take the same lock: it would
        // hang, rather than crash, under a memory limit.
        let env = [("RUST_BACKTRACE".to_owned(), "0".to_owned())].into();
        node.spawn(Spawn { name: NAME.into(), argv, env }).await?;
        Ok(())
    }
}

#[async_trait]
impl Transfer for RefKv {
    async fn transfer(&self, from: &NodeHandle, to: &NodeHandle) -> Result<()> {
        let body = json!({"to": to.name()});
        match self.status.call(Method::POST, &from.node, LEADER, Some(body), None).await {
            Ok(_) => Ok(()),
            Err(failure) => bail!("{}: a transfer to {}: {failure}", from.name(), to.name()),
        }
    }
}

#[async_trait]
impl Primaries for RefKv {
    async fn primaries(&self, cluster: &Cluster) -> Vec<String> {
        let answers = self.ask_all(cluster.nodes.iter(), LEADER).await;
        let mut leaders: Vec<String> = answers
            .into_iter()
            .filter(|(_, answer)| answer["role"] == "leader")
            .map(|(name, _)| name)
            .collect();
        leaders.sort();
        leaders
    }
}

#[async_trait]
impl Membership for RefKv {
    async fn members(&self, via: &NodeHandle) -> Result<Vec<String>> {
        let answer = self.status.call(Method::GET, &via.node, MEMBERS, None, None).await;
        let answer = answer.map_err(|failure| anyhow!("{}: {failure}", via.name()))?;
        let members = answer["members"].as_object().context("members is not an object")?;
        Ok(members.keys().cloned().collect())
    }

    async fn add(&self, via: &NodeHandle, node: &NodeHandle) -> Result<()> {
        self.change(via, json!({"add": {"id": node.name(), "addr": host(node.node.ip)}})).await
    }

    async fn remove(&self, via: &NodeHandle, node: &NodeHandle) -> Result<()> {
        self.change(via, json!({"remove": node.name()})).await
    }
}
