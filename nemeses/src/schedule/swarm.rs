use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng as _;

use super::cast::Fault;
use crate::streams::stream;

/// A list of faults of which the seed chooses some, and how often each strikes.
///
/// Each is on with a probability of one half, and at least one is: a run with few kinds of fault finds what others hide
/// in a run with all (Groce et al., "Swarm Testing", ISSTA 2012). The mean interval is from half to twice that of the
/// schedule, each octave as likely as the other.
pub(super) struct Swarm {
    pub(super) of: Vec<usize>,
    /// Those of them that cannot strike here, whatever the seed says. The choice and the times of all others stay the same.
    pub(super) cannot: BTreeSet<usize>,
    /// Whether the choice is made once for the run, rather than each time that a phase begins.
    pub(super) once: bool,
}

/// The faults that are on, with their mean intervals.
pub(super) type Drawn = Vec<(usize, Duration)>;

impl Swarm {
    /// A swarm of these faults.
    pub(super) fn new(of: Vec<usize>, once: bool) -> Swarm {
        Swarm { of, once, cannot: BTreeSet::new() }
    }

    /// Those that may strike here.
    pub(super) fn able(&self) -> impl Iterator<Item = &usize> {
        self.of.iter().filter(|fault| !self.cannot.contains(fault))
    }

    /// What the seed chooses for this phase of this round.
    pub(super) fn draw(&self, faults: &[Fault], seed: u64, round: u32, phase: usize) -> Drawn {
        let rng = &mut match self.once {
            true => stream(seed, "swarm"),
            false => stream(seed, &format!("swarm/{round}/{phase}")),
        };
        let mut on: Vec<usize> = self.of.iter().copied().filter(|_| rng.random()).collect();
        if on.is_empty() && !self.of.is_empty() {
            on.push(self.of[rng.random_range(0..self.of.len())]);
        }
        let interval = |fault: usize, factor: f64| faults[fault].interval.mul_f64(factor.exp2());
        let drawn = on.into_iter().map(|fault| (fault, interval(fault, rng.random_range(-1.0..1.0))));
        drawn.filter(|(fault, _)| !self.cannot.contains(fault)).collect()
    }

    /// The choice in words: `swarm of kill (mean 3.2 s), pause (mean 8.0 s); without partition`.
    pub(super) fn told(&self, drawn: &Drawn, faults: &[Fault]) -> String {
        let on: Vec<String> = drawn
            .iter()
            .map(|(fault, interval)| {
                format!("{} (mean {:.1} s)", faults[*fault].text, interval.as_secs_f64())
            })
            .collect();
        let off: Vec<&str> = self
            .of
            .iter()
            .filter(|fault| drawn.iter().all(|(on, _)| on != *fault))
            .map(|&fault| faults[fault].text.as_str())
            .collect();
        let without = if off.is_empty() { String::new() } else { format!("; without {}", off.join(", ")) };
        format!("swarm of {}{without}", on.join(", "))
    }
}
