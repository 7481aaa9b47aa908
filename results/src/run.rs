use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_checkers::{Verdict, history};

use crate::config::slug;
use crate::{Report, RunConfig, RunData, RunFile, Totals, files};

const HISTORY: &str = "history.jsonl.zst";

/// One run's directory. Cheap to make: nothing is read until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    dir: PathBuf,
    id: String,
}

/// What `verdict.json` holds: the verdict's own fields and the totals beside them.
#[derive(Serialize, Deserialize)]
pub(crate) struct JudgedRun {
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) totals: Option<Totals>,
}

impl Run {
    /// The run in that directory, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Run {
        let dir = dir.into();
        let named = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        Run { id: named.unwrap_or_else(|| dir.to_string_lossy().into_owned()), dir }
    }

    /// The name of its directory.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `run.toml`: how it was started.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("run.toml")
    }

    /// `history.jsonl.zst`: what the clients saw.
    pub fn history_path(&self) -> PathBuf {
        self.dir.join(HISTORY)
    }

    /// `faults.jsonl`: the fault journal with its receipts.
    pub fn faults_path(&self) -> PathBuf {
        self.dir.join("faults.jsonl")
    }

    /// `clocks.jsonl`: what the nodes' clocks showed, in runs that skew them.
    pub fn clocks_path(&self) -> PathBuf {
        self.dir.join("clocks.jsonl")
    }

    /// `verdict.json`: the verdict and the totals.
    pub fn verdict_path(&self) -> PathBuf {
        self.dir.join("verdict.json")
    }

    /// `report.html`.
    pub fn report_path(&self) -> PathBuf {
        self.dir.join("report.html")
    }

    /// `squall.log`: what the controller did.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("squall.log")
    }

    /// `nodes/<node>/`, where that node's logs go.
    pub fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(slug(node))
    }

    /// Makes `nodes/<node>/` and returns it.
    pub fn create_node_dir(&self, node: &str) -> Result<PathBuf> {
        let dir = self.node_dir(node);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Reads `run.toml`.
    pub fn config(&self) -> Result<RunConfig> {
        let path = self.config_path();
        let read = || anyhow::Ok(toml::from_str(&fs::read_to_string(&path)?)?);
        read().with_context(|| format!("cannot read {}", path.display()))
    }

    /// Replaces `run.toml` in one step.
    pub fn write_config(&self, config: &RunConfig) -> Result<()> {
        let text = toml::to_string(config).context("the run's configuration does not fit TOML")?;
        let path = self.config_path();
        files::replace(&path, |out| out.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Replaces `verdict.json` in one step. From here on the run is no longer incomplete.
    pub fn write_verdict(&self, verdict: &Verdict, totals: &Totals) -> Result<()> {
        let judged = JudgedRun { verdict: verdict.clone(), totals: Some(*totals) };
        let path = self.verdict_path();
        files::replace(&path, |out| {
            serde_json::to_writer_pretty(&mut *out, &judged)?;
            out.write_all(b"\n")
        })
        .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Renders `report.html` from what the directory holds, and returns its path.
    pub fn write_report(&self) -> Result<PathBuf> {
        self.write_report_of(&self.load()?)
    }

    /// Renders `report.html` from data that is already in memory, and returns its path.
    pub fn write_report_of(&self, data: &RunData) -> Result<PathBuf> {
        let path = self.report_path();
        files::replace(&path, |out| Report::new(data).write(out))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Reads the directory. What is missing or torn becomes a note; only a directory that cannot be read is an error.
    pub fn load(&self) -> Result<RunData> {
        fs::read_dir(&self.dir).with_context(|| format!("cannot read the run {}", self.dir.display()))?;
        let mut data = RunData { id: self.id.clone(), ..RunData::default() };
        match fs::read_to_string(self.config_path()).map(|text| toml::from_str(&text)) {
            Ok(Ok(config)) => {
                data.config = config;
                data.notes.clone_from(&data.config.notes);
            }
            Ok(Err(error)) => data.notes.push(format!("run.toml: {error}")),
            Err(error) => data.notes.push(format!("run.toml: {error}")),
        }
        match fs::read(self.verdict_path()).map(|json| serde_json::from_slice::<JudgedRun>(&json)) {
            Ok(Ok(judged)) => data.verdict = Some(judged.verdict),
            Ok(Err(error)) => data.notes.push(format!("verdict.json: {error}")),
            // That there is none is no news: the report says so first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => data.notes.push(format!("verdict.json: {error}")),
        }
        self.load_history(&mut data);
        data.faults = Run::load_lines(&self.faults_path(), &mut data.notes);
        data.clocks = Run::load_lines(&self.clocks_path(), &mut data.notes);
        self.list_files(&mut data);
        Ok(data)
    }

    fn load_history(&self, data: &mut RunData) {
        match history::read_file(self.history_path()) {
            Ok(parsed) => {
                data.history = parsed.history;
                data.notes.extend(parsed.warnings.into_iter().map(|warning| format!("{HISTORY}: {warning}")));
            }
            Err(error) => data.notes.push(format!("{HISTORY}: {error}")),
        }
    }

    /// The lines of a file that need not be there.
    fn load_lines<T: DeserializeOwned>(path: &Path, notes: &mut Vec<String>) -> Vec<T> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                notes.push(format!("{name}: {error}"));
                return Vec::new();
            }
        };
        let mut lines = Vec::new();
        for (nth, line) in bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
        {
            match serde_json::from_slice(line) {
                Ok(line) => lines.push(line),
                Err(error) => notes.push(format!("{name}, line {}: {error}", nth + 1)),
            }
        }
        lines
    }

    fn list_files(&self, data: &mut RunData) {
        let kept = ["run.toml", HISTORY, "faults.jsonl", "clocks.jsonl", "verdict.json", "squall.log"]
            .map(str::to_owned);
        let logs = entries(&self.dir.join("nodes")).into_iter().flat_map(|node| {
            let files = entries(&self.dir.join("nodes").join(&node)).into_iter();
            files.map(move |file| format!("nodes/{node}/{file}"))
        });
        for path in kept.into_iter().chain(logs) {
            if let Ok(meta) = fs::metadata(self.dir.join(&path))
                && meta.is_file()
            {
                data.files.push(RunFile { path, bytes: meta.len() });
            }
        }
    }
}

/// Names in a directory, in order; none where it cannot be read.
fn entries(dir: &Path) -> Vec<String> {
    let Ok(read) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        read.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use squall_checkers::history::JsonlWriter;
    use squall_checkers::{FaultEvent, Op, Phase, Receipt, Type};

    use super::*;
    use crate::Store;

    fn fault(id: u64, phase: Phase) -> FaultEvent {
        let receipt = Some(Receipt::confirmed("pid 7 is gone"));
        FaultEvent {
            id,
            time_ns: 5,
            phase,
            fault: "kill".into(),
            what: "n1".into(),
            nodes: vec!["n1".into()],
            receipt,
            ..FaultEvent::default()
        }
    }

    /// A run of which everything was written, its history in frames of one operation each.
    fn recorded(dir: &Path) -> (Run, RunConfig) {
        let config = RunConfig {
            target: "refkv".into(),
            workload: "register".into(),
            seed: 9,
            ..RunConfig::default()
        };
        let run = Store::open(dir).create(&config).unwrap();
        let mut writer = JsonlWriter::new(File::create(run.history_path()).unwrap()).unwrap();
        for at in 0..10 {
            let kind = if at % 2 == 0 { Type::Invoke } else { Type::Ok };
            writer.push(&Op::new("read").kind(kind).at(at).value(at)).unwrap();
            writer.flush().unwrap();
        }
        let lines = [Phase::Intent, Phase::Injected]
            .map(|phase| serde_json::to_string(&fault(1, phase)).unwrap() + "\n");
        fs::write(run.faults_path(), lines.concat()).unwrap();
        fs::write(run.create_node_dir("n1").unwrap().join("server.log"), "up").unwrap();
        fs::write(run.log_path(), "done").unwrap();
        run.write_verdict(&Verdict::unknown("all", "too few ok ops"), &Totals::default()).unwrap();
        (run, config)
    }

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (run, config) = recorded(dir.path());
        let data = run.load().unwrap();
        assert_eq!((data.notes.as_slice(), data.history.len()), (&[][..], 10));
        assert_eq!((data.id.as_str(), data.config), (run.id(), config));
        assert_eq!(data.faults, [fault(1, Phase::Intent), fault(1, Phase::Injected)]);
        assert_eq!(data.verdict, Some(Verdict::unknown("all", "too few ok ops")));
        let files: Vec<&str> = data.files.iter().map(|file| file.path.as_str()).collect();
        let kept = ["run.toml", "history.jsonl.zst", "faults.jsonl", "verdict.json", "squall.log"];
        assert_eq!(files, [&kept[..], &["nodes/n1/server.log"]].concat());
        let report = run.write_report().unwrap();
        assert!(fs::read_to_string(report).unwrap().contains("too few ok ops"));
    }

    #[test]
    fn verdict_json_is_a_verdict_to_whoever_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (run, _) = recorded(dir.path());
        let verdict: Verdict = serde_json::from_slice(&fs::read(run.verdict_path()).unwrap()).unwrap();
        assert_eq!(verdict, Verdict::unknown("all", "too few ok ops"));
    }

    #[test]
    fn a_torn_run_gives_what_is_whole_and_says_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (run, _) = recorded(dir.path());
        let cut = |path: &Path, less: usize| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - less]).unwrap();
        };
        cut(&run.history_path(), 40);
        cut(&run.faults_path(), 9);
        cut(&run.verdict_path(), 20);
        fs::write(run.config_path(), "seed = ").unwrap();
        let data = run.load().unwrap();
        assert_eq!((data.history.len(), data.faults.len(), data.verdict), (9, 1, None));
        let about: Vec<&str> =
            data.notes.iter().map(|note| note.split([':', ',', ' ']).next().unwrap()).collect();
        assert_eq!(
            about,
            ["run.toml", "verdict.json", "history.jsonl.zst", "faults.jsonl"],
            "{:?}",
            data.notes
        );
        let page = fs::read_to_string(run.write_report().unwrap()).unwrap();
        assert!(page.contains("There is no verdict."));
    }

    #[test]
    fn an_empty_directory_is_a_run_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let data = Run::at(dir.path()).load().unwrap();
        assert_eq!((data.history.len(), data.verdict), (0, None));
        let error = Run::at(dir.path().join("gone")).load().unwrap_err();
        assert!(error.to_string().contains("cannot read the run"), "{error}");
    }
}
