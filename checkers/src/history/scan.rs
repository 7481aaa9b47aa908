use super::raw::{Raw, item_to, string_end};

/// A walk over the JSON text of a [`Raw`] value in one pass, into arrays and out of them.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// From the start of a text, as [`Raw::Text`] holds it.
    pub(crate) fn new(text: &'a [u8]) -> Scan<'a> {
        Scan { rest: text }
    }

    /// Steps over this byte if it is the next.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Steps over this text if it comes next.
    #[inline]
    pub(crate) fn eat_text(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What `of` makes of the next value, whatever it is; none at a bracket that closes and at the end. Quicker than
    /// [`item`](Scan::item).
    #[inline]
    pub(crate) fn item_to<R>(&mut self, of: impl FnOnce(Raw<'a>) -> R) -> Option<R> {
        let (result, rest) = item_to(self.rest, of)?;
        self.rest = rest;
        Some(result)
    }

    /// Steps over one value, whatever it is; none at a bracket that closes and at the end.
    pub(crate) fn item(&mut self) -> Option<Raw<'a>> {
        self.item_to(|item| item)
    }

    /// Steps over the name of an entry of an object, and the colon. A name that is an integer is one, as in [`Raw::entries`].
    #[inline]
    pub(crate) fn name(&mut self) -> Option<Raw<'a>> {
        if self.rest.first() != Some(&b'"') {
            return None;
        }
        let (name, rest) = self.rest.split_at_checked(string_end(self.rest, 0) + 1)?;
        self.rest = rest.strip_prefix(b":")?;
        Some(Raw::Text(name).unquoted())
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_walked_in_one_pass() {
        let mut scan = Scan::new(br#"[["w",-7,[1,{"a]":2}]],[]]"#);
        assert!(scan.eat(b'[') && scan.eat(b'[') && !scan.eat(b'['));
        assert_eq!(scan.item().and_then(Raw::plain_str), Some("w"));
        assert!(scan.eat(b','));
        assert_eq!(scan.item(), Some(Raw::Int(-7)));
        assert!(scan.eat(b','));
        assert_eq!(scan.item(), Some(Raw::Text(br#"[1,{"a]":2}]"#)));
        assert!(scan.item().is_none() && scan.eat(b']') && scan.eat(b',') && scan.eat(b'['));
        assert!(scan.eat(b']') && scan.eat(b']') && scan.is_done() && scan.item().is_none());
    }

    #[test]
    fn names_of_entries_are_told() {
        let mut scan = Scan::new(br#"{"a\":":1,"-7":[]}"#);
        assert!(scan.name().is_none() && scan.eat(b'{'));
        assert_eq!(scan.name(), Some(Raw::Text(br#""a\":""#)));
        assert_eq!(scan.item(), Some(Raw::Int(1)));
        assert!(scan.eat(b','));
        assert_eq!(scan.name(), Some(Raw::Int(-7)));
        assert!(scan.item().is_some() && scan.name().is_none());
        assert!(Scan::new(b"\"open").name().is_none());
    }
}
