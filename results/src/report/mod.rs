//! The report of a run: one HTML file that needs nothing else, neither a network nor its neighbours.
//!
//! Rust writes the text, the tables and the pictures of the proofs, so that they are there without a script. The
//! operations go along as binary columns (see [`columns`]), from which `report.js` and its parts draw the shared time axis.

mod anomaly;
mod base64;
mod columns;
mod graph;
mod header;
mod html;
mod ops;
mod score;
mod sketch;
mod tables;
mod units;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use squall_checkers::Fault;
use squall_checkers::history::faults;

use crate::{ClockSample, RunData};
use anomaly::Found;
use columns::Columns;
use html::{Escaped, json_in_script};
use ops::Ops;
use score::Scorecard;
pub(crate) use tables::percent_encoded;

const PAGE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
/// In order: later parts use earlier ones.
const SCRIPTS: [&str; 11] = [
    include_str!("data.js"),
    include_str!("density.js"),
    include_str!("axis.js"),
    include_str!("track.js"),
    include_str!("charts.js"),
    include_str!("latency.js"),
    include_str!("clocks.js"),
    include_str!("timeline.js"),
    include_str!("filter.js"),
    include_str!("inspect.js"),
    include_str!("report.js"),
];

/// The report of one run.
pub struct Report<'a> {
    data: &'a RunData,
}

/// A run in a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What it covered: `2,391 ops in 60.0 s: 2,301 ok, 60 fail, 30 info; 6 partitions, 4 kills, all confirmed`.
    pub coverage: String,
    /// What makes it weaker than it looks, a sentence each.
    pub warnings: Vec<String>,
    /// The faults that were in force at the worst anomaly, with their receipts.
    pub during: Vec<String>,
}

/// What the scripts get beside the columns.
#[derive(Serialize)]
struct Meta<'a> {
    id: &'a str,
    end_ns: u64,
    layout: &'a columns::Layout,
    bands: &'a [Fault],
    anomalies: Vec<AnomalyMeta<'a>>,
    nodes: &'a [String],
    concurrency: u32,
    clocks: Vec<ClockLine<'a>>,
}

/// What the clocks of one node showed: samples as `[time, offset, offset of the monotonic clock]`, in nanoseconds.
#[derive(Serialize)]
struct ClockLine<'a> {
    node: &'a str,
    samples: Vec<(u64, i64, i64)>,
}

impl<'a> ClockLine<'a> {
    fn all(clocks: &'a [ClockSample]) -> Vec<ClockLine<'a>> {
        let mut lines: BTreeMap<&str, Vec<(u64, i64, i64)>> = BTreeMap::new();
        for sample in clocks {
            let line = lines.entry(&sample.node).or_default();
            line.push((sample.time_ns, sample.offset_ns, sample.monotonic_ns));
        }
        lines.into_iter().map(|(node, samples)| ClockLine { node, samples }).collect()
    }
}

#[derive(Serialize)]
struct AnomalyMeta<'a> {
    kind: &'a str,
    start_ns: u64,
    end_ns: u64,
    /// First events of the witness's operations.
    events: Vec<u32>,
}

impl<'a> AnomalyMeta<'a> {
    fn of(found: &Found<'a>) -> AnomalyMeta<'a> {
        let (start_ns, end_ns) = found.extent().unwrap_or_default();
        let events = found.rows.iter().map(|row| row.first).collect();
        AnomalyMeta { kind: &found.anomaly.kind, start_ns, end_ns, events }
    }
}

impl<'a> Report<'a> {
    /// The report of that data. Nothing is computed yet.
    pub fn new(data: &'a RunData) -> Report<'a> {
        Report { data }
    }

    /// What the page says first, for a terminal: so both say the same.
    pub fn outline(&self) -> Outline {
        let data = self.data;
        let ops = Ops::of(&data.history);
        let bands = faults(&data.faults, ops.end_ns);
        let found =
            data.verdict.as_ref().map(|verdict| anomaly::find(verdict, &ops, &bands)).unwrap_or_default();
        let during = found.first().map(|worst| worst.faults.as_slice()).unwrap_or_default();
        Outline {
            coverage: header::coverage(data, &bands, columns::is_keyed(&data.history)),
            warnings: header::warnings(data, header::status(data), &bands),
            during: during
                .iter()
                .map(|fault| format!("{} {} (receipt: {})", fault.fault, fault.what, fault.evidence()))
                .collect(),
        }
    }

    /// The whole page.
    pub fn render(&self) -> String {
        let mut page = Vec::new();
        self.write(&mut page).expect("writing to memory does not fail");
        String::from_utf8(page).expect("the page is made of strings")
    }

    /// Writes the page.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let data = self.data;
        let ops = Ops::of(&data.history);
        let bands = faults(&data.faults, ops.end_ns);
        let found =
            data.verdict.as_ref().map(|verdict| anomaly::find(verdict, &ops, &bands)).unwrap_or_default();
        let columns = columns::encode(&data.history, &ops);
        for (nth, piece) in PAGE.split("{{").enumerate() {
            let (name, rest) =
                if nth == 0 { ("", piece) } else { piece.split_once("}}").unwrap_or(("", piece)) };
            match name {
                "" => {}
                "title" => write!(out, "{} · {}", header::status(data), Escaped(&data.id))?,
                "id" => write!(out, "{}", Escaped(&data.id))?,
                "style" => out.write_all(STYLE.as_bytes())?,
                "header" => {
                    out.write_all(header::render(data, &bands, &found, columns.layout.keyed).as_bytes())?;
                }
                "anomalies" => self.write_anomalies(out, &ops, &found, columns.layout.keyed)?,
                "tables" => self.write_tables(out, &ops, &bands)?,
                "version" => write!(out, "{}", Escaped(env!("CARGO_PKG_VERSION")))?,
                "meta" => self.write_meta(out, &ops, &bands, &found, &columns)?,
                "texts" => write_texts(out, &columns.texts)?,
                "columns" => base64::write(out, &columns.bytes)?,
                "script" => SCRIPTS.iter().try_for_each(|script| out.write_all(script.as_bytes()))?,
                other => return Err(io::Error::other(format!("the page has no part named {other}"))),
            }
            out.write_all(rest.as_bytes())?;
        }
        Ok(())
    }

    fn write_anomalies(
        &self,
        out: &mut dyn Write,
        ops: &Ops,
        found: &[Found<'_>],
        keyed: bool,
    ) -> io::Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        writeln!(out, r#"<section id="anomalies"><h2>{}</h2>"#, anomalies_heading(found.len()))?;
        let cards = found.len().min(anomaly::CARDS);
        for (at, one) in found.iter().take(cards).enumerate() {
            if at == anomaly::CARDS_OPEN {
                let more = if cards - at == 1 { "1 more anomaly" } else { "More anomalies" };
                writeln!(out, r#"<details class="more"><summary>{more}</summary>"#)?;
            }
            let card = anomaly::card(self.data, ops, one, keyed, at + 1);
            out.write_all(card.as_bytes())?;
        }
        if cards > anomaly::CARDS_OPEN {
            writeln!(out, "</details>")?;
        }
        if found.len() > anomaly::CARDS {
            writeln!(
                out,
                r#"<p class="quiet">and {} more, in verdict.json</p>"#,
                found.len() - anomaly::CARDS
            )?;
        }
        writeln!(out, "</section>")
    }

    fn write_tables(&self, out: &mut dyn Write, ops: &Ops, bands: &[Fault]) -> io::Result<()> {
        let data = self.data;
        let card = Scorecard::of(&data.config, &data.history, ops, bands);
        out.write_all(tables::scorecard(&card).as_bytes())?;
        out.write_all(tables::checkers(data.verdict.as_ref()).as_bytes())?;
        out.write_all(tables::faults(bands).as_bytes())?;
        out.write_all(tables::files(data).as_bytes())
    }

    fn write_meta(
        &self,
        out: &mut dyn Write,
        ops: &Ops,
        bands: &[Fault],
        found: &[Found<'_>],
        columns: &Columns,
    ) -> io::Result<()> {
        let meta = Meta {
            id: &self.data.id,
            end_ns: bands.iter().map(|band| band.end_ns).max().unwrap_or(0).max(ops.end_ns),
            layout: &columns.layout,
            bands,
            anomalies: found.iter().take(anomaly::CARDS).map(AnomalyMeta::of).collect(),
            nodes: &self.data.config.nodes,
            concurrency: self.data.config.concurrency,
            clocks: ClockLine::all(&self.data.clocks),
        };
        out.write_all(json_in_script(&serde_json::to_string(&meta)?).as_bytes())
    }
}

/// JSON texts, one a line: JSON has no raw line breaks inside.
fn write_texts(out: &mut dyn Write, texts: &[String]) -> io::Result<()> {
    for text in texts {
        out.write_all(json_in_script(text).as_bytes())?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn anomalies_heading(n: usize) -> String {
    if n == 1 { "1 anomaly".to_owned() } else { format!("{} anomalies", units::count(n as u64)) }
}

#[cfg(test)]
mod tests;
