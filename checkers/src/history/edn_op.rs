//! Histories as Jepsen and Knossos write them.

use serde_json::Value;

use super::cursor::{Cursor, DEPTH_MAX};
use super::edn;
use super::error::{LineCounter, Parse};
use super::fields::{Field, Fields};
use super::loader::Loader;

/// Reads events, bare or in one vector or list: the whole text. With `keyed`, `:key` goes before the value: `[key, value]`.
pub(super) fn history(c: &mut Cursor<'_>, keyed: bool, loader: &mut Loader) -> Parse<()> {
    let mut lines = LineCounter::new();
    let close = container(c)?;
    loop {
        edn::skip_trivia(c, DEPTH_MAX)?;
        match (c.peek(), close) {
            (None, None) => return Ok(()),
            (Some(found), Some(close)) if found == close => break,
            (None | Some(b')' | b']' | b'}'), Some(close)) => {
                return Err(c.misread(format!("an operation or \"{}\"", char::from(close))));
            }
            _ => {}
        }
        let fields = op(c, keyed, loader)?;
        loader.push(&fields, lines.line(c.text, fields.at))?;
    }
    c.at += 1;
    edn::skip_trivia(c, DEPTH_MAX)?;
    if c.rest().is_empty() { Ok(()) } else { Err(c.misread("the end of the file after the history")) }
}

/// Steps into the vector or list around all events, if there is one; returns what closes it. A tuple's first element is a
/// process, so a bracket followed by another one is no tuple.
fn container(c: &mut Cursor<'_>) -> Parse<Option<u8>> {
    let mut inner = c.clone();
    skip_to_form(&mut inner)?;
    let close = match inner.peek() {
        Some(b'[') => b']',
        Some(b'(') => b')',
        _ => return Ok(None),
    };
    inner.at += 1;
    let first = inner.at;
    edn::skip_trivia(&mut inner, DEPTH_MAX)?;
    if matches!(inner.peek(), None | Some(b'[' | b'(' | b'{' | b'#' | b']' | b')')) {
        c.at = first;
        return Ok(Some(close));
    }
    Ok(None)
}

fn skip_to_form(c: &mut Cursor<'_>) -> Parse<()> {
    edn::skip_trivia(c, DEPTH_MAX)?;
    while edn::skip_tag(c) {
        edn::skip_trivia(c, DEPTH_MAX)?;
    }
    Ok(())
}

fn op<'a>(c: &mut Cursor<'a>, keyed: bool, loader: &mut Loader) -> Parse<Fields<'a>> {
    let at = c.at;
    skip_to_form(c)?;
    let mut fields = match c.peek() {
        Some(b'{') => map(c, keyed, loader)?,
        Some(b'[') => tuple(c, b']', loader)?,
        Some(b'(') => tuple(c, b')', loader)?,
        _ => return Err(c.misread("an operation: a map or [process type f value]")),
    };
    fields.at = at;
    Ok(fields)
}

fn map<'a>(c: &mut Cursor<'a>, keyed: bool, loader: &mut Loader) -> Parse<Fields<'a>> {
    let mut fields = Fields::new(c.at);
    let (mut key, mut value) = (None, Value::Null);
    let mut seen = 0u32;
    c.at += 1;
    loop {
        edn::skip_trivia(c, DEPTH_MAX)?;
        if c.eat(b'}') {
            break;
        }
        let start = c.at;
        let field = match c.peek() {
            Some(b':') => Field::from_name(edn::keyword(c)?),
            _ => edn::value(c, DEPTH_MAX)?.as_str().and_then(Field::from_name),
        };
        if let Some(field) = field {
            let bit = 1 << field as u32;
            if seen & bit != 0 {
                return Err(c.misread_since(start, "each key once"));
            }
            seen |= bit;
        }
        edn::skip_trivia(c, DEPTH_MAX)?;
        let start = c.at;
        let found = edn::value(c, DEPTH_MAX)?;
        match field {
            None => {}
            Some(Field::Value) => value = found,
            Some(Field::Key) => key = Some(found),
            Some(field) => set(c, start, field, found, &mut fields, loader)?,
        }
    }
    if let Some(key) = key.filter(|_| keyed) {
        value = Value::Array(vec![key, value]);
    }
    fields.value = loader.history.arena.encode(&value);
    Ok(fields)
}

/// Knossos' short form. The value may be left out.
fn tuple<'a>(c: &mut Cursor<'a>, close: u8, loader: &mut Loader) -> Parse<Fields<'a>> {
    let mut fields = Fields::new(c.at);
    c.at += 1;
    for field in [Field::Process, Field::Type, Field::F] {
        edn::skip_trivia(c, DEPTH_MAX)?;
        let start = c.at;
        let found = edn::value(c, DEPTH_MAX)?;
        set(c, start, field, found, &mut fields, loader)?;
    }
    edn::skip_trivia(c, DEPTH_MAX)?;
    if c.eat(close) {
        return Ok(fields);
    }
    let value = edn::value(c, DEPTH_MAX)?;
    fields.value = loader.history.arena.encode(&value);
    edn::skip_trivia(c, DEPTH_MAX)?;
    if c.eat(close) { Ok(fields) } else { Err(c.misread("the end of [process type f value]")) }
}

/// Sets a field to the value that begins at `start` and ends under the cursor.
pub(super) fn set(
    c: &Cursor<'_>,
    start: usize,
    field: Field,
    value: Value,
    fields: &mut Fields<'_>,
    loader: &Loader,
) -> Parse<()> {
    fields.set(field, value).map_err(|holds| c.misread_since(start, loader.wrong(field.name(), holds)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::history::{Format, Op, Process, Type, read};

    #[test]
    fn all_ways_to_write_a_history() {
        let maps = "{:process 0, :type :invoke, :f :cas, :value [0 1]} {:type :fail :process 0 :f :cas :error :timeout}";
        let nemesis = "{:process :nemesis :type :info :f :start}";
        let texts = [
            format!("{maps} {nemesis}"),
            format!("[{maps}\n{nemesis}]"),
            format!("; comment [\n({maps} {nemesis} #_ {{:bad 1}})\n; end"),
            format!("#jepsen.history.History [{maps} #jepsen.history.Op {nemesis}]"),
            "#jepsen.history.Op{:index 0 :time 0 :type :invoke :process 0 :f :cas :value [0 1]}\n\
             #jepsen.history.Op{:index 1 :time 1 :type :fail :process 0 :f :cas :value nil :error :timeout :debug {:a 1}}\n\
             #jepsen.history.Op{:index 2 :time 2 :type :info :process :nemesis :f :start :value nil}"
                .into(),
        ];
        let cas = Op::new("cas");
        let mut fail = Op { index: 1, ..cas.clone().kind(Type::Fail).at(1) };
        fail.error = Some("timeout".into());
        let start = Op { index: 2, ..Op::new("start").process(Process::Nemesis).kind(Type::Info).at(2) };
        let ops = [cas.value(json!([0, 1])), fail, start];
        for text in texts {
            let parsed = read(text.as_bytes(), "h.edn").unwrap();
            assert_eq!(parsed.format, Format::Edn);
            assert!(parsed.history.iter().map(|op| op.to_op()).eq(ops.clone()), "{text}");
        }
    }

    #[test]
    fn tuples_and_keys() {
        let tuples = "[0 :invoke :write 3]\n[:nemesis :info :kill]\n(0 :ok :write 3)";
        for text in [tuples.to_owned(), format!("[{tuples}]")] {
            let history = read(text.as_bytes(), "h.edn").unwrap().history;
            let seen: Vec<String> = history.iter().map(|op| op.to_op().to_string()).collect();
            assert_eq!(seen, ["0\tinvoke\twrite\t3", "nemesis\tinfo\tkill\tnull", "0\tok\twrite\t3"]);
        }
        let kv = "{:process 9, :type :invoke, :f :append, :key \"0\", :value \"x 9\"}\n";
        let parsed = read(kv.as_bytes(), "kv.txt").unwrap();
        assert_eq!(parsed.format, Format::KvEdn);
        assert_eq!(parsed.history.get(0).value(), json!(["0", "x 9"]));
    }

    #[test]
    fn transactions_without_process_and_function_are_pairs_of_their_own() {
        let text = "{:type :invoke :value [[:append 1 2]]} {:type :ok :value [[:append 1 2]]}
                    {:type :invoke :value [[:r 1 nil]]} {:type :ok :value [[:r 1 [2]]]}";
        let history = read(text.as_bytes(), "h.edn").unwrap().history;
        let ops: Vec<_> = history.iter().map(|op| (op.process(), op.f())).collect();
        let pair = |id| [(Process::Client(id), "txn"); 2];
        assert_eq!(ops, [pair(0), pair(1)].concat());
    }
}
