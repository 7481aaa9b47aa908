//! What clients do to a target: generators, the client trait, and workloads.
//!
//! A *generator* decides which operation comes next and when; a *client* carries it out against a node; a *workload*
//! ties a generator to the checkers that judge the history it makes.

pub mod client;
pub mod generator;
pub mod workload;

pub use client::{Client, Completion, Node};
pub use generator::{Context, Generator, Next};
pub use squall_checkers::{Op, Process, Type, Value};
pub use workload::{Options, Workload, append, register, set};
