use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use squall_checkers::{Op, Process, Type};
use squall_workloads::generator::{GeneratorExt as _, Reply, Simulation};

use super::player::Player;
use crate::recovery::RECOVER;
use crate::together::{TOGETHER, Together};
use crate::words::count;

/// What a schedule is going to do: the whole of it, found by playing it without a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// Its acts in order.
    pub acts: Vec<Foreseen>,
    /// When the main phase ends, and all that is still in force is healed.
    pub until_s: f64,
    /// What the schedule says and the run or a phase is too short for, a sentence each.
    pub never: Vec<String>,
}

/// An act to come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foreseen {
    /// Seconds from the start of the main phase.
    pub at_s: f64,
    /// Whether that is the soonest: it comes after a wait for recovery, which here takes no time.
    pub at_least: bool,
    /// What sort of act it is.
    pub act: ActKind,
    /// The operation, as it will stand in the history.
    pub f: String,
    /// Its value: what to inject, before nodes are chosen.
    pub value: Value,
}

/// A sort of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActKind {
    /// A phase begins.
    Phase,
    /// One or several faults strike.
    Inject,
    /// All faults of a kind are healed.
    Heal,
    /// The schedule waits until every node answers.
    Recover,
}

impl Forecast {
    pub(super) fn of(player: Player, limit: Duration, never: Vec<String>) -> Forecast {
        let instant = |op: &Op, _: &mut _| match op.f == RECOVER {
            // Time must go on where a schedule waits again and again.
            true => Reply { after: Duration::from_millis(1), ..Reply::info() },
            false => Reply { after: Duration::ZERO, ..Reply::info() },
        };
        let heals: Vec<String> = player.plot().kinds.iter().map(|kind| kind.ops.heal.clone()).collect();
        let played = Simulation::new(1).run_with(player.time_limit(limit), instant);
        let mut acts: Vec<Foreseen> = Vec::new();
        let mut at_least = false;
        for op in played.expect("a player keeps the rules of generators").events {
            let begins = op.kind == Type::Invoke || op.f == "log";
            if op.process == Process::Nemesis && begins {
                let Op { time_ns, f, value, .. } = op;
                let act = match f.as_ref() {
                    "log" => ActKind::Phase,
                    RECOVER => ActKind::Recover,
                    f if heals.iter().any(|heal| heal == f) => ActKind::Heal,
                    _ => ActKind::Inject,
                };
                acts.push(Foreseen { at_s: time_ns as f64 / 1e9, at_least, act, f: f.into_owned(), value });
                at_least |= act == ActKind::Recover;
            }
        }
        Forecast { acts, until_s: limit.as_secs_f64(), never }
    }

    /// A few lines: what the phases are, how often each kind of fault strikes, and the first.
    pub fn brief(&self) -> Vec<String> {
        const LOGGED: usize = 4;
        let log = || self.acts.iter().filter(|act| act.act == ActKind::Phase);
        let mut lines: Vec<String> =
            log().take(LOGGED).map(|act| format!("{}: {}", act.when().trim_start(), act.what())).collect();
        if log().count() > LOGGED {
            lines.push(format!("and {}", count((log().count() - LOGGED) as u64, "more phase")));
        }
        let injections = || self.acts.iter().filter(|act| act.act == ActKind::Inject);
        let Some(first) = injections().next() else {
            lines.push(format!("no fault within {} s", self.until_s));
            return lines;
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        injections().for_each(|act| *counts.entry(act.f.as_str()).or_default() += 1);
        let counts: Vec<String> = counts.into_iter().map(|(f, count)| format!("{count} {f}")).collect();
        lines.push(format!(
            "{} in {} s; the first is {} at {}",
            counts.join(", "),
            self.until_s,
            first.what(),
            first.when().trim_start()
        ));
        lines
    }
}

impl Foreseen {
    fn when(&self) -> String {
        format!("{}{:>8.3} s", if self.at_least { "≥" } else { " " }, self.at_s)
    }

    fn what(&self) -> String {
        if self.f == "log" {
            return self.value.as_str().unwrap_or_default().to_owned();
        }
        if self.f == RECOVER {
            let within = self.value["within_s"].as_f64().unwrap_or_default();
            return format!("wait until every node answers, at most {within} s");
        }
        if let (true, Ok(Together { nodes, faults })) =
            (self.f == TOGETHER, serde_json::from_value(self.value.clone()))
        {
            let faults: Vec<String> =
                faults.iter().map(|(kind, before)| format!("{kind} {before}")).collect();
            let faults: Vec<&str> = faults.iter().map(|fault| fault.trim_end_matches(['@', ' '])).collect();
            return format!("together on {nodes}: {}", faults.join(", "));
        }
        match self.value["again"].get("what").unwrap_or(&self.value) {
            Value::Null => self.f.clone(),
            Value::String(text) => format!("{} {text}", self.f),
            other => format!("{} {other}", self.f),
        }
    }
}

/// A line for each act, with its time.
impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for act in &self.acts {
            writeln!(f, "{}  {}", act.when(), act.what())?;
        }
        writeln!(f, " {:>8.3} s  heal, and wait until every node answers", self.until_s)?;
        self.never.iter().try_for_each(|never| writeln!(f, "     never    {never}"))
    }
}
