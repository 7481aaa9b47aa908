//! The agent's main loop.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::lines::Lines;
use super::node::Node;
use super::{NodeFault, Numbered, Reply, Request, helper};
use crate::cluster::Unavailable;
use crate::sys;

/// Runs the agent: settles in, serves requests, and returns when its input closes or SIGTERM, SIGHUP or SIGINT asks it
/// to end, with everything healed and every process of the target gone. The process must have one thread.
pub fn run(mut faults: Vec<Box<dyn NodeFault>>) -> Result<()> {
    if let Some(helped) = helper::help(&mut faults) {
        return helped;
    }
    let mut lines = Lines::take().context("taking standard input and output")?;
    let (Some(mut node), early) = settle(&mut lines, faults)? else { return Ok(()) };
    let signals = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];
    let mut signals = sys::signals_as_bytes(&signals).context("handling signals")?;
    let served = early
        .iter()
        .try_for_each(|line| answer(&mut lines, &mut node, line))
        .and_then(|()| serve(&mut lines, &mut signals, &mut node));
    node.end();
    served
}

/// Answers the first request, which must be `setup`. Returns the node, and the lines that came too early.
/// No node if the input closed, or if it could not be set up, which the controller then knows.
fn settle(lines: &mut Lines, faults: Vec<Box<dyn NodeFault>>) -> Result<(Option<Node>, Vec<Vec<u8>>)> {
    let mut early = loop {
        match lines.read()? {
            None => return Ok((None, Vec::new())),
            Some(whole) if whole.is_empty() => {}
            Some(whole) => break whole,
        }
    };
    let first = early.remove(0);
    let Numbered { id, message } = parse(&first)?;
    let set_up = match message {
        Request::Setup(setup) => Node::set_up(setup, faults),
        other => bail!("the first request must be setup, not {other:?}"),
    };
    let (node, reply) = match set_up {
        Ok(node) => (Some(node), Reply::Done),
        Err(error) => (None, refusal(&error)),
    };
    lines.write(&Numbered { id, message: reply })?;
    Ok((node, early))
}

fn serve(lines: &mut Lines, signals: &mut File, node: &mut Node) -> Result<()> {
    loop {
        let mut ends =
            [PollFd::new(lines.input(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [input, signalled] = ends.map(|end| end.any().unwrap_or(true));
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
