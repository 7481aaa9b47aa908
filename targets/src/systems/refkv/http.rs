//! One HTTP call, and what is known when it fails.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use serde_json::Value;
use squall_workloads::Node;

use super::host;

/// Within it, a node that is up answers a SYN even after a loss.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// An HTTP client for one port of every node, with connections that are used again. Cheap to clone.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    port: u16,
}

/// Why a call brought no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whether the operation surely had no effect and never will have.
    pub(super) definite: bool,
    /// The HTTP status, if there was an answer.
    pub(super) status: Option<u16>,
    /// What went wrong: the server's own word for it, if there is one.
    pub(super) error: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl Http {
    pub(super) fn new(port: u16, timeout: Duration) -> Result<Http> {
        let client = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).timeout(timeout);
        Ok(Http { client: client.build().context("making an HTTP client")?, port })
    }

    /// The address of a path on a node; its segments may be any text.
    fn url(&self, node: &Node, path: &[&str]) -> Url {
        let mut url: Url =
            format!("http://{}:{}", host(node.ip), self.port).parse().expect("a host and a port");
        url.path_segments_mut().expect("http has a path").extend(path);
        url
    }

    /// Calls once and returns the JSON of the answer. The key makes a write idempotent on the server's side.
    pub(super) async fn call(
        &self,
        method: Method,
        node: &Node,
        path: &[&str],
        body: Option<Value>,
        idempotency_key: Option<String>,
    ) -> Result<Value, Failure> {
        let mut request = self.client.request(method, self.url(node, path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => Err(not_sent_or_unknown(&error)),
        }
    }
}

/// A connection that was never made carried nothing. All else may have reached the server.
fn not_sent_or_unknown(error: &reqwest::Error) -> Failure {
    let text = match (error.is_connect(), error.is_timeout()) {
        (true, true) => "connect timeout".to_owned(),
        (true, false) => format!("connect: {}", root_cause(error)),
        (false, true) => "timeout".to_owned(),
        (false, false) => root_cause(error),
    };
    Failure { definite: error.is_connect(), status: None, error: text }
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    definite: bool,
}

async fn read(response: Response) -> Result<Value, Failure> {
    let status = response.status();
    let code = Some(status.as_u16());
    let unknown = |error: String| Failure { definite: false, status: code, error };
    let body = response.bytes().await.map_err(|error| unknown(root_cause(&error)))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| unknown(format!("{status}, but no JSON")));
    }
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => Err(Failure { definite: refusal.definite, status: code, error: refusal.error }),
        Err(_) => Err(unknown(status.to_string())),
    }
}
