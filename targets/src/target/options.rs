use anyhow::{Result, anyhow, bail};
use squall_checkers::Unknown;

/// Options of a target, `key=value` each; a key may come several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetOptions(Vec<(String, String)>);

impl TargetOptions {
    /// Reads `key=value` items.
    ///
    /// # Errors
    /// An item without `=`.
    pub fn parse<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Result<TargetOptions> {
        let pair = |item: S| {
            let (key, value) = item
                .as_ref()
                .split_once('=')
                .ok_or_else(|| anyhow!("a target option is key=value, not {:?}", item.as_ref()))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        items.into_iter().map(pair).collect::<Result<_>>().map(TargetOptions)
    }

    /// Adds one.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.push((key.into(), value.into()));
    }

    /// All values of a key, in order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The last value of a key.
    pub fn last(&self, key: &str) -> Option<&str> {
        self.all(key).last()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error if there is a key that is none of these.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => bail!(Unknown::new("target option", key, known.iter().copied())),
            None => Ok(()),
        }
    }
}
