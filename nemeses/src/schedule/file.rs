//! A schedule as a TOML file: see `harness/docs/SCHEDULES.md`.

use std::time::Duration;

use anyhow::Result;

use super::cast::Cast;
use super::swarm::Swarm;
use super::tables::{At, Source, Table};
use super::{Length, Phase, Schedule, Step};
use crate::nodes::NodeSpec;
use crate::package::Setting;
use crate::registry::Entry;

/// How long a phase waits for recovery if it does not say.
const WITHIN: Duration = Duration::from_secs(30);

/// Shorter phases would do nothing but follow each other.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a phase may say, and a file without phases too.
const ACTS: [&str; 4] = ["interval", "mix", "swarm", "step"];

struct Reader<'a> {
    cast: Cast<'a>,
    setting: &'a Setting,
    /// The choice that is made once for the run.
    swarm: Vec<usize>,
}

impl Schedule {
    /// The schedule of a file of this name and text, of these nemeses.
    ///
    /// # Errors
    /// `storm.toml:7:11: there is no nemesis `kil`, did you mean `kill`?`
    pub fn of_file(name: &str, text: &str, setting: &Setting, known: &[Entry]) -> Result<Schedule> {
        let source = Source::new(name, text);
        let parsed = source.parse()?;
        let file = source.table(&parsed);
        let mut reader = Reader { cast: Cast::new(setting, known), setting, swarm: Vec::new() };
        let phases = file.tables("phase")?;
        if phases.is_empty() {
            file.only(&[&ACTS[..], &["phase"]].concat())?;
            let mut phase = reader.acts(&file, setting.interval, Length::Endless)?;
            phase.swarm.iter_mut().for_each(|swarm| swarm.once = true);
            if phase.mix.is_empty() && phase.swarm.is_none() && phase.steps.is_empty() {
                return Err(
                    file.error("it says nothing: a schedule has a mix, a swarm, a [[step]] or a [[phase]]")
                );
            }
            return Ok(reader.cast.finish(vec![phase], Some(1)));
        }
        file.only(&["interval", "swarm", "repeat", "phase"])?;
        let interval = file.time("interval", false)?.map_or(setting.interval, |at| at.value);
        reader.swarm = reader.listed(&file, "swarm", interval)?;
        let rounds = rounds(&file)?;
        let last = phases.len() - 1;
        let phases: Vec<Phase> = phases
            .iter()
            .enumerate()
            .map(|(at, table)| reader.phase(table, interval, at == last && rounds == Some(1)))
            .collect::<Result<_>>()?;
        if rounds != Some(1) && phases.iter().all(|phase| matches!(phase.length, Length::Recovered(_))) {
            return Err(file.error("none of the phases that are repeated lasts for any time"));
        }
        if !reader.swarm.is_empty() && phases.iter().all(|phase| phase.swarm.is_none()) {
            return Err(file.error("no phase has swarm = true, so the swarm above them never strikes"));
        }
        Ok(reader.cast.finish(phases, rounds))
    }
}

/// How often the phases are gone through.
fn rounds(file: &Table<'_>) -> Result<Option<u32>> {
    match file.is_true("repeat") {
        true => Ok(None),
        false => Ok(Some(file.count("repeat")?.map_or(1, |at| at.value))),
    }
}

impl Reader<'_> {
    fn phase(&mut self, table: &Table<'_>, interval: Duration, may_be_endless: bool) -> Result<Phase> {
        table.only(&[&ACTS[..], &["name", "for", "until", "within"]].concat())?;
        let name = table.text("name")?.map(|at| at.value.to_owned());
        if let Some(At { value, span }) = table.text("until")? {
            if value != "recovered" {
                let what = format_args!("there is no end `{value}` of a phase: until is \"recovered\"");
                return Err(table.error_at(span, what));
            }
            let why = "makes no sense in a phase that only waits until all nodes answer: give it a phase of its own";
            table.without(&[&ACTS[..], &["for"]].concat(), why)?;
            let within = table.time("within", false)?.map_or(WITHIN, |at| at.value);
            return Ok(Phase {
                name,
                length: Length::Recovered(within),
                mix: Vec::new(),
                swarm: None,
                steps: Vec::new(),
            });
        }
        table.without(&["within"], "goes with until = \"recovered\"")?;
        let length = match table.time("for", false)? {
            Some(At { value, span }) if value < SHORTEST => {
                let what = format_args!("for: a phase lasts {} ms or more", SHORTEST.as_millis());
                return Err(table.error_at(span, what));
            }
            Some(length) => Length::For(length.value),
            None if may_be_endless => Length::Endless,
            None => {
                return Err(
                    table.error("how long does this phase last? for = \"10s\", or until = \"recovered\"")
                );
            }
        };
        Ok(Phase { name, ..self.acts(table, interval, length)? })
    }

    /// What a phase does.
    fn acts(&mut self, table: &Table<'_>, interval: Duration, length: Length) -> Result<Phase> {
        let interval = table.time("interval", false)?.map_or(interval, |at| at.value);
        let mix = self.listed(table, "mix", interval)?;
        let swarm = match table.is_true("swarm") {
            true if self.swarm.is_empty() => {
                return Err(table.error("swarm = true is the swarm above the phases, and there is none"));
            }
            true => Some(Swarm::new(self.swarm.clone(), true)),
            false => {
                let of = self.listed(table, "swarm", interval)?;
                (!of.is_empty()).then_some(Swarm::new(of, false))
            }
        };
        let steps = table.tables("step")?;
        let steps = steps.iter().map(|step| self.step(step, length)).collect::<Result<_>>()?;
        Ok(Phase { name: None, length, mix, swarm, steps })
    }

    /// The faults of a list, each kind once.
    fn listed(&mut self, table: &Table<'_>, key: &str, interval: Duration) -> Result<Vec<usize>> {
        let mut faults: Vec<usize> = Vec::new();
        for At { value, span } in table.texts(key)? {
            if key == "swarm" && value == "all" {
                faults.extend(self.cast.all(interval));
                continue;
            }
            let fault = self
                .cast
                .fault(value, interval)
                .map_err(|error| table.error_at(span.clone(), format_args!("{error:#}")))?;
            let Some(fault) = fault else { continue };
            if faults.iter().any(|&other| self.cast.kind(other) == self.cast.kind(fault)) {
                return Err(table.error_at(span, format_args!("{} is there twice", self.cast.kind(fault))));
            }
            faults.push(fault);
        }
        Ok(faults)
    }

    fn step(&mut self, table: &Table<'_>, within: Length) -> Result<Step> {
        table.only(&["at", "for", "every", "times", "fault", "faults", "pick", "nodes"])?;
        let nodes = table.text("nodes")?;
        if let Some(At { value, span }) = &nodes {
            let spec = value.parse::<NodeSpec>().and_then(|spec| spec.checked(self.setting.nodes));
            spec.map_err(|error| table.error_at(span.clone(), error))?;
        }
        let mut faults = Vec::new();
        for At { value, span } in table.texts("fault")?.into_iter().chain(table.texts("faults")?) {
            let fault = match &nodes {
                Some(_) => self.cast.fault_on_nodes(value, self.setting.interval),
                None => self.cast.fault(value, self.setting.interval),
            };
            faults.extend(fault.map_err(|error| table.error_at(span, format_args!("{error:#}")))?);
        }
        if faults.is_empty() {
            return Err(table
                .error("this step breaks nothing: fault = \"kill:one\", or faults = [\"kill\", \"clock\"]"));
        }
        let at = table.time("at", true)?;
        if let (Some(At { value, span }), Length::For(length)) = (&at, within)
            && *value >= length
        {
            let what =
                format_args!("the phase is over by then: it lasts {}", humantime::format_duration(length));
            return Err(table.error_at(span.clone(), what));
        }
        let lasts = table.time("for", false)?;
        let every = table.time("every", false)?;
        match (&every, &lasts) {
            (Some(every), None) => {
                return Err(
                    table.error_at(every.span.clone(), "what comes again has to end: say for = \"3s\" too")
                );
            }
            (Some(every), Some(lasts)) if lasts.value >= every.value => {
                return Err(table.error_at(lasts.span.clone(), "it lasts longer than until it comes again"));
            }
            (None, _) => table.without(&["times"], "goes with every")?,
            _ => {}
        }
        let pick = match table.count("pick")? {
            Some(At { value, span }) if value as usize > faults.len() => {
                return Err(table.error_at(span, format_args!("pick {value} of {} faults", faults.len())));
            }
            pick => pick.map_or(faults.len(), |at| at.value as usize),
        };
        Ok(Step {
            at: at.map_or(Duration::ZERO, |at| at.value),
            lasts: lasts.map(|at| at.value),
            every: every.map(|at| at.value),
            times: table.count("times")?.map(|at| at.value),
            faults,
            pick,
            nodes: nodes.map(|at| at.value.to_owned()),
        })
    }
}
