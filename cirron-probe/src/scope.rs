//! Scopes that begin and end on one thread: the guard of `scope!` and `request!`.
//!
//! ```text
//!            nobody listens                            (inert: no identity, nothing told, ever)
//! scope!() ─┬───────────────▶ ScopeGuard, id 0 ──drop──▶ nothing
//!           ├─ 64 are open ─▶ the same, and counted
//!           └───────────────▶ ScopeGuard ──drop──▶ off the thread's stack ─▶ scope_end, if somebody listens
//!              scope_begin, onto the thread's stack
//! ```
//!
//! A guard stays on its thread. What moves between threads is the handle (`handle.rs`).

use std::marker::PhantomData;

use crate::attributes::Attributes;
use crate::{sites, stack};

/// How a scope ended: the second argument of the probe `scope_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Ended,
    /// By a panic that unwound through it.
    Failed,
    /// Its future was dropped before it was ready.
    Cancelled,
}

impl Outcome {
    /// What the thread is at.
    pub(crate) fn here() -> Self {
        if std::thread::panicking() {
            Self::Failed
        } else {
            Self::Ended
        }
    }

    const fn code(self) -> u64 {
        match self {
            Self::Ended => 0,
            Self::Failed => 1,
            Self::Cancelled => 2,
        }
    }
}

/// Tells that a scope ended. The caller took it off the stack.
pub(crate) fn tell_end(id: u64, outcome: Outcome) {
    if sites::scope_end::listens() {
        sites::scope_end::hit((id, outcome.code()));
    }
}

/// A scope that ends when this is dropped; made by [`scope!`](crate::scope) and
/// [`request!`](crate::request).
///
/// It stays on its thread, which the compiler sees to:
///
/// ```compile_fail
/// let guard = cirron_probe::scope!("preprocess");
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// So a future that holds one across an `await` is not `Send`. Wrap such a future
/// ([`Scope::wrap`](crate::Scope::wrap)): an executor of a single thread takes it unwrapped too, and then scopes of
/// its other tasks become children of this one.
#[derive(Debug)]
#[must_use = "the scope ends when the guard is dropped: bind it to a name, and not to `_`"]
pub struct ScopeGuard {
    id: u64,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl ScopeGuard {
    /// A scope that nobody listened to when it began.
    #[inline(always)]
    pub fn inert() -> Self {
        Self::with(0)
    }

    #[inline(always)]
    fn with(id: u64) -> Self {
        Self {
            id,
            stays_on_its_thread: PhantomData,
        }
    }
}

impl Drop for ScopeGuard {
    #[inline(always)]
    fn drop(&mut self) {
        if self.id != 0 {
            end(self.id);
        }
    }
}

#[cold]
#[inline(never)]
fn end(id: u64) {
    stack::take(id);
    tell_end(id, Outcome::here());
}

impl crate::Target for ScopeGuard {
    fn scope_id(&self) -> u64 {
        self.id
    }
}

/// Begins a scope under the current one. For the macro, which asked whether somebody listens.
#[cold]
#[inline(never)]
pub fn begin_scope(name: &str, attributes: Option<&mut Attributes>) -> ScopeGuard {
    if !stack::has_room() {
        return ScopeGuard::inert();
    }
    let (id, parent) = (sites::next_id(), stack::current());
    stack::push(id);
    let attributes = Attributes::bytes_of(attributes);
    sites::scope_begin::hit((
        id,
        parent,
        name.as_ptr(),
        name.len() as u64,
        attributes.as_ptr(),
        attributes.len() as u64,
    ));
    ScopeGuard::with(id)
}

/// Begins a request, which has no parent. For the macro, which asked whether somebody listens.
#[cold]
#[inline(never)]
pub fn begin_request(request: Option<&str>, attributes: Option<&mut Attributes>) -> ScopeGuard {
    if !stack::has_room() {
        return ScopeGuard::inert();
    }
    let id = sites::next_id();
    stack::push(id);
    let attributes = Attributes::bytes_of(attributes);
    sites::request_begin::hit((
        id,
        0,
        request.map_or(std::ptr::null(), str::as_ptr),
        request.map_or(0, str::len) as u64,
        attributes.as_ptr(),
        attributes.len() as u64,
    ));
    ScopeGuard::with(id)
}
