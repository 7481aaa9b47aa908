use std::fmt;
use std::str::FromStr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::faults::settings;
use crate::registry::Named;

/// What is done to a file, and to which. Text: `flip=8+file=wal*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// What is done.
    pub act: Act,
    /// Which files may be chosen: a pattern of their path in the data directory, where `*` stands for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Flips so many bits, anywhere.
    Flip(u64),
    /// Takes so many bytes away at the end.
    Truncate(u64),
    /// Overwrites so many bytes with others of the same file.
    Copy(u64),
    /// Remembers a file of up to so many bytes, and puts it back when healed.
    Restore(u64),
}

const SETTINGS: [Named; 5] = [
    ("flip", "a number of bits"),
    ("truncate", "a size, such as 64B or 4KiB"),
    ("copy", "a size"),
    ("restore", "the size of the greatest file to remember"),
    ("file", "a pattern of names, such as wal*"),
];

impl FromStr for Damage {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Damage> {
        let (mut acts, mut file) = (Vec::new(), None);
        settings::each(text, &SETTINGS, |name, value| {
            match name {
                "flip" => acts.push(Act::Flip(number(value.parse()?)?)),
                "truncate" => acts.push(Act::Truncate(size(value)?)),
                "copy" => acts.push(Act::Copy(size(value)?)),
                "restore" => acts.push(Act::Restore(size(value)?)),
                _ => file = Some(value.to_owned()),
            }
            Ok(())
        })?;
        ensure!(acts.len() == 1, "one of flip, truncate, copy and restore at a time");
        Ok(Damage { act: acts[0], file })
    }
}

fn number(number: u64) -> Result<u64> {
    ensure!(number > 0, "it is nothing");
    Ok(number)
}

fn size(text: &str) -> Result<u64> {
    let units = [("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0), ("B", 1.0)];
    number(settings::quantity(text, &units)? as u64)
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.act {
            Act::Flip(bits) => write!(f, "flip={bits}"),
            Act::Truncate(bytes) => write!(f, "truncate={bytes}B"),
            Act::Copy(bytes) => write!(f, "copy={bytes}B"),
            Act::Restore(bytes) => write!(f, "restore={bytes}B"),
        }?;
        self.file.iter().try_for_each(|file| write!(f, "+file={file}"))
    }
}

/// Whether a name fits a pattern in which `*` stands for anything, also for nothing.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(first) else { return false };
    (0..=name.len()).filter(|&at| name.is_char_boundary(at)).any(|at| fits(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_mistakes_are_explained() {
        for text in ["flip=8", "truncate=64B+file=wal*", "copy=4096B", "restore=1B+file=a/b"] {
            assert_eq!(text.parse::<Damage>().unwrap().to_string(), text);
        }
        assert_eq!("copy=4KiB".parse::<Damage>().unwrap().act, Act::Copy(4096));
        let error = |text: &str| format!("{:#}", text.parse::<Damage>().unwrap_err());
        for (text, part) in [
            ("file=wal", "one of flip, truncate, copy and restore"),
            ("flip=1+copy=1B", "one of flip"),
            ("flip=0", "flip=0: a number of bits: it is nothing"),
            ("flop=1", "did you mean `flip`?"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }

    #[test]
    fn patterns_fit() {
        for (pattern, name) in
            [("wal", "wal"), ("*", ""), ("*", "a/b"), ("*.log", "x.log"), ("a*b*c", "aXbbYc")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("wal", "wal2"), ("*.log", "x.logs"), ("a*b", "b"), ("", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
