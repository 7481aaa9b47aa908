//! Packet faults: delay, jitter, loss, duplication, reordering, corruption and a limited rate.

mod copies;
mod counts;
mod engine;
mod lines;
mod mechanism;
mod netem;
mod nfqueue;
mod packet;
mod profile;
mod queue;
mod rules;
mod shaper;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use counts::{BySender, Counts};
use netem::Netem;
pub use profile::{Gilbert, Profile, Spread};
use rules::Rules;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::agent::NodeFault;
use wire::Wire;

use crate::words::{count, thousands};

/// What [`Packets`] takes. JSON: `{"seed": 7, "flows": [{"from": "10.0.0.1", "profile": {"delay_ms": 50}}]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PacketArgs {
    /// Decides the fate of each packet, where that is in our hands.
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

/// Makes what a node receives from others late, rare, double, disordered, damaged or slow: by `tc netem` where the kernel
/// has it, else by a netfilter queue.
///
/// There are two of them on a node, which may act at once: `packets`, and `regions`, for distances that last for a run.
pub struct Packets {
    kind: &'static str,
    wire: Arc<Mutex<Wire>>,
    /// What had been done to our flows before they were ours.
    before: BySender,
}

impl Packets {
    /// `packets` and `regions` of a node.
    pub fn both() -> [Packets; 2] {
        let wire: Arc<Mutex<Wire>> = Arc::default();
        ["packets", "regions"].map(|kind| Packets { kind, wire: wire.clone(), before: BTreeMap::new() })
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeFault for Packets {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn sweep(&mut self) -> Result<Vec<String>> {
        let swept = [
            (Netem::sweep(), "filters and devices of packet faults"),
            (Rules::sweep(), "iptables rules of packet faults"),
        ];
        Ok(swept.into_iter().filter(|(was_there, _)| *was_there).map(|(_, what)| what.to_owned()).collect())
    }

    fn probe(&mut self, _args: &Value) -> Result<()> {
        self.wire().probe()
    }

    fn inject(&mut self, args: &Value, _pids: &[i32]) -> Result<Receipt> {
        let PacketArgs { seed, flows } =
            PacketArgs::deserialize(args).context("the arguments of a packet fault")?;
        ensure!(!flows.is_empty(), "no flow is named");
        let sources: Vec<IpAddr> = flows.iter().map(|flow| flow.from).collect();
        let (before, by, there) = {
            let mut wire = self.wire();
            let before = wire.set(self.kind, flows, seed)?;
            (before, wire.name(), wire.read()?)
        };
        self.before = before;
        let asked = sources.len();
        let there = there.keys().filter(|from| sources.contains(from)).count();
        let receipt = if there == asked {
            Receipt::confirmed(format!("packets from {} held by {by}", count(there as u64, "sender")))
        } else {
            Receipt::unconfirmed(format!("packets from {there} of {asked} senders held by {by}"))
        };
        Ok(receipt.with("flows", there).with("by", by))
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        let before = std::mem::take(&mut self.before);
        let mut wire = self.wire();
        let by = wire.name();
        let Some((flows, after)) = wire.remove(self.kind)? else {
            return Ok(Receipt::unconfirmed("no packet was touched"));
        };
        let of = |counts: &BySender, flow: &Flow| counts.get(&flow.from).cloned().unwrap_or_default();
        let done: Vec<(Profile, Counts)> =
            flows.iter().map(|flow| (flow.profile, of(&after, flow) - of(&before, flow))).collect();
        Ok(told(&done).with("by", by))
    }
}

/// Something that packets meet.
struct Effect {
    word: &'static str,
    is_asked: fn(&Profile) -> bool,
    /// The share of the packets that meet it, and no fewer.
    share: fn(&Profile) -> f64,
    number: fn(&Counts) -> u64,
}

const EFFECTS: [Effect; 4] = [
    Effect {
        word: "lost",
        is_asked: Profile::loses,
        share: Profile::losses_begin,
        number: |counts| counts.lost,
    },
    Effect {
        word: "delayed",
        is_asked: |profile| profile.delay_ms > 0.0 || profile.rate_kbit > 0.0,
        share: |profile| {
            if profile.delay_ms > 0.0 { profile.arrives() * (1.0 - profile.reorder) } else { 0.0 }
        },
        number: |counts| counts.delayed,
    },
    Effect {
        word: "doubled",
        is_asked: |profile| profile.duplicate > 0.0,
        share: |profile| profile.arrives() * profile.duplicate,
        number: |counts| counts.doubled,
    },
    Effect {
        word: "corrupted",
        is_asked: |profile| profile.corrupt > 0.0,
        share: |profile| profile.arrives() * profile.corrupt,
        number: |counts| counts.corrupted,
    },
];

/// Confirmed if anything that was asked for happened, and nothing failed to that surely should have. (What is rare may not
/// happen to few packets.)
fn told(done: &[(Profile, Counts)]) -> Receipt {
    let mut counts = Counts::default();
    done.iter().for_each(|(_, flow)| counts += flow.clone());
    let held_us: u64 = counts.held_us.iter().sum();
    let mean_ms = held_us as f64 / 1e3 / counts.delayed.max(1) as f64;
    let (mut words, mut happened, mut failed) = (Vec::new(), false, false);
    for effect in EFFECTS.iter().filter(|effect| done.iter().any(|(profile, _)| (effect.is_asked)(profile))) {
        let number = (effect.number)(&counts);
        let expected: f64 =
            done.iter().map(|(profile, flow)| (effect.share)(profile) * flow.seen as f64).sum();
        happened |= number > 0;
        failed |= number == 0 && expected >= super::SURELY;
        words.push(match effect.word {
            "delayed" if held_us > 0 => {
                format!("{} delayed by {mean_ms:.1} ms on average", thousands(number))
            }
            word => format!("{} {word}", thousands(number)),
        });
    }
    let evidence = format!("of {} packets {}", thousands(counts.seen), words.join(", "));
    let confirmed = happened && !failed;
    let receipt = Receipt { confirmed, ..Receipt::confirmed(evidence) }
        .with("packets", counts.seen)
        .with("lost", counts.lost)
        .with("delayed", counts.delayed)
        .with("doubled", counts.doubled)
        .with("corrupted", counts.corrupted);
    match held_us {
        0 => receipt,
        _ => receipt.with("delay_ms_mean", (mean_ms * 1000.0).round() / 1000.0),
    }
}
