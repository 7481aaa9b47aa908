//! The live line: elapsed and total time, outcomes, p99 and the active fault.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use squall_checkers::{Op, Process, Type, Value};

use crate::event::{Event, Sink};

/// Redrawing is bounded by the progress bar; composing the text is bounded by this.
const REFRESH_NS: u64 = 100_000_000;

/// Latencies of this long ago no longer count in the p99.
const WINDOW_NS: u64 = 5_000_000_000;

/// Shows a run on a terminal; on anything else it prints a line per phase and none per operation.
pub(crate) struct Display {
    bar: ProgressBar,
    total: Duration,
    quiet: bool,
    ok: u64,
    fail: u64,
    info: u64,
    open: HashMap<u32, u64>,
    latencies: Latencies,
    /// What is in force, by fault.
    faults: BTreeMap<u64, String>,
    phase: String,
    drawn_ns: u64,
}

impl Display {
    /// A display for a main phase of this length. `quiet` shows nothing.
    pub(crate) fn new(total: Duration, quiet: bool) -> Display {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a constant template"));
        Display {
            bar,
            total,
            quiet,
            ok: 0,
            fail: 0,
            info: 0,
            open: HashMap::new(),
            latencies: Latencies::default(),
            faults: BTreeMap::new(),
            phase: String::new(),
            drawn_ns: 0,
        }
    }

    /// Removes the live line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn op(&mut self, op: &Op) {
        match (op.process, op.kind) {
            (Process::Nemesis, Type::Invoke) => {}
            (Process::Nemesis, _) => self.nemesis(&op.value),
            (Process::Client(id), Type::Invoke) => {
                self.open.insert(id, op.time_ns);
            }
            (Process::Client(id), kind) => {
                if let Some(start) = self.open.remove(&id) {
                    self.latencies.push(op.time_ns, op.time_ns - start);
                }
                *match kind {
                    Type::Ok => &mut self.ok,
                    Type::Fail => &mut self.fail,
                    _ => &mut self.info,
                } += 1;
            }
        }
        self.draw(op.time_ns);
    }

    /// An injection tells the fault's number and what it does; a healing the numbers of what is over.
    fn nemesis(&mut self, value: &Value) {
        value["faults"].as_array().into_iter().flatten().for_each(|fault| self.nemesis(fault));
        if let (Some(id), Some(what)) = (value["fault"].as_u64(), value["what"].as_str()) {
            self.faults.insert(id, format!("{} {what}", value["kind"].as_str().unwrap_or_default()));
        }
        for id in value["healed"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            self.faults.remove(&id);
        }
    }

    fn draw(&mut self, time_ns: u64) {
        if time_ns < self.drawn_ns + REFRESH_NS || self.bar.is_hidden() {
            return;
        }
        self.drawn_ns = time_ns;
        let faults: Vec<&str> = self.faults.values().map(String::as_str).collect();
        let faults =
            if faults.is_empty() { String::new() } else { format!("  ⚡ {}", faults.join("  ⚡ ")) };
        self.bar.set_message(format!(
            "{} {:>3}/{} s  ok {} fail {} info {}  p99 {}{faults}",
            self.phase,
            time_ns / 1_000_000_000,
            self.total.as_secs(),
            self.ok,
            self.fail,
            self.info,
            self.latencies.p99(time_ns).map_or_else(|| "-".to_owned(), millis),
        ));
        self.bar.tick();
    }
}

impl Sink for Display {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Phase(phase) => {
                phase.clone_into(&mut self.phase);
                if self.bar.is_hidden() && !self.quiet {
                    eprintln!("{phase}");
                }
                self.bar.set_message(phase.to_owned());
                self.drawn_ns = 0;
                self.bar.tick();
            }
            Event::Op(op) => self.op(op),
            Event::Tick { time_ns } => self.draw(time_ns),
        }
    }
}

fn millis(ns: u64) -> String {
    format!("{:.1} ms", ns as f64 / 1e6)
}

/// Latencies of the last seconds, in two generations of logarithmic buckets (8 an octave: within 9 %).
#[derive(Default)]
struct Latencies {
    current: Vec<u32>,
    previous: Vec<u32>,
    since_ns: u64,
}

impl Latencies {
    fn push(&mut self, time_ns: u64, latency_ns: u64) {
        self.turn(time_ns);
        let bucket = ((latency_ns.max(1) as f64).log2() * 8.0) as usize;
        if self.current.len() <= bucket {
            self.current.resize(bucket + 1, 0);
        }
        self.current[bucket] += 1;
    }

    fn p99(&mut self, time_ns: u64) -> Option<u64> {
        self.turn(time_ns);
        let count = |bucket: usize| {
            self.current.get(bucket).copied().unwrap_or(0) + self.previous.get(bucket).copied().unwrap_or(0)
        };
        let buckets = self.current.len().max(self.previous.len());
        let total: u32 = (0..buckets).map(count).sum();
        let mut above = total / 100;
        let bucket = (0..buckets).rev().find(|&bucket| {
            let here = count(bucket);
            let found = here > above;
            above = above.saturating_sub(here);
            found
        })?;
        Some(2f64.powf((bucket + 1) as f64 / 8.0) as u64)
    }

    fn turn(&mut self, time_ns: u64) {
        if time_ns >= self.since_ns + 2 * WINDOW_NS {
            self.current.clear();
        }
        if time_ns >= self.since_ns + WINDOW_NS {
            self.previous = std::mem::take(&mut self.current);
            self.since_ns = time_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_in_force_is_shown_until_it_is_healed() {
        let mut display = Display::new(Duration::from_secs(1), true);
        display.nemesis(&json!({"fault": 1, "kind": "kill", "what": "n1"}));
        display.nemesis(&json!({"fault": 2, "kind": "pause", "what": "n2"}));
        display.nemesis(&json!({"healed": [1], "what": "n1"}));
        display.nemesis(&json!("nothing was in force"));
        assert_eq!(display.faults.into_values().collect::<Vec<_>>(), ["pause n2"]);
    }

    #[test]
    fn p99_is_near_and_forgets() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|i| latencies.push(0, i * 1000));
        let p99 = latencies.p99(0).unwrap();
        assert!((980_000..1_090_000).contains(&p99), "{p99}");
        assert_eq!(latencies.p99(3 * WINDOW_NS), None);
    }
}
