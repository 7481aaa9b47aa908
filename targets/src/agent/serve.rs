//! The agent's main loop.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::lines::Lines;
use super::node::Node;
use super::{NodeFault, Numbered, Reply, Request, helper};
use crate::cluster::Unavailable;
use crate::sys;

/// Runs the agent: settles in, serves requests, and returns when its input closes, its lease runs out, or SIGTERM, SIGHUP
/// or SIGINT asks it to end, with everything healed and every process of the target gone. The process must have one
/// thread.
pub fn run(mut faults: Vec<Box<dyn NodeFault>>) -> Result<()> {
    if let Some(helped) = helper::help(&mut faults) {
        return helped;
    }
    let mut lines = Lines::take().context("taking standard input and output")?;
    let Some((mut node, lease, early)) = settle(&mut lines, faults)? else { return Ok(()) };
    let signals = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];
    let mut signals = sys::signals_as_bytes(&signals).context("handling signals")?;
    let served = early
        .iter()
        .try_for_each(|line| answer(&mut lines, &mut node, line))
        .and_then(|()| serve(&mut lines, &mut signals, &mut node, lease));
    node.end();
    served
}

/// A node, how long its controller may be silent, and the lines that came too early.
type Settled = (Node, Option<Duration>, Vec<Vec<u8>>);

/// Answers the first request, which must be `setup`. Nothing if the input closed, or if the node could not be set up,
/// which the controller then knows.
fn settle(lines: &mut Lines, faults: Vec<Box<dyn NodeFault>>) -> Result<Option<Settled>> {
    let mut early = loop {
        match lines.read()? {
            None => return Ok(None),
            Some(whole) if whole.is_empty() => {}
            Some(whole) => break whole,
        }
    };
    let first = early.remove(0);
    let Numbered { id, message } = parse(&first)?;
    let Request::Setup(setup) = message else {
        bail!("the first request must be setup, not {message:?}");
    };
    let lease = setup.lease_ms.map(Duration::from_millis);
    let (settled, reply) = match Node::set_up(setup, faults) {
        Ok(node) => (Some((node, lease, early)), Reply::Done),
        Err(error) => (None, refusal(&error)),
    };
    lines.write(&Numbered { id, message: reply })?;
    Ok(settled)
}

fn serve(lines: &mut Lines, signals: &mut File, node: &mut Node, lease: Option<Duration>) -> Result<()> {
    let mut heard = Instant::now();
    loop {
        let mut ends =
            [PollFd::new(lines.input(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, left_of(lease, heard)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [input, signalled] = ends.map(|end| end.any().unwrap_or(true));
        // What came while a request kept this thread busy is there to be read, and counts.
        if input {
            heard = Instant::now();
        } else if lease.is_some_and(|lease| heard.elapsed() > lease) {
            eprintln!("nothing was heard from the controller for {:?}: ending", heard.elapsed());
            return Ok(());
        }
        if signalled && !only_children(signals) {
            return Ok(());
        }
        node.reap();
        if input {
            let Some(whole) = lines.read()? else { return Ok(()) };
            for line in whole {
                answer(lines, node, &line)?;
            }
        }
    }
}

/// How long the controller may still be silent.
fn left_of(lease: Option<Duration>, heard: Instant) -> PollTimeout {
    let Some(lease) = lease else { return PollTimeout::NONE };
    // Rounded up, so that it is over then.
    let left = lease.saturating_sub(heard.elapsed()) + Duration::from_millis(1);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// Takes the signals that came; whether all of them were about children.
fn only_children(signals: &mut File) -> bool {
    let mut bytes = [0; 64];
    let mut only = true;
    while let Ok(length @ 1..) = signals.read(&mut bytes) {
        only &= bytes[..length].iter().all(|&byte| i32::from(byte) == Signal::SIGCHLD as i32);
    }
    only
}

fn answer(lines: &mut Lines, node: &mut Node, line: &[u8]) -> Result<()> {
    let Numbered { id, message } = parse(line)?;
    let reply = node.perform(message).unwrap_or_else(|error| refusal(&error));
    lines.write(&Numbered { id, message: reply }).context("answering the controller")
}

fn parse(line: &[u8]) -> Result<Numbered<Request>> {
    serde_json::from_slice(line).with_context(|| format!("not a request: {}", String::from_utf8_lossy(line)))
}

fn refusal(error: &anyhow::Error) -> Reply {
    match error.downcast_ref::<Unavailable>() {
        Some(what) => Reply::Unavailable(what.clone()),
        None => Reply::Error { message: format!("{error:#}") },
    }
}
