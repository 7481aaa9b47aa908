//! Schedules: when which fault strikes, as a function of the seed alone.
//!
//! A schedule is a list of [`Phase`]s. A `-n` list is one of a single phase without end in which each fault comes and goes
//! at random intervals; a file ([`Schedule::of_file`]) can say everything.

mod cast;
mod file;
mod forecast;
mod journal;
mod lane;
mod never;
mod player;
mod swarm;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Op;
use squall_targets::Unavailable;
use squall_workloads::Generator;
use squall_workloads::generator::{nemesis, ops};

use self::cast::{Cast, Fault};
pub use self::forecast::{ActKind, Forecast, Foreseen};
use self::player::Player;
use self::swarm::Swarm;
use crate::nemesis::{Nemesis, Ops, Scene};
use crate::package::Setting;
use crate::registry::{self, Entry};

/// What draws the value of an injection.
pub type Draw = Box<dyn Fn(&mut ChaCha8Rng) -> Value + Send + Sync>;

/// When which fault strikes, and what carries it out.
pub struct Schedule {
    /// That of each fault, made for what the fault asks: each tells whether it can act, and of a kind the first acts.
    nemeses: Vec<Box<dyn Nemesis>>,
    plot: Arc<Plot>,
}

/// What a schedule says, without what acts.
struct Plot {
    /// The kinds of fault, in the order in which they are healed.
    kinds: Vec<Kind>,
    /// The faults that phases name.
    faults: Vec<Fault>,
    phases: Vec<Phase>,
    /// How often the phases are gone through; `None` is without end.
    rounds: Option<u32>,
}

/// A kind of fault.
struct Kind {
    name: String,
    ops: Ops,
    /// What must be prepared on the nodes before the target starts.
    prepare: BTreeSet<&'static str>,
}

/// A stretch of a schedule. Whatever it broke is healed at its end.
struct Phase {
    name: Option<String>,
    length: Length,
    /// Faults that come and go, each at intervals of its own.
    mix: Vec<usize>,
    /// Some faults of a list do, which the seed chooses.
    swarm: Option<Swarm>,
    steps: Vec<Step>,
}

/// How long a phase lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Length {
    /// To the end of the run.
    Endless,
    For(Duration),
    /// Until every node answers again, or this long.
    Recovered(Duration),
}

/// Faults at given times.
struct Step {
    /// From the beginning of its phase.
    at: Duration,
    /// How long they last; `None` is to the end of the phase.
    lasts: Option<Duration>,
    /// From one time to the next; `None` is once.
    every: Option<Duration>,
    /// At most so often.
    times: Option<u32>,
    faults: Vec<usize>,
    /// How many of them strike each time.
    pick: usize,
    /// The choice of nodes that they share.
    nodes: Option<String>,
}

impl Step {
    /// A fault from the beginning of its phase to the end.
    fn to_the_end(fault: usize) -> Step {
        let (lasts, every, times) = (None, None, None);
        Step { at: Duration::ZERO, lasts, every, times, faults: vec![fault], pick: 1, nodes: None }
    }
}

/// A schedule as a run uses it. Both generators use the nemesis thread alone.
pub struct Composition {
    /// What acts: for [`Chaos`](crate::Chaos).
    pub nemeses: Vec<Box<dyn Nemesis>>,
    /// What the schedule does, in the main phase.
    pub generator: Box<dyn Generator>,
    /// Heals one kind after the other, before the final phase.
    pub final_generator: Box<dyn Generator>,
}

impl Schedule {
    /// The schedule of a list such as `partition:halves,kill,pause:one`, of these nemeses: those of
    /// [`registry::ALL`](crate::registry::ALL) and perhaps some of one's own. Each injects and heals in turns for ever, at
    /// random intervals. `none` is no fault at all, and `swarm` some of all that there are, which the seed chooses.
    ///
    /// # Errors
    /// If a name or a parameter is unknown (says which there are), or the cluster is too small for it.
    pub fn of_list(text: &str, setting: &Setting, known: &[Entry]) -> Result<Schedule> {
        let mut cast = Cast::new(setting, known);
        if text == "swarm" {
            let swarm = Some(Swarm::new(cast.all(setting.interval), true));
            let phase =
                Phase { name: None, length: Length::Endless, mix: Vec::new(), swarm, steps: Vec::new() };
            return Ok(cast.finish(vec![phase], Some(1)));
        }
        let mut faults: Vec<usize> = Vec::new();
        for item in registry::items(text) {
            if item == "swarm" {
                bail!(
                    "swarm is all by itself: a file can have it beside others (swarm = \"all\", mix = [\"kill\"])"
                );
            }
            let Some(fault) = cast.fault(item, setting.interval)? else { continue };
            if faults.iter().any(|&other| cast.kind(other) == cast.kind(fault)) {
                bail!("{} is there twice", cast.kind(fault));
            }
            faults.push(fault);
        }
        let (lasting, mix): (Vec<usize>, Vec<usize>) =
            faults.into_iter().partition(|&fault| cast.lasts(fault));
        let steps = lasting.into_iter().map(Step::to_the_end).collect();
        let phase = Phase { name: None, length: Length::Endless, mix, swarm: None, steps };
        Ok(cast.finish(vec![phase], Some(1)))
    }

    /// The kinds of its faults in a run with this seed, which may leave out some of a swarm.
    pub fn kinds(&self, seed: u64) -> Vec<String> {
        self.plot.used(seed).into_iter().map(|kind| self.plot.kinds[kind].name.clone()).collect()
    }

    /// The kinds of node faults that must be prepared on the nodes before the target starts.
    pub fn preparations(&self, seed: u64) -> Vec<String> {
        let used = self.plot.used(seed).into_iter();
        let needs: BTreeSet<&str> =
            used.flat_map(|kind| self.plot.kinds[kind].prepare.iter().copied()).collect();
        needs.into_iter().map(str::to_owned).collect()
    }

    /// Tries whether each fault of a run with this seed can be made here at all. One that only swarms name is left out where
    /// it cannot, unless nothing else is left: it returns why, one sentence for each.
    ///
    /// # Errors
    /// [`Unavailable`] with the first that cannot.
    pub async fn probe(&mut self, seed: u64, on: &Scene<'_>) -> Result<Vec<String>> {
        let mut left_out = Vec::new();
        let mut can: BTreeSet<String> = BTreeSet::new();
        for fault in self.plot.used_faults(seed) {
            let text = self.plot.faults[fault].text.clone();
            if can.contains(&text) {
                continue;
            }
            let Err(error) = self.nemeses[fault].probe(on).await else {
                can.insert(text);
                continue;
            };
            let error = error.context(format!("the nemesis {text} cannot act here"));
            // While somebody plays it, nothing can be left out.
            let plot = Arc::get_mut(&mut self.plot).filter(|plot| !plot.is_named(fault));
            match plot {
                Some(plot) if error.is::<Unavailable>() && plot.used_faults(seed).len() > 1 => {
                    plot.leave_out(fault);
                    left_out.push(format!("Left out of the swarm: {error:#}."));
                }
                _ => return Err(error),
            }
        }
        left_out.dedup();
        Ok(left_out)
    }

    /// How long it lasts, where that is known beforehand.
    pub fn length(&self) -> Option<Duration> {
        let mut round = Duration::ZERO;
        for phase in &self.plot.phases {
            let Length::For(length) = phase.length else { return None };
            round = round.saturating_add(length);
        }
        Some(round.saturating_mul(self.plot.rounds?))
    }

    /// What it does in a run with this seed that lasts so long.
    pub fn forecast(&self, seed: u64, limit: Duration) -> Forecast {
        let never = self.plot.never(seed, limit);
        Forecast::of(Player::new(self.plot.clone(), seed), limit, never)
    }

    /// What a run with this seed needs.
    pub fn compose(self, seed: u64) -> Composition {
        let used = self.plot.used(seed);
        let heal: Vec<Op> =
            used.iter().map(|&kind| Op::new(self.plot.kinds[kind].ops.heal.clone())).collect();
        let mut nemeses: BTreeMap<usize, Box<dyn Nemesis>> = BTreeMap::new();
        let faults = self.plot.used_faults(seed);
        // One that was asked: what it learnt then it goes by.
        for (fault, nemesis) in self.nemeses.into_iter().enumerate().filter(|(at, _)| faults.contains(at)) {
            nemeses.entry(self.plot.faults[fault].kind).or_insert(nemesis);
        }
        Composition {
            nemeses: nemeses.into_values().collect(),
            generator: Box::new(nemesis(Player::new(self.plot, seed))),
            final_generator: Box::new(nemesis(ops(heal))),
        }
    }
}

impl Plot {
    /// Whether a fault is in more than swarms.
    fn is_named(&self, fault: usize) -> bool {
        let steps =
            |phase: &Phase| phase.steps.iter().flat_map(|step| &step.faults).copied().collect::<Vec<_>>();
        let named = self.phases.iter().flat_map(|phase| phase.mix.iter().copied().chain(steps(phase)));
        named.into_iter().any(|named| named == fault)
    }

    /// Leaves a fault out of all swarms.
    fn leave_out(&mut self, fault: usize) {
        for swarm in self.phases.iter_mut().filter_map(|phase| phase.swarm.as_mut()) {
            swarm.cannot.extend(swarm.of.iter().filter(|&&of| of == fault));
        }
    }

    /// The kinds of fault that may strike in a run with this seed, in the order in which they are healed.
    fn used(&self, seed: u64) -> BTreeSet<usize> {
        self.used_faults(seed).into_iter().map(|fault| self.faults[fault].kind).collect()
    }

    /// The faults that may strike in a run with this seed.
    fn used_faults(&self, seed: u64) -> BTreeSet<usize> {
        let mut faults: BTreeSet<usize> = BTreeSet::new();
        for phase in &self.phases {
            faults.extend(&phase.mix);
            faults.extend(phase.steps.iter().flat_map(|step| &step.faults));
            match &phase.swarm {
                Some(swarm) if swarm.once => {
                    faults.extend(swarm.draw(&self.faults, seed, 0, 0).iter().map(|(fault, _)| fault));
                }
                swarm => faults.extend(swarm.iter().flat_map(|swarm| swarm.able())),
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests;
