//! What a schedule says and a run is too short for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::lane::Lane;
use super::{Length, Plot, Step};

/// Something that a schedule says and that never comes.
struct Missed {
    what: String,
    /// When it would have come.
    at: Duration,
    over: Over,
}

/// What is over by then, and when.
#[derive(Clone, Copy)]
enum Over {
    Run(Duration),
    Phase(Duration),
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Draws are finer than anybody wants to know.
        let at = humantime::format_duration(Duration::from_millis(self.at.as_millis() as u64));
        write!(f, "{} at {at}: ", self.what)?;
        match self.over {
            Over::Run(limit) => write!(f, "the run is over after {}", humantime::format_duration(limit)),
            Over::Phase(end) => write!(f, "its phase is over at {}", humantime::format_duration(end)),
        }
    }
}

/// The faults that come and go, by phase and fault: why each has not struck yet, or nothing if it has.
type Mixed = BTreeMap<(usize, usize), Option<Missed>>;

/// A phase that begins in a run.
struct Begun {
    round: u32,
    /// Its place.
    phase: usize,
    at: Duration,
    /// When it is over, and what is over then.
    end: Duration,
    over: Over,
}

impl Plot {
    /// What a run with this seed, or a phase, is too short for, a sentence each: phases, steps, and faults that come and go and
    /// never come. Waits for recovery are taken to be over at once.
    pub(super) fn never(&self, seed: u64, limit: Duration) -> Vec<String> {
        let mut never = Vec::new();
        let mut mixed = Mixed::new();
        let mut begin = Duration::ZERO;
        let late = |what: String, at: Duration| Missed { what, at, over: Over::Run(limit) };
        for round in 0..self.rounds.unwrap_or(u32::MAX) {
            if round > 0 && begin >= limit {
                let rounds = self.rounds.map(|rounds| format!("round {} of {rounds}", round + 1));
                never.extend(rounds.map(|what| late(what, begin)));
                break;
            }
            let mut missed = Vec::new();
            for (at, phase) in self.phases.iter().enumerate() {
                let end = begin.saturating_add(phase.length.known());
                let over = if end <= limit { Over::Phase(end) } else { Over::Run(limit) };
                if begin < limit {
                    let begun = Begun { round, phase: at, at: begin, end: end.min(limit), over };
                    missed.extend(phase.steps.iter().filter_map(|step| self.misses(step, &begun)));
                    self.mix(seed, &begun, &mut mixed);
                } else {
                    let name = phase.name.clone().unwrap_or_else(|| (at + 1).to_string());
                    missed.push(late(format!("phase {name}"), begin));
                }
                begin = end;
            }
            if round > 0 {
                // What a phase is too short for was told in the first.
                missed.retain(|missed| matches!(missed.over, Over::Run(_)) && self.rounds.is_some());
                missed.iter_mut().for_each(|missed| missed.what += &format!(" in round {}", round + 1));
            }
            never.append(&mut missed);
            if self.rounds.is_none() && mixed.values().all(Option::is_none) {
                break;
            }
        }
        never.extend(mixed.into_values().flatten());
        never.iter().map(Missed::to_string).collect()
    }

    /// The first time of a step that does not come in this phase, of those that it is sure to have.
    fn misses(&self, step: &Step, begun: &Begun) -> Option<Missed> {
        let faults: Vec<&str> = step.faults.iter().map(|&fault| self.faults[fault].text.as_str()).collect();
        let what = faults.join(", ");
        let first = begun.at.saturating_add(step.at);
        let over = begun.over;
        let Some(left) = begun.end.checked_sub(first).filter(|left| !left.is_zero()) else {
            return Some(Missed { what, at: first, over });
        };
        let (every, times) = step.every.zip(step.times)?;
        let come = u32::try_from(left.as_nanos().div_ceil(every.as_nanos())).unwrap_or(u32::MAX);
        let at = first.saturating_add(every.saturating_mul(come));
        (come < times).then(|| Missed { what: format!("{what} ({} of {times})", come + 1), at, over })
    }

    /// Notes which of the faults that come and go strike in this phase.
    fn mix(&self, seed: u64, begun: &Begun, mixed: &mut Mixed) {
        let Begun { round, phase, .. } = *begun;
        let swarm = self.phases[phase].swarm.as_ref();
        let drawn = swarm.map(|swarm| swarm.draw(&self.faults, seed, round, phase)).unwrap_or_default();
        for lane in self.lanes(seed, round, phase, &drawn) {
            let at = begun.at.saturating_add(Duration::from_nanos(lane.due_ns()));
            let Lane::Mix(mix) = lane else { continue };
            let key = (phase, mix.fault());
            if at < begun.end {
                mixed.insert(key, None);
                continue;
            }
            mixed.entry(key).or_insert_with(|| {
                let interval = Duration::from_millis(mix.interval().as_millis() as u64);
                let interval = humantime::format_duration(interval);
                let what = format!("{} (interval {interval})", self.faults[mix.fault()].text);
                Some(Missed { what, at, over: begun.over })
            });
        }
    }
}

impl Length {
    /// As far as it is known beforehand.
    fn known(self) -> Duration {
        match self {
            Length::Endless => Duration::MAX,
            Length::For(length) => length,
            Length::Recovered(_) => Duration::ZERO,
        }
    }
}
