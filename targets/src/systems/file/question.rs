//! A question to a node that is answered by yes or no: an HTTP call and what its answer must hold, or a port that accepts.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use squall_workloads::Node;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::systems::host;

const PATIENCE: Duration = Duration::from_secs(1);

/// As it stands in a target file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Where to ask; `{ip}` is the node's address.
    #[serde(default)]
    url: Option<String>,
    /// The body of a POST; without it, it is a GET.
    #[serde(default)]
    body: Option<String>,
    /// What a good answer (2xx) must contain.
    #[serde(default)]
    contains: Option<String>,
    /// Two places in the answer's JSON that must be there and equal (RFC 6901).
    #[serde(default)]
    equal: Option<[String; 2]>,
    /// A port that must accept connections.
    #[serde(default)]
    tcp: Option<u16>,
}

impl Question {
    pub(super) fn checked(&self) -> Result<()> {
        ensure!(self.url.is_some() != self.tcp.is_some(), "a question has either a url or tcp = PORT");
        let details = self.body.is_some() || self.contains.is_some() || self.equal.is_some();
        ensure!(self.url.is_some() || !details, "only a url has body, contains and equal");
        Ok(())
    }

    /// Whether this is the answer that was hoped for.
    fn holds(&self, answer: &str) -> bool {
        let contains = self.contains.as_ref().is_none_or(|part| answer.contains(part));
        let equal = self.equal.as_ref().is_none_or(|[one, other]| {
            let answer: Value = serde_json::from_str(answer).unwrap_or_default();
            answer.pointer(one).is_some_and(|value| answer.pointer(other) == Some(value))
        });
        contains && equal
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.url, self.tcp) {
            (Some(url), _) => f.write_str(url),
            (None, Some(port)) => write!(f, "port {port}"),
            (None, None) => f.write_str("nothing"),
        }
    }
}

/// Asks. Cheap to clone.
#[derive(Clone)]
pub(super) struct Asker(reqwest::Client);

impl Asker {
    pub(super) fn new() -> Result<Asker> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Ok(Asker(client.context("making an HTTP client")?))
    }

    /// Whether the answer is yes. No answer is an error.
    pub(super) async fn ask(&self, question: &Question, node: &Node) -> Result<bool> {
        if let Some(port) = question.tcp {
            timeout(PATIENCE, TcpStream::connect((node.ip, port)))
                .await
                .map_err(|_| std::io::ErrorKind::TimedOut.into())
                .and_then(|connected| connected)
                .with_context(|| format!("port {port}"))?;
            return Ok(true);
        }
        let url = question.url.as_deref().unwrap_or_default().replace("{ip}", &host(node.ip));
        let method = if question.body.is_some() { Method::POST } else { Method::GET };
        let request = self.0.request(method, &url).body(question.body.clone().unwrap_or_default());
        let answer = request.send().await.with_context(|| url.clone())?;
        let good = answer.status().is_success();
        Ok(good && question.holds(&answer.text().await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_searched_or_compared() {
        let question = |text: &str| toml::from_str::<Question>(text).unwrap();
        let contains = question(
            r#"url = "u"
            contains = "true""#,
        );
        assert!(contains.holds("{\"health\":\"true\"}") && !contains.holds("{}"));
        let equal = question(
            r#"url = "u"
            equal = ["/header/id", "/leader"]"#,
        );
        assert!(equal.holds(r#"{"header":{"id":"7"},"leader":"7"}"#));
        assert!(!equal.holds(r#"{"header":{"id":"7"},"leader":"8"}"#));
        assert!(!equal.holds("{}") && !equal.holds("no JSON"), "what is missing is not equal");
    }
}
