//! What happens to packets.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use squall_checkers::Unknown;

/// What happens to the packets of a flow, in the terms of `tc netem`. Text: `delay=100ms+jitter=20ms+loss=5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Mean delay.
    pub delay_ms: f64,
    /// How far a delay strays from the mean: at most this where it is uniform, the standard deviation where it is normal.
    pub jitter_ms: f64,
    /// How delays are spread.
    pub spread: Spread,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// How much the loss of a packet depends on that of the one before, 0 to 1: losses come in bursts.
    pub loss_correlation: f64,
    /// Share of packets that arrive twice.
    pub duplicate: f64,
    /// Share of packets that overtake: they are not delayed.
    pub reorder: f64,
    /// Share of packets in which a bit is flipped.
    pub corrupt: f64,
    /// Kilobits a second that pass, or 0 for no limit.
    pub rate_kbit: f64,
}

/// How delays are spread around the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// All between mean - jitter and mean + jitter are equally likely.
    #[default]
    Uniform,
    /// A bell around the mean.
    Normal,
}

/// Settings by name, with what they mean: the names are those of [`Profile`]'s text.
const SETTINGS: [(&str, &str); 9] = [
    ("delay", "a time, such as 100ms"),
    ("jitter", "a time, such as 20ms"),
    ("normal-jitter", "a time: the standard deviation"),
    ("loss", "a share, such as 5%"),
    ("burst", "a share: how much a loss depends on the one before"),
    ("duplicate", "a share"),
    ("reorder", "a share"),
    ("corrupt", "a share"),
    ("rate", "a rate, such as 500kbit or 10mbit"),
];

impl Profile {
    /// Whether it leaves packets alone.
    pub fn is_idle(&self) -> bool {
        *self == Profile::default()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "delay" => self.delay_ms = millis(value)?,
            "jitter" => self.jitter_ms = millis(value)?,
            "normal-jitter" => (self.jitter_ms, self.spread) = (millis(value)?, Spread::Normal),
            "loss" => self.loss = share(value)?,
            "burst" => self.loss_correlation = share(value)?,
            "duplicate" => self.duplicate = share(value)?,
            "reorder" => self.reorder = share(value)?,
            "corrupt" => self.corrupt = share(value)?,
            "rate" => self.rate_kbit = kbit(value)?,
            _ => bail!(Unknown::new("setting", name, SETTINGS.map(|(name, _)| name))),
        }
        Ok(())
    }
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Profile> {
        let mut profile = Profile::default();
        for item in text.split('+') {
            let (name, value) =
                item.split_once('=').with_context(|| format!("{item}: expected NAME=VALUE"))?;
            let meaning =
                SETTINGS.iter().find(|(known, _)| *known == name).map_or("", |(_, meaning)| meaning);
            profile.set(name, value).with_context(|| format!("{item}: {meaning}"))?;
        }
        ensure!(!profile.is_idle(), "{text} changes nothing");
        ensure!(profile.loss_correlation == 0.0 || profile.loss > 0.0, "burst needs a loss");
        ensure!(
            profile.jitter_ms <= profile.delay_ms,
            "a jitter of {} ms needs a delay of at least as much",
            profile.jitter_ms
        );
        ensure!(
            profile.reorder == 0.0 || profile.delay_ms > 0.0,
            "reorder needs a delay: the others must wait"
        );
        Ok(profile)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jitter = match self.spread {
            Spread::Uniform => "jitter",
            Spread::Normal => "normal-jitter",
        };
        let percent = |share: f64| format!("{}%", round(share * 100.0));
        let settings = [
            ("delay", self.delay_ms, format!("{}ms", self.delay_ms)),
            (jitter, self.jitter_ms, format!("{}ms", self.jitter_ms)),
            ("loss", self.loss, percent(self.loss)),
            ("burst", self.loss_correlation, percent(self.loss_correlation)),
            ("duplicate", self.duplicate, percent(self.duplicate)),
            ("reorder", self.reorder, percent(self.reorder)),
            ("corrupt", self.corrupt, percent(self.corrupt)),
            ("rate", self.rate_kbit, format!("{}kbit", self.rate_kbit)),
        ];
        let set = settings.into_iter().filter(|(_, value, _)| *value > 0.0);
        let text: Vec<String> = set.map(|(name, _, text)| format!("{name}={text}")).collect();
        f.write_str(&text.join("+"))
    }
}

/// To what a person would write.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn millis(text: &str) -> Result<f64> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.strip_suffix('s').with_context(|| format!("{text} has no unit: ms or s"))?, 1000.0),
    };
    let ms = positive(number)? * unit_ms;
    ensure!(ms <= 600_000.0, "{text} is longer than ten minutes");
    Ok(ms)
}

fn share(text: &str) -> Result<f64> {
    let percent =
        positive(text.strip_suffix('%').with_context(|| format!("{text} is no percentage, such as 5%"))?)?;
    ensure!(percent <= 100.0, "{text} is more than all");
    Ok(round(percent / 100.0))
}

fn kbit(text: &str) -> Result<f64> {
    let units = [("kbit", 1.0), ("mbit", 1_000.0), ("gbit", 1_000_000.0)];
    let unit = units.iter().find_map(|(unit, kbit)| Some((text.strip_suffix(unit)?, kbit)));
    let (number, kbit) = unit.with_context(|| format!("{text} has no unit: kbit, mbit or gbit"))?;
    Ok(positive(number)? * kbit)
}

fn positive(text: &str) -> Result<f64> {
    let number: f64 = text.parse().with_context(|| format!("{text:?} is no number"))?;
    ensure!(number.is_finite() && number > 0.0, "{text} is not above 0");
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        for text in [
            "delay=100ms+jitter=20ms",
            "delay=1.5ms+normal-jitter=0.5ms+loss=0.1%+burst=25%",
            "duplicate=10%+corrupt=1%+rate=500kbit",
            "delay=10ms+reorder=30%",
        ] {
            assert_eq!(text.parse::<Profile>().unwrap().to_string(), text);
        }
        assert_eq!(
            "delay=1s+rate=2mbit".parse::<Profile>().unwrap().to_string(),
            "delay=1000ms+rate=2000kbit"
        );
        let json = serde_json::to_value("loss=5%".parse::<Profile>().unwrap()).unwrap();
        assert_eq!(serde_json::from_value::<Profile>(json).unwrap().loss, 0.05);
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| format!("{:#}", text.parse::<Profile>().unwrap_err());
        for (text, part) in [
            ("delay", "expected NAME=VALUE"),
            ("dely=5ms", "did you mean `delay`?"),
            ("delay=5", "5 has no unit: ms or s"),
            ("loss=5", "5 is no percentage, such as 5%"),
            ("loss=101%", "more than all"),
            ("loss=0%", "not above 0"),
            ("delay=nanms", "nan is not above 0"),
            ("rate=5", "no unit: kbit, mbit or gbit"),
            ("burst=5%", "burst needs a loss"),
            ("delay=5ms+jitter=6ms", "needs a delay of at least as much"),
            ("reorder=5%", "reorder needs a delay"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }
}
