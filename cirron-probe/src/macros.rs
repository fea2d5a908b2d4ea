//! The macros. Each asks the semaphore first, and evaluates nothing else where nobody listens.
//!
//! `scope!("preprocess", rows = count())` expands to:
//!
//! ```text
//! if scope_begin_listens() {            // one load, one branch
//!     let mut attributes = Attributes::new();
//!     attributes.put("rows", &count());
//!     begin_scope("preprocess", Some(&mut attributes))
//! } else {
//!     ScopeGuard::inert()
//! }
//! ```

/// Begins a scope, which ends when the guard is dropped. What begins on this thread meanwhile is its child.
///
/// The name comes first, then attributes, as `key = value` with integers, floats, booleans, text and
/// options of those. `index = i` is the number of the scope among others of its name. A key that
/// is no Rust identifier is written as a string.
///
/// ```
/// for (i, row) in ["a", "b"].iter().enumerate() {
///     let _scope = cirron_probe::scope!("preprocess", index = i, bytes = row.len(), "row.text" = *row);
/// }
/// ```
///
/// At most 64 scopes are open on a thread; those within are not told of and counted
/// ([`dropped`](crate::dropped)). Attributes have 512 bytes, texts in them 256 bytes, keys 128.
#[macro_export]
macro_rules! scope {
    ($name:expr $(,)?) => {
        if $crate::__private::scope_begin_listens() {
            $crate::__private::begin_scope($name, None)
        } else {
            $crate::ScopeGuard::inert()
        }
    };
    ($name:expr, $($attributes:tt)+) => {
        if $crate::__private::scope_begin_listens() {
            let mut attributes = $crate::__private::Attributes::new();
            $crate::__attributes!(attributes, $($attributes)+);
            $crate::__private::begin_scope($name, Some(&mut attributes))
        } else {
            $crate::ScopeGuard::inert()
        }
    };
}

/// Opens a scope that can cross `await`s and threads: a [`Scope`](crate::Scope). The arguments are those of
/// [`scope!`](crate::scope).
///
/// ```
/// let scope = cirron_probe::open_scope!("fetch", attempt = 2);
/// scope.enter();
/// scope.exit();
/// scope.end();
/// ```
#[macro_export]
macro_rules! open_scope {
    ($name:expr $(,)?) => {
        if $crate::__private::scope_open_listens() {
            $crate::__private::open_scope($name, None)
        } else {
            $crate::Scope::inert()
        }
    };
    ($name:expr, $($attributes:tt)+) => {
        if $crate::__private::scope_open_listens() {
            let mut attributes = $crate::__private::Attributes::new();
            $crate::__attributes!(attributes, $($attributes)+);
            $crate::__private::open_scope($name, Some(&mut attributes))
        } else {
            $crate::Scope::inert()
        }
    };
}

/// Begins a request, for code that serves no HTTP: a root like the SDK's `@ci.inference`.
///
/// With no id the tracer makes one. An id is text; attributes follow it.
///
/// ```
/// {
///     let _request = cirron_probe::request!();
/// }
/// let job = String::from("job-7");
/// let _request = cirron_probe::request!(&job, model = "tiny");
/// ```
#[macro_export]
macro_rules! request {
    () => {
        if $crate::__private::request_begin_listens() {
            $crate::__private::begin_request(None, None)
        } else {
            $crate::ScopeGuard::inert()
        }
    };
    ($id:expr $(,)?) => {
        if $crate::__private::request_begin_listens() {
            $crate::__private::begin_request(Some($id), None)
        } else {
            $crate::ScopeGuard::inert()
        }
    };
    ($id:expr, $($attributes:tt)+) => {
        if $crate::__private::request_begin_listens() {
            let mut attributes = $crate::__private::Attributes::new();
            $crate::__attributes!(attributes, $($attributes)+);
            $crate::__private::begin_request(Some($id), Some(&mut attributes))
        } else {
            $crate::ScopeGuard::inert()
        }
    };
}

/// Opens a request that can cross `await`s and threads: a [`Scope`](crate::Scope). The arguments are those of
/// [`request!`](crate::request).
///
/// ```
/// # async fn handle() {}
/// let answered = cirron_probe::open_request!("job-7").wrap(handle());
/// # drop(answered);
/// ```
#[macro_export]
macro_rules! open_request {
    () => {
        if $crate::__private::request_open_listens() {
            $crate::__private::open_request(None, None)
        } else {
            $crate::Scope::inert()
        }
    };
    ($id:expr $(,)?) => {
        if $crate::__private::request_open_listens() {
            $crate::__private::open_request(Some($id), None)
        } else {
            $crate::Scope::inert()
        }
    };
    ($id:expr, $($attributes:tt)+) => {
        if $crate::__private::request_open_listens() {
            let mut attributes = $crate::__private::Attributes::new();
            $crate::__attributes!(attributes, $($attributes)+);
            $crate::__private::open_request(Some($id), Some(&mut attributes))
        } else {
            $crate::Scope::inert()
        }
    };
}

/// Attaches a value to the current scope: an integer, a float, a boolean or text.
///
/// It is a `point`, one value among others, unless `summary` follows: the value of the whole scope. Then
/// come attributes of the mark. `on` names a guard or a handle instead of the current scope.
///
/// ```
/// use cirron_probe::mark;
///
/// let scope = cirron_probe::open_scope!("model");
/// mark!("loss", 0.25);
/// mark!("tokens", 17, summary);
/// mark!("tokens", 17, summary, source = "model");
/// mark!(on scope, "cached", true);
/// ```
///
/// Text is cut at 256 bytes, to a whole character. A value that is `None` makes no mark.
#[macro_export]
macro_rules! mark {
    (on $target:expr, $name:expr, $value:expr $(, $($rest:tt)*)?) => {
        $crate::__mark!((Some(&$target)), $name, $value, $($($rest)*)?)
    };
    ($name:expr, $value:expr $(, $($rest:tt)*)?) => {
        $crate::__mark!((None), $name, $value, $($($rest)*)?)
    };
}

/// A mark whose target is known.
#[doc(hidden)]
#[macro_export]
macro_rules! __mark {
    ($target:tt, $name:expr, $value:expr, summary $(, $($attributes:tt)*)?) => {
        $crate::__mark!(@ $target, $name, $value, Summary, $($($attributes)*)?)
    };
    ($target:tt, $name:expr, $value:expr, point $(, $($attributes:tt)*)?) => {
        $crate::__mark!(@ $target, $name, $value, Point, $($($attributes)*)?)
    };
    ($target:tt, $name:expr, $value:expr, $($attributes:tt)*) => {
        $crate::__mark!(@ $target, $name, $value, Point, $($attributes)*)
    };
    (@ $target:tt, $name:expr, $value:expr, $kind:ident,) => {
        if $crate::__private::mark_listens() {
            $crate::__private::mark(
                $target,
                $name,
                &$value,
                $crate::__private::Kind::$kind,
                None,
            );
        }
    };
    (@ $target:tt, $name:expr, $value:expr, $kind:ident, $($attributes:tt)+) => {
        if $crate::__private::mark_listens() {
            let mut attributes = $crate::__private::Attributes::new();
            $crate::__attributes!(attributes, $($attributes)+);
            $crate::__private::mark(
                $target,
                $name,
                &$value,
                $crate::__private::Kind::$kind,
                Some(&mut attributes),
            );
        }
    };
}

/// Attributes, one after the other.
#[doc(hidden)]
#[macro_export]
macro_rules! __attributes {
    ($packed:ident $(,)?) => {};
    ($packed:ident, index = $value:expr $(, $($rest:tt)*)?) => {
        $packed.index($value);
        $crate::__attributes!($packed, $($($rest)*)?);
    };
    ($packed:ident, $key:ident = $value:expr $(, $($rest:tt)*)?) => {
        $packed.put(stringify!($key), &$value);
        $crate::__attributes!($packed, $($($rest)*)?);
    };
    ($packed:ident, $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $packed.put($key, &$value);
        $crate::__attributes!($packed, $($($rest)*)?);
    };
}
