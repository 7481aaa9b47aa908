//! The configurations that an engine has reached.

use std::hash::{BuildHasher, Hash};

use super::bags::Bags;
use super::meter::growing;
use super::window::Window;
use crate::intern::FastBuild;

/// How far a linearization has come: everything before the frontier, what the window holds beyond it, and some crashed
/// operations have taken effect, and left the object in a state.
///
/// Its size depends on how many operations are pending at once, never on the length of the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config<const N: usize> {
    /// Position of the frontier's return in the schedule.
    pub(crate) position: u32,
    pub(crate) state: u32,
    /// Crashed operations used: a number of [`Bags`].
    pub(crate) used: u32,
    pub(crate) window: Window<N>,
}

const EMPTY: u32 = u32::MAX;

struct Slot<const N: usize> {
    config: Config<N>,
    /// The next configuration that differs in `used` only.
    next: u32,
}

/// A set of configurations under *dominance*: one that has used fewer crashed operations, and is equal otherwise, can
/// do whatever the other can, for a crashed operation never has to take effect.
///
/// So an engine may drop a configuration that a reached one dominates. Suppose that dropping lost the only way to
/// the end, and take among all reached configurations the one with the shortest way to the end. The next
/// configuration on that way was either reached, which contradicts that it is the shortest, or dropped for a reached
/// one that dominates it and has a way no longer than that, which contradicts it too.
pub(crate) struct Cache<const N: usize> {
    slots: Vec<Slot<N>>,
    table: Vec<u32>,
    heads: usize,
}

impl<const N: usize> Cache<N> {
    pub(crate) fn new() -> Cache<N> {
        Cache { slots: Vec::new(), table: vec![EMPTY; 64], heads: 0 }
    }

    /// Adds a configuration, unless it or one that dominates it is there.
    pub(crate) fn insert(&mut self, config: Config<N>, bags: &Bags) -> bool {
        let at = self.find(&config);
        let head = self.table[at];
        let mut link = head;
        while link != EMPTY {
            let slot = &mut self.slots[link as usize];
            if bags.included(slot.config.used, config.used) {
                return false;
            }
            if bags.included(config.used, slot.config.used) {
                slot.config.used = config.used;
                return true;
            }
            link = slot.next;
        }
        self.table[at] = self.slots.len() as u32;
        self.slots.push(Slot { config, next: head });
        if head == EMPTY {
            self.heads += 1;
            if self.heads * 4 > self.table.len() * 3 {
                self.grow();
            }
        }
        true
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.heads = 0;
        // A table that one hard moment grew would make every later clearing slow.
        self.table.truncate(64);
        self.table.fill(EMPTY);
    }

    /// Bytes held, with the room for the next ones.
    pub(crate) fn memory_bytes(&self) -> usize {
        growing(&self.slots) + 3 * self.table.capacity() * 4
    }

    /// Where the head of the configurations that differ in `used` only is, or belongs.
    fn find(&self, config: &Config<N>) -> usize {
        let mask = self.table.len() - 1;
        let mut at = hash(config) & mask;
        while self.table[at] != EMPTY && !same_but_used(&self.slots[self.table[at] as usize].config, config) {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        let mut table = vec![EMPTY; mask + 1];
        for &head in self.table.iter().filter(|&&head| head != EMPTY) {
            let mut at = hash(&self.slots[head as usize].config) & mask;
            while table[at] != EMPTY {
                at = (at + 1) & mask;
            }
            table[at] = head;
        }
        self.table = table;
    }
}

fn hash<const N: usize>(config: &Config<N>) -> usize {
    let mut hasher = FastBuild::default().build_hasher();
    (u64::from(config.position) << 32 | u64::from(config.state)).hash(&mut hasher);
    config.window.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher) as usize
}

fn same_but_used<const N: usize>(a: &Config<N>, b: &Config<N>) -> bool {
    a.position == b.position && a.state == b.state && a.window == b.window
}
