//! dbcop's JSON: an array of sessions, which are arrays of transactions `{"events": [...], "committed": true}`, bare or as `data` of an
//! object.
//!
//! An event is `{"Write": {"variable": 0, "version": 1}}` or `{"Read": ...}` with a version or null, or for short `["w", 0, 1]` or
//! `["r", 0, null]`; in 2019 it was `{"write": true, "variable": 0, "value": 1, "success": true}`, and 0 the value of an unwritten variable.

use serde_json::Value;

use super::cursor::{Cursor, DEPTH_MAX};
use super::error::{Misread, Parse};
use super::json;
use super::loader::Loader;
use super::sessions::{Integer, Sessions, Txn};

/// The keys of the object around the sessions.
pub(super) const KEYS: [&str; 5] = ["params", "info", "start", "end", "data"];

/// Reads a history: the whole text.
pub(super) fn history(c: &mut Cursor<'_>, loader: &mut Loader) -> Parse<()> {
    let mut sessions = Sessions::new(loader);
    c.skip_space();
    if c.peek() == Some(b'{') {
        object(
            c,
            |c, key| {
                if key == "data" { data(c, &mut sessions) } else { json::value(c, DEPTH_MAX).map(drop) }
            },
        )?;
    } else {
        data(c, &mut sessions)?;
    }
    sessions.finish();
    c.skip_space();
    if c.rest().is_empty() { Ok(()) } else { Err(c.misread("the end of the file after the history")) }
}

fn data(c: &mut Cursor<'_>, sessions: &mut Sessions<'_>) -> Parse<()> {
    let mut session = 0u32;
    array(c, "an array of sessions", |c| {
        if session == u32::MAX {
            return Err(Misread::new(c.at, "at most 4294967294 sessions", "one more"));
        }
        array(c, "a session: an array of transactions", |c| txn(c, sessions, session))?;
        session += 1;
        Ok(())
    })
}

/// The micro-operations of a transaction, and those of its writes that were undone.
#[derive(Default)]
struct Events {
    kept: Txn,
    undone: Txn,
}

fn txn(c: &mut Cursor<'_>, sessions: &mut Sessions<'_>, session: u32) -> Parse<()> {
    let at = c.at;
    let mut events = Events::default();
    let mut committed = true;
    object(c, |c, key| match key {
        "events" => array(c, "an array of events", |c| event(c, sessions, &mut events)),
        "committed" | "success" => {
            let start = c.at;
            let value = json::value(c, DEPTH_MAX)?;
            committed = value.as_bool().ok_or_else(|| c.misread_since(start, "true or false"))?;
            Ok(())
        }
        _ => json::value(c, DEPTH_MAX).map(drop),
    })?;
    sessions.push(session, &mut events.undone, false, at)?;
    sessions.push(session, &mut events.kept, committed, at)
}

fn event(c: &mut Cursor<'_>, sessions: &mut Sessions<'_>, events: &mut Events) -> Parse<()> {
    const EXPECTED: &str = "an event: {\"Read\": {\"variable\": .., \"version\": ..}}, {\"Write\": ..}, [\"r\", .., ..] or [\"w\", .., ..]";
    let start = c.at;
    let event = json::value(c, DEPTH_MAX)?;
    put(&event, sessions, events).ok_or_else(|| c.misread_since(start, EXPECTED))
}

fn put(event: &Value, sessions: &mut Sessions<'_>, events: &mut Events) -> Option<()> {
    let scalar = |value: &Value| !value.is_array() && !value.is_object();
    if let Some(writes) = event.get("write") {
        let integer = |name| event[name].as_u64().map(Integer::from);
        let (writes, key, value) = (writes.as_bool()?, integer("variable")?, integer("value")?);
        let success = event["success"].as_bool()?;
        if success || writes {
            let txn = if success { &mut events.kept } else { &mut events.undone };
            sessions.mop(txn, writes, key, value);
        }
        return Some(());
    }
    let (f, key, version) = match event {
        Value::Array(parts) => match parts.as_slice() {
            [f, key, version] => (f.as_str()?, key, version),
            _ => return None,
        },
        Value::Object(map) if map.len() == 1 => {
            let (f, fields) = map.iter().next()?;
            (f.as_str(), fields.get("variable")?, fields.get("version")?)
        }
        _ => return None,
    };
    if !scalar(key) || !scalar(version) {
        return None;
    }
    let (key, value) = (key.to_string(), version.to_string());
    match f {
        "r" | "Read" => events.kept.read(key.as_bytes(), value.as_bytes()),
        "w" | "Write" if !version.is_null() => events.kept.write(key.as_bytes(), value.as_bytes()),
        _ => return None,
    }
    Some(())
}

/// Reads an object; each value is left to `field`.
fn object<'a>(c: &mut Cursor<'a>, mut field: impl FnMut(&mut Cursor<'a>, &str) -> Parse<()>) -> Parse<()> {
    c.skip_space();
    c.expect(b'{', "an object")?;
    c.skip_space();
    if c.eat(b'}') {
        return Ok(());
    }
    loop {
        c.skip_space();
        let key = json::string(c, "a key in quotes")?;
        c.skip_space();
        c.expect(b':', "\":\"")?;
        c.skip_space();
        field(c, &key)?;
        c.skip_space();
        if !c.eat(b',') {
            return c.expect(b'}', "\",\" or \"}\"");
        }
    }
}

/// Reads an array; each item is left to `item`.
fn array<'a>(
    c: &mut Cursor<'a>,
    expected: &'static str,
    mut item: impl FnMut(&mut Cursor<'a>) -> Parse<()>,
) -> Parse<()> {
    c.skip_space();
    c.expect(b'[', expected)?;
    c.skip_space();
    if c.eat(b']') {
        return Ok(());
    }
    loop {
        c.skip_space();
        item(c)?;
        c.skip_space();
        if !c.eat(b',') {
            return c.expect(b']', "\",\" or \"]\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read};

    #[test]
    fn all_ways_to_write_an_event() {
        let tagged = r#"[[{"events":[{"Write":{"variable":7,"version":1}},{"Read":{"variable":8,"version":null}}],"committed":true},
            {"committed":false,"events":[{"Write":{"variable":7,"version":2}}]}],
            [{"events":[{"Read":{"variable":7,"version":1}}],"committed":true}]]"#;
        let short = r#"{"params":{"id":0},"info":"x","data":[[{"events":[["w",7,1],["r",8,null]],"committed":true},
            {"events":[["w",7,2]],"committed":false}],[{"events":[["r",7,1]]}]],"end":"2025"}"#;
        let old = r#"{"data":[[{"events":[{"write":true,"variable":7,"value":1,"success":true},
            {"write":false,"variable":8,"value":0,"success":true},{"write":false,"variable":9,"value":0,"success":false}],"success":true},
            {"events":[{"write":true,"variable":7,"value":2,"success":true}],"success":false}],
            [{"events":[{"write":false,"variable":7,"value":1,"success":true}],"success":true}]]}"#;
        for text in [tagged, short, old] {
            let parsed = read(text.as_bytes(), "h.json").unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(parsed.format, Format::DbcopJson);
            assert!(!parsed.history.has_real_time());
            let ops: Vec<String> = parsed.history.iter().map(|op| op.to_op().to_string()).collect();
            assert_eq!(
                ops,
                [
                    "0\tinvoke\ttxn\t[[\"w\",7,1],[\"r\",8,null]]",
                    "0\tok\ttxn\t[[\"w\",7,1],[\"r\",8,null]]",
                    "0\tinvoke\ttxn\t[[\"w\",7,2]]",
                    "0\tfail\ttxn\t[[\"w\",7,2]]",
                    "1\tinvoke\ttxn\t[[\"r\",7,null]]",
                    "1\tok\ttxn\t[[\"r\",7,1]]",
                ]
            );
        }
    }
}
