//! A layer for `tracing` that turns spans of given targets into scopes.
//!
//! ```text
//! new span ─▶ target fits, somebody listens ─▶ Scope in the span's extensions    fields ─▶ attributes
//! enter, exit ─▶ the same of the scope      record ─▶ a mark, kind summary      close ─▶ end
//! ```
//!
//! The parent of a scope is that of the nearest span around it that is a scope too, else the scope
//! that the thread works for. Events are left alone. A field's text is told as any attribute's: who
//! gives the target decides what is told.

use std::fmt::{self, Debug, Write as _};

use tracing_core::field::{Field, Visit};
use tracing_core::span;
use tracing_core::Subscriber;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::attributes::Attributes;
use crate::handle::Scope;
use crate::mark::{tell, Kind};
use crate::sites;
use crate::value::{Value, MAX_TEXT};

/// Turns spans whose target is one of the given ones, or lies below it, into scopes.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let layer = cirron_probe::ScopeLayer::new(["my_server", "my_model::decode"]);
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     let _entered = tracing::info_span!(target: "my_server", "preprocess", rows = 3).entered();
/// });
/// ```
#[derive(Debug)]
pub struct ScopeLayer {
    targets: Vec<String>,
}

impl ScopeLayer {
    /// A layer for these targets and what lies below them (`a` covers `a::b`, and not `ab`).
    pub fn new<T: Into<String>>(targets: impl IntoIterator<Item = T>) -> Self {
        Self {
            targets: targets.into_iter().map(Into::into).collect(),
        }
    }

    fn covers(&self, target: &str) -> bool {
        self.targets.iter().any(|covered| {
            target
                .strip_prefix(covered.as_str())
                .map_or(false, |below| below.is_empty() || below.starts_with("::"))
        })
    }
}

impl<S> Layer<S> for ScopeLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, new: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if !sites::scope_open::listens() || !self.covers(new.metadata().target()) {
            return;
        }
        let span = match context.span(id) {
            Some(span) => span,
            None => return,
        };
        let mut fields = Fields(Attributes::new());
        new.record(&mut fields);
        let mut ancestors = span.scope().skip(1);
        let parent =
            ancestors.find_map(|ancestor| Some(ancestor.extensions().get::<Scope>()?.id()));
        let scope = Scope::open(new.metadata().name(), parent, Some(&mut fields.0));
        span.extensions_mut().insert(scope);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        with_scope(id, &context, |scope| values.record(&mut Late(scope.id())));
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        with_scope(id, &context, Scope::enter);
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        with_scope(id, &context, Scope::exit);
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id) {
            drop(span.extensions_mut().remove::<Scope>());
        }
    }
}

fn with_scope<S>(id: &span::Id, context: &Context<'_, S>, act: impl FnOnce(&Scope))
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if let Some(span) = context.span(id) {
        if let Some(scope) = span.extensions().get::<Scope>() {
            act(scope);
        }
    }
}

/// Fields of a new span, as attributes. An integer called `index` is the index.
struct Fields(Attributes);

/// Fields that come later, as marks of the scope.
struct Late(u64);

trait Take {
    fn take(&mut self, field: &Field, value: Value<'_>);
}

impl Take for Fields {
    fn take(&mut self, field: &Field, value: Value<'_>) {
        if let (Value::Int(index), "index") = (value, field.name()) {
            self.0.index(index);
        } else {
            self.0.put_value(field.name(), value);
        }
    }
}

impl Take for Late {
    fn take(&mut self, field: &Field, value: Value<'_>) {
        if sites::mark::listens() {
            tell(self.0, field.name(), value, Kind::Summary, None);
        }
    }
}

macro_rules! visit {
    ($($type:ty)+) => {
        $(impl Visit for $type {
            fn record_i64(&mut self, field: &Field, value: i64) {
                self.take(field, Value::Int(value));
            }

            fn record_u64(&mut self, field: &Field, value: u64) {
                match i64::try_from(value) {
                    Ok(value) => self.take(field, Value::Int(value)),
                    Err(_) => self.take(field, Value::Uint(value)),
                }
            }

            fn record_f64(&mut self, field: &Field, value: f64) {
                self.take(field, Value::Float(value));
            }

            fn record_bool(&mut self, field: &Field, value: bool) {
                self.take(field, Value::Bool(value));
            }

            fn record_str(&mut self, field: &Field, value: &str) {
                self.take(field, Value::Text(value));
            }

            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let mut text = Bounded(String::new());
                // An error is the end of the room, or of what the value could say.
                let _ = write!(text, "{value:?}");
                self.take(field, Value::Text(&text.0));
            }
        })+
    };
}

visit!(Fields Late);

/// Text that takes a character more than a value carries, so that a cut is seen, and then refuses.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() > MAX_TEXT {
                return Err(fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}
