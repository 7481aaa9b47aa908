//! Packet faults: delay, jitter, loss, duplication, reordering, corruption and a limited rate.

mod copies;
mod engine;
mod packet;
mod profile;
mod rules;
mod shaper;

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use engine::{Counts, Engine};
pub use profile::{Profile, Spread};
use rules::Rules;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shaper::Shaper;
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::NodeFault;

use crate::words::{count, thousands};

/// The netfilter queue. A network namespace has its own.
const QUEUE: u16 = 9218;

/// What [`Packets`] takes. JSON: `{"seed": 7, "flows": [{"from": "10.0.0.1", "profile": {"delay_ms": 50}}]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PacketArgs {
    /// Decides the fate of each packet.
    pub seed: u64,
    /// By sender.
    pub flows: Vec<Flow>,
}

/// What a node receives from one address.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The sender.
    pub from: IpAddr,
    /// What happens to its packets.
    pub profile: Profile,
}

/// Makes what a node receives from others late, rare, double, disordered, damaged or slow.
///
/// Packets that come in go to a netfilter queue (`iptables -j NFQUEUE`), and a thread of the agent answers for each when it
/// is due. When the agent dies, so does the queue, and packets pass as if nothing were there.
#[derive(Default)]
pub struct Packets {
    acting: Option<Acting>,
}

/// Rules go before the engine does: what it holds then is let go, and nothing more comes.
struct Acting {
    rules: Rules,
    engine: Engine,
    flows: Vec<Flow>,
}

impl NodeFault for Packets {
    fn kind(&self) -> &'static str {
        "packets"
    }

    fn inject(&mut self, args: &Value, _pids: &[i32]) -> Result<Receipt> {
        let PacketArgs { seed, flows } =
            PacketArgs::deserialize(args).context("the arguments of a packet fault")?;
        ensure!(!flows.is_empty(), "no flow is named");
        self.acting = None;
        let shaper =
            |(at, flow): (usize, &Flow)| (flow.from, Shaper::new(flow.profile, seed ^ (at as u64) << 32));
        let engine = Engine::start(QUEUE, flows.iter().enumerate().map(shaper).collect::<HashMap<_, _>>());
        let sources: Vec<IpAddr> = flows.iter().map(|flow| flow.from).collect();
        let acting = engine.and_then(|engine| {
            let rules = Rules::set(QUEUE, &sources)?;
            Ok(Acting { rules, engine, flows })
        });
        let acting = acting.map_err(|error| {
            Unavailable::new(
                format!("packets cannot be queued here ({error:#})"),
                "install iptables, and run as root or where user namespaces are allowed",
            )
        })?;
        let there = acting.rules.count()?;
        let receipt = if there == sources.len() && acting.engine.is_alive() {
            Receipt::confirmed(format!("packets from {} queued", count(there as u64, "sender")))
        } else {
            Receipt::unconfirmed(format!("packets from {there} of {} senders queued", sources.len()))
        };
        self.acting = Some(acting);
        Ok(receipt.with("flows", there).with("by", "NFQUEUE"))
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        let Some(Acting { rules, engine, flows }) = self.acting.take() else {
            return Ok(Receipt::unconfirmed("no packet was touched"));
        };
        drop(rules);
        Ok(told(&flows, engine.stop()?))
    }
}

/// Confirmed if everything that was asked for happened at least once.
fn told(flows: &[Flow], counts: Counts) -> Receipt {
    let asks = |what: fn(&Profile) -> bool| flows.iter().any(|flow| what(&flow.profile));
    let effects = [
        (asks(|profile| profile.loss > 0.0), counts.lost, "lost"),
        (asks(|profile| profile.delay_ms > 0.0 || profile.rate_kbit > 0.0), counts.delayed, "delayed"),
        (asks(|profile| profile.duplicate > 0.0), counts.doubled, "doubled"),
        (asks(|profile| profile.corrupt > 0.0), counts.corrupted, "corrupted"),
    ];
    let mean_ms = counts.held_us as f64 / 1e3 / counts.delayed.max(1) as f64;
    let words = effects.iter().filter(|(asked, _, _)| *asked).map(|&(_, number, effect)| match effect {
        "delayed" if number > 0 => format!("{} delayed by {mean_ms:.1} ms on average", thousands(number)),
        _ => format!("{} {effect}", thousands(number)),
    });
    let evidence = format!("of {} packets {}", thousands(counts.seen), words.collect::<Vec<_>>().join(", "));
    let confirmed = effects.iter().all(|&(asked, number, _)| !asked || number > 0);
    Receipt { confirmed, ..Receipt::confirmed(evidence) }
        .with("packets", counts.seen)
        .with("lost", counts.lost)
        .with("delayed", counts.delayed)
        .with("delay_ms_mean", (mean_ms * 1000.0).round() / 1000.0)
        .with("doubled", counts.doubled)
        .with("corrupted", counts.corrupted)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::super::testnet::{TestNet, address, in_namespaces, sh};
    use super::shaper::Fate;
    use super::*;

    const PACKETS: u32 = 400;

    fn args(from: usize, version: u8, profile: &str) -> Value {
        let flows = vec![Flow { from: address(from, version), profile: profile.parse().unwrap() }];
        serde_json::to_value(PacketArgs { seed: 5, flows }).unwrap()
    }

    /// What arrived on node 2 of the packets that node 1 sent, one each millisecond: their numbers and how long they took.
    fn exchange(net: &TestNet, version: u8) -> Vec<(u32, Duration)> {
        let bind = |i| move || UdpSocket::bind((address(i, version), 0)).unwrap();
        let (sender, receiver) = (net.on(1, bind(1)), net.on(2, bind(2)));
        receiver.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let to = receiver.local_addr().unwrap();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..PACKETS {
                    let sent_us = start.elapsed().as_micros() as u64;
                    let mut bytes = [0; 100];
                    bytes[..4].copy_from_slice(&n.to_le_bytes());
                    bytes[4..12].copy_from_slice(&sent_us.to_le_bytes());
                    sender.send_to(&bytes, to).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let mut arrived = Vec::new();
            let mut bytes = [0; 100];
            while receiver.recv(&mut bytes).is_ok() {
                let sent_us = u64::from_le_bytes(bytes[4..12].try_into().unwrap());
                let took = start.elapsed() - Duration::from_micros(sent_us);
                arrived.push((u32::from_le_bytes(bytes[..4].try_into().unwrap()), took));
            }
            arrived
        })
    }

    /// What arrives under a profile, and the receipt of its healing.
    fn under(net: &TestNet, version: u8, profile: &str) -> (Vec<(u32, Duration)>, Receipt) {
        let mut fault = Packets::default();
        let receipt = net.on(2, || fault.inject(&args(1, version, profile), &[])).unwrap();
        assert!(receipt.confirmed, "{receipt:?}");
        let arrived = exchange(net, version);
        let receipt = net.on(2, || fault.heal(&[])).unwrap();
        println!("{profile}, IPv{version}: {} of {PACKETS} arrived; {}", arrived.len(), receipt.evidence);
        assert!(receipt.confirmed, "{receipt:?}");
        assert!(!net.on(2, || fault.heal(&[])).unwrap().confirmed, "healed is healed");
        (arrived, receipt)
    }

    #[test]
    fn packets_are_late_lost_double_disordered_damaged_and_slow() {
        in_namespaces(
            "faults::packets::tests::packets_are_late_lost_double_disordered_damaged_and_slow",
            || {
                let net = TestNet::new(2);
                assert_eq!(exchange(&net, 4).len(), PACKETS as usize, "before");
                for version in [4, 6] {
                    let (arrived, receipt) = under(&net, version, "delay=40ms+jitter=5ms");
                    assert_eq!(arrived.len(), PACKETS as usize);
                    assert!(arrived.iter().all(|(_, took)| *took >= Duration::from_millis(35)));
                    assert_eq!(receipt.measured["delayed"], PACKETS);

                    let (arrived, receipt) = under(&net, version, "loss=30%");
                    let mut shaper = Shaper::new("loss=30%".parse().unwrap(), 5);
                    let expected = (0..PACKETS).filter(|_| shaper.fate(0, 128, 108) == Fate::Lost).count();
                    assert_eq!(arrived.len(), PACKETS as usize - expected);
                    assert_eq!(receipt.measured["lost"], expected);

                    let (arrived, receipt) = under(&net, version, "duplicate=50%");
                    let doubled = receipt.measured["doubled"].as_u64().unwrap() as usize;
                    assert_eq!(arrived.len(), PACKETS as usize + doubled);

                    let (arrived, _) = under(&net, version, "delay=20ms+reorder=50%");
                    assert!(arrived.windows(2).any(|pair| pair[0].0 > pair[1].0), "some overtake");

                    // The checksum gives a flipped bit away, and the kernel drops the packet.
                    let (arrived, receipt) = under(&net, version, "corrupt=50%");
                    let corrupted = receipt.measured["corrupted"].as_u64().unwrap() as usize;
                    assert_eq!(arrived.len(), PACKETS as usize - corrupted);

                    // 400 packets of 128 or 148 bytes at a megabit a second.
                    let (arrived, _) = under(&net, version, "rate=1000kbit");
                    assert_eq!(arrived.len(), PACKETS as usize);
                }
                assert_eq!(exchange(&net, 4).len(), PACKETS as usize, "after");
                assert!(!net.on(2, || sh("iptables-save; ip6tables-save")).contains("squall"));
            },
        );
    }

    #[test]
    fn what_is_held_goes_on_when_it_is_healed_and_when_it_is_dropped() {
        in_namespaces(
            "faults::packets::tests::what_is_held_goes_on_when_it_is_healed_and_when_it_is_dropped",
            || {
                let net = TestNet::new(2);
                for heals in [true, false] {
                    let mut fault = Packets::default();
                    net.on(2, || fault.inject(&args(1, 4, "delay=600s"), &[])).unwrap();
                    assert!(!net.reaches(1, 2, 4));
                    assert!(net.reaches(2, 1, 4), "one direction only");
                    if heals {
                        let receipt = net.on(2, || fault.heal(&[])).unwrap();
                        assert_eq!(receipt.measured["delayed"], 1);
                    } else {
                        net.on(2, || drop(fault));
                    }
                    assert!(net.reaches(1, 2, 4));
                }
            },
        );
    }

    #[test]
    fn an_idle_fault_says_so() {
        in_namespaces("faults::packets::tests::an_idle_fault_says_so", || {
            let net = TestNet::new(2);
            let mut fault = Packets::default();
            net.on(2, || fault.inject(&args(1, 4, "loss=50%"), &[])).unwrap();
            let receipt = net.on(2, || fault.heal(&[])).unwrap();
            assert_eq!((receipt.confirmed, receipt.evidence.as_str()), (false, "of 0 packets 0 lost"));
        });
    }
}
