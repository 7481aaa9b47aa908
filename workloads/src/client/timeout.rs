use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use squall_checkers::Op;
use tokio::time::timeout;

use super::{Client, Completion, Node};

/// A client none of whose calls takes longer than a bound.
///
/// An operation that does is `info` with the error `timeout`: it may have taken effect, and may yet. It is dropped
/// where it stands, so the client is in no known state after it; but after an `info` nobody uses it again.
pub struct TimeoutClient {
    client: Box<dyn Client>,
    bound: Duration,
}

impl TimeoutClient {
    /// The client, bounded. Whatever it opens is bounded too.
    pub fn new(client: Box<dyn Client>, bound: Duration) -> TimeoutClient {
        TimeoutClient { client, bound }
    }

    fn late(&self, what: &str) -> anyhow::Error {
        anyhow!("{what} took longer than {:?}", self.bound)
    }
}

#[async_trait]
impl Client for TimeoutClient {
    async fn open(&self, node: &Node) -> anyhow::Result<Box<dyn Client>> {
        match timeout(self.bound, self.client.open(node)).await {
            Ok(client) => Ok(Box::new(TimeoutClient::new(client?, self.bound))),
            Err(_) => Err(self.late(&format!("opening a client to {}", node.name))),
        }
    }

    async fn setup(&mut self) -> anyhow::Result<()> {
        match timeout(self.bound, self.client.setup()).await {
            Ok(result) => result,
            Err(_) => Err(self.late("setting up the data")),
        }
    }

    async fn invoke(&mut self, op: &Op) -> anyhow::Result<Completion> {
        timeout(self.bound, self.client.invoke(op)).await.unwrap_or_else(|_| Ok(Completion::info("timeout")))
    }

    async fn close(&mut self) {
        // Whoever does not even close in time is dropped.
        let _ = timeout(self.bound, self.client.close()).await;
    }
}

#[cfg(test)]
mod tests {
    use squall_checkers::Type;

    use super::super::test_node;
    use super::*;

    /// Takes this long for everything.
    struct Slow(Duration);

    #[async_trait]
    impl Client for Slow {
        async fn open(&self, _: &Node) -> anyhow::Result<Box<dyn Client>> {
            tokio::time::sleep(self.0).await;
            Ok(Box::new(Slow(self.0)))
        }

        async fn setup(&mut self) -> anyhow::Result<()> {
            tokio::time::sleep(self.0).await;
            Ok(())
        }

        async fn invoke(&mut self, _: &Op) -> anyhow::Result<Completion> {
            tokio::time::sleep(self.0).await;
            Ok(Completion::ok())
        }

        async fn close(&mut self) {
            tokio::time::sleep(self.0).await;
        }
    }

    fn bounded(takes: Duration) -> TimeoutClient {
        TimeoutClient::new(Box::new(Slow(takes)), Duration::from_secs(5))
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_becomes_an_info() {
        let mut client = bounded(Duration::MAX);
        assert_eq!(client.invoke(&Op::new("read")).await.unwrap(), Completion::info("timeout"));
        let error = client.open(&test_node()).await.err().unwrap();
        assert_eq!(error.to_string(), "opening a client to n1 took longer than 5s");
        let error = client.setup().await.unwrap_err();
        assert_eq!(error.to_string(), "setting up the data took longer than 5s");
        client.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_time_is_left_alone() {
        let client = bounded(Duration::from_secs(4));
        let mut client = client.open(&test_node()).await.unwrap();
        client.setup().await.unwrap();
        assert_eq!(client.invoke(&Op::new("read")).await.unwrap().kind, Type::Ok);
    }
}
