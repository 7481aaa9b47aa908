use std::fmt;

use super::cursor::Cursor;
use super::{dbcop, dbcop_json, fastlin};

/// The formats in which histories are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON object a line: what squall writes.
    Jsonl,
    /// One JSON array of objects, as elle-cli reads.
    JsonArray,
    /// Jepsen's EDN: maps or `[process type f value]` tuples, bare or in one vector or list.
    Edn,
    /// EDN maps with a `:key` beside the value, as Porcupine's kv test data has.
    KvEdn,
    /// Jepsen's console log of 2014: `INFO  jepsen.util - PROCESS :type :f VALUE`.
    JepsenLog,
    /// AWDIT's test format: `w KEY VALUE` and `r KEY VALUE`, dashes between transactions, equals signs between sessions.
    AwditTest,
    /// The text of Plume and PolySI: `r(KEY,VALUE,SESSION,TXN)` a line.
    PlumeText,
    /// dbcop's binary format of 2019.
    Dbcop,
    /// dbcop's JSON: sessions of transactions of events.
    DbcopJson,
    /// dbcop's text: `[x:=1 y==2]`, dashes between sessions.
    DbcopText,
    /// fastlin's rows on one object, under a header such as `# queue`: `METHOD VALUE START END`.
    Fastlin,
}

/// In a console log, what stands between the level and the operation.
pub(super) const LOG_MARK: &str = "jepsen.util - ";

/// Other names.
const ALIASES: [(&str, Format); 9] = [
    ("elle-json", Format::JsonArray),
    ("edn", Format::Edn),
    ("jepsen", Format::Edn),
    ("knossos", Format::Edn),
    ("elle", Format::Edn),
    ("awdit", Format::AwditTest),
    ("plume", Format::PlumeText),
    ("polysi", Format::PlumeText),
    ("dbcop-bincode", Format::Dbcop),
];

impl Format {
    /// Every format.
    pub const ALL: [Format; 11] = [
        Format::Jsonl,
        Format::JsonArray,
        Format::Edn,
        Format::KvEdn,
        Format::JepsenLog,
        Format::AwditTest,
        Format::PlumeText,
        Format::Dbcop,
        Format::DbcopJson,
        Format::DbcopText,
        Format::Fastlin,
    ];

    /// The name by which a user asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::JsonArray => "json",
            Format::Edn => "jepsen-edn",
            Format::KvEdn => "porcupine-kv",
            Format::JepsenLog => "jepsen-log-2014",
            Format::AwditTest => "awdit-test",
            Format::PlumeText => "plume-text",
            Format::Dbcop => "dbcop",
            Format::DbcopJson => "dbcop-json",
            Format::DbcopText => "dbcop-text",
            Format::Fastlin => "fastlin",
        }
    }

    /// The format of that name, if there is one; the tools that write it are names of it, too.
    pub fn from_name(name: &str) -> Option<Format> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, format)| *format);
        Format::ALL.into_iter().find(|format| format.name() == name).or(alias)
    }

    /// The format of a history that begins with `text`, decompressed; a few kilobytes are enough. `None` if it looks like none of
    /// them. An empty text is an empty [`Jsonl`](Format::Jsonl) history.
    pub fn detect(text: &[u8]) -> Option<Format> {
        if dbcop::is_binary(text) {
            return Some(Format::Dbcop);
        }
        if text.starts_with(b"//") || is_dbcop_text(text) {
            return Some(Format::DbcopText);
        }
        let text = skip_blank(text);
        if let Some(format) = by_line(text) {
            return Some(format);
        }
        let inner = skip_blank(text.get(1..).unwrap_or_default());
        let third = || skip_blank(&inner[1..]).first();
        match (text.first(), inner.first()) {
            (Some(b'{'), Some(b'"')) if is_dbcop_key(inner) => Some(Format::DbcopJson),
            (None, _) | (Some(b'{'), None | Some(b'"' | b'}')) => Some(Format::Jsonl),
            (Some(b'['), None | Some(b']')) => Some(Format::JsonArray),
            (Some(b'['), Some(b'{')) if third() == Some(&b'"') => Some(Format::JsonArray),
            (Some(b'['), Some(b'[')) if matches!(third(), Some(b'{' | b']')) => Some(Format::DbcopJson),
            (Some(b'{' | b'[' | b'(' | b'#'), _) => {
                Some(if has_key(text) { Format::KvEdn } else { Format::Edn })
            }
            _ => is_log(text).then_some(Format::JepsenLog),
        }
    }
}

/// The format of which the first line can be told from those of all others.
fn by_line(text: &[u8]) -> Option<Format> {
    let line = text.split(|&b| b == b'\n').next()?.trim_ascii();
    let separates = |byte| line.len() >= 2 && line.iter().all(|&b| b == byte);
    match line {
        [b'r' | b'w', b' ' | b'\t', ..] => Some(Format::AwditTest),
        [b'r' | b'w', b'(', ..] => Some(Format::PlumeText),
        [b'#', ..] => fastlin::header(&mut Cursor::new(line)).map(|_| Format::Fastlin),
        _ => (separates(b'-') || separates(b'=')).then_some(Format::AwditTest),
    }
}

/// Whether it begins with a transaction such as `[x:=1`.
fn is_dbcop_text(text: &[u8]) -> bool {
    let Some(rest) = text.trim_ascii_start().strip_prefix(b"[") else { return false };
    let rest = rest.trim_ascii_start();
    let name = rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_').unwrap_or(rest.len());
    name > 0 && (rest[name..].starts_with(b":=") || rest[name..].starts_with(b"=="))
}

fn is_dbcop_key(text: &[u8]) -> bool {
    let key = text[1..].split(|&b| b == b'"').next().unwrap_or_default();
    dbcop_json::KEYS.iter().any(|known| known.as_bytes() == key)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Steps over white space, commas and comments.
fn skip_blank(mut text: &[u8]) -> &[u8] {
    loop {
        match text.first() {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b',') => text = &text[1..],
            Some(b';') => {
                let end = text.iter().position(|&b| b == b'\n').unwrap_or(text.len());
                text = &text[end..];
            }
            _ => return text,
        }
    }
}

/// Whether the first map has a `:key`.
fn has_key(text: &[u8]) -> bool {
    let end = text.iter().position(|&b| b == b'}').unwrap_or(text.len());
    text[..end].windows(5).any(|w| w == b":key ")
}

fn is_log(text: &[u8]) -> bool {
    text.windows(LOG_MARK.len()).any(|w| w == LOG_MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_tells_the_format() {
        let cases: [(&str, Option<Format>); 25] = [
            ("", Some(Format::Jsonl)),
            ("{\"index\":0", Some(Format::Jsonl)),
            ("\n{ \"ty", Some(Format::Jsonl)),
            ("[ {\"type\"", Some(Format::JsonArray)),
            ("[]", Some(Format::JsonArray)),
            ("[{:type :invoke", Some(Format::Edn)),
            ("; a comment {\n({:type", Some(Format::Edn)),
            ("#jepsen.history.Op{:index", Some(Format::Edn)),
            ("[0 :invoke :read nil]", Some(Format::Edn)),
            ("[[0 :invoke :read nil]]", Some(Format::Edn)),
            ("{:process 9, :type :invoke, :key \"0\"}", Some(Format::KvEdn)),
            ("INFO  jepsen.util - 0\t:invoke", Some(Format::JepsenLog)),
            ("{\"history\":{\"real_time\":false}}", Some(Format::Jsonl)),
            ("{\"info\": \"x\", \"data\": []}", Some(Format::DbcopJson)),
            ("[[{\"events\":[]}]]", Some(Format::DbcopJson)),
            ("// session\n", Some(Format::DbcopText)),
            ("[ x:=1 y==?]", Some(Format::DbcopText)),
            ("w 1 2\n", Some(Format::AwditTest)),
            ("\n=====\nr 1 2\n", Some(Format::AwditTest)),
            ("w(1,2,3,4)\n", Some(Format::PlumeText)),
            ("# stack\npush 1 1 2\n", Some(Format::Fastlin)),
            ("#queue\r\n", Some(Format::Fastlin)),
            ("# heap\n", Some(Format::Edn)),
            ("what is it\n", None),
            ("\u{0}", None),
        ];
        for (text, format) in cases {
            assert_eq!(Format::detect(text.as_bytes()), format, "{text}");
        }
    }

    #[test]
    fn names_lead_back() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("xml"), None);
    }
}
