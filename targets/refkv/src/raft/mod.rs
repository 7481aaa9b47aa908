//! Raft as a pure state machine (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm",
//! extended version, 2014: "paper"; Ongaro, "Consensus: Bridging Theory and Practice", 2014: "thesis").
//!
//! [`Node`] has no socket, no clock and no randomness but its seed. Feed it [`Input`]s with [`Node::step`], then
//! take what it wants done with [`Node::output`]. A runtime that keeps the order *records to disk, then messages and
//! answers* is correct. Between two outputs there may be many inputs: their entries go out in one message a peer, and
//! to disk with one fsync.
//!
//! | file | what it holds |
//! |---|---|
//! | [`node`] | the node: its state, its roles, its inputs and outputs |
//! | [`election`] | pre-vote, votes, check-quorum |
//! | [`replication`] | AppendEntries at both ends, the commit rule, applying |
//! | [`read_index`] | linearizable reads without a log entry |
//! | [`lease`] | linearizable reads without a message, as long as clocks keep to a bound |
//! | [`membership`] | changes of the members by one server |
//! | [`transfer`] | handing leadership over |
//! | [`snapshot`] | taking, sending and installing snapshots |
//! | [`client`] | requests of clients: forwarding, retries, deadlines, answers |
//! | [`log`], [`message`] | the log in memory; what is kept and said |

pub mod client;
pub mod election;
pub mod lease;
pub mod log;
pub mod membership;
pub mod message;
pub mod node;
pub mod read_index;
pub mod replication;
pub mod snapshot;
pub mod transfer;

pub use client::{Answer, Op, Request};
pub use lease::Leases;
pub use message::{Body, Change, Durable, Entry, LogPos, Members, Message, NodeId, Payload, Record, Vote};
pub use node::{Config, Input, Node, Output, Status};
