//! What an engine says of one collection.

/// Whether a collection is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    Legal,
    Illegal(Found),
    /// The engine cannot tell: a search must.
    Unsure,
}

/// A part of the operations that fails by itself: all those on some values, and some that saw what was next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) values: Vec<u32>,
    /// Operations, by number.
    pub(crate) observations: Vec<u32>,
}

impl Found {
    pub(crate) fn values(values: impl IntoIterator<Item = u32>) -> Found {
        let mut values: Vec<u32> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Found { values, observations: Vec::new() }
    }
}
