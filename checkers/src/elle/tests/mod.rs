mod kinds;
mod oracle;
mod registers;
mod serial;
mod weak;

pub(crate) use registers::judged;

use serde_json::Value;

use super::*;
use crate::{Op, Process, Type, Verdict};

/// A history of these events, a tenth of a second apart.
fn history(events: &[(u32, Type, Value)]) -> History {
    let mut time = 0;
    let op = |(process, kind, value): &(u32, Type, Value)| {
        time += 100_000_000;
        Op::new("txn").process(Process::Client(*process)).kind(*kind).value(value.clone()).at(time)
    };
    events.iter().map(op).collect()
}

/// Acknowledged transactions, one after the other, each by its own process.
fn one_by_one(txns: &[Value]) -> History {
    let pair = |(process, txn): (u32, &Value)| {
        [(process, Type::Invoke, txn.clone()), (process, Type::Ok, txn.clone())]
    };
    history(&(0..).zip(txns).flat_map(pair).collect::<Vec<_>>())
}

/// Acknowledged transactions that all ran at once.
fn at_once(txns: &[Value]) -> History {
    let begin = (0..).zip(txns).map(|(process, txn)| (process, Type::Invoke, txn.clone()));
    let end = (0..).zip(txns).map(|(process, txn)| (process, Type::Ok, txn.clone()));
    history(&begin.chain(end).collect::<Vec<_>>())
}

/// The models that a verdict says are broken.
pub(crate) fn broken(verdict: &Verdict) -> Vec<Consistency> {
    let names = ["not", "also-not"].iter().filter_map(|name| verdict.stats.get(*name)?.as_array()).flatten();
    names.map(|name| Consistency::from_name(name.as_str().unwrap()).unwrap()).collect()
}
