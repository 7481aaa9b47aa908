//! `squall check`: judge stored runs, or histories from elsewhere.

mod choice;
mod interrupt;
mod table;
mod witness;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result, bail};
use serde_json::json;
use squall_checkers::checker::check_all;
use squall_checkers::history::{self, Format, Parsed};
use squall_checkers::registry::{self, Facts};
use squall_checkers::{Budget, Checker, Type, Value, Verdict};
use squall_results::{Run, RunConfig, RunData, Store, Totals};
use squall_workloads::workload::Options;

use self::choice::Choice;
use self::interrupt::Interrupt;
use self::witness::Place;
use super::args::CheckArgs;
use super::{BadArgument, NothingRan};
use crate::Squall;
use crate::exit::Exit;
use crate::judge::judge;
use crate::say::{count, document, text, word};

/// How often a wait for input looks whether a signal came.
const LISTEN: Duration = Duration::from_millis(50);

/// Judges and tells. A stored run keeps the new verdict and gets a new report.
pub(super) fn check(squall: &Squall, args: &CheckArgs, store: &Store, json: bool) -> Result<Exit> {
    if args.histories.iter().filter(|name| *name == "-").count() > 1 {
        bail!(BadArgument("standard input can be read only once: name - only once".to_owned()));
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(args.histories.len());
    let judge = Judge {
        squall,
        args,
        store,
        choice: Choice::new(squall, args)?,
        interrupt: Interrupt::listen()?,
        memory_bytes: args.memory_cap.map(|bytes| bytes / threads),
    };
    let witness = Place::of(args, store, json)?;
    let mut judged = in_parallel(&args.histories, threads, |name| judge.history(name));
    let said = if json { documents(&args.histories, &judged)? } else { texts(&args.histories, &judged)? };
    // The verdict first: what cannot be written must not hide it.
    match &witness {
        Some(place) if place.is_output() => crate::print::to(std::io::stderr(), format_args!("{said}")),
        _ => print!("{said}"),
    }
    if let Some(place) = &witness {
        let names = args.histories.iter().map(String::as_str);
        let whole = names.zip(&judged).filter_map(|(name, judged)| Some((name, judged.as_ref().ok()?)));
        place.write(args, whole).unwrap_or_else(|error| eprintln!("error: there is no witness: {error:#}"));
    }
    if judged.len() == 1 {
        let exit = judged.remove(0)?.verdict().valid.into();
        return Ok(judge.interrupt.heard().unwrap_or(exit));
    }
    for (name, error) in
        args.histories.iter().zip(&judged).filter_map(|(name, judged)| Some((name, judged.as_ref().err()?)))
    {
        eprintln!("error: {}", of_file(name, error));
    }
    Ok(judge.interrupt.heard().unwrap_or(table::worst(&judged)))
}

/// An error with the name of the history, if it does not say it itself.
fn of_file(name: &str, error: &Error) -> String {
    let text = format!("{error:#}");
    let says = text.split([' ', ':', ',']).any(|word| word == name);
    if says { text } else { format!("{name}: {text}") }
}

/// All that is needed to judge a history by its name.
struct Judge<'a> {
    squall: &'a Squall,
    args: &'a CheckArgs,
    store: &'a Store,
    choice: Choice<'a>,
    interrupt: Interrupt,
    memory_bytes: Option<usize>,
}

/// A history with its verdict.
struct Judged {
    data: RunData,
    /// The format, of a history from elsewhere.
    format: Option<Format>,
    /// How its checkers came to be chosen, where nobody named them.
    why: Option<String>,
    report: Option<String>,
}

impl Judged {
    fn verdict(&self) -> &Verdict {
        self.data.verdict.as_ref().expect("it was judged")
    }

    /// The names of the checkers.
    fn checkers(&self) -> Vec<&str> {
        self.verdict().parts.iter().map(|part| part.checker.as_str()).collect()
    }
}

impl Judge<'_> {
    fn history(&self, name: &str) -> Result<Judged> {
        if name == "-" {
            return self.read("standard input", || Ok(std::io::stdin()));
        }
        // A pipe is a file, too.
        if Path::new(name).exists() && !Path::new(name).is_dir() {
            let path = name.to_owned();
            return self.read(name, || File::open(path));
        }
        self.run(name)
    }

    /// What comes from elsewhere. Whoever writes it may take their time, and a signal ends the wait.
    fn read<R: Read>(
        &self,
        name: &str,
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> Result<Judged> {
        let (format, path) = (self.args.format, name.to_owned());
        let (read, reading) = mpsc::channel();
        std::thread::spawn(move || {
            let parsed = match open() {
                Ok(source) => history::read_as(source, &path, format).map_err(Error::from),
                Err(error) => Err(BadArgument(format!("{path} cannot be read: {error}")).into()),
            };
            // Nobody waits for it after a signal.
            let _ = read.send(parsed);
        });
        loop {
            match reading.recv_timeout(LISTEN) {
                Ok(parsed) => return self.foreign(parsed?, name),
                Err(RecvTimeoutError::Timeout) if self.interrupt.heard().is_none() => {}
                Err(_) => bail!(NothingRan(format!("{name} was not read to its end"))),
            }
        }
    }

    fn budget(&self) -> std::sync::Arc<Budget> {
        let mut budget = Budget::default();
        if let Some(bytes) = self.memory_bytes {
            budget = budget.memory_bytes(bytes);
        }
        if let Some(time) = self.args.time_cap {
            budget = budget.time(time);
        }
        self.interrupt.watch(budget)
    }

    fn foreign(&self, parsed: Parsed, name: &str) -> Result<Judged> {
        let history = parsed.history;
        if !history.iter().any(|op| op.is_client()) {
            let why = match parsed.warnings.last().filter(|_| parsed.torn) {
                Some(torn) => format!("{name}: {torn}"),
                None => format!("{name} holds no operation of a client: there is nothing to judge"),
            };
            bail!(NothingRan(why));
        }
        let facts = Facts::of(&history);
        let chosen = self.choice.checkers(&facts)?;
        let verdict = match &self.args.initial {
            None => check_all(name, &chosen.checkers, &history, &self.budget()),
            Some(initial) => {
                registry::mind_initial(&chosen.checkers, &facts).map_err(BadArgument)?;
                let begun = registry::with_initial(&history, &facts, &chosen.checkers, initial);
                begun.map_err(BadArgument)?.check(&history, name, &chosen.checkers, &self.budget())
            }
        };
        let parts = verdict.parts.into_iter().map(|part| registry::unless_empty(part, &facts)).collect();
        let (id, verdict) = (name.to_owned(), Some(Verdict::compose(name, parts)));
        let data = RunData { id, history, verdict, notes: parsed.warnings, ..RunData::default() };
        Ok(Judged { data, format: Some(parsed.format), why: chosen.why, report: None })
    }

    fn run(&self, wanted: &str) -> Result<Judged> {
        let run = find(self.store, wanted).map_err(|error| match wanted {
            "latest" => error,
            folder if Path::new(folder).is_dir() => {
                let files = Path::new(folder).join("*");
                let why = "is a folder, but not that of a run: name the files in it, such as";
                BadArgument(format!("{folder} {why} {}", files.display())).into()
            }
            "" => BadArgument("the name of a history is empty".to_owned()).into(),
            _ => BadArgument(format!("there is no file {wanted}, and {error}")).into(),
        })?;
        let mut data = run.load()?;
        // What is torn is judged as far as it goes; what is damaged or missing must not replace a verdict.
        if !run.history_path().exists() {
            bail!(NothingRan(format!("{} has no history: it ended before its clients began", run.id())));
        }
        data.history = history::read_file(run.history_path())?.history;
        let own = self.choice.is_open();
        let checkers = if own {
            checkers_of(self.squall, &data.config)?
        } else {
            self.choice.checkers(&Facts::of(&data.history))?.checkers
        };
        let verdict = judge(&data.config.workload, &checkers, &data.history, &self.budget());
        data.verdict = Some(verdict.clone());
        // Other checkers than the run's own answer another question, and one that was cancelled answers none: the stored
        // verdict stays.
        let keeps = own && self.interrupt.heard().is_none();
        let report = if keeps { keep(&run, &mut data, &verdict) } else { None };
        Ok(Judged { data, format: None, why: None, report })
    }
}

/// The run of this name, or in this folder.
fn find(store: &Store, wanted: &str) -> Result<Run> {
    // A bare name is one of a run, unless there is a folder of that name here.
    match Path::new(".").join(wanted) {
        folder if folder.is_dir() => store.find(&folder.to_string_lossy()).or_else(|_| store.find(wanted)),
        _ => store.find(wanted),
    }
}

/// Stores the verdict and writes the report. What cannot be written changes no verdict.
fn keep(run: &Run, data: &mut RunData, verdict: &Verdict) -> Option<String> {
    let warn = |error: anyhow::Error| eprintln!("warning  {error:#}");
    if !run.verdict_path().exists() && data.config.notes.is_empty() {
        let note = "The run was cut short before it was judged: this is its beginning.".to_owned();
        data.config.notes.push(note.clone());
        data.notes.push(note);
        run.write_config(&data.config).unwrap_or_else(warn);
    }
    run.write_verdict(verdict, &Totals::of(&data.history, &data.faults)).unwrap_or_else(warn);
    run.write_report_of(data).map_err(warn).ok().map(|path| path.display().to_string())
}

fn checkers_of(squall: &Squall, config: &RunConfig) -> Result<Vec<Box<dyn Checker>>> {
    let options = Options {
        concurrency: config.concurrency as usize,
        nodes: config.nodes.clone(),
        // Only generators mind.
        ops_per_key: 1,
    };
    let entry = squall.find_workload(&config.workload).map_err(|error| {
        BadArgument(format!(
            "the run names no workload whose checkers could judge it, name some with -c: {error}"
        ))
    })?;
    Ok((entry.build)(&options).checkers)
}

/// What there is to say of the histories, for a person.
fn texts(names: &[String], judged: &[Result<Judged>]) -> Result<String> {
    match judged {
        [Ok(judged)] => text_of(judged),
        [Err(_)] => Ok(String::new()),
        _ => Ok(table::table(names, judged)),
    }
}

/// What there is to say of one history, and a line for each checker.
fn text_of(judged: &Judged) -> Result<String> {
    let mut said = text(&judged.data, judged.report.clone())?;
    if let Some(format) = judged.format {
        let ops = judged.data.history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke).count();
        writeln!(said, "format   {format}, {}", count(ops, "operation", "operations"))?;
    }
    if let Some(why) = &judged.why {
        writeln!(said, "checker  {}, {why}", judged.checkers().join(", "))?;
    }
    for part in &judged.verdict().parts {
        writeln!(said, "  {:<8} {:<24} {}", word(part.valid).to_lowercase(), part.checker, part.summary)?;
    }
    Ok(said)
}

/// What there is to say of the histories, for a program: a document, or a list of them. That of a history that could not be
/// judged holds the error.
fn documents(names: &[String], judged: &[Result<Judged>]) -> Result<String> {
    let mut documents = Vec::new();
    for (name, judged) in names.iter().zip(judged) {
        documents.push(match judged {
            Ok(judged) => document_of(judged)?,
            Err(error) => json!({ "id": name, "word": "ERROR", "error": format!("{error:#}") }),
        });
    }
    let said = if documents.len() == 1 { documents.remove(0) } else { Value::from(documents) };
    Ok(serde_json::to_string_pretty(&said)? + "\n")
}

fn document_of(judged: &Judged) -> Result<Value> {
    let mut document = document(&judged.data, judged.report.clone())?;
    document["format"] = json!(judged.format.map(Format::name));
    document["checkers"] = json!(judged.checkers());
    Ok(document)
}

/// The results of `work` on every item, in order, by so many threads.
fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let worker = || {
        while let Some((item, slot)) = next_of(items, &done, &next) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(work(item));
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(worker)));
        worker();
    });
    let results = done.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner));
    results.map(|result| result.expect("a worker that panics is re-raised by the scope")).collect()
}

fn next_of<'a, T, S>(items: &'a [T], slots: &'a [S], next: &AtomicUsize) -> Option<(&'a T, &'a S)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((items.get(at)?, &slots[at]))
}
