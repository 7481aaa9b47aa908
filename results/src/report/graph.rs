//! The graph of a proof, as SVG: operations on an ellipse, orderings as arrows.

use std::f64::consts::TAU;
use std::fmt::Write;

use squall_checkers::{Edge, History};

use super::html::{Escaped, shortened};
use super::ops::{Keys, OpRow, Ops, label};
use super::sketch::class;

/// More make no picture; the steps of the proof are there as text.
const NODES: usize = 16;
const BOX_H: f64 = 34.0;
const CHAR_PX: f64 = 6.8;
const CHARS: usize = 26;

struct Node<'a> {
    row: &'a OpRow,
    label: String,
    width: f64,
    x: f64,
    y: f64,
}

/// Draws the orderings between operations; `None` where there are none, or too many for a picture.
pub(crate) fn draw(history: &History, ops: &Ops, edges: &[Edge], keys: Keys) -> Option<String> {
    let known = |edge: &&Edge| ops.of_event(edge.from).is_some() && ops.of_event(edge.to).is_some();
    let edges: Vec<&Edge> = edges.iter().filter(known).collect();
    let nodes = nodes(history, ops, &edges, keys);
    if edges.is_empty() || nodes.len() > NODES {
        return None;
    }
    let (nodes, width, height) = place(nodes);
    let mut svg = format!(
        r#"<svg class="graph" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-label="Graph of {} operations and {} orderings">"#,
        nodes.len(),
        edges.len()
    );
    let find = |event: usize| {
        let row = ops.of_event(event)?;
        nodes.iter().find(|node| node.row.first == row.first)
    };
    for (nth, edge) in edges.iter().enumerate() {
        if let (Some(from), Some(to)) = (find(edge.from), find(edge.to)) {
            let parallel = edges[..nth].iter().filter(|e| (e.from, e.to) == (edge.from, edge.to)).count();
            draw_edge(&mut svg, from, to, &edge.kind, parallel);
        }
    }
    for node in &nodes {
        draw_node(&mut svg, node);
    }
    svg.push_str("</svg>");
    Some(svg)
}

fn nodes<'a>(history: &History, ops: &'a Ops, edges: &[&Edge], keys: Keys) -> Vec<Node<'a>> {
    let mut nodes: Vec<Node<'a>> = Vec::new();
    for row in edges.iter().flat_map(|edge| [edge.from, edge.to]).filter_map(|event| ops.of_event(event)) {
        if nodes.iter().all(|node| node.row.first != row.first) {
            let label = shortened(&label(history, row, keys), CHARS);
            let width = (label.chars().count().max(10) as f64) * CHAR_PX + 22.0;
            nodes.push(Node { row, label, width, x: 0.0, y: 0.0 });
        }
    }
    nodes
}

fn place(mut nodes: Vec<Node<'_>>) -> (Vec<Node<'_>>, f64, f64) {
    let widest = nodes.iter().map(|node| node.width).fold(0.0, f64::max);
    let n = nodes.len() as f64;
    let (rx, ry) = match nodes.len() {
        0 | 1 => (0.0, 0.0),
        2 => (widest / 2.0 + 90.0, 0.0),
        _ => ((n * 34.0).max(widest / 2.0 + 80.0), (n * 26.0).max(80.0)),
    };
    let (width, height) = (2.0 * rx + widest + 40.0, 2.0 * ry + BOX_H + if n < 3.0 { 120.0 } else { 70.0 });
    for (at, node) in nodes.iter_mut().enumerate() {
        let angle = TAU * at as f64 / n - TAU / 4.0 - if n == 2.0 { TAU / 4.0 } else { 0.0 };
        node.x = width / 2.0 + rx * angle.cos();
        node.y = height / 2.0 + ry * angle.sin();
    }
    (nodes, width, height)
}

fn draw_node(svg: &mut String, node: &Node<'_>) {
    let (x, y) = (node.x - node.width / 2.0, node.y - BOX_H / 2.0);
    let _ = write!(
        svg,
        r##"<a href="#op-{}" class="{}"><rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{BOX_H}" rx="7"/><text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text class="when" x="{:.1}" y="{:.1}" text-anchor="middle">op {}</text></a>"##,
        node.row.first,
        class(node.row.outcome),
        node.width,
        node.x,
        node.y - 1.0,
        Escaped(&node.label),
        node.x,
        node.y + 12.0,
        node.row.first,
    );
}

/// An arrow that bends to its left, so that the two directions of a pair part, with its kind at the middle.
fn draw_edge(svg: &mut String, from: &Node<'_>, to: &Node<'_>, kind: &str, parallel: usize) {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = dx.hypot(dy);
    if length < 1.0 {
        return;
    }
    let bend = 0.16 * length + 22.0 * parallel as f64;
    let (cx, cy) = ((from.x + to.x) / 2.0 + dy / length * bend, (from.y + to.y) / 2.0 - dx / length * bend);
    let (x1, y1) = border(from, cx, cy);
    let (x2, y2) = border(to, cx, cy);
    let (tx, ty) = ((x1 + 2.0 * cx + x2) / 4.0, (y1 + 2.0 * cy + y2) / 4.0);
    let _ = write!(
        svg,
        r##"<path class="edge" d="M{x1:.1} {y1:.1}Q{cx:.1} {cy:.1} {x2:.1} {y2:.1}" marker-end="url(#arrow)"/><text class="kind" x="{tx:.1}" y="{:.1}" text-anchor="middle">{}</text>"##,
        ty + 4.0,
        Escaped(kind),
    );
}

/// Where the line from the middle of a box towards a point leaves the box.
fn border(node: &Node<'_>, x: f64, y: f64) -> (f64, f64) {
    let (dx, dy) = (x - node.x, y - node.y);
    let (half_w, half_h) = (node.width / 2.0 + 4.0, BOX_H / 2.0 + 4.0);
    let scale = (half_w / dx.abs().max(1e-9)).min(half_h / dy.abs().max(1e-9)).min(1.0);
    (node.x + dx * scale, node.y + dy * scale)
}
