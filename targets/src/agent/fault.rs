use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use serde_json::Value;
use squall_checkers::Receipt;

use super::calls::Answers;

/// A fault as it acts on one node (or on the switch between them), run by the agent there.
///
/// One instance lives as long as its agent, so it may hold resources (a resident `nft`, a mount), but only from its
/// first injection on: it is made before the agent moves into its node. Dropping it must leave nothing behind.
///
/// Processes that a fault starts stay in the agent's own session, which is how the agent tells them from the target's:
/// they are neither killed with the target nor among `pids`, and the fault must wait for them itself.
///
/// An error that is an [`Unavailable`](crate::cluster::Unavailable) says that this machine cannot do it; it reaches the
/// controller as such.
pub trait NodeFault: Send {
    /// Its kind, as requests name it: `signal`, `cut` …
    fn kind(&self) -> &'static str;

    /// Called once, in the node, before any process of the target: `data` is the node's data directory. If the run is
    /// going to need this fault ([`Setup::prepare`](super::Setup)) it makes what must be there before the target, such as
    /// a file system under its data.
    fn settle(&mut self, _data: &Path, _needed: bool) -> anyhow::Result<()> {
        Ok(())
    }

    /// Who answers system calls of the target on behalf of this fault. Asked once, after `settle`.
    fn calls(&self) -> Option<Arc<dyn Answers>> {
        None
    }

    /// What a helper process of this fault does, until its standard input ends: see [`helper`](super::helper).
    fn help(&mut self) -> anyhow::Result<()> {
        bail!("the fault {} has no helper", self.kind())
    }

    /// Tries whether this machine can do what `inject` with such arguments would, and does nothing else.
    fn probe(&mut self, _args: &Value) -> anyhow::Result<()> {
        Ok(())
    }

    /// Applies it, replacing what an earlier call applied, and measures that it took effect.
    /// `pids` are the live processes of the node, the agent itself excluded.
    fn inject(&mut self, args: &Value, pids: &[i32]) -> anyhow::Result<Receipt>;

    /// Whether [`starting`](NodeFault::starting) shall be called for each process of the target that is started.
    fn watches_starts(&self) -> bool {
        false
    }

    /// A process of the target is about to be started: it stands, traced by this thread, before its first instruction.
    fn starting(&mut self, _pid: i32) -> anyhow::Result<()> {
        Ok(())
    }

    /// What can be seen of what it acts on, whether it is in force or not: `null` if there is nothing to see. `pids` as above.
    fn observe(&mut self, _pids: &[i32]) -> anyhow::Result<Value> {
        Ok(Value::Null)
    }

    /// Undoes it, and reports what was measured while it lasted. Idempotent: healing what is healthy is fine.
    fn heal(&mut self, pids: &[i32]) -> anyhow::Result<Receipt>;

    /// Removes what an agent that was killed left of this fault on a machine that outlives it, and tells what that was.
    /// Called while no agent acts there.
    fn sweep(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }
}
