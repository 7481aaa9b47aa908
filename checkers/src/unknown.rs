//! What to say when nothing has the name that was asked for.

use std::fmt;

/// Nothing of this kind has this name. Its text names what there is, and what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Of which kind: `workload`, `checker` …
    pub kind: &'static str,
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

impl Unknown {
    /// An error about `name`, where `known` are the names that exist.
    pub fn new<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Unknown {
        Unknown { kind, name: name.to_owned(), known: known.into_iter().map(str::to_owned).collect() }
    }

    /// The known name that is nearest, unless none is near.
    pub fn nearest(&self) -> Option<&str> {
        let begins = |known: &&String| !self.name.is_empty() && known.starts_with(&self.name);
        if let Some(known) = self.known.iter().find(begins) {
            return Some(known);
        }
        let (distance, name) = self.known.iter().map(|known| (distance(&self.name, known), known)).min()?;
        (distance <= 1 + name.len() / 3).then_some(name)
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} `{}`", self.kind, self.name)?;
        match self.nearest() {
            Some(nearest) => write!(f, ", did you mean `{nearest}`?")?,
            None => f.write_str(".")?,
        }
        if self.nearest().is_none() || self.known.len() <= LISTED_MAX {
            return write!(f, " There are: {}", self.known.join(", "));
        }
        // The whole list would hide it.
        let mut known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        known.sort_by_key(|known| (!known.starts_with(&self.name), distance(&self.name, known)));
        write!(f, " There are: {}, and {} more", known[..LISTED_MAX].join(", "), known.len() - LISTED_MAX)
    }
}

/// Names that are listed beside one that was probably meant.
const LISTED_MAX: usize = 12;

impl std::error::Error for Unknown {}

/// Levenshtein distance: insertions, deletions and substitutions of characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_if_it_is_near() {
        let unknown = |name| Unknown::new("workload", name, ["append", "register", "set"]);
        assert_eq!(unknown("regster").nearest(), Some("register"));
        assert_eq!(unknown("sets").nearest(), Some("set"));
        assert_eq!(unknown("reg").nearest(), Some("register"), "the beginning of a name is meant as such");
        assert_eq!(unknown("zzzzzz").nearest(), None);
        assert_eq!(
            unknown("regster").to_string(),
            "there is no workload `regster`, did you mean `register`? There are: append, register, set"
        );
        // Of a typo in one of eighty names all eighty were told.
        let many: Vec<String> = (0..80).map(|n| format!("checker-{n}")).collect();
        let text = Unknown::new("checker", "checkr-77", many.iter().map(String::as_str)).to_string();
        assert!(text.contains("did you mean `checker-77`? There are: checker-77, checker-7,"), "{text}");
        assert!(text.ends_with(", and 68 more"), "{text}");
        let far = Unknown::new("checker", "zzzz", many.iter().map(String::as_str)).to_string();
        assert!(far.ends_with("checker-79"), "{far}");
    }
}
