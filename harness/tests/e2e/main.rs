//! The `squall` binary from outside: real processes, namespaces and files, in runs of a few seconds.
//!
//! One test binary, so that it is linked once. Each test works in a folder of its own.

#[path = "../../../.ci/again.rs"]
mod again;
mod agent;
mod check;
mod cli;
mod disks;
mod etcd;
mod forbidden;
mod guest;
mod interrupt;
mod leftovers;
mod nemeses;
mod run;
mod schedule;
mod squall;
mod ssh;
mod sshd;
