//! What a clock shall show.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use squall_checkers::Unknown;

use crate::faults::settings;

/// How a clock differs from the true one. Text: `offset=-2s`, `drift=500ppm+clock=both`, `strobe=200ms/1s`,
/// `offset=1h+machine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Skew {
    /// How far it is ahead.
    pub offset_ns: i64,
    /// How much faster it runs, in millionths: -1,000,000 is a clock that stands still.
    pub drift_ppm: i64,
    /// How far it jumps ahead in every other period.
    pub strobe_ns: i64,
    /// The period.
    pub strobe_period_ns: i64,
    /// Which clocks.
    pub clocks: Clocks,
    /// Whether it is the clock of the whole machine, not only that of the target's processes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub machine: bool,
}

/// The clocks of a system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clocks {
    /// Of the day: CLOCK_REALTIME.
    #[default]
    Real,
    /// Since boot: CLOCK_MONOTONIC.
    Monotonic,
    /// Both alike.
    Both,
}

impl Clocks {
    const NAMES: [(&'static str, Clocks); 3] =
        [("real", Clocks::Real), ("monotonic", Clocks::Monotonic), ("both", Clocks::Both)];

    /// Whether it means the clock of the day, and the one since boot.
    pub(super) fn each(self) -> [bool; 2] {
        [self != Clocks::Monotonic, self != Clocks::Real]
    }

    fn name(self) -> &'static str {
        Clocks::NAMES.iter().find(|(_, clocks)| *clocks == self).map_or("", |(name, _)| name)
    }
}

/// The longest that can be asked for: 200 years.
const NS_MAX: f64 = 200.0 * 365.25 * 86_400e9;

/// The shortest period of a strobe.
const STROBE_PERIOD_MIN_NS: i64 = 1_000_000;

/// The setting that has no value.
const MACHINE: &str = "machine";

const SETTINGS: [(&str, &str); 4] = [
    ("offset", "a time, such as 2s, -250ms or 1h"),
    ("drift", "a rate, such as 500ppm or -1000000ppm, which is a clock that stands still"),
    ("strobe", "a jump and a period, such as 200ms/1s"),
    ("clock", "real, monotonic or both"),
];

impl FromStr for Skew {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Skew> {
        let mut skew = Skew::default();
        let (machine, settings): (Vec<&str>, Vec<&str>) = text.split('+').partition(|item| *item == MACHINE);
        settings::each(&settings.join("+"), &SETTINGS, |name, value| skew.set(name, value))?;
        skew.machine = !machine.is_empty();
        let nothing = Skew { clocks: skew.clocks, machine: skew.machine, ..Skew::default() };
        ensure!(skew != nothing, "{text} changes nothing");
        ensure!(
            !skew.machine || skew.clocks == Clocks::Real,
            "{text}: nobody can set the time since boot of a machine"
        );
        Ok(skew)
    }
}

impl Skew {
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "offset" => self.offset_ns = nanos(value)?,
            "drift" => {
                self.drift_ppm = settings::quantity(value, &[("ppm", 1.0)])?.round() as i64;
                ensure!(
                    (-1_000_000..=10_000_000).contains(&self.drift_ppm),
                    "{value} is beyond -1000000 to 10000000 ppm"
                );
            }
            "strobe" => {
                let (jump, period) = value.split_once('/').context("expected JUMP/PERIOD")?;
                (self.strobe_ns, self.strobe_period_ns) = (nanos(jump)?, nanos(period)?);
                ensure!(
                    self.strobe_period_ns >= STROBE_PERIOD_MIN_NS,
                    "a period is {} or longer: nobody could tell the jumps of a shorter one apart",
                    time(STROBE_PERIOD_MIN_NS)
                );
            }
            _ => {
                let known = Clocks::NAMES.iter().find(|(name, _)| *name == value);
                let unknown = || Unknown::new("clock", value, Clocks::NAMES.map(|(name, _)| name));
                self.clocks = known.ok_or_else(unknown)?.1;
            }
        }
        Ok(())
    }

    /// What the clock shows `after_ns` after it was skewed, less what it should.
    pub(super) fn error_ns(&self, after_ns: i64) -> i64 {
        let drift = (i128::from(after_ns) * i128::from(self.drift_ppm) / 1_000_000) as i64;
        let strobes = self.strobe_period_ns > 0 && after_ns / self.strobe_period_ns % 2 == 1;
        self.offset_ns + drift + if strobes { self.strobe_ns } else { 0 }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = [
            (self.offset_ns != 0).then(|| format!("offset={}", time(self.offset_ns))),
            (self.drift_ppm != 0).then(|| format!("drift={}ppm", self.drift_ppm)),
            (self.strobe_ns != 0)
                .then(|| format!("strobe={}/{}", time(self.strobe_ns), time(self.strobe_period_ns))),
            (self.clocks != Clocks::Real).then(|| format!("clock={}", self.clocks.name())),
            self.machine.then(|| MACHINE.to_owned()),
        ];
        f.write_str(&settings.into_iter().flatten().collect::<Vec<_>>().join("+"))
    }
}

/// In the largest unit that needs no fraction.
pub(super) fn time(ns: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let (unit_ns, unit) = UNITS.into_iter().find(|(unit_ns, _)| ns % unit_ns == 0).unwrap_or((1, "ns"));
    format!("{}{unit}", ns / unit_ns)
}

fn nanos(text: &str) -> Result<i64> {
    let ns = settings::nanos(text)?;
    ensure!(ns.abs() <= NS_MAX, "{text} is more than 200 years");
    Ok(ns.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        for text in [
            "offset=2s",
            "offset=-250ms+clock=both",
            "drift=500ppm",
            "strobe=200ms/1s+clock=monotonic",
            "offset=-2s+machine",
        ] {
            assert_eq!(text.parse::<Skew>().unwrap().to_string(), text);
        }
        assert_eq!("offset=1h".parse::<Skew>().unwrap().to_string(), "offset=3600s");
        assert_eq!("offset=1.5ms".parse::<Skew>().unwrap().to_string(), "offset=1500us");
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| format!("{:#}", text.parse::<Skew>().unwrap_err());
        for (text, part) in [
            ("offset", "expected NAME=VALUE"),
            ("ofset=5s", "did you mean `offset`?"),
            ("offset=5", "no unit: ns, us, ms, s, m, h"),
            ("offset=0s", "changes nothing"),
            ("offset=999999h", ""),
            ("offset=9999999h", "more than 200 years"),
            ("drift=5", "no unit: ppm"),
            ("drift=-1000001ppm", "beyond"),
            ("strobe=5s", "expected JUMP/PERIOD"),
            ("strobe=5s/0s", "a period is 1ms or longer"),
            ("strobe=1h/1ns", "a period is 1ms or longer"),
            ("clock=both", "changes nothing"),
            ("offset=1s+clock=both+machine", "since boot"),
            ("offset=1s+clock=wall", "There are: real, monotonic, both"),
        ] {
            if part.is_empty() {
                text.parse::<Skew>().unwrap();
            } else {
                assert!(error(text).contains(part), "{text}: {}", error(text));
            }
        }
    }
}
