use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use squall_checkers::{Op, Value};

use super::{Client, Completion, Node};

/// What an [`AtomClient`] does wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every `n`-th read of a register, a set or a list answers as before the last change to it.
    StaleRead(u64),
    /// Every `n`-th change is acknowledged and forgotten.
    LostWrite(u64),
}

/// A store inside the process that is as correct as a mutex makes it, with the op sets `register`, `set` and `txn`: a
/// harness can be tested on it without a cluster, as on Jepsen's atom. With a [`Fault`] it must be found out.
///
/// All clients opened from one share its store, whatever their nodes.
#[derive(Clone, Debug, Default)]
pub struct AtomClient {
    store: Arc<Mutex<Store>>,
}

impl AtomClient {
    /// A client of a new, empty and correct store.
    pub fn new() -> AtomClient {
        AtomClient::default()
    }

    /// A client of a new, empty store with this fault.
    pub fn with_fault(fault: Fault) -> AtomClient {
        AtomClient { store: Arc::new(Mutex::new(Store { fault, ..Store::default() })) }
    }

    /// Performs an operation, outside of any runtime.
    pub fn apply(&self, op: &Op) -> Completion {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store
            .apply(op)
            .unwrap_or_else(|| Completion::fail(format!("the store does not know {} {}", op.f, op.value)))
    }
}

#[async_trait]
impl Client for AtomClient {
    async fn open(&self, _: &Node) -> anyhow::Result<Box<dyn Client>> {
        Ok(Box::new(self.clone()))
    }

    async fn invoke(&mut self, op: &Op) -> anyhow::Result<Completion> {
        Ok(self.apply(op))
    }
}

/// Something with a present and a previous value.
#[derive(Clone, Debug, Default)]
struct Cell<T> {
    now: T,
    before: T,
}

impl<T: Clone> Cell<T> {
    fn change(&mut self, change: impl FnOnce(&mut T)) {
        self.before = self.now.clone();
        change(&mut self.now);
    }
}

#[derive(Debug, Default)]
struct Store {
    registers: HashMap<Value, Cell<Value>>,
    /// Elements in the order in which they came.
    set: Vec<Value>,
    lists: HashMap<Value, Vec<Value>>,
    fault: Fault,
    reads: u64,
    writes: u64,
}

impl Store {
    /// `None` for an operation that it does not know.
    fn apply(&mut self, op: &Op) -> Option<Completion> {
        match (op.f.as_ref(), &op.value) {
            ("add", element) => {
                if self.write_holds() {
                    self.set.push(element.clone());
                }
                Some(Completion::ok())
            }
            ("read", Value::Null) => {
                let stale = self.read_is_stale();
                Some(Completion::value(without_last(&self.set, stale)))
            }
            ("txn", Value::Array(mops)) => {
                let done: Option<Vec<Value>> = mops.iter().map(|mop| self.mop(mop.as_array()?)).collect();
                done.map(Completion::value)
            }
            (f, Value::Array(pair)) => match pair.as_slice() {
                [key, value] => self.register(f, key, value),
                _ => None,
            },
            _ => None,
        }
    }

    fn register(&mut self, f: &str, key: &Value, value: &Value) -> Option<Completion> {
        let stale = f == "read" && self.read_is_stale();
        let holds = f != "read" && self.write_holds();
        let register = self.registers.entry(key.clone()).or_default();
        match (f, value) {
            ("read", _) => {
                let read = if stale { &register.before } else { &register.now };
                Some(Completion::value(vec![key.clone(), read.clone()]))
            }
            ("write", value) => {
                if holds {
                    register.change(|now| *now = value.clone());
                }
                Some(Completion::ok())
            }
            ("cas", Value::Array(pair)) => match pair.as_slice() {
                [old, _] if register.now != *old => Some(Completion::fail("it has another value")),
                [_, new] => {
                    if holds {
                        register.change(|now| *now = new.clone());
                    }
                    Some(Completion::ok())
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn mop(&mut self, mop: &[Value]) -> Option<Value> {
        let [f, key, value] = mop else { return None };
        let value = match f.as_str()? {
            "append" => {
                let holds = self.write_holds();
                let list = self.lists.entry(key.clone()).or_default();
                if holds {
                    list.push(value.clone());
                }
                value.clone()
            }
            "r" => {
                let stale = self.read_is_stale();
                self.lists.get(key).map_or(Value::Null, |list| without_last(list, stale))
            }
            _ => return None,
        };
        Some(Value::Array(vec![f.clone(), key.clone(), value]))
    }

    fn read_is_stale(&mut self) -> bool {
        self.reads += 1;
        matches!(self.fault, Fault::StaleRead(n) if self.reads.is_multiple_of(n))
    }

    fn write_holds(&mut self) -> bool {
        self.writes += 1;
        !matches!(self.fault, Fault::LostWrite(n) if self.writes.is_multiple_of(n))
    }
}

/// Lists and sets only grow, so the previous one is all but the last element.
fn without_last(list: &[Value], stale: bool) -> Value {
    list[..list.len() - usize::from(stale && !list.is_empty())].to_vec().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn play(client: &AtomClient, ops: &[(&'static str, Value, Completion)]) {
        for (f, value, expected) in ops {
            assert_eq!(client.apply(&Op::new(*f).value(value.clone())), *expected, "{f} {value}");
        }
    }

    #[tokio::test]
    async fn it_is_a_store() {
        let client = AtomClient::new();
        let mut other = client.open(&super::super::test_node()).await.unwrap();
        let write = Op::new("write").value(json!([1, 5]));
        assert_eq!(other.invoke(&write).await.unwrap(), Completion::ok());
        play(
            &client,
            &[
                ("read", json!([1, null]), Completion::value(json!([1, 5]))),
                ("read", json!([2, null]), Completion::value(json!([2, null]))),
                ("cas", json!([1, [5, 6]]), Completion::ok()),
                ("cas", json!([1, [5, 7]]), Completion::fail("it has another value")),
                ("read", json!([1, null]), Completion::value(json!([1, 6]))),
                ("read", json!(null), Completion::value(json!([]))),
                ("add", json!(3), Completion::ok()),
                ("read", json!(null), Completion::value(json!([3]))),
                (
                    "txn",
                    json!([["r", 1, null], ["append", 1, 2], ["r", 1, null]]),
                    Completion::value(json!([["r", 1, null], ["append", 1, 2], ["r", 1, [2]]])),
                ),
                ("dance", json!(1), Completion::fail("the store does not know dance 1")),
                ("txn", json!([["r"]]), Completion::fail("the store does not know txn [[\"r\"]]")),
            ],
        );
    }

    #[test]
    fn every_second_read_is_stale() {
        play(
            &AtomClient::with_fault(Fault::StaleRead(2)),
            &[
                ("write", json!([1, 5]), Completion::ok()),
                ("write", json!([1, 6]), Completion::ok()),
                ("read", json!([1, null]), Completion::value(json!([1, 6]))),
                ("read", json!([1, null]), Completion::value(json!([1, 5]))),
                ("add", json!(3), Completion::ok()),
                ("read", json!(null), Completion::value(json!([3]))),
                ("read", json!(null), Completion::value(json!([]))),
            ],
        );
    }

    #[test]
    fn every_third_write_is_lost() {
        play(
            &AtomClient::with_fault(Fault::LostWrite(3)),
            &[
                ("add", json!(1), Completion::ok()),
                ("add", json!(2), Completion::ok()),
                ("add", json!(3), Completion::ok()),
                ("read", json!(null), Completion::value(json!([1, 2]))),
            ],
        );
    }
}
