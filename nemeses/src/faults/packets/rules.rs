//! The rules that send what a node receives from some others to a queue.

use std::net::IpAddr;

use anyhow::Result;

use super::super::chain::Chain;

/// Rules in a chain of our own. They let packets pass when nobody serves the queue.
pub(super) struct Rules(Chain);

const CHAIN: &str = "squall-packets";
/// Where packets come in that were copied: those are not queued again.
const HOOK: &[&str] = &["INPUT", "!", "-i", "lo"];

impl Rules {
    /// Removes what an agent that was killed left, and tells whether there was anything.
    pub(super) fn sweep() -> bool {
        Chain::sweep(CHAIN, HOOK)
    }

    /// Rules that send nothing to a queue yet.
    pub(super) fn open() -> Result<Rules> {
        let chain = Chain::open(CHAIN, HOOK)?;
        chain.engage(true)?;
        Ok(Rules(chain))
    }

    /// Sends what comes from these addresses, and no others, to the queue of this number.
    pub(super) fn set(&self, queue: u16, sources: &[IpAddr]) -> Result<()> {
        self.0.set(|v4| {
            let of_version = sources.iter().filter(|source| source.is_ipv4() == v4);
            of_version
                .map(|from| format!("-s {from} -j NFQUEUE --queue-num {queue} --queue-bypass"))
                .collect()
        })
    }

    /// How many addresses the kernel has rules for.
    pub(super) fn count(&self) -> Result<usize> {
        Ok(self.0.rules()?.iter().filter(|rule| rule.contains("NFQUEUE")).count())
    }
}
