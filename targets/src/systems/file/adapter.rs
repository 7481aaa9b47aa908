//! A client that is a program of its own: one process for each client, JSON lines on its standard input and output.
//!
//! It is started with the node's address in `SQUALL_IP`, its name in `SQUALL_NODE` and the op set in `SQUALL_OP_SET`, and is
//! asked one operation at a time:
//!
//! ```text
//! {"id":1,"f":"write","value":[3,7]}
//! {"id":1,"type":"ok"}
//! {"id":2,"f":"read","value":[3,null]}
//! {"id":2,"type":"ok","value":[3,7]}
//! {"id":3,"f":"cas","value":[3,[1,2]]}
//! {"id":3,"type":"fail","error":"no match"}
//! ```
//!
//! `type` is `ok`, `fail` (it surely had no effect, and never will) or `info` (nobody knows). A program that ends, or says
//! something else, makes the operation `info`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use squall_checkers::{Op, Type};
use squall_workloads::{Client, Completion, Node};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How much of what it complained about is told.
const COMPLAINT_MAX: u64 = 4096;
/// How long that, and then its end, may take to come.
const GOODBYE: Duration = Duration::from_millis(200);

pub(super) struct Adapter {
    argv: Vec<String>,
    op_set: String,
    folder: PathBuf,
    program: Option<Program>,
}

struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(rename = "type")]
    outcome: Outcome,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Fail,
    Info,
}

impl From<Outcome> for Type {
    fn from(outcome: Outcome) -> Type {
        match outcome {
            Outcome::Ok => Type::Ok,
            Outcome::Fail => Type::Fail,
            Outcome::Info => Type::Info,
        }
    }
}

impl Adapter {
    pub(super) fn new(argv: Vec<String>, op_set: &str, folder: PathBuf) -> Adapter {
        Adapter { argv, op_set: op_set.to_owned(), folder, program: None }
    }

    fn start(&self, node: &Node) -> Result<Program> {
        let [program, arguments @ ..] = self.argv.as_slice() else { bail!("the client has no program") };
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
            .env("SQUALL_IP", node.ip.to_string())
            .env("SQUALL_NODE", &node.name)
            .env("SQUALL_OP_SET", &self.op_set)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting the client {program} in {}", self.folder.display()))?;
        let input = child.stdin.take().context("the client has no input")?;
        let output = BufReader::new(child.stdout.take().context("the client has no output")?).lines();
        Ok(Program { child, input, output, asked: 0 })
    }
}

impl Program {
    async fn ask(&mut self, op: &Op) -> Result<Completion> {
        self.asked += 1;
        let line = format!("{}\n", json!({"id": self.asked, "f": op.f, "value": op.value}));
        // What it says before it ends is worth more than a broken pipe.
        let _ = self.input.write_all(line.as_bytes()).await;
        loop {
            let Some(line) = self.output.next_line().await? else {
                return Err(self.ended().await);
            };
            let answer: Answer = serde_json::from_str(&line)
                .with_context(|| format!("the client must answer with a line of JSON, not {line:?}"))?;
            if answer.id == self.asked {
                return Ok(Completion {
                    kind: answer.outcome.into(),
                    value: answer.value,
                    error: answer.error,
                });
            }
            if answer.id > self.asked {
                bail!("the client answered {}, which nobody asked", answer.id);
            }
        }
    }

    /// How it ended, with the last line of its complaint.
    async fn ended(&mut self) -> anyhow::Error {
        let mut complaint = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // Its children may hold the pipe open.
            let mut beginning = stderr.take(COMPLAINT_MAX);
            let _ = timeout(GOODBYE, beginning.read_to_end(&mut complaint)).await;
        }
        let complaint = String::from_utf8_lossy(&complaint);
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        // A program closes its output a moment before it is gone, and may close it without ending.
        let status = match timeout(GOODBYE, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            _ => "its output is closed".to_owned(),
        };
        anyhow!("the client ended ({status}): {last}")
    }
}

#[async_trait]
impl Client for Adapter {
    async fn open(&self, node: &Node) -> Result<Box<dyn Client>> {
        let program = Some(self.start(node)?);
        Ok(Box::new(Adapter {
            program,
            ..Adapter::new(self.argv.clone(), &self.op_set, self.folder.clone())
        }))
    }

    async fn invoke(&mut self, op: &Op) -> Result<Completion> {
        self.program.as_mut().context("the client is not open")?.ask(op).await
    }

    async fn close(&mut self) {
        if let Some(Program { mut child, .. }) = self.program.take() {
            // Its input is closed by now, which asks it to end; dropping kills it.
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(script: &str, times: usize) -> Vec<Result<Completion, String>> {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let adapter = Adapter::new(argv, "register", std::env::temp_dir());
        let mut client = adapter.open(&Node::new("n1", [127, 0, 0, 1])).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..times {
            let op = Op::new("read").value(json!([1, null]));
            answers.push(client.invoke(&op).await.map_err(|error| format!("{error:#}")));
        }
        client.close().await;
        answers
    }

    #[tokio::test]
    async fn a_program_answers_line_by_line() {
        let script = r#"n=0; while read -r line; do n=$((n+1)); case "$line" in *'"f":"read"'*'[1,null]'*)
            echo "{\"id\":$n,\"type\":\"ok\",\"value\":[1,\"$SQUALL_NODE $SQUALL_IP $SQUALL_OP_SET\"]}";; esac; done"#;
        let answer = Ok(Completion::value(json!([1, "n1 127.0.0.1 register"])));
        assert_eq!(ask(script, 2).await, [answer.clone(), answer]);
        let script = r#"read -r a; echo '{"id":1,"type":"fail","error":"no match"}'; read -r a"#;
        assert_eq!(ask(script, 1).await, [Ok(Completion::fail("no match"))]);
    }

    #[tokio::test]
    async fn a_late_answer_to_an_older_question_is_passed_over() {
        let script = r#"read -r a; echo '{"id":1,"type":"info"}'; read -r a; echo '{"id":1,"type":"ok"}'; echo '{"id":2,"type":"ok"}'"#;
        assert_eq!(ask(script, 2).await[1], Ok(Completion::ok()));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_that_says_what_is_wrong() {
        let error = async |script| ask(script, 1).await.remove(0).unwrap_err();
        assert_eq!(
            error("echo no such module >&2; exit 7").await,
            "the client ended (exit status: 7): no such module"
        );
        assert_eq!(
            error("exec >&- 2>&-; sleep 60").await,
            "the client ended (its output is closed): it said nothing"
        );
        assert!(error("read -r a; echo hello").await.contains("a line of JSON, not \"hello\""));
        assert!(error(r#"read -r a; echo '{"id":9,"type":"ok"}'"#).await.contains("which nobody asked"));
        assert!(error(r#"read -r a; echo '{"id":1,"type":"done"}'"#).await.contains("done"));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told() {
        let adapter = Adapter::new(vec!["./no-such-client".to_owned()], "set", std::env::temp_dir());
        let error = adapter.open(&Node::new("n1", [127, 0, 0, 1])).await.err().unwrap();
        assert!(format!("{error:#}").contains("starting the client ./no-such-client"), "{error:#}");
    }
}
