//! What happens to packets.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::faults::settings;
use crate::registry::Named;

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
    /// Losses by a model of two states instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gilbert: Option<Gilbert>,
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
    /// Mostly a little less than the mean, with a long tail (Pareto, shape 3).
    Pareto,
    /// A quarter normal, three quarters Pareto.
    ParetoNormal,
}

impl Spread {
    const SETTINGS: [(&'static str, Spread); 4] = [
        ("jitter", Spread::Uniform),
        ("normal-jitter", Spread::Normal),
        ("pareto-jitter", Spread::Pareto),
        ("paretonormal-jitter", Spread::ParetoNormal),
    ];

    fn setting(self) -> &'static str {
        Spread::SETTINGS.iter().find(|(_, spread)| *spread == self).map_or("", |(name, _)| name)
    }
}

/// A line that is good or bad by turns, packet by packet (Gilbert 1960, Elliott 1963). All are shares, 0 to 1. As text:
/// `1%/20%`, or with the losses in the bad and in the good state `1%/20%/90%/0.1%`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gilbert {
    /// How often a good line turns bad.
    pub enter: f64,
    /// How often a bad line turns good.
    pub leave: f64,
    /// Losses while it is bad.
    pub bad: f64,
    /// Losses while it is good.
    pub good: f64,
}

impl Gilbert {
    /// The share of packets that it loses in the long run.
    pub fn loss(&self) -> f64 {
        (self.enter * self.bad + self.leave * self.good) / (self.enter + self.leave)
    }

    fn parse(text: &str) -> Result<Gilbert> {
        let parts: Vec<&str> = text.split('/').collect();
        let (enter, leave, bad, good) = match parts[..] {
            [enter, leave] => (enter, leave, 1.0, 0.0),
            [enter, leave, bad, good] => (enter, leave, settings::share(bad)?, settings::share(good)?),
            _ => bail!("expected ENTER/LEAVE or ENTER/LEAVE/BAD/GOOD"),
        };
        Ok(Gilbert { enter: settings::share(enter)?, leave: settings::share(leave)?, bad, good })
    }
}

impl fmt::Display for Gilbert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", percent(self.enter), percent(self.leave))?;
        if (self.bad, self.good) != (1.0, 0.0) {
            write!(f, "/{}/{}", percent(self.bad), percent(self.good))?;
        }
        Ok(())
    }
}

fn percent(share: f64) -> String {
    format!("{}%", settings::round(share * 100.0))
}

/// Settings by name, with what they mean: the names are those of [`Profile`]'s text.
const SETTINGS: [Named; 12] = [
    ("delay", "a time, such as 100ms"),
    ("jitter", "a time, such as 20ms"),
    ("normal-jitter", "a time: the standard deviation"),
    ("pareto-jitter", "a time: the scale of a distribution with a long tail"),
    ("paretonormal-jitter", "a time: the scale of a mixture of both"),
    ("loss", "a share, such as 5%"),
    ("burst", "a share: how much a loss depends on the one before"),
    ("gilbert", "shares: how often a good line turns bad, and a bad one good, such as 1%/20%"),
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
            "delay" => self.delay_ms = settings::millis(value)?,
            "loss" => self.loss = settings::share(value)?,
            "burst" => self.loss_correlation = settings::share(value)?,
            "gilbert" => self.gilbert = Some(Gilbert::parse(value)?),
            "duplicate" => self.duplicate = settings::share(value)?,
            "reorder" => self.reorder = settings::share(value)?,
            "corrupt" => self.corrupt = settings::share(value)?,
            "rate" => self.rate_kbit = settings::kbit(value)?,
            jitter => {
                let spread = Spread::SETTINGS.iter().find(|(name, _)| *name == jitter);
                self.spread = spread.context("a setting that nobody sets")?.1;
                self.jitter_ms = settings::millis(value)?;
            }
        }
        Ok(())
    }

    /// Whether packets are lost.
    pub fn loses(&self) -> bool {
        self.loss > 0.0 || self.gilbert.is_some()
    }

    /// The share of packets with which losses begin, or less: how many a correlation leaves is not known.
    pub(super) fn losses_begin(&self) -> f64 {
        match &self.gilbert {
            Some(Gilbert { enter, leave, bad, .. }) => bad * enter * leave / (enter + leave),
            None if self.loss_correlation > 0.0 => 0.0,
            None => self.loss,
        }
    }

    /// The share of packets that are not lost.
    pub(super) fn arrives(&self) -> f64 {
        1.0 - self.gilbert.map_or(self.loss, |gilbert| gilbert.loss())
    }

    /// Both, one after the other, as one profile: delays add up and the narrower line decides. Of two models of loss with a
    /// memory, or of two ways to overtake, the first's is kept.
    pub(super) fn and(self, other: Profile) -> Profile {
        let either = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b);
        let narrower = if self.rate_kbit == 0.0 || other.rate_kbit == 0.0 { f64::max } else { f64::min };
        let has_memory = self.loss_correlation > 0.0 || self.gilbert.is_some();
        let losses = if self.loses() { self } else { other };
        Profile {
            delay_ms: self.delay_ms + other.delay_ms,
            jitter_ms: self.jitter_ms.hypot(other.jitter_ms),
            spread: if self.jitter_ms > 0.0 { self.spread } else { other.spread },
            loss: if has_memory { losses.loss } else { either(self.loss, other.loss) },
            loss_correlation: losses.loss_correlation,
            gilbert: losses.gilbert,
            duplicate: either(self.duplicate, other.duplicate),
            reorder: if self.reorder > 0.0 { self.reorder } else { other.reorder },
            corrupt: either(self.corrupt, other.corrupt),
            rate_kbit: narrower(self.rate_kbit, other.rate_kbit),
        }
    }
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Profile> {
        let mut profile = Profile::default();
        settings::each(text, &SETTINGS, |name, value| profile.set(name, value))?;
        ensure!(!profile.is_idle(), "{text} changes nothing");
        ensure!(
            profile.gilbert.is_none() || profile.loss == 0.0,
            "loss and gilbert are two models of the same"
        );
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
        let settings = [
            ("delay", self.delay_ms, format!("{}ms", self.delay_ms)),
            (self.spread.setting(), self.jitter_ms, format!("{}ms", self.jitter_ms)),
            ("loss", self.loss, percent(self.loss)),
            ("burst", self.loss_correlation, percent(self.loss_correlation)),
            (
                "gilbert",
                self.gilbert.map_or(0.0, |model| model.enter),
                self.gilbert.map(|model| model.to_string()).unwrap_or_default(),
            ),
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
            "delay=10ms+pareto-jitter=5ms+gilbert=1%/20%",
            "delay=10ms+paretonormal-jitter=5ms+gilbert=1%/20%/90%/0.1%",
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
    fn profiles_follow_each_other() {
        let both = |a: &str, b: &str| a.parse::<Profile>().unwrap().and(b.parse().unwrap()).to_string();
        assert_eq!(both("delay=10ms+jitter=3ms", "delay=5ms+jitter=4ms"), "delay=15ms+jitter=5ms");
        assert_eq!(both("loss=50%", "loss=50%+rate=5mbit"), "loss=75%+rate=5000kbit");
        assert_eq!(both("rate=1mbit", "gilbert=1%/20%+rate=5mbit"), "gilbert=1%/20%+rate=1000kbit");
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| format!("{:#}", text.parse::<Profile>().unwrap_err());
        for (text, part) in [
            ("delay", "expected NAME=VALUE"),
            ("dely=5ms", "did you mean `delay`?"),
            ("delay=5", "5 has no unit: ns, us, ms, s, m, h"),
            ("loss=5", "5 has no unit: %"),
            ("loss=101%", "more than all"),
            ("loss=0%", "not above 0"),
            ("delay=nanms", "nanms is no number"),
            ("rate=5", "no unit: kbit, mbit, gbit"),
            ("burst=5%", "burst needs a loss"),
            ("delay=5ms+jitter=6ms", "needs a delay of at least as much"),
            ("reorder=5%", "reorder needs a delay"),
            ("loss=5%+gilbert=1%/5%", "two models"),
            ("gilbert=1%", "expected ENTER/LEAVE"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }
}
