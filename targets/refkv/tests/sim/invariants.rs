//! The properties of Figure 3 of the Raft paper, checked against what every node has ever done.

use super::Violation;
use squall_refkv::bug::Bugs;
use squall_refkv::machine::Machine;
use squall_refkv::raft::{Entry, LogPos, Node, Output, Payload, Record, Status};
use std::collections::BTreeMap;

/// What one node looked like before a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    leader_in: Option<u64>,
    last: u64,
    applied: u64,
    snapshots_installed: u64,
}

impl Before {
    /// Notes what `status` shows.
    pub(crate) fn note(status: &Status) -> Before {
        Before {
            leader_in: (status.role == "leader").then_some(status.term),
            last: status.last.index,
            applied: status.applied,
            snapshots_installed: status.stats.snapshots_installed,
        }
    }
}

/// All that has happened, as far as the properties speak of it.
#[derive(Debug)]
pub(crate) struct Ghost {
    leaders: BTreeMap<u64, String>,
    /// For each place in any log: the term before it and the entry.
    entries: BTreeMap<(u64, u64), (Option<u64>, Entry)>,
    /// For each index: the entry applied there, and the term in which that first happened.
    committed: BTreeMap<u64, (Entry, u64)>,
    /// The state that correct nodes have when they have applied everything in `committed`.
    reference: Machine,
    reference_index: u64,
    /// The same at every index where a snapshot may be taken.
    at_snapshots: BTreeMap<u64, Machine>,
    snapshot_every: u64,
}

impl Ghost {
    /// Nothing has happened.
    pub(crate) fn new(snapshot_every: u64) -> Ghost {
        Ghost {
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            reference: Machine::default(),
            reference_index: 0,
            at_snapshots: BTreeMap::new(),
            snapshot_every,
        }
    }

    /// The state after every committed entry.
    pub(crate) fn reference(&self) -> &Machine {
        &self.reference
    }

    /// How many entries were committed.
    pub(crate) fn committed(&self) -> usize {
        self.committed.len()
    }

    /// In how many terms there was a leader.
    pub(crate) fn terms_led(&self) -> usize {
        self.leaders.len()
    }

    /// Checks one step of one node.
    pub(crate) fn check(&mut self, before: &Before, node: &Node, output: &Output) -> Result<(), Violation> {
        let status = node.status();
        self.log_matching(node, output)?;
        self.state_machine_safety(before, &status, output)?;
        if status.role == "leader" {
            if before.leader_in == Some(status.term) {
                leader_append_only(before, &status, output)?;
            } else {
                self.election_safety(&status)?;
                self.leader_completeness(&status, node)?;
            }
        }
        self.states_agree(&status, node, output)
    }

    /// At most one leader can be elected in a given term.
    fn election_safety(&mut self, status: &Status) -> Result<(), Violation> {
        let first = self.leaders.entry(status.term).or_insert_with(|| status.id.clone());
        if *first != status.id {
            return Err(Violation::new(
                "election safety",
                format!("{first} and {} both lead term {}", status.id, status.term),
            ));
        }
        Ok(())
    }

    /// If two logs contain an entry with the same index and term, they are identical up to there. It is enough that the
    /// entry and the term before it are the same wherever the index and the term are.
    fn log_matching(&mut self, node: &Node, output: &Output) -> Result<(), Violation> {
        let entries: Vec<&Entry> = output.records.iter().filter_map(entry_of).collect();
        for (at, entry) in entries.iter().copied().enumerate() {
            let LogPos { index, term } = entry.pos;
            let previous = match entries[..at].iter().rev().find(|earlier| earlier.pos.index == index - 1) {
                Some(earlier) => Some(earlier.pos.term),
                // What came before it is gone already.
                None if entries[at..].iter().any(|later| later.pos.index < index) => None,
                None => node.log().term_at(index - 1),
            };
            let (known_previous, known) =
                self.entries.entry((index, term)).or_insert_with(|| (previous, entry.clone()));
            let same_previous = known_previous.is_none() || previous.is_none() || *known_previous == previous;
            if known != entry || !same_previous {
                let id = node.status().id;
                return Err(Violation::new(
                    "log matching",
                    format!(
                        "{id} has {entry:?} after term {previous:?}; elsewhere {known:?} after {known_previous:?}"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// An entry committed in a term is in the logs of the leaders of all higher terms.
    fn leader_completeness(&self, status: &Status, node: &Node) -> Result<(), Violation> {
        let held = self.committed.range(node.log().base().index + 1..);
        for (index, (entry, term)) in held.filter(|(_, (_, term))| *term < status.term) {
            if node.log().term_at(*index) != Some(entry.pos.term) {
                return Err(Violation::new(
                    "leader completeness",
                    format!(
                        "{} leads term {} without {:?}, committed in term {term}",
                        status.id, status.term, entry.pos
                    ),
                ));
            }
        }
        Ok(())
    }

    /// No two nodes apply different entries at one index; and no node leaves one out.
    fn state_machine_safety(
        &mut self,
        before: &Before,
        status: &Status,
        output: &Output,
    ) -> Result<(), Violation> {
        // A snapshot that came in the same step stands for the entries before its end.
        let may_skip = status.stats.snapshots_installed > before.snapshots_installed;
        let mut last = before.applied;
        for entry in &output.applied {
            let index = entry.pos.index;
            let (known, _) = self.committed.entry(index).or_insert_with(|| (entry.clone(), status.term));
            if known != entry {
                let detail = format!("at index {index} {} applies {entry:?}; elsewhere {known:?}", status.id);
                return Err(Violation::new("state machine safety", detail));
            }
            if index <= last || (index > last + 1 && !may_skip) {
                let detail = format!("{} applies index {index} after {last}", status.id);
                return Err(Violation::new("state machine safety", detail));
            }
            last = index;
        }
        while let Some((entry, _)) = self.committed.get(&(self.reference_index + 1)) {
            if let Payload::Write { id, command } = &entry.payload {
                self.reference.apply(entry.pos.index, id, command, Bugs::default());
            }
            self.reference_index += 1;
            if self.reference_index.is_multiple_of(self.snapshot_every) {
                self.at_snapshots.insert(self.reference_index, self.reference.clone());
            }
        }
        Ok(())
    }

    /// Nodes that have applied the same entries have the same keys and values: each write once.
    fn states_agree(&self, status: &Status, node: &Node, output: &Output) -> Result<(), Violation> {
        let differ =
            |index| Violation::new("state", format!("{} has a wrong state at index {index}", status.id));
        for record in &output.records {
            let Record::Checkpoint(durable) = record else { continue };
            let index = durable.snapshot.last.index;
            if self.at_snapshots.get(&index).is_some_and(|m| m.store() != durable.snapshot.machine.store()) {
                return Err(differ(index));
            }
        }
        let comparable = !output.applied.is_empty() && status.applied == self.reference_index;
        if comparable && node.machine().store() != self.reference.store() {
            return Err(differ(status.applied));
        }
        Ok(())
    }
}

fn entry_of(record: &Record) -> Option<&Entry> {
    match record {
        Record::Entry(entry) => Some(entry),
        _ => None,
    }
}

/// A leader never overwrites or deletes entries in its log.
fn leader_append_only(before: &Before, status: &Status, output: &Output) -> Result<(), Violation> {
    for entry in output.records.iter().filter_map(entry_of) {
        if entry.pos.index <= before.last {
            let detail = format!("{} overwrites index {} as leader", status.id, entry.pos.index);
            return Err(Violation::new("leader append-only", detail));
        }
    }
    if status.last.index < before.last {
        return Err(Violation::new("leader append-only", format!("the log of {} has shrunk", status.id)));
    }
    Ok(())
}
