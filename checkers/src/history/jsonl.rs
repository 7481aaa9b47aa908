//! JSON lines.

use serde_json::Value;

use super::cursor::{Cursor, DEPTH_MAX};
use super::error::Parse;
use super::lines::{Lines, end_of_line, is_blank};
use super::loader::Loader;
use super::{json, json_op};

/// How a first line begins that tells of the whole history: `{"history":{"real_time":false,"object":"queue"}}`.
pub(super) const HEADER: &[u8] = b"{\"history\":";

pub(super) struct JsonLines<'l> {
    pub(super) loader: &'l mut Loader,
}

impl Lines for JsonLines<'_> {
    fn line(&mut self, c: &mut Cursor<'_>, line: usize) -> Parse<()> {
        if is_blank(c) {
            return Ok(());
        }
        if self.loader.history.is_empty() && c.rest().starts_with(HEADER) {
            header(c, self.loader)?;
        } else {
            let fields = json_op::op(c, self.loader)?;
            self.loader.push(&fields, line)?;
        }
        end_of_line(c, "the end of the line after the operation")
    }

    fn loader(&mut self) -> &mut Loader {
        self.loader
    }
}

fn header(c: &mut Cursor<'_>, loader: &mut Loader) -> Parse<()> {
    let start = c.at;
    let header = json::value(c, DEPTH_MAX)?;
    let wrong = || c.misread_since(start, "{\"history\":{\"real_time\":BOOLEAN,\"object\":STRING}}");
    for (key, value) in header["history"].as_object().ok_or_else(wrong)? {
        match (key.as_str(), value) {
            ("real_time", Value::Bool(known)) => loader.history.set_real_time(*known),
            ("object", Value::String(object)) => loader.history.set_object(object.as_str()),
            _ => return Err(wrong()),
        }
    }
    Ok(())
}
