//! Nodes that get too little time: their processes are stopped and let go many times a second.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::agent::{NodeFault, target_pids};

use super::processes::{hold, is_held_by_another, named, release, state};
use super::signal::try_to_stop;

/// One cycle: short enough to look like a slow machine rather than a paused one.
const PERIOD: Duration = Duration::from_millis(100);
/// How often the time that was used is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// For how many periods at most a processor stays away from who used too much: a stop of a second is no slow machine.
const AT_MOST: u32 = 10;
/// How long it is watched before the first receipt.
const FIRST: Duration = Duration::from_millis(500);

/// How much of the time processes may run, in percent. Text: `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Above 0 and below 100.
    pub percent: f64,
}

impl Share {
    fn of(self, time: Duration) -> Duration {
        time.mul_f64(self.percent / 100.0)
    }
}

impl FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Share> {
        let number = text.strip_suffix('%').with_context(|| format!("{text} is no share, such as 10%"))?;
        let percent: f64 = number.parse().with_context(|| format!("{number:?} is no number"))?;
        ensure!((1.0..=99.0).contains(&percent), "{text} is beyond 1% to 99%");
        Ok(Share { percent })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// When a process is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// For the rest of each period, whatever it does: everything takes longer.
    Always,
    /// When all of the node together have used their share of one processor in this period, until the next begins, and for
    /// as many more as pay for what they used beyond it: as the kernel's own quota does (cgroup `cpu.max`), and without
    /// rights to it.
    Used,
}

/// Throttles the processes of a node. Takes a [`Share`].
pub struct Throttle {
    kind: &'static str,
    when: When,
    acting: Option<(Arc<Shared>, JoinHandle<()>)>,
}

/// What the fault and its keeper share.
struct Shared {
    kind: &'static str,
    when: When,
    share: Share,
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

/// What the keeper measured.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    lasted: Duration,
    /// How long were the periods beside, in which another fault was first to stop something: they prove nothing of this one.
    others: Duration,
    /// How long processes stood, by their state.
    stood: Duration,
    /// Processor time that all of them got.
    used: Duration,
    stops: u64,
}

impl Throttle {
    /// Processes run for a share of the time only.
    pub fn slow() -> Throttle {
        Throttle { kind: "slow", when: When::Always, acting: None }
    }

    /// Processes get a share of one processor only.
    pub fn cpu() -> Throttle {
        Throttle { kind: "cpu", when: When::Used, acting: None }
    }

    /// Ends the keeper, which lets everything go.
    fn end(&mut self) -> Result<Option<Arc<Shared>>> {
        let Some((shared, keeper)) = self.acting.take() else { return Ok(None) };
        shared.stop.store(true, Ordering::Release);
        if keeper.join().is_err() {
            bail!("the keeper of {} panicked", self.kind);
        }
        Ok(Some(shared))
    }
}

impl Shared {
    /// Works until it is told to stop.
    fn keep(&self) {
        let (mut usage, mut owed) = Default::default();
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.period(&mut usage, &mut owed) {
                eprintln!("{}: {error:#}", self.kind);
                thread::sleep(PERIOD);
            }
        }
    }

    /// One cycle, and the time that was used beyond the share so far.
    fn period(&self, usage: &mut Usage, owed: &mut Duration) -> Result<()> {
        let began = Instant::now();
        let (share, mut used) = (self.share.of(PERIOD), Duration::ZERO);
        match self.when {
            When::Always => thread::sleep(share),
            When::Used => {
                while *owed + used < share && began.elapsed() < PERIOD {
                    thread::sleep(LOOK);
                    used += usage.more();
                }
            }
        }
        let (mut stood, mut stops) = (Duration::ZERO, 0);
        let by_others = target_pids().into_iter().any(|pid| is_held_by_another(pid, self.kind));
        if began.elapsed() < PERIOD {
            let mut held = Held { fault: self.kind, pids: Vec::new() };
            target_pids().into_iter().try_for_each(|pid| held.stop(pid))?;
            let stopped = Instant::now();
            thread::sleep(PERIOD.saturating_sub(began.elapsed()));
            let mut states = held.pids.iter().filter_map(|&pid| state(pid));
            if !held.pids.is_empty() && states.all(|state| state == 'T') {
                (stood, stops) = (stopped.elapsed(), 1);
            }
            held.release()?;
        }
        used += usage.more();
        *owed = (*owed + used).saturating_sub(share).min(share * AT_MOST);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if by_others {
            seen.others += began.elapsed();
            return Ok(());
        }
        seen.lasted += began.elapsed();
        seen.stood += stood;
        seen.used += used;
        seen.stops += stops;
        Ok(())
    }

    fn receipt(&self, pids: &[i32]) -> Receipt {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let percent = |time: Duration| 100.0 * time.as_secs_f64() / seen.lasted.as_secs_f64().max(1e-9);
        let (stood, used) = (percent(seen.stood), percent(seen.used));
        // At least half of what was asked for: a busy machine measures badly.
        let bit = match self.when {
            When::Always => stood > (100.0 - self.share.percent) / 2.0,
            When::Used => seen.stops > 0 && used < 2.0 * self.share.percent + 2.0,
        };
        let who = if pids.is_empty() { "no process lived there".to_owned() } else { named(pids) };
        let mut evidence = format!(
            "{who}: stopped {stood:.0}% of {:.1} s, got {used:.1}% of a processor",
            seen.lasted.as_secs_f64()
        );
        if !seen.others.is_zero() {
            evidence += &format!(" ({:.1} s more stopped by another fault)", seen.others.as_secs_f64());
        }
        Receipt { confirmed: bit && !pids.is_empty(), ..Receipt::confirmed(evidence) }
            .with("stopped_percent", (stood * 10.0).round() / 10.0)
            .with("cpu_percent", (used * 10.0).round() / 10.0)
            .with("asked_percent", self.share.percent)
            .with("stops", seen.stops)
            .with("by", "SIGSTOP and SIGCONT")
    }
}

/// Processes that stand for a fault. Dropping it lets them go.
struct Held {
    fault: &'static str,
    pids: Vec<i32>,
}

impl Held {
    fn stop(&mut self, pid: i32) -> Result<()> {
        self.pids.push(pid);
        hold(pid, self.fault)
    }

    /// Lets all of them go, whatever becomes of one.
    fn release(&mut self) -> Result<()> {
        let done: Vec<Result<()>> = self.pids.drain(..).map(|pid| release(pid, self.fault)).collect();
        done.into_iter().collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

/// The processor time of the node's processes, since the last look.
#[derive(Default)]
struct Usage(Vec<(i32, Duration)>);

impl Usage {
    fn more(&mut self) -> Duration {
        let read = |pid: i32| {
            let time = clock_gettime(clock_getcpuclockid(Pid::from_raw(pid)).ok()?).ok()?;
            Some((pid, Duration::from(time)))
        };
        let now: Vec<(i32, Duration)> = target_pids().into_iter().filter_map(read).collect();
        let before = |pid: i32| self.0.iter().find(|(known, _)| *known == pid).map(|(_, time)| *time);
        // What a process used before it was first seen is not counted.
        let more = now.iter().map(|&(pid, time)| time.saturating_sub(before(pid).unwrap_or(time))).sum();
        self.0 = now;
        more
    }
}

impl NodeFault for Throttle {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn probe(&mut self, _args: &Value) -> Result<()> {
        try_to_stop()
    }

    fn inject(&mut self, args: &Value, pids: &[i32]) -> Result<Receipt> {
        let share = Share::deserialize(args).context("the arguments of a throttle")?;
        self.end()?;
        let (stop, seen) = Default::default();
        let shared = Arc::new(Shared { kind: self.kind, when: self.when, share, stop, seen });
        let keeper = {
            let shared = shared.clone();
            thread::Builder::new().name(self.kind.into()).spawn(move || shared.keep())?
        };
        self.acting = Some((shared.clone(), keeper));
        thread::sleep(FIRST);
        let receipt = shared.receipt(pids);
        // That it was never stopped may mean that it had nothing to do so far: the last receipt tells.
        Ok(Receipt { pending: !receipt.confirmed && self.when == When::Used && !pids.is_empty(), ..receipt })
    }

    fn heal(&mut self, pids: &[i32]) -> Result<Receipt> {
        Ok(match self.end()? {
            Some(shared) => shared.receipt(pids),
            None => Receipt::unconfirmed(format!("{} was not on", self.kind)),
        })
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::processes::tests::Running;
    use super::super::signal::Signal;
    use super::super::testnet::{in_namespaces, measured};
    use super::*;

    const BUSY: &str = "echo up; while :; do :; done";
    const IDLE: &str = "echo up; exec sleep 60";

    /// The share of one processor that a process gets, by the kernel's account of it.
    fn gets_percent(pid: i32) -> f64 {
        let time =
            || Duration::from(clock_gettime(clock_getcpuclockid(Pid::from_raw(pid)).unwrap()).unwrap());
        let (began, before) = (Instant::now(), time());
        thread::sleep(Duration::from_secs(1));
        100.0 * (time() - before).as_secs_f64() / began.elapsed().as_secs_f64()
    }

    fn args(text: &str) -> Value {
        serde_json::to_value(text.parse::<Share>().unwrap()).unwrap()
    }

    #[test]
    fn a_busy_process_gets_its_share_and_no_more() {
        in_namespaces("faults::throttle::tests::a_busy_process_gets_its_share_and_no_more", || {
            let busy = Running::shell(BUSY);
            for (mut throttle, share) in [(Throttle::slow(), "5%"), (Throttle::cpu(), "1%")] {
                measured(|| {
                    let free = gets_percent(busy.pid());
                    let injected = throttle.inject(&args(share), &[busy.pid()]).unwrap();
                    let got = gets_percent(busy.pid());
                    let healed = throttle.heal(&[busy.pid()]).unwrap();
                    let again = gets_percent(busy.pid());
                    println!("{}: {free:.0}% free, {got:.1}% throttled, {again:.0}% again", throttle.kind);
                    println!("injected: {}\nhealed: {}", injected.evidence, healed.evidence);
                    assert_ne!(state(busy.pid()), Some('T'));
                    assert!(!throttle.heal(&[busy.pid()]).unwrap().confirmed, "healed is healed");
                    let as_asked = injected.confirmed && healed.confirmed;
                    if as_asked && got < 15.0 && got < free / 2.0 && again > free / 2.0 {
                        return Ok(());
                    }
                    Err(format!("{free}% free, {got}% throttled, {again}% again; {injected:?}; {healed:?}"))
                });
            }
        });
    }

    #[test]
    fn a_quota_does_not_bite_who_needs_less() {
        in_namespaces("faults::throttle::tests::a_quota_does_not_bite_who_needs_less", || {
            let idle = Running::shell(IDLE);
            let mut cpu = Throttle::cpu();
            cpu.inject(&args("10%"), &[idle.pid()]).unwrap();
            let healed = cpu.heal(&[idle.pid()]).unwrap();
            assert!(!healed.confirmed && healed.measured["stops"] == 0, "{healed:?}");
        });
    }

    /// The stops of a pause were taken for its own.
    #[test]
    fn what_a_pause_has_stopped_already_is_not_throttled() {
        in_namespaces("faults::throttle::tests::what_a_pause_has_stopped_already_is_not_throttled", || {
            let busy = Running::shell(BUSY);
            let mut pause = Signal::default();
            assert!(pause.inject(&Value::Null, &[busy.pid()]).unwrap().confirmed);
            for mut throttle in [Throttle::slow(), Throttle::cpu()] {
                throttle.inject(&args("5%"), &[busy.pid()]).unwrap();
                let healed = throttle.heal(&[busy.pid()]).unwrap();
                assert!(!healed.confirmed && healed.measured["stops"] == 0, "{healed:?}");
                assert!(healed.evidence.contains("stopped by another fault"), "{healed:?}");
                assert_eq!(state(busy.pid()), Some('T'), "the pause goes on");
            }
            assert!(pause.heal(&[busy.pid()]).unwrap().confirmed);
        });
    }

    #[test]
    fn a_dropped_throttle_and_one_without_processes_leave_nothing() {
        in_namespaces(
            "faults::throttle::tests::a_dropped_throttle_and_one_without_processes_leave_nothing",
            || {
                let mut slow = Throttle::slow();
                let receipt = slow.inject(&args("5%"), &[]).unwrap();
                assert!(!receipt.confirmed, "{receipt:?}");
                let idle = Running::shell(IDLE);
                thread::sleep(3 * PERIOD);
                drop(slow);
                assert_ne!(state(idle.pid()), Some('T'));
            },
        );
    }

    /// Where the next one could not be stopped, those before it were never let go.
    #[test]
    fn what_stands_goes_on_if_a_period_ends_halfway() {
        let sleeper = Running::shell(IDLE);
        let becomes = |stopped: bool| {
            let began = Instant::now();
            while (state(sleeper.pid()) == Some('T')) != stopped {
                assert!(began.elapsed() < Duration::from_secs(20), "stopped: {}", !stopped);
            }
        };
        let mut held = Held { fault: "slow", pids: Vec::new() };
        held.stop(sleeper.pid()).unwrap();
        becomes(true);
        drop(held);
        becomes(false);
    }

    #[test]
    fn shares_are_read_and_mistakes_explained() {
        assert_eq!("2.5%".parse::<Share>().unwrap().to_string(), "2.5%");
        for (text, part) in [("5", "no share"), ("x%", "no number"), ("0%", "beyond"), ("100%", "beyond")] {
            let error = format!("{:#}", text.parse::<Share>().unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
