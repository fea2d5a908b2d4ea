//! Conversations whose bytes all came, in order.

use cirron_tls::{Dir, Facts, Label, Reason, Verdict, Version};

use crate::script::{Line, Run, Script};

/// As it was.
fn run(script: &Script) -> Run {
    let mut run = Run::new();
    for line in &script.lines {
        run.line(line);
    }
    run.end();
    run
}

#[test]
fn every_conversation_is_read_in_full() {
    for script in Script::all() {
        let run = run(&script);
        run.expect_all_of(&script, "as it was");
        let Facts {
            is_bound, client, ..
        } = run.connection.facts();
        let viewed = if script.name.ends_with("-client") {
            Dir::Sent
        } else {
            Dir::Received
        };
        assert!(is_bound, "{}", script.name);
        assert_eq!(client, Some(viewed), "{}", script.name);
        // All secrets of the renegotiated one were told before its first byte: the newest is tried first.
        let trials = if script.name.contains("renegotiated") {
            3
        } else {
            1
        };
        assert_eq!(run.connection.counts().trials, trials, "{}", script.name);
        assert_eq!(run.pool.unbound(), 0, "{}", script.name);
    }
}

#[test]
fn the_facts_are_those_of_the_hellos() {
    let facts = |name| run(&Script::read(name)).connection.facts();
    assert_eq!(facts("13-aes128-server").suite, Some(0x1301));
    assert_eq!(facts("13-aes256-client").suite, Some(0x1302));
    assert_eq!(facts("13-chacha-server").suite, Some(0x1303));
    assert_eq!(facts("13-chacha-server").version, Some(Version::Tls13));
}

#[test]
fn close_notify_is_told_in_both_directions() {
    let run = run(&Script::read("13-aes128-server"));
    assert!(run.kept.sent.closed && run.kept.received.closed);
}

#[test]
fn pieces_of_any_size_give_the_same() {
    for script in Script::all() {
        for size in [1, 2, 3, 5, 7, 64, 1000] {
            if script.sent.len() + script.received.len() > 10_000 && size < 64 {
                continue;
            }
            let mut run = Run::new();
            for line in &script.lines {
                match line {
                    Line::Key(..) => run.line(line),
                    Line::Bytes(dir, bytes) => {
                        for piece in bytes.chunks(size) {
                            run.bytes(*dir, piece);
                        }
                    }
                }
            }
            run.end();
            run.expect_all_of(&script, &format!("in pieces of {size}"));
        }
    }
}

#[test]
fn a_cut_anywhere_gives_the_same() {
    let script = Script::read("13-aes128-server");
    for (at, line) in script.lines.iter().enumerate() {
        let Line::Bytes(dir, bytes) = line else {
            continue;
        };
        for cut in 1..bytes.len() {
            let mut run = Run::new();
            for line in &script.lines[..at] {
                run.line(line);
            }
            run.bytes(*dir, &bytes[..cut]);
            run.bytes(*dir, &bytes[cut..]);
            for line in &script.lines[at + 1..] {
                run.line(line);
            }
            run.end();
            run.expect_all_of(&script, &format!("line {at} cut at {cut}"));
        }
    }
}

/// Each direction as one stream, one after the other; and the secrets first, in the middle, or last.
#[test]
fn the_order_of_directions_and_secrets_does_not_matter() {
    for script in Script::all() {
        if script.stream(Dir::Sent).len() + script.stream(Dir::Received).len() > 60_000 {
            continue;
        }
        for first in [Dir::Sent, Dir::Received] {
            for keys_at in 0..3 {
                let mut run = Run::new();
                for turn in 0..3 {
                    if turn == keys_at {
                        for line in &script.lines {
                            if matches!(line, Line::Key(..)) {
                                run.line(line);
                            }
                        }
                    }
                    match turn {
                        0 => run.bytes(first, &script.stream(first)),
                        1 => run.bytes(first.other(), &script.stream(first.other())),
                        _ => {}
                    }
                }
                run.end();
                run.expect_all_of(&script, &format!("{first:?} first, keys at {keys_at}"));
            }
        }
    }
}

/// The mark of plaintext is that of the piece which completed its record, also where the secret came later.
#[test]
fn plaintext_has_the_mark_of_its_last_byte_whenever_its_secret_comes() {
    let script = Script::read("13-aes128-server");
    let in_time = run(&script);
    let mut late = Run::new();
    for line in &script.lines {
        if matches!(line, Line::Bytes(..)) {
            late.line(line);
        }
    }
    assert!(late.connection.waits());
    assert!(late.kept.sent.plain.is_empty() && late.kept.received.plain.is_empty());
    for line in &script.lines {
        if matches!(line, Line::Key(..)) {
            late.line(line);
        }
    }
    assert_eq!(late.kept, in_time.kept);
    assert!(!late.connection.waits());
}

#[test]
fn secrets_of_other_connections_are_tried_and_are_not_taken() {
    let script = Script::read("13-aes128-server");
    let mut run = Run::new();
    for other in 0..20u8 {
        for label in [Label::ClientHandshake, Label::ServerHandshake] {
            run.learn(100 + u64::from(other), label, [other; 32], &[other; 32]);
        }
    }
    for line in &script.lines {
        run.line(line);
    }
    run.end();
    run.expect_all_of(&script, "beside others");
    assert_eq!(run.connection.counts().trials, 1, "newest first");
    assert_eq!(run.pool.unbound(), 20);
    assert_eq!(run.pool.counts().bound, 1);
}

#[test]
fn where_the_random_is_told_no_other_connection_s_secret_is_tried() {
    let script = Script::read("13-aes128-server");
    let mut run = Run::new();
    run.with_random = true;
    for line in &script.lines {
        if let Line::Key(..) = line {
            run.line(line);
        }
    }
    for other in 0..20u8 {
        run.learn(7, Label::ServerHandshake, [other; 32], &[other; 32]);
    }
    for line in &script.lines {
        if let Line::Bytes(..) = line {
            run.line(line);
        }
    }
    run.end();
    run.expect_all_of(&script, "by random");
    assert_eq!(run.connection.counts().trials, 1);
}

#[test]
fn without_its_secret_nothing_is_said_and_what_waits_is_bounded() {
    let script = Script::read("13-large-client");
    let mut run = Run::new();
    for line in &script.lines {
        if let Line::Bytes(..) = line {
            run.line(line);
        }
    }
    assert!(run.connection.waits());
    assert_eq!(run.kept.verdict, None);
    let record = [&[23, 3, 3, 0x40, 0][..], &[5; 0x4000]].concat();
    for _ in 0..5 {
        run.bytes(Dir::Received, &record);
    }
    assert_eq!(run.kept.verdict, Some(Verdict::GaveUp(Reason::NoSecret)));
    assert!(run.kept.sent.plain.is_empty() && run.kept.received.plain.is_empty());
    assert!(!run.connection.waits());
    let unread = run.connection.counts().unread_bytes;
    assert!(unread > 64 * 1024, "{unread}");
    run.bytes(Dir::Received, b"more");
    assert_eq!(run.connection.counts().unread_bytes, unread + 4);
}

#[test]
fn a_changed_byte_gives_no_plaintext_of_its_record() {
    let script = Script::read("13-aes128-server");
    let whole = run(&script);
    let (at, bytes) = (script.lines.iter().enumerate())
        .filter_map(|(at, line)| match line {
            Line::Bytes(Dir::Sent, bytes) => Some((at, bytes)),
            Line::Bytes(..) | Line::Key(..) => None,
        })
        .nth_back(1)
        .unwrap();
    for byte in (0..bytes.len()).step_by(7) {
        let mut changed = script.clone();
        let mut bytes = bytes.clone();
        bytes[byte] ^= 1;
        changed.lines[at] = Line::Bytes(Dir::Sent, bytes);
        let run = run(&changed);
        assert!(
            whole.kept.sent.plain.starts_with(&run.kept.sent.plain),
            "byte {byte}"
        );
        assert!(
            run.kept.sent.plain.len() < whole.kept.sent.plain.len(),
            "byte {byte}"
        );
        assert!(
            !run.kept.sent.gaps.is_empty() || run.kept.verdict.is_some(),
            "byte {byte}"
        );
    }
}

#[test]
fn what_is_no_tls_is_said_at_once() {
    let mut run = Run::new();
    run.bytes(Dir::Received, b"GET / HTTP/1.1\r\n");
    assert_eq!(run.kept.verdict, Some(Verdict::NotTls));
}
