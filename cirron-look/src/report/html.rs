//! Text of strangers in a page: nothing of it is ever markup, and none is long.

use std::fmt::Write as _;

/// Bytes of a text from a spool that are shown.
const MAX_TEXT_BYTES: usize = 200;

/// Text of a spool, for the page: controls and what turns text around by their numbers, cut, and escaped.
pub(crate) fn text(text: &str) -> String {
    escape(&cirron_spool::shown::shown(&cirron_spool::rows::cut(
        text,
        MAX_TEXT_BYTES,
    )))
}

/// Characters that mean something in HTML, in text and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A cell of a table, with what it is sorted by.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// As it is shown: escaped.
    pub(crate) html: String,
    /// A number, or nothing where it is text or not known.
    pub(crate) value: Option<f64>,
    is_number: bool,
}

impl Cell {
    /// Text of a spool.
    pub(crate) fn text(from: &str) -> Cell {
        Cell {
            html: text(from),
            value: None,
            is_number: false,
        }
    }

    /// A figure; of one that is not known a dash.
    pub(crate) fn number(value: Option<f64>, shown: impl Fn(f64) -> String) -> Cell {
        Cell {
            html: value.map_or_else(|| "–".to_owned(), shown),
            value,
            is_number: true,
        }
    }

    /// A number of things.
    pub(crate) fn count(n: u64) -> Cell {
        let shown = |_| crate::units::count(n);
        Cell::number(Some(n as f64), shown)
    }

    /// A number of things whose 0 is nothing to look at.
    pub(crate) fn fault(n: u64) -> Cell {
        let mut cell = Cell::count(n);
        if n == 0 {
            cell.html = "<span class=nil>0</span>".to_owned();
        }
        cell
    }
}

/// A table whose columns can be sorted; titles may have markup of ours.
pub(crate) fn table(class: &str, titles: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut out = format!("<div class=scroll><table class=\"{class}\"><thead><tr>");
    let is_number = |at: usize| {
        let cell = rows.first().and_then(|row| row.get(at));
        cell.is_some_and(|cell| cell.is_number)
    };
    for (at, title) in titles.iter().enumerate() {
        let class = if is_number(at) { " class=n" } else { "" };
        let _ = write!(out, "<th scope=col{class}>{title}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let class = if cell.is_number { " class=n" } else { "" };
            let value = cell
                .value
                .map_or_else(String::new, |value| format!(" data-v=\"{value}\""));
            let _ = write!(out, "<td{class}{value}>{}</td>", cell.html);
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_is_no_markup_and_not_long() {
        assert_eq!(
            text("<script>'\"&\u{202e}\n"),
            "&lt;script&gt;&#39;&quot;&amp;\\u{202e}\\n"
        );
        assert!(text(&"<".repeat(100_000)).len() <= 4 * MAX_TEXT_BYTES + 3);
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_has_no_value() {
        let html = table(
            "t",
            &["a", "b"],
            &[vec![Cell::text("x"), Cell::number(None, |v| v.to_string())]],
        );
        assert!(html.contains("<td class=n>–</td>"), "{html}");
        assert!(html.contains("<th scope=col class=n>b</th>"), "{html}");
    }
}
