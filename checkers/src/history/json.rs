//! JSON values, parsed without recursion.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::cursor::{Cursor, DEPTH_MAX};
use super::error::Parse;

enum Frame {
    Array(Vec<Value>),
    Object(Map<String, Value>, String),
}

/// The next value. An integer beyond 64 bits becomes the string of its digits, as in [`edn`](super::edn): a floating-point
/// number would be one with its neighbours.
pub(super) fn value(c: &mut Cursor<'_>, depth_max: usize) -> Parse<Value> {
    let mut stack = Vec::new();
    loop {
        c.skip_space();
        let mut done = match c.peek() {
            Some(b'[' | b'{') if stack.len() == depth_max => {
                return Err(c.misread(format!("at most {depth_max} levels of nesting")));
            }
            Some(b'[') => {
                c.at += 1;
                c.skip_space();
                if !c.eat(b']') {
                    stack.push(Frame::Array(Vec::new()));
                    continue;
                }
                Value::Array(Vec::new())
            }
            Some(b'{') => {
                c.at += 1;
                c.skip_space();
                if !c.eat(b'}') {
                    stack.push(Frame::Object(Map::new(), key(c)?));
                    continue;
                }
                Value::Object(Map::new())
            }
            _ => scalar(c)?,
        };
        loop {
            let Some(frame) = stack.pop() else { return Ok(done) };
            c.skip_space();
            match frame {
                Frame::Array(mut items) => {
                    items.push(done);
                    if c.eat(b',') {
                        stack.push(Frame::Array(items));
                        break;
                    }
                    c.expect(b']', "\",\" or \"]\"")?;
                    done = Value::Array(items);
                }
                Frame::Object(mut map, name) => {
                    map.insert(name, done);
                    if c.eat(b',') {
                        c.skip_space();
                        stack.push(Frame::Object(map, key(c)?));
                        break;
                    }
                    c.expect(b'}', "\",\" or \"}\"")?;
                    done = Value::Object(map);
                }
            }
        }
    }
}

/// A value of unlimited depth from text that this crate wrote.
pub(super) fn trusted(text: &[u8]) -> Value {
    value(&mut Cursor::new(text), usize::MAX).expect("the arena holds JSON that we wrote")
}

fn key(c: &mut Cursor<'_>) -> Parse<String> {
    let key = string(c, "a key in quotes")?.into_owned();
    c.skip_space();
    c.expect(b':', "\":\"")?;
    Ok(key)
}

fn scalar(c: &mut Cursor<'_>) -> Parse<Value> {
    match c.peek() {
        Some(b'"') => Ok(Value::String(string(c, "a string")?.into_owned())),
        Some(b'n') => c.literal("null").map(|()| Value::Null),
        Some(b't') => c.literal("true").map(|()| Value::Bool(true)),
        Some(b'f') => c.literal("false").map(|()| Value::Bool(false)),
        Some(b'-' | b'0'..=b'9') => number(c),
        _ => Err(c.misread("a JSON value")),
    }
}

fn number(c: &mut Cursor<'_>) -> Parse<Value> {
    let start = c.at;
    c.eat(b'-');
    let leading_zero = c.peek() == Some(b'0');
    let digits = c.skip_digits();
    if digits == 0 {
        return Err(c.misread("a digit"));
    }
    if leading_zero && digits > 1 {
        return Err(c.misread_since(start, "a number without leading zeros"));
    }
    let mut integer = true;
    if c.eat(b'.') {
        integer = false;
        if c.skip_digits() == 0 {
            return Err(c.misread("a digit"));
        }
    }
    if c.eat(b'e') || c.eat(b'E') {
        integer = false;
        let _ = c.eat(b'-') || c.eat(b'+');
        if c.skip_digits() == 0 {
            return Err(c.misread("a digit"));
        }
    }
    let text = str::from_utf8(&c.text[start..c.at]).expect("digits are ASCII");
    if integer && text != "-0" {
        if let Ok(n) = text.parse::<i64>() {
            return Ok(n.into());
        }
        return Ok(text.parse::<u64>().map_or_else(|_| text.into(), Value::from));
    }
    let number = text.parse().ok().and_then(Number::from_f64);
    number.map(Value::Number).ok_or_else(|| c.misread_since(start, "a number that fits 64 bits"))
}

/// The next string, borrowed unless it has escapes.
pub(super) fn string<'a>(c: &mut Cursor<'a>, expected: &'static str) -> Parse<Cow<'a, str>> {
    quoted(c, expected, true)
}

/// As [`string`]; control characters may stand in it unless it is `strict`.
pub(super) fn quoted<'a>(c: &mut Cursor<'a>, expected: &'static str, strict: bool) -> Parse<Cow<'a, str>> {
    c.expect(b'"', expected)?;
    let start = c.at;
    skip_plain(c, strict);
    if c.peek() == Some(b'"') {
        let text = utf8(c, start)?;
        c.at += 1;
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::from(utf8_so_far(c, start)?);
    loop {
        match c.peek() {
            Some(b'"') => {
                c.at += 1;
                return Ok(Cow::Owned(out));
            }
            Some(b'\\') => {
                c.at += 1;
                out.push(escape(c)?);
            }
            None => return Err(c.misread("a closing quote")),
            Some(_) => return Err(c.misread("a closing quote or no bare control character")),
        }
        let start = c.at;
        skip_plain(c, strict);
        out.push_str(utf8_so_far(c, start)?);
    }
}

#[inline]
fn skip_plain(c: &mut Cursor<'_>, strict: bool) {
    let rest = c.rest();
    c.at += rest.iter().position(|&b| b == b'"' || b == b'\\' || (strict && b < 0x20)).unwrap_or(rest.len());
}

fn utf8<'a>(c: &Cursor<'a>, start: usize) -> Parse<&'a str> {
    str::from_utf8(&c.text[start..c.at]).map_err(|e| {
        let at = start + e.valid_up_to();
        super::error::Misread::new(at, "UTF-8 text", format!("the byte 0x{:02x}", c.text[at]))
    })
}

/// As [`utf8`]; where the text ends, a torn character counts as missing input.
fn utf8_so_far<'a>(c: &Cursor<'a>, start: usize) -> Parse<&'a str> {
    match str::from_utf8(&c.text[start..c.at]) {
        Err(e) if e.error_len().is_none() && c.at == c.text.len() => Err(c.misread("a closing quote")),
        _ => utf8(c, start),
    }
}

fn escape(c: &mut Cursor<'_>) -> Parse<char> {
    let plain = match c.peek() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            c.at += 1;
            return unicode(c);
        }
        _ => return Err(c.misread("an escape: one of \" \\ / b f n r t u")),
    };
    c.at += 1;
    Ok(plain)
}

/// The character after `\u`: two escapes where it is a surrogate pair.
pub(super) fn unicode(c: &mut Cursor<'_>) -> Parse<char> {
    let start = c.at;
    let high = hex4(c)?;
    let code = match high {
        0xD800..=0xDBFF => {
            c.literal("\\u")?;
            match hex4(c)? {
                low @ 0xDC00..=0xDFFF => 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00),
                _ => return Err(c.misread_since(start, "a whole surrogate pair")),
            }
        }
        code => code,
    };
    char::from_u32(code).ok_or_else(|| c.misread_since(start, "a Unicode character"))
}

fn hex4(c: &mut Cursor<'_>) -> Parse<u32> {
    let mut code = 0;
    for _ in 0..4 {
        let digit = c.peek().and_then(|b| char::from(b).to_digit(16));
        code = code << 4 | digit.ok_or_else(|| c.misread("four hexadecimal digits"))?;
        c.at += 1;
    }
    Ok(code)
}

/// Length of the value at the start of `text` if it is an array of plain values written as `serde_json` would write it:
/// no white space, no objects, integers, ASCII strings without escapes. Such a text is stored as it stands.
pub(super) fn canonical_array(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0;
    loop {
        if text.get(at) == Some(&b'[') {
            if depth == DEPTH_MAX {
                return None;
            }
            at += 1;
            if text.get(at) != Some(&b']') {
                depth += 1;
                continue;
            }
            at += 1;
        } else {
            at += canonical_scalar(&text[at..])?;
        }
        loop {
            if depth == 0 {
                return Some(at);
            }
            at += 1;
            match text.get(at - 1)? {
                b',' => break,
                b']' => depth -= 1,
                _ => return None,
            }
        }
    }
}

fn canonical_scalar(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => {
            let plain = |&b: &u8| (0x20..0x80).contains(&b) && b != b'"' && b != b'\\';
            let len = text[1..].iter().position(|b| !plain(b))?;
            (text[1 + len] == b'"').then_some(len + 2)
        }
        b'n' => text.starts_with(b"null").then_some(4),
        b't' => text.starts_with(b"true").then_some(4),
        b'f' => text.starts_with(b"false").then_some(5),
        _ => small_integer(text).map(|(_, len)| len),
    }
}

/// An integer of at most 17 digits as `serde_json` writes it, and its length.
#[inline(always)]
pub(super) fn small_integer(text: &[u8]) -> Option<(i64, usize)> {
    const DIGITS_MAX: usize = 17;
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let text = &text[start..];
    let (mut n, mut at) = text.first_chunk().map_or((0, 0), |first| leading_digits(*first));
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        if at == DIGITS_MAX {
            return None;
        }
        n = n * 10 + i64::from(digit - b'0');
        at += 1;
    }
    let leading_zero = text.first() == Some(&b'0') && (at > 1 || negative);
    if at == 0 || leading_zero || matches!(text.get(at), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    Some((if negative { -n } else { n }, start + at))
}

/// The number that these bytes begin with, and how many digits it has: all of them at once, in one machine word.
#[inline(always)]
fn leading_digits(bytes: [u8; 8]) -> (i64, usize) {
    let digits = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    // The high bit of a byte that is no digit. What carries into a byte comes from one that is none.
    let others = (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    let len = others.trailing_zeros() / 8;
    // The first digit, which weighs most, is the lowest byte: the zeros that are missing come in there.
    let digits = digits.checked_shl(64 - 8 * len).unwrap_or(0);
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    ((fours * 10_000 + (fours >> 32)) as u32 as i64, len as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::UniqueIds;
    use crate::model::Register;
    use crate::{Checker, Linearizable, RwRegister, SetFull, Valid, history};

    fn parse(text: &str) -> Parse<Value> {
        let mut c = Cursor::new(text.as_bytes());
        let value = value(&mut c, DEPTH_MAX)?;
        c.skip_space();
        if c.at < text.len() { Err(c.misread("the end")) } else { Ok(value) }
    }

    #[test]
    fn values_are_those_of_serde_json() {
        let texts = [
            "null",
            " true ",
            "false",
            "0",
            "-0",
            "-12",
            "18446744073709551615",
            "-9223372036854775808",
            "1.8446744073709551616e19",
            "1.5e3",
            r#""""#,
            r#""a\n\"\\\/\u00e9\ud83d\ude00é""#,
            "[]",
            "{}",
            "[ 1 , [ ] ]",
            r#"{"a":[1,{"b":null}],"a":2}"#,
        ];
        for text in texts {
            assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    /// Integers beyond 64 bits became floating-point numbers, so that neighbours were one value: ids that differ were told
    /// to be duplicates, and a lost write, a read of what nobody wrote and a stale read of such values passed.
    #[test]
    fn integers_beyond_64_bits_keep_all_their_digits() {
        for text in ["18446744073709551616", "18446744073709551617", "-9223372036854775809", &"9".repeat(400)]
        {
            assert_eq!(parse(text).unwrap(), json!(text));
        }
        let (b, next) = ("12345678901234567890123", "12345678901234567890124");
        let judged = |checker: &dyn Checker, ops: &[(&str, &str)]| {
            let lines = (0..).zip(ops).flat_map(|(process, (f, value))| {
                let asked = if matches!(*f, "generate" | "read") { "null" } else { value };
                [("invoke", asked), ("ok", value)].map(|(kind, value)| {
                    format!(r#"{{"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#)
                })
            });
            let lines: Vec<String> = lines.collect();
            let [lines, array] = [lines.join("\n"), format!("[{}]", lines.join(","))]
                .map(|text| checker.check(&history::read(text.as_bytes(), "h").unwrap().history).valid);
            assert_eq!(lines, array);
            lines
        };
        let ids = UniqueIds::new();
        assert_eq!(judged(&ids, &[("generate", b), ("generate", next)]), Valid::True);
        assert_eq!(judged(&ids, &[("generate", b), ("generate", b)]), Valid::False);
        let set = SetFull::new();
        let added = |read: &str| judged(&set, &[("add", b), ("add", next), ("read", read)]);
        assert_eq!(added(&format!("[{b},{next}]")), Valid::True);
        assert_eq!(added(&format!("[{b}]")), Valid::False);
        let register = Linearizable::new("register", Register);
        assert_eq!(judged(&register, &[("write", b), ("read", b)]), Valid::True);
        assert_eq!(judged(&register, &[("write", b), ("read", next)]), Valid::False);
        let txns = |read: &str| {
            let [write, read] = [format!(r#"[["w",0,{b}]]"#), format!(r#"[["r",0,{read}]]"#)];
            judged(&RwRegister::default(), &[("txn", &write), ("txn", &read)])
        };
        assert_eq!((txns(b), txns(next)), (Valid::True, Valid::False));
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        let texts = [
            "",
            "nul",
            "01",
            "-",
            "1.",
            "1e",
            "1e999",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\n\"",
            "[",
            "]",
            "1 2",
            "+1",
            ".5",
        ];
        for text in texts {
            assert!(parse(text).is_err() && serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_limited_without_recursion() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        let misread = parse(&nested(DEPTH_MAX + 1)).unwrap_err();
        assert_eq!((misread.at, &*misread.expected), (DEPTH_MAX, "at most 512 levels of nesting"));
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn canonical_arrays_are_those_that_serde_json_would_write_the_same() {
        let canonical = [r#"[["append","x",1],["r","x",[1,-2]],null,true,false]"#, "[]", "[[]]", "[0,10]"];
        for text in canonical {
            assert_eq!(canonical_array(format!("{text},").as_bytes()), Some(text.len()));
            assert_eq!(serde_json::from_str::<Value>(text).unwrap().to_string(), text);
        }
        for text in [
            "[1 ]",
            "[1",
            "[01]",
            "[-0]",
            "[1.0]",
            "[1e2]",
            "[\"é\"]",
            "[\"\\n\"]",
            "[{}]",
            "[,]",
            "[1,]",
            "[nul]",
        ] {
            assert_eq!(canonical_array(text.as_bytes()), None, "{text}");
        }
        assert_eq!(json!(small_integer(b"-12,")), json!([-12, 3]));
    }
}
