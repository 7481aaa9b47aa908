//! A real system from a target file: etcd, as Debian packages it. Without it and python3 these tests say so, and do nothing.

use std::process::Command;

use squall_checkers::Phase;

use super::squall::Folder;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../targets/systems/etcd.toml");

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no {program} here; ./setup.sh --all installs it");
    }
    found
}

#[test]
fn etcd_stays_linearizable_with_its_clocks_an_hour_ahead_and_its_leader_cut_off() {
    if !is_there("etcd") || !is_there("python3") {
        return;
    }
    let folder = Folder::new();
    let said = folder
        .squall(&format!(
            "test -t {FILE} -w register -n clock:hour@all,partition:primaries --nodes 3 --time-limit 15s --interval 4s"
        ))
        .code(0);
    assert!(said.stdout.starts_with("VALID  register: "), "{said:#?}");
    let run = folder.run();
    assert!(!run.text("nodes/n1/etcd.log").is_empty());
    for fault in ["clock", "partition"] {
        let injected = run.faults().into_iter().find(|e| e.fault == fault && e.phase == Phase::Injected);
        let receipt =
            injected.and_then(|event| event.receipt).unwrap_or_else(|| panic!("no {fault} was injected"));
        assert!(receipt.confirmed, "{receipt:?}");
    }
}

#[test]
fn a_killed_etcd_comes_back_with_every_element() {
    if !is_there("etcd") || !is_there("python3") {
        return;
    }
    let folder = Folder::new();
    let said = folder
        .squall(&format!("test -t {FILE} -w set -n kill:all --nodes 3 --time-limit 10s --interval 3s"))
        .code(0);
    assert!(said.stdout.starts_with("VALID  set: "), "{said:#?}");
}

#[test]
fn a_target_file_is_found_or_its_mistake_is_told() {
    let folder = Folder::new();
    let said = folder.squall("test -t no-such.toml").code(254);
    assert!(said.stderr.contains("no-such.toml") && said.stderr.contains("No such file"), "{said:#?}");
    let said = folder.squall(&format!("test -t {FILE} -w append")).code(254);
    assert!(said.stderr.contains("it knows register, set"), "{said:#?}");
    let said = folder.squall(&format!("test -t {FILE} -o a=b")).code(254);
    assert!(said.stderr.contains("takes no -o"), "{said:#?}");
}
