use async_trait::async_trait;
use squall_checkers::Op;

use super::{Client, Completion, Node};

/// Completes everything with `ok` at once, and does nothing. To measure the harness, and for dry runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopClient;

#[async_trait]
impl Client for NoopClient {
    async fn open(&self, _: &Node) -> anyhow::Result<Box<dyn Client>> {
        Ok(Box::new(NoopClient))
    }

    async fn invoke(&mut self, _: &Op) -> anyhow::Result<Completion> {
        Ok(Completion::ok())
    }
}
