//! Text of others as messages show it.
//!
//! A path, a name or a payload may hold anything: an escape sequence that recolours a terminal, a line break that forges a
//! log line, an override that turns the text around. Every `Display` of this crate shows such text through [`shown`].

use std::fmt;
use std::path::Path;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Shows a text with its control, bidirectional and other unprintable characters escaped as in a Rust literal. Quotes,
/// backslashes and all printable Unicode stay as they are, so that a path can be copied from a message.
///
/// For whoever prints names, labels or hosts beside this crate's own messages: a terminal obeys what it is sent.
#[must_use]
pub fn shown(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| show_all(text, f))
}

/// Shows a path; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn shown_path(path: &Path) -> impl fmt::Display {
    fmt::from_fn(move |f| show_all(&path.to_string_lossy(), f))
}

/// Most texts are plain ASCII, and spans show them for every hold.
fn show_all(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return f.write_str(text);
    }
    text.chars().try_for_each(|c| show(c, f))
}

/// Not by std's idea of what is printable, which changes: it came to escape the accents of decomposed letters.
fn show(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;
    let is_printable = match c.general_category_group() {
        GeneralCategoryGroup::Other => false,
        GeneralCategoryGroup::Separator => c == ' ',
        _ => true,
    };
    if is_printable { f.write_char(c) } else { write!(f, "{}", c.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::{shown, shown_path};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    #[test]
    fn printable_text_stays_and_the_rest_is_escaped() {
        for text in ["it's \"a\" \\path", "naïve …", "e\u{301}", "日本語", "🦀"] {
            assert_eq!(shown(text).to_string(), text);
        }
        assert_eq!(
            shown("a\x1b[31m\n\u{202e}\u{9b}\u{200b}\0").to_string(),
            "a\\u{1b}[31m\\n\\u{202e}\\u{9b}\\u{200b}\\0"
        );
        assert_eq!(shown_path(Path::new(OsStr::from_bytes(b"a\xff\x07"))).to_string(), "a\u{fffd}\\u{7}");
    }
}
