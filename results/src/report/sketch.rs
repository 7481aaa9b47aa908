//! A small timeline of just the operations of a witness, as SVG.
//!
//! The axis keeps the order of beginnings and ends and nothing else: what overlapped overlaps, what came first is
//! further left, and a millisecond a minute after another is still visible.

use std::fmt::Write;

use squall_checkers::history::OpRef;
use squall_checkers::{Fault, History, Process};

use super::html::{Escaped, shortened};
use super::ops::{Keys, OpRow, Outcome, label};
use super::units;

const ROW: usize = 46;
const TOP: usize = 26;
const GUTTER: usize = 92;
const STEP: usize = 30;
const CHAR_PX: usize = 7;
/// More make no picture; the report says how many are left out.
pub(crate) const OPS: usize = 48;
const FAULTS: usize = 4;

/// A point on the axis, in the order in which points of one moment are drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    FaultStart(usize),
    Start(usize),
    End(usize),
    FaultEnd(usize),
}

/// Draws operations, which are in order of their start, with the faults that were in force.
pub(crate) fn draw(history: &History, rows: &[OpRow], faults: &[&Fault], keys: Keys) -> String {
    let rows = &rows[..rows.len().min(OPS)];
    let faults = &faults[..faults.len().min(FAULTS)];
    let labels: Vec<String> = rows.iter().map(|row| shortened(&label(history, row, keys), 28)).collect();
    let lanes = lanes(history, rows);
    let (spans, fault_spans, width) = place(rows, &labels, faults);
    let height = TOP + lanes.len() * ROW + 6;
    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg class="sketch" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="Order of the {} operations of the witness">"#,
        rows.len()
    );
    for (fault, (from, to)) in faults.iter().zip(&fault_spans) {
        draw_fault(&mut svg, fault, *from, *to, height);
    }
    for (lane, process) in lanes.iter().enumerate() {
        let y = TOP + lane * ROW;
        let name = match process {
            Process::Nemesis => "nemesis".to_owned(),
            Process::Client(id) => format!("process {id}"),
        };
        let (line, text) = (y + ROW - 4, y + 20);
        let _ = write!(
            svg,
            r#"<line class="rule" x1="0" x2="{width}" y1="{line}" y2="{line}"/><text class="who" x="0" y="{text}">{name}</text>"#
        );
    }
    for ((row, label), (from, to)) in rows.iter().zip(&labels).zip(&spans) {
        let process = history.get(row.first as usize).process();
        let lane = lanes.iter().position(|lane| *lane == process).unwrap_or(0);
        draw_op(&mut svg, row, label, *from, *to, TOP + lane * ROW + 4);
    }
    svg.push_str("</svg>");
    svg
}

fn lanes(history: &History, rows: &[OpRow]) -> Vec<Process> {
    let mut lanes: Vec<Process> =
        rows.iter().map(|row| history.get(row.first as usize)).map(OpRef::process).collect();
    lanes.sort_unstable();
    lanes.dedup();
    lanes
}

type Extent = (usize, usize);

/// Where each operation and each fault begins and ends, and the width of it all.
fn place(rows: &[OpRow], labels: &[String], faults: &[&Fault]) -> (Vec<Extent>, Vec<Extent>, usize) {
    let mut points: Vec<(u64, Point)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        points.push((row.start_ns, Point::Start(at)));
        let end_ns = if row.outcome == Outcome::Open { u64::MAX } else { row.end_ns };
        points.push((end_ns, Point::End(at)));
    }
    for (at, fault) in faults.iter().enumerate() {
        points.push((fault.start_ns, Point::FaultStart(at)));
        points.push((if fault.healed { fault.end_ns } else { u64::MAX }, Point::FaultEnd(at)));
    }
    points.sort_unstable();
    let mut spans = vec![(0, 0); rows.len()];
    let mut fault_spans = vec![(0, 0); faults.len()];
    let mut x = GUTTER;
    for (_, point) in points {
        x += STEP;
        match point {
            Point::Start(at) => spans[at].0 = x,
            Point::End(at) => {
                x = x.max(spans[at].0 + labels[at].chars().count() * CHAR_PX + 16);
                spans[at].1 = x;
            }
            Point::FaultStart(at) => fault_spans[at].0 = x,
            Point::FaultEnd(at) => {
                x = x.max(fault_spans[at].0 + (faults[at].fault.len() + 2) * CHAR_PX);
                fault_spans[at].1 = x;
            }
        }
    }
    (spans, fault_spans, x + STEP)
}

fn draw_fault(svg: &mut String, fault: &Fault, from: usize, to: usize, height: usize) {
    let hatch = if fault.confirmed { "" } else { " unconfirmed" };
    let _ = write!(
        svg,
        r#"<g class="fault{hatch}" data-fault="{}"><rect x="{from}" y="0" width="{}" height="{height}"/><text x="{}" y="14">{}</text><title>{} {}: {}</title></g>"#,
        Escaped(&fault.fault),
        to - from,
        from + 6,
        Escaped(&fault.fault),
        Escaped(&fault.fault),
        Escaped(&fault.what),
        Escaped(fault.evidence()),
    );
}

fn draw_op(svg: &mut String, row: &OpRow, label: &str, from: usize, to: usize, y: usize) {
    let class = class(row.outcome);
    let when = match row.outcome {
        Outcome::Open => format!("from {}, never completed", units::moment(row.start_ns)),
        _ => format!("{} to {}", units::exact_moment(row.start_ns), units::exact_moment(row.end_ns)),
    };
    let _ = write!(
        svg,
        r##"<a href="#op-{}" class="{class}"><rect x="{from}" y="{y}" width="{}" height="24" rx="5"/><text x="{}" y="{}">{}</text><text class="when" x="{from}" y="{}">{}</text><title>{} · {when}</title></a>"##,
        row.first,
        to - from,
        from + 8,
        y + 16,
        Escaped(label),
        y + 35,
        Escaped(units::moment(row.start_ns)),
        Escaped(label),
    );
}

/// The style of an outcome.
pub(crate) fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
        Outcome::Open => "open",
    }
}
