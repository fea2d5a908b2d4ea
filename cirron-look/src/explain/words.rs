//! An explanation in words and numbers, for a terminal.

use std::fmt::Write as _;

use cirron_spool::shown::shown;

use super::{Compared, Explained, Told, Which};
use crate::figures::date_time;
use crate::units::{count, ms, percent, plural};

/// All of it, line by line. Text of the spool is made safe.
pub fn words(explained: &Explained, which: &Which) -> String {
    let mut out = String::new();
    let n = explained.calls.len();
    let more = explained.matched.saturating_sub(n);
    match which {
        _ if n == 0 && explained.chosen_from == 0 => {
            out.push_str("There is no request in this spool.\n")
        }
        Which::SlowerThan(least) if n == 0 => {
            let _ = writeln!(
                out,
                "None of {} took longer than {}.",
                plural(explained.chosen_from as u64, "call", "calls"),
                ms(least.as_secs_f64() * 1e3)
            );
        }
        _ if n == 0 => out.push_str("No call has a latency: of none both ends were seen.\n"),
        Which::Slowest => {
            let all = plural(explained.chosen_from as u64, "call", "calls");
            let _ = writeln!(out, "The slowest {} of {all}.", count(n as u64));
        }
        Which::SlowerThan(least) => {
            let _ = writeln!(
                out,
                "{} of {} took longer than {}{}.",
                count(explained.matched as u64),
                plural(explained.chosen_from as u64, "call", "calls"),
                ms(least.as_secs_f64() * 1e3),
                match more {
                    0 => String::new(),
                    _ => format!("; these are the slowest {} (--limit)", count(n as u64)),
                }
            );
        }
        Which::Id(_) if more > 0 => {
            let _ = writeln!(
                out,
                "{} have this id; these are {n} of them (--limit).",
                explained.matched
            );
        }
        Which::Id(_) => {}
    }
    for told in &explained.calls {
        out.push('\n');
        one(&mut out, told);
    }
    out.replace('\u{a0}', " ")
}

fn one(out: &mut String, told: &Told) {
    let latency = told.latency_ms.map_or_else(|| "unknown".to_owned(), ms);
    let id = told.request_id.as_deref().unwrap_or(&told.span_id);
    let mut head = vec![latency, safe(&told.endpoint)];
    head.extend(told.model.as_deref().map(safe));
    head.extend(told.status.map(|status| status.to_string()));
    head.extend(
        told.error_type
            .as_deref()
            .map(|error| format!("error {}", safe(error))),
    );
    head.extend(
        told.aborted_by
            .as_deref()
            .map(|who| format!("aborted by {}", safe(who))),
    );
    let _ = writeln!(out, "{}", head.join("  "));
    let mut at = format!("  {} UTC  request {}", date_time(told.start_ns), safe(id));
    if let Some(pid) = told.pid {
        let name = told.process.as_deref().map(safe).unwrap_or_default();
        let _ = write!(at, "  {name} pid {pid}");
    }
    let _ = writeln!(out, "{at}");
    parts(out, told);
    done(out, told);
    gaps(out, told);
    usual(out, told);
    for (at, sentence) in told.unknown.iter().enumerate() {
        let what = if at == 0 { "not known" } else { "" };
        line(out, what, &safe(sentence));
    }
}

fn line(out: &mut String, what: &str, text: &str) {
    let _ = writeln!(out, "  {what:<11} {text}");
}

fn parts(out: &mut String, told: &Told) {
    if let Some(waited) = told.waited_ms {
        line(
            out,
            "before it",
            &format!("{} until the process read it", ms(waited)),
        );
    }
    let Some(whole) = told.latency_ms else { return };
    let is_one = told.parts.len() == 1;
    for (at, part) in told.parts.iter().enumerate() {
        let words = match (part.from, part.to) {
            _ if is_one => "from its first byte to its end",
            ("start", "first_byte") => "from its first byte to the first byte of its answer",
            ("start", "first_token") => "from its first byte to its first token",
            ("first_byte", "first_token") => "from there to its first token",
            ("first_token", _) => "from its first token to its end",
            _ => "from there to its end",
        };
        let mut text = format!("{} {words}", ms(part.ms));
        if !is_one {
            let _ = write!(text, " ({})", share(part.ms, whole));
        }
        if part.in_calls_ms > 0.0 {
            let _ = write!(
                text,
                "; {} of that its own calls cover",
                ms(part.in_calls_ms)
            );
        }
        if part.from == "first_token" {
            text.push_str(&tokens(told));
        }
        let what = if at == 0 {
            format!("of {}", ms(whole))
        } else {
            String::new()
        };
        line(out, &what.replace('\u{a0}', " "), &text);
    }
}

fn tokens(told: &Told) -> String {
    let about = if told.is_estimated { "about " } else { "" };
    match (told.tokens_out, told.per_token_ms) {
        (Some(n), Some(per)) => format!(
            ": {about}{}, {} each",
            plural(n, "token", "tokens"),
            ms(per)
        ),
        (Some(n), None) => format!(": {about}{}", plural(n, "token", "tokens")),
        (None, _) => String::new(),
    }
}

fn share(part: f64, whole: f64) -> String {
    percent((part * 1e6) as u64, (whole * 1e6) as u64)
}

fn done(out: &mut String, told: &Told) {
    for done in &told.done {
        let what = match done.kind {
            "http.client" => plural(done.number as u64, "call", "calls"),
            "net.client" => format!(
                "{} of a connection without HTTP",
                plural(done.number as u64, "use", "uses")
            ),
            _ => plural(
                done.number as u64,
                "scope of its program",
                "scopes of its program",
            ),
        };
        let mut text = format!("{what} cover {}", ms(done.ms));
        if let Some(before) = done.before_first_token_ms {
            let _ = write!(text, ", {} of it before the first token", ms(before));
        }
        if done.open > 0 {
            let _ = write!(text, "; {} had not ended", count(done.open as u64));
        }
        line(out, "for it", &text);
        for (name, length) in &done.longest {
            line(out, "", &format!("  {} {}", ms(*length), safe(name)));
        }
    }
    if let Some(own) = told.own_ms {
        // Of a stream that hands on another one it is of what came before the first token.
        let of = match told.own_of.as_deref() {
            Some("time_to_first_token_ms") => " before its first token",
            Some(_) | None => "",
        };
        let text = format!("{}{of} that none of its calls covers", ms(own));
        line(out, "own share", &text);
    }
}

fn gaps(out: &mut String, told: &Told) {
    let gaps = &told.gaps;
    let Some(longest) = gaps.longest_ms.or_else(|| Some(gaps.told.first()?.ms)) else {
        return;
    };
    let mut text = format!("{} is the longest", ms(longest));
    if let Some(median) = gaps.median_ms {
        let _ = write!(text, "; their median is {}", ms(median));
    }
    line(out, "gaps", &text);
    if gaps.streams_unlooked > 0 && !gaps.told.is_empty() {
        let n = count(gaps.streams_unlooked as u64);
        line(
            out,
            "",
            &format!("  {n} more streams of its process were not looked at"),
        );
    }
    for gap in &gaps.told {
        let mut text = format!(
            "  {} of it {} after its beginning",
            ms(gap.ms),
            ms(gap.at_ms)
        );
        match (gap.others, gap.others_still) {
            (0, _) => {
                text.push_str("; no other stream of its process is known to have been under way")
            }
            (n, 0) => {
                let _ = write!(
                    text,
                    "; none of {} stood still",
                    plural(n as u64, "other stream", "other streams")
                );
            }
            (n, still) => {
                let all = if n == still { "all of " } else { "" };
                let of = if n == still {
                    String::new()
                } else {
                    format!("{} of ", count(still as u64))
                };
                let _ = write!(
                    text,
                    "; {all}{of}{} of its process that were under way stood still as well",
                    plural(n as u64, "other stream", "other streams")
                );
            }
        }
        line(out, "", &text);
    }
}

fn usual(out: &mut String, told: &Told) {
    let usual = &told.usual;
    let calls = plural(usual.calls as u64, "other call", "other calls");
    let when = match usual.within_s {
        Some(s) => format!("that began within {} min of it", s / 60),
        None => "of the whole spool".to_owned(),
    };
    let of = match usual.of_process {
        true => "process, endpoint and model",
        false => "endpoint and model",
    };
    if usual.compared.is_empty() {
        let few = format!("{calls} of this endpoint and model ended well: too few to compare with");
        line(out, "usual", &few);
        return;
    }
    line(
        out,
        "usual",
        &format!("medians of {calls} of this {of} {when}:"),
    );
    for compared in &usual.compared {
        line(out, "", &format!("  {}", against(compared)));
    }
}

fn against(compared: &Compared) -> String {
    let is_time = compared.what.ends_with("_ms");
    let shown = |value: f64| match is_time {
        true => ms(value),
        false => count(value.round() as u64),
    };
    let name = match compared.what {
        "latency_ms" => "latency",
        "time_to_first_token_ms" => "first token",
        "time_per_output_token_ms" => "per token",
        "input_tokens" => "tokens in",
        "output_tokens" => "tokens out",
        _ => "in flight when it began",
    };
    let own = compared.own.map_or_else(|| "unknown".to_owned(), shown);
    let times = match compared.own {
        Some(own) if compared.median > 0.0 => format!(", {:.1} times", own / compared.median),
        Some(_) | None => String::new(),
    };
    format!("{name} {own}, median {}{times}", shown(compared.median))
}

fn safe(text: &str) -> String {
    shown(text).into_owned()
}
