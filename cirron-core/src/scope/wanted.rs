//! What the rules of its process want of one exchange, beside what is written of every one.
//!
//! ```text
//!  ExchangeEvent -> Wanted (before the exchange itself reads it) --+-> verdict: written, ignored, left out
//!                   values of fields and headers that a rule       '-> at the end: name, route, marks, headers
//!                   may want are gathered
//! ```
//! There is none for an exchange of a process without rules, and none is left from its head on where no rule's path,
//! method and role are its. Which rules hold is [`crate::rules`]'s matter. What was gathered for a rule that does not
//! hold in the end is not written.

use super::field_body::FieldBody;
use super::label::Label;
use super::marks::Marks;
use super::names as n;
use super::price;
use super::span::{AttrValue, Attrs, MarkKind, MarkValue, text};
use crate::exchange::{ExchangeEvent, Role};
use crate::proto::message::{Headers, RequestHead, ResponseHead};
use crate::rules::{
    FieldPath, FieldSet, FieldValue, GpuPrice, Known, Matching, Pick, ProcessRules, Side, Verdict,
    carries_credentials,
};
use crate::time::MonoNs;
use std::sync::Arc;

/// One exchange's part of the rules.
#[derive(Debug)]
pub(super) struct Wanted {
    matching: Matching,
    role: Role,
    status: Option<u16>,
    request: Option<FieldBody>,
    response: Option<FieldBody>,
    /// Header fields that a rule may want: whose, name, value.
    headers: Vec<(Side, String, String)>,
}

impl Wanted {
    pub(super) fn new(rules: Arc<ProcessRules>, role: Role, hash: u64) -> Wanted {
        Wanted {
            matching: Matching::new(rules, role, hash),
            role,
            status: None,
            request: None,
            response: None,
            headers: Vec::new(),
        }
    }

    /// The next event. `model`: as it is known by now.
    pub(super) fn on_event(&mut self, ts: MonoNs, event: &ExchangeEvent<'_>, model: Option<&str>) {
        match event {
            ExchangeEvent::RequestHead(head) => self.request_head(head),
            ExchangeEvent::RequestBody(bytes) => push(&mut self.request, ts, bytes),
            ExchangeEvent::RequestGap(_) => gap(&mut self.request),
            ExchangeEvent::ResponseHead(head) => self.response_head(head, model),
            ExchangeEvent::ResponseBody(bytes) => push(&mut self.response, ts, bytes),
            ExchangeEvent::ResponseGap(_) => gap(&mut self.response),
            ExchangeEvent::Start { .. }
            | ExchangeEvent::RequestEnd(_)
            | ExchangeEvent::Informational(_)
            | ExchangeEvent::ResponseStart
            | ExchangeEvent::ResponseTrailers(_)
            | ExchangeEvent::WebSocket { .. }
            | ExchangeEvent::ClientLeaving { .. }
            | ExchangeEvent::ClientStayed
            | ExchangeEvent::ResponseEnd(_)
            | ExchangeEvent::End(_) => {}
        }
    }

    fn request_head(&mut self, head: &RequestHead) {
        self.matching.take_request(Some((&head.method, &head.path)));
        self.request = self.body(Side::Request, &head.headers, None);
        self.gather(Side::Request, &head.headers, None);
    }

    fn response_head(&mut self, head: &ResponseHead, model: Option<&str>) {
        self.status = Some(head.status);
        self.response = self.body(Side::Response, &head.headers, model);
        self.gather(Side::Response, &head.headers, model);
    }

    fn known<'m>(&self, model: Option<&'m str>, is_all: bool) -> Known<'m> {
        Known {
            status: self.status,
            model,
            is_all,
        }
    }

    fn body(&self, side: Side, head: &Headers, model: Option<&str>) -> Option<FieldBody> {
        let mut fields = FieldSet::default();
        for then in self.matching.may_hold(self.known(model, false)) {
            let its = then.marks.iter().filter(|(_, field)| field.side == side);
            its.for_each(|(_, field)| fields.add(field));
        }
        FieldBody::new(fields, head)
    }

    fn gather(&mut self, side: Side, head: &Headers, model: Option<&str>) {
        let mut names: Vec<&str> = Vec::new();
        for then in self.matching.may_hold(self.known(model, false)) {
            let its = match side {
                Side::Request => &then.request_headers,
                Side::Response => &then.response_headers,
            };
            names.extend(its.iter().map(String::as_str));
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            let value = head.joined(name);
            let value = value.trim();
            if head.get(name).is_some() && !carries_credentials(value) {
                let value = super::span::cut(value).to_owned();
                self.headers.push((side, name.to_owned(), value));
            }
        }
    }

    /// No rule can hold for it.
    pub(super) fn is_void(&self) -> bool {
        self.matching.is_void()
    }

    /// Whether it is written; `None`: that is not certain. `is_all`: no more will be known of it.
    pub(super) fn verdict(&self, model: Option<&str>, is_all: bool) -> Option<Verdict> {
        self.matching.verdict(self.known(model, is_all))
    }

    /// Whether `chunk_ms` points are wanted, or may be.
    pub(super) fn may_want_points(&self, model: Option<&str>, is_all: bool) -> bool {
        let wanted = self
            .matching
            .pick(self.known(model, is_all), |then| then.chunk_timing);
        matches!(wanted, Pick::Open | Pick::Certain(Some(true)))
    }

    /// The core holds too much.
    pub(super) fn give_up(&mut self) {
        let bodies = [&mut self.request, &mut self.response];
        bodies.into_iter().flatten().for_each(FieldBody::give_up);
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let bodies = [&self.request, &self.response].into_iter().flatten();
        let bodies: usize = bodies.map(FieldBody::held_bytes).sum();
        let header = |(_, name, value): &(Side, String, String)| {
            size_of::<(Side, String, String)>() + name.capacity() + value.capacity()
        };
        let headers: usize = self.headers.iter().map(header).sum();
        size_of::<Wanted>() + self.matching.held_bytes() + bodies + headers
    }

    /// It is over: what its rules want is written. `path`: where it is known; `part_ns`: of its deployment's time, where that
    /// has a price.
    pub(super) fn write(
        &self,
        model: Option<&str>,
        path: Option<&str>,
        part_ns: Option<f64>,
        attrs: &mut Attrs,
        marks: &mut Marks<'_>,
    ) {
        let known = self.known(model, true);
        if let Pick::Certain(Some(name)) = self.matching.pick(known, |then| then.name.as_deref()) {
            attrs.insert(n::NAME, text(name));
        }
        if let Some(template) = path.and_then(|path| self.matching.template(path, known)) {
            let name = match self.role {
                Role::Server => n::ROUTE,
                Role::Client => n::URL_TEMPLATE,
            };
            attrs.insert(name, text(template));
        }
        if let Some(Verdict::Written { one_in: Some(n) }) = self.matching.verdict(known) {
            attrs.insert(n::SAMPLED_ONE_IN, n.into());
        }
        if let Pick::Certain(Some(price)) = self.matching.pick(known, |then| then.price) {
            price::write(price, attrs, marks);
        } else if let (Some(price), Some(part_ns)) = (self.gpu_price(model, true), part_ns) {
            price::write_part(price, part_ns, marks);
        }
        let mut written: Vec<&str> = Vec::new();
        for then in self.matching.may_hold(known) {
            for (name, field) in &then.marks {
                if !written.contains(&name.as_str()) {
                    written.push(name);
                    self.write_mark(name, field, marks);
                }
            }
            let sides = [
                (Side::Request, &then.request_headers, n::REQUEST_HEADER),
                (Side::Response, &then.response_headers, n::RESPONSE_HEADER),
            ];
            for (side, names, prefix) in sides {
                for name in names {
                    self.write_header(side, name, prefix, attrs);
                }
            }
        }
    }

    /// The price of its deployment by the hour. `is_all`: no more will be known of it.
    pub(super) fn gpu_price(&self, model: Option<&str>, is_all: bool) -> Option<GpuPrice> {
        let known = self.known(model, is_all);
        match self.matching.pick(known, |then| then.gpu_price) {
            Pick::Certain(price) => price,
            Pick::Open => None,
        }
    }

    fn write_mark(&self, name: &str, field: &FieldPath, marks: &mut Marks<'_>) {
        let body = match field.side {
            Side::Request => self.request.as_ref(),
            Side::Response => self.response.as_ref(),
        };
        let Some((value, ts)) = body.and_then(|body| body.fields().value(field)) else {
            return;
        };
        let mut attrs = Attrs::from([(n::FIELD, AttrValue::from(field.shown()))]);
        let value = match value {
            FieldValue::Int(value) => MarkValue::Int(*value),
            FieldValue::Float(value) => MarkValue::Float(*value),
            FieldValue::Bool(value) => MarkValue::Bool(*value),
            FieldValue::Text { text, cut } => {
                if *cut {
                    attrs.insert(n::MARK_CUT, true.into());
                }
                MarkValue::text(text)
            }
        };
        marks.push(Label::foreign(name), value, attrs, *ts, MarkKind::Summary);
    }

    fn write_header(&self, side: Side, name: &str, prefix: &str, attrs: &mut Attrs) {
        let is_it = |(whose, known, _): &&(Side, String, String)| *whose == side && known == name;
        if let Some((_, _, value)) = self.headers.iter().find(is_it) {
            let name = Label::foreign(&format!("{prefix}{name}"));
            attrs.insert(name, text(value));
        }
    }
}

fn push(body: &mut Option<FieldBody>, ts: MonoNs, bytes: &[u8]) {
    if let Some(body) = body {
        body.push(ts, bytes);
    }
}

fn gap(body: &mut Option<FieldBody>) {
    if let Some(body) = body {
        body.gap();
    }
}
