//! The tables below the timeline: scorecard, checkers, faults, files.

use std::fmt::Write;

use squall_checkers::{Fault, Verdict};

use super::html::{Escaped, prose, shortened};
use super::score::{Outage, Recovery, Score, Scorecard};
use super::units;
use crate::{RunData, Status};

/// More faults than this are in the journal only.
const FAULTS: usize = 500;

pub(crate) fn scorecard(card: &Scorecard) -> String {
    if card.scores.is_empty() {
        return String::new();
    }
    let mut html = r#"<section class="card" id="scorecard"><h2>Availability and latency</h2><p class="quiet">An operation counts under every kind of fault in force while it ran. Available is the share of operations that returned ok; latency is that of ok operations. Recovered is the time from a healing until every node it concerned answered ok again.</p><div class="scroll" tabindex="0"><table><thead><tr><th>state</th><th class="n">lasted</th><th class="n">ops</th><th>available</th><th class="n">ok</th><th class="n">fail</th><th class="n">info</th><th class="n">p50</th><th class="n">p99</th><th class="n">recovered, median</th><th class="n">worst</th></tr></thead><tbody>"#.to_owned();
    for score in &card.scores {
        html += &score_row(score);
    }
    html += "</tbody></table></div>";
    html += &outages(&card.outages);
    html + "</section>\n"
}

fn score_row(score: &Score) -> String {
    let span = |ns: Option<u64>| ns.map_or_else(|| "–".to_owned(), units::span);
    let share = if score.ops == 0 { 0.0 } else { score.ok as f64 * 100.0 / score.ops as f64 };
    let (median, worst) = recovered(&score.recoveries);
    format!(
        r#"<tr data-fault="{state}"><th scope="row"><i class="swatch"></i>{state}</th><td class="n">{}</td><td class="n">{}</td><td class="share"><span class="meter"><i style="width:{share:.1}%"></i></span>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{median}</td><td class="n">{worst}</td></tr>"#,
        units::span(score.lasted_ns),
        units::count(score.ops),
        units::percent(score.ok, score.ops),
        units::count(score.ok),
        units::count(score.fail),
        units::count(score.info),
        span(score.p50_ns),
        span(score.p99_ns),
        state = Escaped(&score.state),
    )
}

fn recovered(recoveries: &[Recovery]) -> (String, String) {
    if recoveries.is_empty() {
        return ("–".to_owned(), "–".to_owned());
    }
    let mut took: Vec<u64> = recoveries.iter().map(|r| r.took_ns.unwrap_or(u64::MAX)).collect();
    took.sort_unstable();
    let text = |ns: u64| if ns == u64::MAX { "not in this run".to_owned() } else { units::span(ns) };
    (text(took[(took.len() - 1) / 2]), text(took[took.len() - 1]))
}

fn outages(outages: &[Outage]) -> String {
    let mut html = String::new();
    for outage in outages {
        let faults = if outage.faults.is_empty() {
            "no fault in force".to_owned()
        } else {
            format!("during {}", outage.faults.join(", "))
        };
        let _ = write!(
            html,
            r#"<li><button type="button" class="link" data-from="{}" data-to="{}">{}</button> from {}, {}; {} invoked meanwhile</li>"#,
            outage.start_ns,
            outage.end_ns,
            units::span(outage.end_ns - outage.start_ns),
            units::moment(outage.start_ns),
            Escaped(faults),
            units::counted(outage.invoked, "op"),
        );
    }
    if html.is_empty() {
        return html;
    }
    format!(r#"<h3>Longest times without an ok operation</h3><ul class="plain">{html}</ul>"#)
}

pub(crate) fn checkers(verdict: Option<&Verdict>) -> String {
    let Some(verdict) = verdict else { return String::new() };
    let mut html = r#"<section class="card" id="checkers"><h2>Checkers</h2><div class="scroll" tabindex="0"><table class="checkers"><thead><tr><th>checker</th><th>verdict</th><th>found</th></tr></thead><tbody>"#.to_owned();
    let mut verdicts = vec![(0, verdict)];
    while let Some((depth, verdict)) = verdicts.pop() {
        html += &checker_row(depth, verdict);
        verdicts.extend(verdict.parts.iter().rev().map(|part| (depth + 1, part)));
    }
    html + "</tbody></table></div></section>\n"
}

fn checker_row(depth: usize, verdict: &Verdict) -> String {
    let status = Status::from(verdict.valid);
    let mut html = format!(
        r#"<tr><th scope="row" style="padding-left:{:.1}em">{}</th><td><span class="word {status}">{status}</span></td><td>{}"#,
        0.75 + 1.25 * depth.min(12) as f64,
        Escaped(&verdict.checker),
        prose(&verdict.summary)
    );
    if let Some(reason) = verdict.reason.as_deref().filter(|reason| *reason != verdict.summary) {
        let _ = write!(html, r#"<p class="quiet">{}</p>"#, prose(reason));
    }
    if !verdict.stats.is_empty() {
        html += r#"<dl class="stats">"#;
        for (name, value) in &verdict.stats {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(
                html,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                Escaped(name.replace(['_', '-'], " ")),
                Escaped(shortened(&value, 400))
            );
        }
        html += "</dl>";
    }
    html + "</td></tr>"
}

pub(crate) fn faults(bands: &[Fault]) -> String {
    if bands.is_empty() {
        return String::new();
    }
    let mut html = format!(
        r#"<section class="card" id="faults"><h2>Faults and their receipts</h2><div class="scroll tall" tabindex="0"><table><thead><tr><th class="n">from</th><th class="n">lasted</th><th>fault</th><th>where</th><th>receipt</th></tr></thead><tbody>{}</tbody></table></div>"#,
        bands.iter().take(FAULTS).map(fault_row).collect::<String>()
    );
    if bands.len() > FAULTS {
        let _ = write!(html, r#"<p class="quiet">and {} more, in faults.jsonl</p>"#, bands.len() - FAULTS);
    }
    html + "</section>\n"
}

fn fault_row(band: &Fault) -> String {
    let (class, word) = match (band.failed, band.confirmed) {
        (true, _) => ("invalid", "not injected"),
        (false, true) => ("valid", "confirmed"),
        (false, false) => ("unknown", "unconfirmed"),
    };
    let never = if band.healed || band.failed { "" } else { ", never healed" };
    format!(
        r#"<tr data-fault="{fault}"><td class="n"><button type="button" class="link" data-from="{}" data-to="{}">{}</button></td><td class="n">{}{never}</td><td><i class="swatch"></i>{fault}</td><td>{}</td><td><span class="word {class}">{word}</span> {}</td></tr>"#,
        band.start_ns,
        band.end_ns,
        units::moment(band.start_ns),
        units::span(band.end_ns - band.start_ns),
        Escaped(&band.what),
        Escaped(band.receipts.join("; ")),
        fault = Escaped(&band.fault),
    )
}

pub(crate) fn files(data: &RunData) -> String {
    if data.files.is_empty() {
        return String::new();
    }
    let mut html =
        r#"<section class="card" id="files"><h2>Files of this run</h2><ul class="files">"#.to_owned();
    for file in &data.files {
        let what = match file.path.as_str() {
            "run.toml" => "how it was started, ",
            "history.jsonl.zst" => "every operation, ",
            "faults.jsonl" => "the fault journal, ",
            "verdict.json" => "the verdict, ",
            "squall.log" => "what the controller did, ",
            _ => "",
        };
        let _ = write!(
            html,
            r#"<li><a href="{}">{}</a> <span>{what}{}</span></li>"#,
            percent_encoded(&file.path),
            Escaped(&file.path),
            units::bytes(file.bytes)
        );
    }
    html + "</ul></section>\n"
}

/// A relative path as a link: RFC 3986 unreserved characters and `/` stay.
pub(crate) fn percent_encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte as char)
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
