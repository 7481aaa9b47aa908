//! Ctrl-C, SIGTERM and SIGKILL at any moment: healed or vanished, nothing left, and what was recorded is kept.

use std::fs;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use squall_checkers::Phase;

use super::leftovers::{MARKER, Machine, end_marked, marked};
use super::squall::{Folder, RunDir, SQUALL, Said, random_moments, said, until};

/// A run that goes on, the folder it is in, and the machine as it was before.
struct Running {
    folder: Folder,
    machine: Machine,
    marker: Marker,
    keeper: Child,
}

/// The mark of a run's processes, which are ended with it if a test failed to end them.
struct Marker(String);

impl Drop for Marker {
    fn drop(&mut self) {
        end_marked(&self.0);
    }
}

impl Running {
    fn start(args: &str) -> Running {
        Running::seeded(5, args)
    }

    fn seeded(seed: u64, args: &str) -> Running {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let marker = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (folder, machine) = (Folder::new(), Machine::now());
        let mut command = folder.command(SQUALL);
        let seed = seed.to_string();
        command.args(["test", "--nodes", "3", "--seed", &seed]).args(args.split(' ')).env(MARKER, &marker);
        let keeper = command.spawn().unwrap();
        Running { folder, machine, marker: Marker(marker), keeper }
    }

    /// The process that was started.
    fn keeper(&self) -> Pid {
        Pid::from_raw(self.keeper.id() as i32)
    }

    /// The controller inside the cell, if it is there yet: the child of the init, which is the keeper's child.
    fn controller(&self) -> Option<Pid> {
        child(child(self.keeper())?)
    }

    /// Waits for the end, and asserts that nothing is left.
    fn end(self) -> (Folder, Said) {
        let said = said(self.keeper);
        self.machine.is_clean_after(&self.folder, &self.marker.0);
        (self.folder, said)
    }
}

fn child(of: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
}

/// Asserts that the run is readable by everything that reads runs, and that healing it is done once.
fn is_readable(folder: &Folder, run: &RunDir) {
    let listed = folder.squall("runs list").code(0);
    assert!(listed.stdout.contains(&run.id()), "{listed:#?}");
    let checked = folder.squall("check latest");
    // A run that ended before its clients began has no history to judge.
    let judged: &[i32] = if run.path("history.jsonl.zst").exists() { &[0, 2] } else { &[4] };
    assert!(judged.contains(&checked.code), "{checked:#?}");
    folder.squall("report latest").code(0);
    let open = run.open_faults().len();
    let healed = folder.squall("heal").code(0);
    if open == 0 {
        assert_eq!(healed.stdout, "nothing to heal\n", "{healed:#?}");
    } else {
        assert!(healed.stdout.contains(&format!("{open} fault")), "{healed:#?}");
    }
    assert!(run.open_faults().is_empty());
    assert_eq!(folder.squall("heal").code(0).stdout, "nothing to heal\n");
    let checked = folder.squall("check latest");
    assert!(!checked.stderr.contains("faults.jsonl, line"), "healing damaged the journal: {checked:#?}");
}

#[test]
fn a_signal_heals_keeps_and_judges() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 143)] {
        let running = Running::start("--time-limit 10m -n partition,pause --interval 300ms --op-timeout 1s");
        running.folder.run_with("faults.jsonl", "injected");
        let seen = marked(&running.marker.0);
        let of = |what: &str| seen.iter().filter(|(_, command)| command.contains(what)).count();
        assert!(of(" refkv ") >= 3 && of(" agent ") >= 4, "the search finds what runs: {seen:#?}");
        let left_alone = running.folder.squall("heal").code(0);
        assert!(left_alone.stderr.contains("still running, left alone"), "{left_alone:#?}");

        kill(running.keeper(), signal).unwrap();
        let (folder, said) = running.end();
        let said = said.code(code);
        assert!(said.stderr.contains("stopping: healing and keeping what was recorded"), "{said:#?}");
        is_judged(&folder, &said);
    }
}

/// Asserts that an interrupted run was healed, judged and told.
fn is_judged(folder: &Folder, said: &Said) {
    let word = said.stdout.split(' ').next().unwrap();
    assert!(["VALID", "UNKNOWN"].contains(&word), "{said:#?}");
    let run = folder.run();
    assert!(run.faults().iter().any(|event| event.phase == Phase::Healed));
    assert!(run.open_faults().is_empty(), "healed");
    assert_ne!(run.verdict()["valid"], false);
    assert!(run.path("report.html").is_file());
    assert!(!run.history().is_empty());
    is_readable(folder, &run);
}

/// Operations to a paused node end when it is resumed, and the healing that followed the signal waited for them to
/// end: Ctrl-C took as long as the longest time-out.
#[test]
fn a_signal_does_not_wait_for_operations_that_wait_for_the_healing() {
    let patient = "--time-limit 10m -n pause:all --interval 200ms --op-timeout 10m -o timeout-ms=600000";
    let running = Running::start(patient);
    running.folder.run_with("faults.jsonl", "injected");
    kill(running.keeper(), Signal::SIGINT).unwrap();
    let (folder, said) = running.end();
    is_judged(&folder, &said.code(130));
}

/// Faults of a schedule on the same nodes, some without an end of their own.
const TOGETHER: &str = r#"
[[phase]]
for = "10m"
[[phase.step]]
at = "200ms"
nodes = "minority"
faults = ["kill", "packets:delay=20ms", "partition"]
[[phase.step]]
at = "300ms"
every = "400ms"
for = "200ms"
fault = "pause:one"
"#;

#[test]
fn a_schedule_that_is_interrupted_or_killed_leaves_nothing_in_force() {
    let folder = Folder::new();
    folder.write("together.toml", TOGETHER);
    let file = folder.path().join("together.toml");
    let args = format!("--time-limit 10m --op-timeout 500ms --schedule {}", file.display());

    let running = Running::start(&args);
    running.folder.run_with("faults.jsonl", r#""fault":"pause""#);
    kill(running.keeper(), Signal::SIGINT).unwrap();
    let (folder, said) = running.end();
    is_judged(&folder, &said.code(130));
    let kinds: Vec<String> = folder.run().faults().into_iter().map(|event| event.fault).collect();
    for kind in ["kill", "packets", "partition", "pause"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind} in {kinds:?}");
    }

    let running = Running::start(&args);
    let run = running.folder.run_with("faults.jsonl", r#""fault":"pause""#);
    kill(running.controller().expect("a controller"), Signal::SIGKILL).unwrap();
    let (folder, said) = running.end();
    assert_eq!(said.code, 137);
    assert!(run.open_faults().len() >= 3, "{:?}", run.faults());
    is_readable(&folder, &run);
}

#[test]
fn a_signal_while_the_target_starts_ends_the_run() {
    // Nobody is elected, so the target never comes up.
    let running = Running::start("--time-limit 10m -o flag=--election-timeout-ms=600000");
    let run = running.folder.run_with("nodes/n3/refkv.log", "\n");
    kill(running.keeper(), Signal::SIGINT).unwrap();
    let (folder, said) = running.end();
    let said = said.code(130);
    assert!(said.stderr.contains("stopped before it began"), "{said:#?}");
    assert!(!run.path("verdict.json").exists(), "there was nothing to judge");
    is_readable(&folder, &run);
}

/// Kills one of the processes of a run under faults that its seed chooses, this long after the start.
fn kill_after(moment: Duration, seed: u64, controller: bool) {
    let running = Running::seeded(seed, "--time-limit 10m -n swarm --interval 300ms --op-timeout 500ms");
    std::thread::sleep(moment);
    let victim = if controller { running.controller() } else { None };
    // Before there is a controller there is only the keeper to kill.
    kill(victim.unwrap_or(running.keeper()), Signal::SIGKILL).unwrap();
    let (folder, said) = running.end();
    assert_eq!(said.code, 137, "seed {seed}, after {moment:?}: {said:#?}");
    match folder.runs().as_slice() {
        [] => drop(folder.squall("runs list").code(4)),
        [run] => is_readable(&folder, run),
        runs => panic!("{runs:?}"),
    }
}

/// A hundred moments from the start until well into a run, two at a time; the outer process is killed, and the controller.
#[test]
fn nothing_is_left_when_the_controller_is_killed_a_hundred_times() {
    const KILLS: u64 = 100;
    std::thread::scope(|scope| {
        for part in [0, 1] {
            scope.spawn(move || {
                let own = random_moments(KILLS, Duration::from_secs(3)).enumerate().skip(part).step_by(2);
                own.for_each(|(i, moment)| kill_after(moment, i as u64, i % 4 < 2));
            });
        }
    });
}

#[test]
fn a_crash_loses_at_most_what_was_not_flushed_and_its_faults_are_closed_later() {
    // So few operations do not fill a frame of the history file in the time.
    let running =
        Running::start("--time-limit 10m --rate 40 -n partition --interval 600ms --op-timeout 500ms");
    let run = running.folder.run_with("faults.jsonl", "healed");
    let logged_ns = until("three seconds of a run, and a fault in force", || {
        let last = run.faults().pop()?;
        let in_force = last.phase == Phase::Injected;
        (in_force && last.time_ns > 3_000_000_000).then_some(last.time_ns)
    });
    kill(running.controller().expect("a controller"), Signal::SIGKILL).unwrap();
    let (folder, said) = running.end();
    assert_eq!(said.code, 137);
    let open = run.open_faults();
    assert_eq!(open.len(), 1);

    // A second is what may be lost; another is for a machine with no time for the recorder.
    let history = run.history();
    let kept_ns = history.get(history.len() - 1).time_ns();
    assert!(kept_ns + 2_000_000_000 > logged_ns, "kept to {kept_ns} of {logged_ns} ns");
    let listed = folder.squall("runs list").code(0);
    assert!(listed.stdout.contains("incomplete"), "{listed:#?}");
    let before = run.faults();
    is_readable(&folder, &run);
    let added = &run.faults()[before.len()..];
    let [healed] = added else { panic!("{added:?}") };
    assert_eq!((healed.id, healed.phase), (open[0], Phase::Healed));
    assert!(!healed.receipt.as_ref().unwrap().confirmed, "nobody measured anything");
}
