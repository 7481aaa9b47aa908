//! Measures a cluster of three nodes on loopback: puts and reads by closed-loop clients, and the time to a new leader
//! after SIGKILL. `cargo run --release -p squall-refkv --example bench -- PATH-OF-refkv [SECONDS]`

#[path = "../tests/cluster/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod cluster;

use cluster::Cluster;
use cluster::http::Connection;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

fn node() -> Command {
    Command::new(std::env::args().nth(1).expect("the path of refkv"))
}

fn main() {
    let seconds = std::env::args().nth(2).map_or(5, |text| text.parse().expect("a number of seconds"));
    let mut cluster = Cluster::start(node, 3, &[]);
    cluster.until_ok(0, "PUT", "/v1/kv/x", &json!({"value": 0}));
    for clients in [1, 10, 50] {
        for method in ["PUT", "GET"] {
            let begin = fsyncs(&cluster);
            let mut latencies = load(&cluster, clients, method, Duration::from_secs(seconds));
            latencies.sort_unstable();
            let end = fsyncs(&cluster);
            let at = |share: f64| {
                latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0
            };
            println!(
                "{method} clients {clients:>2}: {:>6.0} ops/s, p50 {:.2} ms, p99 {:.2} ms, {:.0} fsyncs/s at the leader of {:.2} ms",
                latencies.len() as f64 / seconds as f64,
                at(0.5),
                at(0.99),
                (end.0 - begin.0) / seconds as f64,
                if end.0 > begin.0 { (end.1 - begin.1) / (end.0 - begin.0) * 1000.0 } else { 0.0 },
            );
        }
    }
    fail_over(&mut cluster);
}

/// Closed-loop clients, spread over the nodes. Gives the latency of each answered request.
fn load(cluster: &Cluster, clients: usize, method: &'static str, time: Duration) -> Vec<Duration> {
    let threads: Vec<_> = (0..clients)
        .map(|n| {
            let port = cluster.client_port(n % 3);
            std::thread::spawn(move || {
                let mut connection = Connection::open(port).expect("a node that listens");
                let (begin, path) = (Instant::now(), format!("/v1/kv/k{n}"));
                let body = if method == "PUT" { r#"{"value": 1}"# } else { "" };
                let mut latencies = Vec::new();
                while begin.elapsed() < time {
                    let sent = Instant::now();
                    let (status, answer) = connection.request(method, &path, "", body).expect("an answer");
                    assert_eq!(status, 200, "{answer}");
                    latencies.push(sent.elapsed());
                }
                latencies
            })
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
}

/// The leader's count of fsyncs, and their time in seconds.
fn fsyncs(cluster: &Cluster) -> (f64, f64) {
    let leader = cluster.leader(None);
    let (_, metrics) = cluster.request(leader, "GET", "/metrics", &Value::Null);
    let value = |name: &str| {
        let mut lines = metrics.as_str().unwrap_or_default().lines();
        lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
    };
    (value("refkv_fsyncs_total "), value("refkv_fsync_seconds_total "))
}

fn fail_over(cluster: &mut Cluster) {
    let mut times: Vec<_> = (0..10)
        .map(|_| {
            let leader = cluster.leader(None);
            cluster.kill(leader);
            let begin = Instant::now();
            cluster.until_ok((leader + 1) % 3, "PUT", "/v1/kv/x", &json!({"value": 1}));
            let time = begin.elapsed();
            cluster.restart(leader);
            cluster.until_ok(leader, "GET", "/v1/kv/x", &Value::Null);
            time.as_millis()
        })
        .collect();
    times.sort_unstable();
    println!("SIGKILL of the leader to the next acknowledged put, ms: {times:?}");
}
