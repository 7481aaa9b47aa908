use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;
use squall_checkers::{Op, Process, Type};
use squall_workloads::generator::Threads;
use squall_workloads::{Context, Generator, Next};

use super::lane::{Act, Lane, nanos};
use super::swarm::Drawn;
use super::{Length, Phase, Plot};
use crate::recovery::RECOVER;
use crate::streams::stream;
use crate::together::{TOGETHER, Together};

/// Plays a schedule: the generator of a run's nemesis.
///
/// Acts are due at planned times from the beginning of their phase, however long the acts before them take. A phase begins
/// when the one before was planned to end; after a wait for recovery, when that is over.
pub(super) struct Player {
    plot: Arc<Plot>,
    seed: u64,
    round: u32,
    /// The place of the phase that comes next.
    next_phase: usize,
    current: Option<Current>,
    /// When the next phase begins: the first with the run.
    begin_ns: u64,
    /// What is due already, in order.
    queue: VecDeque<Op>,
    /// How many acts of each kind are in force.
    open: Vec<u32>,
    /// Nothing is due before.
    idle_until_ns: u64,
}

/// The phase that is on.
struct Current {
    phase: usize,
    begun_ns: u64,
    lanes: Vec<Lane>,
}

impl Player {
    pub(super) fn new(plot: Arc<Plot>, seed: u64) -> Player {
        let open = vec![0; plot.kinds.len()];
        Player {
            plot,
            seed,
            round: 0,
            next_phase: 0,
            current: None,
            begin_ns: 0,
            queue: VecDeque::new(),
            open,
            idle_until_ns: 0,
        }
    }

    pub(super) fn plot(&self) -> &Plot {
        &self.plot
    }

    /// Begins the next phase, unless there is none.
    fn begin(&mut self, begun_ns: u64) {
        let plot = self.plot.clone();
        if self.next_phase == plot.phases.len() {
            self.next_phase = 0;
            self.round += 1;
        }
        if plot.rounds.is_some_and(|rounds| self.round >= rounds) {
            return;
        }
        let phase = self.next_phase;
        self.next_phase += 1;
        let it = &plot.phases[phase];
        let swarm = it.swarm.as_ref();
        let drawn = swarm.map(|swarm| swarm.draw(&plot.faults, self.seed, self.round, phase));
        self.announce(it, drawn.as_ref());
        if let Length::Recovered(within) = it.length {
            self.queue.push_back(Op::new(RECOVER).value(json!({ "within_s": within.as_secs_f64() })));
        }
        let lanes = plot.lanes(self.seed, self.round, phase, &drawn.unwrap_or_default());
        self.current = Some(Current { phase, begun_ns, lanes });
    }

    /// A line in the history, where phases or a swarm are worth one.
    fn announce(&mut self, phase: &Phase, drawn: Option<&Drawn>) {
        let mut words = Vec::new();
        if self.plot.phases.len() > 1 || phase.name.is_some() {
            words
                .push(format!("phase {}", phase.name.clone().unwrap_or_else(|| self.next_phase.to_string())));
            if self.plot.rounds != Some(1) {
                words.push(format!("round {}", self.round + 1));
            }
        }
        if let (Some(swarm), Some(drawn)) = (&phase.swarm, drawn) {
            words.push(swarm.told(drawn, &self.plot.faults));
        }
        if !words.is_empty() {
            self.queue.push_back(Op::new("log").value(words.join(", ")).kind(Type::Info));
        }
    }

    /// Puts what is due by now into the queue, and returns when to ask again; `None` where that depends on an event, or
    /// nothing is left.
    fn fill(&mut self, now_ns: u64) -> Option<u64> {
        let plot = self.plot.clone();
        let current = self.current.as_mut()?;
        if now_ns < self.idle_until_ns {
            return Some(self.idle_until_ns);
        }
        let phase = &plot.phases[current.phase];
        let end_ns = match phase.length {
            Length::Endless => u64::MAX,
            Length::For(length) => current.begun_ns.saturating_add(nanos(length)),
            Length::Recovered(_) => return None,
        };
        let first = current.lanes.iter_mut().min_by_key(|lane| lane.due_ns());
        let due_ns = first.as_ref().map_or(u64::MAX, |lane| current.begun_ns.saturating_add(lane.due_ns()));
        if due_ns.min(end_ns) > now_ns {
            // The controller asks after every operation of every client.
            self.idle_until_ns = if due_ns.min(end_ns) < u64::MAX { due_ns.min(end_ns) } else { 0 };
            return Some(due_ns.min(end_ns)).filter(|&until| until < u64::MAX);
        }
        match first.filter(|_| due_ns < end_ns) {
            Some(lane) => {
                let act = lane.act(&plot, &phase.steps);
                self.carry_out(act);
            }
            None => self.end(end_ns),
        }
        Some(now_ns)
    }

    fn carry_out(&mut self, act: Act) {
        let plot = self.plot.clone();
        let kind = |fault: usize| plot.faults[fault].kind;
        match act {
            Act::Inject(faults) => {
                for (fault, value) in faults {
                    self.open[kind(fault)] += 1;
                    self.queue.push_back(Op::new(plot.kinds[kind(fault)].ops.inject.clone()).value(value));
                }
            }
            Act::Together(faults, nodes) => {
                faults.iter().for_each(|(fault, _)| self.open[kind(*fault)] += 1);
                self.queue.push_back(match faults.as_slice() {
                    [(fault, before)] => {
                        Op::new(plot.kinds[kind(*fault)].ops.inject.clone()).value(format!("{before}{nodes}"))
                    }
                    _ => {
                        let named = |(fault, before)| (plot.kinds[kind(fault)].name.clone(), before);
                        let together = Together { nodes, faults: faults.into_iter().map(named).collect() };
                        Op::new(TOGETHER).value(json!(together))
                    }
                });
            }
            Act::Heal(faults) => {
                for fault in faults {
                    let open = &mut self.open[kind(fault)];
                    *open = open.saturating_sub(1);
                    // A healing heals all of its kind.
                    if *open == 0 {
                        self.queue.push_back(Op::new(plot.kinds[kind(fault)].ops.heal.clone()));
                    }
                }
            }
        }
    }

    /// Heals what the phase leaves broken.
    fn end(&mut self, end_ns: u64) {
        for (kind, open) in self.plot.kinds.iter().zip(&mut self.open) {
            if std::mem::take(open) > 0 {
                self.queue.push_back(Op::new(kind.ops.heal.clone()));
            }
        }
        self.current = None;
        self.begin_ns = end_ns;
    }

    fn done(&self) -> bool {
        self.current.is_none() && self.queue.is_empty()
    }
}

impl Plot {
    /// The lines of acts of a phase, with what a swarm has drawn for it.
    pub(super) fn lanes(&self, seed: u64, round: u32, at: usize, drawn: &Drawn) -> Vec<Lane> {
        let (phase, faults) = (&self.phases[at], &self.faults);
        let rng = |name: &str| stream(seed, &format!("schedule/{round}/{at}/{name}"));
        let mix =
            phase.mix.iter().map(|&fault| Lane::mix(fault, faults[fault].interval, rng(&faults[fault].text)));
        let swarm = drawn.iter();
        let swarm = swarm.map(|&(fault, interval)| Lane::mix(fault, interval, rng(&faults[fault].text)));
        let steps = phase.steps.iter().enumerate();
        let steps = steps.map(|(step, it)| Lane::step(step, it.at, rng(&format!("step {step}"))));
        mix.chain(swarm).chain(steps).collect()
    }
}

impl Generator for Player {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        loop {
            if let Some(op) = self.queue.front() {
                // A line of the log must not be taken for the completion of a fault either.
                if !ctx.free.contains(Threads::NEMESIS) {
                    return Next::Pending(None);
                }
                let op = op.clone().process(Process::Nemesis).at(ctx.time_ns);
                self.queue.pop_front();
                return Next::Op(op);
            }
            if self.current.is_none() {
                self.begin(self.begin_ns);
                if self.done() {
                    return Next::Done;
                }
                continue;
            }
            match self.fill(ctx.time_ns) {
                Some(now_ns) if now_ns <= ctx.time_ns => {}
                until => return Next::Pending(until),
            }
        }
    }

    fn update(&mut self, _: &mut Context<'_>, event: &Op) {
        if event.process == Process::Nemesis && event.kind == Type::Info && event.f == RECOVER {
            self.end(event.time_ns);
        }
    }
}
