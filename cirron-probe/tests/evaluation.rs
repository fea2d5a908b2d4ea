//! Nobody listens: nothing is evaluated. A semaphore that is raised by hand, as a tracer raises it:
//! everything is, once.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::cell::Cell;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::Mutex;

use cirron_probe::{mark, open_request, open_scope, request, scope};

extern "C" {
    #[link_name = "cirron_probe_scope_begin_semaphore"]
    static SCOPE_BEGIN: AtomicU16;
    #[link_name = "cirron_probe_scope_open_semaphore"]
    static SCOPE_OPEN: AtomicU16;
    #[link_name = "cirron_probe_request_begin_semaphore"]
    static REQUEST_BEGIN: AtomicU16;
    #[link_name = "cirron_probe_request_open_semaphore"]
    static REQUEST_OPEN: AtomicU16;
    #[link_name = "cirron_probe_mark_semaphore"]
    static MARK: AtomicU16;
}

/// A site that takes an argument from a function that counts its calls.
type Site = fn(&dyn Fn() -> i64);

/// Semaphores are the process's, tests are threads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn count(semaphore: &AtomicU16, site: impl Fn(&dyn Fn() -> i64)) -> [i64; 3] {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let evaluated = Cell::new(0);
    let argument = || {
        evaluated.set(evaluated.get() + 1);
        evaluated.get()
    };
    let pass = || {
        site(&argument);
        evaluated.take()
    };
    let before = pass();
    semaphore.fetch_add(1, Ordering::Relaxed);
    let during = pass();
    semaphore.fetch_sub(1, Ordering::Relaxed);
    [before, during, pass()]
}

#[test]
fn arguments_are_evaluated_only_while_somebody_listens() {
    // SAFETY: the crate defines them, aligned and of this size.
    let semaphores = unsafe {
        [
            &SCOPE_BEGIN,
            &SCOPE_OPEN,
            &REQUEST_BEGIN,
            &REQUEST_OPEN,
            &MARK,
        ]
    };
    let [begin, open, request_begin, request_opened, marked] = semaphores;
    let sites: [(&AtomicU16, Site); 6] = [
        (begin, |side| drop(scope!("a", n = side()))),
        (begin, |side| drop(scope!("a", index = side()))),
        (open, |side| drop(open_scope!("a", n = side()))),
        (request_begin, |side| drop(request!(&side().to_string()))),
        (request_opened, |side| drop(open_request!("r", n = side()))),
        (marked, |side| mark!("a", side())),
    ];
    for (semaphore, site) in sites {
        assert_eq!(count(semaphore, site), [0, 1, 0]);
    }
    assert_eq!(
        count(marked, |side| mark!("a", 1, summary, n = side())),
        [0, 1, 0]
    );
    assert_eq!(
        count(marked, |side| mark!(on open_scope!("a"), "b", side())),
        [0, 1, 0]
    );
}

#[test]
fn what_began_unheard_stays_unheard() {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let unheard = cirron_probe::open_scope!("a");
    // SAFETY: as above.
    unsafe { SCOPE_OPEN.fetch_add(1, Ordering::Relaxed) };
    let heard = cirron_probe::open_scope!("b");
    // SAFETY: as above.
    unsafe { SCOPE_OPEN.fetch_sub(1, Ordering::Relaxed) };
    use cirron_probe::Target as _;
    assert_eq!(unheard.scope_id(), 0);
    assert_ne!(heard.scope_id(), 0);
}
