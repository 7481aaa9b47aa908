//! A card for each anomaly: the sentence, the faults, the proof beside a picture, the operations.

use std::fmt::Write;

use squall_checkers::{Anomaly, Fault, History, Verdict};

use super::columns::split;
use super::html::{Escaped, prose, shortened};
use super::ops::{Keys, OpRow, Ops, label};
use super::{graph, sketch, units};
use crate::{RunConfig, RunData};

/// Cards beyond these would only slow the page down; the verdict has them all.
pub(crate) const CARDS: usize = 100;

/// Cards beyond these are folded away, or the timeline would be far down the page.
pub(crate) const CARDS_OPEN: usize = 3;

/// An anomaly with what the rest of the page needs of it.
pub(crate) struct Found<'a> {
    pub(crate) checker: &'a str,
    pub(crate) anomaly: &'a Anomaly,
    /// The operations of the witness by start.
    pub(crate) rows: Vec<OpRow>,
    /// Faults in force meanwhile.
    pub(crate) faults: Vec<&'a Fault>,
}

impl Found<'_> {
    /// From the first beginning to the last end among the witness.
    pub(crate) fn extent(&self) -> Option<(u64, u64)> {
        let start = self.rows.iter().map(|row| row.start_ns).min()?;
        Some((start, self.rows.iter().map(|row| row.end_ns).max()?))
    }
}

/// Every anomaly of a verdict and its parts, in order.
pub(crate) fn find<'a>(verdict: &'a Verdict, ops: &Ops, bands: &'a [Fault]) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let mut verdicts = vec![verdict];
    while let Some(verdict) = verdicts.pop() {
        for anomaly in &verdict.anomalies {
            let mut rows: Vec<OpRow> =
                anomaly.witness.iter().filter_map(|event| ops.of_event(*event)).copied().collect();
            rows.sort_by_key(|row| (row.start_ns, row.first));
            rows.dedup_by_key(|row| row.first);
            let mut one = Found { checker: &verdict.checker, anomaly, rows, faults: Vec::new() };
            if let Some((start, end)) = one.extent() {
                one.faults = bands.iter().filter(|band| band.overlaps(start, end)).collect();
            }
            found.push(one);
        }
        verdicts.extend(verdict.parts.iter().rev());
    }
    found
}

/// The card of the `nth` anomaly, from 1.
pub(crate) fn card(data: &RunData, ops: &Ops, found: &Found<'_>, keyed: bool, nth: usize) -> String {
    let (config, history) = (&data.config, &data.history);
    let keys = if keyed { keys_of(history, &found.rows) } else { Keys::None };
    let anomaly = found.anomaly;
    let mut html = format!(
        r##"<article class="card anomaly" id="anomaly-{nth}" tabindex="-1"><header><h3><a class="nth" href="#anomaly-{nth}" aria-label="Link to anomaly {nth}">{nth}</a> {}"##,
        Escaped(&anomaly.kind)
    );
    if let Some(key) = &anomaly.key {
        let _ = write!(html, r#" <span class="tag">key {}</span>"#, Escaped(shortened(&key.to_string(), 40)));
    }
    let _ = write!(html, r#" <span class="tag quiet">{}</span></h3>"#, Escaped(found.checker));
    if let Some((start, end)) = found.extent() {
        let _ = write!(
            html,
            r#"<button type="button" class="button go" data-anomaly="{nth}">Show in the timeline</button><p class="at">{} to {}</p>"#,
            units::moment(start),
            units::moment(end)
        );
    }
    let _ = write!(html, r#"</header><p class="sentence">{}</p>"#, prose(&anomaly.sentence));
    html += &active_faults(&found.faults);
    html += &proof(history, ops, found, keys);
    html += &witness_table(config, history, found, keys);
    html += "</article>\n";
    html
}

/// Whether the operations of a witness have one key or several.
fn keys_of(history: &History, rows: &[OpRow]) -> Keys {
    let mut keys = rows.iter().filter_map(|row| {
        let value = history.get(row.first as usize).value();
        split(&value).map(|(key, _)| key.clone())
    });
    match keys.next() {
        Some(first) if keys.all(|key| key == first) => Keys::Hide,
        _ => Keys::Show,
    }
}

fn active_faults(faults: &[&Fault]) -> String {
    let mut html = String::new();
    for fault in faults.iter().take(6) {
        let class = if fault.confirmed { "" } else { " unconfirmed" };
        let _ = write!(
            html,
            r#"<li class="chip{class}" data-fault="{}"><b>{}</b> {} <span>{}</span></li>"#,
            Escaped(&fault.fault),
            Escaped(&fault.fault),
            Escaped(&fault.what),
            Escaped(fault.evidence())
        );
    }
    if html.is_empty() {
        return r#"<p class="quiet">No fault was in force at that time.</p>"#.to_owned();
    }
    if faults.len() > 6 {
        let _ = write!(html, r#"<li class="chip">and {} more</li>"#, faults.len() - 6);
    }
    format!(r#"<ul class="chips" aria-label="Faults in force">{html}</ul>"#)
}

fn proof(history: &History, ops: &Ops, found: &Found<'_>, keys: Keys) -> String {
    let mut html = r#"<div class="proof">"#.to_owned();
    if !found.anomaly.steps.is_empty() {
        html += r#"<ol class="steps">"#;
        for step in &found.anomaly.steps {
            let _ = write!(html, "<li>{}</li>", prose(step));
        }
        html += "</ol>";
    }
    if !found.rows.is_empty() {
        let _ = write!(
            html,
            r#"<figure><div class="scroll" tabindex="0">{}</div><figcaption>The witness in order: what overlaps was concurrent. Distances are not to scale.{}</figcaption></figure>"#,
            sketch::draw(history, &found.rows, &found.faults, keys),
            left_out(found.rows.len())
        );
    }
    if let Some(graph) = graph::draw(history, ops, &found.anomaly.edges, keys) {
        let _ = write!(
            html,
            r#"<figure><div class="scroll" tabindex="0">{graph}</div><figcaption>Each arrow leads from what must come first.</figcaption></figure>"#
        );
    }
    html + "</div>"
}

fn left_out(rows: usize) -> String {
    match rows.saturating_sub(sketch::OPS) {
        0 => String::new(),
        more => format!(" {more} further operations are left out."),
    }
}

fn witness_table(config: &RunConfig, history: &History, found: &Found<'_>, keys: Keys) -> String {
    if found.rows.is_empty() {
        return String::new();
    }
    let mut html = format!(
        r#"<details><summary>The {} of the witness</summary><div class="scroll" tabindex="0"><table><thead><tr><th>op</th><th>process</th><th>node</th><th>operation</th><th>outcome</th><th class="n">from</th><th class="n">to</th></tr></thead><tbody>"#,
        units::counted(found.rows.len() as u64, "operation")
    );
    for row in &found.rows {
        let process = history.get(row.first as usize).process();
        let class = sketch::class(row.outcome);
        let error = history.get(row.last as usize).error().map(|e| format!(": {}", shortened(e, 80)));
        let _ = write!(
            html,
            r##"<tr><td><a href="#op-{0}">{0}</a></td><td>{process}</td><td>{1}</td><td><code>{2}</code></td><td><i class="dot {class}"></i>{class}{3}</td><td class="n">{4}</td><td class="n">{5}</td></tr>"##,
            row.first,
            Escaped(config.node_of(process).unwrap_or("–")),
            Escaped(shortened(&label(history, row, keys), 200)),
            Escaped(error.unwrap_or_default()),
            units::exact_moment(row.start_ns),
            units::exact_moment(row.end_ns),
        );
    }
    html + "</tbody></table></div></details>"
}
