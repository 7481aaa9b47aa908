//! The controller's end of the line to an agent that is a child process, local or through ssh.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
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
    /// To a task that writes, so that a caller that gives up never leaves half a line. `None` once closed.
    lines: Mutex<Option<UnboundedSender<Vec<u8>>>>,
    /// Who waits for which reply; `None` once the agent is gone.
    waiting: Arc<Mutex<Option<Waiting>>>,
    /// Tells why the agent is gone.
    epitaph: Box<dyn Fn() -> String + Send + Sync>,
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
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Ok(PipeLink::over(node, child, output, || "see the node's agent.log".to_owned()))
    }

    /// The same, over a child whose input is a pipe and whose output has been read up to where the agent speaks.
    /// `epitaph` tells why the agent is gone, once it is.
    pub(super) fn over(
        node: String,
        mut child: Child,
        output: impl AsyncBufRead + Send + Unpin + 'static,
        epitaph: impl Fn() -> String + Send + Sync + 'static,
    ) -> PipeLink {
        let input = child.stdin.take().expect("its input is a pipe");
        let waiting = Arc::new(Mutex::new(Some(Waiting::new())));
        tokio::spawn(receive(output, waiting.clone()));
        let (lines, to_write) = unbounded_channel();
        tokio::spawn(write(input, to_write));
        PipeLink {
            node,
            next_id: AtomicU64::new(1),
            child: child.into(),
            lines: Some(lines).into(),
            waiting,
            epitaph: Box::new(epitaph),
        }
    }

    fn gone(&self) -> anyhow::Error {
        anyhow!("{}: the agent is gone ({})", self.node, (self.epitaph)())
    }
}

async fn write(mut input: ChildStdin, mut lines: UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if input.write_all(&line).await.is_err() {
            // The agent is gone: the end of its output tells those who wait.
            break;
        }
    }
}

/// Hands each reply to who waits for it, until the agent's output ends.
async fn receive(output: impl AsyncBufRead + Unpin, waiting: Arc<Mutex<Option<Waiting>>>) {
    let mut lines = output.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // Something that is no reply came from no agent: the line is not to be trusted any more.
        let Ok(Numbered { id, message }) = serde_json::from_str::<Numbered<Reply>>(&line) else { break };
        let waiter = locked(&waiting).as_mut().and_then(|waiting| waiting.remove(&id));
        if let Some(waiter) = waiter {
            // A caller that timed out listens no more.
            let _ = waiter.send(message);
        }
    }
    locked(&waiting).take();
}

#[async_trait]
impl AgentLink for PipeLink {
    async fn call(&self, request: Request) -> Result<Reply> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        locked(&self.waiting).as_mut().ok_or_else(|| self.gone())?.insert(id, sender);
        let mut line = serde_json::to_vec(&Numbered { id, message: &request })?;
        line.push(b'\n');
        let sent = locked(&self.lines).as_ref().map(|lines| lines.send(line));
        sent.ok_or_else(|| anyhow!("{}: its agent was ended", self.node))?.map_err(|_| self.gone())?;
        match timeout(CALL_TIMEOUT, receiver).await {
            Ok(reply) => reply.map_err(|_| self.gone()),
            Err(_) => {
                locked(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&id));
                let seconds = CALL_TIMEOUT.as_secs();
                bail!("{}: the agent did not answer within {seconds} s: {request:?}", self.node)
            }
        }
    }

    async fn close(&self) {
        locked(&self.lines).take();
        let mut child = self.child.lock().await;
        if timeout(CLOSE_TIMEOUT, child.wait()).await.is_err() {
            // It hangs. Its node goes with it, so this is the last resort and enough.
            let _ = child.kill().await;
        }
    }
}

/// Nothing panics while it holds one of these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
