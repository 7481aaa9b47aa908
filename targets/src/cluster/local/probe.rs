//! What the local environment needs, tried out, each thing in a scratch namespace of its own.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, geteuid};
use serde::{Deserialize, Serialize};

use super::node::no_virtual_network;
use super::rtnl::Rtnl;
use super::{BRIDGE, mounts, namespaces, path_with_sbin};
use crate::agent;
use crate::cluster::Unavailable;
use crate::sys;

const TIMEOUT: Duration = Duration::from_secs(10);

/// One thing that the local environment needs, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What was tried.
    pub name: String,
    /// Whether it worked.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// What to do, if it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Tries what the local environment needs. The process must have one thread; it is left as it was. The binary must know
/// the sub-command [`agent::COMMAND`].
pub fn probe() -> Vec<Probe> {
    vec![
        attempt("user namespaces", user_namespaces),
        attempt("pid, mount and network namespaces", || in_scratch(|| Ok("made".into()))),
        attempt("own /proc", || in_scratch(|| mounts::proc().map(|()| "mounted".into()))),
        attempt("tmpfs", || in_scratch(|| mounts::run().map(|()| "mounted on /run".into()))),
        attempt("bridge and veth", || in_scratch(bridge_and_veth)),
        attempt("/proc/self/exe", || in_scratch(own_program)),
    ]
}

fn user_namespaces() -> anyhow::Result<String> {
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => Ok("made".into()),
        Err(errno) if geteuid().is_root() => Ok(format!("forbidden ({}), but root needs none", errno.desc())),
        Err(errno) => Err(namespaces::forbidden(errno).into()),
    }
}

fn bridge_and_veth() -> anyhow::Result<String> {
    let mut links = Rtnl::open()?;
    let here = File::open("/proc/self/ns/net")?;
    links
        .add_bridge(BRIDGE)
        .and_then(|()| links.add_veth("n1", BRIDGE, "eth0", &here))
        .map_err(no_virtual_network)?;
    Ok("made and connected".into())
}

fn own_program() -> anyhow::Result<String> {
    run(Command::new("/proc/self/exe").arg0("squall").arg(agent::COMMAND))?;
    Ok("runs again as an agent".into())
}

/// Runs a command that reads nothing to its end.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.env("PATH", path_with_sbin()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().with_context(|| format!("{name} does not start"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Does `what` as PID 1 of a scratch cell; the calling process is spent by it.
fn in_scratch(what: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    namespaces::unshare_cell()?;
    let (reader, writer) = pipe()?;
    match sys::fork_single_threaded()? {
        ForkResult::Parent { child } => {
            drop(writer);
            let said = read_outcome(reader);
            waitpid(child, None)?;
            said?
        }
        ForkResult::Child => {
            drop(reader);
            let set_up = prctl::set_pdeathsig(Signal::SIGKILL).map_err(anyhow::Error::from);
            report(writer, set_up.and_then(|()| mounts::private()).and_then(|()| what()))
        }
    }
}

/// Tries `what` in a child of its own, within a bound.
fn attempt(name: &str, what: impl FnOnce() -> anyhow::Result<String>) -> Probe {
    let outcome = attempt_in_child(what).unwrap_or_else(Err);
    let (ok, detail, remedy) = match outcome {
        Ok(detail) => (true, detail, None),
        Err(error) => match error.downcast_ref::<Unavailable>() {
            Some(missing) => (false, missing.what.clone(), Some(missing.remedy.clone())),
            None => (false, format!("{error:#}"), None),
        },
    };
    Probe { name: name.to_owned(), ok, detail, remedy: remedy.filter(|remedy| !remedy.is_empty()) }
}

fn attempt_in_child(what: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<anyhow::Result<String>> {
    let (reader, writer) = pipe()?;
    match sys::fork_single_threaded()? {
        ForkResult::Parent { child } => {
            drop(writer);
            let in_time = wait_readable(&reader, Instant::now() + TIMEOUT)?;
            if !in_time {
                kill(child, Signal::SIGKILL)?;
            }
            let said = read_outcome(reader);
            waitpid(child, None)?;
            if in_time { said } else { bail!("it did not end within {} s", TIMEOUT.as_secs()) }
        }
        ForkResult::Child => {
            drop(reader);
            report(writer, what())
        }
    }
}

fn wait_readable(reader: &PipeReader, deadline: Instant) -> anyhow::Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis() as u16;
    let mut ends = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut ends, PollTimeout::from(left))? > 0)
}

/// How a child tells its outcome, errors as data.
type Told = Result<String, Unavailable>;

fn report(mut writer: PipeWriter, outcome: anyhow::Result<String>) -> ! {
    let told: Told = outcome.map_err(|error| match error.downcast_ref::<Unavailable>() {
        Some(missing) => missing.clone(),
        None => Unavailable::new(format!("{error:#}"), ""),
    });
    let written = serde_json::to_vec(&told).map_err(io::Error::from).and_then(|text| writer.write_all(&text));
    exit(i32::from(written.is_err()))
}

fn read_outcome(mut reader: PipeReader) -> anyhow::Result<anyhow::Result<String>> {
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    let told: Told = serde_json::from_str(&text).context("the process that tried it died")?;
    Ok(told.map_err(anyhow::Error::from))
}
