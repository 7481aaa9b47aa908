//! A schedule that does again what a journal says.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use squall_checkers::{FaultEvent, Phase};

use super::cast::Cast;
use super::{Length, Schedule, Step};
use crate::nemesis::Plan;
use crate::package::Setting;
use crate::registry::Entry;
use crate::words::count;

impl Schedule {
    /// The schedule that does exactly what a journal says: at the same times the same faults, on the same nodes, with the
    /// same arguments. Nothing is drawn, and nobody is asked who leads.
    ///
    /// # Errors
    /// If there is a kind of fault in it that none of these nemeses has, or that the cluster or the target cannot bear.
    pub fn of_journal(events: &[FaultEvent], setting: &Setting, known: &[Entry]) -> Result<Schedule> {
        let mut over_ns: BTreeMap<u64, u64> = BTreeMap::new();
        for event in events.iter().filter(|event| matches!(event.phase, Phase::Healed | Phase::Failed)) {
            over_ns.insert(event.id, event.began_ns.unwrap_or(event.time_ns));
        }
        let mut cast = Cast::new(setting, known);
        let mut steps = Vec::new();
        for event in events.iter().filter(|event| event.phase == Phase::Intent) {
            let FaultEvent { what, nodes, args, .. } = event.clone();
            let there = 1..=setting.nodes;
            if let Some(node) = nodes.iter().find(|node| !there.clone().any(|n| **node == format!("n{n}"))) {
                bail!(
                    "the journal has a {} at {node}, and there are {}: replay it with as many nodes as that run had",
                    event.fault,
                    count(setting.nodes as u64, "node")
                );
            }
            let lasts = over_ns.get(&event.id).map(|over_ns| over_ns.saturating_sub(event.time_ns));
            steps.push(Step {
                at: Duration::from_nanos(event.time_ns),
                lasts: lasts.map(Duration::from_nanos),
                every: None,
                times: None,
                faults: vec![cast.fault_again(&event.fault, &Plan { what, nodes, args })?],
                pick: 1,
                nodes: None,
            });
        }
        let phase = super::Phase { name: None, length: Length::Endless, mix: Vec::new(), swarm: None, steps };
        Ok(cast.finish(vec![phase], Some(1)))
    }
}
