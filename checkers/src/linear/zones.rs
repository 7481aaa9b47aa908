//! Which prefix of a register's operations has an order, where its values are set once: see [`clusters`].

use std::collections::HashMap;

use super::clusters::{self, BYTES_PER_CLUSTER, Cluster, NONE};
use super::meter::Limit;
use super::problem::{NEVER, Problem, Step};
use crate::Budget;
use crate::intern::FastBuild;
use crate::model::{Model, RegisterOp, Symbol};

/// Reads, unique writes and unique compare-and-sets of a register.
pub(crate) struct UniqueWrites {
    ops: Vec<Role>,
    values: usize,
}

/// What an entry does to the clusters, by number.
#[derive(Clone, Copy, Debug)]
enum Role {
    Read(u32),
    /// Its cluster, and the one that it replaces.
    Set(u32, u32),
}

impl UniqueWrites {
    /// The problem as reads and unique setters, if it is that.
    pub(crate) fn new<M: Model>(model: &M, problem: &Problem<M::Op>) -> Option<UniqueWrites> {
        let mut ops = Vec::with_capacity(problem.entries.len());
        // The initial value counts as set.
        let mut set: Vec<bool> = vec![true];
        // Values are numbered over all objects.
        let mut own: HashMap<Symbol, u32, FastBuild> = HashMap::from_iter([(Symbol::NIL, 0)]);
        let mut number = |value, set: &mut Vec<bool>| {
            let next = own.len() as u32;
            let number = *own.entry(value).or_insert(next);
            set.resize(set.len().max(number as usize + 1), false);
            number
        };
        for entry in &problem.entries {
            let role = match model.as_register(problem.kinds.at(entry.kind))? {
                RegisterOp::Read(value) => Role::Read(number(value, &mut set)),
                RegisterOp::Cas(old, new) if old == new => Role::Read(number(old, &mut set)),
                RegisterOp::Write(value) => Role::Set(number(value, &mut set), NONE),
                RegisterOp::Cas(old, new) => {
                    let old = number(old, &mut set);
                    Role::Set(number(new, &mut set), old)
                }
                RegisterOp::Mismatch(_) => return None,
            };
            if let Role::Set(value, _) = role
                && std::mem::replace(&mut set[value as usize], true)
            {
                return None;
            }
            ops.push(role);
        }
        Some(UniqueWrites { ops, values: set.len() })
    }

    /// Bytes that a check takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ops.len() * size_of::<Role>()
            + self.values * (size_of::<Cluster>() + BYTES_PER_CLUSTER + size_of::<(Symbol, u32)>() * 3)
    }

    /// The position of the first return that no order passes: `None` where the whole is linearizable.
    ///
    /// A prefix of a linearizable history is linearizable, so the return can be found by halving.
    pub(crate) fn first_illegal<O>(
        &self,
        problem: &Problem<O>,
        budget: &Budget,
    ) -> Result<Option<usize>, Limit> {
        if self.legal(problem, problem.steps.len(), budget)? {
            return Ok(None);
        }
        // Legal below `low` steps, illegal with `high` of them.
        let (mut low, mut high) = (0, problem.steps.len());
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.legal(problem, middle, budget)? { low = middle } else { high = middle }
        }
        Ok(Some(high - 1))
    }

    /// Whether the first `end` steps are linearizable, with what is then pending as never returning.
    fn legal<O>(&self, problem: &Problem<O>, end: usize, budget: &Budget) -> Result<bool, Limit> {
        let mut clusters = vec![Cluster::new(0); self.values];
        clusters[0] = Cluster::initial(0);
        for step in &problem.steps[..end] {
            let (Step::Call(at) | Step::Crash(at) | Step::Return(at)) = *step;
            let entry = problem.entries[at as usize];
            let returns = matches!(step, Step::Return(_));
            debug_assert!(!returns || entry.complete != NEVER, "what returns has a completion");
            match self.ops[at as usize] {
                Role::Read(value) if returns => {
                    clusters[value as usize].read(1 + entry.invoke, 1 + entry.complete);
                }
                Role::Read(_) => {}
                Role::Set(value, _) if returns => clusters[value as usize].returned = 1 + entry.complete,
                Role::Set(value, from) => {
                    let cluster = &mut clusters[value as usize];
                    (cluster.called, cluster.from) = (1 + entry.invoke, from);
                }
            }
        }
        Ok(!clusters::illegal(&mut clusters, 1, budget)?[0])
    }
}
