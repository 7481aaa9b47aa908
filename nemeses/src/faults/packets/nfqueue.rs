use anyhow::{Result, ensure};

use super::Flow;
use super::counts::BySender;
use super::engine::Engine;
use super::mechanism::Mechanism;
use super::rules::Rules;
use super::shaper::Shaper;

/// The netfilter queue. A network namespace has its own.
const QUEUE: u16 = 9218;

/// In user space: packets that come in go to a netfilter queue (`iptables -j NFQUEUE`), and a thread of the agent answers
/// for each when it is due. When the agent dies, so does the queue, and packets pass as if nothing were there.
///
/// Its draws are a function of the seed that a profile came with, unlike netem's.
pub(super) struct NfQueue {
    // Rules go before the engine does: what it holds then is let go, and nothing more comes.
    rules: Rules,
    engine: Engine,
}

impl NfQueue {
    pub(super) fn open() -> Result<NfQueue> {
        let engine = Engine::start(QUEUE)?;
        Ok(NfQueue { rules: Rules::open()?, engine })
    }
}

impl Mechanism for NfQueue {
    fn name(&self) -> &'static str {
        "NFQUEUE"
    }

    fn set(&mut self, flows: &[Flow], seed: u64) -> Result<BySender> {
        let shaper =
            |(at, flow): (usize, &Flow)| (flow.from, Shaper::new(flow.profile, seed ^ (at as u64) << 32));
        let before = self.engine.set(flows.iter().enumerate().map(shaper));
        self.rules.set(QUEUE, &flows.iter().map(|flow| flow.from).collect::<Vec<_>>())?;
        Ok(before)
    }

    fn read(&mut self) -> Result<BySender> {
        ensure!(self.engine.is_alive(), "the packet engine has ended");
        let counts = self.engine.counts();
        let rules = self.rules.count()?;
        ensure!(rules == counts.len(), "the kernel has {rules} rules for {} senders", counts.len());
        Ok(counts)
    }

    fn close(self: Box<Self>) -> Result<BySender> {
        drop(self.rules);
        self.engine.stop()
    }
}
