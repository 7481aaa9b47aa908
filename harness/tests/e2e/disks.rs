//! Power failures, failing disks and damaged files, under the reference KV and under etcd.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use squall_checkers::history::faults;
use squall_checkers::{FaultEvent, Phase};

use super::squall::{Folder, RunDir, Said, ended};

/// Asserts that faults of one kind were injected, the first with proof or to be proven at its end, and some proven to their
/// end. (A later one may meet a node where nothing runs.)
fn injected(run: &RunDir, fault: &str) {
    let of_kind = |event: &FaultEvent| event.fault == fault && event.phase == Phase::Injected;
    let first = run.faults().into_iter().find(of_kind).unwrap_or_else(|| panic!("no {fault} was injected"));
    assert!(first.receipt.as_ref().is_some_and(|one| one.confirmed || one.pending), "{first:?}");
    let faults = faults(&run.faults(), 0);
    assert!(faults.iter().any(|one| one.fault == fault && one.confirmed), "no {fault} bit: {faults:#?}");
}

#[test]
fn a_correct_raft_stays_valid_when_disks_fail_and_the_power_does() {
    let folder = Folder::new();
    let said =
        folder.squall("test -w set -n power,disk --nodes 3 --time-limit 10s --interval 1s --seed 3").code(0);
    assert!(said.stdout.starts_with("VALID  set: "), "{said:#?}");
    assert!(!said.stdout.contains("warning"), "all nodes are back: {said:#?}");
    let run = folder.run();
    injected(&run, "power");
    injected(&run, "disk");
    assert_eq!(run.open_faults(), Vec::<u64>::new());
}

#[test]
fn a_file_is_damaged_under_a_store_that_goes_on() {
    let folder = Folder::new();
    let said =
        folder.squall("test -w set -n files --nodes 3 --time-limit 4s --interval 500ms --seed 3").code(0);
    assert!(said.stdout.starts_with("VALID  set: "), "{said:#?}");
    injected(&folder.run(), "files");
}

#[test]
fn what_is_acknowledged_before_its_fsync_is_found_lost() {
    for seed in 1..=5 {
        let folder = Folder::new();
        let said = folder.squall(&format!(
            "test -w set -n power:lost@all --bug ack-before-fsync --nodes 3 --time-limit 8s --interval 1s --rate 2000 \
             --seed {seed}"
        ));
        if said.code == 1 {
            assert!(said.stdout.contains("lost"), "{said:#?}");
            injected(&folder.run(), "power");
            return;
        }
        assert_eq!(said.code, 0, "{said:#?}");
    }
    panic!("five runs, and nothing was found");
}

/// `squall` as somebody who has no FUSE, unless the device is there for everyone: whether it is not.
fn without_fuse(folder: &Folder, args: &str) -> (Said, bool) {
    let squall = folder.own_squall();
    let mut command = folder.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]);
    if !nix::unistd::geteuid().is_root() {
        command = folder.command("env");
    }
    chown(folder.path(), Some(65_534), Some(65_534)).unwrap_or(());
    let said = ended(command.arg(&squall).args(args.split(' ')));
    let everyone = fs::metadata("/dev/fuse").is_ok_and(|device| device.permissions().mode() & 0o6 == 0o6);
    (said, !everyone)
}

#[test]
fn where_there_is_no_fuse_it_says_so_and_what_to_do() {
    let (said, lacks) = without_fuse(&Folder::new(), "test -n power --nodes 1 --time-limit 1s");
    if !lacks {
        said.code(0);
        return;
    }
    let said = said.code(3);
    assert!(said.stderr.contains("there is no FUSE here: opening /dev/fuse"), "{said:#?}");
    assert!(said.stderr.contains("sudo chmod 666 /dev/fuse"), "{said:#?}");
}

#[test]
fn where_there_is_no_fuse_fsyncs_are_slow_and_fail_all_the_same() {
    for profile in ["slow-fsync=30ms", "eio-fsync=100%"] {
        let folder = Folder::new();
        let args = format!("test -w set -n disk:{profile} --nodes 1 --time-limit 4s --interval 1s --seed 3");
        let (said, lacks) = without_fuse(&folder, &args);
        said.code(0);
        injected(&folder.run(), "disk");
        let evidence = |phase: Phase| {
            let faults = folder.run().faults();
            let event =
                faults.into_iter().find(|event| event.fault == "disk" && event.phase == phase).unwrap();
            event.receipt.unwrap().evidence
        };
        let (injected, healed) = (evidence(Phase::Injected), evidence(Phase::Healed));
        println!("{injected}; {healed}");
        assert_eq!(injected.contains("by its system calls (there is no FUSE here"), lacks, "{injected}");
        assert!(healed.contains(if profile.starts_with("eio") { "failed" } else { "delayed" }), "{healed}");
    }
}

/// The doctor said that a run could, and the run said that it could not.
#[test]
fn doctor_and_a_run_agree_about_every_disk_fault() {
    for (profile, takes_fuse) in
        [("full", true), ("eio-write=10%@one", true), ("slow-fsync", false), ("eio-fsync=5%@one", false)]
    {
        let doctor = format!("doctor --nodes 1 -n disk:{profile} --json");
        let (said, lacks) = without_fuse(&Folder::new(), &doctor);
        let code = if lacks && takes_fuse { 3 } else { 0 };
        let checks = said.code(code).json();
        let of_disk = |check: &&serde_json::Value| check["name"] == format!("nemesis disk:{profile}");
        let check = checks.as_array().unwrap().iter().find(of_disk).expect("it was tried");
        let run = format!("test --nodes 1 --time-limit 2s --interval 500ms -n disk:{profile}");
        let said = without_fuse(&Folder::new(), &run).0.code(code);
        if code == 3 {
            let (what, remedy) = (check["detail"].as_str().unwrap(), check["remedy"].as_str().unwrap());
            assert!(what.contains("only fsyncs can fail or be slow"), "{checks:#}");
            let why =
                format!("the nemesis disk:{profile} cannot act here: n1 cannot do it: {what}; {remedy}");
            assert!(said.stderr.contains(&why), "{why}: {said:#?}");
        }
    }
    // What is left to chance is chosen among what can be done.
    let list = "test --nodes 1 --time-limit 5s --interval 300ms -n disk --seed 5";
    let folder = Folder::new();
    without_fuse(&folder, list).0.code(0);
    let failed = folder.run().faults().into_iter().filter(|event| event.phase == Phase::Failed).count();
    assert_eq!(failed, 0, "{:#?}", folder.run().faults());
    // The first of a kind is not asked for all.
    let folder = Folder::new();
    folder
        .write("plan.toml", "mix = [\"disk:slow-fsync\"]\nstep = [{ at = \"1s\", fault = \"disk:full\" }]\n");
    let (said, lacks) = without_fuse(&folder, "test --nodes 1 --time-limit 2s --schedule plan.toml");
    let said = said.code(if lacks { 3 } else { 0 });
    assert!(!lacks || said.stderr.contains("the nemesis disk:full cannot act here"), "{said:#?}");
}

#[test]
fn doctor_tells_of_what_faults_are_made_by() {
    let (said, lacks) = without_fuse(&Folder::new(), "doctor --nodes 1 --json");
    let checks = said.code(0).json();
    let works = |name: &str| {
        let found = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {checks:#}"))["ok"] == true
    };
    for name in ["FUSE", "nemesis power"] {
        assert_eq!(works(name), !lacks, "{name}");
    }
    for name in ["seccomp notification", "ptrace and the vDSO", "signals", "nemesis disk", "nemesis clock"] {
        assert!(works(name), "{name}");
    }
}

/// Disks are slow while etcd runs and while it is down, so that some fsyncs are held wherever the power goes.
const OUTAGES: &str = r#"
[[step]]
at = "2s"
for = "12s"
fault = "disk:slow-fsync=20ms@all"

[[step]]
at = "6s"
every = "5s"
for = "1s"
times = 2
fault = "power:lost@all"
"#;

#[test]
fn etcd_keeps_every_element_through_power_failures_and_slow_disks() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../targets/systems/etcd.toml");
    for program in ["etcd", "python3"] {
        if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            println!("skipped: there is no {program} here; ./setup.sh --all installs it");
            return;
        }
    }
    let folder = Folder::new();
    folder.write("outages.toml", OUTAGES);
    let said =
        folder.squall(&format!("test -t {file} -w set --schedule outages.toml --nodes 3 --time-limit 15s"));
    let said = said.code(0);
    assert!(said.stdout.starts_with("VALID  set: "), "{said:#?}");
    injected(&folder.run(), "power");
    injected(&folder.run(), "disk");
}
