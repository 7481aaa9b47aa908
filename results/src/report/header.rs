//! The top of the report: the verdict, what it covered, how to repeat it.

use std::collections::HashMap;
use std::fmt::Write;

use squall_checkers::{Fault, FaultSummary, History, Recovery, Type};

use super::anomaly::Found;
use super::columns::split;
use super::html::{Escaped, prose};
use super::units;
use crate::{RunConfig, RunData, Status, Totals};

/// Below this many ok operations a key says little.
const FEW: u64 = 10;

/// A headline of more characters is set smaller.
const LONG: usize = 72;

pub(crate) fn status(data: &RunData) -> Status {
    data.verdict.as_ref().map_or(Status::Incomplete, |verdict| verdict.valid.into())
}

/// What a run covered, in a line: `2,391 ops: 2,301 ok, 60 fail, 30 info; 6 partitions, 4 kills, all confirmed`.
pub(crate) fn coverage(data: &RunData, bands: &[Fault], keyed: bool) -> String {
    let totals = Totals::of(&data.history, &data.faults);
    if totals.ops == 0 {
        return "No client operation was recorded.".to_owned();
    }
    let mut line = format!(
        "{} in {}: {} ok, {} fail, {} info",
        units::counted(totals.ops, "op"),
        units::span(totals.duration_ns),
        units::count(totals.ok),
        units::count(totals.fail),
        units::count(totals.info)
    );
    // Of a history from elsewhere nobody knows its faults.
    if !bands.is_empty() || !data.config.argv.is_empty() {
        line += &format!("; {}", FaultSummary::of(bands));
    }
    if let Some(recovery) = Recovery::last(&data.history) {
        line += &match recovery.is_complete() {
            true => format!("; recovered in {}", units::span((recovery.took_s * 1e9) as u64)),
            false => format!("; not recovered in {}", units::span((recovery.took_s * 1e9) as u64)),
        };
    }
    let few = if keyed { keys_with_few_ok(&data.history) } else { 0 };
    if few > 0 {
        line += &format!("; {} had fewer than {FEW} ok ops", units::counted(few, "key"));
    }
    line
}

fn keys_with_few_ok(history: &History) -> u64 {
    let mut ok_by_key: HashMap<String, u64> = HashMap::new();
    for event in history.iter().filter(|event| event.is_client()) {
        if let Some((key, _)) = split(&event.value()) {
            *ok_by_key.entry(key.to_string()).or_default() += u64::from(event.kind() == Type::Ok);
        }
    }
    ok_by_key.values().filter(|ok| **ok < FEW).count() as u64
}

pub(crate) fn render(data: &RunData, bands: &[Fault], found: &[Found<'_>], keyed: bool) -> String {
    let status = status(data);
    let headline = headline(data, status);
    let size = if headline.chars().count() > LONG { " class=\"long\"" } else { "" };
    let mut html = format!(
        r#"<section class="hero {status}"><p class="verdict">{status}</p><h1{size}>{}</h1>"#,
        prose(&headline)
    );
    for line in leads(data, status, found).iter().filter(|line| **line != headline) {
        let _ = write!(html, r#"<p class="lead">{}</p>"#, prose(line));
    }
    if let Some(fault) = found.first().and_then(|worst| worst.faults.first()) {
        let _ = write!(
            html,
            r#"<p class="during">during {} <b>{}</b> <span>receipt: {}</span></p>"#,
            Escaped(&fault.fault),
            Escaped(&fault.what),
            Escaped(fault.evidence())
        );
    }
    let _ = write!(html, r#"<p class="coverage">{}</p>"#, Escaped(coverage(data, bands, keyed)));
    for warning in warnings(data, status, bands) {
        let _ = write!(html, r#"<p class="warning">{}</p>"#, prose(&warning));
    }
    let _ = write!(
        html,
        r#"<div class="again"><code id="again" tabindex="0">{}</code><button type="button" class="button" data-copy="again">Copy</button></div>"#,
        Escaped(data.config.again())
    );
    html += &facts(&data.config);
    html + "</section>\n"
}

fn headline(data: &RunData, status: Status) -> String {
    match (&data.verdict, status) {
        (Some(verdict), _) if !verdict.summary.is_empty() => verdict.summary.clone(),
        (_, Status::Valid) => "Nothing was found.".to_owned(),
        (_, Status::Incomplete) => "There is no verdict.".to_owned(),
        _ => format!("{} on {}", data.config.workload, data.config.target),
    }
}

/// The sentences below the headline.
fn leads(data: &RunData, status: Status, found: &[Found<'_>]) -> Vec<String> {
    let mut leads: Vec<String> = data.verdict.iter().filter_map(|verdict| verdict.reason.clone()).collect();
    leads.extend(found.first().map(|worst| worst.anomaly.sentence.clone()));
    if status == Status::Incomplete {
        leads.push(format!(
            "The run was cut short, or it still goes on. `squall check {}` judges what is there.",
            data.id
        ));
    }
    leads
}

/// What makes a run weaker than it looks.
pub(crate) fn warnings(data: &RunData, status: Status, bands: &[Fault]) -> Vec<String> {
    let mut warnings = data.notes.clone();
    let asked = !data.config.nemeses.is_empty() || !bands.is_empty();
    if asked && bands.is_empty() {
        warnings.push("No fault was injected: the run was too short, or squall.log says why.".to_owned());
    } else if asked && status == Status::Valid && bands.iter().all(|band| !band.confirmed) {
        warnings.push(
            "No fault is proven to have taken effect, so this pass says nothing about behaviour under faults."
                .to_owned(),
        );
    }
    let totals = Totals::of(&data.history, &data.faults);
    if totals.ok * 10 < totals.ops {
        warnings.push(format!(
            "Only {} of {} operations were ok.",
            units::count(totals.ok),
            units::count(totals.ops)
        ));
    }
    warnings
}

fn facts(config: &RunConfig) -> String {
    let options = [&config.target_options, &config.workload_options, &config.nemesis_options];
    let options: Vec<String> = options
        .iter()
        .flat_map(|table| table.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let rate = config.rate_hz.filter(|rate| rate.is_finite()).map(|rate| format!("{rate} ops/s"));
    let clock = |seconds: f64| (seconds > 0.0 && seconds.is_finite()).then(|| format!("{seconds} s"));
    let started = (config.started.unix_ms > 0).then(|| config.started.human());
    let facts = [
        ("Target", config.target.clone()),
        ("Workload", config.workload.clone()),
        ("Nemeses", config.nemeses.join(", ")),
        ("Nodes", config.nodes.join(", ")),
        ("Clients", if config.concurrency > 0 { config.concurrency.to_string() } else { String::new() }),
        ("Rate", rate.unwrap_or_default()),
        ("Time limit", clock(config.time_limit_s).unwrap_or_default()),
        ("Options", options.join(" ")),
        ("Seed", if started.is_some() { crate::seed_hex(config.seed) } else { String::new() }),
        ("Started", started.unwrap_or_default()),
        ("squall", config.version.clone()),
    ];
    let mut html = r#"<dl class="facts">"#.to_owned();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(value));
    }
    html + "</dl>"
}
