//! A cluster of fakes that record what is asked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use squall_checkers::Receipt;
use squall_targets::agent::{Reply, Request, Spawn};
use squall_targets::cluster::AgentLink;
use squall_targets::{Client, Cluster, Flags, Membership, Node, NodeHandle, Primaries, Target, Unavailable};

/// What was asked of agents and target, in order: `n1: kill`.
pub(crate) type Calls = Arc<Mutex<Vec<String>>>;

/// The command lines of what runs, by node.
type Running = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// An agent that obeys, and remembers whether anything runs.
struct FakeAgent {
    name: String,
    calls: Calls,
    runs: Running,
}

#[async_trait]
impl AgentLink for FakeAgent {
    async fn call(&self, request: Request) -> Result<Reply> {
        let mut runs = self.runs.lock().unwrap();
        let (said, reply) = match request {
            Request::Kill | Request::Terminate { .. } => {
                let pids: Vec<i32> = runs.remove(&self.name).map(|_| 9).into_iter().collect();
                let how = if request == Request::Kill { "kill" } else { "term" };
                let gone = Receipt { confirmed: !pids.is_empty(), ..Receipt::confirmed("pid 9 gone") };
                (how.to_owned(), gone.with("pids", pids))
            }
            Request::Spawn(spawn) => {
                self.calls.lock().unwrap().push(format!("{}: start", self.name));
                runs.insert(self.name.clone(), spawn.argv);
                return Ok(Reply::Pid { pid: 9 });
            }
            Request::Wipe => {
                self.calls.lock().unwrap().push(format!("{}: wipe", self.name));
                return Ok(Reply::Done);
            }
            Request::Pids => {
                let pids = if runs.contains_key(&self.name) { vec![9] } else { vec![] };
                return Ok(Reply::Pids { pids });
            }
            Request::Commands => {
                let commands = runs.get(&self.name).map(|argv| (9, argv.clone()));
                return Ok(Reply::Commands { commands: commands.into_iter().collect() });
            }
            Request::Probe { fault, .. } if fault == "clock" => {
                return Err(Unavailable::new("there is no vDSO", "use another machine").into());
            }
            Request::Probe { .. } => return Ok(Reply::Done),
            Request::Inject { fault, args } => {
                (format!("inject {fault} {args}"), Receipt::confirmed("in force"))
            }
            Request::Heal { fault } => {
                // Nothing happens to a node that does not run.
                let receipt = if runs.contains_key(&self.name) || self.name == "switch" {
                    Receipt::confirmed("it bit")
                } else {
                    Receipt::unconfirmed("it did not bite")
                };
                (format!("heal {fault}"), receipt.with("healed", true))
            }
            other => bail!("a fake agent cannot {other:?}"),
        };
        self.calls.lock().unwrap().push(format!("{}: {said}", self.name));
        Ok(Reply::Receipt(reply))
    }
}

/// A target whose processes are names in a set, and whose members are another.
pub(crate) struct FakeTarget {
    calls: Calls,
    runs: Running,
    pub(crate) leaders: Mutex<Vec<String>>,
    pub(crate) members: Mutex<BTreeSet<String>>,
    /// How many changes it refuses before it agrees to one.
    pub(crate) refusals: Mutex<usize>,
    /// Where it dies as soon as it is started.
    pub(crate) broken: Mutex<BTreeSet<String>>,
    /// Where it cannot be started.
    pub(crate) unstartable: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Target for FakeTarget {
    fn op_sets(&self) -> &[&str] {
        &[]
    }

    async fn start(&self, cluster: &Cluster, node: &NodeHandle) -> Result<()> {
        self.start_with(cluster, node, &[]).await
    }

    async fn ready(&self, node: &NodeHandle) -> Result<()> {
        ensure!(self.runs.lock().unwrap().contains_key(node.name()), "nobody listens");
        Ok(())
    }

    fn client(&self, op_set: &str) -> Result<Box<dyn Client>> {
        bail!("no client for {op_set}")
    }

    fn primaries(&self) -> Option<&dyn Primaries> {
        Some(self)
    }

    fn flags(&self) -> Option<&dyn Flags> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn Membership> {
        Some(self)
    }
}

#[async_trait]
impl Primaries for FakeTarget {
    async fn primaries(&self, _: &Cluster) -> Vec<String> {
        self.leaders.lock().unwrap().clone()
    }
}

#[async_trait]
impl Flags for FakeTarget {
    fn choices(&self) -> &[&[&str]] {
        &[&["--softly"]]
    }

    async fn start_with(&self, _: &Cluster, node: &NodeHandle, flags: &[String]) -> Result<()> {
        ensure!(!self.unstartable.lock().unwrap().contains(node.name()), "no such program");
        node.spawn(Spawn::new("fake", flags.to_vec())).await?;
        if self.broken.lock().unwrap().contains(node.name()) {
            self.end(node.name());
        }
        Ok(())
    }
}

impl FakeTarget {
    /// The process on a node ends by itself.
    pub(crate) fn end(&self, node: &str) {
        self.runs.lock().unwrap().remove(node);
    }

    fn change(&self, what: &str, via: &NodeHandle, node: &NodeHandle) -> Result<()> {
        self.calls.lock().unwrap().push(format!("{}: {what} {}", via.name(), node.name()));
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            bail!("another change is under way");
        }
        Ok(())
    }
}

#[async_trait]
impl Membership for FakeTarget {
    async fn members(&self, _: &NodeHandle) -> Result<Vec<String>> {
        Ok(self.members.lock().unwrap().iter().cloned().collect())
    }

    async fn add(&self, via: &NodeHandle, node: &NodeHandle) -> Result<()> {
        self.change("add", via, node)?;
        self.members.lock().unwrap().insert(node.name().to_owned());
        Ok(())
    }

    async fn remove(&self, via: &NodeHandle, node: &NodeHandle) -> Result<()> {
        self.change("remove", via, node)?;
        self.members.lock().unwrap().remove(node.name());
        Ok(())
    }
}

/// A cluster of `n` running nodes, with a switch or without.
pub(crate) fn cluster(n: u8, switch: bool) -> (Cluster, Arc<FakeTarget>, Calls) {
    let calls = Calls::default();
    let names: BTreeSet<String> = (1..=n).map(|i| format!("n{i}")).collect();
    let runs: Running = Arc::new(Mutex::new(names.iter().map(|name| (name.clone(), Vec::new())).collect()));
    let agent = |name: &str, last: u8| {
        let link = FakeAgent { name: name.to_owned(), calls: calls.clone(), runs: runs.clone() };
        NodeHandle::new(Node::new(name, [192, 0, 2, last]), Arc::new(link))
    };
    let cluster = Cluster {
        nodes: (1..=n).map(|i| agent(&format!("n{i}"), i)).collect(),
        switch: switch.then(|| agent("switch", 254)),
    };
    let target = FakeTarget {
        calls: calls.clone(),
        runs: runs.clone(),
        leaders: Mutex::default(),
        members: Mutex::new(names),
        refusals: Mutex::default(),
        broken: Mutex::default(),
        unstartable: Mutex::default(),
    };
    (cluster, Arc::new(target), calls)
}

/// What was asked since the last time.
pub(crate) fn take(calls: &Calls) -> Vec<String> {
    std::mem::take(&mut calls.lock().unwrap())
}
