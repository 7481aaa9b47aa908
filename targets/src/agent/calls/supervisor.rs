//! The thread that answers the calls of one process and of its children.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Answer, Call, Table};
use crate::sys::{self, Reply};

/// Starts it: it waits for the listener to come through this socket.
pub(super) fn start(socket: OwnedFd, answers: Arc<Table>) -> Result<()> {
    let thread = thread::Builder::new().name("calls".into()).spawn(move || {
        let served = sys::receive_descriptor(&socket).and_then(|listener| match listener {
            Some(listener) => serve(Arc::new(listener), &answers),
            // The process was not started.
            None => Ok(()),
        });
        if let Err(error) = served {
            eprintln!("answering system calls: {error}; from now on they fail");
        }
    });
    thread.map(drop).context("starting a thread for system calls")
}

/// Until the last process with this filter has ended.
fn serve(listener: Arc<OwnedFd>, answers: &Table) -> std::io::Result<()> {
    sys::wake_at_once(listener.as_fd());
    loop {
        let mut ends = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if !ends[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
            return Ok(());
        }
        // Nothing if its thread was killed or interrupted meanwhile.
        let Some(waiting) = sys::next_call(listener.as_fd())? else { continue };
        let call = Call {
            number: i64::from(waiting.data.nr),
            args: waiting.data.args,
            thread: waiting.pid as i32,
            id: waiting.id,
            listener: listener.as_fd(),
        };
        let answer = answers.get(&call.number).map_or(Answer::Pass, |who| who.answer(&call));
        reply(&listener, call.id, answer)?;
    }
}

fn reply(listener: &Arc<OwnedFd>, id: u64, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Pass => sys::answer_call(listener.as_fd(), id, Reply::Pass),
        Answer::Return(value) => sys::answer_call(listener.as_fd(), id, Reply::Value(value)),
        Answer::Fail(errno) => sys::answer_call(listener.as_fd(), id, Reply::Error(errno as i32)),
        Answer::PassAfter(wait) => {
            let its = listener.clone();
            let late = move || {
                wait();
                if let Err(error) = sys::answer_call(its.as_fd(), id, Reply::Pass) {
                    eprintln!("answering a system call late: {error}");
                }
            };
            let Err(error) = thread::Builder::new().name("late".into()).spawn(late) else { return Ok(()) };
            eprintln!("no thread for a system call that is to wait: {error}; it passes at once");
            sys::answer_call(listener.as_fd(), id, Reply::Pass)
        }
    }
}
