//! Jepsen's console log as it was in 2014: `INFO  jepsen.util - PROCESS :type :f VALUE`, mostly separated by tabs.
//!
//! Its histories of etcd need reading with care. A `:cas` that failed did not happen, because the
//! value differed: that is an observation, told by the error `cas-mismatch`. Anything that
//! `:timed-out` is of unknown effect, a `:fail :read :timed-out` too: nothing came back, so it is an `info`.

use serde_json::Value;

use super::Type;
use super::cursor::{Cursor, DEPTH_MAX};
use super::edn;
use super::edn_op::set;
use super::error::Parse;
use super::fields::{Field, Fields};
use super::format::LOG_MARK;
use super::lines::Lines;
use super::loader::Loader;

const TIMED_OUT: &str = "timed-out";

/// The error of a cas that failed because the value differed, and so observed that it did.
const CAS_MISMATCH: &str = "cas-mismatch";

pub(super) struct JepsenLog<'l> {
    pub(super) loader: &'l mut Loader,
}

impl Lines for JepsenLog<'_> {
    /// Lines of other loggers are skipped.
    fn line(&mut self, c: &mut Cursor<'_>, line: usize) -> Parse<()> {
        let rest = c.rest();
        let end = c.at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let mut inner = Cursor { text: &c.text[..end], at: c.at, one_line: true };
        if let Some(fields) = op(&mut inner, self.loader)? {
            self.loader.push(&fields, line)?;
        }
        c.at = end;
        Ok(())
    }

    fn loader(&mut self) -> &mut Loader {
        self.loader
    }
}

fn op<'a>(c: &mut Cursor<'a>, loader: &mut Loader) -> Parse<Option<Fields<'a>>> {
    let at = c.at;
    if c.rest().trim_ascii().is_empty() {
        return Ok(None);
    }
    let mark = LOG_MARK.as_bytes();
    match c.rest().windows(mark.len()).position(|w| w == mark) {
        Some(len) => c.at += len + mark.len(),
        None if c.rest().windows(3).any(|w| w == b" - ") => return Ok(None),
        None => return Err(c.misread("a log line: LEVEL  logger - message")),
    }
    let mut fields = Fields::new(at);
    for field in [Field::Process, Field::Type, Field::F] {
        let start = c.at;
        let found = edn::value(c, DEPTH_MAX)?;
        set(c, start, field, found, &mut fields, loader)?;
        separator(c)?;
    }
    let value = edn::value(c, DEPTH_MAX)?;
    c.skip_space();
    if !c.rest().is_empty() {
        let start = c.at;
        let found = edn::value(c, DEPTH_MAX)?;
        set(c, start, Field::Error, found, &mut fields, loader)?;
        c.skip_space();
    }
    if !c.rest().is_empty() {
        return Err(c.misread("the end of the line"));
    }
    interpret(&mut fields, value, loader);
    Ok(Some(fields))
}

/// A tab; an editor has made spaces of it in some.
fn separator(c: &mut Cursor<'_>) -> Parse<()> {
    let start = c.at;
    c.skip_space();
    if c.at > start && !c.rest().is_empty() { Ok(()) } else { Err(c.misread("a tab and more")) }
}

fn interpret(fields: &mut Fields<'_>, value: Value, loader: &mut Loader) {
    if value == TIMED_OUT {
        fields.kind = Some(Type::Info);
        fields.error = Some(TIMED_OUT.into());
    } else {
        fields.value = loader.history.arena.encode(&value);
    }
    if fields.kind == Some(Type::Fail) && fields.f.as_deref() == Some("cas") && fields.error.is_none() {
        fields.error = Some(CAS_MISMATCH.into());
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read};

    #[test]
    fn what_timed_out_is_unknown_and_a_failed_cas_failed() {
        let text = "INFO  jepsen.core - Starting\n\
                    INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
                    INFO  jepsen.util - 1\t:invoke\t:cas\t[3 0]\n\n\
                    INFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n\
                    INFO  jepsen.util - 1\t:fail\t:cas\t[3 0]\n\
                    INFO  jepsen.util - 2   :invoke :write  4\n\
                    INFO  jepsen.util - 2\t:info\t:write\t:timed-out\n";
        let parsed = read(text.as_bytes(), "etcd.log").unwrap();
        assert_eq!(parsed.format, Format::JepsenLog);
        let ops: Vec<String> = parsed.history.iter().map(|op| op.to_op().to_string()).collect();
        assert_eq!(
            ops,
            [
                "0\tinvoke\tread\tnull",
                "1\tinvoke\tcas\t[3,0]",
                "0\tinfo\tread\tnull\ttimed-out",
                "1\tfail\tcas\t[3,0]\tcas-mismatch",
                "2\tinvoke\twrite\t4",
                "2\tinfo\twrite\tnull\ttimed-out",
            ]
        );
    }
}
