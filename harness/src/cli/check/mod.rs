//! `squall check`: judge stored runs, or histories from elsewhere.

mod choice;
mod interrupt;
mod table;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use squall_checkers::checker::check_all;
use squall_checkers::history::{self, Format, Parsed, write_jsonl};
use squall_checkers::registry::{self, Facts};
use squall_checkers::{Budget, Checker, Type, Value, Verdict};
use squall_results::{Run, RunConfig, RunData, Store, Totals};
use squall_workloads::workload::Options;

use self::choice::Choice;
use self::interrupt::Interrupt;
use super::args::CheckArgs;
use super::{BadArgument, NothingRan};
use crate::Squall;
use crate::exit::Exit;
use crate::judge::judge;
use crate::say::{document, text, word};

/// Judges and tells. A stored run keeps the new verdict and gets a new report.
pub(super) fn check(squall: &Squall, args: &CheckArgs, store: &Store, json: bool) -> Result<Exit> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(args.histories.len());
    let judge = Judge {
        squall,
        args,
        store,
        choice: Choice::new(squall, args)?,
        interrupt: Interrupt::listen()?,
        memory_bytes: args.memory_cap.map(|bytes| bytes / threads),
    };
    let mut judged = in_parallel(&args.histories, threads, |name| judge.history(name));
    if let Some(path) = &args.witness {
        write_witness(path, judged.iter().flatten())?;
    }
    let exit = if judged.len() == 1 {
        let judged = judged.remove(0)?;
        told(&judged, json)?;
        judged.verdict().valid.into()
    } else if json {
        let documents: Result<Vec<Value>> = args.histories.iter().zip(&judged).map(one_document).collect();
        println!("{}", serde_json::to_string_pretty(&documents?)?);
        table::worst(&judged)
    } else {
        print!("{}", table::table(&args.histories, &judged));
        table::worst(&judged)
    };
    Ok(judge.interrupt.heard().unwrap_or(exit))
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
            let name = "standard input";
            return self.foreign(history::read_as(std::io::stdin().lock(), name, self.args.format)?, name);
        }
        // A pipe is a file, too.
        if Path::new(name).exists() && !Path::new(name).is_dir() {
            let file = File::open(name).with_context(|| format!("cannot read {name}"))?;
            return self.foreign(history::read_as(file, name, self.args.format)?, name);
        }
        self.run(name)
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
        let mut history = parsed.history;
        if !history.iter().any(|op| op.is_client()) {
            let why = "the history holds no operation of a client: there is nothing to judge";
            bail!(NothingRan(why.to_owned()));
        }
        let facts = Facts::of(&history);
        let chosen = self.choice.checkers(&facts)?;
        if let Some(initial) = &self.args.initial {
            registry::mind_initial(&chosen.checkers, &facts).map_err(BadArgument)?;
            history =
                registry::with_initial(&history, &facts, &chosen.checkers, initial).map_err(BadArgument)?;
        }
        let verdict = check_all(name, &chosen.checkers, &history, &self.budget());
        let parts = verdict.parts.into_iter().map(|part| registry::unless_empty(part, &facts)).collect();
        let (id, verdict) = (name.to_owned(), Some(Verdict::compose(name, parts)));
        let data = RunData { id, history, verdict, notes: parsed.warnings, ..RunData::default() };
        Ok(Judged { data, format: Some(parsed.format), why: chosen.why, report: None })
    }

    fn run(&self, wanted: &str) -> Result<Judged> {
        let run = self.store.find(wanted).map_err(|error| match wanted {
            "latest" => error,
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

/// Prints what there is to say of one history, and a line for each checker.
fn told(judged: &Judged, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&document_of(judged)?)?);
        return Ok(());
    }
    print!("{}", text(&judged.data, judged.report.clone())?);
    if let Some(format) = judged.format {
        let ops = judged.data.history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke).count();
        println!("format   {format}, {ops} operations");
    }
    if let Some(why) = &judged.why {
        println!("checker  {}, {why}", judged.checkers().join(", "));
    }
    for part in &judged.verdict().parts {
        println!("  {:<8} {:<24} {}", word(part.valid).to_lowercase(), part.checker, part.summary);
    }
    Ok(())
}

fn document_of(judged: &Judged) -> Result<Value> {
    let mut document = document(&judged.data, judged.report.clone())?;
    document["format"] = json!(judged.format.map(Format::name));
    document["checkers"] = json!(judged.checkers());
    Ok(document)
}

fn one_document((name, judged): (&String, &Result<Judged>)) -> Result<Value> {
    match judged {
        Ok(judged) => document_of(judged),
        Err(error) => Ok(json!({ "id": name, "word": "ERROR", "error": format!("{error:#}") })),
    }
}

/// Writes the witness of the first anomaly as a history of its own.
fn write_witness<'a>(path: &Path, judged: impl Iterator<Item = &'a Judged>) -> Result<()> {
    let failing = judged.filter_map(|judged| {
        let part = judged.verdict().parts.iter().find(|part| !part.anomalies.is_empty())?;
        Some((judged, part, part.anomalies.first()?))
    });
    let Some((judged, part, anomaly)) = failing.into_iter().next() else {
        eprintln!("warning  there is no anomaly, so {} is not written", path.display());
        return Ok(());
    };
    let witness = judged.data.history.witness(&anomaly.witness);
    let cannot = || format!("cannot write the witness to {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(cannot)?);
    write_jsonl(&witness, &mut out).and_then(|()| out.flush()).with_context(cannot)?;
    eprintln!(
        "witness  {}: {} of {} events, which squall check -c {} judges alone",
        path.display(),
        witness.len(),
        judged.data.history.len(),
        part.checker
    );
    Ok(())
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
