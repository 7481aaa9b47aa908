use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Draw, Kind, Phase, Plot, Schedule};
use crate::chaos::do_again;
use crate::nemesis::{Nemesis, Plan};
use crate::package::{Package, Setting};
use crate::registry::{self, Entry};

/// A fault as a schedule names it.
pub(super) struct Fault {
    /// As it was written: `partition:halves`.
    pub(super) text: String,
    /// Its kind's place.
    pub(super) kind: usize,
    /// What an injection does.
    pub(super) draw: Draw,
    /// What may stand before the nodes in the value of an injection on chosen nodes: nothing, or `loss=20%@`. Empty where
    /// it was not asked for.
    pub(super) before_nodes: Vec<String>,
    /// Mean time from one of its acts to the next, where no times are given.
    pub(super) interval: Duration,
    /// Whether it lasts, where no times are given.
    pub(super) lasts: bool,
}

/// The faults of a schedule while it is put together.
pub(super) struct Cast<'a> {
    setting: &'a Setting,
    known: &'a [Entry],
    kinds: Vec<Kind>,
    faults: Vec<Fault>,
    /// That of each fault.
    nemeses: Vec<Box<dyn Nemesis>>,
}

impl<'a> Cast<'a> {
    pub(super) fn new(setting: &'a Setting, known: &'a [Entry]) -> Cast<'a> {
        Cast { setting, known, nemeses: Vec::new(), kinds: Vec::new(), faults: Vec::new() }
    }

    /// The place of the fault of this text, such as `kill:one`; `None` if it breaks nothing.
    pub(super) fn fault(&mut self, text: &str, interval: Duration) -> Result<Option<usize>> {
        self.parsed(text, registry::parse(text, self.known)?, interval)
    }

    fn parsed(
        &mut self,
        text: &str,
        (entry, parameter): (&Entry, Option<&str>),
        interval: Duration,
    ) -> Result<Option<usize>> {
        let setting = Setting { interval, ..*self.setting };
        let package =
            (entry.build)(parameter, &setting).with_context(|| format!("nemesis {}", entry.name))?;
        package.map(|package| self.add(text, package)).transpose()
    }

    fn add(&mut self, text: &str, package: Package) -> Result<usize> {
        let Package { name, nemesis, interval, draw, lasts, prepare } = package;
        let prepare = BTreeSet::from_iter(prepare.iter().copied());
        let kind = match self.kinds.iter().position(|kind| kind.name == name) {
            Some(kind) => {
                // One nemesis acts for both, and was made for one way.
                let other =
                    self.faults.iter().find(|fault| fault.kind == kind).map_or("", |fault| &fault.text);
                ensure!(
                    self.kinds[kind].prepare == prepare,
                    "{text} is done in another way than {other}: a run can have one of them"
                );
                kind
            }
            None => {
                self.kinds.push(Kind { name, ops: nemesis.ops(), prepare });
                self.kinds.len() - 1
            }
        };
        let (text, before_nodes) = (text.to_owned(), Vec::new());
        self.faults.push(Fault { text, kind, draw, before_nodes, interval, lasts });
        self.nemeses.push(nemesis);
        Ok(self.faults.len() - 1)
    }

    /// The place of a fault of this kind that does exactly this.
    pub(super) fn fault_again(&mut self, kind: &str, plan: &Plan) -> Result<usize> {
        let package = |entry: &Entry, parameter: Option<&str>| (entry.build)(parameter, self.setting);
        let mut known = self.known.iter().filter_map(|entry| Some((entry, package(entry, None).ok()??)));
        let (entry, mut again) = known
            .find(|(_, package)| package.name == kind)
            .with_context(|| format!("there was a {kind}, for which there is no nemesis here"))?;
        let mut text = kind.to_owned();
        // What must be there for it may depend on what it does.
        if let Some(parameter) = again.nemesis.parameter(plan) {
            again = package(entry, Some(&parameter))?.unwrap_or(again);
            text += &format!(":{parameter}");
        }
        let value = do_again(plan);
        self.add(&text, Package { draw: Box::new(move |_| value.clone()), ..again })
    }

    /// The same, to be injected on nodes that are chosen apart.
    pub(super) fn fault_on_nodes(&mut self, text: &str, interval: Duration) -> Result<Option<usize>> {
        let (entry, parameter) = registry::parse(text, self.known)?;
        let Some(fault) = self.parsed(text, (entry, parameter), interval)? else { return Ok(None) };
        // A nemesis takes the nodes alone, or after what else it is told: whatever it understands.
        let takes = |before: &String| {
            !entry.parameters.is_empty() && (entry.build)(Some(&format!("{before}one")), self.setting).is_ok()
        };
        let presets = || entry.parameters.iter().map(|(preset, _)| format!("{preset}@"));
        let before_nodes = match parameter {
            Some(parameter) => vec![format!("{parameter}@")],
            None if takes(&String::new()) => vec![String::new()],
            None => presets().collect(),
        };
        let before_nodes: Vec<String> = before_nodes.into_iter().filter(takes).collect();
        ensure!(!before_nodes.is_empty(), "{text} cannot be told on which nodes");
        self.faults[fault].before_nodes = before_nodes;
        Ok(Some(fault))
    }

    /// A fault of every nemesis that suits the target and the cluster, but those that last.
    pub(super) fn all(&mut self, interval: Duration) -> Vec<usize> {
        // What cannot be built is what does not suit.
        let comes_and_goes =
            |entry: &&Entry| matches!((entry.build)(None, self.setting), Ok(Some(package)) if !package.lasts);
        let known: Vec<&Entry> = self.known.iter().filter(comes_and_goes).collect();
        known.into_iter().filter_map(|entry| self.fault(entry.name, interval).ok().flatten()).collect()
    }

    /// Whether a fault lasts, where no times are given.
    pub(super) fn lasts(&self, fault: usize) -> bool {
        self.faults[fault].lasts
    }

    /// The name of a fault's kind.
    pub(super) fn kind(&self, fault: usize) -> &str {
        &self.kinds[self.faults[fault].kind].name
    }

    pub(super) fn finish(mut self, phases: Vec<Phase>, rounds: Option<u32>) -> Schedule {
        // Healed last: nodes can only join again when nothing else is broken.
        let mut order: Vec<usize> = (0..self.kinds.len()).collect();
        order.sort_by_key(|&at| changes_members(&self.kinds[at].name));
        for fault in &mut self.faults {
            fault.kind = order.iter().position(|&at| at == fault.kind).expect("every kind has a place");
        }
        self.kinds.sort_by_key(|kind| changes_members(&kind.name));
        let Cast { kinds, faults, nemeses, .. } = self;
        Schedule { nemeses, plot: Arc::new(Plot { kinds, faults, phases, rounds }) }
    }
}

fn changes_members(kind: &str) -> bool {
    matches!(kind, "membership" | "replace")
}
