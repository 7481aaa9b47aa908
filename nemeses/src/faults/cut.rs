use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::NodeFault;

use super::connections;
use super::flapper::Flapper;
use super::how::How;
use super::iptables::Iptables;
use super::nft::Nft;
use crate::words::{count, thousands};

/// Where packets are dropped. Never at the sender: its programs would see `EPERM` at once, and recover unrealistically
/// fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// On the bridge that joins the nodes. Resets are not made here.
    Switch,
    /// On the receiving node.
    Node,
}

/// What a cut takes. JSON: `{"at": "switch", "pairs": [["10.0.0.1", "10.0.0.2"], …], "how": {"ports": [2380]}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutArgs {
    /// Where.
    pub at: At,
    /// Packets from the first to the second address are dropped. Both of one IP version.
    pub pairs: Vec<Pair>,
    /// Which of them, and in what way.
    #[serde(default, skip_serializing_if = "How::is_plain")]
    pub how: How,
}

/// Under this name `measured` holds how many directions were open before they were healed, if any were.
pub(crate) const LOST: &str = "directions_lost";

/// A direction: from the first address to the second.
pub(super) type Pair = (IpAddr, IpAddr);

/// What can drop packets by source and destination. Dropping it removes all that it made.
pub(super) trait Filter: Send {
    /// The program that does it.
    fn program(&self) -> &'static str;

    /// Drops these and no others from now on, in one transaction for each IP version at most.
    fn set(&mut self, pairs: &[Pair], how: &How) -> Result<()>;

    /// Lets everything pass for a while, or drops again what was set.
    fn engage(&mut self, on: bool) -> Result<()>;

    /// The pairs that were set as the kernel knows them, each with the packets dropped since [`set`](Filter::set).
    fn read(&mut self) -> Result<Vec<(Pair, u64)>>;
}

/// A filter that a thread may turn on and off.
pub(super) type Shared = Arc<Mutex<Box<dyn Filter>>>;

/// Network partitions: drops what one address sends to another, pair by pair, IPv4 and IPv6.
///
/// With `nft` the rules live in a table that the kernel removes when its holder dies. Where there is no usable `nft`,
/// `iptables` does the same in a chain of our own, which is removed by what outlives the agent.
#[derive(Default)]
pub struct Cut {
    /// Stopped before the filter goes.
    flapper: Option<Flapper>,
    filter: Option<(At, Shared)>,
    asked: usize,
}

impl Cut {
    fn filter(&mut self, at: At) -> Result<&Shared> {
        if self.filter.as_ref().is_none_or(|(place, _)| *place != at) {
            self.filter = Some((at, Arc::new(Mutex::new(open(at)?))));
        }
        Ok(&self.filter.as_ref().expect("opened above").1)
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

/// A thread that panicked with the lock leaves a filter that can still be set.
fn locked(filter: &Mutex<Box<dyn Filter>>) -> MutexGuard<'_, Box<dyn Filter>> {
    filter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NodeFault for Cut {
    fn kind(&self) -> &'static str {
        "cut"
    }

    fn inject(&mut self, args: &Value, _pids: &[i32]) -> Result<Receipt> {
        let CutArgs { at, pairs: mut asked, how } =
            CutArgs::deserialize(args).context("the arguments of a cut")?;
        if let Some((from, to)) = asked.iter().find(|(from, to)| from.is_ipv4() != to.is_ipv4()) {
            bail!("{from} and {to} are of different IP versions");
        }
        ensure!(!(how.reset && at == At::Switch), "connections are reset on the nodes, not on the switch");
        asked.sort_unstable();
        asked.dedup();
        self.flapper = None;
        self.asked = asked.len();
        let set = locked(self.filter(at)?).set(&asked, &how);
        if set.is_err() {
            // Its state is unknown: a new one starts from nothing.
            self.filter = None;
            set?;
        }
        let filter = self.filter(at)?.clone();
        let (by, there) = {
            let mut filter = locked(&filter);
            let mut there: Vec<Pair> = filter.read()?.into_iter().map(|(pair, _)| pair).collect();
            there.sort_unstable();
            (filter.program(), there)
        };
        let mut receipt = if there == asked && !asked.is_empty() {
            Receipt::confirmed(format!("{} cut", count(asked.len() as u64, "direction")))
        } else {
            Receipt::unconfirmed(format!("{} of {} directions cut", there.len(), asked.len()))
        }
        .with("directions", there.len())
        .with("by", by);
        if how.reset {
            // Those that say something meet the rule; the idle ones are ended here. Without `ss` they stay until they speak.
            let ended = connections::reset(&asked, &how.ports);
            match ended {
                Ok(ended) => {
                    receipt.evidence += &format!(", {} reset", count(ended as u64, "connection"));
                    receipt = receipt.with("connections_reset", ended);
                }
                Err(error) => receipt = receipt.with("connections_left", format!("{error:#}")),
            }
        }
        if let Some(flap) = how.flap {
            self.flapper = Some(Flapper::start(filter, flap)?);
        }
        Ok(receipt)
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        let flapped = self.flapper.take().map(Flapper::stop);
        let Some((_, filter)) = &self.filter else {
            return Ok(Receipt::unconfirmed("nothing was cut"));
        };
        // A holder that died took its rules with it: healed, but nobody knows what they did.
        let healed = {
            let mut filter = locked(filter);
            filter.read().and_then(|counts| filter.set(&[], &How::default()).map(|()| counts))
        };
        let asked = std::mem::take(&mut self.asked);
        let mut receipt = match healed {
            Ok(counts) if counts.len() == asked => dropped(&counts),
            Ok(counts) => Receipt {
                confirmed: false,
                evidence: format!("only {} of {asked} directions were still cut", counts.len()),
                ..dropped(&counts).with(LOST, asked.saturating_sub(counts.len()))
            },
            Err(error) => {
                self.filter = None;
                return Ok(Receipt::unconfirmed(format!("the rules were gone: {error:#}")).with(LOST, asked));
            }
        };
        if let Some(flapped) = flapped {
            let cuts = flapped.context("cutting and healing in turns")?;
            receipt.evidence += &format!(" in {}", count(cuts, "cut"));
            receipt = receipt.with("cuts", cuts);
        }
        Ok(receipt)
    }

    fn sweep(&mut self) -> Result<Vec<String>> {
        // What nft made went with its holder.
        Ok(Iptables::sweep().then(|| "iptables rules of a partition".to_owned()).into_iter().collect())
    }

    fn probe(&mut self, args: &Value) -> Result<()> {
        let CutArgs { at, .. } = CutArgs::deserialize(args).context("the arguments of a cut")?;
        self.filter(at).map(drop)
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
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::super::testnet::{TestNet, address, in_namespaces, sh};
    use super::*;

    fn args(at: At, pairs: &[(usize, usize)], version: u8) -> Value {
        let pairs = pairs.iter().map(|&(from, to)| (address(from, version), address(to, version))).collect();
        serde_json::to_value(CutArgs { at, pairs, how: How::default() }).unwrap()
    }

    /// A cut that need not choose.
    fn with(switch: Iptables) -> Cut {
        Cut { filter: Some((At::Switch, Arc::new(Mutex::new(Box::new(switch))))), ..Cut::default() }
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
            net.on(2, || node.set(&[(address(1, 4), address(2, 4))], &How::default())).unwrap();
            assert!(!net.reaches(1, 2, 4) && net.reaches(2, 1, 4));
            assert_eq!(net.on(2, || node.read()).unwrap(), [((address(1, 4), address(2, 4)), 1)]);
            net.on(2, || drop(node));
            assert!(net.reaches(1, 2, 4));

            // Where the module is missing the error says so, and no test can load it.
            match Iptables::open(At::Switch) {
                Ok(switch) => {
                    let mut cut = with(switch);
                    cut_and_heal(&mut cut, &net, 4, "iptables");
                    cut_and_heal(&mut cut, &net, 6, "iptables");
                    drop(cut);
                    assert!(!sh("iptables-save; ip6tables-save").contains("squall"));

                    let switch = Iptables::open(At::Switch).unwrap();
                    let mut cut = with(switch);
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

    fn how_args(at: At, pairs: &[(usize, usize)], version: u8, how: &str) -> Value {
        let mut args: CutArgs = serde_json::from_value(args(at, pairs, version)).unwrap();
        args.how = how.parse().unwrap();
        serde_json::to_value(args).unwrap()
    }

    #[test]
    fn only_the_named_ports_are_cut() {
        in_namespaces("faults::cut::tests::only_the_named_ports_are_cut", || {
            let net = TestNet::new(2);
            for version in [4, 6] {
                for at in [At::Switch, At::Node] {
                    let mut cut = Cut::default();
                    let args = how_args(at, &[(1, 2), (2, 1)], version, "port=7001+port=7002");
                    let receipt = match at {
                        At::Switch => cut.inject(&args, &[]),
                        At::Node => net.on(2, || cut.inject(&args, &[])),
                    };
                    assert!(receipt.unwrap().confirmed);
                    assert!(net.reaches(1, 2, version), "a port that was not named");
                    assert!(!net.reaches_port(1, 2, version, 7001) && !net.reaches_port(1, 2, version, 7002));
                    let receipt = cut.heal(&[]).unwrap();
                    assert_eq!((receipt.confirmed, receipt.evidence.as_str()), (true, "2 packets dropped"));
                    assert!(net.reaches_port(1, 2, version, 7001));
                }
            }
        });
    }

    #[test]
    fn connections_are_reset_and_none_is_made() {
        in_namespaces("faults::cut::tests::connections_are_reset_and_none_is_made", || {
            let net = TestNet::new(2);
            for version in [4, 6] {
                let listener = net.on(2, || TcpListener::bind((address(2, version), 7003)).unwrap());
                let to = listener.local_addr().unwrap();
                let connect = || net.on(1, || TcpStream::connect_timeout(&to, Duration::from_secs(2)));
                let (mut idle, mut busy) = (connect().unwrap(), connect().unwrap());
                let accepted: Vec<TcpStream> = (0..2).map(|_| listener.accept().unwrap().0).collect();
                let mut cut = Cut::default();
                let args = how_args(At::Node, &[(1, 2)], version, "reset");
                let receipt = net.on(2, || cut.inject(&args, &[])).unwrap();
                println!("IPv{version}: {}", receipt.evidence);
                assert!(receipt.confirmed);
                idle.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                busy.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                let end = busy.write(b"hello").and_then(|_| busy.read(&mut [0; 8]));
                assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
                if receipt.measured.contains_key("connections_reset") {
                    assert_eq!(idle.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
                }
                assert_eq!(
                    connect().unwrap_err().kind(),
                    ErrorKind::ConnectionRefused,
                    "at once, not in silence"
                );
                drop(accepted);
                assert!(net.on(2, || cut.heal(&[])).unwrap().confirmed);
                connect().unwrap();
            }
            let mut cut = Cut::default();
            assert!(cut.inject(&how_args(At::Switch, &[(1, 2)], 4, "reset"), &[]).is_err());
        });
    }

    #[test]
    fn links_flap_for_as_long_as_it_lasts() {
        in_namespaces("faults::cut::tests::links_flap_for_as_long_as_it_lasts", || {
            let net = TestNet::new(2);
            let iptables: Box<dyn Filter> = net.on(2, || Box::new(Iptables::open(At::Node).unwrap()) as _);
            let by_iptables =
                Cut { filter: Some((At::Node, Arc::new(Mutex::new(iptables)))), ..Cut::default() };
            for (mut cut, at) in [(Cut::default(), At::Switch), (by_iptables, At::Node)] {
                let args = how_args(at, &[(1, 2)], 4, "flap=400ms/400ms");
                let mut inject = || cut.inject(&args, &[]);
                match at {
                    At::Switch => inject(),
                    At::Node => net.on(2, inject),
                }
                .unwrap();
                // Each try takes 150 ms while the link is cut.
                let start = Instant::now();
                let mut seen = Vec::new();
                while start.elapsed() < Duration::from_secs(3) {
                    seen.push(net.reaches(1, 2, 4));
                    sleep(Duration::from_millis(20));
                }
                let changes = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
                let receipt = match at {
                    At::Switch => cut.heal(&[]),
                    At::Node => net.on(2, || cut.heal(&[])),
                };
                let receipt = receipt.unwrap();
                println!("{changes} changes in 3 s: {}", receipt.evidence);
                assert!(!seen[0] && changes >= 3, "{seen:?}");
                assert!(receipt.confirmed && receipt.measured["cuts"].as_u64().unwrap() >= 2);
                assert!((0..5).all(|_| net.reaches(1, 2, 4)), "healed is healed");
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
