//! The client: an operation as an HTTP call, and its answer as a completion.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use squall_checkers::Unknown;
use squall_workloads::{Client, Completion, Node, Op};

use super::http::{Failure, Http};

const SET_KEY: &str = "set";

/// A node that is down refuses at once. Without a pause its clients would take most of a limited rate to be refused.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(100);

/// The op sets of [`squall_workloads::Workload`] that this client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpSet {
    Register,
    Set,
    Txn,
}

impl OpSet {
    pub(super) const NAMES: &[&str] = &["register", "set", "txn"];

    pub(super) fn from_name(name: &str) -> Result<OpSet> {
        Ok(match name {
            "register" => OpSet::Register,
            "set" => OpSet::Set,
            "txn" => OpSet::Txn,
            _ => bail!(Unknown::new("op set of refkv", name, OpSet::NAMES.iter().copied())),
        })
    }
}

/// One process's client. It never retries; each write carries an idempotency key, so that a write that the server's
/// nodes pass on twice takes effect once.
///
/// A write fails if the server says so for certain, or if no connection was made; else it is unknown. A read that
/// brings no result fails, whatever the reason: it had no effect.
pub(super) struct RefKvClient {
    op_set: OpSet,
    http: Http,
    node: Option<Node>,
    /// Names this client among all that ever wrote to the cluster.
    session: String,
    writes: u64,
}

impl RefKvClient {
    pub(super) fn new(op_set: OpSet, http: Http) -> RefKvClient {
        RefKvClient { op_set, http, node: None, session: session(), writes: 0 }
    }
}

/// A name that no other client has, in this process or in an earlier one.
fn session() -> String {
    static START: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let start =
        START.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos()));
    format!("{start:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What to send for an operation.
struct Call {
    method: Method,
    path: Vec<String>,
    body: Option<Value>,
    writes: bool,
}

impl Call {
    fn read(path: &[&str]) -> Call {
        Call { method: Method::GET, path: owned(path), body: None, writes: false }
    }

    fn write(method: Method, path: &[&str], body: Value) -> Call {
        Call { method, path: owned(path), body: Some(body), writes: true }
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

impl OpSet {
    fn call(self, op: &Op) -> Result<Call> {
        match (self, &*op.f) {
            (OpSet::Register, "read" | "write" | "cas") => register(op),
            (OpSet::Set, "add") => {
                Ok(Call::write(Method::POST, &["v1", "kv", SET_KEY, "append"], json!({"value": op.value})))
            }
            (OpSet::Set, "read") => Ok(Call::read(&["v1", "kv", SET_KEY])),
            (OpSet::Txn, "txn") => txn(op),
            (op_set, f) => bail!("refkv's client for {op_set:?} does not know {f}"),
        }
    }

    /// The completion's value, from the JSON of a good answer; `None` keeps the invocation's. `Null` stands for an
    /// absent key.
    fn result(self, op: &Op, answer: &Value) -> Result<Option<Value>> {
        Ok(match (self, &*op.f) {
            (OpSet::Register, "read") => Some(json!([op.value[0], value_of(answer)?])),
            (OpSet::Set, "read") => match value_of(answer)? {
                Value::Null => Some(json!([])),
                list => Some(list.clone()),
            },
            (OpSet::Txn, _) => Some(filled_in(op, answer)?),
            _ => None,
        })
    }
}

fn register(op: &Op) -> Result<Call> {
    let [key, argument] = op.value.as_array().map(Vec::as_slice).unwrap_or_default() else {
        bail!("{} takes [key, argument], not {}", op.f, op.value)
    };
    let key = &key_text(key);
    Ok(match (&*op.f, argument) {
        ("read", _) => Call::read(&["v1", "kv", key]),
        ("write", value) => Call::write(Method::PUT, &["v1", "kv", key], json!({"value": value})),
        (_, Value::Array(pair)) if pair.len() == 2 => {
            Call::write(Method::POST, &["v1", "kv", key, "cas"], json!({"old": pair[0], "new": pair[1]}))
        }
        _ => bail!("cas takes [key, [old, new]], not {}", op.value),
    })
}

fn txn(op: &Op) -> Result<Call> {
    let ops = op.value.as_array().context("txn takes a list of micro-operations")?;
    let with_text_key = |micro: &Value| match micro.as_array().map(Vec::as_slice) {
        Some([f, key, value]) => Ok(json!([f, key_text(key), value])),
        _ => Err(anyhow!("a micro-operation is [f, key, value], not {micro}")),
    };
    let sent = ops.iter().map(with_text_key).collect::<Result<Vec<_>>>()?;
    let writes = ops.iter().any(|micro| micro[0] != "r");
    Ok(Call { writes, ..Call::write(Method::POST, &["v1", "txn"], json!({"ops": sent})) })
}

/// The server's keys are text.
fn key_text(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

fn value_of(answer: &Value) -> Result<&Value> {
    answer.get("value").ok_or_else(|| anyhow!("an answer without a value: {answer}"))
}

/// The micro-operations as they were asked, with what was read.
fn filled_in(op: &Op, answer: &Value) -> Result<Value> {
    let asked = op.value.as_array().context("txn takes a list of micro-operations")?;
    let done = answer["ops"].as_array().filter(|done| done.len() == asked.len());
    let done = done.ok_or_else(|| anyhow!("not the micro-operations that were asked: {answer}"))?;
    let fill = |(asked, done): (&Value, &Value)| json!([asked[0], asked[1], done[2]]);
    Ok(asked.iter().zip(done).map(fill).collect())
}

#[async_trait]
impl Client for RefKvClient {
    async fn open(&self, node: &Node) -> Result<Box<dyn Client>> {
        let fresh = RefKvClient::new(self.op_set, self.http.clone());
        Ok(Box::new(RefKvClient { node: Some(node.clone()), ..fresh }))
    }

    async fn invoke(&mut self, op: &Op) -> Result<Completion> {
        let node = self.node.as_ref().context("the client is not open")?;
        let Call { method, path, body, writes } = self.op_set.call(op)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.writes += u64::from(writes);
        let key = writes.then(|| format!("{}:{}", self.session, self.writes));
        let answered = match self.http.call(method, node, &path, body, key).await {
            Err(Failure { status: Some(404), definite: true, .. }) if !writes => Ok(json!({"value": null})),
            other => other,
        };
        if matches!(answered, Err(Failure { status: None, definite: true, .. })) {
            tokio::time::sleep(UNREACHABLE_PAUSE).await;
        }
        let outcome = answered.map_err(|failure| (failure.definite, failure.error)).and_then(|answer| {
            self.op_set.result(op, &answer).map_err(|error| (false, format!("{error:#}")))
        });
        Ok(match outcome {
            Ok(value) => Completion { value, ..Completion::ok() },
            Err((definite, error)) if definite || !writes => Completion::fail(error),
            Err((_, error)) => Completion::info(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_workloads::Type;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn op(f: &'static str, value: Value) -> Op {
        Op::new(f).value(value)
    }

    /// What the client makes of an operation when a server on this port answers so; and what it sent.
    async fn exchange(op_set: OpSet, op: &Op, answer: &str) -> (Completion, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer.to_owned();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !is_whole(&request[..length]) {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let mut client = RefKvClient::new(op_set, Http::new(port, Duration::from_secs(5)).unwrap());
        client.node = Some(Node::new("n1", [127, 0, 0, 1]));
        let completion = client.invoke(op).await.unwrap();
        (completion, server.await.unwrap())
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().unwrap())
    }
    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn operations_are_sent_as_the_server_wants_them() {
        use OpSet::{Register, Set, Txn};
        let txn = json!([["append", 3, 7], ["r", 3, null]]);
        let expected = [
            (Register, op("read", json!([1, null])), "GET /v1/kv/1 ", ""),
            (Register, op("write", json!(["a/b", 2])), "PUT /v1/kv/a%2Fb ", r#"{"value":2}"#),
            (Register, op("cas", json!([1, [2, 3]])), "POST /v1/kv/1/cas ", r#"{"new":3,"old":2}"#),
            (Set, op("add", json!(5)), "POST /v1/kv/set/append ", r#"{"value":5}"#),
            (Set, op("read", json!(null)), "GET /v1/kv/set ", ""),
            (Txn, op("txn", txn), "POST /v1/txn ", r#"{"ops":[["append","3",7],["r","3",null]]}"#),
        ];
        for (op_set, op, line, body) in expected {
            let (_, sent) = exchange(op_set, &op, &answer("200 OK", "{}")).await;
            assert!(sent.starts_with(line) && sent.ends_with(&format!("\r\n\r\n{body}")), "{sent}");
            assert_eq!(sent.contains("idempotency-key: "), !matches!(&*op.f, "read"), "{sent}");
        }
    }

    #[tokio::test]
    async fn good_answers_become_values() {
        let absent = answer("404 Not Found", r#"{"error":"not-found","definite":true,"message":""}"#);
        let txn = op("txn", json!([["append", 3, 7], ["r", 3, null]]));
        let expected = [
            (
                OpSet::Register,
                op("read", json!([1, null])),
                answer("200 OK", r#"{"value":4}"#),
                Some(json!([1, 4])),
            ),
            (OpSet::Register, op("read", json!([1, null])), absent.clone(), Some(json!([1, null]))),
            (OpSet::Register, op("write", json!([1, 4])), answer("200 OK", "{}"), None),
            (
                OpSet::Set,
                op("read", json!(null)),
                answer("200 OK", r#"{"value":[4,2]}"#),
                Some(json!([4, 2])),
            ),
            (OpSet::Set, op("read", json!(null)), absent, Some(json!([]))),
            (
                OpSet::Txn,
                txn,
                answer("200 OK", r#"{"ops":[["append","3",7],["r","3",[7]]]}"#),
                Some(json!([["append", 3, 7], ["r", 3, [7]]])),
            ),
        ];
        for (op_set, op, answer, value) in expected {
            let (completion, _) = exchange(op_set, &op, &answer).await;
            assert_eq!(completion, Completion { value, ..Completion::ok() }, "{op}");
        }
    }

    #[tokio::test]
    async fn a_write_fails_only_when_that_is_certain_and_a_read_always_may() {
        let refusal = |status, error, definite| {
            answer(status, &format!(r#"{{"error":"{error}","definite":{definite},"message":""}}"#))
        };
        let answers = [
            (refusal("409 Conflict", "cas-mismatch", true), Type::Fail),
            (refusal("503 Service Unavailable", "no-leader", true), Type::Fail),
            (refusal("404 Not Found", "no-such-route", true), Type::Fail),
            (refusal("504 Gateway Timeout", "timeout", false), Type::Info),
            (answer("500 Internal Server Error", "oh"), Type::Info),
            (answer("503 Service Unavailable", r#"{"definite":true}"#), Type::Info),
            (String::new(), Type::Info),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned(), Type::Info),
            ("garbage\r\n\r\n".to_owned(), Type::Info),
        ];
        for (answer, kind) in answers {
            let (write, _) = exchange(OpSet::Register, &op("cas", json!([1, [2, 3]])), &answer).await;
            assert_eq!(write.kind, kind, "{answer}");
            if !answer.contains("404") {
                let (read, _) = exchange(OpSet::Register, &op("read", json!([1, null])), &answer).await;
                assert_eq!((read.kind, read.error.is_some()), (Type::Fail, true), "{answer}");
            }
        }
        let (write, _) =
            exchange(OpSet::Txn, &op("txn", json!([["append", 1, 2]])), &answer("200 OK", "[]")).await;
        assert_eq!(write.kind, Type::Info, "an answer without the results");
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_was_sent() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut client = RefKvClient::new(OpSet::Set, Http::new(port, Duration::from_secs(5)).unwrap());
        client.node = Some(Node::new("n1", [127, 0, 0, 1]));
        let completion = client.invoke(&op("add", json!(1))).await.unwrap();
        assert_eq!(completion.kind, Type::Fail);
        assert!(completion.error.unwrap().starts_with("connect: Connection refused"));
    }
}
