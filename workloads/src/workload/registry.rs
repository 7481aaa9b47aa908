//! The ready-made workloads by name.

use std::fmt;

use super::{Options, Workload, append, register, set};

/// A ready-made workload.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name, as `-w` takes it.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The op set that a client must know.
    pub op_set: &'static str,
    /// Makes it for a run.
    pub build: fn(&Options) -> Workload,
}

/// Every ready-made workload.
pub const ALL: &[Entry] = &[
    Entry {
        name: "append",
        about: "transactions that append to lists and read them",
        op_set: "txn",
        build: append,
    },
    Entry {
        name: "register",
        about: "reads, writes and compare-and-set on independent keys",
        op_set: "register",
        build: register,
    },
    Entry {
        name: "set",
        about: "adds unique elements, and looks which of them are still there at the end",
        op_set: "set",
        build: set,
    },
];

/// The workload of that name.
pub fn find(name: &str) -> Result<&'static Entry, Unknown> {
    ALL.iter().find(|entry| entry.name == name).ok_or_else(|| Unknown { name: name.to_owned() })
}

/// There is no workload of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What was asked for.
    pub name: String,
}

impl Unknown {
    /// The workload whose name is nearest, unless none is near.
    pub fn nearest(&self) -> Option<&'static str> {
        let near = ALL.iter().map(|entry| (distance(&self.name, entry.name), entry.name)).min()?;
        (near.0 <= 1 + near.1.len() / 3).then_some(near.1)
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no workload `{}`", self.name)?;
        match self.nearest() {
            Some(nearest) => write!(f, ", did you mean `{nearest}`?")?,
            None => f.write_str(".")?,
        }
        let names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
        write!(f, " There are {}", names.join(", "))
    }
}

impl std::error::Error for Unknown {}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
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
    fn every_entry_tells_the_truth() {
        let options = crate::workload::testing::test_options(5, 3, 10);
        for entry in ALL {
            let workload = (entry.build)(&options);
            assert_eq!((workload.name.as_str(), workload.op_set.as_str()), (entry.name, entry.op_set));
            assert_eq!(find(entry.name).unwrap().about, entry.about);
        }
        assert!(ALL.is_sorted_by_key(|entry| entry.name));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_and_the_list() {
        assert_eq!(
            find("regsiter").unwrap_err().to_string(),
            "there is no workload `regsiter`, did you mean `register`? There are append, register, set"
        );
        assert_eq!(
            find("bank").unwrap_err().to_string(),
            "there is no workload `bank`. There are append, register, set"
        );
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "set"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("set", "set"), 0);
    }
}
