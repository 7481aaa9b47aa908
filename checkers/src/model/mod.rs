//! Sequential models: what an object does when one operation at a time acts on it.
//!
//! A model needs an initial state and a step; the rest is optional. A lock, whole:
//!
//! ```
//! use squall_checkers::model::{Call, Model};
//!
//! struct Lock;
//!
//! impl Model for Lock {
//!     type State = bool;
//!     type Op = Call;
//!     fn init(&self) -> bool {
//!         false
//!     }
//!     fn step(&self, held: &bool, op: &Call) -> Option<bool> {
//!         match op.f.as_str() {
//!             "acquire" => (!held).then_some(true),
//!             "release" => held.then_some(false),
//!             _ => None,
//!         }
//!     }
//! }
//! ```
//!
//! [`Call`] is the recorded operation as it stands, with JSON values. A model that must be fast names a compact
//! operation type instead and says in [`Operation::decode`] how a [`RawCall`] becomes one.

mod call;
pub(crate) mod container;
mod counter;
mod growth;
mod kv;
mod multi_register;
mod mutex;
mod nondeterministic;
mod priority_queue;
mod queue;
mod register;
mod semaphore;
pub(crate) mod set;
mod stack;
mod values;

use std::hash::Hash;

pub use call::{Call, Outcome, RawCall};
pub use container::ContainerOp;
pub use counter::{Counter, CounterOp};
pub use growth::Growth;
pub use kv::{Kv, KvOp, KvValue};
pub use multi_register::{MultiRegister, MultiRegisterOp};
pub use mutex::{Mutex, MutexOp};
pub use nondeterministic::{Nondeterministic, PowerSet};
pub use priority_queue::PriorityQueue;
pub use queue::Queue;
pub use register::{Register, RegisterNames, RegisterOp};
pub use semaphore::{Semaphore, SemaphoreOp};
use serde_json::Value;
pub use set::{Set, SetOp};
pub use stack::{Pile, Stack};
pub use values::{Symbol, Values};

/// A sequential object: the specification against which a concurrent history is judged.
pub trait Model: Send + Sync {
    /// A state. Equal states must behave alike: configurations are told apart by equality.
    type State: Clone + Eq + Hash + Send;

    /// An operation with what is known of its outcome.
    type Op: Operation;

    /// The state before the first operation.
    fn init(&self) -> Self::State;

    /// The state after `op`, or `None` where `op` could not have had its recorded outcome in `state`.
    /// With an unknown outcome the operation takes whatever effect it has in `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// The state before the first operation of an object that holds `value` then, where that can be said of it.
    fn starting_at(&self, _value: &Value) -> Option<Self::State> {
        None
    }

    /// The object that a call acts on, where the model is many independent objects: each is then checked alone.
    /// An operation without a key belongs to one unnamed object.
    fn partition(&self, _call: &RawCall<'_>) -> Option<Value> {
        None
    }

    /// The call in words, such as `write 3`.
    fn describe(&self, call: &Call) -> String {
        call.to_string()
    }

    /// Whether `op` leaves every state in which it is legal as it was. Optional: `false` is always right, `true`
    /// lets the checker take the operation as soon as it can and drop it when its outcome is unknown.
    fn read_only(&self, _op: &Self::Op) -> bool {
        false
    }

    /// Bytes that a state owns elsewhere, such as those of a string: without them a cap on memory does not hold.
    fn state_bytes(&self, _state: &Self::State) -> usize {
        0
    }

    /// How an operation bears on a state that grows. Optional: with [`leads_to`](Model::leads_to) it lets the checker
    /// drop an order as soon as a later observation contradicts it.
    fn growth(&self, _op: &Self::Op) -> Growth {
        Growth::Other
    }

    /// Whether operations that extend the state which `op` leaves in `state` can make `goal` legal, which observes.
    /// `op` extends or resets; `true` is always right.
    fn leads_to(&self, _state: &Self::State, _op: &Self::Op, _goal: &Self::Op) -> bool {
        true
    }

    /// The names under which a history records reads and writes of the object, where it is a register and values
    /// stand in the history as they are: a read's result, a write's argument, a cas's `[old, new]`. Optional: it saves
    /// building operations where writes are unique. Not for a model that partitions, nor without
    /// [`as_register`](Model::as_register).
    fn register_names(&self) -> Option<RegisterNames> {
        None
    }

    /// The operation as one on a read-write register, where it is one. Optional: it opens the near-linear check of
    /// registers whose writes are unique, and names the anomaly (`stale-read` …) where there is one.
    fn as_register(&self, _op: &Self::Op) -> Option<RegisterOp> {
        None
    }
}

/// How a recorded call becomes a model's operation.
pub trait Operation: Clone + Eq + Hash + Send + Sync + Sized {
    /// The operation, or `None` where the call says nothing: it failed, or it only reads and its result is unknown.
    /// Values are interned in `values`, which is shared by all calls of a history.
    ///
    /// # Errors
    /// A call that the model does not have, in a few words.
    fn decode(call: &RawCall<'_>, values: &mut Values) -> Result<Option<Self>, String>;

    /// Bytes that the operation owns elsewhere, such as those of a string: without them a cap on memory does not hold.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Operation for Call {
    fn decode(call: &RawCall<'_>, _values: &mut Values) -> Result<Option<Call>, String> {
        Ok(match call.outcome {
            Outcome::Fail(_) => None,
            _ => Some(call.to_call()),
        })
    }

    fn heap_bytes(&self) -> usize {
        // An array of small numbers takes about this much for each byte of its text.
        const BYTES_PER_CHARACTER: usize = size_of::<Value>() / 2;
        let text = |value: &Value| value.to_string().len() * BYTES_PER_CHARACTER;
        self.f.len() + text(&self.input) + self.output().map_or(0, text)
    }
}
