//! Tables of a TOML file whose mistakes are told with their place.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, anyhow};
use squall_checkers::Unknown;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file that is read.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

/// A table of it.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
}

/// A value with its place.
#[derive(Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Source<'a> {
        Source { name, text }
    }

    /// The file as one table.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>> {
        DeTable::parse(self.text).map_err(|error| {
            let end = self.text.len();
            self.error(error.span().unwrap_or(end..end), error.message().lines().next().unwrap_or_default())
        })
    }

    pub(super) fn table(&'a self, parsed: &'a Spanned<DeTable<'a>>) -> Table<'a> {
        Table { source: self, span: parsed.span(), entries: parsed.get_ref() }
    }

    /// `storm.toml:7:11: what is wrong`, counted from 1, columns in characters.
    pub(super) fn error(&self, span: Range<usize>, what: impl fmt::Display) -> anyhow::Error {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        anyhow!("{}:{line}:{column}: {what}", self.name)
    }
}

impl<'a> Table<'a> {
    /// An error about the table as a whole.
    pub(super) fn error(&self, what: impl fmt::Display) -> anyhow::Error {
        self.source.error(self.span.clone(), what)
    }

    /// An error about a value.
    pub(super) fn error_at(&self, span: Range<usize>, what: impl fmt::Display) -> anyhow::Error {
        self.source.error(span, what)
    }

    /// Refuses all keys but these.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        for key in self.entries.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let unknown = Unknown::new("key", key.get_ref(), known.iter().copied());
                return Err(self.source.error(key.span(), unknown));
            }
        }
        Ok(())
    }

    /// Refuses a key that makes no sense here.
    pub(super) fn without(&self, keys: &[&str], why: &str) -> Result<()> {
        match self.entries.keys().find(|key| keys.contains(&key.get_ref().as_ref())) {
            Some(key) => Err(self.source.error(key.span(), format_args!("{} {why}", key.get_ref()))),
            None => Ok(()),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| value)
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> anyhow::Error {
        self.source.error(value.span(), format_args!("{key} is {wanted}"))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<At<&'a str>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some(At { value: text.as_ref(), span: value.span() })),
            _ => Err(self.wrong(key, value, "a text")),
        }
    }

    /// A text, or a list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<At<&'a str>>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let text = |value: &'a Spanned<DeValue<'a>>| match value.get_ref() {
            DeValue::String(text) => Ok(At { value: text.as_ref(), span: value.span() }),
            _ => Err(self.wrong(key, value, "a text or a list of texts")),
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(text).collect(),
            _ => Ok(vec![text(value)?]),
        }
    }

    /// Whether the value is `true`.
    pub(super) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Boolean(true)))
    }

    /// A time longer than none, such as `1m 30s`; `0s` where that makes sense.
    pub(super) fn time(&self, key: &str, none_too: bool) -> Result<Option<At<Duration>>> {
        let Some(At { value, span }) = self.text(key)? else { return Ok(None) };
        match humantime::parse_duration(value) {
            Ok(time) if none_too || !time.is_zero() => Ok(Some(At { value: time, span })),
            Ok(_) => Err(self.source.error(span, format_args!("{key} must be longer than nothing"))),
            Err(error) => {
                Err(self.source.error(span, format_args!("{key}: {error}; write it as 500ms, 30s or 2m")))
            }
        }
    }

    /// A whole number from 1.
    pub(super) fn count(&self, key: &str) -> Result<Option<At<u32>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        match number.filter(|&number| number > 0) {
            Some(number) => Ok(Some(At { value: number, span: value.span() })),
            None => Err(self.wrong(key, value, "a whole number from 1")),
        }
    }

    /// The tables of a list such as `[[step]]`.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<Table<'a>>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong(key, value, &format!("a list of tables, each begun by [[{key}]]")));
        };
        let table = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(entries) => Ok(Table { source: self.source, span: item.span(), entries }),
            _ => Err(self.wrong(key, item, "a table")),
        };
        items.iter().map(table).collect()
    }
}
