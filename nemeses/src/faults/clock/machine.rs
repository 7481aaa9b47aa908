//! The clock of a whole machine: for ssh nodes, where all that runs there shall see it, and only if asked for.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::NodeFault;

use super::skew::Skew;
use super::words::{ahead, seconds};
use crate::words::count;

/// The kind of the fault.
pub const MACHINE_CLOCK: &str = "machine-clock";

/// Tells whoever heals after a killed agent how to get back to the true time: the id of this boot, and by how many
/// nanoseconds the time of day is more than the time since boot. `squall heal` reads it too.
const STATE: &str = "/run/squall-clock";

/// How often the clock is set anew, as far as it must be.
const STEP: Duration = Duration::from_millis(10);

/// Below that it need not be set anew.
const FINE_NS: u64 = 100_000;

/// A clock that is further from where it was put was set by others.
const OTHERS_NS: u64 = 20_000_000;

/// Services and programs that set clocks.
const SETTERS: [&str; 7] = ["systemd-timesyncd", "chronyd", "chrony", "ntpd", "ntp", "ntpsec", "openntpd"];

/// What it needs to be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MachineClockArgs {
    /// What the clock shall show; nothing to be probed.
    pub skew: Option<Skew>,
    /// The id of the boot of the machine where the controller runs: on that one, the clock is left alone.
    pub controller: String,
}

impl MachineClockArgs {
    /// Sent from this machine.
    pub fn from_here(skew: Option<Skew>) -> Result<MachineClockArgs> {
        Ok(MachineClockArgs { skew, controller: boot_id()? })
    }
}

/// Skews the clock of the day of the machine on which the agent runs. Every program there sees it, and what waits for a time
/// of day is woken by it. The true time is reckoned from the clock since boot, which nobody can set.
#[derive(Default)]
pub struct MachineClock {
    acting: Option<(Arc<Shared>, JoinHandle<()>, bool)>,
}

/// What the fault and its keeper share.
struct Shared {
    skew: Skew,
    truth: Truth,
    /// When it began.
    since_ns: i64,
    stop: AtomicBool,
    /// How often somebody else set the clock.
    others: AtomicU64,
}

impl Shared {
    fn error_ns(&self) -> i64 {
        self.skew.error_ns(self.truth.now_ns() - self.since_ns)
    }

    /// Sets the clock again and again, as far as the skew changes or others set it.
    fn keep(&self) {
        let mut put = self.error_ns();
        while !self.stop.load(Ordering::Acquire) {
            thread::sleep(STEP);
            let (is, shall) = (self.truth.ahead_ns(), self.error_ns());
            if is.abs_diff(put) > OTHERS_NS {
                self.others.fetch_add(1, Ordering::Relaxed);
            }
            if is.abs_diff(shall) > FINE_NS {
                if let Err(error) = set(self.truth.now_ns() + shall) {
                    eprintln!("{error:#}");
                }
                put = shall;
            }
        }
    }
}

/// The true time of day, reckoned from the time since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Truth {
    /// By how much it is more.
    day_ns: i64,
}

impl Truth {
    fn now_ns(self) -> i64 {
        self.day_ns + read(ClockId::CLOCK_BOOTTIME)
    }

    /// How far the clock of the machine is ahead.
    fn ahead_ns(self) -> i64 {
        read(ClockId::CLOCK_REALTIME) - self.now_ns()
    }

    /// Takes the clock as it is for true, and writes that down.
    fn write_down() -> Result<Truth> {
        let truth = Truth { day_ns: read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_BOOTTIME) };
        let mut file = match OpenOptions::new().write(true).create_new(true).open(STATE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!(
                    "{STATE} is there: another agent has set the clock of this machine, or was killed; squall heal"
                )
            }
            Err(error) => return Err(error).with_context(|| format!("making {STATE}")),
        };
        writeln!(file, "{} {}", boot_id()?, truth.day_ns).with_context(|| format!("writing {STATE}"))?;
        file.sync_all()?;
        Ok(truth)
    }

    /// What an agent wrote down since the machine was started; nothing if the clock is right.
    fn written_down() -> Option<Truth> {
        let text = fs::read_to_string(STATE).ok()?;
        let (boot, day_ns) = text.trim().split_once(' ')?;
        (boot == boot_id().ok()?).then_some(Truth { day_ns: day_ns.parse().ok()? })
    }

    /// Makes the clock right, and tells how far it was ahead.
    fn restore(self) -> Result<i64> {
        let was = self.ahead_ns();
        set(self.now_ns())?;
        fs::remove_file(STATE).with_context(|| format!("removing {STATE}"))?;
        Ok(was)
    }
}

/// How far the clock of this machine is ahead because an agent made it so.
pub(super) fn machine_ahead_ns() -> i64 {
    Truth::written_down().map_or(0, Truth::ahead_ns)
}

impl NodeFault for MachineClock {
    fn kind(&self) -> &'static str {
        MACHINE_CLOCK
    }

    fn probe(&mut self, args: &Value) -> Result<()> {
        let args = MachineClockArgs::deserialize(args).context("the arguments of a machine's clock")?;
        if args.controller == boot_id()? {
            let what = "the controller runs on this machine, whose clock is left alone";
            let remedy = "leave machine out, which skews the clocks of the target only, or use --env ssh with other machines";
            return Err(Unavailable::new(what, remedy).into());
        }
        if !may_set_clocks() {
            let what = "the clock of this machine cannot be set without root (CAP_SYS_TIME)";
            return Err(Unavailable::new(what, "log in as root, or give --sudo").into());
        }
        if let Some(setter) = setter() {
            let what =
                format!("{setter} keeps the clock of this machine right, and would undo what is done to it");
            return Err(
                Unavailable::new(what, format!("stop it for the run: sudo systemctl stop {setter}")).into()
            );
        }
        Ok(())
    }

    fn inject(&mut self, args: &Value, _pids: &[i32]) -> Result<Receipt> {
        self.probe(args)?;
        let skew = MachineClockArgs::deserialize(args)?.skew.context("no skew")?;
        self.end()?;
        let truth = Truth::write_down()?;
        let (stop, others) = Default::default();
        let shared = Arc::new(Shared { skew, truth, since_ns: truth.now_ns(), stop, others });
        let asked_ns = shared.error_ns();
        if let Err(error) = set(truth.now_ns() + asked_ns) {
            fs::remove_file(STATE)?;
            return Err(error);
        }
        let is_ns = truth.ahead_ns();
        let keeper = {
            let shared = shared.clone();
            thread::Builder::new().name("machine-clock".into()).spawn(move || shared.keep())
        };
        let confirmed = is_ns.abs_diff(asked_ns) < OTHERS_NS;
        match keeper {
            Ok(keeper) => self.acting = Some((shared, keeper, confirmed)),
            Err(error) => {
                truth.restore()?;
                return Err(error.into());
            }
        }
        let evidence = format!("the clock of the machine is {}", ahead(is_ns));
        Ok(Receipt { confirmed, ..Receipt::confirmed(evidence) }
            .with("offset_ns", is_ns)
            .with("asked_ns", asked_ns))
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        let Some((shared, _, bit)) = &self.acting else {
            return Ok(Receipt::unconfirmed("no machine's clock was skewed"));
        };
        let (shared, bit) = (shared.clone(), *bit);
        let was_ns = self.end()?.unwrap_or_default();
        let off_ns = shared.truth.ahead_ns();
        let others = shared.others.load(Ordering::Relaxed);
        let mut evidence = format!(
            "the clock of the machine was {} at last, and is right again to {}",
            ahead(was_ns),
            seconds(off_ns)
        );
        if others > 0 {
            evidence += &format!("; somebody else set it {}", count(others, "time"));
        }
        let confirmed = bit && others == 0 && off_ns.abs_diff(0) < OTHERS_NS;
        Ok(Receipt { confirmed, ..Receipt::confirmed(evidence) }
            .with("offset_ns", was_ns)
            .with("off_ns", off_ns)
            .with("set_by_others", others))
    }

    fn sweep(&mut self) -> Result<Vec<String>> {
        let Some(truth) = Truth::written_down() else { return Ok(Vec::new()) };
        let was_ns = truth.restore()?;
        Ok(vec![format!("the clock of the machine was {}", ahead(was_ns))])
    }
}

impl MachineClock {
    /// Gives the machine its time back, and tells how far its clock was ahead.
    fn end(&mut self) -> Result<Option<i64>> {
        let Some((shared, keeper, _)) = self.acting.take() else { return Ok(None) };
        shared.stop.store(true, Ordering::Release);
        let kept = keeper.join();
        let was_ns = shared.truth.restore()?;
        ensure!(kept.is_ok(), "the keeper of the machine's clock panicked");
        Ok(Some(was_ns))
    }
}

impl Drop for MachineClock {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the clock of the machine: {error:#}");
        }
    }
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).expect("Linux has this clock");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

fn set(day_ns: i64) -> Result<()> {
    let time = TimeSpec::new(day_ns.div_euclid(1_000_000_000), day_ns.rem_euclid(1_000_000_000));
    clock_settime(ClockId::CLOCK_REALTIME, time).context("setting the clock of the machine")
}

fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("reading {path}"))?.trim().to_owned())
}

/// Whether this process has CAP_SYS_TIME, and not in a user namespace only.
fn may_set_clocks() -> bool {
    const CAP_SYS_TIME: u32 = 25;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:\t")?, 16).ok());
    let users = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let all_users = users.split_whitespace().eq(["0", "0", "4294967295"]);
    all_users && capabilities.is_some_and(|all| all >> CAP_SYS_TIME & 1 == 1)
}

/// Who keeps the clock right on this machine, as far as can be seen: a service, whose processes may be hidden from an agent
/// with a pid namespace of its own, or a process.
fn setter() -> Option<&'static str> {
    let service = |name: &&&str| {
        let processes = format!("/sys/fs/cgroup/system.slice/{name}.service/cgroup.procs");
        fs::read_to_string(processes).is_ok_and(|pids| !pids.trim().is_empty())
    };
    let names: Vec<String> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    // The kernel keeps 15 bytes of a name.
    let process = |name: &&&str| names.iter().any(|running| *running == name[..name.len().min(15)]);
    SETTERS.iter().find(|name| service(name) || process(name)).copied()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::faults::testnet::{in_guest, sh};

    #[test]
    fn the_clock_of_the_machine_of_the_controller_is_left_alone() {
        let before = read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_BOOTTIME);
        let skew = "offset=1h+machine".parse().unwrap();
        let args = serde_json::to_value(MachineClockArgs::from_here(Some(skew)).unwrap()).unwrap();
        let mut clock = MachineClock::default();
        for refused in [clock.probe(&args), clock.inject(&args, &[]).map(drop)] {
            let why = refused.unwrap_err();
            assert!(
                why.is::<Unavailable>() && why.to_string().contains("the controller runs on this machine"),
                "{why}"
            );
        }
        assert!(!clock.heal(&[]).unwrap().confirmed);
        assert_eq!(Truth::written_down(), None);
        let after = read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_BOOTTIME);
        assert!(before.abs_diff(after) < 1_000_000_000, "{before} {after}");
    }

    /// By how many seconds the kernel's stamp on a new file is ahead of a truth.
    fn stamped_ahead_s(truth: Truth) -> f64 {
        sh("rm -f /tmp/stamped; : > /tmp/stamped");
        let stamp = fs::metadata("/tmp/stamped").unwrap().modified().unwrap();
        let stamp = stamp.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        stamp.as_secs_f64() - truth.now_ns() as f64 / 1e9
    }

    /// For real: in a machine of its own, never here.
    #[test]
    fn a_machine_tells_the_time_that_it_is_given() {
        const TEST: &str = "faults::clock::machine::tests::a_machine_tells_the_time_that_it_is_given";
        in_guest(TEST, &[], || {
            let truth = Truth { day_ns: read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_BOOTTIME) };
            let near = |seen: f64, asked: f64| assert!((seen - asked).abs() < 2.0, "{seen} s, not {asked} s");
            let args = |text: &str| {
                let controller = "another machine".to_owned();
                serde_json::to_value(MachineClockArgs { skew: Some(text.parse().unwrap()), controller })
                    .unwrap()
            };
            near(stamped_ahead_s(truth), 0.0);
            let mut clock = MachineClock::default();
            for (text, asked_s) in [("offset=1h+machine", 3600.0), ("offset=-10s+machine", -10.0)] {
                let receipt = clock.inject(&args(text), &[]).unwrap();
                println!("{text}: {receipt:?}");
                assert!(receipt.confirmed);
                near(stamped_ahead_s(truth), asked_s);
                near(machine_ahead_ns() as f64 / 1e9, asked_s);
            }
            let receipt = clock.heal(&[]).unwrap();
            println!("healed: {receipt:?}");
            assert!(receipt.confirmed);
            near(stamped_ahead_s(truth), 0.0);
            assert!(!clock.heal(&[]).unwrap().confirmed, "healed is healed");

            // One that runs twice as fast, and one that somebody else sets right.
            assert!(clock.inject(&args("drift=1000000ppm+machine"), &[]).unwrap().confirmed);
            let first = stamped_ahead_s(truth);
            thread::sleep(Duration::from_secs(5));
            let gained = stamped_ahead_s(truth) - first;
            println!("twice as fast: {gained:.3} s gained in 5 s");
            assert!((4.0..10.0).contains(&gained), "{gained}");
            set(truth.now_ns()).unwrap();
            thread::sleep(Duration::from_millis(500));
            let receipt = clock.heal(&[]).unwrap();
            println!("healed: {receipt:?}");
            assert!(!receipt.confirmed && receipt.evidence.contains("somebody else"), "{receipt:?}");
            near(stamped_ahead_s(truth), 0.0);

            // An agent that is killed heals nothing itself: who sweeps does.
            let mut killed = MachineClock::default();
            killed.inject(&args("offset=1h+machine"), &[]).unwrap();
            let (shared, keeper, _) = killed.acting.take().unwrap();
            shared.stop.store(true, Ordering::Release);
            keeper.join().unwrap();
            near(stamped_ahead_s(truth), 3600.0);
            assert!(clock.inject(&args("offset=1s+machine"), &[]).is_err(), "one agent at a time");
            println!("swept: {:?}", clock.sweep().unwrap());
            near(stamped_ahead_s(truth), 0.0);
            assert!(clock.sweep().unwrap().is_empty(), "swept is swept");
        });
    }
}
