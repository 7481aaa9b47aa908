use anyhow::Result;
use squall_checkers::Unknown;

use super::{Target, TargetOptions};
use crate::systems::refkv;

/// A target that squall knows.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name, as `-t` takes it.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// Its options: key and meaning.
    pub options: &'static [(&'static str, &'static str)],
    /// Makes it, with options that it knows.
    pub build: fn(&TargetOptions) -> Result<Box<dyn Target>>,
}

/// The targets, in the order in which they are listed.
pub static ALL: &[Entry] = &[Entry {
    name: refkv::NAME,
    about: "the reference key-value store: designs with known guarantees, and bugs to switch on",
    options: refkv::OPTIONS,
    build: |options| Ok(Box::new(refkv::RefKv::new(options)?)),
}];

/// The target of that name.
///
/// # Errors
/// There is none; the error names the nearest.
pub fn find(name: &str) -> Result<&'static Entry, Unknown> {
    let found = ALL.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| Unknown::new("target", name, ALL.iter().map(|entry| entry.name)))
}

impl Entry {
    /// A target of one's own, without options.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        build: fn(&TargetOptions) -> Result<Box<dyn Target>>,
    ) -> Entry {
        Entry { name, about, options: &[], build }
    }

    /// Makes it, with these options.
    ///
    /// # Errors
    /// An option that it does not know, or a value that makes no sense.
    pub fn make(&self, options: &TargetOptions) -> Result<Box<dyn Target>> {
        let known: Vec<&str> = self.options.iter().map(|(key, _)| *key).collect();
        options.only(&known)?;
        (self.build)(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_by_name_and_made_with_its_options() {
        let refkv = find("refkv").unwrap();
        let options = TargetOptions::parse(["design=raft", "bug=stale-read", "bug=double-apply"]).unwrap();
        assert_eq!(refkv.make(&options).unwrap().op_sets(), ["register", "set", "txn"]);
        let error = |options: &[&str]| {
            let options = TargetOptions::parse(options)?;
            refkv.make(&options).map(|_| ())
        };
        let said = |options| error(options).unwrap_err().to_string();
        assert!(said(&["bugs=x"]).starts_with("there is no target option `bugs`, did you mean `bug`?"));
        assert_eq!(said(&["bug"]), "a target option is key=value, not \"bug\"");
        assert_eq!(said(&["timeout-ms=soon"]), "timeout-ms is a number of milliseconds, not \"soon\"");
        assert_eq!(find("refk").unwrap_err().nearest(), Some("refkv"));
    }
}
