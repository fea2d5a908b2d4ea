//! Conversations with holes: whole records that survive are read, none is wrong, gaps have the length that was lost.

use cirron_tls::Dir;

use crate::script::{Line, Out, Run, Script};

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// A line of a run: its secrets, and pieces of which some are lost.
#[derive(Clone, Debug)]
enum Part {
    Line(Line),
    Lost(Dir, usize),
}

/// The script re-cut into pieces of up to `size`, of which one in `one_in` is lost once `from` of a direction's
/// bytes have passed.
fn with_holes(
    script: &Script,
    random: &mut Random,
    size: usize,
    one_in: usize,
    from: [usize; 2],
) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut passed = [0, 0];
    for line in &script.lines {
        let Line::Bytes(dir, bytes) = line else {
            parts.push(Part::Line(line.clone()));
            continue;
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + random.below(size)).min(rest.len()));
            rest = behind;
            let at = usize::from(*dir == Dir::Received);
            if passed[at] >= from[at] && random.below(one_in) == 0 {
                parts.push(Part::Lost(*dir, piece.len()));
            } else {
                parts.push(Part::Line(Line::Bytes(*dir, piece.to_vec())));
            }
            passed[at] += piece.len();
        }
    }
    parts
}

fn run(parts: &[Part]) -> Run {
    let mut run = Run::new();
    for part in parts {
        match part {
            Part::Line(line) => run.line(line),
            Part::Lost(dir, len) => run.gap(*dir, *len as u64),
        }
    }
    run.end();
    run
}

/// Where each record of a direction stands that has plaintext.
fn data_records(script: &Script, dir: Dir) -> Vec<std::ops::Range<usize>> {
    let mut run = Run::new();
    let mut records = Vec::new();
    let mut at = 0;
    for line in &script.lines {
        match line {
            Line::Bytes(of, bytes) if *of == dir => {
                // A line may end inside a record.
                let stream = script.stream(dir);
                let line_end = at + bytes.len();
                while at < line_end {
                    let len = u16::from_be_bytes([stream[at + 3], stream[at + 4]]);
                    let end = at + 5 + usize::from(len);
                    let before = run.kept.out(dir).marks.len();
                    run.bytes(dir, &stream[at..end]);
                    records.push((at..end, run.kept.out(dir).marks.len() - before));
                    at = end;
                }
            }
            Line::Bytes(..) | Line::Key(..) => run.line(line),
        }
    }
    let given: usize = records.iter().map(|(_, given)| given).sum();
    assert_eq!(
        run.kept.out(dir).plain,
        script.plain(dir),
        "{}",
        script.name
    );
    assert!(records.iter().all(|(_, given)| *given <= 1) || given < 4);
    records
        .into_iter()
        .filter(|(_, given)| *given > 0)
        .map(|(at, _)| at)
        .collect()
}

/// How many of them are whole in `parts`.
fn survivors(records: &[std::ops::Range<usize>], parts: &[Part], dir: Dir) -> usize {
    let mut seen = Vec::new();
    for part in parts {
        match part {
            Part::Line(Line::Bytes(of, bytes)) if *of == dir => {
                seen.extend(bytes.iter().map(|_| true));
            }
            Part::Lost(of, len) if *of == dir => seen.extend((0..*len).map(|_| false)),
            Part::Line(_) | Part::Lost(..) => {}
        }
    }
    let is_whole = |at: &&std::ops::Range<usize>| seen[at.start..at.end].iter().all(|seen| *seen);
    records.iter().filter(is_whole).count()
}

/// What came out stands in the plaintext where its gaps say. Gives whether all gaps are exact.
fn assert_right(plain: &[u8], out: &Out, what: &str) -> bool {
    let (mut at, mut given) = (0, 0);
    let mut all_exact = true;
    for (before, len) in out.gaps.iter().copied().chain([(out.plain.len(), Some(0))]) {
        let piece = &out.plain[given..before];
        if all_exact {
            assert!(plain[at..].starts_with(piece), "{what}: wrong at {at}");
        } else if !piece.is_empty() {
            // Somewhere behind; the texts of the fixtures do not repeat at this length.
            let found = plain[at..]
                .windows(piece.len())
                .position(|bytes| bytes == piece);
            at += found.unwrap_or_else(|| panic!("{what}: wrong behind {at}"));
            all_exact = true;
        }
        at += piece.len();
        given = before;
        match len {
            Some(len) => at += usize::try_from(len).unwrap(),
            None => all_exact = false,
        }
    }
    if all_exact {
        assert_eq!(at, plain.len(), "{what}: all of it");
    }
    all_exact
}

/// Of each direction, where what is protected by the last keys begins: past the last handshake record that stands
/// in clear, or past the first messages of TLS 1.3.
fn protected_from(script: &Script) -> [usize; 2] {
    let mut run = Run::new();
    let mut from = [usize::MAX; 2];
    let mut passed = [0, 0];
    for line in &script.lines {
        run.line(line);
        if let Line::Bytes(dir, bytes) = line {
            let at = usize::from(*dir == Dir::Received);
            passed[at] += bytes.len();
            if from[at] == usize::MAX && !run.kept.out(*dir).plain.is_empty() {
                from[at] = passed[at];
            }
        }
    }
    from
}

#[test]
fn every_whole_record_behind_a_hole_in_the_data_is_read_and_gaps_are_exact() {
    let mut random = Random(5);
    let (mut runs, mut exact, mut searched, mut records) = (0, 0, 0, 0);
    for script in Script::all() {
        // Handshakes inside are taken for data where they are in a hole.
        if script.name.contains("renegotiated") {
            continue;
        }
        let from = protected_from(&script);
        let data = [Dir::Sent, Dir::Received].map(|dir| data_records(&script, dir));
        let is_chained = script.name.contains("cbc");
        for (size, one_in) in [(300, 4), (40, 10), (1000, 3), (2000, 5)] {
            for _ in 0..8 {
                let parts = with_holes(&script, &mut random, size, one_in, from);
                let run = run(&parts);
                let what = format!("{} in {size}, {one_in}", script.name);
                assert_eq!(run.kept.verdict, None, "{what}");
                for dir in [Dir::Sent, Dir::Received] {
                    let out = run.kept.out(dir);
                    let all_exact = assert_right(script.plain(dir), out, &what);
                    let whole = survivors(&data[usize::from(dir == Dir::Received)], &parts, dir);
                    // Early data comes out later than its records, so that they are not told by it.
                    if !script.name.contains("early") {
                        assert_eq!(out.marks.len(), whole, "{what}: {dir:?}");
                        records += whole;
                    }
                    runs += 1;
                    exact += usize::from(all_exact);
                    // The last gap has nothing behind it.
                    let inexact = out
                        .gaps
                        .iter()
                        .filter(|(at, len)| len.is_none() && *at < out.plain.len());
                    if !is_chained
                        && !script.name.contains("renegotiated")
                        && !script.name.contains("updates")
                    {
                        assert_eq!(inexact.count(), 0, "{what}: {:?}", out.gaps);
                    }
                }
                searched += run.connection.counts().searched;
            }
        }
    }
    println!(
        "{runs} directions, {exact} exact throughout, {records} records read, {searched} numbers tried"
    );
    assert!(exact > runs / 3, "{exact} of {runs}");
}

#[test]
fn every_record_that_survives_a_hole_anywhere_is_read_or_the_connection_is_given_up() {
    let mut random = Random(11);
    let (mut whole, mut read, mut given_up, mut runs) = (0, 0, 0, 0);
    let (mut whole_13, mut read_13) = (0, 0);
    for script in Script::all() {
        if script.name.contains("early") {
            continue;
        }
        let data = [Dir::Sent, Dir::Received].map(|dir| data_records(&script, dir));
        let records = |dir| &data[usize::from(dir == Dir::Received)];
        for (size, one_in) in [(300, 6), (100, 20), (1500, 4)] {
            for _ in 0..12 {
                let parts = with_holes(&script, &mut random, size, one_in, [0, 0]);
                let run = run(&parts);
                let what = format!("{} in {size}, {one_in}", script.name);
                runs += 1;
                given_up += usize::from(run.kept.verdict.is_some());
                for dir in [Dir::Sent, Dir::Received] {
                    let mut out = run.kept.out(dir).clone();
                    if run.kept.verdict.is_some() {
                        out.gaps.push((out.plain.len(), None));
                    }
                    let facts = (dir, run.connection.facts(), run.connection.counts());
                    if !script.name.contains("renegotiated") {
                        assert_right(script.plain(dir), &out, &format!("{what} {facts:?}"));
                    }
                    let survive = survivors(records(dir), &parts, dir);
                    let out = run.kept.out(dir).marks.len();
                    // A renegotiation whose hellos were lost ends what can be read.
                    if run.connection.facts().is_bound && !script.name.contains("renegotiated") {
                        assert_eq!(out, survive, "{what} {facts:?}");
                    }
                    if script.name.starts_with("13-") {
                        whole_13 += survive;
                        read_13 += out;
                    }
                    whole += survive;
                    read += out;
                }
            }
        }
    }
    println!(
        "{runs} runs, {given_up} given up; {whole} whole records of data, {read} read; \
         of TLS 1.3 {whole_13}, {read_13} read"
    );
    assert!(read_13 * 20 >= whole_13 * 19, "{read_13} of {whole_13}");
}
