use std::fmt;
use std::str::FromStr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::faults::settings;
use crate::registry::Named;

/// How a disk fails. Text: `slow-fsync=50ms+eio-fsync=5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Share of fsyncs (and of writes to files opened with O_SYNC or O_DSYNC) that fail with EIO. What they should have
    /// saved is not saved, and a later fsync that succeeds does not save it either.
    pub eio_fsync: f64,
    /// Share of reads that fail with EIO.
    pub eio_read: f64,
    /// Share of writes that fail with EIO.
    pub eio_write: f64,
    /// How long an fsync takes.
    pub slow_fsync_ms: f64,
    /// How long a read takes.
    pub slow_read_ms: f64,
    /// How long a write takes.
    pub slow_write_ms: f64,
    /// How much more fits on it, in MiB: what needs a new block beyond fails with ENOSPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_mib: Option<f64>,
}

/// The longest that a call is held back: until it returns, its process cannot be killed.
const SLOW_MAX_MS: f64 = 5_000.0;

/// Settings by name, with what they mean: the names are those of [`Profile`]'s text.
const SETTINGS: [Named; 7] = [
    ("eio-fsync", "a share, such as 5%"),
    ("eio-read", "a share"),
    ("eio-write", "a share"),
    ("slow-fsync", "a time of up to 5s, such as 50ms"),
    ("slow-read", "a time of up to 5s"),
    ("slow-write", "a time of up to 5s"),
    ("room", "a size, such as 1MiB or 0MiB"),
];

impl Profile {
    /// Whether it leaves the disk alone.
    pub fn is_idle(&self) -> bool {
        *self == Profile::default()
    }

    /// Whether it leaves everything but fsyncs alone.
    pub fn is_of_fsyncs(&self) -> bool {
        let Profile { eio_fsync, slow_fsync_ms, .. } = *self;
        *self == Profile { eio_fsync, slow_fsync_ms, ..Profile::default() }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "eio-fsync" => self.eio_fsync = settings::share(value)?,
            "eio-read" => self.eio_read = settings::share(value)?,
            "eio-write" => self.eio_write = settings::share(value)?,
            "slow-fsync" => self.slow_fsync_ms = slow(value)?,
            "slow-read" => self.slow_read_ms = slow(value)?,
            "slow-write" => self.slow_write_ms = slow(value)?,
            _ => self.room_mib = Some(room(value)?),
        }
        Ok(())
    }
}

fn slow(text: &str) -> Result<f64> {
    let ms = settings::millis(text)?;
    ensure!(ms <= SLOW_MAX_MS, "{text} is more than 5 s, for which no process could be killed");
    Ok(ms)
}

fn room(text: &str) -> Result<f64> {
    let mib = settings::quantity(text, &[("KiB", 1.0 / 1024.0), ("MiB", 1.0), ("GiB", 1024.0)])?;
    ensure!(mib >= 0.0, "{text} is less than nothing");
    Ok(mib)
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Profile> {
        let mut profile = Profile::default();
        settings::each(text, &SETTINGS, |name, value| profile.set(name, value))?;
        Ok(profile)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{}%", settings::round(share * 100.0));
        let settings = [
            ("eio-fsync", self.eio_fsync, percent(self.eio_fsync)),
            ("eio-read", self.eio_read, percent(self.eio_read)),
            ("eio-write", self.eio_write, percent(self.eio_write)),
            ("slow-fsync", self.slow_fsync_ms, format!("{}ms", self.slow_fsync_ms)),
            ("slow-read", self.slow_read_ms, format!("{}ms", self.slow_read_ms)),
            ("slow-write", self.slow_write_ms, format!("{}ms", self.slow_write_ms)),
        ];
        let set = settings.into_iter().filter(|(_, value, _)| *value > 0.0);
        let mut text: Vec<String> = set.map(|(name, _, text)| format!("{name}={text}")).collect();
        text.extend(self.room_mib.map(|mib| format!("room={mib}MiB")));
        f.write_str(&text.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back() {
        for text in [
            "eio-fsync=5%",
            "slow-fsync=50ms+room=0MiB",
            "eio-read=0.5%+eio-write=1%+slow-read=1ms+slow-write=2ms",
        ] {
            let profile: Profile = text.parse().unwrap();
            assert_eq!(profile.to_string(), text);
            assert!(!profile.is_idle());
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text: &str| format!("{:#}", text.parse::<Profile>().unwrap_err());
        for (text, part) in [
            ("rom=1MiB", "did you mean `room`?"),
            ("room=5", "5 has no unit: KiB, MiB, GiB"),
            ("eio-fsync", "eio-fsync: expected NAME=VALUE"),
            ("eio-fsync=5", "5 has no unit: %"),
            ("slow-fsync=6s", "no process could be killed"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }
}
