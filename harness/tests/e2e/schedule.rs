//! Schedules: from files, printed beforehand, kept to, and done again.

use std::fs;

use serde_json::Value;
use squall_checkers::{FaultEvent, Phase, Process, Type};

use super::squall::{Folder, RunDir, SQUALL, ended};

/// Two faults on the same nodes, a wait for recovery, and a mixture.
const STORM: &str = r#"
[[phase]]
name = "quiet"
for = "500ms"

[[phase]]
name = "storm"
for = "2s"
[[phase.step]]
at = "200ms"
for = "800ms"
nodes = "one"
faults = ["pause", "packets:delay=20ms"]

[[phase]]
name = "calm"
until = "recovered"
within = "20s"

[[phase]]
name = "cuts"
for = "2s"
mix = ["partition"]
interval = "300ms"
"#;

/// What the nemesis was told, in order: seconds, operation, value.
fn acts(run: &RunDir) -> Vec<(f64, String, Value)> {
    let history = run.history();
    let begun = history
        .iter()
        .filter(|op| op.process() == Process::Nemesis && (op.kind() == Type::Invoke || op.f() == "log"));
    begun.map(|op| (op.time_ns() as f64 / 1e9, op.f().to_owned(), op.value())).collect()
}

#[test]
fn a_file_decides_what_strikes_when_and_recovery_is_measured() {
    let folder = Folder::new();
    folder.write("storm.toml", STORM);
    let args = "test --nodes 3 --time-limit 5s --op-timeout 1s --schedule storm.toml --seed 7";
    let planned = folder.squall(&format!("{args} --dry-run --json")).code(0).json();
    assert!(folder.runs().is_empty(), "a dry run leaves nothing");
    let said = folder.squall(args).code(0);
    assert!(said.stderr.contains("schedule") && said.stderr.contains("phase storm"), "{said:#?}");

    let run = folder.run();
    let (done, planned) = (acts(&run), planned["schedule"]["acts"].as_array().unwrap());
    assert!(done.len() > planned.len(), "every kind is healed in the end");
    for ((at_s, f, value), planned) in done.iter().zip(planned) {
        assert_eq!((f.as_str(), value), (planned["f"].as_str().unwrap(), &planned["value"]), "{done:?}");
        let late_s = at_s - planned["at_s"].as_f64().unwrap();
        assert!((-0.001..10.0).contains(&late_s), "{f} {late_s} s late");
        println!("{f:<16} {value:<60} {:>6.1} ms late", late_s * 1e3);
    }

    let intents: Vec<FaultEvent> = intents(&run);
    let [pause, packets] =
        ["pause", "packets"].map(|kind| intents.iter().find(|it| it.fault == kind).unwrap());
    assert!(packets.what.ends_with(&format!("around {}", pause.what)), "{} {}", pause.what, packets.what);
    assert!(run.open_faults().is_empty());
    // Both waits: the schedule's own and the one after the last healing.
    let history = run.history();
    let recoveries: Vec<Value> = history
        .iter()
        .filter(|op| op.f() == "recover" && op.kind() == Type::Info)
        .map(|op| op.value())
        .collect();
    assert_eq!(recoveries.len(), 2);
    assert!(recoveries.iter().all(|it| it["nodes"].as_object().unwrap().len() == 3), "{recoveries:?}");
    assert!(run.verdict()["totals"]["recovery_ns"].as_u64().is_some());
    assert!(said.stdout.contains("recovered in "), "{said:#?}");
    assert!(run.text("report.html").contains("recovered in "));
    let checked = folder.squall("check latest --json").code(0).json();
    assert_eq!(checked["recovery"], recoveries[1], "it is read off the history");
    assert_eq!(run.config()["schedule"].as_str(), Some(STORM), "the file goes with the run");
    assert!(said.line("again").contains("--schedule storm.toml"));
}

fn intents(run: &RunDir) -> Vec<FaultEvent> {
    run.faults().into_iter().filter(|event| event.phase == Phase::Intent).collect()
}

#[test]
fn a_replay_injects_exactly_what_the_journal_says() {
    let folder = Folder::new();
    let faults = "-n partition:primaries,kill,pause,packets,clock --interval 500ms --op-timeout 1s";
    folder.squall(&format!("test -w set --nodes 3 --time-limit 4s --rate 200 {faults} --seed 77")).code(0);
    let original = folder.run();
    let said = folder.squall("test --replay latest --rate 100").code(0);
    let again = said.line("again");
    assert!(
        again.contains(&format!("--replay {}", original.id())) && again.contains("--seed 00000077"),
        "{again}"
    );

    let runs = folder.runs();
    let replay = runs.iter().find(|run| run.id() != original.id()).expect("a second run");
    let (config, first) = (replay.config(), original.config());
    for key in ["seed", "target", "workload", "nodes", "concurrency", "time_limit_s", "target_options"] {
        assert_eq!(config.get(key), first.get(key), "{key}");
    }
    assert_eq!(config["rate_hz"].as_float(), Some(100.0), "a flag beside it beats the run's");

    let (one, two) = (intents(&original), intents(replay));
    // What began in the last moments may be over before its turn comes again.
    let surely = one.iter().filter(|event| event.time_ns < 3_000_000_000).count();
    assert!(
        surely >= 4 && two.len() >= surely && two.len() <= one.len(),
        "{} {} {surely}",
        one.len(),
        two.len()
    );
    let mut late_ms: Vec<f64> = Vec::new();
    for (one, two) in one.iter().zip(&two) {
        let what = |event: &FaultEvent| {
            (event.fault.clone(), event.what.clone(), event.nodes.clone(), event.args.clone())
        };
        assert_eq!(what(one), what(two));
        late_ms.push((two.time_ns as f64 - one.time_ns as f64) / 1e6);
    }
    println!(
        "{} faults again, at most {:.1} ms late",
        late_ms.len(),
        late_ms.iter().copied().fold(0.0, f64::max)
    );
    assert!(late_ms.iter().all(|late| (-5.0..10_000.0).contains(late)), "{late_ms:?}");
    assert!(replay.open_faults().is_empty());
}

#[test]
fn a_dry_run_prints_the_same_for_the_same_seed_and_runs_nothing() {
    let folder = Folder::new();
    let dry = |seed: &str| {
        folder.squall(&format!("test -n swarm --dry-run --time-limit 1m --seed {seed}")).code(0).stdout
    };
    let one = dry("1");
    assert!(one.starts_with("seed     00000001\n") && one.contains("swarm of "), "{one}");
    assert!(one.trim_end().ends_with("heal, and wait until every node answers"), "{one}");
    assert_eq!(one, dry("1"));
    assert!((2..8).any(|seed| dry(&seed.to_string()) != one));
    assert!(!folder.results().exists());
}

#[test]
fn every_example_of_the_page_is_a_schedule() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SCHEDULES.md");
    let page = fs::read_to_string(page).unwrap();
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5, "{}", examples.len());
    for example in examples {
        let folder = Folder::new();
        folder.write("s.toml", example);
        for seed in 1..4 {
            let dry = format!("test --schedule s.toml --dry-run --json --time-limit 2m --seed {seed}");
            let acts = folder.squall(&dry).code(0).json()["schedule"]["acts"].as_array().unwrap().clone();
            assert!(acts.iter().any(|act| act["act"] == "inject"), "{example}");
        }
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_never_begin_a_run() {
    let folder = Folder::new();
    folder.write("bad.toml", "[[phase]]\nfor = \"5s\"\nmix = [\"kill\",\n  \"partiton\"]\n");
    for (args, says) in [
        ("--schedule bad.toml", "bad.toml:4:3: there is no nemesis `partiton`, did you mean `partition`?"),
        ("--schedule none.toml", "cannot read the schedule none.toml"),
        ("--schedule storm.toml -n kill", "cannot be used with"),
        ("--replay latest", "--replay latest: "),
        ("--replay /", "--replay /: / is no run"),
        ("--replay latest -n kill", "cannot be used with"),
    ] {
        let said = folder.squall(&format!("test {args}")).code(254);
        assert!(said.stderr.contains(says), "{said:#?}");
    }
    assert!(folder.runs().is_empty());
}

#[test]
fn a_file_of_defaults_may_name_a_schedule_which_a_list_beats() {
    let folder = Folder::new();
    folder.write("storm.toml", STORM);
    folder.write("squall.toml", "[test]\nschedule = \"storm.toml\"\n");
    let dry = |args: &str| folder.squall(&format!("test --dry-run {args}")).code(0).stdout;
    assert!(dry("").contains("phase storm"));
    let with = |name: &str, value: &str, args: &str| {
        let mut command = folder.command(SQUALL);
        command.args(["test", "--dry-run"]).args(args.split_whitespace()).env(name, value);
        ended(&mut command).code(0).stdout
    };
    assert!(with("SQUALL_NEMESIS", "pause", "").contains(" pause "), "the environment beats the file");
    assert!(
        with("SQUALL_SCHEDULE", "storm.toml", "-n pause").contains(" pause "),
        "a flag beats the environment"
    );
    assert!(with("SQUALL_NEMESIS", "pause", "--schedule storm.toml").contains("phase storm"));
    let listed = dry("-n kill");
    assert!(listed.contains(" kill ") && !listed.contains("phase storm"), "{listed}");
}
