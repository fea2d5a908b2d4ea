#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod attributes;
mod future;
mod handle;
#[cfg(feature = "tracing")]
mod layer;
mod macros;
mod mark;
mod scope;
mod sites;
mod stack;
mod value;

pub use attributes::Index;
pub use future::InScope;
pub use handle::{Entered, Scope};
#[cfg(feature = "tracing")]
pub use layer::ScopeLayer;
pub use mark::Target;
pub use scope::ScopeGuard;
pub use stack::{dropped, MAX_DEPTH};
pub use value::{ToValue, Value, MAX_TEXT};

/// What the macros expand to. It may change with any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::attributes::Attributes;
    pub use crate::handle::{open_request, open_scope};
    pub use crate::mark::{mark, Kind};
    pub use crate::scope::{begin_request, begin_scope};

    macro_rules! questions {
        ($($name:ident $site:ident)+) => {
            $(
                /// Whether a tracer listens to the probe.
                #[inline(always)]
                #[must_use]
                pub fn $name() -> bool {
                    crate::sites::$site::listens()
                }
            )+
        };
    }

    questions! {
        scope_begin_listens scope_begin
        scope_open_listens scope_open
        request_begin_listens request_begin
        request_open_listens request_open
        mark_listens mark
    }
}
