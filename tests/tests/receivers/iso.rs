//! Times as ISO 8601 writes them, in UTC.

use anyhow::{Context as _, Result, ensure};

/// `2026-11-24T04:10:51.726547+00:00` as nanoseconds since the epoch.
pub(crate) fn ns(text: &str) -> Result<i64> {
    let text = text
        .strip_suffix("+00:00")
        .or(text.strip_suffix('Z'))
        .context("no UTC")?;
    let (date, time) = text.split_once('T').context("no date and time")?;
    let numbers = |text: &str, between: char| -> Result<Vec<i64>> {
        text.split(between).map(|n| Ok(n.parse()?)).collect()
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?[..] else {
        anyhow::bail!("no date: {date}")
    };
    let [hour, minute, second] = numbers(time, ':')?[..] else {
        anyhow::bail!("no time: {time}")
    };
    ensure!(fraction.len() <= 9, "{fraction}");
    let fraction: i64 = format!("{fraction:0<9}").parse()?;
    // Days by the calendar whose year begins in March.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Ok(seconds * 1_000_000_000 + fraction)
}
