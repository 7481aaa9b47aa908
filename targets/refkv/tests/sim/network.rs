//! A network that loses, doubles, delays and reorders messages, and that can be cut.

use rand::Rng;
use rand::rngs::SmallRng;
use squall_refkv::raft::{Message, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Chance that a message is lost.
    pub(crate) loss: f64,
    /// Chance that a message comes twice.
    pub(crate) duplication: f64,
    /// Most messages take 1 to this many milliseconds.
    pub(crate) delay_ms: u64,
    /// Chance that a message takes up to a hundred times as long.
    pub(crate) straggle: f64,
}

/// Messages under way.
#[derive(Debug, Default)]
pub(crate) struct Network {
    under_way: BTreeMap<(u64, u64), Message>,
    sent: u64,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    /// Takes a message in.
    pub(crate) fn send(&mut self, now: u64, weather: &Weather, rng: &mut SmallRng, message: Message) {
        if self.cut.contains(&(message.from.clone(), message.to.clone())) || rng.random_bool(weather.loss) {
            return;
        }
        if rng.random_bool(weather.duplication) {
            self.deliver_later(now, weather, rng, message.clone());
        }
        self.deliver_later(now, weather, rng, message);
    }

    fn deliver_later(&mut self, now: u64, weather: &Weather, rng: &mut SmallRng, message: Message) {
        let slow = if rng.random_bool(weather.straggle) { 100 } else { 1 };
        let at = now + rng.random_range(1..=weather.delay_ms * slow);
        self.sent += 1;
        self.under_way.insert((at, self.sent), message);
    }

    /// The messages that have arrived by `now`.
    pub(crate) fn arrived(&mut self, now: u64) -> Vec<Message> {
        let later = self.under_way.split_off(&(now + 1, 0));
        std::mem::replace(&mut self.under_way, later).into_values().collect()
    }

    /// Cuts every way from a node of `left` to one of `right`, and back unless `one_way`.
    pub(crate) fn cut(&mut self, left: &[NodeId], right: &[NodeId], one_way: bool) {
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            self.cut.insert((a.clone(), b.clone()));
            if !one_way {
                self.cut.insert((b.clone(), a.clone()));
            }
        }
    }

    /// Mends all cuts.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }
}
