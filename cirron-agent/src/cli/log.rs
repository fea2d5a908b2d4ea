//! The form of a line of the log: what a target named itself cannot drive the terminal or begin a
//! line of its own. Without colours, so that `NO_COLOR` and dumb terminals have nothing to ask for.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use cirron_spool::shown::shown;

/// A form whose lines are shown safely.
#[derive(Debug)]
pub struct Shown<F>(pub F);

impl<S, N, F> FormatEvent<S, N> for Shown<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        // A writer of its own knows no colours, which would be shown by their numbers.
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writeln!(
            writer,
            "{}",
            shown(line.strip_suffix('\n').unwrap_or(&line))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Kept;

    #[test]
    fn a_name_of_a_target_stays_on_its_line_as_text() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(true)
            .without_time()
            .map_event_format(Shown)
            .finish();
        tracing::subscriber::with_default(log, || {
            let name = "lib\u{1b}[2J\u{9b}1m\n ERROR \u{202e}all is lost";
            tracing::warn!(file = name, "{name}: not watched");
        });
        let text = kept.text();
        let line = text.strip_suffix('\n').unwrap_or_default();
        assert!(
            line.contains("lib\\x1b[2J\\u{9b}1m\\n ERROR \\u{202e}all is lost: not"),
            "{text}"
        );
        assert_eq!(shown(line), line);
    }
}
