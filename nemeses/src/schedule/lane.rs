use std::time::Duration;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{Plot, Step};

/// One line of acts within a phase. Nothing is drawn before it is needed, and all of it from randomness of its own, so that
/// what it does is a function of the seed alone.
pub(super) enum Lane {
    /// A fault that comes and goes.
    Mix(Mix),
    /// A step.
    Step(Stepping),
}

/// What a lane does next.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// Injects these faults with these values.
    Inject(Vec<(usize, Value)>),
    /// Injects these faults on the same nodes, each with what stands before the nodes in its value.
    Together(Vec<(usize, String)>, String),
    /// These faults of its own end.
    Heal(Vec<usize>),
}

/// Injects and heals in turns, at intervals from half to one and a half times the mean, the first included: a fault
/// always lasts for a while, and there is always a while without. They are planned from the moment at which the last act
/// was due.
pub(super) struct Mix {
    fault: usize,
    interval_ns: u64,
    due_ns: u64,
    healthy: bool,
    rng: ChaCha8Rng,
}

pub(super) struct Stepping {
    /// Its place in its phase.
    step: usize,
    due_ns: u64,
    /// When it struck last.
    struck_ns: u64,
    /// How often it has struck.
    struck: u32,
    /// What it has in force.
    open: Vec<usize>,
    rng: ChaCha8Rng,
}

impl Lane {
    pub(super) fn mix(fault: usize, interval: Duration, mut rng: ChaCha8Rng) -> Lane {
        let interval_ns = nanos(interval);
        let due_ns = pause(interval_ns, &mut rng);
        Lane::Mix(Mix { fault, interval_ns, due_ns, healthy: true, rng })
    }

    pub(super) fn step(step: usize, at: Duration, rng: ChaCha8Rng) -> Lane {
        let due_ns = nanos(at);
        Lane::Step(Stepping { step, due_ns, struck_ns: due_ns, struck: 0, open: Vec::new(), rng })
    }

    /// When it acts next, from the beginning of its phase; `u64::MAX` is never.
    pub(super) fn due_ns(&self) -> u64 {
        match self {
            Lane::Mix(mix) => mix.due_ns,
            Lane::Step(step) => step.due_ns,
        }
    }

    /// What it does then.
    pub(super) fn act(&mut self, plot: &Plot, steps: &[Step]) -> Act {
        match self {
            Lane::Mix(mix) => mix.act(plot),
            Lane::Step(stepping) => stepping.act(plot, &steps[stepping.step]),
        }
    }
}

impl Mix {
    pub(super) fn fault(&self) -> usize {
        self.fault
    }

    /// The mean.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    fn act(&mut self, plot: &Plot) -> Act {
        let act = match self.healthy {
            true => Act::Inject(vec![(self.fault, (plot.faults[self.fault].draw)(&mut self.rng))]),
            false => Act::Heal(vec![self.fault]),
        };
        self.healthy = !self.healthy;
        self.due_ns = self.due_ns.saturating_add(pause(self.interval_ns, &mut self.rng));
        act
    }
}

impl Stepping {
    fn act(&mut self, plot: &Plot, step: &Step) -> Act {
        if !self.open.is_empty() {
            let again = step.every.filter(|_| step.times.is_none_or(|times| self.struck < times));
            self.due_ns = again.map_or(u64::MAX, |every| self.struck_ns.saturating_add(nanos(every)));
            return Act::Heal(std::mem::take(&mut self.open));
        }
        self.struck += 1;
        self.struck_ns = self.due_ns;
        self.due_ns = step.lasts.map_or(u64::MAX, |lasts| self.due_ns.saturating_add(nanos(lasts)));
        let picked = rand::seq::index::sample(&mut self.rng, step.faults.len(), step.pick);
        let mut picked: Vec<usize> = picked.into_iter().map(|at| step.faults[at]).collect();
        picked.sort_unstable();
        self.open.clone_from(&picked);
        let picked = picked.into_iter();
        match &step.nodes {
            None => {
                Act::Inject(picked.map(|fault| (fault, (plot.faults[fault].draw)(&mut self.rng))).collect())
            }
            Some(nodes) => {
                let before = picked.map(|fault| {
                    let choices = &plot.faults[fault].before_nodes;
                    (fault, choices.choose(&mut self.rng).cloned().unwrap_or_default())
                });
                Act::Together(before.collect(), nodes.clone())
            }
        }
    }
}

fn pause(interval_ns: u64, rng: &mut ChaCha8Rng) -> u64 {
    rng.random_range(interval_ns / 2..=interval_ns.saturating_add(interval_ns / 2))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX / 4)
}
