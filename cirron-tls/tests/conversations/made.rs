//! What no library here does on demand, by records of our own: padding, key updates, large holes, limits.

use cirron_tls::{
    Connection, Dir, Label, Learned, MAX_HELD_BYTES, MAX_POOL_SECRETS, Pool, Reason, Verdict,
};

use crate::script::{Line, Run, Script};
use crate::seal::{Ends, HANDSHAKE, Suite};

/// Behind its handshake.
fn begun(suite: Suite) -> (Run, Ends) {
    let (mut run, ends) = (Run::new(), Ends::new(suite));
    for (label, secret) in &ends.secrets {
        run.learn(7, *label, [1; 32], secret);
    }
    for (dir, bytes) in &ends.handshake {
        run.bytes(*dir, bytes);
    }
    assert!(run.connection.facts().is_bound);
    (run, ends)
}

#[test]
fn padding_is_no_plaintext_and_a_record_of_nothing_is_none() {
    let (mut run, mut ends) = begun(Suite::Gcm);
    for (bytes, padding) in [(&b"abc"[..], 0), (b"def", 1), (b"", 100), (b"ghi\0", 5000)] {
        run.bytes(Dir::Received, &ends.client.record(23, bytes, padding));
    }
    assert_eq!(run.kept.received.plain, b"abcdefghi\0");
    // Padding alone has no kind: what its keys open is no record.
    run.bytes(Dir::Received, &ends.client.record(0, b"", 10));
    run.bytes(Dir::Received, &ends.client.data(b"jkl"));
    run.end();
    assert_eq!(run.kept.received.plain, b"abcdefghi\0jkl");
    assert_eq!(run.connection.counts().failed_records, 1);
    assert_eq!(run.kept.received.gaps, [(10, Some(10))]);
}

#[test]
fn key_updates_are_followed_also_inside_a_hole() {
    for suite in [Suite::Gcm, Suite::ChaCha20] {
        let (mut run, mut ends) = begun(suite);
        run.bytes(Dir::Received, &ends.client.data(b"first "));
        run.bytes(Dir::Received, &ends.client.update());
        run.bytes(Dir::Received, &ends.client.data(b"second "));
        for updates in 1..=3 {
            let mut lost = ends.client.data(b"never seen");
            for _ in 0..updates {
                lost.extend(ends.client.update());
                lost.extend(ends.client.data(b"nor this"));
            }
            run.gap(Dir::Received, lost.len() as u64);
            run.bytes(Dir::Received, &ends.client.data(b"behind "));
        }
        run.end();
        assert_eq!(
            run.kept.received.plain,
            b"first second behind behind behind "
        );
        let gaps: Vec<_> = run.kept.received.gaps.iter().map(|(_, len)| *len).collect();
        assert_eq!(gaps, [None, None, None], "{suite:?}: a message is in them");
        assert_eq!(run.kept.verdict, None);
    }
}

#[test]
fn ten_thousand_lost_records_are_a_gap_of_exact_length() {
    for (suite, tries) in [(Suite::Gcm, 1), (Suite::ChaCha20, 20_000)] {
        let (mut run, mut ends) = begun(suite);
        run.bytes(Dir::Received, &ends.client.data(&[b'x'; 200]));
        let mut lost = 0;
        for i in 0..10_000 {
            lost += ends.client.data(&[b'y'; 200][..50 + i % 150]).len();
        }
        run.gap(Dir::Received, lost as u64);
        run.bytes(Dir::Received, &ends.client.data(b"behind"));
        run.end();
        let expected = lost as u64 - 10_000 * 22;
        assert_eq!(run.kept.received.gaps, [(200, Some(expected))], "{suite:?}");
        assert!(run.kept.received.plain.ends_with(b"behind"));
        let searched = run.connection.counts().searched;
        assert!(searched <= tries, "{suite:?}: {searched}");
    }
}

#[test]
fn a_hole_that_cannot_be_searched_ends_the_connection_and_says_so() {
    let (mut run, mut ends) = begun(Suite::ChaCha20);
    run.bytes(Dir::Received, &ends.client.data(&[b'x'; 16_000]));
    let mut lost = 0;
    for _ in 0..20_000 {
        lost += ends.client.data(b"").len();
    }
    run.gap(Dir::Received, lost as u64);
    run.bytes(Dir::Received, &ends.client.data(&[b'z'; 16_000]));
    assert_eq!(run.kept.verdict, Some(Verdict::GaveUp(Reason::Lost)));
    assert_eq!(run.kept.received.plain.len(), 16_000);
    let searched = run.connection.counts().searched;
    assert!((1_000..3_000).contains(&searched), "{searched}");
}

#[test]
fn a_ticket_before_the_server_s_first_data_makes_a_gap_of_unknown_length() {
    let (mut run, mut ends) = begun(Suite::Gcm);
    let ticket = ends
        .server
        .record(HANDSHAKE, &[&[4, 0, 0, 100][..], &[0; 100]].concat(), 0);
    run.gap(Dir::Sent, ticket.len() as u64);
    run.bytes(Dir::Sent, &ends.server.data(b"data"));
    let lost = ends.server.data(b"lost");
    run.gap(Dir::Sent, lost.len() as u64);
    run.bytes(Dir::Sent, &ends.server.data(b"more"));
    run.end();
    assert_eq!(run.kept.sent.gaps, [(0, None), (4, Some(4))]);
    assert_eq!(run.kept.sent.plain, b"datamore");
}

#[test]
fn what_follows_a_close_is_counted_and_not_read() {
    let (mut run, mut ends) = begun(Suite::Gcm);
    run.bytes(Dir::Received, &ends.client.record(21, &[1, 0], 0));
    assert!(run.kept.received.closed);
    let more = ends.client.data(b"more");
    run.bytes(Dir::Received, &more);
    assert!(run.kept.received.plain.is_empty());
    assert_eq!(run.connection.counts().unread_bytes, more.len() as u64);
    run.bytes(Dir::Sent, &ends.server.data(b"still"));
    assert_eq!(run.kept.sent.plain, b"still");
}

#[test]
fn the_tries_of_one_connection_are_bounded() {
    let ends = Ends::new(Suite::Gcm);
    let mut run = Run::new();
    let mut secret = [9; 32];
    for i in 0..3_000u64 {
        secret[..8].copy_from_slice(&i.to_be_bytes());
        run.learn(100 + i, Label::ServerHandshake, [3; 32], &secret);
    }
    for (dir, bytes) in &ends.handshake {
        run.bytes(*dir, bytes);
    }
    assert_eq!(run.kept.verdict, Some(Verdict::GaveUp(Reason::NoMatch)));
    assert_eq!(run.connection.counts().trials, 2_048);
}

#[test]
fn a_secret_is_tried_once_however_often_one_comes() {
    let ends = Ends::new(Suite::Gcm);
    let mut run = Run::new();
    for (dir, bytes) in &ends.handshake {
        run.bytes(*dir, bytes);
    }
    for i in 0..100u8 {
        run.learn(
            u64::from(i),
            Label::ServerHandshake,
            [3; 32],
            &[i + 100; 32],
        );
    }
    assert_eq!(run.connection.counts().trials, 100);
}

#[test]
fn a_pool_keeps_its_bound_and_counts_what_it_wiped() {
    let mut pool = Pool::new();
    let mut secret = [0; 48];
    for i in 0..MAX_POOL_SECRETS as u64 + 10 {
        secret[..8].copy_from_slice(&i.to_be_bytes());
        for (label, len) in [(Label::ServerHandshake, 32), (Label::Master, 48)] {
            let learned = Learned {
                object: i,
                label,
                client_random: None,
                secret: &secret[..len],
            };
            assert!(pool.learn(learned));
            // A master that comes again is that of a session which is resumed.
            assert_eq!(pool.learn(learned), label == Label::Master, "the same");
        }
    }
    let counts = pool.counts();
    assert_eq!(pool.unbound(), MAX_POOL_SECRETS);
    assert_eq!((counts.evicted_unbound, counts.evicted_masters), (10, 10));
    assert_eq!(counts.repeated, 2 * (MAX_POOL_SECRETS as u64 + 10));
    let short = Learned {
        object: 0,
        label: Label::Master,
        client_random: None,
        secret: &secret[..16],
    };
    assert!(!pool.learn(short));
    assert_eq!(pool.counts().bad_length, 1);
}

#[test]
fn objects_that_are_used_again_have_sets_of_their_own() {
    let mut pool = Pool::new();
    for turn in 0..3u8 {
        for (label, byte) in [(Label::ClientHandshake, 10), (Label::ServerHandshake, 20)] {
            let secret = [byte + turn; 32];
            pool.learn(Learned {
                object: 5,
                label,
                client_random: None,
                secret: &secret,
            });
        }
    }
    assert_eq!(pool.unbound(), 3);
}

#[test]
fn a_secret_that_comes_too_late_finds_nothing_left() {
    let (mut run, mut ends) = (Run::new(), Ends::new(Suite::Gcm));
    for (dir, bytes) in &ends.handshake {
        run.bytes(*dir, bytes);
    }
    let mut passed = 0;
    while passed <= MAX_HELD_BYTES {
        let record = ends.client.data(&[b'x'; 10_000]);
        assert!(run.connection.held_bytes() >= passed);
        passed += record.len();
        run.bytes(Dir::Received, &record);
    }
    assert_eq!(run.kept.verdict, Some(Verdict::GaveUp(Reason::NoSecret)));
    for (label, secret) in &ends.secrets {
        run.learn(7, *label, [1; 32], secret);
    }
    assert!(run.kept.received.plain.is_empty());
    assert_eq!(run.connection.held_bytes(), 0);
}

#[test]
fn a_hello_that_is_too_long_or_of_an_old_version_is_said() {
    let long = [22, 3, 1, 0, 4, 1, 1, 0, 0];
    let mut run = Run::new();
    run.bytes(Dir::Received, &long);
    assert_eq!(
        run.kept.verdict,
        Some(Verdict::GaveUp(Reason::HelloTooLong))
    );
    let hello = |version: u8, suite: [u8; 2]| {
        let body = [&[3, version][..], &[2; 32], &[0], &suite, &[0]].concat();
        let message = [&[2, 0, 0, 38][..], &body].concat();
        [&[22, 3, version, 0, 42][..], &message].concat()
    };
    for (version, suite, reason) in [
        (2, [0, 0x2F], Reason::Version),
        (3, [0, 0x05], Reason::Suite(5)),
        (3, [0x13, 0x01], Reason::Suite(0x1301)),
    ] {
        let mut run = Run::new();
        run.bytes(Dir::Sent, &hello(version, suite));
        assert_eq!(run.kept.verdict, Some(Verdict::GaveUp(reason)));
    }
}

#[test]
fn both_ends_in_one_process_share_a_set_where_the_random_is_told() {
    let ends = Ends::new(Suite::Gcm);
    let mut pool = Pool::new();
    for (label, secret) in &ends.secrets {
        let client_random = Some([1; 32]);
        pool.learn(Learned {
            object: 1,
            label: *label,
            client_random,
            secret,
        });
    }
    let mut runs = [Run::new(), Run::new()];
    let [server, client] = &mut runs;
    server.pool = pool;
    for (dir, bytes) in &ends.handshake {
        server.bytes(*dir, bytes);
        std::mem::swap(&mut server.pool, &mut client.pool);
        client.bytes(dir.other(), bytes);
        std::mem::swap(&mut server.pool, &mut client.pool);
    }
    let mut ends = ends;
    let record = ends.client.data(b"once");
    server.bytes(Dir::Received, &record);
    std::mem::swap(&mut server.pool, &mut client.pool);
    client.bytes(Dir::Sent, &record);
    assert_eq!(server.kept.received.plain, b"once");
    assert_eq!(client.kept.sent.plain, b"once");
    assert_eq!(client.pool.counts().bound, 2);
}

#[test]
fn a_connection_joined_late_is_read_by_its_traffic_secrets() {
    for suite in [Suite::Gcm, Suite::ChaCha20] {
        for (cut, gaps) in [(0, 0), (3, 1), (20, 1)] {
            let mut ends = Ends::new(suite);
            for _ in 0..50 {
                ends.client.data(b"long ago");
                ends.server.data(b"long ago");
            }
            let mut run = Run::new();
            run.connection = Connection::late(0);
            if cut > 0 {
                run.bytes(Dir::Received, &ends.client.data(b"cut off")[cut..]);
            }
            run.bytes(Dir::Received, &ends.client.data(b"asked"));
            run.bytes(Dir::Sent, &ends.server.data(b"answered"));
            assert!(run.connection.waits());
            for other in 0..5u8 {
                run.learn(
                    50 + u64::from(other),
                    Label::ServerTraffic,
                    [0; 32],
                    &[other; 32],
                );
            }
            for (label, secret) in &ends.secrets {
                run.learn(7, *label, [0; 32], secret);
            }
            run.bytes(Dir::Received, &ends.client.data(b" more"));
            assert_eq!(
                run.kept.received.plain, b"asked more",
                "{suite:?} cut at {cut}"
            );
            assert_eq!(run.kept.sent.plain, b"answered", "{suite:?} cut at {cut}");
            assert_eq!(run.kept.received.gaps.len(), gaps);
            assert_eq!(run.kept.sent.gaps, []);
            assert_eq!(run.connection.facts().client, Some(Dir::Received));
        }
    }
}

/// Learns what `name` needs, then 100 masters of others, then sees its bytes.
fn behind_others(name: &str) -> (Run, Script) {
    let script = Script::read(name);
    let mut run = Run::new();
    for line in &script.lines {
        if let Line::Key(..) = line {
            run.line(line);
        }
    }
    for other in 0..100u8 {
        run.learn(100 + u64::from(other), Label::Master, [0; 32], &[other; 48]);
    }
    for line in &script.lines {
        if let Line::Bytes(..) = line {
            run.line(line);
        }
    }
    (run, script)
}

/// GnuTLS and Go do not tell the master of a session that is resumed.
#[test]
fn a_resumed_session_is_found_among_all_masters_and_a_full_handshake_among_the_last() {
    for name in ["12-resumed-ticket-server", "12-resumed-id-client"] {
        let (mut run, script) = behind_others(name);
        run.end();
        run.expect_all_of(&script, "behind others");
        assert_eq!(run.connection.counts().trials, 101);
    }
    let (mut run, script) = behind_others("12-aes128-server");
    assert!(run.connection.waits());
    // Each direction tried the last ones.
    assert!(run.connection.counts().trials <= 64);
    for line in &script.lines {
        if let Line::Key(..) = line {
            run.line(line);
        }
    }
    run.end();
    run.expect_all_of(&script, "told again");
}
