//! A scope or request that a probe told of, as the content of a scope.

use crate::id::Id;
use crate::limits::MIN_CPU_WALL_NS;
use crate::scope::label::Label;
use crate::scope::names as n;
use crate::scope::span::{AttrValue, Attrs, text};
use crate::scope::store::{About, Closing, Content, ToldRequest};
use crate::time::MonoNs;

/// How a scope ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// As it should.
    #[default]
    Told,
    /// A panic or exception went through it.
    Failed,
    /// Its future or task was dropped before it was ready.
    Cancelled,
    /// Its own end was not seen; the end of what was around it was, or something that can be only behind it.
    Unwound,
    /// It was open when its process ended, called exec or was released, or the agent ended.
    LeftOpen,
}

impl End {
    /// By the outcome of `cirron:scope_end`.
    pub(super) fn outcome(outcome: Option<u64>) -> End {
        match outcome {
            Some(1) => End::Failed,
            Some(2) => End::Cancelled,
            _ => End::Told,
        }
    }
}

/// Processor time of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) tid: u32,
    pub(super) ns: u64,
    /// When.
    pub(super) at: MonoNs,
}

/// A scope of a probe.
#[derive(Debug)]
pub(super) struct ProbeScope {
    pub(super) name: Label,
    pub(super) index: Option<i64>,
    pub(super) attrs: Attrs,
    /// How many attributes had no room.
    pub(super) attrs_left_out: u32,
    /// The marks that had none.
    pub(super) marks_left_out: u32,
    pub(super) begun: Option<CpuTime>,
    pub(super) ended: Option<CpuTime>,
    pub(super) end: End,
    /// It is a request.
    pub(super) told: Option<ToldRequest>,
}

impl ProbeScope {
    pub(super) fn new(name: Label, begun: Option<CpuTime>) -> ProbeScope {
        ProbeScope {
            name,
            index: None,
            attrs: Attrs::new(),
            attrs_left_out: 0,
            marks_left_out: 0,
            begun,
            ended: None,
            end: End::Told,
            told: None,
        }
    }

    /// A request: by the id that its program gave it, else by ours.
    pub(super) fn request(id: Option<&[u8]>, ours: Id, begun: Option<CpuTime>) -> ProbeScope {
        let id = id.filter(|id| !id.is_empty()).map(String::from_utf8_lossy);
        let has_id = id.is_some();
        let id = id.map_or_else(|| AttrValue::from(ours.to_string()), |id| text(&id));
        let mut scope = ProbeScope::new(n::REQUEST.into(), begun);
        scope.told = Some(ToldRequest { has_id });
        scope.attrs.insert(n::REQUEST_ID, id);
        scope
    }

    /// Processor time, where one thread began and ended it, and it is known well enough.
    fn cpu_ns(&self) -> Option<u64> {
        let (begun, ended) = (self.begun?, self.ended?);
        let is_known = begun.tid == ended.tid && ended.at.since(begun.at) >= MIN_CPU_WALL_NS;
        let ns = ended.ns.checked_sub(begun.ns).filter(|_| is_known);
        ns.map(|ns| ns.min(ended.at.since(begun.at)))
    }
}

impl Content for ProbeScope {
    fn name(&self) -> Label {
        self.name.clone()
    }

    fn index(&self) -> Option<i64> {
        self.index
    }

    fn describe(&self, attrs: &mut Attrs) {
        for (name, value) in self.attrs.iter() {
            attrs.insert(name.clone(), value.clone());
        }
        if self.attrs_left_out > 0 {
            attrs.insert(n::ATTRS_LEFT_OUT, self.attrs_left_out.into());
        }
    }

    fn about(&self) -> About {
        About::default()
    }

    fn told_request(&self) -> Option<ToldRequest> {
        self.told
    }

    fn held_bytes(&self) -> usize {
        let texts = |(name, value): (&Label, &AttrValue)| {
            let value = match value {
                AttrValue::Str(text) => text.len(),
                AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => 0,
            };
            size_of::<(Label, AttrValue)>() + name.held_bytes() + value
        };
        let attrs: usize = self.attrs.iter().map(texts).sum();
        size_of::<ProbeScope>() + self.name.held_bytes() + attrs
    }

    fn finish(self: Box<Self>, closing: &mut Closing<'_>) {
        self.describe(&mut closing.attrs);
        closing.cpu_ns = self.cpu_ns();
        if self.marks_left_out > 0 {
            let count = self.marks_left_out.into();
            closing.attrs.insert(n::MARKS_LEFT_OUT, count);
        }
        let (said, is_partial) = match self.end {
            End::Told => return,
            End::Failed => {
                closing.attrs.insert(n::ERROR, true.into());
                return;
            }
            End::Cancelled => ("cancelled", false),
            End::Unwound => ("unwound", false),
            End::LeftOpen => ("left_open", true),
        };
        closing.attrs.insert(n::SCOPE_END, said.into());
        if is_partial {
            closing.attrs.insert(n::PARTIAL, true.into());
        }
    }
}
