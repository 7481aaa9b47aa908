use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment in UTC, in whole milliseconds since 1970. Text and TOML: `2026-11-21T08:30:12.250Z`.
///
/// The calendar is computed here (Howard Hinnant, "chrono-compatible low-level date algorithms"): twenty lines instead
/// of a date library, because squall only ever prints UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: u64,
}

/// The latest moment that has four digits for its year.
const MAX_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// The present, by the system's clock.
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(MAX_MS))
    }

    /// The moment that many milliseconds after 1970 began; at most the end of the year 9999.
    pub fn from_unix_ms(unix_ms: u64) -> Timestamp {
        Timestamp { unix_ms: unix_ms.min(MAX_MS) }
    }

    /// `YYYYMMDD-HHMMSS`, which sorts as time does.
    pub fn compact(self) -> String {
        let (year, month, day, hour, minute, second) = self.civil();
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }

    /// `YYYY-MM-DD HH:MM:SS UTC`, for people.
    pub fn human(self) -> String {
        let (year, month, day, hour, minute, second) = self.civil();
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }

    fn civil(self) -> (u64, u64, u64, u64, u64, u64) {
        let seconds = self.unix_ms.min(MAX_MS) / 1000;
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let z = days + 719_468;
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        (year, month, day, rest / 3600, rest / 60 % 60, rest % 60)
    }
}

fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * if month > 2 { month - 3 } else { month + 9 } + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        let ms = self.unix_ms % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> String {
        timestamp.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;

    fn try_from(text: String) -> Result<Timestamp, String> {
        text.parse()
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Timestamp, String> {
        let bad = || format!("expected a time such as 2026-11-21T08:30:12.250Z, got {text:?}");
        let part = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
        if separators.iter().any(|&(at, mark)| text.get(at..at + 1) != Some(mark)) || !text.ends_with('Z') {
            return Err(bad());
        }
        let parsed = || {
            let date = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
            let time = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
            let ms = if text.get(19..20) == Some(".") { part(20, 23)? } else { 0 };
            Some((date, time, ms))
        };
        let ((year, month, day), (hour, minute, second), ms) = parsed().ok_or_else(bad)?;
        let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_range || hour > 23 || minute > 59 || second > 60 {
            return Err(bad());
        }
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Ok(Timestamp::from_unix_ms(seconds * 1000 + ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_print_and_parse() {
        let known = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_249_812_250, "2026-11-21T08:30:12.250Z"),
            (MAX_MS, "9999-12-31T23:59:59.999Z"),
        ];
        for (unix_ms, text) in known {
            assert_eq!(Timestamp::from_unix_ms(unix_ms).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap().unix_ms, unix_ms);
        }
        assert_eq!(Timestamp::from_unix_ms(1_795_249_812_250).compact(), "20261121-083012");
        assert_eq!(Timestamp::from_unix_ms(u64::MAX).compact(), "99991231-235959");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..146_097 {
            let moment = Timestamp::from_unix_ms(day * 86_400_000);
            assert_eq!(moment.to_string().parse::<Timestamp>(), Ok(moment));
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-21 08:30:12Z", "+026-11-21T08:30:12Z"]
        {
            assert!(text.parse::<Timestamp>().unwrap_err().contains("expected a time"), "{text}");
        }
    }
}
