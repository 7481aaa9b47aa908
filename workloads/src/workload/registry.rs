//! The ready-made workloads by name.

use squall_checkers::Unknown;

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

/// The workload of that name; else an error that lists all and offers the nearest.
pub fn find(name: &str) -> Result<&'static Entry, Unknown> {
    let names = ALL.iter().map(|entry| entry.name);
    ALL.iter().find(|entry| entry.name == name).ok_or_else(|| Unknown::new("workload", name, names))
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
            "there is no workload `regsiter`, did you mean `register`? There are: append, register, set"
        );
    }
}
