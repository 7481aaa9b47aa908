//! A target from a TOML file: which processes run on a node, when it is ready, who leads, and a client of one's own in any
//! language. So a system is tried with no line of Rust. `targets/systems/etcd.toml` is a whole example.

mod adapter;
mod question;
mod spec;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use squall_checkers::Unknown;
use squall_workloads::Client;
use tokio::task::JoinSet;

use self::adapter::Adapter;
use self::question::Asker;
use self::spec::{Places, Spec};
use crate::agent::Spawn;
use crate::cluster::{Cluster, NodeHandle};
use crate::target::{Primaries, Target};

/// A target that a file describes.
pub struct FileTarget {
    spec: Spec,
    op_sets: Vec<&'static str>,
    /// Where the file is: its clients are started there.
    folder: PathBuf,
    asker: Asker,
}

impl FileTarget {
    /// The target that this file describes.
    ///
    /// # Errors
    /// A file that cannot be read, or says something that makes no sense: with line and column.
    pub fn read(path: &Path) -> Result<FileTarget> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("reading the target file {}", path.display()))?;
        let spec = Spec::parse(&text).with_context(|| format!("target file {}", path.display()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))
            .with_context(|| format!("the folder of {}", path.display()))?;
        // A workload's op set is looked up by reference; there are a handful in the life of a program.
        let op_sets = spec.client.iter().flat_map(|client| &client.op_sets);
        let op_sets = op_sets.map(|name| &*String::leak(name.clone())).collect();
        Ok(FileTarget { spec, op_sets, folder, asker: Asker::new()? })
    }

    fn places(&self, cluster: &Cluster, node: &NodeHandle) -> Places {
        let all: Vec<_> = cluster.nodes.iter().map(|handle| &handle.node).collect();
        Places::of(&node.node, &all, &self.spec.cluster)
    }
}

#[async_trait]
impl Target for FileTarget {
    fn op_sets(&self) -> &[&str] {
        &self.op_sets
    }

    async fn start(&self, cluster: &Cluster, node: &NodeHandle) -> Result<()> {
        let places = self.places(cluster, node);
        for process in &self.spec.process {
            let argv = process.argv.iter().map(|word| places.fill(word)).collect();
            let env = process.env.iter().map(|(name, value)| (name.clone(), places.fill(value))).collect();
            node.spawn(Spawn { name: process.name.clone(), argv, env }).await?;
        }
        Ok(())
    }

    async fn ready(&self, node: &NodeHandle) -> Result<()> {
        let running = node.pids().await?;
        if running.is_empty() {
            bail!("{}: no process runs; its log says why", node.name());
        }
        match &self.spec.ready {
            None => Ok(()),
            Some(question) => match self.asker.ask(question, &node.node).await {
                Ok(true) => Ok(()),
                Ok(false) => bail!("{} is not ready: {question} has another answer", node.name()),
                Err(error) => bail!("{} is not ready: {error:#}", node.name()),
            },
        }
    }

    fn client(&self, op_set: &str) -> Result<Box<dyn Client>> {
        let Some(client) = self.spec.client.as_ref().filter(|_| self.op_sets.contains(&op_set)) else {
            bail!(Unknown::new("op set of this target", op_set, self.op_sets.iter().copied()));
        };
        Ok(Box::new(Adapter::new(client.argv.clone(), op_set, self.folder.clone())))
    }

    fn primaries(&self) -> Option<&dyn Primaries> {
        self.spec.primaries.as_ref().map(|_| self as &dyn Primaries)
    }
}

#[async_trait]
impl Primaries for FileTarget {
    async fn primaries(&self, cluster: &Cluster) -> Vec<String> {
        let Some(question) = &self.spec.primaries else { return Vec::new() };
        let mut asked = JoinSet::new();
        for handle in &cluster.nodes {
            let (asker, question, node) = (self.asker.clone(), question.clone(), handle.node.clone());
            asked.spawn(async move {
                asker.ask(&question, &node).await.is_ok_and(|yes| yes).then_some(node.name)
            });
        }
        let mut primaries: Vec<String> = asked.join_all().await.into_iter().flatten().collect();
        primaries.sort();
        primaries
    }
}
