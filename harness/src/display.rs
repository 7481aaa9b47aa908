//! The live line: elapsed and total time, outcomes, p99 and the active fault.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use squall_checkers::{Op, Process, Type};

use crate::event::{Event, Sink};

/// Redrawing is bounded by the progress bar; composing the text is bounded by this.
const REFRESH_NS: u64 = 100_000_000;

/// Latencies of this long ago no longer count in the p99.
const WINDOW_NS: u64 = 5_000_000_000;

/// Shows a run on a terminal; on anything else it prints a line per phase and none per operation.
pub(crate) struct Display {
    bar: ProgressBar,
    total: Duration,
    ok: u64,
    fail: u64,
    info: u64,
    open: std::collections::HashMap<u32, u64>,
    latencies: Latencies,
    fault: Option<String>,
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
            ok: 0,
            fail: 0,
            info: 0,
            open: std::collections::HashMap::new(),
            latencies: Latencies::default(),
            fault: None,
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
            (Process::Nemesis, _) => self.fault = active_fault(op),
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

    fn draw(&mut self, time_ns: u64) {
        if time_ns < self.drawn_ns + REFRESH_NS || self.bar.is_hidden() {
            return;
        }
        self.drawn_ns = time_ns;
        let fault = self.fault.as_ref().map_or(String::new(), |fault| format!("  ⚡ {fault}"));
        self.bar.set_message(format!(
            "{} {:>3}/{} s  ok {} fail {} info {}  p99 {}{fault}",
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
                self.bar.set_message(phase.to_owned());
                self.drawn_ns = 0;
                self.bar.tick();
            }
            Event::Op(op) => self.op(op),
            Event::Tick { time_ns } => self.draw(time_ns),
        }
    }
}

/// What the last nemesis operation left in force: the `what` of an injection, nothing after a healing.
fn active_fault(op: &Op) -> Option<String> {
    let what = op.value.get("what")?.as_str()?;
    Some(format!("{} {what}", op.f))
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
    use super::*;

    #[test]
    fn p99_is_near_and_forgets() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|i| latencies.push(0, i * 1000));
        let p99 = latencies.p99(0).unwrap();
        assert!((980_000..1_090_000).contains(&p99), "{p99}");
        assert_eq!(latencies.p99(3 * WINDOW_NS), None);
    }
}
