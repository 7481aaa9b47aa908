//! The controller's end of the line to an agent that is a child process, local or through ssh.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::AgentLink;
use crate::agent::{Numbered, Reply, Request};

/// How long an agent may take to answer. Killing may take 10 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an agent may take to heal and end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);

/// A line to an agent over the pipes of the child process that runs it. Dropping it closes the agent's input, upon
/// which the agent heals and ends.
pub struct PipeLink {
    node: String,
    next_id: AtomicU64,
    child: tokio::sync::Mutex<Child>,
    input: tokio::sync::Mutex<Option<ChildStdin>>,
    /// Who waits for which reply; `None` once the agent is gone.
    waiting: Arc<Mutex<Option<Waiting>>>,
}

type Waiting = HashMap<u64, oneshot::Sender<Reply>>;

impl PipeLink {
    /// Starts the agent of `node` with this command. Its standard error goes where the controller's goes, until the
    /// agent has its log. Must be called within a tokio runtime.
    pub fn start(node: impl Into<String>, command: &mut Command) -> Result<PipeLink> {
        let node = node.into();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the agent of {node}"))?;
        let input = child.stdin.take().expect("its input is a pipe");
        let output = child.stdout.take().expect("its output is a pipe");
        let waiting = Arc::new(Mutex::new(Some(Waiting::new())));
        tokio::spawn(receive(output, waiting.clone()));
        Ok(PipeLink {
            node,
            next_id: AtomicU64::new(1),
            child: child.into(),
            input: Some(input).into(),
            waiting,
        })
    }

    async fn send(&self, line: &[u8]) -> Result<()> {
        let mut input = self.input.lock().await;
        let input = input.as_mut().ok_or_else(|| anyhow!("{}: its agent was ended", self.node))?;
        input.write_all(line).await.map_err(|_| self.gone())
    }

    fn gone(&self) -> anyhow::Error {
        anyhow!("{}: the agent is gone (see the node's agent.log)", self.node)
    }
}

/// Hands each reply to who waits for it, until the agent's output ends.
async fn receive(output: ChildStdout, waiting: Arc<Mutex<Option<Waiting>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // Something that is no reply came from no agent: the line is not to be trusted any more.
        let Ok(Numbered { id, message }) = serde_json::from_str::<Numbered<Reply>>(&line) else { break };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiter) = waiting.as_mut().and_then(|waiting| waiting.remove(&id)) {
            // A caller that timed out listens no more.
            let _ = waiter.send(message);
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

#[async_trait]
impl AgentLink for PipeLink {
    async fn call(&self, request: Request) -> Result<Reply> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(self.gone()),
        };
        let mut line = serde_json::to_vec(&Numbered { id, message: &request })?;
        line.push(b'\n');
        let answered = timeout(CALL_TIMEOUT, async {
            self.send(&line).await?;
            receiver.await.map_err(|_| self.gone())
        });
        match answered.await {
            Ok(reply) => reply,
            Err(_) => {
                if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                    waiting.remove(&id);
                }
                let seconds = CALL_TIMEOUT.as_secs();
                bail!(
                    "{}: the agent did not answer within {seconds} s: {}",
                    self.node,
                    String::from_utf8_lossy(&line).trim()
                )
            }
        }
    }

    async fn close(&self) {
        self.input.lock().await.take();
        let mut child = self.child.lock().await;
        if timeout(CLOSE_TIMEOUT, child.wait()).await.is_err() {
            // It hangs. Its node goes with it, so this is the last resort and enough.
            let _ = child.kill().await;
        }
    }
}
