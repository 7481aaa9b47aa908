//! `squall test` on the reference KV: verdicts, exit codes, and a run directory that stands alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use serde_json::Value;
use squall_checkers::history::validate;
use squall_checkers::{Phase, Process, Type};

use super::squall::{Folder, RunDir, SQUALL, Said, ended};

/// What every run here has; tests add to it.
const SHORT: &str = "test --nodes 3 --time-limit 1s";

/// Asserts that a finished run left all that it should, each file readable and true to the others.
fn stands_alone(run: &RunDir, workload: &str) {
    let config = run.config();
    assert_eq!(config["workload"].as_str(), Some(workload));
    assert_eq!(config["target"].as_str(), Some("refkv"));
    let history = run.history();
    assert_eq!(validate(&history, 1), []);
    assert!(history.iter().filter(|op| op.is_client() && op.kind() == Type::Ok).count() >= 10);
    for node in config["nodes"].as_array().unwrap() {
        let log = run.text(&format!("nodes/{}/refkv.log", node.as_str().unwrap()));
        assert!(!log.is_empty(), "{node} logged nothing");
    }
    let report = run.text("report.html");
    assert!(report.contains("<html") && report.contains(&run.id()), "no report of this run");
    for elsewhere in ["src=\"http", "href=\"http://", "@import"] {
        assert!(!report.contains(elsewhere), "the report needs a network: {elsewhere}");
    }
    let log = run.text("squall.log");
    assert!(log.contains("running") && log.contains("final reads") || log.contains("healing"), "{log}");
    let verdict = run.verdict();
    assert!(verdict["totals"]["ops"].as_u64().unwrap() > 0);
    assert!(run.path("faults.jsonl").is_file());
}

#[test]
fn every_workload_passes_on_a_correct_store() {
    for entry in squall_workloads::workload::ALL {
        let folder = Folder::new();
        let said = folder.squall(&format!("{SHORT} -w {}", entry.name)).code(0);
        assert!(said.stdout.starts_with(&format!("VALID  {}: ", entry.name)), "{said:#?}");
        let run = folder.run();
        stands_alone(&run, entry.name);
        assert_eq!(run.verdict()["valid"], true);
        assert_eq!(run.faults(), []);
        assert!(folder.path().join(said.line("report")).is_file());

        // Moved elsewhere it is judged as before: nothing in it needs the machine that made it.
        let moved = folder.path().join("moved");
        fs::rename(run.path(""), &moved).unwrap();
        fs::remove_dir_all(folder.results()).unwrap();
        folder.squall("check moved/").code(0);
    }
}

#[test]
fn json_is_one_document_and_the_seed_comes_first() {
    let folder = Folder::new();
    let said = folder.squall(&format!("{SHORT} --json --seed 7f3a91c2")).code(0);
    let answer = said.json();
    assert_eq!(answer["word"], "VALID");
    assert_eq!(answer["seed"], "7f3a91c2");
    assert_eq!(answer["verdict"]["valid"], true);
    assert_eq!(answer["id"], folder.run().id());
    assert!(answer["coverage"].as_str().unwrap().contains(" ok, "), "{answer:#}");
    assert_eq!(said.stderr, "seed     7f3a91c2\n", "progress is silent where there is no terminal");

    let said = folder.squall("check latest --json").code(0);
    assert_eq!(said.json()["verdict"], answer["verdict"]);
    assert_eq!(folder.squall("runs list --json").code(0).json().as_array().unwrap().len(), 1);
}

#[test]
fn again_repeats_the_run() {
    let folder = Folder::new();
    let first =
        folder.squall(&format!("{SHORT} -q -n partition:halves --interval 200ms --concurrency 2")).code(0);
    let seed = first.stderr.strip_prefix("seed     ").expect("the seed comes first").lines().next().unwrap();
    let again = first.line("again").strip_prefix("squall ").unwrap();
    assert!(again.ends_with(&format!("--seed {seed}")), "{again}");
    folder.squall(again).code(0);

    let runs = folder.runs();
    let [one, two] = runs.as_slice() else { panic!("{runs:?}") };
    let but_for = |run: &RunDir| {
        let mut config = run.config();
        config.retain(|key, _| key != "started" && key != "argv");
        config
    };
    assert_eq!(but_for(one), but_for(two));
    let cuts = |run: &RunDir| -> Vec<String> {
        let begun = run.faults().into_iter().filter(|event| event.phase == Phase::Intent);
        begun.map(|event| event.what).collect()
    };
    let (one, two) = (cuts(one), cuts(two));
    let both = one.len().min(two.len());
    assert!(both > 0, "no fault was begun");
    assert_eq!(one[..both], two[..both], "the same seed, another schedule");
}

#[test]
fn every_fault_has_an_intent_first_and_a_receipt_for_what_it_did_and_for_its_healing() {
    let folder = Folder::new();
    let said = folder
        .squall("test --nodes 3 --time-limit 3s -n partition,kill,pause --interval 1s --op-timeout 1s")
        .code(0);
    assert!(said.stdout.starts_with("VALID  register: "), "{said:#?}");
    let run = folder.run();
    stands_alone(&run, "register");

    let mut faults: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for event in run.faults() {
        faults.entry(event.id).or_default().push(event);
    }
    assert!(faults.len() >= 2, "{faults:?}");
    assert!(faults.keys().copied().eq(1..=faults.len() as u64), "{faults:?}");
    for events in faults.values() {
        let phases: Vec<Phase> = events.iter().map(|event| event.phase).collect();
        assert_eq!(phases, [Phase::Intent, Phase::Injected, Phase::Healed], "{events:?}");
        assert_eq!(events[0].receipt, None);
        for event in &events[1..] {
            let receipt = event.receipt.as_ref().expect("a receipt");
            assert!(!receipt.evidence.is_empty(), "{event:?}");
        }
        // What was killed cannot be paused, and its receipt says so.
        let confirmed = events[1].receipt.as_ref().unwrap().confirmed;
        assert!(confirmed || events[1].fault == "pause", "{events:?}");
        assert!(events.is_sorted_by_key(|event| event.time_ns));
        assert!(events.iter().all(|event| event.what == events[0].what && !event.nodes.is_empty()));
    }
    // What the nemesis did is in the history too, for the checkers and the report.
    let history = run.history();
    let acts = history.iter().filter(|op| op.process() == Process::Nemesis && op.kind() == Type::Invoke);
    assert!(acts.count() >= faults.len());
}

/// Runs this until the bug is found by the anomaly that shows it best, as the nightly suite does: whether a schedule bites,
/// and what it shows first, depends on the machine.
fn find_bug(folder: &Folder, args: &str, anomaly: &str) -> Said {
    let next = format!("squall explain {anomaly}");
    (1..=4)
        .map(|seed| folder.squall(&format!("{args} --seed {seed}")))
        .find(|said| said.code == 1 && said.line("next") == next)
        .unwrap_or_else(|| panic!("no {anomaly} in four runs: {args}"))
}

fn anomalies(verdict: &Value) -> Vec<Value> {
    let own = verdict["anomalies"].as_array().into_iter().flatten().cloned();
    let of_parts = verdict["parts"].as_array().into_iter().flatten().flat_map(anomalies);
    own.chain(of_parts).collect()
}

#[test]
fn bugs_are_found_and_their_witnesses_are_in_the_history() {
    for (bug, said_of_it, explained) in [
        ("--bug stale-read -w register -n partition --interval 500ms", "is not linearizable", "stale-read"),
        ("--bug ack-before-fsync -w set -n kill:all --interval 500ms", "was added by process", "lost-write"),
    ] {
        let folder = Folder::new();
        let said = find_bug(&folder, &format!("test --nodes 3 --time-limit 3s {bug}"), explained);
        let mut lines = said.stdout.lines();
        let first = lines.next().unwrap();
        assert!(first.starts_with("INVALID  ") && first.contains(said_of_it), "{said:#?}");
        let next = said.line("next").strip_prefix("squall ").unwrap();
        assert!(folder.squall(next).code(0).stdout.starts_with(explained));
        let (report, anchor) = said.line("report").split_once('#').unwrap();
        assert_eq!(anchor, "anomaly-1");
        assert!(fs::read_to_string(folder.path().join(report)).unwrap().contains("anomaly-1"));

        let run = folder.runs().pop().unwrap();
        stands_alone(&run, if explained == "lost-write" { "set" } else { "register" });
        let verdict = run.verdict();
        assert_eq!(verdict["valid"], false);
        let (found, history) = (anomalies(&verdict), run.history());
        assert!(!found.is_empty());
        for anomaly in &found {
            let witness = anomaly["witness"].as_array().unwrap();
            assert!(!witness.is_empty(), "{anomaly:#}");
            let events = witness.iter().map(|index| history.get(index.as_u64().unwrap() as usize));
            assert!(events.clone().all(|op| op.is_client()), "{anomaly:#}");
            assert!(events.clone().any(|op| op.kind() == Type::Ok), "{anomaly:#}");
        }

        let before = (run.text("verdict.json"), run.text("report.html"));
        let checked = folder.squall("check latest").code(1);
        assert_eq!(checked.stdout.lines().next(), Some(first));
        assert_eq!(run.text("verdict.json"), before.0, "a verdict depends on the history alone");
        fs::remove_file(run.path("report.html")).unwrap();
        let report = folder.squall("report latest").code(0);
        assert!(report.stdout.trim().ends_with("report.html"), "{report:#?}");
        assert_eq!(run.text("report.html"), before.1, "the report depends on the run directory alone");
    }
}

#[test]
fn a_nemesis_that_cannot_act_here_is_exit_code_3_and_says_what_is_missing() {
    let folder = Folder::new();
    for program in ["nft", "iptables", "iptables-restore", "ip6tables", "ip6tables-restore"] {
        folder.write(program, "#!/bin/sh\necho it is broken >&2\nexit 1\n");
        fs::set_permissions(folder.path().join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut squall = folder.command(SQUALL);
    let said = ended(squall.args(SHORT.split(' ')).args(["-n", "partition"]).env("PATH", path)).code(3);
    for part in ["the nemesis partition cannot act here", "nft: ", "it is broken", "install nftables"] {
        assert!(said.stderr.contains(part), "{part}: {said:#?}");
    }
}

#[test]
fn too_little_to_judge_is_unknown() {
    let folder = Folder::new();
    let said = folder.squall("test --nodes 3 --time-limit 300ms --rate 0.5").code(2);
    assert!(said.stdout.starts_with("UNKNOWN  register: "), "{said:#?}");
    assert!(said.stdout.contains("too few to say anything"), "{said:#?}");
    assert_eq!(folder.run().verdict()["valid"], "unknown");
    folder.squall("check latest").code(2);
}

#[test]
fn a_run_needs_no_root() {
    let folder = Folder::new();
    let said = if nix::unistd::geteuid().is_root() {
        // Nobody may be kept out of where the binary and the folder lie.
        let nobody = 65_534;
        let squall = folder.own_squall();
        fs::set_permissions(&squall, fs::Permissions::from_mode(0o755)).unwrap();
        chown(folder.path(), Some(nobody), Some(nobody)).unwrap();
        let mut command = folder.command("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--"]);
        ended(command.arg(squall).args(SHORT.split(' ')).args([
            "-n",
            "partition,kill",
            "--interval",
            "300ms",
        ]))
    } else {
        folder.squall(&format!("{SHORT} -n partition,kill --interval 300ms"))
    };
    assert!(said.code(0).stdout.starts_with("VALID  register: "));
    let run = folder.run();
    stands_alone(&run, "register");
    let confirmed = |event: &squall_checkers::FaultEvent| event.receipt.as_ref().is_some_and(|r| r.confirmed);
    assert!(run.faults().iter().any(confirmed));
}
