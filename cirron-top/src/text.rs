//! The view as plain text, for `--once`: as wide as it is, for pipes and people alike.

use std::io::{self, Write};

use cirron_look::figures::{date_time, length_of_ms};
use cirron_spool::shown::shown;

use crate::view::{Choice, Figures, Line, Percentiles, View};

/// Lines that are written; how many there are beyond is said.
const MAX_LINES: usize = 100;

/// Writes it.
///
/// # Errors
/// Where `out` has one.
pub fn write(
    view: &View,
    choice: &Choice,
    notes: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "{} UTC, the last {:.0} s",
        date_time(view.wall_ns),
        view.window_s
    )?;
    for line in totals(view) {
        writeln!(out, "{line}")?;
    }
    let lines = view.chosen(choice);
    let rows: Vec<[String; COLUMNS.len()]> = lines
        .iter()
        .take(MAX_LINES)
        .map(|line| cells(line))
        .collect();
    if !rows.is_empty() {
        writeln!(out)?;
        let width = |at: usize| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(at))
                .map(|cell| cell.chars().count());
            cells
                .chain(COLUMNS.get(at).map(|title| title.len()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
        write_row(&COLUMNS.map(str::to_owned), &widths, out)?;
        for row in &rows {
            write_row(row, &widths, out)?;
        }
    }
    if lines.len() > MAX_LINES {
        writeln!(out, "... {} more lines", lines.len() - MAX_LINES)?;
    }
    for (pid, _, line) in &view.agents {
        writeln!(out, "agent {pid}: {}", shown(line))?;
    }
    for note in notes {
        writeln!(out, "{}", shown(note))?;
    }
    Ok(())
}

const COLUMNS: [&str; 16] = [
    "REQ/S", "OPEN", "TTFT50", "TTFT95", "TTFT99", "LAT50", "LAT95", "LAT99", "TPOT50", "IN/S",
    "OUT/S", "ERR", "ABRT", "PART", "WAY", "ENDPOINT",
];

fn cells(line: &Line) -> [String; COLUMNS.len()] {
    let f = &line.figures;
    [
        rate(f.requests_per_s),
        line.open.map_or_else(|| "-".to_owned(), |n| n.to_string()),
        ms(f.ttft_ms.p50),
        ms(f.ttft_ms.p95),
        ms(f.ttft_ms.p99),
        ms(f.latency_ms.p50),
        ms(f.latency_ms.p95),
        ms(f.latency_ms.p99),
        ms(f.tpot_ms.p50),
        tokens(f.input_per_s),
        tokens(f.output_per_s),
        f.failed.to_string(),
        f.aborted.to_string(),
        f.partial.to_string(),
        if line.key.is_call { "call" } else { "serve" }.to_owned(),
        name(line),
    ]
}

/// An endpoint with its model, fit for a terminal.
pub fn name(line: &Line) -> String {
    let endpoint = shown(&line.key.endpoint);
    match &line.key.model {
        Some(model) => format!("{endpoint} {}", shown(model)),
        None => endpoint.into_owned(),
    }
}

fn write_row(
    cells: &[String; COLUMNS.len()],
    widths: &[usize],
    out: &mut dyn Write,
) -> io::Result<()> {
    let last = cells.len() - 1;
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        match at {
            at if at >= last - 1 => {
                write!(out, "{cell:<width$}{}", if at == last { "" } else { "  " })?
            }
            _ => write!(out, "{cell:>width$}  ")?,
        }
    }
    writeln!(out)
}

/// What all that was served adds up to, in two lines of 80 columns.
pub fn totals(view: &View) -> [String; 2] {
    let Figures {
        requests: _,
        requests_per_s,
        ttft_ms,
        latency_ms,
        tpot_ms,
        input_per_s,
        output_per_s,
        failed,
        aborted,
        partial,
    } = &view.total;
    let open = view.open.map_or_else(|| "?".to_owned(), |n| n.to_string());
    [
        format!(
            "{} req/s  {open} open  {failed} errors  {aborted} aborted  {partial} partial  tokens/s {} in {} out",
            rate(*requests_per_s),
            tokens(*input_per_s),
            tokens(*output_per_s),
        ),
        // What falls off a narrow screen is what everybody knows.
        format!(
            "ttft {}  lat {}  tpot {}  p50/95/99",
            three(*ttft_ms),
            three(*latency_ms),
            three(*tpot_ms),
        ),
    ]
}

fn three(percentiles: Percentiles) -> String {
    match percentiles {
        Percentiles { p50: None, .. } => "-".to_owned(),
        Percentiles { p50, p95, p99 } => format!("{}/{}/{}", ms(p50), ms(p95), ms(p99)),
    }
}

/// Milliseconds, or a dash where nothing was measured.
pub fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), length_of_ms)
}

/// Tokens a second, or a dash where nobody said how many.
pub fn tokens(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), rate)
}

/// A number a second, with the digits that tell something.
pub fn rate(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v if v < 99_999.5 => format!("{v:.0}"),
        v => format!("{:.0}k", v / 1e3),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::line;

    #[test]
    fn text_of_a_client_s_cannot_leave_its_line() {
        let mut hostile = line("GET /\u{1b}[2J\n", Some("m\r"), 12.34);
        hostile.figures.ttft_ms = Percentiles {
            p50: Some(12.3),
            p95: Some(1_234.5),
            p99: None,
        };
        let view = View {
            lines: vec![hostile],
            window_s: 60.0,
            ..View::default()
        };
        let mut out = Vec::new();
        write(&view, &Choice::default(), &["a note".into()], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "1970-01-01 00:00:00 UTC, the last 60 s\n\
             0 req/s  ? open  0 errors  0 aborted  0 partial  tokens/s - in - out\n\
             ttft -  lat -  tpot -  p50/95/99\n\n\
             REQ/S  OPEN  TTFT50  TTFT95  TTFT99  LAT50  LAT95  LAT99  TPOT50  IN/S  OUT/S  ERR  ABRT  PART  WAY    ENDPOINT            \n \
             12.3     -  12.3ms   1.23s       -      -      -      -       -     -      -    0     0     0  serve  GET /\\u{1b}[2J\\n m\\r\n\
             a note\n"
        );
    }

    #[test]
    fn rates_have_the_digits_that_tell_something() {
        let got = [0.0, 0.5, 9.99, 10.0, 99.94, 100.4, 123_456.0].map(rate);
        assert_eq!(got, ["0", "0.50", "9.99", "10.0", "99.9", "100", "123k"]);
    }
}
