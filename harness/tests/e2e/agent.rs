//! The page on the agent's protocol, held against a real agent.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::Value;
use squall_targets::agent::{Numbered, Reply, Request};

use super::squall::{Folder, SQUALL};

const PAGE: &str = include_str!("../../docs/AGENT.md");
/// Where the page's node lies.
const THERE: &str = "/var/tmp/node";

/// The lines of the page's examples that begin so.
fn lines(mark: &str) -> Vec<&'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix(mark)).filter(|line| line.starts_with('{')).collect()
}

fn kind(line: &str, tag: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value[tag].as_str().unwrap_or_else(|| panic!("no {tag}: {line}")).to_owned()
}

/// All requests by name. A new one does not compile here until it has a name, and then needs an example.
fn name(request: &Request) -> &'static str {
    match request {
        Request::Setup(_) => "setup",
        Request::Ping => "ping",
        Request::Spawn(_) => "spawn",
        Request::Kill => "kill",
        Request::Terminate { .. } => "terminate",
        Request::Pids => "pids",
        Request::Commands => "commands",
        Request::Wipe => "wipe",
        Request::Probe { .. } => "probe",
        Request::Inject { .. } => "inject",
        Request::Observe { .. } => "observe",
        Request::Heal { .. } => "heal",
        Request::End => "end",
    }
}

const REQUESTS: [&str; 13] = [
    "setup",
    "ping",
    "spawn",
    "kill",
    "terminate",
    "pids",
    "commands",
    "wipe",
    "probe",
    "inject",
    "observe",
    "heal",
    "end",
];

#[test]
fn every_request_has_an_example() {
    let requests = lines("> ");
    let shown: BTreeSet<&str> = requests
        .iter()
        .map(|line| name(&serde_json::from_str::<Numbered<Request>>(line).unwrap().message))
        .collect();
    assert_eq!(shown, BTreeSet::from(REQUESTS));
    for name in REQUESTS {
        assert!(PAGE.contains(&format!("| `{name}` |")), "{name} is not in the table");
    }
}

#[test]
fn every_line_of_the_page_means_what_the_code_means() {
    for (mark, tag) in [("> ", "do"), ("< ", "is")] {
        for line in lines(mark) {
            let read: Value = serde_json::from_str(line).unwrap();
            let written = if tag == "do" {
                serde_json::to_value(serde_json::from_str::<Numbered<Request>>(line).unwrap())
            } else {
                serde_json::to_value(serde_json::from_str::<Numbered<Reply>>(line).unwrap())
            };
            assert_eq!(written.unwrap(), read, "the code writes it otherwise: {line}");
            assert!(PAGE.contains(&format!("`{}`", kind(line, tag))), "no word about it: {line}");
        }
    }
}

#[test]
fn the_conversation_of_the_page_takes_place() {
    let folder = Folder::new();
    let mut agent = folder.command(SQUALL).arg("agent").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = agent.stdin.take().unwrap();
    let mut output = BufReader::new(agent.stdout.take().unwrap()).lines();
    let replies = lines("< ");
    for (request, expected) in lines("> ").into_iter().zip(replies) {
        writeln!(input, "{}", request.replace(THERE, folder.path().to_str().unwrap())).unwrap();
        let reply = output.next().expect("a reply").unwrap();
        println!("> {request}\n< {reply}");
        let (expected, reply): (Value, Value) =
            (serde_json::from_str(expected).unwrap(), serde_json::from_str(&reply).unwrap());
        for field in ["id", "is", "confirmed"] {
            assert_eq!(reply[field], expected[field], "{request}: {reply}");
        }
        let fields = |value: &Value| -> Vec<String> {
            value["measured"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(fields(&reply), fields(&expected), "{request}: {reply}");
        let words = |value: &Value| -> String {
            value["evidence"].as_str().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).collect()
        };
        // A process that just goes on may be in any state.
        let state = |text: String| text.replace(" R)", " S)");
        assert_eq!(state(words(&reply)), state(words(&expected)), "{request}: {reply}");
    }
    drop(input);
    assert!(agent.wait().unwrap().success());
    let log = fs::read_to_string(folder.path().join("logs/sleeper.log")).unwrap();
    assert_eq!(log, "", "nothing was printed");
}

#[test]
fn an_agent_that_hears_nothing_any_more_ends_and_ends_all() {
    let folder = Folder::new();
    let mut agent = folder.command(SQUALL).arg("agent").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = agent.stdin.take().unwrap();
    let path = folder.path().display();
    let setup = format!(
        r#"{{"id":1,"do":"setup","node":"n1","data":"{path}/data","logs":"{path}/logs","lease_ms":500}}"#
    );
    let spawn =
        r#"{"id":2,"do":"spawn","name":"s","argv":["sh","-c","setsid sleep 1000 & exec sleep 1000"]}"#;
    let pids = r#"{"id":3,"do":"pids"}"#;
    let mut output = BufReader::new(agent.stdout.take().unwrap()).lines();
    let mut ask = |line: &str| {
        writeln!(input, "{line}").unwrap();
        serde_json::from_str::<Value>(&output.next().expect("a reply").unwrap()).unwrap()
    };
    assert_eq!(ask(&setup)["is"], "done");
    assert_eq!(ask(spawn)["is"], "pid");
    let pids = super::squall::until("two processes", || {
        let pids: Vec<i32> = serde_json::from_value(ask(pids)["pids"].clone()).unwrap();
        (pids.len() == 2).then_some(pids)
    });
    // A word now and then keeps it.
    for id in 4..10 {
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(ask(&format!(r#"{{"id":{id},"do":"ping"}}"#))["is"], "done");
    }
    let silent = std::time::Instant::now();
    assert!(agent.wait().unwrap().success());
    println!("ended after {:?} of silence", silent.elapsed());
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
    let log = fs::read_to_string(folder.path().join("logs/agent.log")).unwrap();
    assert!(log.contains("nothing was heard from the controller"), "{log}");
}
