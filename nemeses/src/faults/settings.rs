//! Faults as text: settings by name, such as `delay=50ms+loss=5%`, and values with units.

use anyhow::{Context as _, Result, bail, ensure};
use squall_checkers::Unknown;

use crate::registry::Named;

/// Hands the name and the value of each setting in a text to `set`. `known` are the names that there are, each with what
/// its value means.
///
/// # Errors
/// Those of `set`, and about what is no `NAME=VALUE`, has an unknown name or is there twice; each with the setting that is
/// wrong.
pub(crate) fn each(
    text: &str,
    known: &[Named],
    mut set: impl FnMut(&'static str, &str) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    for item in text.split('+') {
        let (name, value) = item.split_once('=').with_context(|| format!("{item}: expected NAME=VALUE"))?;
        let Some((name, meaning)) = known.iter().find(|(known, _)| *known == name) else {
            bail!("{item}: {}", Unknown::new("setting", name, known.iter().map(|(name, _)| *name)));
        };
        ensure!(!seen.contains(name), "{item}: {name} is there twice");
        seen.push(*name);
        set(name, value).with_context(|| format!("{item}: {meaning}"))?;
    }
    Ok(())
}

/// A number with one of these units, in terms of the unit whose factor is 1.
pub(crate) fn quantity(text: &str, units: &[(&str, f64)]) -> Result<f64> {
    let unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let names = || units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
    let (number, factor) = unit.with_context(|| format!("{text} has no unit: {}", names()))?;
    let number: f64 = number.parse().with_context(|| format!("{number:?} is no number"))?;
    ensure!(number.is_finite(), "{text} is no number");
    Ok(number * factor)
}

/// A time in nanoseconds, which may be negative.
pub(crate) fn nanos(text: &str) -> Result<f64> {
    // `s` is the end of the three before it.
    quantity(text, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)])
}

/// A time in milliseconds, above 0 and at most ten minutes.
pub(crate) fn millis(text: &str) -> Result<f64> {
    let ms = positive(nanos(text)?, text)? / 1e6;
    ensure!(ms <= 600_000.0, "{text} is longer than ten minutes");
    Ok(ms)
}

/// A percentage above 0 as a share, 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64> {
    let percent = positive(quantity(text, &[("%", 1.0)])?, text)?;
    ensure!(percent <= 100.0, "{text} is more than all");
    Ok(round(percent / 100.0))
}

/// A rate in kilobits a second, above 0.
pub(crate) fn kbit(text: &str) -> Result<f64> {
    positive(quantity(text, &[("kbit", 1.0), ("mbit", 1_000.0), ("gbit", 1_000_000.0)])?, text)
}

/// To what a person would write.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn positive(number: f64, text: &str) -> Result<f64> {
    ensure!(number > 0.0, "{text} is not above 0");
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        assert_eq!(
            ["5ns", "5us", "5ms", "5s", "5m", "5h"].map(|text| nanos(text).unwrap() / 5.0),
            [1.0, 1e3, 1e6, 1e9, 60e9, 3600e9]
        );
        assert_eq!(millis("1.5s").unwrap(), 1500.0);
        assert_eq!(share("0.1%").unwrap(), 0.001);
        assert_eq!(kbit("2mbit").unwrap(), 2000.0);
        assert!(nanos("-2s").unwrap() < 0.0 && millis("-2s").is_err());
        assert_eq!(nanos("5").unwrap_err().to_string(), "5 has no unit: ns, us, ms, s, m, h");
        assert_eq!(nanos("infs").unwrap_err().to_string(), "infs is no number");
    }
}
