//! Small histories: all of them up to symmetry, and random ones.

use super::Timed;
use crate::linear::problem::NEVER;
use crate::model::Model;
use crate::testing::Random;

/// The operations with these intervals, in the order of their invocations. At one position all begin before any ends.
pub(super) fn timed<O: Clone>(intervals: &[(u32, u32)], ops: &[(O, bool)]) -> Vec<Timed<O>> {
    let count = intervals.len() as u32;
    let mut timed: Vec<Timed<O>> = intervals
        .iter()
        .zip(ops)
        .zip(0..)
        .map(|((&(begin, end), (op, returns)), at)| Timed {
            op: op.clone(),
            invoke: 2 * count * begin + at,
            complete: if *returns { 2 * count * end + count + at } else { NEVER },
        })
        .collect();
    timed.sort_by_key(|timed| timed.invoke);
    timed
}

/// What [`random`] makes.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) ops: usize,
    pub(super) processes: usize,
    /// One operation in so many never returns.
    pub(super) crash_every: usize,
}

/// A random execution of a model, in which every operation is legal where it takes effect, and half the time one operation of
/// it replaced by another.
pub(super) fn random<M: Model>(
    model: &M,
    ops: &[M::Op],
    shape: Shape,
    random: &mut Random,
) -> Vec<Timed<M::Op>> {
    let mut state = model.init();
    let mut done: Vec<Timed<M::Op>> = Vec::new();
    // For each process its operation, by number, and whether it took effect.
    let mut open: Vec<Option<(usize, bool)>> = vec![None; shape.processes];
    let mut time = 0;
    while done.len() < shape.ops || open.iter().any(Option::is_some) {
        let process = random.below(shape.processes);
        match open[process] {
            None if done.len() < shape.ops => {
                open[process] = Some((done.len(), false));
                done.push(Timed { op: ops[random.below(ops.len())].clone(), invoke: time, complete: NEVER });
            }
            None => continue,
            Some((at, false)) => {
                if random.below(shape.crash_every) == 0 {
                    open[process] = None;
                    continue;
                }
                let legal = (0..20).find_map(|_| {
                    let op = &ops[random.below(ops.len())];
                    model.step(&state, op).map(|next| (op.clone(), next))
                });
                if let Some((op, next)) = legal {
                    (done[at].op, state) = (op, next);
                    open[process] = (random.below(shape.crash_every) > 0).then_some((at, true));
                } else {
                    open[process] = None;
                }
            }
            Some((at, true)) => {
                done[at].complete = time;
                open[process] = None;
            }
        }
        time += 1;
    }
    if random.below(2) == 0 {
        let at = random.below(done.len());
        done[at].op = ops[random.below(ops.len())].clone();
    }
    done
}
