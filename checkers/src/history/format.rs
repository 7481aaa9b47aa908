use std::fmt;

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
}

/// In a console log, what stands between the level and the operation.
pub(super) const LOG_MARK: &str = "jepsen.util - ";

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] =
        [Format::Jsonl, Format::JsonArray, Format::Edn, Format::KvEdn, Format::JepsenLog];

    /// The name by which a user asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::JsonArray => "json",
            Format::Edn => "jepsen-edn",
            Format::KvEdn => "porcupine-kv",
            Format::JepsenLog => "jepsen-log-2014",
        }
    }

    /// The format of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format of a history that begins with `text`, decompressed; a few kilobytes are enough. `None` if it looks like none of
    /// them. An empty text is an empty [`Jsonl`](Format::Jsonl) history.
    pub fn detect(text: &[u8]) -> Option<Format> {
        let text = skip_blank(text);
        let inner = skip_blank(text.get(1..).unwrap_or_default());
        match (text.first(), inner.first()) {
            (None, _) | (Some(b'{'), None | Some(b'"' | b'}')) => Some(Format::Jsonl),
            (Some(b'['), None | Some(b']')) => Some(Format::JsonArray),
            (Some(b'['), Some(b'{')) if skip_blank(&inner[1..]).first() == Some(&b'"') => {
                Some(Format::JsonArray)
            }
            (Some(b'{' | b'[' | b'(' | b'#'), _) => {
                Some(if has_key(text) { Format::KvEdn } else { Format::Edn })
            }
            _ => is_log(text).then_some(Format::JepsenLog),
        }
    }
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
        let cases: [(&str, Option<Format>); 14] = [
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
            ("w 1 2\n", None),
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
