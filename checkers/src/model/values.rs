use serde_json::Value;

use crate::intern::Interner;

/// The number of an interned JSON value: equal values have equal symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(pub u32);

impl Symbol {
    /// The symbol of JSON's `null`, in every [`Values`].
    pub const NIL: Symbol = Symbol(0);
}

/// The values that the calls on one object carry.
#[derive(Clone, Debug)]
pub struct Values(Interner);

impl Default for Values {
    fn default() -> Values {
        let mut all = Interner::default();
        all.intern(&Value::Null);
        Values(all)
    }
}

impl Values {
    /// The symbol of a value.
    pub fn intern(&mut self, value: &Value) -> Symbol {
        Symbol(self.0.intern(value))
    }

    /// The value of a symbol that came from here.
    pub fn value(&self, symbol: Symbol) -> Value {
        self.0.value(symbol.0)
    }
}
