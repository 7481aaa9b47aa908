//! A cluster of real processes on loopback.

pub(crate) mod http;

use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for any machine; nothing here waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    id: String,
    peer_port: u16,
    client_port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

/// The nodes `n1` to `nN`. All are killed when this is dropped.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    members: usize,
    data: tempfile::TempDir,
    /// How to run a node, but for its arguments.
    command: fn() -> Command,
}

impl Cluster {
    /// Starts `members` nodes with these arguments added.
    pub(crate) fn start(command: fn() -> Command, members: usize, args: &[&str]) -> Cluster {
        let data = tempfile::tempdir().unwrap();
        let mut cluster = Cluster { nodes: Vec::new(), members, data, command };
        for _ in 0..members {
            cluster.add(args);
        }
        for n in 0..members {
            cluster.restart(n);
        }
        cluster
    }

    /// Makes one more node, which is not started. Gives its position.
    pub(crate) fn add(&mut self, args: &[&str]) -> usize {
        // Ports that were free a moment ago, all held at once so that they differ.
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [peer_port, client_port] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let id = format!("n{}", self.nodes.len() + 1);
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.nodes.push(Node { id, peer_port, client_port, args, child: None });
        self.nodes.len() - 1
    }

    /// Starts a node that is not running.
    pub(crate) fn restart(&mut self, n: usize) {
        let joins = n >= self.members;
        let listed = self.nodes.iter().take(self.members).chain(joins.then(|| &self.nodes[n]));
        let list: Vec<_> = listed.map(|node| format!("{}=127.0.0.1:{}", node.id, node.peer_port)).collect();
        let data = self.data.path().join(&self.nodes[n].id);
        let node = &mut self.nodes[n];
        let mut command = (self.command)();
        command.args(["--id", &node.id, "--cluster", &list.join(","), "--client-port"]);
        command.arg(node.client_port.to_string()).arg("--data").arg(data);
        command.args(&node.args).args(joins.then_some("--join"));
        node.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.nodes[n].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The port for clients.
    pub(crate) fn client_port(&self, n: usize) -> u16 {
        self.nodes[n].client_port
    }

    /// The address for peers.
    pub(crate) fn peer_addr(&self, n: usize) -> String {
        format!("127.0.0.1:{}", self.nodes[n].peer_port)
    }

    /// The status and body of one request; status 0 when the node cannot be reached.
    pub(crate) fn request(&self, n: usize, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request_with(n, method, path, "", body)
    }

    /// The same with headers, each ending in CRLF.
    pub(crate) fn request_with(
        &self,
        n: usize,
        method: &str,
        path: &str,
        headers: &str,
        body: &Value,
    ) -> (u16, Value) {
        http::request(self.client_port(n), method, path, headers, body).unwrap_or((0, Value::Null))
    }

    /// Repeats a request until its status is 200, and gives the body.
    pub(crate) fn until_ok(&self, n: usize, method: &str, path: &str, body: &Value) -> Value {
        self.until(n, method, path, body, |status, _| status == 200)
    }

    /// Repeats a request until the answer is as wished.
    pub(crate) fn until(
        &self,
        n: usize,
        method: &str,
        path: &str,
        body: &Value,
        wish: impl Fn(u16, &Value) -> bool,
    ) -> Value {
        let begin = Instant::now();
        loop {
            let (status, answer) = self.request(n, method, path, body);
            if wish(status, &answer) {
                return answer;
            }
            assert!(begin.elapsed() < PATIENCE, "{method} {path} at n{}: {status} {answer}", n + 1);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The position of the leader, once a node other than `not` claims to be it.
    pub(crate) fn leader(&self, not: Option<usize>) -> usize {
        let begin = Instant::now();
        loop {
            for n in (0..self.nodes.len()).filter(|n| Some(*n) != not) {
                if self.request(n, "GET", "/leader", &Value::Null).1["role"] == json!("leader") {
                    return n;
                }
            }
            assert!(begin.elapsed() < PATIENCE, "no leader");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for n in 0..self.nodes.len() {
            self.kill(n);
        }
    }
}
