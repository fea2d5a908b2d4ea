//! What this process was started with and changes for itself: ignored signals, the limit of core
//! dumps. A command that it starts (`run`) gets back what was there.

use std::sync::OnceLock;

/// Signals whose being ignored at the start means something to us or to a command: a `nohup`, a
/// shell's background job, a parent that ignores the file size limit.
const SIGNALS: [i32; 5] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGXFSZ,
];

/// What was there at the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inherited {
    /// Which of [`SIGNALS`] were ignored.
    ignored: [bool; SIGNALS.len()],
    core_limit: Option<libc::rlimit>,
}

static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// Remembers what there is, and sets what this process wants: no dump of its memory, which holds
/// bodies and headers of others, and an error instead of a signal where a file reaches its limit.
/// Before any thread is started.
pub fn settle() {
    let mut inherited = Inherited::default();
    for (number, ignored) in SIGNALS.iter().zip(&mut inherited.ignored) {
        *ignored = is_ignored(*number);
    }
    inherited.core_limit = core_limit();
    let inherited = INHERITED.get_or_init(|| inherited);
    // SAFETY: ignoring a valid signal involves no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    heed(&[libc::SIGINT, libc::SIGTERM]);
    if let Some(limit) = &inherited.core_limit {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: limit.rlim_max,
        };
        // SAFETY: the limit is valid for the duration of the call.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    }
    forbid_dumps();
}

/// A signal that ends us is heeded from the first moment, not only once the supervisor catches it: a
/// shell ignores SIGINT for what it starts in the background, and one that came while we attach
/// would be lost.
fn heed(signals: &[i32]) {
    for number in signals.iter().filter(|number| is_ignored(**number)) {
        // SAFETY: the default action involves no handler, and the signal is valid.
        unsafe { libc::signal(*number, libc::SIG_DFL) };
    }
}

/// The kernel writes no dump of this process, to a file or to a collector; nor may processes of the
/// same user look into its memory. A change of capabilities may have allowed it again.
pub fn forbid_dumps() {
    let ours = rustix::process::DumpableBehavior::NotDumpable;
    if let Err(e) = rustix::process::set_dumpable_behavior(ours) {
        tracing::warn!("core dumps of this process cannot be forbidden: {e}");
    }
}

/// As it was at the start; nothing, where nobody looked.
pub fn inherited() -> Inherited {
    INHERITED.get().copied().unwrap_or_default()
}

impl Inherited {
    /// Whether the signal was ignored.
    pub fn is_ignored(&self, number: i32) -> bool {
        SIGNALS
            .iter()
            .zip(self.ignored)
            .any(|(n, ignored)| *n == number && ignored)
    }

    /// Puts it back, in a child before its exec: makes async-signal-safe calls only. Signals that
    /// are caught become the default ones by the exec itself.
    pub fn put_back(&self) {
        for (number, ignored) in SIGNALS.iter().zip(self.ignored) {
            let action = if ignored {
                libc::SIG_IGN
            } else {
                libc::SIG_DFL
            };
            // SAFETY: neither action involves a handler, and the signal is valid.
            unsafe { libc::signal(*number, action) };
        }
        if let Some(limit) = &self.core_limit {
            // SAFETY: the limit is valid for the duration of the call.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, limit) };
        }
    }
}

fn is_ignored(number: i32) -> bool {
    // SAFETY: all zeros is a valid value of this structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set; `action` is valid and writable.
    let rc = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) };
    rc == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn core_limit() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid and writable.
    let rc = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    (rc == 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_seen() {
        // Rust's runtime ignores it in every program.
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!is_ignored(libc::SIGUSR2));
        let mut inherited = Inherited::default();
        assert!(!inherited.is_ignored(libc::SIGHUP));
        inherited.ignored[0] = true;
        assert!(inherited.is_ignored(libc::SIGHUP) && !inherited.is_ignored(libc::SIGTERM));
        assert!(!inherited.is_ignored(libc::SIGUSR2));
    }

    #[test]
    fn a_signal_that_ends_us_is_ignored_no_more() {
        // SAFETY: ignoring a valid signal involves no handler; no other test asks for this one.
        unsafe { libc::signal(libc::SIGWINCH, libc::SIG_IGN) };
        assert!(is_ignored(libc::SIGWINCH));
        heed(&[libc::SIGWINCH]);
        assert!(!is_ignored(libc::SIGWINCH));
    }
}
