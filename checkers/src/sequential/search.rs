//! The search for a sequential order, in the order of each session.

use std::collections::HashSet;

use super::order::Order;
use crate::registers::{NONE, Sessions, Source};
use crate::{Budget, Spent};

/// How the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    None,
    /// The steps are spent.
    Capped,
}

/// A depth-first search over the window of the next operation of each session.
///
/// A read that can be next is taken at once: it changes nothing, so whatever could follow still can. A write cannot
/// be next while a read of the value that it would replace is to come, for each value is written once. And nothing
/// comes before what the order that all share puts before it.
pub(super) struct Search<'a> {
    kv: &'a Sessions,
    order: &'a Order<'a>,
    /// By session: the operations placed.
    placed: Vec<u32>,
    /// By key: the last write placed, or `NONE`.
    store: Vec<u32>,
    /// Reads that are to come, of each write, and of the initial value of each key.
    reads: Vec<u32>,
    initial: Vec<u32>,
    /// The operations placed, and what their key held before.
    log: Vec<(u32, u32)>,
    /// From which there is no way on.
    dead: HashSet<Box<[u32]>>,
    /// The most operations placed at once.
    pub(super) most: usize,
    pub(super) steps: u64,
}

struct Frame {
    choices: Vec<u32>,
    next: usize,
    /// Length of the log before.
    mark: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(kv: &'a Sessions, order: &'a Order<'a>) -> Search<'a> {
        let (mut reads, mut initial) = (vec![0; kv.ops.len()], vec![0; kv.keys]);
        for op in &kv.ops {
            match op.source {
                Source::Write(write) => reads[write as usize] += 1,
                Source::Initial => initial[op.key as usize] += 1,
                _ => {}
            }
        }
        Search {
            kv,
            order,
            placed: vec![0; kv.sessions()],
            store: vec![NONE; kv.keys],
            reads,
            initial,
            log: Vec::new(),
            dead: HashSet::new(),
            most: 0,
            steps: 0,
        }
    }

    /// Whether there is an order, within so many steps.
    ///
    /// # Errors
    /// What is spent.
    pub(super) fn run(&mut self, cap: u64, budget: &Budget) -> Result<Found, Spent> {
        let state_bytes = 4 * (self.placed.len() + self.store.len()) + 64;
        let mut lease = budget.lease(self.kv.ops.len() * 16)?;
        let mut frames = vec![self.frame(0)];
        let mut asked = 0;
        while let Some(frame) = frames.last_mut() {
            if self.log.len() == self.kv.ops.len() {
                return Ok(Found::Order);
            }
            if self.steps > cap {
                return Ok(Found::Capped);
            }
            if self.steps > asked + 10_000 {
                asked = self.steps;
                budget.ask()?;
            }
            if let Some(&op) = frame.choices.get(frame.next) {
                frame.next += 1;
                let mark = self.log.len();
                self.place(op);
                let next = self.frame(mark);
                frames.push(next);
                continue;
            }
            let mark = frame.mark;
            frames.pop();
            if !frames.is_empty() {
                lease.resize((self.kv.ops.len() * 16) + (self.dead.capacity() + 1) * state_bytes)?;
                self.dead.insert(self.state());
            }
            self.undo(mark);
        }
        Ok(Found::None)
    }

    fn state(&self) -> Box<[u32]> {
        self.placed.iter().chain(&self.store).copied().collect()
    }

    /// Takes the reads that can be next and lists the writes that can.
    fn frame(&mut self, mark: usize) -> Frame {
        let mut choices = Vec::new();
        let mut moved = true;
        while std::mem::take(&mut moved) {
            choices.clear();
            for session in 0..self.placed.len() {
                while let Some(op) = self.next(session) {
                    self.steps += 1;
                    if !self.can(op) {
                        break;
                    }
                    if self.kv.ops[op as usize].is_write() {
                        choices.push(op);
                        break;
                    }
                    self.place(op);
                    moved = true;
                }
            }
        }
        self.most = self.most.max(self.log.len());
        if choices.len() != 1 && self.dead.contains(&self.state()) {
            choices.clear();
        }
        // Real time is mostly right.
        choices.sort_unstable_by_key(|&op| self.kv.ops[op as usize].event());
        Frame { choices, next: 0, mark }
    }

    fn next(&self, session: usize) -> Option<u32> {
        let op = self.kv.starts[session] + self.placed[session];
        (op < self.kv.starts[session + 1]).then_some(op)
    }

    fn can(&self, op: u32) -> bool {
        let it = &self.kv.ops[op as usize];
        let holds = self.store[it.key as usize];
        let reads = match it.source {
            Source::Write(write) => holds == write,
            Source::Initial => holds == NONE,
            _ => true,
        };
        let to_come = if holds == NONE { self.initial[it.key as usize] } else { self.reads[holds as usize] };
        let own = u32::from(it.tells());
        let free = !it.is_write() || to_come <= own;
        let ready = || self.order.clock(op).iter().zip(&self.placed).all(|(before, placed)| before <= placed);
        reads && free && ready()
    }

    fn awaited(&mut self, op: u32) -> Option<&mut u32> {
        let it = &self.kv.ops[op as usize];
        match it.source {
            Source::Write(write) => Some(&mut self.reads[write as usize]),
            Source::Initial => Some(&mut self.initial[it.key as usize]),
            _ => None,
        }
    }

    fn place(&mut self, op: u32) {
        let it = &self.kv.ops[op as usize];
        let (key, session) = (it.key as usize, it.session as usize);
        self.placed[session] += 1;
        self.log.push((op, self.store[key]));
        if it.is_write() {
            self.store[key] = op;
        }
        if let Some(count) = self.awaited(op) {
            *count -= 1;
        }
    }

    fn undo(&mut self, mark: usize) {
        while self.log.len() > mark {
            let Some((op, before)) = self.log.pop() else { break };
            let it = &self.kv.ops[op as usize];
            self.store[it.key as usize] = before;
            self.placed[it.session as usize] -= 1;
            if let Some(count) = self.awaited(op) {
                *count += 1;
            }
        }
    }
}
