//! Small numbers for JSON values, so that the checkers compare integers.

use std::collections::HashMap;

use serde_json::Value;

/// Gives equal values equal numbers, from 0 up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    ints: HashMap<i64, u32>,
    others: HashMap<Value, u32>,
    values: Vec<Value>,
}

impl Interner {
    /// The number of `value`.
    pub(crate) fn intern(&mut self, value: &Value) -> u32 {
        let next = self.values.len() as u32;
        let id = match value.as_i64() {
            Some(int) => *self.ints.entry(int).or_insert(next),
            None => match self.others.get(value) {
                Some(&id) => id,
                None => *self.others.entry(value.clone()).or_insert(next),
            },
        };
        if id == next {
            self.values.push(value.clone());
        }
        id
    }

    /// The value that has this number.
    pub(crate) fn value(&self, id: u32) -> &Value {
        &self.values[id as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
