//! Numbers as people read them.

/// `1,204`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 op`, `2 ops`: the noun takes an s.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A moment in the run to the millisecond: `13.880 s`.
pub(crate) fn moment(ns: u64) -> String {
    let ms = ns / 1_000_000 + u64::from(ns % 1_000_000 >= 500_000);
    format!("{}.{:03} s", count(ms / 1_000), ms % 1_000)
}

/// A moment in the run with all its digits: `13.880000100 s`.
pub(crate) fn exact_moment(ns: u64) -> String {
    format!("{}.{:09} s", count(ns / 1_000_000_000), ns % 1_000_000_000)
}

/// A length of time in three digits: `950 ns`, `12.3 µs`, `4.20 ms`, `1.50 s`, `4 min 10 s`.
pub(crate) fn span(ns: u64) -> String {
    const MINUTE_NS: u64 = 60_000_000_000;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => three_digits(ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => three_digits(ns as f64 / 1e6, "ms"),
        1_000_000_000..MINUTE_NS => three_digits(ns as f64 / 1e9, "s"),
        _ => format!("{} min {} s", count(ns / MINUTE_NS), ns % MINUTE_NS / 1_000_000_000),
    }
}

fn three_digits(value: f64, unit: &str) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// A share in percent that says 100 % only where nothing is missing, and 0 % only where nothing is there.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    match part {
        0 => "0 %".to_owned(),
        _ if part == whole => "100 %".to_owned(),
        _ if share < 0.01 => "< 0.01 %".to_owned(),
        _ if share > 99.99 => "> 99.99 %".to_owned(),
        _ => format!("{share:.2} %"),
    }
}

/// `4.1 MB`.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1_204), count(1_000_000)],
            ["0", "999", "1,204", "1,000,000"]
        );
        assert_eq!([counted(1, "op"), counted(2, "op")], ["1 op", "2 ops"]);
        assert_eq!(moment(13_880_000_000), "13.880 s");
        assert_eq!(moment(1_999_500_000), "2.000 s");
        assert_eq!(exact_moment(13_880_000_100), "13.880000100 s");
        assert_eq!([span(950), span(12_340), span(4_200_000)], ["950 ns", "12.3 µs", "4.20 ms"]);
        assert_eq!(
            [span(150_000_000), span(1_500_000_000), span(250_000_000_000)],
            ["150 ms", "1.50 s", "4 min 10 s"]
        );
        assert_eq!(bytes(4_100_000), "4.1 MB");
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        assert_eq!([percent(0, 0), percent(0, 9), percent(9, 9)], ["–", "0 %", "100 %"]);
        assert_eq!([percent(1, 1_000_000), percent(999_999, 1_000_000)], ["< 0.01 %", "> 99.99 %"]);
        assert_eq!(percent(1, 3), "33.33 %");
    }
}
