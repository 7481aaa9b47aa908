use serde_json::Value;

use super::{Call, Model, Operation, RawCall};

/// An object of which an operation may leave one of several states, such as a queue that may lose what it is given.
///
/// Checked as a [`PowerSet`]. A counter whose `add` may get lost though it was acknowledged:
///
/// ```
/// use squall_checkers::model::{CounterOp, Nondeterministic, PowerSet};
/// use squall_checkers::{Checker, History, Linearizable, Op, Type, Valid};
///
/// struct Lossy;
///
/// impl Nondeterministic for Lossy {
///     type State = i128;
///     type Op = CounterOp;
///     fn init(&self) -> Vec<i128> {
///         vec![0]
///     }
///     fn step(&self, state: &i128, op: &CounterOp) -> Vec<i128> {
///         match op {
///             CounterOp::Add(n) => vec![*state, state + n],
///             CounterOp::Read(n) if n == state => vec![*state],
///             CounterOp::Read(_) => vec![],
///         }
///     }
/// }
///
/// let read = |n: i64| -> History {
///     let done = |f: &'static str, n: i64| [Op::new(f).value(n), Op::new(f).value(n).kind(Type::Ok)];
///     [done("add", 2), done("add", 3), done("read", n)].concat().into_iter().collect()
/// };
/// let checker = Linearizable::new("lossy-counter", PowerSet(Lossy));
/// assert_eq!(checker.check(&read(3)).valid, Valid::True);
/// assert_eq!(checker.check(&read(4)).valid, Valid::False);
/// ```
pub trait Nondeterministic: Send + Sync {
    /// A state. Equal states must behave alike.
    type State: Clone + Ord + std::hash::Hash + Send;

    /// An operation with what is known of its outcome.
    type Op: Operation;

    /// The states before the first operation.
    fn init(&self) -> Vec<Self::State>;

    /// The states that `op` may leave, or none where it could not have had its recorded outcome in `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Vec<Self::State>;

    /// As [`Model::partition`].
    fn partition(&self, _call: &RawCall<'_>) -> Option<Value> {
        None
    }

    /// As [`Model::describe`].
    fn describe(&self, call: &Call) -> String {
        call.to_string()
    }

    /// As [`Model::state_bytes`].
    fn state_bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

/// A nondeterministic object as a deterministic one, whose states are the sets of the states that are possible: the power-set
/// construction of automata (Rabin & Scott 1959).
#[derive(Clone, Copy, Debug, Default)]
pub struct PowerSet<N>(pub N);

impl<N: Nondeterministic> Model for PowerSet<N> {
    /// In order, each once.
    type State = Vec<N::State>;
    type Op = N::Op;

    fn init(&self) -> Vec<N::State> {
        set(self.0.init())
    }

    fn step(&self, states: &Vec<N::State>, op: &N::Op) -> Option<Vec<N::State>> {
        let next = set(states.iter().flat_map(|state| self.0.step(state, op)).collect());
        (!next.is_empty()).then_some(next)
    }

    fn partition(&self, call: &RawCall<'_>) -> Option<Value> {
        self.0.partition(call)
    }

    fn describe(&self, call: &Call) -> String {
        self.0.describe(call)
    }

    fn state_bytes(&self, states: &Vec<N::State>) -> usize {
        let owned: usize = states.iter().map(|state| self.0.state_bytes(state)).sum();
        owned + states.capacity() * size_of::<N::State>()
    }
}

fn set<T: Ord>(mut states: Vec<T>) -> Vec<T> {
    states.sort_unstable();
    states.dedup();
    states
}
