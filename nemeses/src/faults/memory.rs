//! Processes that can get no more memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::agent::{NodeFault, target_pids};

use super::processes::{named, on_a_process, state};
use crate::sys;

/// How much more memory than now a process may take. Text: `16M`, `512K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    /// In bytes.
    pub bytes: u64,
}

const UNITS: [(char, u64); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl FromStr for Headroom {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Headroom> {
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(*unit)?, bytes)));
        let (number, unit_bytes) = unit.with_context(|| format!("{text} has no unit: K, M or G"))?;
        let number: u64 = number.parse().with_context(|| format!("{number:?} is no whole number"))?;
        ensure!(number <= 1 << 20, "{text} is no limit");
        Ok(Headroom { bytes: number * unit_bytes })
    }
}

impl fmt::Display for Headroom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.iter().find(|(_, bytes)| self.bytes > 0 && self.bytes.is_multiple_of(*bytes));
        let (unit, bytes) = fits.copied().unwrap_or(('K', 1 << 10));
        write!(f, "{}{unit}", self.bytes / bytes)
    }
}

/// Limits the data of each process of a node (RLIMIT_DATA: private memory that it can write to) to what it has now and a
/// [`Headroom`]. Its next allocation beyond that fails. What starts meanwhile may take the headroom and no more than
/// the largest of those before.
///
/// Why data and not the address space: most runtimes reserve far more addresses than they use, and would never notice.
#[derive(Default)]
pub struct Memory {
    limited: BTreeMap<i32, Limit>,
    headroom: Option<Headroom>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    /// The soft limit before.
    before: u64,
    bytes: u64,
}

impl Memory {
    /// Limits a process, and reads the limit back. `None` if it is gone.
    fn limit(&mut self, pid: i32, bytes: u64) -> Result<Option<u64>> {
        match sys::limit_data(pid, bytes) {
            Ok(before) => {
                let before = self.limited.get(&pid).map_or(before, |limit| limit.before);
                self.limited.insert(pid, Limit { before, bytes });
                Ok(read_back(pid))
            }
            Err(_) if state(pid).is_none() => Ok(None),
            Err(error) => Err(error).with_context(|| format!("limiting the memory of pid {pid}")),
        }
    }

    fn lift(&mut self) -> Result<()> {
        self.headroom = None;
        let mut lifted = BTreeMap::new();
        // Children have the limit of their parents, and may be made while it is lifted from these.
        loop {
            self.find_heirs();
            let limited = std::mem::take(&mut self.limited);
            let left: Vec<_> = limited.into_iter().filter(|(pid, _)| !lifted.contains_key(pid)).collect();
            if left.is_empty() {
                return Ok(());
            }
            for (pid, limit) in left {
                match sys::limit_data(pid, limit.before) {
                    Ok(_) => {}
                    Err(_) if state(pid).is_none() => {}
                    Err(error) => {
                        return Err(error).with_context(|| format!("lifting the limit of pid {pid}"));
                    }
                }
                lifted.insert(pid, limit);
            }
            // Where to look for those that they made meanwhile.
            self.limited.clone_from(&lifted);
        }
    }

    /// Those that have one of our limits and were not given it: they inherited it.
    fn find_heirs(&mut self) {
        for pid in target_pids() {
            let Some(has) = read_back(pid).filter(|_| !self.limited.contains_key(&pid)) else { continue };
            if let Some(limit) = self.limited.values().find(|limit| limit.bytes == has && limit.before != has)
            {
                self.limited.insert(pid, *limit);
            }
        }
    }
}

impl NodeFault for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    /// On a process of its own.
    fn probe(&mut self, _args: &Value) -> Result<()> {
        on_a_process(|pid| {
            let asked = 64 << 20;
            sys::limit_data(pid, asked).with_context(|| format!("limiting the memory of pid {pid}"))?;
            let reads = read_back(pid);
            ensure!(reads == Some(asked), "a limit of {asked} bytes reads back as {reads:?}");
            Ok(())
        })
    }

    fn inject(&mut self, args: &Value, pids: &[i32]) -> Result<Receipt> {
        let headroom = Headroom::deserialize(args).context("the arguments of a memory limit")?;
        self.lift()?;
        self.headroom = Some(headroom);
        let (mut phrases, mut confirmed) = (Vec::new(), true);
        for &pid in pids {
            let Some(has) = data_bytes(pid) else { continue };
            let asked = has + headroom.bytes;
            let Some(reads) = self.limit(pid, asked)? else { continue };
            confirmed &= reads == asked;
            phrases.push(format!("pid {pid} has {} and may have {}", mib(has), mib(reads)));
        }
        if phrases.is_empty() {
            return Ok(Receipt::unconfirmed("no process lived there"));
        }
        Ok(Receipt { confirmed, ..Receipt::confirmed(phrases.join(", ")) }
            .with("headroom_bytes", headroom.bytes)
            .with("by", "RLIMIT_DATA"))
    }

    fn watches_starts(&self) -> bool {
        self.headroom.is_some()
    }

    fn starting(&mut self, pid: i32) -> Result<()> {
        let Some(headroom) = self.headroom else { return Ok(()) };
        let largest = self.limited.values().map(|limit| limit.bytes).max();
        self.limit(pid, largest.unwrap_or(headroom.bytes)).map(drop)
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        if self.headroom.is_none() {
            return Ok(Receipt::unconfirmed("no memory was limited"));
        }
        self.find_heirs();
        let limited = self.limited.clone();
        let ended: Vec<i32> = limited.keys().copied().filter(|&pid| state(pid).is_none()).collect();
        let live = || limited.iter().filter(|(pid, _)| !ended.contains(pid));
        let lasted = live().all(|(&pid, limit)| read_back(pid) == Some(limit.bytes));
        let room: Vec<u64> =
            live().filter_map(|(&pid, limit)| Some(limit.bytes.saturating_sub(data_bytes(pid)?))).collect();
        self.lift()?;
        let lifted = live().all(|(&pid, limit)| read_back(pid) == Some(limit.before) || state(pid).is_none());
        let mut phrases = Vec::new();
        if let Some(least) = room.iter().min() {
            phrases.push(format!("limits in force until now, {} left at least, then lifted", mib(*least)));
        }
        if !ended.is_empty() {
            phrases.push(format!("{} ended meanwhile", named(&ended)));
        }
        let confirmed = lasted && lifted && !limited.is_empty();
        Ok(Receipt { confirmed, ..Receipt::confirmed(phrases.join("; ")) }
            .with("ended", ended)
            .with("room_bytes", room))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = self.lift();
    }
}

/// The private memory of a process that it can write to.
fn data_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// The soft limit, as the kernel tells it. `None` if the process is gone.
fn read_back(pid: i32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max data size"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        bytes => bytes.parse().ok(),
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Child, ChildStdout, Command, Stdio};

    use super::*;
    use crate::faults::testnet::in_namespaces;

    const TAKER: &str = "faults::memory::tests::a_process_that_takes_memory";

    /// What the target sees: run in a process of its own, it takes a MiB for each line and says whether it got it.
    #[test]
    fn a_process_that_takes_memory() {
        if std::env::var_os("SQUALL_TEST_MEMORY").is_none() {
            return;
        }
        let mut taken: Vec<Vec<u8>> = Vec::with_capacity(4096);
        println!("taker ready");
        for _ in std::io::stdin().lines() {
            let mut more = Vec::new();
            let got = more.try_reserve_exact(1 << 20).is_ok();
            more.resize(more.capacity(), 1);
            taken.push(more);
            println!("taker {got}");
        }
    }

    struct Taker(Child, BufReader<ChildStdout>);

    impl Taker {
        fn start() -> Taker {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", TAKER, "--nocapture"])
                .env("SQUALL_TEST_MEMORY", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap());
            let mut taker = Taker(child, lines);
            taker.line();
            taker
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            while !line.contains("taker ") {
                line.clear();
                assert!(self.1.read_line(&mut line).unwrap() > 0, "the taker lives");
            }
            line
        }

        /// How many of so many MiB it gets.
        fn takes(&mut self, mib: usize) -> usize {
            let got = (0..mib).filter(|_| {
                self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
                self.line().contains("true")
            });
            got.count()
        }
    }

    impl Drop for Taker {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_process_gets_what_is_left_and_no_more() {
        let mut taker = Taker::start();
        let pid = taker.0.id() as i32;
        assert_eq!(taker.takes(20), 20, "without a limit it gets all");
        let mut memory = Memory::default();
        let args = serde_json::to_value("8M".parse::<Headroom>().unwrap()).unwrap();
        let injected = memory.inject(&args, &[pid]).unwrap();
        let got = taker.takes(20);
        println!("{}; then it got {got} of 20 MiB", injected.evidence);
        assert!(injected.confirmed && (1..=8).contains(&got), "{injected:?}: {got}");
        let healed = memory.heal(&[pid]).unwrap();
        println!("{}", healed.evidence);
        assert!(healed.confirmed, "{healed:?}");
        assert_eq!(taker.takes(20), 20, "it gets all again");
        assert!(!memory.heal(&[pid]).unwrap().confirmed, "healed is healed");
        assert!(!memory.inject(&args, &[]).unwrap().confirmed, "nobody was limited");

        // One that was killed meanwhile, and one that started meanwhile.
        memory.inject(&args, &[pid]).unwrap();
        let mut late = Taker::start();
        memory.starting(late.0.id() as i32).unwrap();
        taker.0.kill().unwrap();
        taker.0.wait().unwrap();
        let got = late.takes(200);
        assert!(got < 200, "{got} of 200 MiB");
        let healed = memory.heal(&[late.0.id() as i32]).unwrap();
        assert!(healed.confirmed && healed.evidence.contains(&format!("pid {pid} ended")), "{healed:?}");
        assert_eq!(late.takes(20), 20, "it gets all again");
    }

    /// A child has the limits of its parent, and kept them for as long as it lived, after a healing that was confirmed.
    #[test]
    fn children_that_inherited_the_limit_are_rid_of_it() {
        let name = "faults::memory::tests::children_that_inherited_the_limit_are_rid_of_it";
        in_namespaces(name, || {
            let script = "while read -r line; do sleep 60 & echo $!; done";
            let mut parent = Command::new("setsid");
            let mut parent = parent
                .args(["sh", "-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
            let mut memory = Memory::default();
            let args = serde_json::to_value("8M".parse::<Headroom>().unwrap()).unwrap();
            let pid = parent.id() as i32;
            let before = read_back(pid);
            memory.inject(&args, &[pid]).unwrap();
            parent.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
            let child: i32 = lines.next().unwrap().unwrap().parse().unwrap();
            assert_eq!(read_back(child), read_back(pid));
            let healed = memory.heal(&[pid, child]).unwrap();
            let after = [read_back(pid), read_back(child)];
            for pid in [child, pid] {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                    .unwrap();
            }
            parent.wait().unwrap();
            assert!(healed.confirmed, "{healed:?}");
            assert_eq!(after, [before; 2]);
        });
    }

    #[test]
    fn headroom_is_read_and_mistakes_explained() {
        for text in ["16M", "512K", "2G", "0K"] {
            assert_eq!(text.parse::<Headroom>().unwrap().to_string(), text);
        }
        for (text, part) in [("16", "no unit"), ("xM", "no whole number"), ("9999999G", "no limit")] {
            let error = format!("{:#}", text.parse::<Headroom>().unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
