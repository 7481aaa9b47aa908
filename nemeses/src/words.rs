//! Numbers and lists in words.

/// `1204` as `1,204`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 kill`, `1,204 kills`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// `{n1,n2}`.
pub(crate) fn set<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    format!("{{{}}}", names.join(","))
}

/// The candidate that differs least from `word`, if it is close enough to be what was meant (Levenshtein distance of at
/// most a third of its length, or a common beginning of three letters).
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |candidate: &&str| {
        let common = word.chars().zip(candidate.chars()).take_while(|(a, b)| a == b).count();
        distance(word, candidate) <= candidate.len().div_ceil(3) || common >= 3
    };
    candidates.into_iter().filter(close).min_by_key(|candidate| distance(word, candidate))
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_nearest_name_is_found() {
        let names = ["partition", "kill", "pause"];
        assert_eq!(nearest("partiton", names), Some("partition"));
        assert_eq!(nearest("partitions-random", names), Some("partition"));
        assert_eq!(nearest("pasue", names), Some("pause"));
        assert_eq!(nearest("clock", names), None);
    }
}
