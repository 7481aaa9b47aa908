use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::chain::{Chain, VERSIONS};
use super::cut::{At, Filter, Pair};
use super::how::How;

/// Drop rules in a chain of our own, for machines without a usable `nft`.
///
/// On a bridge it needs the module `br_netfilter`, which shows bridged packets to iptables, and the match `physdev`.
pub(super) struct Iptables {
    chain: Chain,
}

const CHAIN: &str = "squall-cut";
const AT_NODE: &[&str] = &["INPUT"];

impl Iptables {
    /// Removes what an agent that was killed left on a node, and tells whether there was anything.
    pub(super) fn sweep() -> bool {
        Chain::sweep(CHAIN, AT_NODE)
    }

    pub(super) fn open(at: At) -> Result<Iptables> {
        let hook: &[&str] = match at {
            At::Node => AT_NODE,
            At::Switch => {
                for version in VERSIONS {
                    let switch = format!("/proc/sys/net/bridge/bridge-nf-call-{}", version.0);
                    std::fs::write(&switch, "1").with_context(|| {
                        format!("{switch} (bridged packets pass iptables only with the module br_netfilter)")
                    })?;
                }
                &["FORWARD", "-m", "physdev", "--physdev-is-bridged"]
            }
        };
        let chain = Chain::open(CHAIN, hook)?;
        chain.engage(true)?;
        Ok(Iptables { chain })
    }
}

/// The matches and the verdict of each rule for a pair.
fn verdicts(how: &How) -> Vec<String> {
    let ports: Vec<String> = how.ports.iter().map(u16::to_string).collect();
    let of = |protocol: &str| match ports.as_slice() {
        [] => format!("-p {protocol}"),
        ports => format!("-p {protocol} -m multiport --ports {}", ports.join(",")),
    };
    let mut verdicts = Vec::new();
    if how.reset {
        verdicts.push(format!("{} -j REJECT --reject-with tcp-reset", of("tcp")));
    }
    match ports.is_empty() {
        true => verdicts.push("-j DROP".to_owned()),
        false => verdicts.extend(["tcp", "udp"].map(|protocol| format!("{} -j DROP", of(protocol)))),
    }
    verdicts
}

impl Filter for Iptables {
    fn program(&self) -> &'static str {
        "iptables"
    }

    fn set(&mut self, pairs: &[Pair], how: &How) -> Result<()> {
        let verdicts = verdicts(how);
        self.chain.set(|v4| {
            let of_version = pairs.iter().filter(|(from, _)| from.is_ipv4() == v4);
            of_version
                .flat_map(|(from, to)| verdicts.iter().map(move |end| format!("-s {from} -d {to} {end}")))
                .collect()
        })
    }

    fn engage(&mut self, on: bool) -> Result<()> {
        self.chain.engage(on)
    }

    fn read(&mut self) -> Result<Vec<(Pair, u64)>> {
        // A pair may have a rule for each protocol.
        let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
        for (pair, packets) in self.chain.rules()?.iter().filter_map(|rule| parse(rule)) {
            *counts.entry(pair).or_default() += packets;
        }
        Ok(counts.into_iter().collect())
    }
}

/// `-A squall-cut -s 10.0.0.1/32 -d 10.0.0.2/32 -c 3 252 -j DROP`.
fn parse(rule: &str) -> Option<(Pair, u64)> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
    let address = |flag: &str| after(flag)?.split('/').next()?.parse().ok();
    Some(((address("-s")?, address("-d")?), after("-c")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let pair = (("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()), 3);
        assert_eq!(parse("-A squall-cut -s 10.0.0.1/32 -d 10.0.0.2/32 -c 3 252 -j DROP").unwrap(), pair);
        let v6 = parse("-A squall-cut -s fd00::1/128 -d fd00::2/128 -c 0 0 -j DROP").unwrap();
        assert_eq!(v6.1, 0);
        assert!(parse("-N squall-cut -c 0 0").is_none());
    }

    #[test]
    fn what_is_not_of_the_ports_passes() {
        let how = How { ports: vec![2379, 2380], reset: true, ..How::default() };
        assert_eq!(
            verdicts(&how),
            [
                "-p tcp -m multiport --ports 2379,2380 -j REJECT --reject-with tcp-reset",
                "-p tcp -m multiport --ports 2379,2380 -j DROP",
                "-p udp -m multiport --ports 2379,2380 -j DROP",
            ]
        );
        assert_eq!(verdicts(&How::default()), ["-j DROP"]);
    }
}
