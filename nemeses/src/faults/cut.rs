use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::NodeFault;

use super::iptables::Iptables;
use super::nft::Nft;
use crate::words::{count, thousands};

/// Where packets are dropped. Never at the sender: its programs would see `EPERM` at once, and recover unrealistically
/// fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// On the bridge that joins the nodes.
    Switch,
    /// On the receiving node.
    Node,
}

/// What a cut takes. JSON: `{"at": "switch", "pairs": [["10.0.0.1", "10.0.0.2"], …]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutArgs {
    /// Where.
    pub at: At,
    /// Packets from the first to the second address are dropped. Both of one IP version.
    pub pairs: Vec<Pair>,
}

/// A direction: from the first address to the second.
pub(super) type Pair = (IpAddr, IpAddr);

/// What can drop packets by source and destination.
pub(super) trait Filter: Send {
    /// The program that does it.
    fn program(&self) -> &'static str;

    /// Drops these and no others from now on, in one transaction.
    fn set(&mut self, pairs: &[Pair]) -> Result<()>;

    /// The pairs that the kernel drops now, each with the packets dropped since [`set`](Filter::set).
    fn read(&mut self) -> Result<Vec<(Pair, u64)>>;

    /// Removes all that it made. An error means that something may be left.
    fn close(&mut self) -> Result<()>;
}

/// Network partitions: drops what one address sends to another, pair by pair, IPv4 and IPv6.
///
/// With `nft` the rules live in a table that the kernel removes when its holder dies. Where there is no usable `nft`,
/// `iptables` does the same in a chain of our own, which a dead agent leaves behind unless its namespace goes with it.
#[derive(Default)]
pub struct Cut {
    filter: Option<(At, Box<dyn Filter>)>,
    asked: usize,
}

impl Cut {
    fn filter(&mut self, at: At) -> Result<&mut Box<dyn Filter>> {
        if self.filter.as_ref().is_none_or(|(place, _)| *place != at) {
            self.filter = Some((at, open(at)?));
        }
        Ok(&mut self.filter.as_mut().expect("opened above").1)
    }
}

fn open(at: At) -> Result<Box<dyn Filter>> {
    let nft = match Nft::open(at) {
        Ok(nft) => return Ok(Box::new(nft)),
        Err(error) => error,
    };
    match Iptables::open(at) {
        Ok(iptables) => Ok(Box::new(iptables)),
        Err(error) => Err(Unavailable::new(
            format!("packets cannot be dropped here (nft: {nft:#}; iptables: {error:#})"),
            "install nftables, and run as root or where user namespaces are allowed",
        )
        .into()),
    }
}

impl NodeFault for Cut {
    fn kind(&self) -> &'static str {
        "cut"
    }

    fn inject(&mut self, args: &Value, _pids: &[i32]) -> Result<Receipt> {
        let args = CutArgs::deserialize(args).context("the arguments of a cut")?;
        if let Some((from, to)) = args.pairs.iter().find(|(from, to)| from.is_ipv4() != to.is_ipv4()) {
            bail!("{from} and {to} are of different IP versions");
        }
        let mut asked = args.pairs;
        asked.sort_unstable();
        asked.dedup();
        self.asked = asked.len();
        let set = self.filter(args.at)?.set(&asked);
        if set.is_err() {
            // Its state is unknown: a new one starts from nothing.
            self.filter(args.at)?.close()?;
            self.filter = None;
            set?;
        }
        let filter = self.filter(args.at)?;
        let by = filter.program();
        let mut there: Vec<Pair> = filter.read()?.into_iter().map(|(pair, _)| pair).collect();
        there.sort_unstable();
        Ok(if there == asked && !asked.is_empty() {
            Receipt::confirmed(format!("{} cut", count(asked.len() as u64, "direction")))
        } else {
            Receipt::unconfirmed(format!("{} of {} directions cut", there.len(), asked.len()))
        }
        .with("directions", there.len())
        .with("by", by))
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        let Some((_, filter)) = &mut self.filter else {
            return Ok(Receipt::unconfirmed("nothing was cut"));
        };
        // A holder that died took its rules with it: healed, but nobody knows what they did.
        let healed = filter.read().and_then(|counts| filter.set(&[]).map(|()| counts));
        let asked = std::mem::take(&mut self.asked);
        match healed {
            Ok(counts) if counts.len() == asked => Ok(dropped(&counts)),
            Ok(counts) => Ok(Receipt {
                confirmed: false,
                evidence: format!("only {} of {asked} directions were still cut", counts.len()),
                ..dropped(&counts)
            }),
            Err(error) => {
                filter.close()?;
                self.filter = None;
                Ok(Receipt::unconfirmed(format!("the rules were gone: {error:#}")))
            }
        }
    }
}

fn dropped(counts: &[(Pair, u64)]) -> Receipt {
    let total: u64 = counts.iter().map(|(_, packets)| packets).sum();
    let hit = counts.iter().filter(|(_, packets)| *packets > 0).count();
    match (counts.len(), total) {
        (0, _) => Receipt::unconfirmed("nothing was cut"),
        (_, 0) => Receipt::unconfirmed("no packet was dropped"),
        (_, 1) => Receipt::confirmed("1 packet dropped"),
        _ => Receipt::confirmed(format!("{} packets dropped", thousands(total))),
    }
    .with("dropped", total)
    .with("directions", counts.len())
    .with("directions_hit", hit)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::super::testnet::{TestNet, address, in_namespaces, sh};
    use super::*;

    fn args(at: At, pairs: &[(usize, usize)], version: u8) -> Value {
        let pairs = pairs.iter().map(|&(from, to)| (address(from, version), address(to, version))).collect();
        serde_json::to_value(CutArgs { at, pairs }).unwrap()
    }

    /// Cuts 1 from 2 in one direction and 3 off wholly, looks at real packets, and heals.
    fn cut_and_heal(cut: &mut Cut, net: &TestNet, version: u8, by: &str) {
        let pairs = [(1, 2), (1, 3), (2, 3), (3, 1), (3, 2)];
        assert!(net.reaches(1, 2, version) && net.reaches(3, 2, version), "before, IPv{version}");
        let receipt = cut.inject(&args(At::Switch, &pairs, version), &[]).unwrap();
        assert!(receipt.confirmed, "{receipt:?}");
        assert_eq!(receipt.measured["by"], by);
        for (from, to) in [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)] {
            let expected = !pairs.contains(&(from, to));
            assert_eq!(net.reaches(from, to, version), expected, "{from} to {to}, IPv{version}");
        }
        let receipt = cut.heal(&[]).unwrap();
        assert!(receipt.confirmed, "{receipt:?}");
        assert_eq!(receipt.evidence, "5 packets dropped");
        assert_eq!(receipt.measured["directions_hit"], 5);
        assert!(net.reaches(1, 2, version) && net.reaches(3, 2, version), "after, IPv{version}");
        assert!(!cut.heal(&[]).unwrap().confirmed, "nothing is cut any more");
    }

    #[test]
    fn the_switch_drops_exactly_the_pairs_of_a_cut() {
        in_namespaces("faults::cut::tests::the_switch_drops_exactly_the_pairs_of_a_cut", || {
            let net = TestNet::new(3);
            let mut cut = Cut::default();
            cut_and_heal(&mut cut, &net, 4, "nft");
            cut_and_heal(&mut cut, &net, 6, "nft");

            let idle = cut.inject(&args(At::Switch, &[(1, 2)], 4), &[]).unwrap();
            assert!(idle.confirmed);
            let receipt = cut.heal(&[]).unwrap();
            assert_eq!((receipt.confirmed, receipt.evidence.as_str()), (false, "no packet was dropped"));

            let mut us = Vec::new();
            for _ in 0..50 {
                let start = Instant::now();
                cut.inject(&args(At::Switch, &[(1, 2), (2, 1), (1, 3), (3, 1)], 4), &[]).unwrap();
                us.push(start.elapsed().as_micros());
            }
            us.sort_unstable();
            println!("a cut and its receipt: median {} us, most {} us", us[25], us[49]);
        });
    }

    #[test]
    fn a_cut_goes_with_its_holder() {
        in_namespaces("faults::cut::tests::a_cut_goes_with_its_holder", || {
            let net = TestNet::new(2);
            let mut cut = Cut::default();
            cut.inject(&args(At::Switch, &[(1, 2)], 4), &[]).unwrap();
            assert!(!net.reaches(1, 2, 4));
            drop(cut);
            assert!(net.reaches(1, 2, 4));
            assert_eq!(sh("nft list tables"), "");
        });
    }

    /// A kill of all processes of a node, or of the machine's memory hog, may hit the resident `nft` as well.
    #[test]
    fn a_holder_that_died_is_told_and_replaced() {
        in_namespaces("faults::cut::tests::a_holder_that_died_is_told_and_replaced", || {
            let net = TestNet::new(2);
            let mut cut = Cut::default();
            cut.inject(&args(At::Switch, &[(1, 2)], 4), &[]).unwrap();
            let holder =
                sh("for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = nft ] && basename $p; done; true");
            sh(&format!("kill -9 {}", holder.trim()));
            let receipt = cut.heal(&[]).unwrap();
            assert!(!receipt.confirmed && receipt.evidence.starts_with("the rules were gone"), "{receipt:?}");
            assert!(cut.inject(&args(At::Switch, &[(1, 2)], 4), &[]).unwrap().confirmed);
            assert!(!net.reaches(1, 2, 4));
        });
    }

    #[test]
    fn a_node_drops_what_it_receives() {
        in_namespaces("faults::cut::tests::a_node_drops_what_it_receives", || {
            let net = TestNet::new(2);
            let mut cut = Cut::default();
            for version in [4, 6] {
                let receipt = net.on(2, || cut.inject(&args(At::Node, &[(1, 2)], version), &[])).unwrap();
                assert!(receipt.confirmed, "{receipt:?}");
                assert!(!net.reaches(1, 2, version) && net.reaches(2, 1, version));
                assert_eq!(cut.heal(&[]).unwrap().evidence, "1 packet dropped");
                assert!(net.reaches(1, 2, version));
            }
        });
    }

    #[test]
    fn iptables_does_the_same_where_there_is_no_nft() {
        in_namespaces("faults::cut::tests::iptables_does_the_same_where_there_is_no_nft", || {
            let net = TestNet::new(3);
            let mut node: Box<dyn Filter> = net.on(2, || Box::new(Iptables::open(At::Node).unwrap()) as _);
            net.on(2, || node.set(&[(address(1, 4), address(2, 4))])).unwrap();
            assert!(!net.reaches(1, 2, 4) && net.reaches(2, 1, 4));
            assert_eq!(net.on(2, || node.read()).unwrap(), [((address(1, 4), address(2, 4)), 1)]);
            net.on(2, || drop(node));
            assert!(net.reaches(1, 2, 4));

            // Where the module is missing the error says so, and no test can load it.
            match Iptables::open(At::Switch) {
                Ok(switch) => {
                    let mut cut = Cut { filter: Some((At::Switch, Box::new(switch))), asked: 0 };
                    cut_and_heal(&mut cut, &net, 4, "iptables");
                    cut_and_heal(&mut cut, &net, 6, "iptables");
                    drop(cut);
                    assert!(!sh("iptables-save; ip6tables-save").contains("squall"));

                    let switch = Iptables::open(At::Switch).unwrap();
                    let mut cut = Cut { filter: Some((At::Switch, Box::new(switch))), asked: 0 };
                    cut.inject(&args(At::Switch, &[(1, 2)], 4), &[]).unwrap();
                    sh("iptables -F FORWARD; iptables -F squall-cut; iptables -X squall-cut");
                    let receipt = cut.heal(&[]).unwrap();
                    assert!(!receipt.confirmed && receipt.evidence.starts_with("the rules were gone"));
                    assert!(!sh("iptables-save; ip6tables-save").contains("squall"));
                }
                Err(error) => assert!(format!("{error:#}").contains("br_netfilter"), "{error:#}"),
            }
        });
    }

    #[test]
    fn wrong_arguments_are_told() {
        let mut cut = Cut::default();
        let mixed = json!({"at": "node", "pairs": [["10.0.0.1", "fd00::1"]]});
        let error = cut.inject(&mixed, &[]).unwrap_err().to_string();
        assert_eq!(error, "10.0.0.1 and fd00::1 are of different IP versions");
        assert!(cut.inject(&json!({"at": "moon", "pairs": []}), &[]).is_err());
    }
}
