//! Names that a person may have meant.

/// The candidate that is nearest to `name`, if one is near: at most a third of the letters differ (Levenshtein).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    let bound = name.chars().count().max(3) / 3;
    near.filter(|(distance, _)| *distance <= bound).min().map(|(_, candidate)| candidate)
}

/// `no <kind> is called <name>; did you mean <nearest>?`, or what there is instead.
pub fn unknown(kind: &str, name: &str, candidates: &[&str]) -> String {
    match nearest(name, candidates.iter().copied()) {
        Some(meant) => format!("no {kind} is called {name}; did you mean {meant}?"),
        None if candidates.is_empty() => format!("no {kind} is called {name}; there is none"),
        None => format!("no {kind} is called {name}; there is {}", candidates.join(", ")),
    }
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        assert_eq!(nearest("refvk", ["refkv", "etcd"]), None, "two of five letters");
        assert_eq!(nearest("rekv", ["refkv", "etcd"]), Some("refkv"));
        assert_eq!(
            nearest("partitoin-halves", ["partition-halves", "partition-ring"]),
            Some("partition-halves")
        );
        assert_eq!(
            unknown("target", "oracle", &["refkv", "etcd"]),
            "no target is called oracle; there is refkv, etcd"
        );
        assert_eq!(
            unknown("target", "etc", &["refkv", "etcd"]),
            "no target is called etc; did you mean etcd?"
        );
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
