//! Real servers: processes on loopback that are killed with SIGKILL.

mod cluster;

use clap::Parser;
use cluster::Cluster;
use serde_json::{Value, json};
use std::process::Command;

const NULL: Value = Value::Null;

/// This test binary again, as a node (see [`node_process`]).
fn node() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("REFKV_TEST_NODE", "1").args(["--exact", "node_process", "--nocapture", "--"]);
    command
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: squall_refkv::Args,
}

/// A node, when the other tests start this binary as one.
#[test]
fn node_process() {
    if std::env::var_os("REFKV_TEST_NODE").is_some() {
        let args = std::env::args().skip_while(|arg| arg != "--");
        squall_refkv::run(Cli::parse_from(args).args).unwrap();
    }
}

#[test]
fn the_api_answers_as_documented() {
    let cluster = Cluster::start(node, 3, &[]);
    cluster.until_ok(0, "PUT", "/v1/kv/x", &json!({"value": 1}));
    let exchange = |n, method, path, body: Value, status: u16, answer: Value| {
        let (got_status, mut got) = cluster.request(n, method, path, &body);
        if let Value::Object(fields) = &mut got {
            fields.remove("message");
        }
        assert_eq!((got_status, got), (status, answer), "{method} {path} {body}");
    };
    let error = |code: &str| json!({"error": code, "definite": true});
    exchange(1, "GET", "/v1/kv/x", NULL, 200, json!({"value": 1}));
    exchange(2, "GET", "/v1/kv/y", NULL, 404, error("not-found"));
    exchange(0, "POST", "/v1/kv/x/cas", json!({"old": 1, "new": {"a": [null]}}), 200, json!({}));
    let mismatch = json!({"error": "cas-mismatch", "definite": true, "current": {"a": [null]}});
    exchange(1, "POST", "/v1/kv/x/cas", json!({"old": 1, "new": 2}), 409, mismatch);
    exchange(2, "POST", "/v1/kv/l/append", json!({"value": 5}), 200, json!({"length": 1}));
    let refused = json!({"error": "not-a-list", "definite": true, "key": "x"});
    exchange(2, "POST", "/v1/kv/x/append", json!({"value": 5}), 409, refused);
    let ops = json!({"ops": [["append", "l", 6], ["r", "l", null], ["w", "x", 2], ["r", "none", null]]});
    let done = json!({"ops": [["append", "l", 6], ["r", "l", [5, 6]], ["w", "x", 2], ["r", "none", null]]});
    exchange(0, "POST", "/v1/txn", ops, 200, done);
    let reads = json!({"ops": [["r", "l", null], ["r", "x", null]]});
    exchange(1, "POST", "/v1/txn", reads, 200, json!({"ops": [["r", "l", [5, 6]], ["r", "x", 2]]}));
    exchange(1, "DELETE", "/v1/kv/x", NULL, 200, json!({}));
    exchange(0, "GET", "/v1/kv/x", NULL, 404, error("not-found"));
    exchange(0, "PUT", "/v1/kv/x", json!({"valeu": 1}), 400, error("bad-request"));
    exchange(0, "GET", "/v2", NULL, 404, error("no-such-route"));
    exchange(0, "POST", "/v1/kv/x", NULL, 405, error("method-not-allowed"));
    let leader = cluster.leader(None);
    assert_eq!(cluster.request(leader, "GET", "/health", &NULL).0, 200);
    let metrics = cluster.request(leader, "GET", "/metrics", &NULL).1;
    assert!(metrics.as_str().unwrap().contains("\nrefkv_is_leader 1\n"), "{metrics}");
}

#[test]
fn acknowledged_writes_outlive_the_leader_and_then_every_process() {
    let mut cluster = Cluster::start(node, 3, &["--snapshot-every", "8"]);
    for value in 0..10 {
        cluster.until_ok(value % 3, "PUT", &format!("/v1/kv/k{value}"), &json!({"value": value}));
    }
    let old = cluster.leader(None);
    cluster.kill(old);
    let new = cluster.leader(Some(old));
    for value in 10..30 {
        cluster.until_ok(new, "PUT", &format!("/v1/kv/k{value}"), &json!({"value": value}));
    }
    // The old leader has missed more than the others still have in their logs: it is given a snapshot.
    cluster.restart(old);
    for value in 0..30 {
        let answer = cluster.until_ok(old, "GET", &format!("/v1/kv/k{value}"), &NULL);
        assert_eq!(answer, json!({"value": value}));
    }
    let metrics = cluster.until_ok(old, "GET", "/metrics", &NULL);
    assert!(metrics.as_str().unwrap().contains("\nrefkv_snapshots_installed_total 1\n"), "{metrics}");

    for n in 0..3 {
        cluster.kill(n);
    }
    for n in 0..3 {
        cluster.restart(n);
    }
    for value in 0..30 {
        let answer = cluster.until_ok(value % 3, "GET", &format!("/v1/kv/k{value}"), &NULL);
        assert_eq!(answer, json!({"value": value}));
    }
}

#[test]
fn a_retried_write_takes_effect_once() {
    let mut cluster = Cluster::start(node, 3, &[]);
    cluster.until_ok(0, "PUT", "/v1/kv/x", &json!({"value": 1}));
    let header = "Idempotency-Key: client:1\r\n";
    let append = |cluster: &Cluster, n| {
        cluster.request_with(n, "POST", "/v1/kv/l/append", header, &json!({"value": "once"}))
    };
    assert_eq!(append(&cluster, 0), (200, json!({"length": 1})));
    assert_eq!(append(&cluster, 1), (200, json!({"length": 1})));
    let leader = cluster.leader(None);
    cluster.kill(leader);
    let next = cluster.leader(Some(leader));
    assert_eq!(append(&cluster, next), (200, json!({"length": 1})));
    assert_eq!(cluster.until_ok(next, "GET", "/v1/kv/l", &NULL), json!({"value": ["once"]}));
}

#[test]
fn members_come_and_go() {
    let mut cluster = Cluster::start(node, 3, &[]);
    cluster.until_ok(0, "PUT", "/v1/kv/x", &json!({"value": 1}));
    let fourth = cluster.add(&[]);
    cluster.restart(fourth);
    cluster.until(fourth, "GET", "/health", &NULL, |status, _| status == 503);
    let addr = cluster.peer_addr(fourth);
    cluster.until_ok(1, "POST", "/v1/members", &json!({"add": {"id": "n4", "addr": addr}}));
    assert_eq!(cluster.until_ok(fourth, "GET", "/v1/kv/x", &NULL), json!({"value": 1}));

    // The leader goes too: it leads until its removal is committed.
    let leader = cluster.leader(None);
    let other = (leader + 1) % 3;
    cluster.until_ok(other, "POST", "/v1/members", &json!({"remove": format!("n{}", leader + 1)}));
    cluster.kill(leader);
    cluster.until_ok(fourth, "PUT", "/v1/kv/x", &json!({"value": 2}));
    let members = cluster.until_ok(other, "GET", "/v1/members", &NULL);
    assert_eq!(members["members"].as_object().unwrap().len(), 3, "{members}");
    assert_eq!(members["members"]["n4"], json!(addr));
}

#[test]
fn without_a_majority_nothing_is_answered_that_is_not_known() {
    let mut cluster =
        Cluster::start(node, 3, &["--request-timeout-ms", "300", "--election-timeout-ms", "200"]);
    cluster.until_ok(0, "PUT", "/v1/kv/x", &json!({"value": 1}));
    cluster.kill(1);
    cluster.kill(2);
    cluster.until(0, "GET", "/leader", &NULL, |_, answer| answer["leader"] == NULL);
    assert_eq!(cluster.request(0, "GET", "/health", &NULL).0, 503);
    let (status, answer) = cluster.request(0, "PUT", "/v1/kv/x", &json!({"value": 2}));
    assert_eq!((status, &answer["error"], &answer["definite"]), (503, &json!("no-leader"), &json!(true)));
    assert_ne!(cluster.request(0, "GET", "/v1/kv/x", &NULL).0, 200);
}
