//! The rules that send what a node receives from some others to a queue.

use std::net::IpAddr;

use anyhow::Result;

use super::super::iptables::{VERSIONS, run};

const CHAIN: &str = "squall-packets";

/// Where packets come in that were copied: those are not queued again.
const HOOK: [&str; 6] = ["INPUT", "!", "-i", "lo", "-j", CHAIN];

/// Rules in a chain of our own. They let packets pass when nobody serves the queue.
pub(super) struct Rules;

impl Rules {
    /// Sends what comes from these addresses to the queue of this number.
    pub(super) fn set(queue: u16, sources: &[IpAddr]) -> Result<Rules> {
        // What was made is removed, even if not all of it could be.
        let rules = Rules;
        for (program, v4) in VERSIONS {
            let mut table = format!("*filter\n:{CHAIN} - [0:0]\n");
            if !v4 {
                for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
                    table += &format!("-A {CHAIN} -p icmpv6 --icmpv6-type {kind} -j RETURN\n");
                }
            }
            for source in sources.iter().filter(|source| source.is_ipv4() == v4) {
                table += &format!("-A {CHAIN} -s {source} -j NFQUEUE --queue-num {queue} --queue-bypass\n");
            }
            table += "COMMIT\n";
            run(&format!("{program}-restore"), &["-w", "5", "--noflush"], &table)?;
            if run(program, &[&["-w", "5", "-C"], &HOOK[..]].concat(), "").is_err() {
                run(program, &[&["-w", "5", "-I"], &HOOK[..]].concat(), "")?;
            }
        }
        Ok(rules)
    }

    /// How many rules the kernel has.
    pub(super) fn count(&self) -> Result<usize> {
        let mut count = 0;
        for (program, _) in VERSIONS {
            let listing = run(program, &["-w", "5", "-S", CHAIN], "")?;
            count += listing.lines().filter(|rule| rule.contains("NFQUEUE")).count();
        }
        Ok(count)
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        for (program, _) in VERSIONS {
            for words in [&[&["-D"][..], &HOOK].concat()[..], &["-F", CHAIN], &["-X", CHAIN]] {
                let _ = run(program, &[&["-w", "5"], words].concat(), "");
            }
        }
    }
}
