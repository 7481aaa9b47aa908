//! Transactions over registers against a store that keeps its promises.

use std::fmt::Write;

use crate::random::Random;

/// How much is done, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) txns: usize,
    /// Micro-operations in each.
    pub(crate) mops: usize,
    pub(crate) sessions: usize,
    pub(crate) keys: usize,
    /// How many transactions a snapshot may be behind. With 0 the store is serializable; else it is causally consistent.
    pub(crate) lag: usize,
}

/// A write or a read of a key; the initial value is 0, and no other is written twice.
#[derive(Clone, Copy)]
pub(crate) struct Mop {
    pub(crate) write: bool,
    pub(crate) key: usize,
    pub(crate) value: usize,
}

/// The transactions in commit order, each with its session. A transaction reads a snapshot that holds all that its session did, and
/// what itself wrote.
pub(crate) fn registers(rng: &mut Random, load: Load) -> Vec<(usize, Vec<Mop>)> {
    let mut versions: Vec<Vec<(usize, usize)>> = vec![Vec::new(); load.keys];
    let mut seen = vec![0; load.sessions];
    let mut fresh = 0;
    let txn = |n: usize| {
        let session = rng.below(load.sessions);
        let oldest = n.saturating_sub(load.lag).max(seen[session]);
        let snapshot = oldest + rng.below(n - oldest + 1);
        seen[session] = n + 1;
        let mut mops: Vec<Mop> = Vec::with_capacity(load.mops);
        for _ in 0..load.mops {
            let (key, write) = (rng.below(load.keys), rng.below(2) == 0);
            let own = mops.iter().rev().find(|mop| mop.write && mop.key == key).map(|mop| mop.value);
            let read = || {
                let known = versions[key].iter().rev().find(|&&(at, _)| at < snapshot);
                known.map_or(0, |&(_, value)| value)
            };
            fresh += usize::from(write);
            let value = if write { fresh } else { own.unwrap_or_else(read) };
            mops.push(Mop { write, key, value });
        }
        for mop in mops.iter().filter(|mop| mop.write) {
            versions[mop.key].push((n, mop.value));
        }
        (session, mops)
    };
    (0..load.txns).map(txn).collect()
}

/// The transactions in AWDIT's test format, session by session.
pub(crate) fn awdit(txns: &[(usize, Vec<Mop>)]) -> String {
    let sessions = txns.iter().map(|&(session, _)| session + 1).max().unwrap_or(0);
    let mut texts = vec![String::new(); sessions];
    for (session, mops) in txns {
        let text = &mut texts[*session];
        for mop in mops {
            let f = if mop.write { 'w' } else { 'r' };
            writeln!(text, "{f} {} {}", mop.key, mop.value).expect("a string takes it");
        }
        text.push_str("-----\n");
    }
    texts.join("=====\n")
}
