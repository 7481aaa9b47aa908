//! Registers whose values are set once, straight from the history: one pass over the events into clusters.
//!
//! It only says of which objects the operations have an order. The others, and what is not decided by clusters, are
//! split off and searched, which also explains what is wrong with them.

use std::collections::HashMap;

use serde_json::Value;

use super::clusters::{self, BYTES_PER_CLUSTER, Cluster, NONE};
use super::meter::{Limit, growing, growing_map};
use super::split::{Keys, Objects, strip};
use crate::history::Raw;
use crate::intern::{FastBuild, Interner};
use crate::model::RegisterNames;
use crate::{Budget, History, Lease, Process, Type};

/// What the pass found.
pub(crate) struct Direct {
    /// For each object whether its operations are known to have an order.
    pub(crate) decided: Vec<bool>,
    /// Objects that have operations.
    pub(crate) keys: usize,
    /// Operations of the objects that are decided.
    pub(crate) ops: usize,
    /// Most bytes held.
    pub(crate) memory_bytes: usize,
}

/// Events between two looks at the budget.
const INTERVAL: usize = 4096;

/// The table of processes has this many slots at most, and where there are few events, [`PROCESSES_FEW`]. Processes with a higher
/// number are left to the search.
const PROCESSES_MAX: usize = 1 << 22;
const PROCESSES_FEW: usize = 1 << 12;

/// Judges the objects of a history, or gives up on all: where an event stands alone, for the search to say so.
pub(crate) fn judge(
    names: &RegisterNames,
    keys: Keys,
    initial: &Value,
    history: &History,
    objects: &mut Objects,
    budget: &Budget,
) -> Result<Option<Direct>, Limit> {
    let single: History = [crate::Op::new("initial").value(initial.clone())].into_iter().collect();
    let mut pass = Pass::new(names, keys == Keys::Independent, single.get(0).raw(), history);
    let (mut lease, mut opens) = (budget.lease(0)?, budget.lease(0)?);
    pass.hold(&mut lease, objects)?;
    pass.reserve();
    let processes_max = history.len().saturating_mul(4).clamp(PROCESSES_FEW, PROCESSES_MAX);
    for (at, event) in history.iter().enumerate() {
        if at % INTERVAL == 0 {
            pass.hold(&mut lease, objects)?;
            budget.ask()?;
        }
        let Process::Client(process) = event.process() else { continue };
        let action = pass.actions[event.label()];
        let time = at as u32 + 1;
        let taken = match action {
            Action::Begin(role) => {
                (process as usize) < processes_max && {
                    pass.widen(process as usize, &mut opens)?;
                    let (key, value) = strip(event.raw(), pass.independent);
                    if pass.independent && key.is_none() && role == Role::Read {
                        pass.opens[process as usize] = Open { role, called: time, object: LATE, ..NOTHING };
                    } else {
                        pass.begin(process, role, (objects.number(key), key.is_some()), value, time);
                    }
                    true
                }
            }
            Action::End(kind) => pass.end(process, kind, event.raw(), time, objects),
            Action::Mismatch => {
                pass.give_up(process, objects);
                true
            }
        };
        if !taken {
            return Ok(None);
        }
    }
    pass.hold(&mut lease, objects)?;
    let memory_bytes =
        pass.clusters.len() * (size_of::<Cluster>() + BYTES_PER_CLUSTER) + 4 * pass.dense.len();
    let Pass { mut clusters, initials, undecided, ops, keyless, .. } = pass;
    let keys = initials.len().saturating_sub(usize::from(!keyless));
    let illegal = clusters::illegal(&mut clusters, initials.len(), budget)?;
    let decided: Vec<bool> =
        illegal.iter().zip(&undecided).map(|(illegal, undecided)| !illegal && !undecided).collect();
    let ops = decided.iter().zip(ops).map(|(&decided, ops)| if decided { ops } else { 0 }).sum();
    Ok(Some(Direct { decided, keys, ops, memory_bytes }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Read,
    Write,
    Cas,
    Other,
}

/// What an event with a certain label means.
#[derive(Clone, Copy, Debug)]
enum Action {
    Begin(Role),
    End(Type),
    /// A failed operation that says what it found.
    Mismatch,
}

/// What a process has open.
#[derive(Clone, Copy, Debug)]
struct Open {
    role: Role,
    keyed: bool,
    object: u32,
    called: u32,
    /// What it sets, if it sets something.
    cluster: u32,
}

/// The object of a read that names its key at its end.
const LATE: u32 = u32::MAX;

const NOTHING: Open = Open { role: Role::Other, keyed: false, object: 0, called: NONE, cluster: NONE };

struct Pass<'h> {
    actions: Vec<Action>,
    independent: bool,
    initial: Raw<'h>,
    /// Values that will be set, at most.
    setters: usize,
    opens: Vec<Open>,
    clusters: Vec<Cluster>,
    /// For each object the cluster of its initial value, and whether the clusters do not decide it.
    initials: Vec<u32>,
    undecided: Vec<bool>,
    /// The first cluster of each small integer.
    dense: Vec<u32>,
    /// The others, by object and number of the value.
    others: HashMap<(u32, bool, i64), u32, FastBuild>,
    texts: Interner,
    /// Operations of each object.
    ops: Vec<usize>,
    /// Whether an operation has no key.
    keyless: bool,
}

impl<'h> Pass<'h> {
    fn new(names: &RegisterNames, independent: bool, initial: Raw<'h>, history: &History) -> Pass<'h> {
        let role = |f: &str| match f {
            f if f == names.read => Role::Read,
            f if f == names.write => Role::Write,
            f if Some(f) == names.cas => Role::Cas,
            _ => Role::Other,
        };
        let action = |kind, f: &str, error: Option<&str>| match kind {
            Type::Invoke => Action::Begin(role(f)),
            Type::Fail if role(f) == Role::Cas && error.is_some() => Action::Mismatch,
            kind => Action::End(kind),
        };
        let sets = |f: &str| matches!(role(f), Role::Write | Role::Cas);
        let setters =
            history.labels().filter(|l| l.kind == Type::Invoke && sets(l.f)).map(|l| l.events as usize);
        Pass {
            actions: history.labels().map(|label| action(label.kind, label.f, label.error)).collect(),
            independent,
            initial,
            setters: setters.sum(),
            opens: Vec::new(),
            clusters: Vec::new(),
            initials: Vec::new(),
            undecided: Vec::new(),
            dense: Vec::new(),
            others: HashMap::default(),
            texts: Interner::default(),
            ops: Vec::new(),
            keyless: false,
        }
    }

    fn reserve(&mut self) {
        self.clusters.reserve_exact(self.setters + INTERVAL);
    }

    /// Takes the memory that the next events may need, and the judgement of the clusters.
    fn hold(&self, lease: &mut Lease<'_>, objects: &Objects) -> Result<(), Limit> {
        let others = growing_map(self.others.capacity(), size_of::<((u32, bool, i64), u32)>());
        // An event adds at most an object and two values.
        let (set, capacity) = (self.clusters.len(), self.clusters.capacity().max(self.setters + INTERVAL));
        let grows = set + 3 * INTERVAL > capacity && capacity == self.clusters.capacity();
        let clusters = if grows { 3 * capacity + 3 * INTERVAL } else { capacity };
        // One integer may make the table as long as it may get by then.
        let dense = (4 * (set + 3 * INTERVAL) + INTERVAL).next_power_of_two();
        let dense = if dense > self.dense.len() { dense } else { 0 };
        let bytes = clusters * size_of::<Cluster>()
            + (set + 3 * INTERVAL).max(self.setters) * BYTES_PER_CLUSTER
            + (2 * INTERVAL + self.dense.len() + (2 * self.dense.len()).max(dense)) * size_of::<u32>()
            + others
            + growing(&self.initials)
            + 2 * self.texts.memory_bytes()
            + 2 * objects.memory_bytes();
        Ok(lease.resize(bytes)?)
    }

    /// Makes room for a process, whose number may be far beyond those before it.
    #[inline]
    fn widen(&mut self, process: usize, lease: &mut Lease<'_>) -> Result<(), Limit> {
        if process < self.opens.len() {
            return Ok(());
        }
        let (before, after) = (self.opens.capacity(), (process + 1).next_power_of_two());
        // Both, while one is copied to the other.
        lease.resize((before + after) * size_of::<Open>())?;
        self.opens.reserve_exact(after - self.opens.len());
        self.opens.resize(after, NOTHING);
        Ok(lease.resize(self.opens.capacity() * size_of::<Open>())?)
    }

    fn begin(
        &mut self,
        process: u32,
        role: Role,
        (object, keyed): (usize, bool),
        value: Raw<'_>,
        called: u32,
    ) {
        self.meet(object);
        let mut open = Open { role, keyed, object: object as u32, called, cluster: NONE };
        match role {
            _ if self.undecided[object] => open.role = Role::Other,
            Role::Read => {}
            Role::Write => open.cluster = self.set(open.object, value, NONE, called),
            Role::Cas => self.cas(&mut open, value),
            Role::Other => self.undecided[object] = true,
        }
        self.opens[process as usize] = open;
    }

    /// An operation is on this object.
    fn meet(&mut self, object: usize) {
        while object >= self.initials.len() {
            self.initials.push(self.clusters.len() as u32);
            self.clusters.push(Cluster::initial(self.initials.len() as u32 - 1));
            self.undecided.push(false);
            self.ops.push(0);
        }
        self.keyless |= object == 0;
    }

    /// A cas begins. One that leaves the value as it was is a read of it.
    fn cas(&mut self, open: &mut Open, value: Raw<'_>) {
        let Some((old, new)) = value.pair() else {
            self.undecided[open.object as usize] = true;
            open.role = Role::Other;
            return;
        };
        let from = self.cluster(open.object, old);
        if old == new {
            // Until it succeeds it has set nothing: the cluster is kept in its place.
            open.cluster = from;
            open.role = Role::Read;
        } else {
            open.cluster = self.set(open.object, new, from, open.called);
        }
    }

    /// A setter begins: its cluster, or none where the value was set before.
    fn set(&mut self, object: u32, value: Raw<'_>, from: u32, called: u32) -> u32 {
        self.ops[object as usize] += 1;
        let at = self.cluster(object, value);
        let cluster = &mut self.clusters[at as usize];
        if cluster.called != NONE {
            self.undecided[object as usize] = true;
            return NONE;
        }
        (cluster.called, cluster.from) = (called, from);
        at
    }

    /// An operation ends; whether one was open.
    #[inline]
    fn end(&mut self, process: u32, kind: Type, value: Raw<'_>, time: u32, objects: &mut Objects) -> bool {
        let Some(open) = self.opens.get_mut(process as usize) else { return kind != Type::Ok };
        let open = std::mem::replace(open, NOTHING);
        if open.called == NONE {
            return kind != Type::Ok;
        }
        match (open.role, kind) {
            (Role::Read, Type::Ok) if open.object == LATE => {
                let (key, value) = strip(value, true);
                let object = objects.number(key);
                self.meet(object);
                self.ops[object] += 1;
                let cluster = self.cluster(object as u32, value);
                self.clusters[cluster as usize].read(open.called, time);
            }
            (Role::Read, Type::Ok) => {
                self.ops[open.object as usize] += 1;
                let cluster = match open.cluster {
                    NONE => self.cluster(open.object, strip(value, open.keyed).1),
                    cluster => cluster,
                };
                self.clusters[cluster as usize].read(open.called, time);
            }
            (Role::Write | Role::Cas, Type::Ok) if open.cluster != NONE => {
                self.clusters[open.cluster as usize].returned = time;
            }
            (Role::Write | Role::Cas, Type::Fail) => {
                self.ops[open.object as usize] -= 1;
                let Some(cluster) = self.clusters.get_mut(open.cluster as usize) else { return true };
                (cluster.called, cluster.from) = (NONE, NONE);
            }
            _ => {}
        }
        true
    }

    /// An operation failed and said something that clusters cannot express.
    fn give_up(&mut self, process: u32, objects: &mut Objects) {
        let open = self.opens.get(process as usize).copied().unwrap_or(NOTHING);
        if open.called != NONE {
            if let Some(undecided) = self.undecided.get_mut(open.object as usize) {
                *undecided = true;
            }
            self.end(process, Type::Fail, Raw::Null, NONE, objects);
        }
    }

    /// The cluster of a value.
    #[inline]
    fn cluster(&mut self, object: u32, value: Raw<'_>) -> u32 {
        if value == self.initial {
            return self.initials[object as usize];
        }
        let Raw::Int(int) = value else { return self.text(object, value) };
        let at = usize::try_from(int).unwrap_or(usize::MAX);
        if let Some(&cluster) = self.dense.get(at)
            && cluster != NONE
            && self.clusters[cluster as usize].object == object
        {
            return cluster;
        }
        self.rare(object, int, at)
    }

    /// The cluster of an integer that is new or not in the table under this object.
    fn rare(&mut self, object: u32, int: i64, at: usize) -> u32 {
        if at < 4 * self.clusters.len() + INTERVAL {
            if at >= self.dense.len() {
                self.dense.resize((at + 1).next_power_of_two(), NONE);
            }
            if self.dense[at] == NONE {
                self.dense[at] = self.clusters.len() as u32;
                // It may be under its object in the map, from when the table was short.
                if let Some(&known) = self.others.get(&(object, false, int)) {
                    self.dense[at] = known;
                    return known;
                }
                return self.add(object);
            }
        }
        self.other(object, false, int)
    }

    fn text(&mut self, object: u32, value: Raw<'_>) -> u32 {
        // A key of a map that holds the empty string may be one that is missing.
        if value == Raw::Text(b"\"\"") {
            self.undecided[object as usize] = true;
        }
        let number = self.texts.intern_raw(value);
        self.other(object, true, i64::from(number))
    }

    fn other(&mut self, object: u32, text: bool, number: i64) -> u32 {
        let next = self.clusters.len() as u32;
        let at = *self.others.entry((object, text, number)).or_insert(next);
        if at == next { self.add(object) } else { at }
    }

    fn add(&mut self, object: u32) -> u32 {
        self.clusters.push(Cluster::new(object));
        self.clusters.len() as u32 - 1
    }
}
