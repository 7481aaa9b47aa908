//! Text that goes into a page.

use std::fmt::{self, Display, Formatter, Write};

/// Text as HTML shows it, in an element or in a quoted attribute.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let entity = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                b'\'' => "&#39;",
                _ => continue,
            };
            self.0.write_str(&text[from..at])?;
            self.0.write_str(entity)?;
            from = at + 1;
        }
        self.0.write_str(&text[from..])
    }
}

/// JSON that can stand inside a script element: `<` occurs in JSON only inside strings, where `\u003c` means the same,
/// and without it no value can close the element or open a comment.
pub(crate) fn json_in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// Text cut to so many characters, with an ellipsis where something is missing.
pub(crate) fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// A sentence: what stands between backquotes is code.
pub(crate) fn prose(text: &str) -> String {
    let mut html = String::new();
    let mut parts = text.split('`').peekable();
    let mut code = false;
    while let Some(part) = parts.next() {
        // A backquote without a partner stays what it is.
        let closed = code && parts.peek().is_some();
        let _ = match (closed, code) {
            (true, _) => write!(html, "<code>{}</code>", Escaped(part)),
            (false, true) => write!(html, "`{}", Escaped(part)),
            (false, false) => write!(html, "{}", Escaped(part)),
        };
        code = !code;
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backquotes_make_code() {
        assert_eq!(prose("give it `--seed <1>` & wait"), "give it <code>--seed &lt;1&gt;</code> &amp; wait");
        assert_eq!(
            [prose("a ` b"), prose("``"), prose("`a` `")],
            ["a ` b", "<code></code>", "<code>a</code> `"]
        );
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            Escaped("<a href=\"x\">'&é</a>").to_string(),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;é&lt;/a&gt;"
        );
        assert_eq!(json_in_script(r#"{"a":"</script><!--"}"#), r#"{"a":"\u003c/script>\u003c!--"}"#);
        assert_eq!(shortened("héllo", 2), "hé…");
        assert_eq!(shortened("hé", 2), "hé");
    }
}
