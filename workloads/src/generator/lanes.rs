//! What all generators that split the threads have in common.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use squall_checkers::Op;

use super::{Context, Generator, Next, Threads, sooner};

/// Generators side by side, each with threads and randomness of its own.
///
/// Who is asked first is drawn in proportion to the free threads, so that under a common rate each lane gets its
/// share. The draw stands until an operation comes of it. A lane none of whose threads is free is not asked.
#[derive(Clone, Debug)]
pub(super) struct Lanes<G> {
    lanes: Vec<Lane<G>>,
    /// The lane of each thread.
    owner: Vec<usize>,
    /// Threads of lanes that are not done.
    open: Threads,
    turn: Option<u64>,
    rng: ChaCha8Rng,
}

#[derive(Clone, Debug)]
struct Lane<G> {
    threads: Threads,
    generator: G,
    rng: ChaCha8Rng,
}

impl<G: Generator> Lanes<G> {
    /// Lanes over disjoint sets of threads, seeded from the context. Threads that the context lacks are left out.
    pub(super) fn new(ctx: &mut Context<'_>, parts: impl IntoIterator<Item = (Threads, G)>) -> Lanes<G> {
        let mut lanes = Lanes {
            rng: ChaCha8Rng::from_rng(ctx.rng),
            lanes: Vec::new(),
            owner: vec![0; ctx.processes.len() + 1],
            open: Threads::none(),
            turn: None,
        };
        for (threads, generator) in parts {
            let threads = ctx.threads.and(&threads);
            for thread in threads.iter() {
                lanes.owner[thread] = lanes.lanes.len();
                lanes.open.insert(thread);
            }
            lanes.lanes.push(Lane { threads, generator, rng: ChaCha8Rng::from_rng(ctx.rng) });
        }
        lanes
    }

    pub(super) fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        let free = ctx.free.and(&self.open);
        let count = free.len() as u64;
        if count == 0 {
            return if self.open.is_empty() { Next::Done } else { Next::Pending(None) };
        }
        let turn = *self.turn.get_or_insert_with(|| self.rng.next_u64());
        let first = free.nth((turn % count) as usize).map_or(0, |thread| self.owner[thread]);
        let mut until = None;
        for at in (first..self.lanes.len()).chain(0..first) {
            let lane = &mut self.lanes[at];
            if free.and(&lane.threads).is_empty() {
                continue;
            }
            match lane.generator.next(&mut ctx.with_rng(&mut lane.rng).restrict(&lane.threads)) {
                Next::Op(op) => {
                    self.turn = None;
                    return Next::Op(op);
                }
                Next::Pending(time) => until = sooner(until, time),
                Next::Done => self.open = self.open.minus(&lane.threads),
            }
        }
        if self.open.is_empty() { Next::Done } else { Next::Pending(until) }
    }

    /// Tells the lane on whose thread the event happened.
    pub(super) fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        let Some(thread) = ctx.thread(event.process) else { return };
        if self.open.contains(thread) {
            let lane = &mut self.lanes[self.owner[thread]];
            lane.generator.update(&mut ctx.with_rng(&mut lane.rng).restrict(&lane.threads), event);
        }
    }
}
