//! Faults with settings, some of which have names.

use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail};
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use squall_checkers::Unknown;

use crate::registry::Named;

/// The names of some settings of a kind of fault.
pub(crate) struct Presets {
    /// What one is, as in "there is no skew `x`".
    pub(crate) noun: &'static str,
    /// Names, each with the settings that it stands for.
    pub(crate) known: &'static [Named],
    /// An example of settings without a name.
    pub(crate) such_as: &'static str,
}

impl Presets {
    /// What a text means: a name, a name and more settings after a `+`, or settings.
    pub(crate) fn parse<T: FromStr<Err = Error>>(&self, text: &str) -> Result<T> {
        let (name, more) = text.split_once('+').map_or((text, None), |(name, more)| (name, Some(more)));
        if let Some((_, settings)) = self.known.iter().find(|(known, _)| *known == name) {
            let Some(more) = more else { return settings.parse() };
            if let Some(item) = more.split('+').find(|item| self.known.iter().any(|(known, _)| known == item))
            {
                bail!(
                    "{text}: {item} can only stand first; what follows are settings such as {}",
                    self.such_as
                );
            }
            return format!("{settings}+{more}")
                .parse()
                .with_context(|| format!("{text} ({name} is {settings})"));
        }
        if !text.contains('=') {
            let unknown = Unknown::new(self.noun, text, self.known.iter().map(|(name, _)| *name));
            bail!("{unknown}, or settings such as {}", self.such_as);
        }
        text.parse()
    }

    /// One of the names at random.
    pub(crate) fn random(&self, rng: &mut ChaCha8Rng) -> &'static str {
        self.known.choose(rng).map_or("", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use super::*;
    use crate::faults::{Damage, DiskProfile, Profile, Skew};

    fn all_mean_something<T: FromStr<Err = Error> + Display>(presets: &Presets) {
        for (name, settings) in presets.known {
            assert_eq!(
                presets.parse::<T>(name).unwrap().to_string(),
                presets.parse::<T>(settings).unwrap().to_string()
            );
        }
        assert!(presets.parse::<T>(presets.such_as).is_ok(), "{}", presets.such_as);
    }

    #[test]
    fn every_name_stands_for_settings() {
        all_mean_something::<Profile>(&crate::packets::PRESETS);
        all_mean_something::<Skew>(&crate::clock::PRESETS);
        all_mean_something::<DiskProfile>(&crate::disk::PRESETS);
        all_mean_something::<Damage>(&crate::files::PRESETS);
    }

    #[test]
    fn settings_may_follow_a_name_and_mistakes_are_explained() {
        let presets = &crate::files::PRESETS;
        assert_eq!(
            presets.parse::<Damage>("truncate+file=wal").unwrap().to_string(),
            "truncate=512B+file=wal"
        );
        let error = |text: &str| format!("{:#}", crate::clock::PRESETS.parse::<Skew>(text).unwrap_err());
        // It was `hour: expected NAME=VALUE`.
        assert_eq!(
            error("hour+hour"),
            "hour+hour: hour can only stand first; what follows are settings such as offset=-5s+clock=both"
        );
        assert_eq!(
            error("hour+offset=5s"),
            "hour+offset=5s (hour is offset=1h): offset=5s: offset is there twice"
        );
        let presets = &crate::packets::PRESETS;
        assert_eq!(presets.parse::<Profile>("loss=2%").unwrap().loss, 0.02);
        // The last one counted, and the others were passed over.
        let twice = presets.parse::<Profile>("delay=100ms+loss=1%+delay=200ms").unwrap_err();
        assert_eq!(twice.to_string(), "delay=200ms: delay is there twice");
        assert_eq!(
            presets.parse::<Profile>("lost").unwrap_err().to_string(),
            "there is no profile `lost`, did you mean `loss`? There are: delay, jitter, loss, burst, gilbert, duplicate, \
             reorder, corrupt, slow, or settings such as delay=50ms+loss=5%"
        );
    }
}
