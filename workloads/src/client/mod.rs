//! The client trait: how an operation reaches a node.
//!
//! [`TimeoutClient`] and [`ValidatedClient`] wrap any client, so that a mistake in it becomes a message and not a hang.
//! [`NoopClient`] and [`AtomClient`] need no cluster.

mod atom;
mod noop;
mod timeout;
mod validated;

use std::net::IpAddr;

pub use atom::{AtomClient, Fault};
pub use noop::NoopClient;
pub use timeout::TimeoutClient;
pub use validated::{InvalidCompletion, ValidatedClient};

use async_trait::async_trait;
use squall_checkers::{Op, Type, Value};

/// A node's name and address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its name in the cluster, such as `n1`.
    pub name: String,
    /// Where clients and other nodes reach it.
    pub ip: IpAddr,
    /// Its further addresses, by which other nodes may reach it as well.
    pub other_ips: Vec<IpAddr>,
}

impl Node {
    /// A node with one address.
    pub fn new(name: impl Into<String>, ip: impl Into<IpAddr>) -> Node {
        Node { name: name.into(), ip: ip.into(), other_ips: Vec::new() }
    }

    /// All its addresses.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        std::iter::once(self.ip).chain(self.other_ips.iter().copied())
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// `Ok`, `Fail` or `Info`.
    pub kind: Type,
    /// The result; `None` keeps the invocation's value.
    pub value: Option<Value>,
    /// Why it failed or is unknown.
    pub error: Option<String>,
}

impl Completion {
    /// It took effect.
    pub fn ok() -> Completion {
        Completion { kind: Type::Ok, value: None, error: None }
    }

    /// It took effect and returned this.
    pub fn value(value: impl Into<Value>) -> Completion {
        Completion { value: Some(value.into()), ..Completion::ok() }
    }

    /// It provably did not take effect and never will. When in doubt, use [`Completion::info`].
    pub fn fail(error: impl Into<String>) -> Completion {
        Completion { kind: Type::Fail, value: None, error: Some(error.into()) }
    }

    /// Nobody knows whether it took effect.
    pub fn info(error: impl Into<String>) -> Completion {
        Completion { kind: Type::Info, ..Completion::fail(error) }
    }
}

/// A connection of one process to one node.
///
/// A target hands out a prototype that is connected to nothing; [`open`](Client::open) makes a connected one for each
/// process. After an `info` the client is closed and the next process opens its own.
#[async_trait]
pub trait Client: Send + Sync {
    /// A new client of the same kind, connected to `node`.
    async fn open(&self, node: &Node) -> anyhow::Result<Box<dyn Client>>;

    /// Prepares the data that the workload needs (a table, a stream). Called once in a run, on a client of one node.
    async fn setup(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Performs an operation. `Err` counts as `info`: only a client that knows better may say `fail`.
    async fn invoke(&mut self, op: &Op) -> anyhow::Result<Completion>;

    /// Ends the connection.
    async fn close(&mut self) {}
}

#[cfg(test)]
fn test_node() -> Node {
    Node::new("n1", std::net::Ipv4Addr::LOCALHOST)
}
