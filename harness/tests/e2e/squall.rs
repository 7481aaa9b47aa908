//! A folder with a `squall` in it, and what its runs leave there.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::Value;
use squall_checkers::history;
use squall_checkers::{FaultEvent, History, Phase};

/// Nothing here takes nearly as long, even on a busy machine: what does is a hang.
const HANG: Duration = Duration::from_secs(180);

/// The binary under test.
pub(crate) const SQUALL: &str = env!("CARGO_BIN_EXE_squall");

/// A folder to work in, gone with the value.
pub(crate) struct Folder(tempfile::TempDir);

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code, or 128 plus the signal.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), text).expect("a file in a temporary folder");
    }

    /// This program, in the folder, with nothing of our own environment that squall would heed.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SQUALL_"))
        {
            command.env_remove(name);
        }
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `squall` with these arguments, to its end.
    pub(crate) fn squall(&self, args: &str) -> Said {
        ended(self.command(SQUALL).args(args.split_whitespace()))
    }

    /// As [`squall`](Folder::squall), with this on its standard input.
    pub(crate) fn squall_reading(&self, args: &str, input: &str) -> Said {
        let mut child =
            self.command(SQUALL).args(args.split_whitespace()).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        said(child)
    }

    /// A copy of the binary in the folder, for who cannot reach where it lies. Another process makes it: what a test's own
    /// process writes may still be open in a child of another thread that has not come to its exec, and what is open for
    /// writing cannot be started.
    pub(crate) fn own_squall(&self) -> PathBuf {
        let copy = self.path().join("squall");
        assert!(Command::new("cp").arg(SQUALL).arg(&copy).status().unwrap().success());
        copy
    }

    /// Where runs are kept by default.
    pub(crate) fn results(&self) -> PathBuf {
        self.path().join("results/runs")
    }

    /// The runs, oldest first.
    pub(crate) fn runs(&self) -> Vec<RunDir> {
        let Ok(entries) = fs::read_dir(self.results()) else { return Vec::new() };
        let mut dirs: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        dirs.sort();
        dirs.into_iter().map(RunDir).collect()
    }

    /// The only run.
    pub(crate) fn run(&self) -> RunDir {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// The only run, once its file of this name holds that text.
    pub(crate) fn run_with(&self, file: &str, text: &str) -> RunDir {
        until(&format!("{text:?} in {file}"), || self.runs().into_iter().find(|run| run.holds(file, text)))
    }
}

/// Runs a command to its end.
pub(crate) fn ended(command: &mut Command) -> Said {
    said(command.spawn().expect("the program starts"))
}

/// Waits for the end of a child. Its output is short enough for a pipe's buffer, or is read by then.
pub(crate) fn said(child: Child) -> Said {
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let reader = std::thread::spawn(move || child.wait_with_output());
    let deadline = Instant::now() + HANG;
    while !reader.is_finished() {
        if Instant::now() > deadline {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            // Whoever else holds its output may hold it for ever.
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let Output { status, stdout, stderr } = reader.join().unwrap().unwrap();
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code, stdout: text(stdout), stderr: text(stderr) }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + HANG;
    loop {
        match ask() {
            Some(answer) => return answer,
            None => assert!(Instant::now() < deadline, "this did not come: {what}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// So many moments, one at random in each equal part of this time; the same each time.
pub(crate) fn random_moments(n: u64, within: Duration) -> impl Iterator<Item = Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(n);
    let part_us = within.as_micros() as u64 / n;
    (0..n).map(move |i| Duration::from_micros(i * part_us + rng.next_u64() % part_us))
}

impl Said {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// What follows this word at the beginning of a line of the answer: `again`, `report` …
    #[track_caller]
    pub(crate) fn line(&self, word: &str) -> &str {
        let found = self.stdout.lines().find_map(|line| line.strip_prefix(word));
        found.unwrap_or_else(|| panic!("no line begins with {word:?}: {self:#?}")).trim()
    }

    /// The answer as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The directory of a run.
#[derive(Debug)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    /// Whether its file of this name holds this text by now.
    pub(crate) fn holds(&self, file: &str, text: &str) -> bool {
        fs::read_to_string(self.0.join(file)).is_ok_and(|all| all.contains(text))
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub(crate) fn id(&self) -> String {
        self.0.file_name().unwrap().to_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file} of {self:?}: {error}"))
    }

    pub(crate) fn config(&self) -> toml::Table {
        self.text("run.toml").parse().unwrap()
    }

    pub(crate) fn verdict(&self) -> Value {
        serde_json::from_str(&self.text("verdict.json")).unwrap()
    }

    pub(crate) fn history(&self) -> History {
        history::read_file(self.path("history.jsonl.zst")).unwrap().history
    }

    /// The lines of the fault journal. The last one may be torn, and `heal` sets blank lines after torn ones.
    pub(crate) fn faults(&self) -> Vec<FaultEvent> {
        let text = fs::read_to_string(self.path("faults.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The ids of the faults that were begun and neither failed nor were healed.
    pub(crate) fn open_faults(&self) -> Vec<u64> {
        let mut open: Vec<u64> = Vec::new();
        for event in self.faults() {
            match event.phase {
                Phase::Intent => open.push(event.id),
                Phase::Injected => {}
                _ => open.retain(|&id| id != event.id),
            }
        }
        open
    }
}
