use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::CLOCK;
use super::calls::RawCalls;
use super::hook::{Hook, is_gone, now};
use super::machine::machine_ahead_ns;
use super::read;
use super::skew::Skew;
use super::vdso::Vdso;
use super::words::ahead;
use crate::faults::processes::on_a_process;
use crate::words::count;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize as _;
use serde_json::{Value, json};
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::calls::{Answers, Calls};
use squall_targets::agent::{NodeFault, target_pids};

/// A skewed clock is right again this long after the agent last said otherwise: a fault must not outlive it.
const LEASE: Duration = Duration::from_secs(10);

/// How often the agent says so.
const RENEWAL: Duration = Duration::from_secs(3);

/// How often it looks for processes that were started by others: an `exec` brings a genuine clock.
const LOOK: Duration = Duration::from_millis(20);

/// How often it looks whether a clock is wrong by now.
const SIGHT: Duration = Duration::from_millis(150);

/// How far what is read back may be from what was asked, besides the time that reading takes.
const TOLERANCE: Duration = Duration::from_millis(2);

/// Skews clocks process by process: the kernel's code for reading clocks, which every process has a copy of, is replaced
/// in the processes of the target. Other nodes and the machine itself keep their time. x86-64 only.
///
/// That covers what reads the clock through the vDSO: C, Go, Rust, Java and others. For [system calls](RawCalls) that a
/// program makes itself, and for waits until a given time, it asks the kernel to let it answer, in runs that asked for
/// this fault. Timers of the kernel run true.
#[derive(Default)]
pub struct Clock {
    acting: Option<Acting>,
    /// System calls that are answered, if the run asked for it.
    calls: Option<Arc<RawCalls>>,
    /// Or why they are not.
    uncovered: Option<String>,
}

struct Acting {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// What the fault and its keeper share.
struct Shared {
    vdso: Vdso,
    skew: Skew,
    /// When it began, by the true clocks.
    since: [i64; 2],
    stop: AtomicBool,
    /// Whether a process was seen to have a wrong time, and that which it shall have.
    bit: AtomicBool,
    /// Processes that were skewed.
    skewed: Mutex<BTreeSet<i32>>,
}

impl Shared {
    /// Skews those of these processes that are there, and tells which.
    fn skew(&self, pids: &[i32], stands: bool) -> Result<Vec<i32>> {
        let lease_ns = LEASE.as_nanos() as i64;
        let until = now().map(|now| now + lease_ns);
        let mut done = Vec::new();
        for &pid in pids {
            let Some(hook) = Hook::open(pid, &self.vdso)? else { continue };
            match hook.skew(&self.skew, self.since, until, stands) {
                Ok(()) => done.push(pid),
                Err(_) if is_gone(pid) => {}
                Err(error) => return Err(error),
            }
        }
        self.skewed.lock().unwrap_or_else(PoisonError::into_inner).extend(&done);
        Ok(done)
    }

    /// Renews the lease, and skews what was started meanwhile.
    fn keep(&self) {
        let (mut renewed, mut looked) = (Instant::now(), Instant::now());
        while !self.stop.load(Ordering::Acquire) {
            thread::sleep(LOOK);
            let renews = renewed.elapsed() > RENEWAL;
            let known = self.skewed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let pids: Vec<i32> =
                target_pids().into_iter().filter(|pid| renews || !known.contains(pid)).collect();
            if renews {
                renewed = Instant::now();
            }
            if let Err(error) = self.skew(&pids, false) {
                eprintln!("skewing clocks: {error:#}");
            }
            // One that drifts or jumps is wrong later, and may be right again at the end.
            if !self.bit.load(Ordering::Acquire) && looked.elapsed() > SIGHT {
                looked = Instant::now();
                let _ = target_pids().first().map(|&pid| self.read_back(pid));
            }
        }
    }

    /// How far a process' clock is from the true one, by what it sees itself, and how far it should be.
    fn read_back(&self, pid: i32) -> Result<(i64, i64)> {
        let clock = usize::from(!self.skew.clocks.each()[0]);
        let (error_ns, true_ns, took) = read::offset(pid, &self.vdso, clock)?;
        let asked_ns = self.skew.error_ns(true_ns - self.since[clock]);
        // A strobe may have changed sides meanwhile.
        let (off_ns, strobe_ns) = (error_ns.abs_diff(asked_ns), self.skew.strobe_ns.unsigned_abs());
        let is_asked = off_ns.min(off_ns.abs_diff(strobe_ns)) <= (TOLERANCE + took).as_nanos() as u64;
        // Less than it takes to read says nothing.
        if is_asked && u128::from(error_ns.unsigned_abs()) > took.as_nanos() {
            self.bit.store(true, Ordering::Release);
        }
        Ok((error_ns, asked_ns))
    }
}

impl NodeFault for Clock {
    fn kind(&self) -> &'static str {
        CLOCK
    }

    fn settle(&mut self, _data: &Path, needed: bool) -> Result<()> {
        if needed {
            match Calls::probe() {
                Ok(()) => self.calls = Some(Arc::default()),
                Err(error) => self.uncovered = Some(format!("{error:#}")),
            }
        }
        Ok(())
    }

    fn calls(&self) -> Option<Arc<dyn Answers>> {
        self.calls.clone().map(|calls| calls as Arc<dyn Answers>)
    }

    /// On a process of its own.
    fn probe(&mut self, args: &Value) -> Result<()> {
        if args == super::CALLS {
            return Calls::probe();
        }
        on_a_process(try_on).map_err(|error| unavailable(&error).into())
    }

    fn inject(&mut self, args: &Value, pids: &[i32]) -> Result<Receipt> {
        let skew = Skew::deserialize(args).context("the arguments of a clock fault")?;
        self.end()?;
        let vdso = Vdso::own().map_err(|error| unavailable(&error))?;
        let (stop, bit, skewed) = Default::default();
        let since = now();
        let shared = Arc::new(Shared { vdso, skew, since, stop, bit, skewed });
        if let Some(calls) = &self.calls {
            calls.skew(Some((skew, since)));
        }
        let done = shared.skew(pids, false)?;
        let keeper = {
            let shared = shared.clone();
            thread::Builder::new().name("clock".into()).spawn(move || shared.keep())?
        };
        let receipt = shared.receipt(&done);
        self.acting = Some(Acting { shared, keeper });
        let mut receipt = receipt?.with("raw_calls", self.calls.is_some());
        if let Some(why) = &self.uncovered {
            receipt.evidence += &format!(", but not to system calls of its own: {why}");
        }
        Ok(receipt)
    }

    fn heal(&mut self, pids: &[i32]) -> Result<Receipt> {
        let Some(acting) = &self.acting else {
            return Ok(Receipt::unconfirmed("no clock was skewed"));
        };
        let lasted = acting.shared.clone();
        let last = pids.iter().find_map(|&pid| lasted.read_back(pid).ok());
        let restored = self.end()?;
        let clock = usize::from(!lasted.skew.clocks.each()[0]);
        let after = pids.iter().find_map(|&pid| read::offset(pid, &lasted.vdso, clock).ok());
        let is_right = after.is_none_or(|(off_ns, _, took)| {
            u128::from(off_ns.unsigned_abs()) <= (TOLERANCE + took).as_nanos()
        });
        let confirmed = lasted.bit.load(Ordering::Acquire) && is_right;
        let counts = self.calls.as_ref().map(|calls| calls.counts()).unwrap_or_default();
        let evidence = match last {
            Some((error_ns, ..)) => {
                format!("{} at last, {} right again", ahead(error_ns), count(restored as u64, "clock"))
            }
            None => format!("{} right again", count(restored as u64, "clock")),
        };
        let evidence = match after {
            Some((off_ns, ..)) if !is_right => format!("{evidence}; but one is {}", ahead(off_ns)),
            _ => evidence,
        };
        let receipt = Receipt { confirmed, ..Receipt::confirmed(evidence + &counts.to_string()) }
            .with("processes", restored)
            .with("raw_calls_answered", counts.answered)
            .with("waits_moved", counts.moved);
        Ok(match last {
            Some((error_ns, ..)) => receipt.with("offset_ns", error_ns),
            None => receipt,
        })
    }

    /// How far the two clocks of the first process are ahead, that of its machine included: `{"pid", "offset_ns", "monotonic_ns"}`.
    fn observe(&mut self, pids: &[i32]) -> Result<Value> {
        let vdso = Vdso::own().map_err(|error| unavailable(&error))?;
        for &pid in pids {
            let Some(hook) = Hook::open(pid, &vdso)? else { continue };
            match hook.ahead_ns() {
                Ok([real, monotonic]) => {
                    return Ok(
                        json!({"pid": pid, "offset_ns": real + machine_ahead_ns(), "monotonic_ns": monotonic}),
                    );
                }
                Err(_) if is_gone(pid) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Value::Null)
    }

    fn watches_starts(&self) -> bool {
        self.acting.is_some()
    }

    fn starting(&mut self, pid: i32) -> Result<()> {
        match &self.acting {
            Some(acting) => acting.shared.skew(&[pid], true).map(drop),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn receipt(&self, done: &[i32]) -> Result<Receipt> {
        let Some(&pid) = done.first() else {
            return Ok(Receipt::pending("no process lived there"));
        };
        let (error_ns, asked_ns) = self.read_back(pid)?;
        let bit = self.bit.load(Ordering::Acquire);
        let evidence = format!("pid {pid} is {}", ahead(error_ns));
        Ok(Receipt { confirmed: bit, pending: !bit, ..Receipt::confirmed(evidence) }
            .with("offset_ns", error_ns)
            .with("asked_ns", asked_ns)
            .with("pids", done))
    }
}

impl Clock {
    /// Gives every process its clock back, and tells how many that were.
    fn end(&mut self) -> Result<usize> {
        let Some(Acting { shared, keeper, .. }) = self.acting.take() else { return Ok(0) };
        if let Some(calls) = &self.calls {
            calls.skew(None);
        }
        shared.stop.store(true, Ordering::Release);
        if keeper.join().is_err() {
            bail!("the keeper of the clocks panicked");
        }
        // Those that it knows, and their children, who inherited the skew.
        let known = shared.skewed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all: BTreeSet<i32> = known.into_iter().chain(target_pids()).collect();
        let mut restored = 0;
        for pid in all {
            let Some(hook) = Hook::open(pid, &shared.vdso)? else { continue };
            match hook.restore() {
                Ok(hooked) => restored += usize::from(hooked),
                Err(_) if is_gone(pid) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(restored)
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Skews a process' clock and reads it back.
fn try_on(pid: i32) -> Result<()> {
    let vdso = Vdso::own()?;
    let skew = Skew { offset_ns: 3_600_000_000_000, ..Skew::default() };
    let until = now().map(|now| now + LEASE.as_nanos() as i64);
    let hook = Hook::open(pid, &vdso)?.context("it ended")?;
    hook.skew(&skew, now(), until, false)?;
    let ahead_ns = read::clock(pid, &vdso, 0)? - now()[0];
    ensure!(
        ahead_ns.abs_diff(skew.offset_ns) < 60_000_000_000,
        "asked to be 1 h ahead, it is {}",
        ahead(ahead_ns)
    );
    Ok(())
}

fn unavailable(error: &anyhow::Error) -> Unavailable {
    Unavailable::new(
        format!("clocks cannot be skewed here ({error:#})"),
        "use an x86-64 machine with Linux 5.10 or later",
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Child, Command, Stdio};
    use std::time::SystemTime;

    use super::super::super::testnet::in_namespaces;
    use super::*;

    const READER: &str = "faults::clock::fault::tests::a_process_that_tells_the_time";

    /// What the target sees: run in a process of its own, it answers each line with its two clocks.
    #[test]
    fn a_process_that_tells_the_time() {
        if std::env::var_os("SQUALL_TEST_CLOCK").is_none() {
            return;
        }
        println!("ready");
        for _ in std::io::stdin().lines() {
            let day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
            println!("clocks {} {}", day.as_nanos(), Duration::from(boot).as_nanos());
        }
    }

    struct Reader(Child, BufReader<std::process::ChildStdout>);

    impl Reader {
        fn start() -> Reader {
            let mut child = Command::new("setsid")
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", READER, "--nocapture"])
                .env("SQUALL_TEST_CLOCK", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            while !line.contains("ready") {
                line.clear();
                assert!(lines.read_line(&mut line).unwrap() > 0, "the reader starts");
            }
            Reader(child, lines)
        }

        fn pid(&self) -> i32 {
            self.0.id() as i32
        }

        /// How far its clocks are ahead, in milliseconds.
        fn ahead_ms(&mut self) -> [f64; 2] {
            let before = now();
            self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
            let mut line = String::new();
            while !line.starts_with("clocks") {
                line.clear();
                assert!(self.1.read_line(&mut line).unwrap() > 0, "the reader lives");
            }
            let after = now();
            let seen: Vec<i64> = line.split_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
            [0, 1].map(|clock| (seen[clock] - (before[clock] + after[clock]) / 2) as f64 / 1e6)
        }
    }

    impl Drop for Reader {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn skew(text: &str) -> Value {
        serde_json::to_value(text.parse::<Skew>().unwrap()).unwrap()
    }

    /// It is seen already, or said to be seen later.
    fn begins(receipt: Receipt) {
        assert!(receipt.confirmed != receipt.pending, "{receipt:?}");
    }

    fn near(got_ms: f64, asked_ms: f64, tolerance_ms: f64) {
        assert!((got_ms - asked_ms).abs() <= tolerance_ms, "{got_ms} ms instead of {asked_ms} ms");
    }

    #[test]
    fn a_process_sees_the_clock_that_it_is_given() {
        in_namespaces("faults::clock::fault::tests::a_process_sees_the_clock_that_it_is_given", || {
            let (mut one, mut other) = (Reader::start(), Reader::start());
            let mut clock = Clock::default();
            near(one.ahead_ms()[0], 0.0, 500.0);
            // What is sampled without stopping the process is what it sees, before and while it is skewed.
            let sampled = |clock: &mut Clock, pid: i32| {
                let seen = clock.observe(&[pid]).unwrap();
                ["offset_ns", "monotonic_ns"].map(|key| seen[key].as_f64().unwrap() / 1e6)
            };
            near(sampled(&mut clock, one.pid())[0], 0.0, 500.0);

            for (text, asked_ms) in [
                ("offset=1h", [3.6e6, 0.0]),
                ("offset=-2s", [-2e3, 0.0]),
                ("offset=5s+clock=both", [5e3, 5e3]),
            ] {
                let start = Instant::now();
                let receipt = clock.inject(&skew(text), &[one.pid()]).unwrap();
                println!("{text}: {} in {:?}", receipt.evidence, start.elapsed());
                assert!(receipt.confirmed, "{receipt:?}");
                for seen in [one.ahead_ms(), sampled(&mut clock, one.pid())] {
                    near(seen[0], asked_ms[0], 500.0);
                    near(seen[1], asked_ms[1], 500.0);
                }
            }
            let receipt = clock.heal(&[one.pid()]).unwrap();
            println!("healed: {}", receipt.evidence);
            assert!(receipt.confirmed, "{receipt:?}");
            near(one.ahead_ms()[0], 0.0, 500.0);
            assert!(!clock.heal(&[one.pid()]).unwrap().confirmed, "healed is healed");

            // A clock that stands still, one that is twice as fast, and one that jumps.
            begins(clock.inject(&skew("drift=-1000000ppm"), &[one.pid()]).unwrap());
            let first = one.ahead_ms()[0];
            thread::sleep(Duration::from_secs(1));
            near(one.ahead_ms()[0] - first, -1000.0, 500.0);
            begins(clock.inject(&skew("drift=1000000ppm"), &[one.pid()]).unwrap());
            let first = one.ahead_ms()[0];
            thread::sleep(Duration::from_secs(1));
            near(sampled(&mut clock, one.pid())[0] - first, 1000.0, 500.0);
            near(one.ahead_ms()[0] - first, 1000.0, 500.0);
            begins(clock.inject(&skew("strobe=10s/50ms"), &[one.pid()]).unwrap());
            let jumps = (0..60).filter(|_| {
                thread::sleep(Duration::from_millis(7));
                one.ahead_ms()[0] > 5e3
            });
            assert!((5..=55).contains(&jumps.count()), "it jumps there and back");

            // The other one is a process of the target too: the keeper finds it. One that starts later as well.
            clock.inject(&skew("offset=1h"), &[one.pid()]).unwrap();
            let mut late = Reader::start();
            let seen = |reader: &mut Reader| {
                (0..1000).any(|_| {
                    thread::sleep(Duration::from_millis(20));
                    reader.ahead_ms()[0] > 3.5e6
                })
            };
            assert!(seen(&mut other) && seen(&mut late));
            drop(clock);
            for reader in [&mut one, &mut other, &mut late] {
                near(reader.ahead_ms()[0], 0.0, 500.0);
            }
        });
    }

    /// A clock that had not begun to drift or jump was where it should be, and so confirmed, whatever came later; and one that
    /// was skewed in a process that started later was not.
    #[test]
    fn a_skew_is_confirmed_once_it_was_seen() {
        in_namespaces("faults::clock::fault::tests::a_skew_is_confirmed_once_it_was_seen", || {
            let mut clock = Clock::default();
            let reader = Reader::start();
            for (text, bites) in
                [("strobe=1h/1h", false), ("drift=500000ppm", true), ("strobe=1h/300ms", true)]
            {
                let injected = clock.inject(&skew(text), &[reader.pid()]).unwrap();
                thread::sleep(Duration::from_millis(800));
                let healed = clock.heal(&[reader.pid()]).unwrap();
                println!("{text}: {injected:?}; {healed:?}");
                assert!(
                    injected.pending != injected.confirmed && (bites || injected.pending),
                    "{injected:?}"
                );
                assert_eq!(healed.confirmed, bites, "{text}: {healed:?}");
            }
            drop(reader);
            let injected = clock.inject(&skew("offset=1h"), &[]).unwrap();
            assert!(injected.pending, "{injected:?}");
            let late = Reader::start();
            thread::sleep(Duration::from_millis(800));
            let healed = clock.heal(&[late.pid()]).unwrap();
            assert!(healed.confirmed, "{healed:?}");
        });
    }

    #[test]
    fn a_lease_that_is_not_renewed_ends() {
        in_namespaces("faults::clock::fault::tests::a_lease_that_is_not_renewed_ends", || {
            let mut reader = Reader::start();
            let vdso = Vdso::own().unwrap();
            let hook = Hook::open(reader.pid(), &vdso).unwrap().unwrap();
            let since = now();
            hook.skew(&"offset=1h".parse().unwrap(), since, since.map(|now| now + 300_000_000), false)
                .unwrap();
            let first = reader.ahead_ms()[0];
            thread::sleep(Duration::from_millis(400));
            println!("{first} ms ahead, then {} ms", reader.ahead_ms()[0]);
            near(reader.ahead_ms()[0], 0.0, 500.0);
        });
    }
}
