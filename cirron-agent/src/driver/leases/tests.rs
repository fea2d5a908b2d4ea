use super::*;

/// The `n`-th file, which has a number of its own.
fn name(n: u64) -> FileId {
    (1, n)
}

fn add(leases: &Leases, tgid: u32, n: u64, watched: bool) {
    let (seen, attachments) = match watched {
        true => (Seen::Watched, vec![Attachment::for_test(n)]),
        false => (Seen::Nothing, Vec::new()),
    };
    let key = FileKey::of_name(name(n));
    assert!(!leases.hold_opened(tgid, name(n), &key));
    assert_eq!(leases.add(tgid, name(n), key, seen, attachments), None);
}

fn closed(leases: &Leases, now: Instant) -> usize {
    leases.take_idle(now).len()
}

#[test]
fn a_file_is_closed_a_while_after_its_last_holder_has_gone() {
    let (leases, now) = (Leases::default(), Instant::now());
    add(&leases, 1, 7, true);
    assert_eq!(leases.hold(2, name(7)), Known::Held);
    assert_eq!(leases.hold(2, name(7)), Known::Held, "once for each");
    leases.end(1, None, now);
    assert!(!leases.has_idle());
    // The other one has unmapped it.
    leases.end(2, Some(&[]), now);
    assert!(leases.has_idle());
    assert_eq!(closed(&leases, now + LINGER - Duration::from_millis(1)), 0);
    assert_eq!(
        leases.hold(3, name(7)),
        Known::Held,
        "it was not closed yet"
    );
    assert_eq!(closed(&leases, now + LINGER * 2), 0);
    leases.end(3, None, now);
    assert_eq!(closed(&leases, now + LINGER), 1);
    assert_eq!(leases.hold(3, name(7)), Known::No);
    assert!(!leases.has_idle());
}

#[test]
fn a_look_lets_go_of_what_is_mapped_no_more_and_keeps_the_rest() {
    let (leases, now) = (Leases::default(), Instant::now());
    leases.begin(1);
    add(&leases, 1, 7, true);
    add(&leases, 1, 8, true);
    leases.end(1, Some(&[name(7), name(8)]), now);
    assert!(!leases.has_idle());
    leases.end(1, Some(&[name(8)]), now);
    assert_eq!(closed(&leases, now + LINGER), 1);
    assert_eq!(leases.get(name(8)), Some(Seen::Watched));
}

#[test]
fn a_child_holds_what_its_parent_does() {
    let (leases, now) = (Leases::default(), Instant::now());
    assert!(!leases.fork(1, 2), "its parent was not looked at");
    leases.begin(1);
    add(&leases, 1, 7, true);
    assert!(!leases.fork(1, 2), "its parent is being looked at");
    leases.end(1, Some(&[name(7)]), now);
    assert!(leases.fork(1, 3));
    for tgid in [1, 2] {
        leases.end(tgid, None, now);
        assert!(!leases.has_idle());
    }
    leases.end(3, None, now);
    assert_eq!(closed(&leases, now + LINGER), 1);
}

#[test]
fn one_file_under_two_names_is_leased_once() {
    let (leases, now) = (Leases::default(), Instant::now());
    add(&leases, 1, 7, true);
    let other = (2, 7);
    assert_eq!(leases.hold(2, other), Known::No);
    assert!(leases.hold_opened(2, other, &FileKey::of_name(name(7))));
    assert_eq!(leases.get(other), Some(Seen::Watched));
    leases.end(1, None, now);
    assert!(!leases.has_idle(), "held by its other name");
    leases.end(2, None, now);
    assert_eq!(closed(&leases, now + LINGER), 1);
    assert_eq!(leases.get(name(7)), None);
    assert_eq!(leases.get(other), None);
}

#[test]
fn a_number_that_was_given_away_is_another_file() {
    let (leases, now) = (Leases::default(), Instant::now());
    add(&leases, 1, 7, false);
    leases.end(1, None, now);
    assert_eq!(leases.hold(2, name(7)), Known::Doubtful);
    assert!(
        leases.hold_opened(2, name(7), &FileKey::of_name(name(7))),
        "it is the same"
    );
    leases.end(2, None, now);
    let next = FileKey::of_name(name(8));
    assert!(!leases.hold_opened(3, name(7), &next), "it is another");
    assert_eq!(leases.get(name(7)), None);
}

#[test]
fn files_are_forgotten_past_the_bound_and_held_ones_never() {
    let (leases, now) = (Leases::default(), Instant::now());
    add(&leases, 1, 0, false);
    for n in 1..MAX_FILES as u64 * 2 {
        let key = FileKey::of_name(name(n));
        leases.add(2, name(n), key, Seen::Nothing, Vec::new());
        leases.end(2, None, now);
        assert!(leases.lock().entries.len() <= MAX_FILES);
    }
    assert_eq!(leases.get(name(0)), Some(Seen::Nothing));
}

#[test]
fn watched_files_have_a_bound_and_an_idle_one_makes_room() {
    let (leases, now) = (Leases::default(), Instant::now());
    for n in 0..MAX_WATCHED as u64 {
        assert_eq!(leases.may_watch(), (true, Vec::new()));
        add(&leases, 1, n, true);
    }
    assert_eq!(leases.may_watch(), (false, Vec::new()));
    let but_first: Vec<FileId> = (1..MAX_WATCHED as u64).map(name).collect();
    leases.end(1, Some(&but_first), now);
    assert_eq!(leases.may_watch(), (true, vec![Attachment::for_test(0)]));
    assert_eq!(leases.may_watch(), (true, Vec::new()));
}

#[test]
fn too_many_idle_ones_are_closed_at_once_the_longest_idle_first() {
    let (leases, now) = (Leases::default(), Instant::now());
    let count = MAX_IDLE as u64 + 2;
    for n in 0..count {
        let tgid = u32::try_from(n).unwrap_or_default();
        add(&leases, tgid, n, true);
        leases.end(tgid, None, now + Duration::from_millis(n));
    }
    let closed = leases.take_idle(now + Duration::from_secs(1));
    assert_eq!(closed, [Attachment::for_test(0), Attachment::for_test(1)]);
}

/// As many processes as there may be come and go.
#[test]
fn nothing_is_left_of_processes_and_files_that_have_gone() {
    let (leases, now) = (Leases::default(), Instant::now());
    for tgid in 1..=1_000 {
        leases.begin(tgid);
        let names: Vec<FileId> = (0..5).map(|i| name(u64::from(tgid + i) % 200)).collect();
        for n in &names {
            if leases.hold(tgid, *n) == Known::No {
                add(&leases, tgid, n.1, true);
            }
        }
        leases.end(tgid, Some(&names), now);
        assert!(leases.fork(tgid, tgid + 10_000));
        leases.end(tgid, None, now);
        if tgid > 50 {
            leases.end(tgid + 9_950, None, now);
        }
    }
    for tgid in 951..=1_000 {
        leases.end(tgid + 10_000, None, now);
    }
    leases.take_idle(now + LINGER);
    let state = leases.lock();
    assert!(state.entries.is_empty() && state.names.is_empty() && state.processes.is_empty());
}

#[test]
fn a_process_runs_go_while_it_maps_a_watched_program_of_go() {
    let (leases, now) = (Leases::default(), Instant::now());
    let (of_c, of_go) = (name(7), name(8));
    for (file, made) in [
        (of_c, Attachment::for_test(7)),
        (of_go, Attachment::for_test(8).of_go(19)),
    ] {
        let key = FileKey::of_name(file);
        assert_eq!(leases.add(1, file, key, Seen::Watched, vec![made]), None);
    }
    assert_eq!(leases.go(1), Some(19));
    assert_eq!(leases.hold(2, of_c), Known::Held);
    assert_eq!(leases.go(2), None);
    assert_eq!(leases.go(3), None, "nobody");
    // It has called exec.
    leases.end(1, Some(&[of_c]), now);
    assert_eq!(leases.go(1), None);
}
