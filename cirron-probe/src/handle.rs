//! Scopes that cross threads and `await`s: the handle of `open_scope!` and `open_request!`.
//!
//! ```text
//!               scope_open
//! open_scope!() ──────────▶ Scope ─┬─ enter ─▶ scope_enter: this thread works for it, and what begins
//!                                  │           here meanwhile is its child
//!                                  ├─ exit ──▶ scope_exit
//!                                  └─ end, drop ─▶ scope_end
//! ```
//!
//! A handle that was opened while nobody listened is inert for its whole life.

use crate::attributes::Attributes;
use crate::future::InScope;
use crate::scope::{tell_end, Outcome};
use crate::{sites, stack};

/// A scope or request that goes where its work goes; made by [`open_scope!`](crate::open_scope) and
/// [`open_request!`](crate::open_request).
///
/// ```
/// let scope = cirron_probe::open_scope!("fetch", attempt = 1);
/// let worker = std::thread::spawn(move || {
///     let _here = scope.entered();
///     let _inner = cirron_probe::scope!("parse"); // a child of `fetch`
/// });
/// worker.join().unwrap();
/// ```
#[derive(Debug)]
#[must_use = "the scope ends when the handle is dropped"]
pub struct Scope {
    id: u64,
}

impl Scope {
    /// A scope that nobody listened to when it was opened.
    #[inline(always)]
    pub fn inert() -> Self {
        Self { id: 0 }
    }

    /// This thread works for the scope from here on, until [`exit`](Self::exit) on the same thread.
    #[inline]
    pub fn enter(&self) {
        if self.id != 0 {
            enter(self.id);
        }
    }

    /// This thread works for the scope no more. Without an `enter` before, nothing happens.
    #[inline]
    pub fn exit(&self) {
        if self.id != 0 {
            exit(self.id);
        }
    }

    /// Enters the scope until what this returns is dropped.
    #[inline]
    pub fn entered(&self) -> Entered<'_> {
        self.enter();
        Entered {
            scope: self,
            stays_on_its_thread: std::marker::PhantomData,
        }
    }

    /// Ends the scope. Dropping the handle does the same.
    #[inline]
    pub fn end(self) {
        drop(self);
    }

    /// A future whose every poll works for this scope, which ends with it.
    pub fn wrap<F>(self, future: F) -> InScope<F> {
        InScope::new(self, future)
    }

    pub(crate) fn end_as(&mut self, outcome: Outcome) {
        let id = std::mem::take(&mut self.id);
        if id != 0 {
            // It may have been entered more than once.
            while stack::take(id) {}
            tell_end(id, outcome);
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn open(
        name: &str,
        parent: Option<u64>,
        attributes: Option<&mut Attributes>,
    ) -> Self {
        let (id, attributes) = (sites::next_id(), Attributes::bytes_of(attributes));
        sites::scope_open::hit((
            id,
            parent.unwrap_or_else(stack::current),
            name.as_ptr(),
            name.len() as u64,
            attributes.as_ptr(),
            attributes.len() as u64,
        ));
        Self { id }
    }
}

impl Drop for Scope {
    #[inline(always)]
    fn drop(&mut self) {
        if self.id != 0 {
            self.end_as(Outcome::here());
        }
    }
}

impl crate::Target for Scope {
    fn scope_id(&self) -> u64 {
        self.id
    }
}

/// The time in which a thread works for a [`Scope`].
#[derive(Debug)]
#[must_use = "the thread leaves the scope when this is dropped"]
pub struct Entered<'a> {
    scope: &'a Scope,
    stays_on_its_thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.scope.exit();
    }
}

/// Tells only what was done: past the depth limit nothing is entered.
#[cold]
#[inline(never)]
pub(crate) fn enter(id: u64) {
    if stack::push(id) && sites::scope_enter::listens() {
        sites::scope_enter::hit((id,));
    }
}

#[cold]
#[inline(never)]
pub(crate) fn exit(id: u64) {
    if stack::take(id) && sites::scope_exit::listens() {
        sites::scope_exit::hit((id,));
    }
}

/// Opens a scope under the current one. For the macro, which asked whether somebody listens.
#[cold]
#[inline(never)]
pub fn open_scope(name: &str, attributes: Option<&mut Attributes>) -> Scope {
    Scope::open(name, None, attributes)
}

/// Opens a request, which has no parent. For the macro, which asked whether somebody listens.
#[cold]
#[inline(never)]
pub fn open_request(request: Option<&str>, attributes: Option<&mut Attributes>) -> Scope {
    let (id, attributes) = (sites::next_id(), Attributes::bytes_of(attributes));
    sites::request_open::hit((
        id,
        0,
        request.map_or(std::ptr::null(), str::as_ptr),
        request.map_or(0, str::len) as u64,
        attributes.as_ptr(),
        attributes.len() as u64,
    ));
    Scope { id }
}
