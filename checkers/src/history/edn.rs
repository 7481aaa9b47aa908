//! EDN values, parsed without recursion and turned into JSON values on the way.
//!
//! Keywords and symbols become strings, without the colon; lists, vectors and sets become arrays; tags are dropped; a key
//! that is not a string becomes its text. An integer beyond 64 bits becomes the string of its digits, so that two that
//! differ stay different.

use serde_json::{Map, Number, Value};

use super::cursor::Cursor;
use super::error::Parse;
use super::json;

enum Frame {
    /// A list, vector or set, and what closes it.
    Seq(Vec<Value>, u8),
    Map(Map<String, Value>, Option<String>),
    Tag,
    Discard,
}

/// The next value.
pub(super) fn value(c: &mut Cursor<'_>, depth_max: usize) -> Parse<Value> {
    let mut stack = Vec::new();
    loop {
        skip_blank(c);
        let done = match c.peek() {
            Some(b')' | b']' | b'}') => close(c, &mut stack)?,
            Some(b'(' | b'[' | b'{' | b'#') => match open(c)? {
                Opened::Frame(_) if stack.len() == depth_max => {
                    return Err(c.misread(format!("at most {depth_max} levels of nesting")));
                }
                Opened::Frame(frame) => {
                    stack.push(frame);
                    continue;
                }
                Opened::Scalar(value) => value,
            },
            _ => scalar(c)?,
        };
        stack.truncate(stack.iter().rposition(|frame| !matches!(frame, Frame::Tag)).map_or(0, |at| at + 1));
        match stack.last_mut() {
            None | Some(Frame::Tag) => return Ok(done),
            Some(Frame::Seq(items, _)) => items.push(done),
            Some(Frame::Map(map, key)) => match key.take() {
                Some(key) => drop(map.insert(key, done)),
                None => *key = Some(printed(done)),
            },
            Some(Frame::Discard) => drop(stack.pop()),
        }
    }
}

/// Steps over white space, commas and comments.
pub(super) fn skip_blank(c: &mut Cursor<'_>) {
    loop {
        match c.peek() {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c) => c.at += 1,
            Some(b';') => {
                let rest = c.rest();
                c.at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            }
            _ => return,
        }
    }
}

/// As [`skip_blank`], and over discarded forms.
pub(super) fn skip_trivia(c: &mut Cursor<'_>, depth_max: usize) -> Parse<()> {
    loop {
        skip_blank(c);
        if !c.rest().starts_with(b"#_") {
            return Ok(());
        }
        c.at += 2;
        value(c, depth_max)?;
    }
}

/// Steps over a tag, such as `#jepsen.history.Op`; false if there is none.
pub(super) fn skip_tag(c: &mut Cursor<'_>) -> bool {
    let tagged = c.peek() == Some(b'#') && c.text.get(c.at + 1).is_some_and(u8::is_ascii_alphabetic);
    if tagged {
        c.at += 1;
        token(c);
    }
    tagged
}

enum Opened {
    Frame(Frame),
    Scalar(Value),
}

fn open(c: &mut Cursor<'_>) -> Parse<Opened> {
    let first = c.peek();
    if skip_tag(c) {
        return Ok(Opened::Frame(Frame::Tag));
    }
    c.at += 1;
    let frame = match (first, c.peek()) {
        (Some(b'('), _) => Frame::Seq(Vec::new(), b')'),
        (Some(b'['), _) => Frame::Seq(Vec::new(), b']'),
        (Some(b'{'), _) => Frame::Map(Map::new(), None),
        (_, Some(b'"')) => return string(c).map(Opened::Scalar),
        (_, Some(b'#')) => {
            c.at += 1;
            let name = text(c)?;
            return Ok(Opened::Scalar(Value::String(format!("##{name}"))));
        }
        (_, Some(b'{')) => {
            c.at += 1;
            return Ok(Opened::Frame(Frame::Seq(Vec::new(), b'}')));
        }
        (_, Some(b'_')) => {
            c.at += 1;
            return Ok(Opened::Frame(Frame::Discard));
        }
        _ => return Err(c.misread("a tag, a set or a discarded form after \"#\"")),
    };
    Ok(Opened::Frame(frame))
}

/// The value that the bracket under the cursor completes.
fn close(c: &mut Cursor<'_>, stack: &mut Vec<Frame>) -> Parse<Value> {
    let done = match (stack.pop(), c.peek()) {
        (Some(Frame::Seq(items, close)), Some(found)) if close == found => Value::Array(items),
        (Some(Frame::Map(map, None)), Some(b'}')) => Value::Object(map),
        (Some(Frame::Seq(_, close)), _) => {
            return Err(c.misread(format!("a value or \"{}\"", char::from(close))));
        }
        (Some(Frame::Map(_, None)), _) => return Err(c.misread("a key or \"}\"")),
        (Some(Frame::Map(_, Some(key))), _) => return Err(c.misread(format!("a value of key {key}"))),
        _ => return Err(c.misread("a value")),
    };
    c.at += 1;
    Ok(done)
}

/// A key as text.
fn printed(key: Value) -> String {
    match key {
        Value::String(name) => name,
        Value::Null => "nil".into(),
        other => other.to_string(),
    }
}

fn scalar(c: &mut Cursor<'_>) -> Parse<Value> {
    match c.peek() {
        Some(b'"') => string(c),
        Some(b'\\') => character(c),
        Some(b':') => keyword(c).map(Value::from),
        _ => {
            let start = c.at;
            let text = text(c)?;
            let sign = usize::from(text.starts_with(['+', '-']));
            if text[sign..].starts_with(|first: char| first.is_ascii_digit()) {
                return number(text).ok_or_else(|| c.misread_since(start, "a number"));
            }
            Ok(match text {
                "nil" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::String(text.to_owned()),
            })
        }
    }
}

/// A keyword, without the colon.
pub(super) fn keyword<'a>(c: &mut Cursor<'a>) -> Parse<&'a str> {
    let start = c.at;
    let name = &text(c)?[1..];
    if name.is_empty() { Err(c.misread_since(start, "a keyword")) } else { Ok(name) }
}

fn string(c: &mut Cursor<'_>) -> Parse<Value> {
    json::quoted(c, "a string", false).map(|text| Value::String(text.into_owned()))
}

/// Steps over a token: up to white space, a bracket, a quote or a comment.
fn token<'a>(c: &mut Cursor<'a>) -> &'a [u8] {
    let rest = c.rest();
    let len = rest.iter().position(|b| b <= &b' ' || b",()[]{}\";\\".contains(b)).unwrap_or(rest.len());
    c.at += len;
    &rest[..len]
}

fn text<'a>(c: &mut Cursor<'a>) -> Parse<&'a str> {
    let start = c.at;
    match str::from_utf8(token(c)) {
        Ok("") => Err(c.misread("a value")),
        Ok(text) if text.starts_with(['^', '`', '~', '@', '\'']) => Err(c.misread_since(start, "a value")),
        Ok(text) => Ok(text),
        Err(_) => Err(c.misread_since(start, "UTF-8 text")),
    }
}

/// A character, such as `\a`, `\newline` or `\u00e9`: a string of one.
fn character(c: &mut Cursor<'_>) -> Parse<Value> {
    let start = c.at;
    c.at += 1;
    let rest = c.rest();
    // The first may be a bracket.
    let len = (1..=4).find(|&n| rest.len() >= n && str::from_utf8(&rest[..n]).is_ok());
    c.at += len.ok_or_else(|| c.misread("a character"))?;
    token(c);
    let name = &c.text[start + 1..c.at];
    let named = match name {
        b"newline" => '\n',
        b"space" => ' ',
        b"tab" => '\t',
        b"return" => '\r',
        b"formfeed" => '\u{c}',
        b"backspace" => '\u{8}',
        [b'u', _, ..] => {
            let mut code = Cursor { text: &c.text[..c.at], at: start + 2, one_line: false };
            let named = json::unicode(&mut code)?;
            if code.at < c.at {
                return Err(c.misread_since(start, "a character"));
            }
            named
        }
        other => {
            let mut chars = str::from_utf8(other).unwrap_or_default().chars();
            match (chars.next(), chars.next()) {
                (Some(named), None) => named,
                _ => return Err(c.misread_since(start, "a character")),
            }
        }
    };
    Ok(Value::String(named.into()))
}

fn number(text: &str) -> Option<Value> {
    let digits = text.trim_start_matches(['+', '-']);
    if let Some(hex) = digits.strip_prefix("0x") {
        let n = u64::from_str_radix(hex, 16).ok()?;
        return if text.len() > digits.len() {
            Some((-i64::try_from(n).ok()?).into())
        } else {
            Some(n.into())
        };
    }
    let whole = digits.strip_suffix('N').unwrap_or(digits);
    if whole.bytes().all(|b| b.is_ascii_digit()) {
        return integer(text.strip_suffix('N').unwrap_or(text), whole);
    }
    if let Some((over, under)) = digits.split_once('/') {
        let natural = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        return (natural(over) && natural(under)).then(|| text.into());
    }
    let decimal = text.strip_suffix('M').unwrap_or(text);
    let plain = decimal.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let number = decimal.parse().ok().filter(|_| plain).and_then(Number::from_f64);
    number.map(Value::Number)
}

fn integer(text: &str, digits: &str) -> Option<Value> {
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let signed = text.parse::<i64>().map(Value::from);
    let any = signed.or_else(|_| text.parse::<u64>().map(Value::from));
    Some(any.unwrap_or_else(|_| Value::from(text.strip_prefix('+').unwrap_or(text))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::cursor::DEPTH_MAX;

    fn parse(text: &str) -> Result<Value, String> {
        let mut c = Cursor::new(text.as_bytes());
        let value = value(&mut c, DEPTH_MAX).map_err(|e| e.expected.into_owned())?;
        skip_trivia(&mut c, DEPTH_MAX).map_err(|e| e.expected.into_owned())?;
        if c.rest().is_empty() { Ok(value) } else { Err("more".into()) }
    }

    #[test]
    fn every_kind_of_value() {
        let cases = [
            ("nil", json!(null)),
            ("true", json!(true)),
            ("-12", json!(-12)),
            ("+7N", json!(7)),
            ("0", json!(0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("123456789012345678901", json!("123456789012345678901")),
            ("0x1F", json!(31)),
            ("1/3", json!("1/3")),
            ("1.5M", json!(1.5)),
            ("-1.0E-2", json!(-0.01)),
            ("##NaN", json!("##NaN")),
            (r#""a\n\"é\u00e9""#, json!("a\n\"éé")),
            ("\"two\nlines\"", json!("two\nlines")),
            ("#\"re+\"", json!("re+")),
            (r"[\a \newline \( \u00e9 \é]", json!(["a", "\n", "(", "é", "é"])),
            (":not-held", json!("not-held")),
            (":ns/name", json!("ns/name")),
            ("java.lang.Foo$1", json!("java.lang.Foo$1")),
            ("-", json!("-")),
            ("(1, 2 [3])", json!([1, 2, [3]])),
            ("#{1 :b}", json!([1, "b"])),
            ("{:a 1 \"b\" 2 0 3 nil 4 [1 x] 5}", json!({"a": 1, "b": 2, "0": 3, "nil": 4, "[1,\"x\"]": 5})),
            ("#inst \"2020\"", json!("2020")),
            ("#jepsen.history.Op{:f :read}", json!({"f": "read"})),
            ("[1 #_ 2 #_ #_ 3 [4] ; comment ]\n 5] #_ 6", json!([1, 5])),
            ("#_ a #_ b c", json!("c")),
            ("{#_ :x :a #_ 1 2 #_ 3}", json!({"a": 2})),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_edn_is_refused() {
        let texts = [
            "",
            "]",
            "[1",
            "[1)",
            "{:a}",
            "{:a 1 :b}",
            "{1]",
            "\"a",
            "\"\\x\"",
            ":",
            "01",
            "1x",
            "1.5.5",
            "1e999",
            "0xZZ",
            "1/",
            "\\",
            "\\ab",
            "\\u12",
            "\\ud800",
            "#",
            "#1",
            "#_",
            "[#_]",
            "#_ 1",
            "#foo",
            "[#foo]",
            "^{} 1",
            "@a",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn nesting_is_limited_without_recursion() {
        assert!(parse(&format!("{}{}", "[".repeat(512), "]".repeat(512))).is_ok());
        for open in ["[", "(", "#{", "{", "#_", "#a ", "{[1] "] {
            let error = parse(&open.repeat(100_000)).unwrap_err();
            assert!(error.contains("at most 512 levels of nesting"), "{open}: {error}");
        }
    }
}
