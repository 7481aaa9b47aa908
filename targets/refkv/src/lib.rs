//! The reference key-value store: a small replicated store whose guarantees are known, with known bugs to switch on.
//!
//! It is the control of a fault-injection harness, which sees it through its sockets only: the correct design must
//! pass under every fault, and each bug must be found. It is also meant to be read: each protocol is a pure state
//! machine, and each bug stands beside the correct line.
//!
//! Begin with [`raft`]. Around it: [`store`] and [`session`] make the state ([`machine`]), [`wal`] keeps it,
//! [`peer`] and [`http`] carry it, and [`server`] drives it all.

pub mod args;
pub mod bug;
pub mod error;
pub mod http;
pub mod machine;
pub mod metrics;
pub mod peer;
pub mod raft;
pub mod server;
pub mod session;
pub mod store;
pub mod wal;

pub use args::Args;
pub use bug::{BUGS, Bug, DESIGNS, Design};
pub use server::run;
