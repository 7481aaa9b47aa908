//! Where the witness of the first anomaly goes.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use squall_checkers::history::write_jsonl;
use squall_checkers::{Anomaly, Verdict};
use squall_results::Store;

use super::Judged;
use crate::cli::BadArgument;
use crate::cli::args::CheckArgs;

/// A place that a witness can be written to.
pub(super) enum Place {
    File(PathBuf),
    /// Standard output, which is then the witness's alone.
    Output,
}

impl Place {
    /// Of `--witness`, looked at before anything is judged: a verdict that took an hour must not end in a file that cannot
    /// be written, nor a history in its own witness. Nothing is written or emptied.
    pub(super) fn of(args: &CheckArgs, store: &Store, json: bool) -> Result<Option<Place>, BadArgument> {
        let Some(path) = &args.witness else { return Ok(None) };
        // To open it by a name of its own would empty what was redirected there.
        if path == Path::new("-") || is_same(fs::metadata(path), of_stream(io::stdout())) {
            let clash =
                "--witness - and --json would both write to standard output: name a file for the witness";
            return if json { Err(BadArgument(clash.to_owned())) } else { Ok(Some(Place::Output)) };
        }
        let shown = path.display();
        if path.is_dir() {
            return Err(BadArgument(format!("--witness {shown} is a folder: name a file")));
        }
        if let Some(history) = args.histories.iter().find(|name| is_history(path, name, store)) {
            let history = if history == "-" { "standard input" } else { history };
            return Err(BadArgument(format!(
                "--witness {shown} is the file of {history}, which would be overwritten: name another"
            )));
        }
        try_to_write(path)
            .map_err(|error| BadArgument(format!("the witness cannot be written to {shown}: {error}")))?;
        Ok(Some(Place::File(path.clone())))
    }

    /// Whether what is said of the histories must go elsewhere.
    pub(super) fn is_output(&self) -> bool {
        matches!(self, Place::Output)
    }

    /// Writes the witness of the first anomaly as a history of its own, and says how it is judged.
    pub(super) fn write<'a>(
        &self,
        args: &CheckArgs,
        judged: impl Iterator<Item = (&'a str, &'a Judged)>,
    ) -> Result<()> {
        let shown = match self {
            Place::File(path) => path.display().to_string(),
            Place::Output => "standard output".to_owned(),
        };
        let mut failing = judged.filter_map(|(name, judged)| Some((name, judged, first(judged.verdict())?)));
        let Some((name, judged, (part, anomaly))) = failing.next() else {
            eprintln!("warning  there is no anomaly, so nothing is written to {shown}");
            return Ok(());
        };
        let witness = judged.data.history.witness(&anomaly.witness);
        let out: Box<dyn Write> = match self {
            Place::File(path) => {
                Box::new(File::create(path).with_context(|| format!("cannot write {shown}"))?)
            }
            Place::Output => Box::new(io::stdout()),
        };
        let mut out = BufWriter::new(out);
        match write_jsonl(&witness, &mut out).and_then(|()| out.flush()) {
            Err(error) if self.is_output() && error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.with_context(|| format!("cannot write {shown}"))?,
        }
        let events = format!("{} of {} events", witness.len(), judged.data.history.len());
        let of = if args.histories.len() > 1 { format!(" of {name}") } else { String::new() };
        let initial = if args.initial.is_some() { " with the same --initial" } else { "" };
        eprintln!(
            "witness  {shown}: {events}{of}, which squall check -c {}{initial} judges alone",
            part.checker
        );
        Ok(())
    }
}

/// The first anomaly, with the part of the verdict that names it: some checkers are several in one.
fn first(verdict: &Verdict) -> Option<(&Verdict, &Anomaly)> {
    let own = verdict.anomalies.first().map(|anomaly| (verdict, anomaly));
    own.or_else(|| verdict.parts.iter().find_map(first))
}

/// Whether the path leads to the file of this history, by whatever name.
fn is_history(path: &Path, name: &str, store: &Store) -> bool {
    let file = fs::metadata(path);
    let history = if name == "-" {
        of_stream(io::stdin())
    } else if Path::new(name).is_file() {
        fs::metadata(name)
    } else {
        super::find(store, name)
            .map_or(Err(ErrorKind::NotFound.into()), |run| fs::metadata(run.history_path()))
    };
    file.as_ref().is_ok_and(Metadata::is_file) && is_same(file, history)
}

fn of_stream(stream: impl AsFd) -> io::Result<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned()?).metadata()
}

/// Whether both are there, and are one.
fn is_same(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    let place = |file: Metadata| (file.dev(), file.ino());
    matches!((one.map(place), other.map(place)), (Ok(one), Ok(other)) if one == other)
}

/// Whether a file can be written, or made. A pipe or a device is not opened: that may wait, or be heard.
fn try_to_write(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(file) if file.is_file() => OpenOptions::new().write(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(_) => match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => fs::remove_file(path),
            // A link to a file that is not there yet.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        },
    }
}
