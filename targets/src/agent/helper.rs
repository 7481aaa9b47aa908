//! Helper processes of faults: the agent's own program, at work for one fault.

use std::process::Command;
use std::{env, io};

use anyhow::{Context, Result};

use super::{COMMAND, NodeFault};

/// In the environment of a helper: the kind of its fault.
const KIND: &str = "SQUALL_HELPER";

/// A command that runs this program as a helper of the fault of that kind: its [`help`](NodeFault::help). For what must
/// not be done in the agent's own process, such as serving a file system that the agent looks into. The helper must end
/// when its standard input does, so that it never outlives the agent.
pub fn helper(kind: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut command, "squall");
    command.arg(COMMAND).env(KIND, kind);
    command
}

/// Does what a helper does, if this process is one.
pub(super) fn help(faults: &mut [Box<dyn NodeFault>]) -> Option<Result<()>> {
    let kind = env::var(KIND).ok()?;
    let fault = faults.iter_mut().find(|fault| fault.kind() == kind);
    let helped = fault.ok_or_else(|| io::Error::other("there is no such fault")).map_err(anyhow::Error::from);
    Some(helped.and_then(|fault| fault.help()).with_context(|| format!("the helper of the fault {kind}")))
}
