use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::index::Index;
use crate::{Run, RunConfig, RunSummary};

/// A folder of runs. It need not exist until the first run is created.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// Why a run could not be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindError {
    /// The store holds no runs at all.
    Empty {
        /// The store's directory.
        store: PathBuf,
    },
    /// A path leads to something else, or nowhere.
    NoRun {
        /// The path.
        path: PathBuf,
    },
    /// No run matches; the newest are offered instead.
    Unmatched {
        /// What was asked for.
        wanted: String,
        /// The newest ids.
        newest: Vec<String>,
    },
    /// Several runs match.
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Every id that matches, newest first.
        candidates: Vec<String>,
    },
}

/// How many ids an error message lists.
const LISTED: usize = 8;

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ids, total) = match self {
            FindError::Empty { store } => {
                return write!(f, "there are no runs in {}; `squall test` makes one", store.display());
            }
            FindError::NoRun { path } => {
                let shown = path.display();
                match path.exists() {
                    true => write!(f, "{shown} is no run, there is neither run.toml nor a history in it")?,
                    false => write!(f, "there is nothing at {shown}")?,
                }
                return f.write_str(": name the directory of a run, its id or the start of that, or latest");
            }
            FindError::Unmatched { wanted, newest } => {
                write!(f, "no run matches {wanted:?}; the newest are:")?;
                (newest, newest.len())
            }
            FindError::Ambiguous { wanted, candidates } => {
                write!(f, "{wanted:?} matches {} runs:", candidates.len())?;
                (candidates, candidates.len())
            }
        };
        for id in ids.iter().take(LISTED) {
            write!(f, "\n  {id}")?;
        }
        if total > LISTED {
            write!(f, "\n  and {} more", total - LISTED)?;
        }
        Ok(())
    }
}

impl std::error::Error for FindError {}

impl Store {
    /// The store in that directory, by convention `results/runs`.
    pub fn open(dir: impl Into<PathBuf>) -> Store {
        Store { dir: dir.into() }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory of a new run with its `run.toml`. Making the directory is what claims the id, so two runs that
    /// start in the same second get two: the later one ends in `-2`.
    pub fn create(&self, config: &RunConfig) -> Result<Run> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot create {}", self.dir.display()))?;
        let id = config.run_id();
        for nth in 1..=9999 {
            let dir = self.dir.join(if nth == 1 { id.clone() } else { format!("{id}-{nth}") });
            match fs::create_dir(&dir) {
                Ok(()) => {
                    let run = Run::at(dir);
                    run.write_config(config)?;
                    return Ok(run);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", dir.display())),
            }
        }
        anyhow::bail!("{} already holds 9,999 runs named {id}", self.dir.display())
    }

    /// Every run, newest first.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let read = match fs::read_dir(&self.dir) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.dir.display())),
        };
        let mut runs: Vec<Run> =
            read.flatten().map(|entry| Run::at(entry.path())).filter(looks_like_a_run).collect();
        runs.sort_by(|a, b| sort_key(b.id()).cmp(&sort_key(a.id())));
        Ok(runs)
    }

    /// What a list shows of every run, newest first. Half-written and torn runs are there, as incomplete.
    pub fn list(&self) -> Result<Vec<RunSummary>> {
        let runs = self.runs()?;
        let mut index = Index::load(&self.dir);
        let list = runs.iter().map(|run| index.summary(run)).collect();
        index.save();
        Ok(list)
    }

    /// A run by `latest`, by a path to it or to a file in it, by its id or the start of it, or by the start of any part of
    /// its id (`7f3a`, `083012`), as long as it is the only one.
    pub fn find(&self, wanted: &str) -> Result<Run> {
        let path = Path::new(wanted);
        let names_a_place = wanted.contains(std::path::MAIN_SEPARATOR);
        if names_a_place {
            return run_at_path(path).ok_or_else(|| FindError::NoRun { path: path.to_owned() }.into());
        }
        let runs = self.runs()?;
        let matches: [&dyn Fn(&str) -> bool; 3] =
            [&|id| id == wanted, &|id| !wanted.is_empty() && id.starts_with(wanted), &|id| {
                !wanted.is_empty() && id.split('-').any(|part| part.starts_with(wanted))
            }];
        if wanted == "latest"
            && let Some(run) = runs.first()
        {
            return Ok(run.clone());
        }
        for matches in matches {
            let mut found: Vec<&Run> = runs.iter().filter(|run| matches(run.id())).collect();
            match found.len() {
                0 => {}
                1 => return Ok(found.remove(0).clone()),
                _ => {
                    let candidates = found.iter().map(|run| run.id().to_owned()).collect();
                    return Err(FindError::Ambiguous { wanted: wanted.to_owned(), candidates }.into());
                }
            }
        }
        if path.exists() {
            return run_at_path(path).ok_or_else(|| FindError::NoRun { path: path.to_owned() }.into());
        }
        if runs.is_empty() {
            return Err(FindError::Empty { store: self.dir.clone() }.into());
        }
        let newest = runs.iter().take(LISTED).map(|run| run.id().to_owned()).collect();
        Err(FindError::Unmatched { wanted: wanted.to_owned(), newest }.into())
    }
}

fn run_at_path(path: &Path) -> Option<Run> {
    let dir = if path.is_file() { path.parent()? } else { path };
    let run = Run::at(dir.canonicalize().ok()?);
    looks_like_a_run(&run).then_some(run)
}

/// A directory with a file of a run in it, or named as runs are: a crash may have come before the first file.
fn looks_like_a_run(run: &Run) -> bool {
    run.dir().is_dir()
        && (has_the_shape_of_an_id(run.id()) || run.config_path().exists() || run.history_path().exists())
}

fn has_the_shape_of_an_id(id: &str) -> bool {
    let shape =
        |(at, byte): (usize, u8)| if at == 8 || at == 15 { byte == b'-' } else { byte.is_ascii_digit() };
    id.len() > 16 && id.bytes().take(16).enumerate().all(shape)
}

/// Orders ids by time, and clashes by their number, so that `-10` comes after `-9`.
fn sort_key(id: &str) -> (&str, usize, &str) {
    (id.get(..15).unwrap_or(id), id.len(), id)
}

#[cfg(test)]
mod tests {
    use squall_checkers::Verdict;

    use super::*;
    use crate::{Status, Totals};

    struct Fixture {
        _dir: tempfile::TempDir,
        store: Store,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("results").join("runs"));
        Fixture { _dir: dir, store }
    }

    fn config(second: u64, target: &str, seed: u64) -> RunConfig {
        let started = crate::Timestamp::from_unix_ms(1_795_249_812_000 + second * 1000);
        RunConfig {
            seed,
            started,
            target: target.into(),
            workload: "register".into(),
            ..RunConfig::default()
        }
    }

    fn error(store: &Store, wanted: &str) -> FindError {
        store.find(wanted).unwrap_err().downcast().unwrap()
    }

    #[test]
    fn runs_of_one_second_get_directories_of_their_own() {
        let Fixture { store, .. } = &fixture();
        let ids: Vec<String> = (0..11)
            .map(|_| store.create(&config(0, "refkv", 0x7f3a_91c2)).unwrap().id().to_owned())
            .collect();
        assert_eq!(ids[0], "20261121-083012-refkv-register-7f3a");
        assert_eq!(ids[1], "20261121-083012-refkv-register-7f3a-2");
        assert_eq!(store.find("latest").unwrap().id(), "20261121-083012-refkv-register-7f3a-11");
        assert_eq!(store.find(&ids[0]).unwrap().id(), ids[0], "an exact id beats those that it begins");
    }

    #[test]
    fn a_run_is_found_by_prefix_by_part_by_path_and_as_the_latest() {
        let Fixture { store, .. } = &fixture();
        let old = store.create(&config(0, "refkv", 0x7f3a_91c2)).unwrap();
        let new = store.create(&config(60, "etcd", 0x11)).unwrap();
        for wanted in ["20261121-083012", "083012", "7f3a", "refkv"] {
            assert_eq!(store.find(wanted).unwrap().id(), old.id(), "{wanted}");
        }
        assert_eq!(store.find("latest").unwrap().id(), new.id());
        let paths = [
            old.dir().to_owned(),
            old.dir().join(""),
            old.config_path(),
            old.dir().join("../").join(old.id()),
        ];
        for path in paths {
            assert_eq!(store.find(path.to_str().unwrap()).unwrap().id(), old.id(), "{}", path.display());
        }
    }

    #[test]
    fn a_run_that_is_not_found_is_answered_with_those_there_are() {
        let Fixture { store, .. } = &fixture();
        assert_eq!(error(store, "latest"), FindError::Empty { store: store.dir().to_owned() });
        let old = store.create(&config(0, "refkv", 0x7f3a_91c2)).unwrap().id().to_owned();
        let new = store.create(&config(60, "refkv", 0x7f11_91c2)).unwrap().id().to_owned();
        let candidates = vec![new.clone(), old.clone()];
        assert_eq!(
            error(store, "7f"),
            FindError::Ambiguous { wanted: "7f".into(), candidates: candidates.clone() }
        );
        assert_eq!(error(store, ""), FindError::Unmatched { wanted: String::new(), newest: candidates });
        let text = error(store, "zzz").to_string();
        assert_eq!(text, format!("no run matches \"zzz\"; the newest are:\n  {new}\n  {old}"));
    }

    /// A path was answered with the ids that there are, none of which it was like.
    #[test]
    fn a_path_that_leads_to_no_run_is_told_as_that() {
        let Fixture { store, _dir } = &fixture();
        let told = |path: PathBuf, says: &str| {
            assert_eq!(error(store, path.to_str().unwrap()), FindError::NoRun { path: path.clone() });
            let text = error(store, path.to_str().unwrap()).to_string();
            let how = ": name the directory of a run, its id or the start of that, or latest";
            assert_eq!(text, format!("{says}{how}"));
        };
        let place = _dir.path().to_owned();
        let no_run = |path: &Path| {
            format!("{} is no run, there is neither run.toml nor a history in it", path.display())
        };
        told(place.clone(), &no_run(&place));
        store.create(&config(0, "refkv", 0x7f3a_91c2)).unwrap();
        told(place.clone(), &no_run(&place));
        told(store.dir().to_owned(), &no_run(store.dir()));
        let gone = place.join("gone");
        told(gone.clone(), &format!("there is nothing at {}", gone.display()));
        // A name without a slash may be a directory here, too: that of this package's code is no run.
        assert_eq!(error(store, "src"), FindError::NoRun { path: "src".into() });
    }

    #[test]
    fn the_list_is_newest_first_and_takes_half_written_runs() {
        let Fixture { store, .. } = &fixture();
        assert_eq!(store.list().unwrap(), []);
        let judged = store.create(&config(0, "refkv", 0x7f3a_91c2)).unwrap();
        judged
            .write_verdict(&Verdict::valid("all", "fine"), &Totals { ops: 7, ..Totals::default() })
            .unwrap();
        let torn = store.create(&config(1, "refkv", 2)).unwrap();
        fs::write(torn.verdict_path(), "{\"valid\": tr").unwrap();
        fs::create_dir(store.dir().join("20261121-083014-etcd-kv-0003")).unwrap();
        fs::create_dir(store.dir().join("notes")).unwrap();
        fs::write(store.dir().join("README"), "not a run").unwrap();

        let list = store.list().unwrap();
        let shown: Vec<(&str, Status, Option<u64>)> =
            list.iter().map(|s| (s.id.as_str(), s.status, s.totals.map(|t| t.ops))).collect();
        let expected = [
            ("20261121-083014-etcd-kv-0003", Status::Incomplete, None),
            ("20261121-083013-refkv-register-0000", Status::Incomplete, None),
            ("20261121-083012-refkv-register-7f3a", Status::Valid, Some(7)),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_index_is_rebuilt_when_missing_stale_or_nonsense() {
        let Fixture { store, .. } = &fixture();
        let run = store.create(&config(0, "refkv", 1)).unwrap();
        let gone = store.create(&config(9, "refkv", 2)).unwrap();
        let index = store.dir().join("index.json");
        assert_eq!(store.list().unwrap()[1].status, Status::Incomplete);
        assert!(index.exists());

        run.write_verdict(&Verdict::unknown("all", "out of memory"), &Totals::default()).unwrap();
        fs::remove_dir_all(gone.dir()).unwrap();
        let list = store.list().unwrap();
        assert_eq!((list.len(), list[0].status), (1, Status::Unknown), "stale entries are not believed");

        for nonsense in ["", "{", "[]", "{\"format\":99,\"runs\":{}}"] {
            fs::write(&index, nonsense).unwrap();
            assert_eq!(store.list().unwrap(), list);
        }
        let before = fs::metadata(&index).unwrap().modified().unwrap();
        assert_eq!(store.list().unwrap(), list);
        assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), before, "written only when it changed");
    }

    #[test]
    fn an_index_entry_is_believed_only_for_the_files_it_was_made_from() {
        let Fixture { store, .. } = &fixture();
        let run = store.create(&config(0, "refkv", 1)).unwrap();
        store.list().unwrap();
        let index = store.dir().join("index.json");
        let forged = fs::read_to_string(&index).unwrap().replace("incomplete", "valid");
        fs::write(&index, &forged).unwrap();
        assert_eq!(store.list().unwrap()[0].status, Status::Valid, "the index is what is read");
        run.write_config(&config(0, "refkv", 11)).unwrap();
        assert_eq!(store.list().unwrap()[0].status, Status::Incomplete);
    }
}
