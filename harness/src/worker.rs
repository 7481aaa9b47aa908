//! Workers: each performs one operation at a time with a client of its own.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use squall_checkers::{Op, Process, Type};
use squall_workloads::{Client, Completion, Node};
use tokio::sync::mpsc;

/// How long a client may take to say good-bye.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// How long an operation takes at least for which no client could be opened.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// What a worker needs for as long as it lives.
pub(crate) struct Worker {
    /// Which thread of the generator's context it is.
    pub(crate) thread: usize,
    /// Its queue of one.
    pub(crate) ops: mpsc::Receiver<Op>,
    /// Where completions go, with the thread that they free.
    pub(crate) done: mpsc::Sender<(usize, Op)>,
}

impl Worker {
    /// Performs operations against `node`, with a fresh client for each process, until the queue closes.
    pub(crate) async fn serve_client(mut self, prototype: Arc<dyn Client>, node: Node) {
        let mut client: Option<Box<dyn Client>> = None;
        while let Some(op) = self.ops.recv().await {
            if client.is_none() {
                match guarded(prototype.open(&node)).await {
                    Ok(opened) => client = Some(opened),
                    // Nothing was sent, so nothing happened. Without a pause the clients of a node that is down would
                    // take most of a limited rate to be refused.
                    Err(error) => {
                        tokio::time::sleep(REFUSED_PAUSE).await;
                        let _ = self.done.send((self.thread, complete(op, Completion::fail(error)))).await;
                        continue;
                    }
                }
            }
            let open = client.as_mut().expect("opened above");
            let completion = guarded(open.invoke(&op)).await.unwrap_or_else(Completion::info);
            let retired = if completion.kind == Type::Info { client.take() } else { None };
            let _ = self.done.send((self.thread, complete(op, completion))).await;
            close(retired).await;
        }
        close(client).await;
    }

    /// Performs the operations of the nemesis, which is one process for ever and whose completions are all `info`.
    pub(crate) async fn serve_nemesis(mut self, mut nemesis: Box<dyn Client>) {
        while let Some(op) = self.ops.recv().await {
            let completion = guarded(nemesis.invoke(&op)).await.unwrap_or_else(Completion::info);
            let _ = self
                .done
                .send((self.thread, complete(op, Completion { kind: Type::Info, ..completion })))
                .await;
        }
    }
}

/// Runs a client's future; an error or a panic becomes text.
async fn guarded<T>(future: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("the client panicked".to_owned()),
    }
}

async fn close(client: Option<Box<dyn Client>>) {
    if let Some(mut client) = client {
        let _ = tokio::time::timeout(CLOSE_MAX, AssertUnwindSafe(client.close()).catch_unwind()).await;
    }
}

/// The completion event of an operation. Its time and index are the scheduler's to fill in.
fn complete(op: Op, completion: Completion) -> Op {
    let Completion { mut kind, value, mut error } = completion;
    if kind == Type::Invoke {
        kind = Type::Info;
        error = Some("mistake in the client: a completion is ok, fail or info, not invoke".to_owned());
    }
    debug_assert!(kind != Type::Ok || op.process != Process::Nemesis);
    Op { kind, value: value.unwrap_or(op.value), error, ..op }
}
