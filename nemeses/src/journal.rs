//! The fault journal, `faults.jsonl`: what was about to be done, what was done, and what was undone.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use squall_checkers::{FaultEvent, Phase, Receipt};

use crate::nemesis::Plan;

/// Appends to a journal. A line is in the kernel's hands when a method returns, so the death of this process loses none.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    start: Instant,
    events: Vec<FaultEvent>,
    ids: u64,
}

impl Journal {
    /// Begins a journal for a run that began at `start`. The file must not exist.
    pub fn create(path: &Path, start: Instant) -> Result<Journal> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.with_context(|| format!("cannot make the fault journal {}", path.display()))?;
        Ok(Journal { file, path: path.to_owned(), start, events: Vec::new(), ids: 0 })
    }

    /// Writes down what is about to be done, under a new id.
    pub(crate) fn intent(&mut self, fault: &str, plan: &Plan) -> Result<FaultEvent> {
        let event = FaultEvent {
            id: self.ids + 1,
            phase: Phase::Intent,
            fault: fault.to_owned(),
            what: plan.what.clone(),
            nodes: plan.nodes.clone(),
            ..FaultEvent::default()
        };
        self.append(FaultEvent { args: plan.args.clone(), ..event.clone() })?;
        self.ids += 1;
        Ok(event)
    }

    /// Writes down that the fault of this intent is in force.
    pub(crate) fn injected(&mut self, intent: &FaultEvent, receipt: Receipt) -> Result<()> {
        self.append(FaultEvent { phase: Phase::Injected, receipt: Some(receipt), ..intent.clone() })
    }

    /// Writes down that the fault of this intent is over, by a healing that began at `began_ns`.
    pub(crate) fn over(
        &mut self,
        intent: &FaultEvent,
        phase: Phase,
        began_ns: u64,
        receipt: Receipt,
    ) -> Result<()> {
        let (began_ns, receipt) = (Some(began_ns), Some(receipt));
        self.append(FaultEvent { phase, began_ns, receipt, ..intent.clone() })
    }

    /// Nanoseconds since the start of the run.
    pub(crate) fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn append(&mut self, event: FaultEvent) -> Result<()> {
        let event = FaultEvent { time_ns: self.now_ns(), ..event };
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .with_context(|| format!("cannot write to the fault journal {}", self.path.display()))?;
        self.events.push(event);
        Ok(())
    }

    /// What was written so far.
    pub fn events(&self) -> &[FaultEvent] {
        &self.events
    }
}

/// The events of a journal. A last line that a crash cut short is left out.
pub fn read(path: &Path) -> Result<Vec<FaultEvent>> {
    let text = fs::read(path).with_context(|| format!("cannot read the fault journal {}", path.display()))?;
    let mut events = Vec::new();
    for (i, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if !line.ends_with(b"\n") => {}
            Err(error) => bail!("{}:{}: not a fault event: {error}", path.display(), i + 1),
        }
    }
    Ok(events)
}

/// The last event of each fault in a journal that was begun and neither failed nor was healed, oldest first. None where
/// there is no journal: that run ended before it could break anything.
pub fn open_faults(path: &Path) -> Result<Vec<FaultEvent>> {
    if !path.try_exists().with_context(|| format!("cannot look for {}", path.display()))? {
        return Ok(Vec::new());
    }
    let mut last: BTreeMap<u64, FaultEvent> = BTreeMap::new();
    for event in read(path)? {
        last.insert(event.id, event);
    }
    Ok(last.into_values().filter(|event| matches!(event.phase, Phase::Intent | Phase::Injected)).collect())
}

/// Writes faults down as healed that vanished with their cluster, because nobody lived to do it then. A last line that a
/// crash cut short is removed.
pub fn close_faults(path: &Path, open: &[FaultEvent]) -> Result<()> {
    let close = || -> Result<()> {
        let text = fs::read(path)?;
        // When they vanished nobody knows; not before the last that was written down.
        let time_ns = read(path)?.iter().map(|event| event.time_ns).max().unwrap_or(0);
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.set_len(whole as u64)?;
        for event in open {
            let receipt = Some(Receipt::unconfirmed("vanished with its cluster"));
            let mut line =
                serde_json::to_vec(&FaultEvent { time_ns, phase: Phase::Healed, receipt, ..event.clone() })?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        Ok(())
    };
    close().with_context(|| format!("cannot write to the fault journal {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_left_out_and_other_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.jsonl");
        let mut journal = Journal::create(&path, Instant::now()).unwrap();
        let first = journal.intent("kill", &Plan::on(vec!["n1".into()])).unwrap();
        journal.injected(&first, Receipt::confirmed("pid 5 gone")).unwrap();
        journal.over(&first, Phase::Healed, 7, Receipt::confirmed("pid 6 runs")).unwrap();
        journal.intent("pause", &Plan::on(vec!["n2".into()])).unwrap();
        assert!(Journal::create(&path, Instant::now()).is_err(), "a journal is never overwritten");

        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), b"{\"id\":2,\"ti"].concat()).unwrap();
        assert_eq!(read(&path).unwrap(), journal.events());
        let open = open_faults(&path).unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].id, open[0].phase, open[0].fault.as_str()), (2, Phase::Intent, "pause"));

        close_faults(&path, &open).unwrap();
        assert_eq!(open_faults(&path).unwrap(), [], "closed once and for all");
        let closed = read(&path).unwrap();
        assert_eq!((closed.len(), closed[4].id, closed[4].phase), (5, 2, Phase::Healed));
        assert_eq!(open_faults(&folder.path().join("none.jsonl")).unwrap(), [], "nothing was ever broken");

        fs::write(&path, [b"nonsense\n", whole.as_slice()].concat()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("faults.jsonl:1: not a fault event"), "{error}");
    }
}
