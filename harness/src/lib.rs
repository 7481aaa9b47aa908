//! squall: a fault-injection test harness for distributed systems, after Jepsen.

pub mod event;
pub mod interpreter;
mod worker;
