use serde_json::Value;

use crate::history::Raw;
use crate::intern::Interner;

/// The number of an interned JSON value: equal values have equal symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(pub u32);

impl Symbol {
    /// The symbol of the initial value: JSON's `null`, unless something else is said.
    pub const NIL: Symbol = Symbol(0);
}

/// The values that the calls of a history carry.
#[derive(Clone, Debug)]
pub struct Values(Interner);

impl Default for Values {
    fn default() -> Values {
        Values::starting_at(&Value::Null)
    }
}

impl Values {
    /// With this initial value.
    pub fn starting_at(initial: &Value) -> Values {
        let mut all = Interner::default();
        all.intern(initial);
        Values(all)
    }

    /// The symbol of a value.
    pub fn intern(&mut self, value: Raw<'_>) -> Symbol {
        Symbol(self.0.intern_raw(value))
    }

    /// The symbol of what is missing: that of the initial value where that is empty, else of null.
    pub(crate) fn missing(&mut self) -> Symbol {
        match self.value(Symbol::NIL) {
            Value::Null => Symbol::NIL,
            Value::String(text) if text.is_empty() => Symbol::NIL,
            _ => self.intern(Raw::Null),
        }
    }

    /// The symbol of a value that was built.
    pub(crate) fn intern_value(&mut self, value: &Value) -> Symbol {
        Symbol(self.0.intern(value))
    }

    /// The value of a symbol that came from here.
    pub fn value(&self, symbol: Symbol) -> Value {
        self.0.value(symbol.0)
    }

    /// Bytes held, and what the next values may take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}
