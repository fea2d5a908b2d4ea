//! Text of strangers on a terminal: names of processes and files, paths, what a spool says.
//!
//! A root's terminal obeys what is printed to it, and a reader believes what he sees. So whatever
//! has no picture of its own (controls, marks that turn the direction, characters without width,
//! what is no UTF-8) is shown by its number. Messages, the log, `doctor` and `tree` all print
//! through here. Shown text is not changed by being shown again.

use std::borrow::Cow;
use std::path::Path;

/// Letters to Unicode that a terminal draws as nothing.
const BLANK: [char; 6] = [
    '\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}', '\u{fffc}',
];

/// `text` with an escape (`\n`, `\u{202e}`) for each character that is not seen as itself.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(&mut out, c);
    }
    Cow::Owned(out)
}

/// The same for bytes; those that are no UTF-8 become `\xff`.
pub fn shown_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&shown(chunk.valid()));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The same for a path.
pub fn shown_path(path: &Path) -> String {
    shown_bytes(path.as_os_str().as_encoded_bytes())
}

/// A message of ours that may hold text of strangers: the ends of its lines are kept. A line after
/// the first is indented, so that no text can pass for a message of its own.
pub fn shown_message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
            if !line.starts_with(' ') && !line.is_empty() {
                out.push_str("  ");
            }
        }
        out.push_str(&shown(line));
    }
    out
}

/// Text of several lines of ours, such as `doctor`'s tables: only the ends of lines are kept.
pub fn shown_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(shown).collect();
    lines.join("\n")
}

fn push(out: &mut String, c: char) {
    let is_seen = match c {
        ' '..='~' => true,
        c if BLANK.contains(&c) => {
            out.extend(c.escape_unicode());
            return;
        }
        // The standard library's table of what can be printed; it has one escape for the rest.
        c => c.escape_debug().len() == 1,
    };
    if is_seen {
        out.push(c);
    } else {
        out.extend(c.escape_debug());
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_is_seen_as_itself_stays() {
        for text in ["/v1/chat?", "\"a\\b'", "é 漢字 🦀 ~", ""] {
            assert_eq!(shown(text), text);
        }
    }

    /// Every character that a terminal obeys, that turns text around or that has no width.
    #[test]
    fn what_is_not_seen_is_shown_by_its_number() {
        let ranges = [
            0..=0x1f,
            0x7f..=0x9f,
            0xad..=0xad,
            0x300..=0x36f,
            0x61c..=0x61c,
            0x180e..=0x180e,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffc,
            0xe000..=0xe010,
            0xe0000..=0xe01ff,
        ];
        let blank = BLANK.into_iter();
        for c in ranges
            .into_iter()
            .flatten()
            .filter_map(char::from_u32)
            .chain(blank)
        {
            let text = format!("a{c}b");
            let got = shown(&text);
            assert!(
                got.bytes().all(|byte| matches!(byte, b' '..=b'~')),
                "{c:?}: {got}"
            );
            assert!(got.starts_with("a\\") && got.ends_with('b'), "{c:?}: {got}");
        }
        assert_eq!(
            shown("\u{1b}]0;x\u{7}\n\u{202e}"),
            "\\u{1b}]0;x\\u{7}\\n\\u{202e}"
        );
    }

    #[test]
    fn shown_text_is_not_changed_again() {
        for c in (0..=0x3000)
            .chain(0xe0000..=0xe0fff)
            .filter_map(char::from_u32)
        {
            let once = shown(&c.to_string()).into_owned();
            assert_eq!(shown(&once), once);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_too() {
        assert_eq!(
            shown_bytes(b"a\xff\xc3(\x9b1m\xc3\xa9"),
            "a\\xff\\xc3(\\x9b1m\u{e9}"
        );
        let path = Path::new(OsStr::from_bytes(b"/lib\x1b[2J/\xfe.so"));
        assert_eq!(shown_path(path), "/lib\\u{1b}[2J/\\xfe.so");
    }

    #[test]
    fn a_message_cannot_pass_for_two() {
        assert_eq!(
            shown_message("error: x\n      fix: y\ncirron-agent: all is well\r\n"),
            "error: x\n      fix: y\n  cirron-agent: all is well\\r\n"
        );
        assert_eq!(shown_lines("a\u{9b}\n\nb\n"), "a\\u{9b}\n\nb\n");
    }
}
