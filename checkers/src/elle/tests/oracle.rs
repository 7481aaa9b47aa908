//! The models straight from their definitions, by trying everything on a tiny history.
//!
//! Serial models try all orders of transactions. The others of Cerone, Bernardi and Gotsman (CONCUR 2015) try all arbitrations and
//! visibilities and test the axioms; those of Adya (1999) try all version orders and look at the serialization graph.

use crate::{Consistency, History, Op, Process, Type};

/// A micro-operation on key `.0`. A read has the list, or for a register a list of at most its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TinyMop {
    Append(usize, u8),
    Read(usize, Vec<u8>),
}

/// A transaction with the moments at which it began and ended.
#[derive(Clone, Debug)]
pub(super) struct TinyTxn {
    pub(super) process: u32,
    pub(super) kind: Type,
    pub(super) invoke: usize,
    pub(super) complete: usize,
    pub(super) mops: Vec<TinyMop>,
}

/// What the keys hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Store {
    Lists,
    Registers,
}

pub(super) const KEYS: usize = 2;

impl TinyTxn {
    /// Whether it ended before the other began, and that is known.
    fn precedes(&self, other: &TinyTxn) -> bool {
        self.kind == Type::Ok && self.complete < other.invoke
    }

    fn writes(&self, key: usize) -> impl Iterator<Item = u8> + '_ {
        self.mops.iter().filter_map(move |mop| match *mop {
            TinyMop::Append(to, value) if to == key => Some(value),
            _ => None,
        })
    }

    pub(super) fn touches(&self, key: usize) -> bool {
        self.writes(key).next().is_some()
    }
}

/// The transactions as a recorded history.
pub(super) fn record(txns: &[TinyTxn], store: Store) -> History {
    let mut events: Vec<(usize, Op)> = Vec::new();
    let write = if store == Store::Lists { "append" } else { "w" };
    for txn in txns {
        let mops = |reads: bool| -> serde_json::Value {
            let mop = |mop: &TinyMop| match mop {
                TinyMop::Append(key, value) => serde_json::json!([write, key, value]),
                TinyMop::Read(key, list) if reads && store == Store::Lists => {
                    serde_json::json!(["r", key, list])
                }
                TinyMop::Read(key, list) if reads => serde_json::json!(["r", key, list.last()]),
                TinyMop::Read(key, _) => serde_json::json!(["r", key, null]),
            };
            txn.mops.iter().map(mop).collect()
        };
        let op = |kind, value| Op::new("txn").process(Process::Client(txn.process)).kind(kind).value(value);
        events.push((txn.invoke, op(Type::Invoke, mops(false))));
        events.push((txn.complete, op(txn.kind, mops(txn.kind == Type::Ok))));
    }
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, op)| op.at(at as u64)).collect()
}

/// The same, where a process that goes on after a transaction of unknown outcome has another name: its session is over.
fn by_session(txns: &[TinyTxn]) -> Vec<TinyTxn> {
    let crashes = |txn: &TinyTxn| {
        let before = |other: &&TinyTxn| other.process == txn.process && other.invoke < txn.invoke;
        txns.iter().filter(before).filter(|other| other.kind == Type::Info).count() as u32
    };
    txns.iter().map(|txn| TinyTxn { process: 1000 * crashes(txn) + txn.process, ..txn.clone() }).collect()
}

/// Whether the history is one of the model; `None` if the oracle does not know the model.
pub(super) fn holds(model: Consistency, txns: &[TinyTxn], store: Store) -> Option<bool> {
    let txns = &by_session(txns)[..];
    let unknown: Vec<usize> = (0..txns.len()).filter(|&at| txns[at].kind == Type::Info).collect();
    let chosen = |choice: usize| -> Vec<&TinyTxn> {
        let left_out =
            |at: usize| unknown.iter().position(|&u| u == at).is_some_and(|bit| choice >> bit & 1 == 0);
        let committed = (0..txns.len()).filter(|&at| txns[at].kind != Type::Fail && !left_out(at));
        committed.map(|at| &txns[at]).collect()
    };
    let mut choices = 0..1usize << unknown.len();
    if let Some(level) = level(model) {
        return Some(choices.any(|choice| adya(level, &chosen(choice), store)));
    }
    let axioms = axioms(model)?;
    Some(choices.any(|choice| {
        let committed = chosen(choice);
        permutations(committed.len()).iter().any(|order| {
            let ordered: Vec<&TinyTxn> = order.iter().map(|&at| committed[at]).collect();
            sees(axioms, &ordered, store, &mut Vec::new())
        })
    }))
}

/// Which transactions must be visible, besides those that explain the reads.
#[derive(Clone, Copy, Debug, Default)]
struct Axioms {
    session: bool,
    realtime: bool,
    transitive: bool,
    no_conflict: bool,
    prefix: bool,
    total: bool,
}

fn axioms(model: Consistency) -> Option<Axioms> {
    let none = Axioms::default();
    let causal = Axioms { transitive: true, ..none };
    let snapshot = Axioms { prefix: true, no_conflict: true, ..causal };
    let serial = Axioms { total: true, ..snapshot };
    Some(match model {
        Consistency::ReadAtomic => none,
        Consistency::CausalCerone => causal,
        Consistency::ParallelSnapshotIsolation => Axioms { no_conflict: true, ..causal },
        Consistency::Prefix => Axioms { prefix: true, ..causal },
        Consistency::SnapshotIsolation => snapshot,
        Consistency::StrongSessionSnapshotIsolation => Axioms { session: true, ..snapshot },
        Consistency::StrongSnapshotIsolation => Axioms { realtime: true, ..snapshot },
        Consistency::Serializable => serial,
        Consistency::StrongSessionSerializable => Axioms { session: true, ..serial },
        Consistency::StrictSerializable => Axioms { realtime: true, ..serial },
        _ => return None,
    })
}

/// Whether the transactions, in the order of arbitration, see what they must: `seen` has a set of earlier ones for each that is
/// settled.
fn sees(axioms: Axioms, txns: &[&TinyTxn], store: Store, seen: &mut Vec<u32>) -> bool {
    let at = seen.len();
    let Some(txn) = txns.get(at) else { return true };
    let has = |set: u32, at: usize| set >> at & 1 == 1;
    let ordered = |earlier: &TinyTxn| {
        earlier.precedes(txn) && (axioms.realtime || axioms.session && earlier.process == txn.process)
    };
    // Arbitration contains visibility: nobody who must be seen may come later.
    if txns[at + 1..].iter().any(|later| ordered(later)) {
        return false;
    }
    (0..1u32 << at).any(|set| {
        let fits = (0..at).all(|other| {
            let needed = axioms.total
                || ordered(txns[other])
                || axioms.no_conflict && (0..KEYS).any(|key| txn.touches(key) && txns[other].touches(key))
                || axioms.prefix && set >> other != 0;
            let closed = !axioms.transitive || !has(set, other) || seen[other] & !set == 0;
            (!needed || has(set, other)) && closed
        });
        if !fits || !explains(txn, &txns[..at], set, store) {
            return false;
        }
        seen.push(set);
        let whole = sees(axioms, txns, store, seen);
        seen.pop();
        whole
    })
}

/// Whether the reads of a transaction follow from what it sees (EXT) and what it did (INT). A version of a list holds all
/// appends up to it in the order of arbitration.
fn explains(txn: &TinyTxn, earlier: &[&TinyTxn], set: u32, store: Store) -> bool {
    if txn.kind != Type::Ok {
        return true;
    }
    let mut state: Vec<Vec<u8>> = (0..KEYS)
        .map(|key| {
            let last = (0..earlier.len()).rev().find(|&at| set >> at & 1 == 1 && earlier[at].touches(key));
            earlier[..last.map_or(0, |last| last + 1)].iter().flat_map(|txn| txn.writes(key)).collect()
        })
        .collect();
    txn.mops.iter().all(|mop| match mop {
        TinyMop::Append(key, value) => {
            state[*key].push(*value);
            true
        }
        TinyMop::Read(key, list) => same(&state[*key], list, store),
    })
}

fn same(state: &[u8], read: &[u8], store: Store) -> bool {
    match store {
        Store::Lists => state == read,
        Store::Registers => state.last() == read.last(),
    }
}

/// Which cycles a level of Adya's rules out.
#[derive(Clone, Copy, Debug)]
struct Level {
    session: bool,
    realtime: bool,
    cursor: bool,
    /// Most anti-dependencies in a cycle that is ruled out.
    anti: usize,
}

fn level(model: Consistency) -> Option<Level> {
    let committed = Level { session: false, realtime: false, cursor: false, anti: 0 };
    Some(match model {
        Consistency::ReadCommitted => committed,
        Consistency::StrongSessionReadCommitted => Level { session: true, ..committed },
        Consistency::StrongReadCommitted => Level { realtime: true, ..committed },
        Consistency::CursorStability => Level { cursor: true, ..committed },
        Consistency::ConsistentView => Level { anti: 1, ..committed },
        Consistency::RepeatableRead => Level { anti: usize::MAX, ..committed },
        _ => return None,
    })
}

/// Whether some version order has only the cycles that the level allows.
fn adya(level: Level, txns: &[&TinyTxn], store: Store) -> bool {
    let writers =
        |key: usize| -> Vec<usize> { (0..txns.len()).filter(|&at| txns[at].touches(key)).collect() };
    let orders = |key: usize| -> Vec<Vec<usize>> {
        let writers = writers(key);
        permutations(writers.len())
            .iter()
            .map(|order| order.iter().map(|&at| writers[at]).collect())
            .collect()
    };
    orders(0)
        .iter()
        .any(|first| orders(1).iter().any(|second| level_allows(level, txns, [first, second], store)))
}

fn level_allows(level: Level, txns: &[&TinyTxn], orders: [&Vec<usize>; KEYS], store: Store) -> bool {
    let n = txns.len();
    let (mut dependency, mut anti) = (vec![vec![false; n]; n], vec![vec![false; n]; n]);
    for order in orders {
        order.windows(2).for_each(|pair| dependency[pair[0]][pair[1]] = true);
    }
    for a in 0..n {
        for b in 0..n {
            let process = level.session && txns[a].process == txns[b].process;
            dependency[a][b] |= (level.realtime || process) && txns[a].precedes(txns[b]);
        }
    }
    for (at, txn) in txns.iter().enumerate().filter(|(_, txn)| txn.kind == Type::Ok) {
        for (nth, mop) in txn.mops.iter().enumerate() {
            let TinyMop::Read(key, list) = mop else { continue };
            let order = orders[*key];
            let version =
                |len: usize| order[..len].iter().flat_map(|&w| txns[w].writes(*key)).collect::<Vec<u8>>();
            let Some(len) = (0..=order.len()).find(|&len| same(&version(len), list, store)) else {
                return false;
            };
            if len > 0 && order[len - 1] == at {
                return false;
            }
            if len > 0 {
                dependency[order[len - 1]][at] = true;
            }
            if let Some(&next) = order.get(len).filter(|&&next| next != at) {
                anti[at][next] = true;
            }
            let wrote = txn.mops[nth..].iter().any(|mop| matches!(mop, TinyMop::Append(to, _) if to == key));
            let own = order.iter().position(|&writer| writer == at);
            if level.cursor && wrote && own.is_some_and(|own| own > len) {
                return false;
            }
        }
    }
    let reach = |edges: &[Vec<bool>]| {
        let mut reach = edges.to_vec();
        for via in 0..n {
            for a in 0..n {
                for b in 0..n {
                    reach[a][b] |= reach[a][via] && reach[via][b];
                }
            }
        }
        reach
    };
    let known = reach(&dependency);
    if (0..n).any(|at| known[at][at]) {
        return false;
    }
    match level.anti {
        0 => true,
        1 => (0..n).all(|a| (0..n).all(|b| !(anti[a][b] && known[b][a]))),
        _ => {
            let both: Vec<Vec<bool>> =
                (0..n).map(|a| (0..n).map(|b| dependency[a][b] || anti[a][b]).collect()).collect();
            (0..n).all(|at| !reach(&both)[at][at])
        }
    }
}

/// All orders of the numbers below `n`.
pub(super) fn permutations(n: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..n {
        all = all
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, next);
                    order
                })
            })
            .collect();
    }
    all
}

/// Whether some order of the acknowledged transactions and some of those of unknown outcome explains every read. Serial models
/// only, but for more transactions than [`holds`] can take.
pub(super) fn has_serial_order(model: Consistency, txns: &[TinyTxn]) -> bool {
    let txns = &by_session(txns)[..];
    place(model, txns, 0, &[const { Vec::new() }; KEYS])
}

fn place(model: Consistency, txns: &[TinyTxn], done: u16, store: &[Vec<u8>; KEYS]) -> bool {
    let open = |i: usize| done >> i & 1 == 0;
    if (0..txns.len()).all(|i| !open(i) || txns[i].kind != Type::Ok) {
        return true;
    }
    (0..txns.len()).filter(|&i| open(i) && txns[i].kind != Type::Fail).any(|i| {
        let mut earlier = (0..txns.len()).filter(|&j| open(j) && j != i && txns[j].precedes(&txns[i]));
        let blocked = earlier.any(|j| match model {
            Consistency::Serializable => false,
            Consistency::StrongSessionSerializable => txns[i].process == txns[j].process,
            _ => true,
        });
        if blocked {
            return false;
        }
        let mut store = store.clone();
        run(&txns[i], &mut store) && place(model, txns, done | 1 << i, &store)
    })
}

/// Runs a transaction; false if it would have read something else.
pub(super) fn run(txn: &TinyTxn, store: &mut [Vec<u8>; KEYS]) -> bool {
    txn.mops.iter().all(|mop| match mop {
        TinyMop::Append(key, value) => {
            store[*key].push(*value);
            true
        }
        TinyMop::Read(key, list) => txn.kind != Type::Ok || store[*key] == *list,
    })
}
