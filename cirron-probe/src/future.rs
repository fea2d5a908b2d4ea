//! A future inside of a scope: the scope is the task's, whichever threads poll it.
//!
//! ```text
//!            enter, and what was open inside        exit, and what is open inside is set aside
//! pending ─────────────────▶ poll ────────────────────────▶ pending
//!                             └─ ready ─▶ the scope ends (0; 1 if it panicked)
//! pending ── dropped ─▶ enter, drop what is inside, end (2: cancelled)
//! ```
//!
//! What is open inside are guards of `scope!` that the future holds across an `await`: they go with
//! it, and no other task of the thread becomes their child.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::handle::{enter, exit, Scope};
use crate::scope::Outcome;
use crate::stack;

/// A future whose every poll works for a scope; made by [`Scope::wrap`].
///
/// The scope ends when the future is ready, and when it is dropped.
///
/// ```
/// # use std::{future::Future, pin::pin, sync::Arc, task::{Context, Wake}};
/// # struct Idle;
/// # impl Wake for Idle { fn wake(self: Arc<Self>) {} }
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let (mut future, waker) = (pin!(future), Arc::new(Idle).into());
/// #     loop {
/// #         if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
/// #             return output;
/// #         }
/// #     }
/// # }
/// async fn fetch() -> usize {
///     cirron_probe::mark!("bytes", 3); // a mark of `fetch`
///     3
/// }
///
/// let fetched = block_on(cirron_probe::open_scope!("fetch").wrap(fetch()));
/// assert_eq!(fetched, 3);
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct InScope<F> {
    scope: Scope,
    /// Scopes that are open inside, the outermost first, while nobody polls.
    inside: Vec<u64>,
    /// Left set by a poll that panicked.
    polling: bool,
    /// Dropped by hand, inside of the scope.
    future: ManuallyDrop<F>,
}

impl<F> InScope<F> {
    pub(crate) fn new(scope: Scope, future: F) -> Self {
        Self {
            scope,
            inside: Vec::new(),
            polling: false,
            future: ManuallyDrop::new(future),
        }
    }
}

/// The time of one poll: what was set aside is on the thread's stack, and is set aside again. That
/// is so for a scope of which nobody heard too: what begins inside may be heard.
struct Visit<'a> {
    id: u64,
    inside: &'a mut Vec<u64>,
    outside: usize,
}

impl<'a> Visit<'a> {
    fn begin(id: u64, inside: &'a mut Vec<u64>) -> Self {
        let outside = stack::depth();
        if id != 0 {
            enter(id);
        }
        for id in inside.drain(..) {
            enter(id);
        }
        Self {
            id,
            inside,
            outside,
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let own = usize::from(self.id != 0);
        // Most futures hold no guard: nothing is allocated for those.
        if stack::depth() > self.outside + own {
            let mut entered = stack::split_off(self.outside);
            entered.retain(|&id| id != self.id);
            if self.id != 0 {
                stack::push(self.id);
            }
            for &id in entered.iter().rev() {
                // It is off the stack: put back, so that its exit is told.
                stack::push(id);
                exit(id);
            }
            *self.inside = entered;
        }
        if self.id != 0 {
            exit(self.id);
        }
    }
}

impl<F: Future> Future for InScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is not moved out of, neither here nor in `drop`, and this type is
        // `Unpin` only if the future is. The other fields are not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above; it is dropped in `drop` alone.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        this.polling = true;
        let polled = {
            let _visit = Visit::begin(this.scope.id(), &mut this.inside);
            future.poll(context)
        };
        this.polling = false;
        if polled.is_ready() {
            this.scope.end_as(Outcome::Ended);
        }
        polled
    }
}

impl<F> Drop for InScope<F> {
    fn drop(&mut self) {
        let id = self.scope.id();
        {
            let _visit = Visit::begin(id, &mut self.inside);
            // SAFETY: nothing uses it afterwards, and it is dropped where it was pinned.
            unsafe { ManuallyDrop::drop(&mut self.future) };
        }
        // Else it was ready, or nobody heard of it.
        if id != 0 {
            self.scope.end_as(if self.polling {
                Outcome::Failed
            } else {
                Outcome::Cancelled
            });
        }
    }
}
