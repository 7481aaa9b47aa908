use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Mutex as StdMutex;
use std::time::Instant;

use futures_util::FutureExt as _;
use tempfile::TempDir;

use squall_targets::Unavailable;

use super::*;
use crate::journal::{open_faults, read};
use crate::nemesis::Plan;
use crate::testing::{Calls, FakeTarget, cluster, take};
use crate::{Flags, Kill, Lack, Membership, Noop, Partition, Pause, Replace, Restart, Term, Throttle};

struct Stage {
    chaos: Chaos,
    calls: Calls,
    target: Arc<FakeTarget>,
    path: PathBuf,
    _folder: TempDir,
}

fn stage(n: u8, switch: bool, nemeses: Vec<Box<dyn Nemesis>>) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults.jsonl");
    let (cluster, target, calls) = cluster(n, switch);
    let journal = Journal::create(&path, Instant::now()).unwrap();
    let chaos = Chaos::new(nemeses, journal, cluster, target.clone(), 7).unwrap();
    Stage { chaos, calls, target, path, _folder: folder }
}

fn everything(n: u8, switch: bool) -> Stage {
    stage(
        n,
        switch,
        vec![
            Box::new(Partition::default()),
            Box::new(Kill::default()),
            Box::new(Pause::default()),
            Box::new(Membership::default()),
        ],
    )
}

impl Stage {
    async fn op(&self, f: &'static str, value: impl Into<Value>) -> Completion {
        let completion = self.chaos.perform(&Op::new(f).value(value)).await;
        assert_eq!(completion.kind, Type::Info);
        completion
    }

    async fn ok(&self, f: &'static str, value: impl Into<Value>) -> String {
        let completion = self.op(f, value).await;
        assert_eq!(completion.error, None);
        completion.value.unwrap().to_string()
    }

    fn phases(&self) -> Vec<(u64, Phase)> {
        read(&self.path).unwrap().iter().map(|event| (event.id, event.phase)).collect()
    }
}

/// What a scripted nemesis does when it injects or heals.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Works,
    Fails,
    Panics,
    Lacks,
}

/// Looks into the journal at the moment at which it acts.
struct Scripted {
    path: PathBuf,
    inject: Does,
    heal: Arc<StdMutex<Does>>,
    seen: Calls,
}

impl Scripted {
    fn act(&self, what: &str, does: Does) -> Result<Receipt> {
        let last = read(&self.path).unwrap().last().map(|event| event.phase);
        self.seen.lock().unwrap().push(format!("{what} after {last:?}"));
        match does {
            Does::Works => Ok(Receipt::confirmed(what)),
            Does::Fails => Err(anyhow!("{what} failed")),
            Does::Lacks => {
                Err(anyhow::Error::from(Unavailable::new("no moon", "wait")).context(what.to_owned()))
            }
            Does::Panics => panic!("{what} panicked"),
        }
    }
}

#[async_trait]
impl Nemesis for Scripted {
    fn fault(&self) -> &str {
        "scripted"
    }

    async fn plan(&mut self, _: &Value, on: &Scene<'_>, _: &mut ChaCha8Rng) -> Result<Plan> {
        Ok(Plan::on(on.cluster.names()))
    }

    async fn inject(&mut self, _: &Plan, _: &Scene<'_>) -> Result<Receipt> {
        self.act("inject", self.inject)
    }

    async fn heal(&mut self, _: &Scene<'_>) -> Result<Receipt> {
        let does = *self.heal.lock().unwrap();
        self.act("heal", does)
    }
}

fn scripted(inject: Does, heal: Does) -> (Stage, Arc<StdMutex<Does>>, Calls) {
    let empty = stage(1, true, Vec::new());
    let (heal, seen) = (Arc::new(StdMutex::new(heal)), Arc::default());
    let nemesis = Scripted { path: empty.path.clone(), inject, heal: heal.clone(), seen: Arc::clone(&seen) };
    let (cluster, target, calls) = cluster(1, true);
    std::fs::remove_file(&empty.path).unwrap();
    let journal = Journal::create(&empty.path, Instant::now()).unwrap();
    let chaos = Chaos::new(vec![Box::new(nemesis)], journal, cluster, target.clone(), 7).unwrap();
    (Stage { chaos, calls, target, ..empty }, heal, seen)
}

#[tokio::test]
async fn a_nemesis_that_never_acted_because_something_is_missing_is_told() {
    let (stage, _, _) = scripted(Does::Lacks, Does::Works);
    assert!(stage.chaos.lacking().await.is_empty());
    let completion = stage.op("start-scripted", Value::Null).await;
    assert!(completion.error.unwrap().to_string().contains("no moon"));
    assert_eq!(stage.chaos.lacking().await, [("scripted".to_owned(), Unavailable::new("no moon", "wait"))]);
    let (stage, _, _) = scripted(Does::Fails, Does::Works);
    stage.op("start-scripted", Value::Null).await;
    assert!(stage.chaos.lacking().await.is_empty(), "failing is another matter");
}

#[tokio::test]
async fn the_intent_is_in_the_journal_before_the_nemesis_acts() {
    let (stage, _, seen) = scripted(Does::Works, Does::Works);
    stage.ok("start-scripted", Value::Null).await;
    stage.ok("stop-scripted", Value::Null).await;
    assert_eq!(*seen.lock().unwrap(), ["inject after Some(Intent)", "heal after Some(Injected)"]);
    assert_eq!(stage.phases(), [(1, Phase::Intent), (1, Phase::Injected), (1, Phase::Healed)]);
    assert!(open_faults(&stage.path).unwrap().is_empty());
}

#[tokio::test]
async fn a_panic_leaves_the_intent_open_and_healable() {
    let (stage, _, seen) = scripted(Does::Panics, Does::Works);
    let panicked = AssertUnwindSafe(stage.op("start-scripted", Value::Null)).catch_unwind().await;
    assert!(panicked.is_err());
    assert_eq!(open_faults(&stage.path).unwrap().len(), 1);
    assert_eq!(stage.chaos.in_force().await.len(), 1);

    let healed = stage.chaos.heal_all().await;
    assert!(healed.len() == 1 && healed[0].1.is_ok());
    assert!(stage.chaos.heal_all().await.is_empty(), "once is enough");
    assert_eq!(seen.lock().unwrap().len(), 2);
    assert!(open_faults(&stage.path).unwrap().is_empty());
    assert_eq!(stage.chaos.summary().await.to_string(), "1 scripted (1 unconfirmed)");
}

#[tokio::test]
async fn a_failed_injection_is_undone_and_recorded_with_its_error() {
    let (stage, _, seen) = scripted(Does::Fails, Does::Works);
    let error = stage.op("start-scripted", Value::Null).await.error.unwrap();
    assert_eq!(error, "scripted n1: inject failed");
    assert_eq!(*seen.lock().unwrap(), ["inject after Some(Intent)", "heal after Some(Intent)"]);
    assert_eq!(stage.phases(), [(1, Phase::Intent), (1, Phase::Failed)]);
    let failed = read(&stage.path).unwrap().pop().unwrap().receipt.unwrap();
    assert_eq!((failed.confirmed, failed.evidence.as_str()), (false, "scripted n1: inject failed"));
    assert_eq!(stage.chaos.summary().await.to_string(), "1 scripted (1 failed)");
}

#[tokio::test]
async fn what_could_not_be_healed_stays_open_and_is_tried_again() {
    let (stage, heal, _) = scripted(Does::Fails, Does::Fails);
    let error = stage.op("start-scripted", Value::Null).await.error.unwrap();
    assert_eq!(
        error,
        "scripted n1: inject failed; and it could not be undone: healing scripted: heal failed"
    );
    assert!(stage.chaos.heal_all().await[0].1.is_err());
    assert_eq!(open_faults(&stage.path).unwrap().len(), 1);
    *heal.lock().unwrap() = Does::Works;
    assert!(stage.chaos.heal_all().await[0].1.is_ok());
    assert!(open_faults(&stage.path).unwrap().is_empty());
}

#[tokio::test]
async fn a_partition_is_cut_on_the_switch_and_the_next_one_replaces_it() {
    let stage = everything(3, true);
    let value = stage.ok("start-partition", "n1").await;
    assert!(value.contains(r#""what":"{n1} | {n2,n3}""#), "{value}");
    stage.ok("start-partition", json!({"n1": ["n2"]})).await;
    stage.ok("stop-partition", Value::Null).await;
    assert_eq!(stage.ok("stop-partition", Value::Null).await, "\"nothing was in force\"");
    let [first, heal, second, last] = take(&stage.calls).try_into().unwrap();
    assert_eq!(first.matches("192.0.2.1").count(), 4, "two links, both ways: {first}");
    assert_eq!(second, r#"switch: inject cut {"at":"switch","pairs":[["192.0.2.2","192.0.2.1"]]}"#);
    assert_eq!([heal.as_str(), &last], ["switch: heal cut"; 2]);
    assert_eq!(stage.chaos.summary().await.to_string(), "2 partitions, all confirmed");
}

#[tokio::test]
async fn without_a_switch_receivers_cut() {
    let stage = everything(3, false);
    stage.ok("start-partition", json!({"n1": ["n2"], "n3": ["n2"]})).await;
    assert_eq!(
        take(&stage.calls),
        [
            r#"n1: inject cut {"at":"node","pairs":[["192.0.2.2","192.0.2.1"]]}"#,
            r#"n3: inject cut {"at":"node","pairs":[["192.0.2.2","192.0.2.3"]]}"#,
        ]
    );
    // The fakes count no packets, and a partition that dropped none is not confirmed.
    assert!(stage.ok("stop-partition", Value::Null).await.contains("no packet was dropped"));
    assert_eq!(take(&stage.calls), ["n1: heal cut", "n2: heal cut", "n3: heal cut"]);
    assert_eq!(stage.chaos.summary().await.to_string(), "1 partition (1 unconfirmed)");
}

#[tokio::test]
async fn leaders_are_isolated_if_they_are_known() {
    let stage = everything(3, true);
    assert!(stage.ok("start-partition", "primaries").await.contains("(no primary known, a random node)"));
    *stage.target.leaders.lock().unwrap() = vec!["n2".to_owned()];
    assert!(stage.ok("start-partition", "primaries").await.contains("{n2} | {n1,n3}"));
    take(&stage.calls);
    stage.ok("kill", "primaries").await;
    assert_eq!(take(&stage.calls), ["n2: kill"]);
}

#[tokio::test]
async fn kills_add_up_and_start_restarts_just_the_killed() {
    let stage = everything(3, true);
    stage.ok("kill", "n1").await;
    stage.ok("kill", "n3").await;
    let value = stage.ok("start", Value::Null).await;
    assert!(
        value.contains(r#""healed":[1,2]"#) && value.contains("2 nodes started: n1: pid 9 runs"),
        "{value}"
    );
    assert_eq!(take(&stage.calls), ["n1: kill", "n3: kill", "n1: start", "n3: start"]);
    assert_eq!(stage.chaos.summary().await.to_string(), "2 kills, all confirmed");
}

#[tokio::test]
async fn a_fault_whose_receipt_confirms_nothing_does_not_count() {
    let stage = everything(3, true);
    stage.ok("kill", "n1").await;
    let value = stage.ok("kill", "n1").await;
    assert!(value.contains(r#""confirmed":false"#), "{value}");
    stage.chaos.heal_all().await;
    let summary = stage.chaos.summary().await;
    assert_eq!((summary.confirmed(), summary.to_string().as_str()), (1, "2 kills (1 unconfirmed)"));
}

#[tokio::test]
async fn who_was_down_before_an_injection_and_after_a_healing_is_in_the_journal() {
    let stage = everything(3, true);
    let began = Instant::now();
    stage.ok("kill", "n1").await;
    println!("kill with all healthy: {:?}", began.elapsed());
    stage.ok("start-partition", "n2").await;
    stage.ok("stop-partition", Value::Null).await;
    stage.ok("start", Value::Null).await;
    let events = read(&stage.path).unwrap();
    let down =
        |at: usize, when: &str| events[at].receipt.as_ref().and_then(|receipt| receipt.measured.get(when));
    let phases: Vec<(&str, Phase)> = events.iter().map(|event| (event.fault.as_str(), event.phase)).collect();
    assert_eq!((phases[1], down(1, Receipt::DOWN_BEFORE)), (("kill", Phase::Injected), None));
    let refused = json!({"n1": "nobody listens"});
    assert_eq!((phases[3], down(3, Receipt::DOWN_BEFORE)), (("partition", Phase::Injected), Some(&refused)));
    assert_eq!((phases[4], down(4, Receipt::DOWN_AFTER)), (("partition", Phase::Healed), Some(&refused)));
    assert_eq!((phases[5], down(5, Receipt::DOWN_AFTER)), (("kill", Phase::Healed), None));
}

#[tokio::test]
async fn pauses_are_resumed_where_they_were_made() {
    let stage = everything(3, true);
    stage.ok("pause", "n1+n2").await;
    let healed = stage.chaos.heal_all().await;
    assert_eq!(healed[0].0, "pause");
    assert_eq!(
        take(&stage.calls),
        ["n1: inject signal null", "n2: inject signal null", "n1: heal signal", "n2: heal signal"]
    );
}

/// A pause of two nodes of which one was dead counted like a pause of both.
#[tokio::test]
async fn a_fault_that_bit_on_some_of_its_nodes_does_not_count_and_names_the_others() {
    let nemeses: Vec<Box<dyn Nemesis>> = vec![
        Box::new(Pause::default()),
        Box::new(Throttle::new(Lack::Memory)),
        Box::new(Restart::at_once()),
        Box::new(Restart::rolling()),
        Box::new(Kill::default()),
    ];
    let stage = stage(3, true, nemeses);
    stage.target.end("n2");
    for (f, value) in [
        ("pause", "n1+n2"),
        ("start-memory", "8M@n1+n2"),
        ("restart", "n1+n2"),
        ("roll", "n1+n2"),
        ("kill", "n1+n2"),
    ] {
        let value = stage.op(f, value).await.value.unwrap();
        assert_eq!(value["confirmed"], false, "{f}: {value}");
        let evidence = value["receipt"].as_str().unwrap();
        assert!(evidence.starts_with("it did not bite on n2; n1: "), "{f}: {evidence}");
        assert!(evidence.ends_with("; n2: no process lived there"), "{f}: {evidence}");
    }
}

/// It went on and took the whole cluster down, node by node.
#[tokio::test]
async fn a_rolling_restart_stops_at_a_node_that_does_not_come_back_and_at_no_other() {
    let stage = stage(4, true, vec![Box::new(Restart::rolling())]);
    stage.target.end("n1");
    stage.target.broken.lock().unwrap().insert("n2".to_owned());
    let value = stage.op("roll", "all").await.value.unwrap();
    assert_eq!(take(&stage.calls), ["n2: kill", "n2: start"]);
    let evidence = value["receipt"].as_str().unwrap();
    assert!(
        evidence.starts_with("n1: no process lived there; n2: pid 9 gone, does not answer"),
        "{evidence}"
    );
    let left = ["n3", "n4"].map(|name| format!("; {name}: not restarted, since n2 did not come back"));
    assert!(evidence.ends_with(&left.concat()) && value["confirmed"] == false, "{value}");
}

/// A fault that did not bite on a node ended the one that did, when it was healed.
#[tokio::test]
async fn what_a_fault_found_dead_is_not_its_to_start() {
    let stage = stage(3, true, vec![Box::new(Kill::default()), Box::new(Term::default())]);
    for (first, undo_first, second, undo_second) in
        [("kill", "start", "term", "start-again"), ("term", "start-again", "kill", "start")]
    {
        stage.op(first, "n2").await;
        stage.op(second, "n1+n2").await;
        stage.op(undo_second, Value::Null).await;
        let [n1, n2] = [format!("n1: {second}"), format!("n2: {first}")];
        assert_eq!(take(&stage.calls), [n2.as_str(), n1.as_str(), "n1: start"]);
        stage.op(undo_first, Value::Null).await;
        assert_eq!(take(&stage.calls), ["n2: start"]);
    }
}

/// Waiting for a restart, or putting flags back, started what a kill held down.
#[tokio::test]
async fn what_another_fault_has_killed_since_is_left_down() {
    let nemeses: Vec<Box<dyn Nemesis>> = vec![
        Box::new(Restart::at_once()),
        Box::new(Restart::rolling()),
        Box::new(Restart::crash_loop()),
        Box::new(Flags::default()),
        Box::new(Kill::default()),
    ];
    let stage = stage(3, true, nemeses);
    for (f, value, undo) in [
        ("restart", "n1+n2", "await-restart"),
        ("roll", "n1+n2", "await-roll"),
        ("start-crash-loop", "n1+n2", "stop-crash-loop"),
        ("start-flags", "--softly@n1+n2", "stop-flags"),
    ] {
        stage.ok(f, value).await;
        stage.ok("kill", "n1").await;
        take(&stage.calls);
        let value = stage.ok(undo, Value::Null).await;
        let calls = take(&stage.calls);
        assert!(calls.iter().all(|call| call.starts_with("n2: ")), "{undo}: {calls:?}");
        assert!(value.contains("n1: left down: another fault killed it; n2: "), "{undo}: {value}");
        stage.ok("start", Value::Null).await;
        assert_eq!(take(&stage.calls), ["n1: start"], "{undo}: it was the kill's to start");
    }
    let summary = stage.chaos.summary().await.to_string();
    assert!(summary.ends_with("all confirmed"), "{summary}");

    // What a restart itself left dead is its own to start.
    stage.target.unstartable.lock().unwrap().insert("n1".to_owned());
    let error = stage.op("restart", "n1").await.error.unwrap();
    assert!(error.ends_with("starting n1 again: no such program"), "{error}");
    stage.target.unstartable.lock().unwrap().clear();
    take(&stage.calls);
    stage.ok("await-restart", Value::Null).await;
    assert_eq!(take(&stage.calls), ["n1: start"]);
}

/// Whatever waited for a node to be a member again started it, too.
#[tokio::test]
async fn what_another_fault_has_killed_joins_when_that_has_started_it() {
    let stage = stage(3, true, vec![Box::new(Replace::default()), Box::new(Kill::default())]);
    *stage.target.refusals.lock().unwrap() = 2;
    let value = stage.ok("replace", "n1").await;
    assert!(value.contains("n1: stays a member: another change is under way"), "{value}");
    stage.ok("kill", "n1").await;
    take(&stage.calls);
    let error = stage.op("rejoin", Value::Null).await.error.unwrap();
    assert_eq!(error, "healing replace: n1 cannot join: left down: another fault killed it");
    assert!(take(&stage.calls).is_empty());
    stage.ok("start", Value::Null).await;
    let value = stage.ok("rejoin", Value::Null).await;
    assert!(value.contains("n1: still the old one is a member"), "{value}");
    assert_eq!(take(&stage.calls), ["n1: start"]);
}

/// Only the first of the others was asked, dead or not.
#[tokio::test]
async fn a_node_is_replaced_by_the_first_that_agrees() {
    let stage = stage(3, true, vec![Box::new(Replace::default())]);
    *stage.target.refusals.lock().unwrap() = 1;
    let value = stage.ok("replace", "n1").await;
    assert!(value.contains("wiped; a new one is a member"), "{value}");
    let calls = take(&stage.calls);
    assert_eq!(&calls[..3], ["n2: remove n1", "n3: remove n1", "n1: kill"], "{calls:?}");
    assert_eq!(calls.last().unwrap(), "n2: add n1");
}

#[tokio::test]
async fn nodes_leave_at_once_through_different_nodes_and_join_again() {
    let stage = everything(5, true);
    *stage.target.refusals.lock().unwrap() = 1;
    let value = stage.ok("leave", "n1+n2").await;
    assert!(value.contains("n1: stays: another change is under way; n2: left"), "{value}");
    assert_eq!(take(&stage.calls), ["n3: remove n1", "n4: remove n2"]);
    let value = stage.ok("join", Value::Null).await;
    assert!(value.contains("n1,n2 joined: members n1,n2,n3,n4,n5"), "{value}");
    assert_eq!(take(&stage.calls), ["n3: add n2"]);
    let error = stage.op("leave", "all").await.error.unwrap();
    assert_eq!(error, "not all nodes can leave");
    assert_eq!(stage.chaos.summary().await.to_string(), "1 membership change (1 unconfirmed)");
}

#[tokio::test]
async fn an_operation_that_nobody_answers_is_told() {
    let stage = stage(1, true, vec![Box::new(Kill::default()), Box::new(Noop)]);
    let error = stage.op("start-partition", Value::Null).await.error.unwrap();
    assert_eq!(error, "no nemesis answers start-partition: they answer kill, start, start-noop, stop-noop");
    let error = stage.op("kill", "n9").await.error.unwrap();
    assert_eq!(error, "there is no node n9; the nodes are n1");
    assert!(stage.phases().is_empty(), "nothing was touched");
}

#[tokio::test]
async fn two_nemeses_cannot_answer_the_same_operation() {
    let path = tempfile::tempdir().unwrap();
    let journal = Journal::create(&path.path().join("faults.jsonl"), Instant::now()).unwrap();
    let (cluster, target, _) = cluster(1, true);
    let nemeses: Vec<Box<dyn Nemesis>> = vec![Box::new(Noop), Box::new(Noop)];
    let error = Chaos::new(nemeses, journal, cluster, target, 7).err().unwrap();
    assert_eq!(error.to_string(), "two nemeses are called noop");
}

#[tokio::test]
async fn the_same_seed_chooses_the_same() {
    let mut told = Vec::new();
    for others in [vec![], vec![Box::new(Partition::default()) as Box<dyn Nemesis>]] {
        let mut nemeses = others;
        nemeses.push(Box::new(Kill::default()));
        let stage = stage(5, true, nemeses);
        for _ in 0..20 {
            stage.ok("kill", Value::Null).await;
        }
        told.push(read(&stage.path).unwrap().into_iter().map(|event| event.what).collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1], "whichever other nemeses there are");
}

#[tokio::test]
async fn faults_together_strike_the_same_nodes_and_one_that_fails_keeps_no_other_from_it() {
    let stage = everything(5, true);
    *stage.target.leaders.lock().unwrap() = vec!["n4".to_owned()];
    let faults = json!({"nodes": "primaries", "faults": [["kill", ""], ["partition", ""], ["pause", ""]]});
    let value = stage.ok("together", faults).await;
    assert!(value.contains(r#""nodes":"n4""#) && value.contains("{n4} | {n1,n2,n3,n5}"), "{value}");
    let kinds: Vec<String> = read(&stage.path).unwrap().into_iter().map(|event| event.fault).collect();
    assert_eq!(kinds, ["kill", "kill", "partition", "partition", "pause", "pause"]);

    let all = json!({"nodes": "all", "faults": [["membership", ""], ["kill", ""]]});
    let completion = stage.op("together", all).await;
    assert_eq!(completion.error.as_deref(), Some("not all nodes can leave"));
    assert_eq!(completion.value.unwrap()["faults"][1]["what"], "n1,n2,n3,n4,n5");

    // Whichever is chosen, it is the same for all.
    for _ in 0..5 {
        let value =
            stage.ok("together", json!({"nodes": "one", "faults": [["kill", ""], ["pause", ""]]})).await;
        let value: Value = serde_json::from_str(&value).unwrap();
        assert_eq!(value["faults"][0]["what"], value["faults"][1]["what"]);
    }
}

#[tokio::test]
async fn a_plan_of_a_journal_is_carried_out_again_as_it_was() {
    let stage = everything(3, true);
    stage.ok("start-partition", Value::Null).await;
    stage.ok("kill", Value::Null).await;
    let before = read(&stage.path).unwrap();
    let intents: Vec<&FaultEvent> = before.iter().filter(|event| event.phase == Phase::Intent).collect();
    let again = everything(3, true);
    for (event, f) in intents.iter().zip(["start-partition", "kill"]) {
        let FaultEvent { what, nodes, args, .. } = (*event).clone();
        again.ok(f, do_again(&Plan { what, nodes, args })).await;
    }
    let (first, second) = (take(&stage.calls), take(&again.calls));
    assert_eq!(first, second);
    let after = read(&again.path).unwrap();
    for (one, two) in before.iter().zip(&after) {
        assert_eq!(
            (&one.fault, &one.what, &one.nodes, &one.args),
            (&two.fault, &two.what, &two.nodes, &two.args)
        );
    }
    let gone = do_again(&Plan::on(vec!["n9".into()]));
    assert_eq!(stage.op("kill", gone).await.error.unwrap(), "there is no node n9; the nodes are n1, n2, n3");

    stage.ok("start", Value::Null).await;
    let healed = read(&stage.path).unwrap().pop().unwrap();
    assert!(healed.began_ns.is_some_and(|began_ns| began_ns <= healed.time_ns), "{healed:?}");
}
