//! The key-value state machine: commands in, replies out, nothing else.
//!
//! It is deterministic, so nodes that apply the same commands in the same order hold the same state (paper, §2).
//! Values are any JSON; an absent key reads as `null`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One micro-operation of a transaction: its function, its key and its value, written as a JSON array of three.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TxnOp(
    /// What to do.
    pub TxnFn,
    /// The key.
    pub String,
    /// The value to write or append; for a read, `null` on the way in and what was read on the way out.
    pub Value,
);

/// What a micro-operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnFn {
    /// Read.
    #[serde(rename = "r")]
    Read,
    /// Overwrite.
    #[serde(rename = "w")]
    Write,
    /// Append to a list.
    #[serde(rename = "append")]
    Append,
}

/// An operation that goes through the log because it may change the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Sets `key` to `value`.
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: Value,
    },
    /// Sets `key` to `new` if it is `old`.
    Cas {
        /// The key.
        key: String,
        /// The value it must have; `null` also means absent.
        old: Value,
        /// Its new value.
        new: Value,
    },
    /// Removes `key`.
    Delete {
        /// The key.
        key: String,
    },
    /// Appends `value` to the list at `key`; an absent key is an empty list.
    Append {
        /// The key.
        key: String,
        /// The element.
        value: Value,
    },
    /// Several micro-operations, all or none.
    Txn {
        /// In order.
        ops: Vec<TxnOp>,
    },
}

/// An operation that only reads, and so need not go through the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// The value of one key.
    Get {
        /// The key.
        key: String,
    },
    /// A transaction of reads.
    Txn {
        /// In order, all of them [`TxnFn::Read`].
        ops: Vec<TxnOp>,
    },
}

/// The state machine's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done; there is nothing to say.
    Done,
    /// The length of the list after an append.
    Length(usize),
    /// The value of a key; `None` when it is absent.
    Value(Option<Value>),
    /// The micro-operations with their reads filled in.
    Txn(Vec<TxnOp>),
    /// A compare-and-set did not find what it expected. Nothing was changed.
    Mismatch(Value),
    /// An append met a value, under this key, that is not a list. Nothing was changed.
    NotAList(String),
    /// The request is older than what its session remembers; whether it took effect is not known.
    Expired,
}

/// The keys and their values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Store {
    keys: BTreeMap<String, Value>,
}

impl Store {
    /// Runs `command` and returns its answer.
    pub fn apply(&mut self, command: &Command) -> Reply {
        match command {
            Command::Put { key, value } => {
                self.keys.insert(key.clone(), value.clone());
                Reply::Done
            }
            Command::Cas { key, old, new } => {
                let current = self.keys.get(key).unwrap_or(&Value::Null);
                if current != old {
                    return Reply::Mismatch(current.clone());
                }
                self.keys.insert(key.clone(), new.clone());
                Reply::Done
            }
            Command::Delete { key } => {
                self.keys.remove(key);
                Reply::Done
            }
            Command::Append { key, value } => match self.append(key, value) {
                Some(length) => Reply::Length(length),
                None => Reply::NotAList(key.clone()),
            },
            Command::Txn { ops } => self.txn(ops),
        }
    }

    /// Answers `query` from the present state.
    pub fn query(&self, query: &Query) -> Reply {
        match query {
            Query::Get { key } => Reply::Value(self.keys.get(key).cloned()),
            Query::Txn { ops } => Reply::Txn(ops.iter().map(|op| self.read(op)).collect()),
        }
    }

    fn read(&self, TxnOp(f, key, _): &TxnOp) -> TxnOp {
        TxnOp(*f, key.clone(), self.keys.get(key).cloned().unwrap_or(Value::Null))
    }

    /// `None`, and no change, when the key holds something that is not a list.
    fn append(&mut self, key: &str, value: &Value) -> Option<usize> {
        let slot = self.keys.entry(key.to_owned()).or_insert(Value::Null);
        if slot.is_null() {
            *slot = Value::Array(Vec::new());
        }
        let list = slot.as_array_mut()?;
        list.push(value.clone());
        Some(list.len())
    }

    fn txn(&mut self, ops: &[TxnOp]) -> Reply {
        let before: BTreeMap<&String, Option<Value>> = ops
            .iter()
            .filter(|op| op.0 != TxnFn::Read)
            .map(|op| (&op.1, self.keys.get(&op.1).cloned()))
            .collect();
        let mut done = Vec::with_capacity(ops.len());
        for op @ TxnOp(f, key, value) in ops {
            match f {
                TxnFn::Read => done.push(self.read(op)),
                TxnFn::Write => {
                    self.keys.insert(key.clone(), value.clone());
                    done.push(op.clone());
                }
                TxnFn::Append if self.append(key, value).is_some() => done.push(op.clone()),
                TxnFn::Append => {
                    self.restore(before);
                    return Reply::NotAList(key.clone());
                }
            }
        }
        Reply::Txn(done)
    }

    fn restore(&mut self, before: BTreeMap<&String, Option<Value>>) {
        for (key, value) in before {
            match value {
                Some(value) => self.keys.insert(key.clone(), value),
                None => self.keys.remove(key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(key: &str, value: Value) -> Command {
        Command::Put { key: key.into(), value }
    }

    fn get(store: &Store, key: &str) -> Reply {
        store.query(&Query::Get { key: key.into() })
    }

    #[test]
    fn cas_treats_an_absent_key_as_null() {
        let mut store = Store::default();
        let cas = |old: Value, new: Value| Command::Cas { key: "x".into(), old, new };
        assert_eq!(store.apply(&cas(json!(1), json!(2))), Reply::Mismatch(Value::Null));
        assert_eq!(get(&store, "x"), Reply::Value(None));
        assert_eq!(store.apply(&cas(Value::Null, json!(2))), Reply::Done);
        assert_eq!(get(&store, "x"), Reply::Value(Some(json!(2))));
    }

    #[test]
    fn append_makes_a_list_and_refuses_a_scalar() {
        let mut store = Store::default();
        let append = |value: i32| Command::Append { key: "x".into(), value: json!(value) };
        assert_eq!(store.apply(&append(1)), Reply::Length(1));
        assert_eq!(store.apply(&append(2)), Reply::Length(2));
        assert_eq!(get(&store, "x"), Reply::Value(Some(json!([1, 2]))));
        store.apply(&put("x", json!("scalar")));
        assert_eq!(store.apply(&append(3)), Reply::NotAList("x".into()));
        assert_eq!(get(&store, "x"), Reply::Value(Some(json!("scalar"))));
    }

    #[test]
    fn a_transaction_reads_its_own_writes_and_undoes_itself_when_it_fails() {
        let mut store = Store::default();
        let ops = |json: Value| -> Vec<TxnOp> { serde_json::from_value(json).unwrap() };
        let reply = store
            .apply(&Command::Txn { ops: ops(json!([["append", "x", 1], ["r", "x", null], ["w", "y", 2]])) });
        assert_eq!(reply, Reply::Txn(ops(json!([["append", "x", 1], ["r", "x", [1]], ["w", "y", 2]]))));

        let failing = ops(json!([["append", "x", 2], ["w", "z", 3], ["append", "y", 1]]));
        assert_eq!(store.apply(&Command::Txn { ops: failing }), Reply::NotAList("y".into()));
        assert_eq!(get(&store, "x"), Reply::Value(Some(json!([1]))));
        assert_eq!(get(&store, "z"), Reply::Value(None));
    }
}
