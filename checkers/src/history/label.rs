use std::borrow::Cow;
use std::collections::HashMap;

use super::op::Type;

/// Interned `(type, f, error)` triples: a history has few, so an event carries four bytes for all three.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    labels: Vec<Label>,
    /// For each how many events have it.
    events: Vec<u32>,
    index: HashMap<Label, u32>,
    names: Names,
    /// The labels without an error, by `f` and type: found without hashing them.
    plain: Vec<[u32; 4]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Label {
    kind: Type,
    f: u32,
    /// 1 + index into the names, or 0.
    error: u32,
}

/// No label yet.
const NONE: u32 = u32::MAX;

impl Labels {
    /// The label of a triple; `own` makes the name that is kept if `f` is new.
    pub(super) fn intern(
        &mut self,
        kind: Type,
        f: &str,
        own: impl FnOnce() -> Cow<'static, str>,
        error: Option<&str>,
    ) -> u32 {
        let f = self.names.intern(f, own);
        self.find(kind, f, error)
    }

    fn find(&mut self, kind: Type, f: u32, error: Option<&str>) -> u32 {
        let Some(error) = error else { return self.find_plain(kind, f) };
        let error = 1 + self.names.intern(error, || Cow::Owned(error.to_owned()));
        let label = Label { kind, f, error };
        *self.index.entry(label).or_insert_with(|| {
            self.labels.push(label);
            self.events.push(0);
            self.labels.len() as u32 - 1
        })
    }

    fn find_plain(&mut self, kind: Type, f: u32) -> u32 {
        let row = f as usize;
        if row >= self.plain.len() {
            self.plain.resize(row + 1, [NONE; 4]);
        }
        let slot = &mut self.plain[row][kind as usize];
        if *slot == NONE {
            *slot = self.labels.len() as u32;
            self.labels.push(Label { kind, f, error: 0 });
            self.events.push(0);
        }
        *slot
    }

    /// One more event has this label.
    #[inline]
    pub(super) fn count(&mut self, id: u32) {
        self.events[id as usize] += 1;
    }

    pub(super) fn events(&self, id: u32) -> u32 {
        self.events[id as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn kind(&self, id: u32) -> Type {
        self.labels[id as usize].kind
    }

    pub(super) fn f(&self, id: u32) -> &Cow<'static, str> {
        &self.names.names[self.labels[id as usize].f as usize]
    }

    pub(super) fn error(&self, id: u32) -> Option<&str> {
        match self.labels[id as usize].error {
            0 => None,
            error => Some(&self.names.names[error as usize - 1]),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        // A hash table keeps an eighth of its slots free and a control byte for each.
        let table = |slots: usize, entry: usize| slots * (entry + 1) * 8 / 7;
        let text: usize = self.names.names.iter().map(|name| name.len()).sum();
        self.labels.capacity() * (size_of::<Label>() + size_of::<u32>())
            + self.plain.capacity() * size_of::<[u32; 4]>()
            + self.names.names.capacity() * size_of::<Cow<'static, str>>()
            + table(self.index.capacity(), size_of::<(Label, u32)>())
            + table(self.names.index.capacity(), size_of::<(Cow<'static, str>, u32)>())
            + 2 * text
    }
}

/// Interned `f`s and errors.
#[derive(Clone, Debug, Default)]
struct Names {
    names: Vec<Cow<'static, str>>,
    index: HashMap<Cow<'static, str>, u32>,
}

impl Names {
    fn intern(&mut self, name: &str, own: impl FnOnce() -> Cow<'static, str>) -> u32 {
        if let Some(&id) = self.index.get(name) {
            return id;
        }
        let id = self.names.len() as u32;
        let name = own();
        self.names.push(name.clone());
        self.index.insert(name, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_triples_share_a_label_and_others_do_not() {
        let mut labels = Labels::default();
        let mut id = |kind, f: &'static str, error| labels.intern(kind, f, || f.into(), error);
        let ids = [
            id(Type::Ok, "read", None),
            id(Type::Fail, "read", None),
            id(Type::Ok, "write", None),
            id(Type::Fail, "read", Some("timeout")),
            id(Type::Fail, "read", Some("read")),
        ];
        assert_eq!((id(Type::Ok, "read", None), id(Type::Fail, "read", Some("timeout"))), (0, 3));
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        assert_eq!((labels.kind(4), &**labels.f(4), labels.error(4)), (Type::Fail, "read", Some("read")));
    }
}
