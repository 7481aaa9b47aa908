//! A node in its agent's hands: its processes, its data, its faults.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::sys::{prctl, ptrace};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, getpid, setsid};
use squall_checkers::Unknown;

use super::calls::Calls;
use super::process_table;
use super::{NodeFault, Reply, Request, Setup, Spawn};
use crate::cluster::DATA_DIR;

pub(super) struct Node {
    name: String,
    data: PathBuf,
    /// Held open, since a node's own mounts may hide its path.
    logs: File,
    /// Names of the processes that were spawned and have not been reaped.
    pub(super) spawned: BTreeMap<i32, String>,
    /// How those of the processes that the last `kill` or `terminate` met ended.
    pub(super) ended: BTreeMap<i32, ExitStatus>,
    faults: Vec<Box<dyn NodeFault>>,
    /// System calls of the target that faults answer.
    calls: Calls,
}

impl Node {
    pub(super) fn set_up(setup: Setup, mut faults: Vec<Box<dyn NodeFault>>) -> Result<Node> {
        if let Some(guard) = &setup.guard {
            guard.enter(&mut faults)?;
        }
        fs::create_dir_all(&setup.logs).with_context(|| format!("making {}", setup.logs.display()))?;
        let logs = File::open(&setup.logs).with_context(|| format!("opening {}", setup.logs.display()))?;
        let own_log = log(&logs, "agent")?;
        dup2_stdout(&own_log)?;
        dup2_stderr(&own_log)?;
        match &setup.enter {
            Some(local) => local.enter(&setup.data)?,
            None => {
                fs::create_dir_all(&setup.data).with_context(|| format!("making {}", setup.data.display()))?
            }
        }
        // An init gets its orphans anyway. The session may be its own already.
        prctl::set_child_subreaper(true)?;
        let _ = setsid();
        eprintln!("agent of {} up as pid {}", setup.node, getpid());
        settle(&setup, &mut faults)?;
        let calls = Calls::new(faults.iter().filter_map(|fault| fault.calls()))?;
        let (spawned, ended) = Default::default();
        Ok(Node { name: setup.node, data: setup.data, logs, spawned, ended, faults, calls })
    }

    pub(super) fn perform(&mut self, request: Request) -> Result<Reply> {
        self.reap();
        match request {
            Request::Setup(_) => bail!("the agent is set up already"),
            Request::Ping => Ok(Reply::Done),
            Request::Spawn(spawn) => Ok(Reply::Pid { pid: self.spawn(&spawn)? }),
            Request::Kill => Ok(Reply::Receipt(self.kill()?)),
            Request::Terminate { grace_ms } => {
                Ok(Reply::Receipt(self.terminate(Duration::from_millis(grace_ms))?))
            }
            Request::Pids => Ok(Reply::Pids { pids: process_table::target_pids() }),
            Request::Commands => Ok(Reply::Commands { commands: process_table::target_commands() }),
            Request::Wipe => self.wipe().map(|()| Reply::Done),
            Request::Probe { fault, args } => self.fault(&fault)?.probe(&args).map(|()| Reply::Done),
            Request::Inject { fault, args } => {
                let pids = process_table::target_pids();
                Ok(Reply::Receipt(self.fault(&fault)?.inject(&args, &pids)?))
            }
            Request::Observe { fault } => {
                let pids = process_table::target_pids();
                Ok(Reply::Observed { what: self.fault(&fault)?.observe(&pids)? })
            }
            Request::Heal { fault } => {
                Ok(Reply::Receipt(self.fault(&fault)?.heal(&process_table::target_pids())?))
            }
            Request::End => {
                self.end();
                Ok(Reply::Done)
            }
        }
    }

    /// Heals every fault, kills every process, and then takes away what the faults were made of.
    pub(super) fn end(&mut self) {
        for fault in &mut self.faults {
            if let Err(error) = fault.heal(&process_table::target_pids()) {
                eprintln!("healing {}: {error:#}", fault.kind());
            }
        }
        if let Err(error) = self.kill() {
            eprintln!("ending the target: {error:#}");
        }
        self.faults.clear();
    }

    fn spawn(&mut self, spawn: &Spawn) -> Result<i32> {
        if let Some((pid, _)) = self.spawned.iter().find(|(_, name)| **name == spawn.name) {
            bail!("{} runs already, as pid {pid}", spawn.name);
        }
        let data = self.data.to_string_lossy();
        let argv: Vec<String> = spawn.argv.iter().map(|arg| arg.replace(DATA_DIR, &data)).collect();
        let [program, arguments @ ..] = argv.as_slice() else { bail!("{}: no program", spawn.name) };
        let output = log(&self.logs, &spawn.name)?;
        let mut command = Command::new(if program == "squall" { "/proc/self/exe" } else { program });
        command
            .arg0(program)
            .args(arguments)
            .envs(spawn.env.iter().map(|(name, value)| (name, value.replace(DATA_DIR, &data))))
            .env("SQUALL_NODE", &self.name)
            .env("SQUALL_DATA", &self.data)
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        crate::sys::detach(&mut command);
        let watched = self.faults.iter().any(|fault| fault.watches_starts());
        if watched {
            crate::sys::be_traced(&mut command);
        }
        if !self.calls.is_empty() {
            self.calls.watch(&mut command)?;
        }
        let child = command.spawn().with_context(|| self.cannot_start(program))?;
        let pid = child.id() as i32;
        if watched {
            self.show_to_faults(pid)?;
        }
        eprintln!("{} started as pid {pid}: {}", spawn.name, argv.join(" "));
        self.spawned.insert(pid, spawn.name.clone());
        Ok(pid)
    }

    /// Lets the faults act on a process before its first instruction, then lets it go.
    fn show_to_faults(&mut self, pid: i32) -> Result<()> {
        let process = Pid::from_raw(pid);
        match waitpid(process, None)? {
            WaitStatus::Stopped(..) => {}
            other => bail!("pid {pid} did not stop at its start: {other:?}"),
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.watches_starts()) {
            if let Err(error) = fault.starting(pid) {
                eprintln!("{} on the new pid {pid}: {error:#}", fault.kind());
            }
        }
        ptrace::detach(process, None).with_context(|| format!("letting pid {pid} go"))
    }

    fn cannot_start(&self, program: &str) -> String {
        let hidden =
            getpid() == Pid::from_raw(1) && (program.starts_with("/tmp/") || program.starts_with("/run/"));
        let hint = if hidden { " (a local node has a /tmp and a /run of its own)" } else { "" };
        format!("starting {program}{hint}")
    }

    /// Empties the data directory, which may be a mount point.
    fn wipe(&self) -> Result<()> {
        for entry in fs::read_dir(&self.data).with_context(|| format!("reading {}", self.data.display()))? {
            let path = entry?.path();
            remove(&path).with_context(|| format!("deleting {}", path.display()))?;
        }
        // So that no power failure brings it back.
        File::open(&self.data).and_then(|data| data.sync_all()).context("saving that the data is gone")
    }

    fn fault(&mut self, kind: &str) -> Result<&mut Box<dyn NodeFault>> {
        let known: Vec<&str> = self.faults.iter().map(|fault| fault.kind()).collect();
        match known.iter().position(|&name| name == kind) {
            Some(index) => Ok(&mut self.faults[index]),
            None => bail!(Unknown::new("fault", kind, known)),
        }
    }
}

/// Shows the faults their node.
fn settle(setup: &Setup, faults: &mut [Box<dyn NodeFault>]) -> Result<()> {
    let known: Vec<&str> = faults.iter().map(|fault| fault.kind()).collect();
    if let Some(unknown) = setup.prepare.iter().find(|kind| !known.contains(&kind.as_str())) {
        bail!(Unknown::new("fault", unknown, known));
    }
    for fault in faults {
        let needed = setup.prepare.iter().any(|kind| kind == fault.kind());
        fault.settle(&setup.data, needed).with_context(|| format!("preparing the fault {}", fault.kind()))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Opens `<name>.log` to append to.
fn log(directory: &File, name: &str) -> Result<File> {
    let plain = !name.is_empty()
        && name != ".."
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !plain {
        bail!("a process name is made of letters, digits, '-', '_' and '.', not {name:?}");
    }
    let path = format!("/proc/self/fd/{}/{name}.log", directory.as_raw_fd());
    OpenOptions::new().create(true).append(true).open(&path).with_context(|| format!("opening {name}.log"))
}
