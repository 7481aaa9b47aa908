use std::collections::BTreeMap;

use serde_json::json;
use squall_checkers::{FaultEvent, Phase as Progress};
use squall_workloads::generator::{GeneratorExt as _, Reply, Simulation};

use super::*;
use crate::registry;

const SETTING: Setting = Setting {
    nodes: 5,
    primaries: true,
    membership: true,
    transfer: true,
    flags: true,
    interval: Duration::from_secs(10),
};

/// What a schedule does in a minute, and how it heals.
fn played(schedule: Schedule, seed: u64) -> String {
    let composed = schedule.compose(seed);
    let all = composed.generator.time_limit(Duration::from_secs(60)).then(composed.final_generator);
    Simulation::new(1).run_with(all, |_, _| Reply::info()).unwrap().to_string()
}

fn listed(text: &str, seed: u64) -> String {
    played(Schedule::of_list(text, &SETTING, &registry::ALL).unwrap(), seed)
}

#[test]
fn a_seed_decides_the_schedule() {
    let text = listed("partition,kill,pause:one", 1);
    let expected = r#"8694.533 0 nemesis start-partition "majorities-ring"
8907.373 0 nemesis pause "one"
11824.296 0 nemesis kill "majority"
15609.944 0 nemesis resume null
20911.851 0 nemesis stop-partition null
23055.156 0 nemesis start null
27033.576 0 nemesis pause "one"
27878.785 0 nemesis start-partition "bridge"
32994.066 0 nemesis resume null
33346.303 0 nemesis stop-partition null
37469.552 0 nemesis kill "majority"
38706.681 0 nemesis pause "one"
42201.087 0 nemesis start-partition "minority"
44936.109 0 nemesis start null
51478.642 0 nemesis stop-partition null
52642.123 0 nemesis resume null
58476.091 0 nemesis start-partition "majorities-ring"
58981.655 0 nemesis kill "majority"
60000.000 0 nemesis stop-partition null
60001.000 0 nemesis start null
60002.000 0 nemesis resume null
"#;
    assert_eq!(text, expected);
    assert_ne!(listed("partition,kill,pause:one", 2), text);
}

#[test]
fn a_fault_does_the_same_whichever_others_there_are() {
    let kills = |text: &str| -> Vec<String> {
        let own = |line: &&str| line.contains(" kill ") || line.contains(" start ");
        listed(text, 1).lines().filter(own).map(str::to_owned).collect()
    };
    assert!(kills("kill").len() > 3);
    let but_for_healing = |text: &str| kills(text)[..kills(text).len() - 1].to_vec();
    assert_eq!(but_for_healing("kill"), but_for_healing("pause,partition,kill"));
}

#[test]
fn faults_alternate_with_healing_at_the_mean_interval() {
    let schedule = Schedule::of_list("partition", &SETTING, &registry::ALL).unwrap();
    let forecast = schedule.forecast(0, Duration::from_secs(10_000));
    let ops: Vec<(&str, f64)> = forecast.acts.iter().map(|act| (act.f.as_str(), act.at_s)).collect();
    assert!((950..=1050).contains(&ops.len()), "{} in 10,000 s", ops.len());
    for (i, pair) in ops.windows(2).enumerate() {
        assert_eq!(pair[0].0, ["start-partition", "stop-partition"][i % 2]);
        let wait_s = pair[1].1 - pair[0].1;
        assert!((4.999..=15.001).contains(&wait_s), "{wait_s}");
    }
}

#[test]
fn none_is_no_fault() {
    let schedule = Schedule::of_list("none", &SETTING, &registry::ALL).unwrap();
    assert!(schedule.kinds(1).is_empty());
    assert_eq!(played(schedule, 1), "");
}

#[test]
fn mistakes_in_a_list_are_explained() {
    let error = |text, setting: &Setting| {
        format!("{:#}", Schedule::of_list(text, setting, &registry::ALL).err().unwrap())
    };
    assert_eq!(
        error("partition:halfs", &SETTING),
        "nemesis partition: there is no shape of a partition `halfs`, did you mean `halves`? There are: halves, one, \
         majorities-ring, bridge, one-way, primaries, minority, isolate, or nodes such as n1+n3"
    );
    assert_eq!(error("kill,kill:one", &SETTING), "kill is there twice");
    assert!(error("kill,", &SETTING).starts_with("a nemesis is missing"));
    let small = Setting { nodes: 2, membership: false, ..SETTING };
    assert_eq!(error("kill:minority", &small), "nemesis kill: minority of 2 nodes is no node at all");
    assert_eq!(error("partition:bridge", &small), "nemesis partition: bridge needs 3 nodes, and there are 2");
    assert_eq!(error("membership", &small), "nemesis membership: this target cannot add and remove nodes");
    let one = Setting { nodes: 1, ..SETTING };
    assert_eq!(error("partition", &one), "nemesis partition: 1 node cannot be partitioned");
}

#[test]
fn the_registry_and_the_nemeses_agree() {
    for entry in &registry::ALL {
        let package = (entry.build)(None, &SETTING).unwrap();
        assert_eq!(package.is_none(), entry.name == "none");
        if let Some(package) = package {
            let ops = package.nemesis.ops();
            assert_eq!((package.name.as_str(), ops.inject.as_str(), ops.heal.as_str()), {
                (package.nemesis.fault(), entry.ops.0, entry.ops.1)
            });
        }
        for (parameter, _) in entry.parameters {
            Schedule::of_list(&format!("{}:{parameter}", entry.name), &SETTING, &registry::ALL).unwrap();
        }
    }
}

fn file(text: &str) -> Schedule {
    Schedule::of_file("s.toml", text, &SETTING, &registry::ALL).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What a file does, a line for each act.
#[track_caller]
fn does(text: &str, limit_s: u64, expected: &str) {
    let forecast = file(text).forecast(1, Duration::from_secs(limit_s)).to_string();
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(lines(&forecast), lines(expected), "\n{forecast}");
}

#[test]
fn steps_strike_and_end_at_their_times() {
    does(
        r#"
        step = [
            { at = "2s", for = "3s", fault = "partition:halves" },
            { at = "4s", for = "1500ms", every = "5s", times = 2, fault = "kill:one" },
        ]
        "#,
        20,
        "
        2.000 s  start-partition halves
        4.000 s  kill one
        5.000 s  stop-partition
        5.500 s  start
        9.000 s  kill one
        10.500 s  start
        20.000 s  heal, and wait until every node answers
        ",
    );
}

#[test]
fn faults_on_the_same_nodes_strike_together_and_those_of_a_kind_are_healed_with_the_last() {
    does(
        r#"
        [[step]]
        at = "1s"
        for = "4s"
        nodes = "primaries"
        faults = ["kill", "packets:loss=20%", "partition"]
        [[step]]
        at = "3s"
        for = "4s"
        fault = "kill:all"
        "#,
        10,
        "
        1.000 s  together on primaries: kill, packets loss=20%, partition
        3.000 s  kill all
        5.000 s  stop-packets
        5.000 s  stop-partition
        7.000 s  start
        10.000 s  heal, and wait until every node answers
        ",
    );
}

#[test]
fn a_phase_heals_what_it_broke_and_the_next_begins_when_the_nodes_answer() {
    does(
        r#"
        repeat = 2
        [[phase]]
        name = "quiet"
        for = "2s"
        [[phase]]
        name = "storm"
        for = "4s"
        step = [{ at = "1s", fault = "pause:one" }]
        [[phase]]
        name = "calm"
        until = "recovered"
        within = "20s"
        "#,
        30,
        "
        0.000 s  phase quiet, round 1
        2.000 s  phase storm, round 1
        3.000 s  pause one
        6.000 s  resume
        6.000 s  phase calm, round 1
        6.000 s  wait until every node answers, at most 20 s
        ≥   6.001 s  phase quiet, round 2
        ≥   8.001 s  phase storm, round 2
        ≥   9.001 s  pause one
        ≥  12.001 s  resume
        ≥  12.001 s  phase calm, round 2
        ≥  12.001 s  wait until every node answers, at most 20 s
        30.000 s  heal, and wait until every node answers
        ",
    );
}

#[test]
fn a_swarm_is_a_choice_of_the_seed_once_or_phase_by_phase() {
    let text = r#"
        repeat = true
        swarm = ["partition", "kill", "pause", "packets"]
        [[phase]]
        for = "30s"
        swarm = true
        [[phase]]
        for = "30s"
        swarm = ["partition", "kill", "pause", "clock"]
    "#;
    let phases = |seed| -> Vec<String> {
        let forecast = file(text).forecast(seed, Duration::from_secs(600));
        let phases = forecast.acts.iter().filter(|act| act.act == ActKind::Phase);
        phases
            .map(|act| act.value.as_str().unwrap().split_once(", swarm of ").unwrap().1.to_owned())
            .collect()
    };
    let (once, each): (Vec<_>, Vec<_>) = phases(7).into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    assert!(once.windows(2).all(|pair| pair[0].1 == pair[1].1), "{once:?}");
    assert!(each.windows(2).any(|pair| pair[0].1 != pair[1].1), "{each:?}");
    assert_eq!(phases(7), phases(7));
    // Each is on in about half of the runs, and never none.
    let with_kill =
        (0..200).filter(|&seed| phases(seed)[0].split("; ").next().unwrap().contains("kill")).count();
    assert!((80..=130).contains(&with_kill), "{with_kill} of 200");
    // What is not on does not strike.
    let text = r#"swarm = ["partition", "kill", "pause", "packets"]"#;
    for seed in 0..20 {
        let forecast = file(text).forecast(seed, Duration::from_secs(200));
        let told = forecast.acts[0].value.as_str().unwrap().to_owned();
        let off = told.split_once("; without ").map_or("", |(_, off)| off);
        assert!(!forecast.acts.iter().any(|act| off.split(", ").any(|off| off == act.f)), "{told}");
        assert!(forecast.acts.iter().any(|act| act.act == ActKind::Inject), "{told}");
    }
}

#[test]
fn a_list_called_swarm_is_a_swarm_of_all_that_suits() {
    let small = Setting { nodes: 1, membership: false, primaries: false, ..SETTING };
    let mut struck: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..100 {
        let schedule = Schedule::of_list("swarm", &small, &registry::ALL).unwrap();
        let kinds = schedule.kinds(seed);
        kinds.iter().for_each(|kind| *struck.entry(kind.clone()).or_default() += 1);
        // What the seed leaves out is not there at all.
        let composed = schedule.compose(seed);
        assert_eq!(composed.nemeses.iter().map(|nemesis| nemesis.fault()).collect::<Vec<_>>(), kinds);
    }
    assert!(struck["kill"] > 20 && struck["kill"] < 80, "{struck:?}");
    assert!(!struck.contains_key("partition") && !struck.contains_key("membership"), "{struck:?}");
    let error = Schedule::of_list("swarm,kill", &SETTING, &registry::ALL).err().unwrap().to_string();
    assert!(error.starts_with("swarm is all by itself"), "{error}");
    // Nobody sends to itself: such a run had no fault at all.
    let error = Schedule::of_list("packets:loss=5%@n1>n1", &SETTING, &registry::ALL).err().unwrap();
    assert!(format!("{error:#}").contains("from n1 to n1 there are no packets"), "{error:#}");
    let list = Schedule::of_list("swarm", &SETTING, &registry::ALL).unwrap();
    assert_eq!(played(list, 3), played(file(r#"swarm = "all""#), 3));
}

/// A machine where clocks cannot be skewed had no swarm, with half of the seeds.
#[tokio::test]
async fn what_cannot_act_is_left_out_of_a_swarm_and_nothing_else_changes() {
    let (cluster, target, _) = crate::testing::cluster(3, true);
    let on = Scene { cluster: &cluster, target: target.as_ref() };
    let text = r#"swarm = ["partition", "kill", "clock"]"#;
    let struck = |schedule: &Schedule, seed| -> Vec<(String, String)> {
        let acts = schedule.forecast(seed, Duration::from_secs(100)).acts.into_iter();
        let acts = acts.filter(|act| act.act != ActKind::Phase && !act.f.contains("clock"));
        acts.map(|act| (format!("{:.3}", act.at_s), act.f)).collect()
    };
    let mut without = 0;
    for seed in 0..20 {
        let (whole, mut schedule) = (file(text), file(text));
        let left_out = match schedule.probe(seed, &on).await {
            Ok(left_out) => left_out,
            Err(error) => {
                assert!(error.is::<Unavailable>() && whole.kinds(seed) == ["clock"], "{error:#}");
                continue;
            }
        };
        assert_eq!(left_out.is_empty(), !whole.kinds(seed).contains(&"clock".to_owned()), "{left_out:?}");
        assert_eq!(struck(&schedule, seed), struck(&whole, seed));
        assert!(schedule.compose(seed).nemeses.iter().all(|nemesis| nemesis.fault() != "clock"));
        without += left_out.len();
    }
    assert!(without > 5, "{without}");
    // What is asked for by name is not left out.
    for text in ["swarm = [\"kill\", \"clock\"]\nmix = [\"clock\"]", "mix = [\"kill\", \"clock\"]"] {
        let error = file(text).probe(0, &on).await.unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "the nemesis clock cannot act here: there is no vDSO; use another machine"
        );
    }
}

#[test]
fn some_of_a_steps_faults_are_picked_each_time() {
    let text = r#"step = [{ for = "1s", every = "2s", faults = ["kill", "pause", "clock"], pick = 1 }]"#;
    let forecast = file(text).forecast(1, Duration::from_secs(100));
    let struck: Vec<&str> =
        forecast.acts.iter().filter(|act| act.act == ActKind::Inject).map(|act| act.f.as_str()).collect();
    assert_eq!(struck.len(), 50);
    for f in ["kill", "pause", "start-clock"] {
        assert!(struck.contains(&f), "{f} in {struck:?}");
    }
}

#[test]
fn a_mix_in_a_file_is_what_the_same_list_is() {
    let text = r#"mix = ["partition", "kill", "pause:one"]"#;
    assert_eq!(played(file(text), 5), listed("partition,kill,pause:one", 5));
    let twice_as_fast = file(&format!("interval = \"5s\"\n{text}")).forecast(5, Duration::from_secs(1000));
    let normal = file(text).forecast(5, Duration::from_secs(1000));
    let ratio = twice_as_fast.acts.len() as f64 / normal.acts.len() as f64;
    assert!((1.7..2.3).contains(&ratio), "{ratio}");
}

#[test]
fn mistakes_in_a_file_are_told_with_their_place() {
    for (text, expected) in [
        ("mix = [\"kil\"]", "1:8: there is no nemesis `kil`, did you mean `kill`? There are: kill, "),
        (
            "\n[[step]]\nat = \"1s\"\nfro = \"2s\"\nfault = \"kill\"",
            "4:1: there is no key `fro`, did you mean `for`? There are: at, for, every, times, fault, faults, pick, nodes",
        ),
        ("mix = [\"kill\", \"kill:one\"]", "1:16: kill is there twice"),
        // It was found out when the second was injected.
        (
            "[[step]]\nfault = \"clock:hour\"\n[[step]]\nfault = \"clock:hour+machine\"",
            "4:9: clock:hour+machine is done in another way than clock:hour: a run can have one of them",
        ),
        ("mix = 3", "1:7: mix is a text or a list of texts"),
        ("mix = [", "1:8: "),
        ("", "1:1: it says nothing: a schedule has a mix, a swarm, a [[step]] or a [[phase]]"),
        (
            "[[step]]\nat = \"soon\"\nfault = \"kill\"",
            "2:6: at: expected number at 0; write it as 500ms, 30s or 2m",
        ),
        (
            "[[step]]\nat = \"1s\"",
            "1:1: this step breaks nothing: fault = \"kill:one\", or faults = [\"kill\", \"clock\"]",
        ),
        (
            "[[step]]\nevery = \"2s\"\nfault = \"kill\"",
            "2:9: what comes again has to end: say for = \"3s\" too",
        ),
        (
            "[[step]]\nevery = \"2s\"\nfor = \"2s\"\nfault = \"kill\"",
            "3:7: it lasts longer than until it comes again",
        ),
        (
            "[[step]]\nfault = \"kill\"\nnodes = \"minorty\"",
            "3:9: there is no choice of nodes `minorty`, did you mean `minority`? There are: one, minority, majority, minority-third, primaries, followers, all, or nodes such as n1+n3",
        ),
        (
            "[[step]]\nfault = \"kill\"\nnodes = \"n9\"",
            "3:9: there is no node n9; the nodes are n1, n2, n3, n4, n5",
        ),
        (
            "[[step]]\nfault = \"partition:halves\"\nnodes = \"one\"",
            "2:9: partition:halves cannot be told on which nodes",
        ),
        ("[[step]]\nfault = \"kill\"\npick = 2", "3:8: pick 2 of 1 faults"),
        (
            "[[phase]]\nmix = [\"kill\"]\n[[phase]]\nfor = \"1s\"",
            "1:1: how long does this phase last? for = \"10s\", or until = \"recovered\"",
        ),
        ("[[phase]]\nuntil = \"healed\"", "2:9: there is no end `healed` of a phase: until is \"recovered\""),
        (
            "[[phase]]\nuntil = \"recovered\"\nmix = [\"kill\"]",
            "3:1: mix makes no sense in a phase that only waits until all nodes answer: give it a phase of its own",
        ),
        (
            "repeat = true\n[[phase]]\nuntil = \"recovered\"",
            "1:1: none of the phases that are repeated lasts for any time",
        ),
        (
            "[[phase]]\nfor = \"5s\"\n[[phase.step]]\nat = \"6s\"\nfault = \"kill\"",
            "4:6: the phase is over by then: it lasts 5s",
        ),
        ("mix = [\"kill\"]\n[[phase]]\nfor = \"5s\"", "1:1: there is no key `mix`"),
        (
            "repeat = true\n[[phase]]\nfor = \"1us\"\nmix = [\"kill\"]",
            "3:7: for: a phase lasts 10 ms or more",
        ),
        (
            "[[phase]]\nswarm = true\nfor = \"5s\"",
            "1:1: swarm = true is the swarm above the phases, and there is none",
        ),
        ("repeat = 0\n[[phase]]\nfor = \"5s\"", "1:10: repeat is a whole number from 1"),
    ] {
        let error = Schedule::of_file("s.toml", text, &SETTING, &registry::ALL).err();
        let error = format!("{:#}", error.unwrap_or_else(|| panic!("no error: {text}")));
        assert!(error.starts_with(&format!("s.toml:{expected}")), "{text}\n{error}");
    }
}

#[test]
fn a_journal_is_done_again_with_its_plans_at_its_times() {
    let event = |id, time_ms: u64, phase, fault: &str, began_ms: Option<u64>| FaultEvent {
        id,
        time_ns: time_ms * 1_000_000,
        phase,
        fault: fault.to_owned(),
        what: format!("fault {id}"),
        nodes: vec!["n1".to_owned()],
        args: if phase == Progress::Intent { json!({ "seed": id }) } else { Value::Null },
        began_ns: began_ms.map(|ms| ms * 1_000_000),
        receipt: None,
    };
    let journal = [
        event(1, 1000, Progress::Intent, "packets", None),
        event(1, 1010, Progress::Injected, "packets", None),
        event(2, 2000, Progress::Intent, "kill", None),
        event(3, 2500, Progress::Intent, "kill", None),
        event(3, 2600, Progress::Failed, "kill", Some(2550)),
        event(2, 3100, Progress::Healed, "kill", Some(3000)),
        event(1, 4100, Progress::Healed, "packets", Some(4000)),
        event(4, 5000, Progress::Intent, "packets", None),
    ];
    let schedule = Schedule::of_journal(&journal, &SETTING, &registry::ALL).unwrap();
    let forecast = schedule.forecast(1, Duration::from_secs(10));
    let acts: Vec<(f64, &str)> = forecast.acts.iter().map(|act| (act.at_s, act.f.as_str())).collect();
    let expected = [
        (1.0, "start-packets"),
        (2.0, "kill"),
        (2.5, "kill"),
        (3.0, "start"),
        (4.0, "stop-packets"),
        (5.0, "start-packets"),
    ];
    assert_eq!(acts, expected);
    let plan = json!({ "what": "fault 1", "nodes": ["n1"], "args": { "seed": 1 } });
    assert_eq!(forecast.acts[0].value, json!({ "again": plan }));
    assert!(forecast.to_string().contains("start-packets fault 1"), "{forecast}");

    let strange = [event(1, 0, Progress::Intent, "flood", None)];
    let error = Schedule::of_journal(&strange, &SETTING, &registry::ALL).err().unwrap();
    assert_eq!(error.to_string(), "there was a flood, for which there is no nemesis here");

    // On fewer nodes some of its faults failed one by one, and the run passed.
    let small = Setting { nodes: 3, ..SETTING };
    let far = [FaultEvent { nodes: vec!["n4".to_owned()], ..event(1, 0, Progress::Intent, "kill", None) }];
    assert!(Schedule::of_journal(&far, &SETTING, &registry::ALL).is_ok());
    let error = Schedule::of_journal(&far, &small, &registry::ALL).err().unwrap().to_string();
    assert!(error.starts_with("the journal has a kill at n4, and there are 3 nodes: replay it"), "{error}");
}

/// A journal's fault was asked about as any of its kind: one of a machine's clock prepared processes for another, and a full
/// disk was found to be impossible in the middle of the run.
#[test]
fn a_journal_asks_for_what_its_faults_take() {
    let event = |id, fault: &str, args: Value| FaultEvent {
        id,
        time_ns: id * 1_000_000_000,
        phase: Progress::Intent,
        fault: fault.to_owned(),
        what: String::new(),
        nodes: vec!["n1".to_owned()],
        args,
        began_ns: None,
        receipt: None,
    };
    let skew = |text: &str| serde_json::to_value(text.parse::<crate::faults::Skew>().unwrap()).unwrap();
    let full = "room=0MiB".parse::<crate::faults::DiskProfile>().unwrap();
    let disk = event(1, "disk", json!({ "profile": full, "seed": 3 }));
    for (text, prepared) in [("offset=3600s+machine", &["disk"][..]), ("offset=3600s", &["clock", "disk"])] {
        let journal = [disk.clone(), event(2, "clock", skew(text))];
        let schedule = Schedule::of_journal(&journal, &SETTING, &registry::ALL).unwrap();
        let texts: Vec<&str> = schedule.plot.faults.iter().map(|fault| fault.text.as_str()).collect();
        assert_eq!(texts, ["disk:room=0MiB".to_owned(), format!("clock:{text}")]);
        assert_eq!(schedule.preparations(1), prepared);
    }
}

/// A fault that could never strike was accepted without a word.
#[test]
fn what_would_begin_after_the_end_is_told() {
    let never = |text: &str, limit_s| file(text).forecast(1, Duration::from_secs(limit_s)).never;
    let step = "[[step]]\nat = \"50s\"\nfault = \"kill:one\"\n[[step]]\nat = \"5s\"\nfault = \"pause\"";
    assert_eq!(never(step, 30), ["kill:one at 50s: the run is over after 30s"]);
    assert!(never(step, 51).is_empty());
    let phases = "[[phase]]\nfor = \"20s\"\n[[phase]]\nuntil = \"recovered\"\n[[phase]]\nfor = \"20s\"\n\
                  [[phase.step]]\nat = \"15s\"\nfault = \"kill\"\n[[phase]]\nname = \"storm\"\nmix = [\"pause\"]";
    assert_eq!(
        never(phases, 30),
        ["kill at 35s: the run is over after 30s", "phase storm at 40s: the run is over after 30s"]
    );
    let told = file(step).forecast(1, Duration::from_secs(30)).to_string();
    assert!(told.contains("never    kill:one at 50s"), "{told}");
}

/// Only the first time of a step was looked at, and the first round: what was to come again was not told, nor that a fault
/// with a long interval would not come at all.
#[test]
fn what_would_come_again_after_the_end_is_told_and_what_comes_and_goes() {
    let never = |text: &str, limit_s| file(text).forecast(3, Duration::from_secs(limit_s)).never;
    let again = "[[step]]\nat = \"5s\"\nevery = \"10s\"\nfor = \"1s\"\nfault = \"kill:one\"\ntimes = 4";
    assert_eq!(never(again, 30), ["kill:one (4 of 4) at 35s: the run is over after 30s"]);
    assert_eq!(never(again, 25), ["kill:one (3 of 4) at 25s: the run is over after 25s"]);
    assert!(never(again, 36).is_empty());
    assert!(never(&again.replace("times = 4", ""), 12).is_empty(), "nobody said how often");

    let rounds = "repeat = 3\n[[phase]]\nfor = \"10s\"\n[[phase]]\nname = \"storm\"\nfor = \"10s\"\n\
                  [[phase.step]]\nat = \"5s\"\nevery = \"3s\"\nfor = \"1s\"\ntimes = 3\nfault = \"kill\"";
    let short = "kill (3 of 3) at 21s: its phase is over at 20s";
    assert_eq!(
        never(rounds, 37),
        [
            short,
            "kill (2 of 3) in round 2 at 38s: the run is over after 37s",
            "round 3 of 3 at 40s: the run is over after 37s"
        ]
    );
    assert_eq!(never(rounds, 60), [short]);
    let cut = ["phase storm in round 2 at 30s", "round 3 of 3 at 40s"];
    let cut = cut.map(|what| format!("{what}: the run is over after 25s"));
    assert_eq!(never(rounds, 25), [&[short.to_owned()], &cut[..]].concat());
    assert_eq!(never(&rounds.replace("repeat = 3", "repeat = true"), 25), [short], "without an end");

    // What is told about a mixture is what its player does not do.
    let mix = "interval = \"20s\"\nmix = [\"kill\", \"pause\"]";
    for text in [mix, &format!("repeat = true\n[[phase]]\nfor = \"12s\"\n{mix}")] {
        let mut told = [0; 3];
        for seed in 0..40 {
            let forecast = file(text).forecast(seed, Duration::from_secs(24));
            for f in ["kill", "pause"] {
                let strikes = forecast.acts.iter().any(|act| act.f == f);
                let never = |never: &String| never.starts_with(&format!("{f} (interval 20s) at "));
                assert_eq!(forecast.never.iter().any(never), !strikes, "seed {seed}: {forecast}");
            }
            told[forecast.never.len()] += 1;
        }
        assert!(told.iter().all(|&seeds| seeds > 0), "{told:?}");
    }
}
