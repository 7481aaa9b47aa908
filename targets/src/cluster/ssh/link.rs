use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::machine::Machine;
use crate::agent::{Reply, Request};
use crate::cluster::{AgentLink, PipeLink};

/// After so long without a word the agent takes its controller for lost, heals and ends.
pub const LEASE: Duration = Duration::from_secs(6);
/// How often the controller says a word.
const PING_EVERY: Duration = Duration::from_millis(1500);

/// The line to an agent through ssh.
pub(super) struct SshLink {
    link: Arc<PipeLink>,
    machine: Machine,
    pinging: JoinHandle<()>,
    /// Where the logs are on the node, and where they shall be here.
    logs: (PathBuf, PathBuf),
}

impl SshLink {
    pub(super) fn new(link: PipeLink, machine: Machine, logs: (PathBuf, PathBuf)) -> SshLink {
        let link = Arc::new(link);
        let pinging = tokio::spawn(ping(Arc::downgrade(&link)));
        SshLink { link, machine, pinging, logs }
    }
}

/// Keeps the lease, as long as there is a link. One ping does not wait for the reply to the one before, since the agent
/// may be busy.
async fn ping(link: Weak<PipeLink>) {
    while let Some(link) = link.upgrade() {
        tokio::spawn(async move { link.call(Request::Ping).await });
        sleep(PING_EVERY).await;
    }
}

#[async_trait]
impl AgentLink for SshLink {
    async fn call(&self, request: Request) -> Result<Reply> {
        self.link.call(request).await
    }

    async fn fetch_logs(&self) -> Result<()> {
        let (from, to) = &self.logs;
        tokio::fs::create_dir_all(to).await.with_context(|| format!("making {}", to.display()))?;
        let name = &self.machine.remote.name;
        self.machine.fetch(from, to).await.with_context(|| format!("fetching the logs of {name}"))
    }

    async fn close(&self) {
        let name = &self.machine.remote.name;
        let ended = match self.link.call(Request::End).await {
            Ok(Reply::Error { message }) => Err(anyhow::anyhow!("{name}: {message}")),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let fetched = self.fetch_logs().await;
        for error in [ended, fetched].into_iter().filter_map(Result::err) {
            eprintln!("warning  {error:#}");
        }
        self.pinging.abort();
        self.link.close().await;
    }
}

impl Drop for SshLink {
    fn drop(&mut self) {
        self.pinging.abort();
    }
}
