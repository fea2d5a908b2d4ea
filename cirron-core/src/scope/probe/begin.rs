//! Beginnings and ends of scopes.

use super::process::Up;
use super::values::Packed;
use super::{
    End, Entry, Found, Join, Known, Made, Place, ProbeScope, Probes, Reached, Start, Store, What,
    evidence, label, named, readable,
};
use crate::id::Id;
use crate::limits::{MAX_PROBE_ATTRS, MAX_PROBE_SCOPES, MAX_PROBE_SCOPES_OF_ONE, MAX_SCOPE_DEPTH};
use crate::scope::label::Label;
use crate::scope::span::{AttrValue, Attrs};

/// What is around a scope that begins.
struct Around {
    parent: Option<Id>,
    join: Join,
    up: Up,
    depth: usize,
}

impl Around {
    fn by_evidence((parent, join): (Option<Id>, Join)) -> Around {
        Around {
            parent,
            join,
            up: parent.map_or(Up::Nothing, Up::Scope),
            depth: 1,
        }
    }
}

impl Probes {
    /// `cirron:scope_begin`, or, where the thread does not work for it yet, `scope_open`.
    pub(super) fn tell_begin(
        &mut self,
        known: &Known,
        at: &Reached<'_>,
        works: bool,
        store: &mut Store,
    ) {
        let Some((id, around)) = self.told_around(known, at, store) else {
            return;
        };
        let Some(name) = readable(at.hit.text(known.text_index(2, 0))) else {
            self.counts.unread += 1;
            return;
        };
        let mut content = ProbeScope::new(label(name), at.cpu().filter(|_| works));
        self.take_attributes(known, at, &mut content);
        self.open_told((known.image, id), around, content, at, works, store);
    }

    /// `cirron:request_begin` and `request_open`: a root, or one that was seen on the wire too.
    pub(super) fn tell_request(
        &mut self,
        known: &Known,
        at: &Reached<'_>,
        works: bool,
        store: &mut Store,
    ) {
        let Some(id) = at.hit.value(0) else {
            self.counts.unread += 1;
            return;
        };
        let told = readable(at.hit.text(known.text_index(2, 0)));
        let cpu = at.cpu().filter(|_| works);
        let mut content = ProbeScope::request(told, store.next_id(), cpu);
        self.take_attributes(known, at, &mut content);
        let around = match at.made {
            Made::For { request, .. } => {
                let join = Join::Presumed(evidence::CONTEXT_DESCENT);
                Around::by_evidence((Some(request), join))
            }
            Made::NotKnown | Made::ForNone => Around::by_evidence(at.place.parent(at.context())),
        };
        self.open_told((known.image, id), around, content, at, works, store);
    }

    /// Its number, and what is around it.
    fn told_around(
        &mut self,
        known: &Known,
        at: &Reached<'_>,
        store: &Store,
    ) -> Option<(u64, Around)> {
        let (Some(id), Some(parent)) = (at.hit.value(0), at.hit.value(1)) else {
            self.counts.unread += 1;
            return None;
        };
        if parent == 0 {
            return Some((id, Around::by_evidence(self.place(at, Some(known.image)))));
        }
        let key = (known.image, parent);
        let found = self.processes.get(&at.head.tgid).map(|p| p.find(key));
        let (parent, join, depth) = match found.unwrap_or(Found::NotSeen) {
            Found::Open(scope, depth) => (Some(scope), Join::By(evidence::ID), depth + 1),
            Found::Around(scope, depth) if at.made.is_for(scope) => {
                let join = Join::Presumed(evidence::CONTEXT_DESCENT);
                (Some(scope), join, depth)
            }
            Found::Around(scope, depth) if store.is_open(scope) && at.made == Made::NotKnown => {
                // It was found by evidence, which its end has to confirm.
                let by = super::by(at.context());
                let join = match at.place {
                    Place::Nowhere => Join::By(by),
                    Place::Unknown(_) | Place::Request(..) => Join::Presumed(by),
                };
                (Some(scope), join, depth)
            }
            Found::Around(..) | Found::Ended => (None, Join::Unknown(evidence::PARENT_ENDED), 1),
            Found::NotSeen => (None, Join::Unknown(evidence::NOT_SEEN), 1),
        };
        let up = Up::Told(key);
        let around = Around {
            parent,
            join,
            up,
            depth,
        };
        Some((id, around))
    }

    fn take_attributes(&mut self, known: &Known, at: &Reached<'_>, content: &mut ProbeScope) {
        let has_some = at.hit.value(5).is_some_and(|len| len > 0);
        let packed = at.hit.text(known.text_index(4, 1)).filter(|_| has_some);
        let packed = Packed::read(packed);
        self.counts.unread += u64::from(packed.is_broken);
        content.index = packed.index;
        content.attrs_left_out = packed.left_out;
        add(&mut content.attrs, packed.attrs);
    }

    fn open_told(
        &mut self,
        key: (u64, u64),
        around: Around,
        content: ProbeScope,
        at: &Reached<'_>,
        works: bool,
        store: &mut Store,
    ) {
        let Around {
            up, depth, join, ..
        } = around;
        // Its number is given again: its end was not seen.
        if let Some(before) = self.process(at.head.tgid).end(key) {
            self.close_all(vec![before], at.head.ts, End::Unwound, store);
        }
        let Some(scope) = self.open_scope(around, content, at, store) else {
            return;
        };
        let process = self.process(at.head.tgid);
        process.add(key, scope, up, depth);
        self.note(scope, join, Some(key));
        if works {
            self.works_for(scope, What::Told(key), at);
        }
    }

    /// Opens it in the store, unless too many are open.
    fn open_scope(
        &mut self,
        around: Around,
        content: ProbeScope,
        at: &Reached<'_>,
        store: &mut Store,
    ) -> Option<Id> {
        let of_one = self.process(at.head.tgid).open();
        let is_full = of_one >= MAX_PROBE_SCOPES_OF_ONE || self.open >= MAX_PROBE_SCOPES;
        if is_full || around.depth > MAX_SCOPE_DEPTH {
            self.counts.scopes_left_out += 1;
            return None;
        }
        let start = Start {
            parent: around.parent,
            at: at.head.ts,
            pid: at.head.tgid,
            tid: at.head.tid,
            rank: at.rank,
            evidence: evidence::PROBE,
            join: around.join,
        };
        let scope = store.open(start, Box::new(content));
        self.open += 1;
        self.content_bytes += store.held_bytes(scope);
        Some(scope)
    }

    fn works_for(&mut self, scope: Id, what: What, at: &Reached<'_>) {
        let began = at.head.ts;
        let entry = Entry {
            scope,
            began,
            what,
            task: at.task,
        };
        if !self.process(at.head.tgid).enter(at.context(), entry) {
            self.counts.scopes_left_out += 1;
        }
    }

    /// `cirron:scope_enter`.
    pub(super) fn enter(&mut self, known: &Known, at: &Reached<'_>, store: &Store) {
        let key = at.hit.value(0).map(|id| (known.image, id));
        let scope = key.and_then(|key| self.process(at.head.tgid).open_node(key));
        let (Some(key), Some(scope)) = (key, scope) else {
            self.counts.unseen += 1;
            return;
        };
        if store.is_open(scope) {
            self.noted.works_for = Some(Some(key));
            self.works_for(scope, What::Told(key), at);
        }
    }

    /// `cirron:scope_exit`.
    pub(super) fn exit(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        match at.hit.value(0) {
            Some(id) => {
                let (context, key) = (at.context(), (known.image, id));
                let process = self.process(at.head.tgid);
                process.exit(context, key);
                let around = process.named_around(key);
                // The thread does something else until it comes back.
                let scope = process.open_node(key);
                if let Some(content) = scope.and_then(|id| store.get_mut::<ProbeScope>(id)) {
                    content.begun = None;
                }
                self.noted.works_for = Some(around);
            }
            None => self.counts.unread += 1,
        }
    }

    /// `cirron:scope_end`.
    pub(super) fn tell_end(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let key = at.hit.value(0).map(|id| (known.image, id));
        let Some(scope) = key.and_then(|key| self.process(at.head.tgid).end(key)) else {
            self.counts.unseen += 1;
            return;
        };
        self.open -= 1;
        let end = End::outcome(at.hit.value(1));
        self.close(scope, (at.head.ts, at.cpu()), end, store);
    }

    /// Another provider's probe: a scope of the thread begins.
    pub(super) fn begin(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let what = What::Begun(known.name.clone());
        self.begin_on_thread(known, at, what, store);
    }

    /// The innermost of that name ends, and what the thread began within.
    pub(super) fn end(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let context = at.context();
        let is_it = |entry: &Entry, task| {
            matches!(&entry.what, What::Begun(name) if *name == known.name) && entry.task == task
        };
        let process = self.process(at.head.tgid);
        let entries = process.entries(context);
        let of = |task| entries.iter().rposition(|entry| is_it(entry, task));
        // Tasks have their turns on one thread. One may have begun before its context was known.
        let found = of(at.task).or_else(|| of(None));
        let Some((place, task)) = found.and_then(|at| Some((at, entries.get(at)?.task))) else {
            self.counts.unseen += 1;
            return;
        };
        let within = process.take(context, |index, entry| index > place && entry.task == task);
        let its = process.take(context, |index, _| index == place);
        let (values, unread) = named(&known.slots, at.hit);
        self.counts.unread += unread;
        self.close_all(within, at.head.ts, End::Unwound, store);
        for scope in its {
            self.open -= 1;
            if let Some(content) = store.get_mut::<ProbeScope>(scope) {
                put(content, values.clone());
            }
            self.close(scope, (at.head.ts, at.cpu()), End::Told, store);
        }
    }

    fn begin_on_thread(&mut self, known: &Known, at: &Reached<'_>, what: What, store: &mut Store) {
        let context = at.context();
        let (values, unread) = named(&known.slots, at.hit);
        self.counts.unread += unread;
        let mut content = ProbeScope::new(known.name.clone(), at.cpu());
        put(&mut content, values);
        let is_frame = matches!(what, What::Frame { .. });
        let around_it = self.place_of(at, None, is_frame);
        let around_join = around_it.1;
        let mut around = Around::by_evidence(around_it);
        around.depth = self.process(at.head.tgid).entries(context).len() + 1;
        let Some(scope) = self.open_scope(around, content, at, store) else {
            return;
        };
        let began = at.head.ts;
        let entry = Entry {
            scope,
            began,
            what,
            task: at.task,
        };
        self.note(scope, around_join, None);
        self.process(at.head.tgid).begin(context, entry);
    }

    /// A function is entered. Frames that stood where it stands now, or further down, are over.
    pub(super) fn call(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let (context, stack) = (at.context(), at.hit.stack());
        let name = known.name.clone();
        let over = self.process(at.head.tgid).take(context, |_, entry| {
            matches!(entry.what, What::Frame { stack: its, .. } if stack_is_over(context, its, stack))
        });
        self.close_all(over, at.head.ts, End::Unwound, store);
        self.begin_on_thread(known, at, What::Frame { stack, name }, store);
    }

    /// The thread goes on in a frame further up: those below are over.
    pub(super) fn land(&mut self, at: &Reached<'_>, store: &mut Store) {
        let (context, stack) = (at.context(), at.hit.stack());
        let over = self.process(at.head.tgid).take(
            context,
            |_, entry| matches!(entry.what, What::Frame { stack: its, .. } if its < stack),
        );
        self.close_all(over, at.head.ts, End::Unwound, store);
    }

    /// A function is left.
    pub(super) fn leave(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let (context, stack) = (at.context(), at.hit.stack());
        let process = self.process(at.head.tgid);
        let is_it = |what: &What| match what {
            // A function that ends in another one is left where that one is.
            What::Frame { stack: its, name } => match context.is_reused() {
                false => *its == stack,
                true => *name == known.name,
            },
            What::Told(_) | What::Begun(_) => false,
        };
        let entries = process.entries(context);
        let place = entries.iter().rposition(|entry| is_it(&entry.what));
        let within = process.take(context, |index, entry| match &entry.what {
            What::Frame { stack: its, .. } if place.is_none() => {
                !context.is_reused() && *its < stack
            }
            What::Frame { .. } | What::Begun(_) => place.is_some_and(|place| index > place),
            What::Told(_) => false,
        });
        // Those within went: its place is the same.
        let its = process.take(context, |index, _| place == Some(index));
        self.close_all(within, at.head.ts, End::Unwound, store);
        for scope in its {
            self.open -= 1;
            self.close(scope, (at.head.ts, at.cpu()), End::Told, store);
        }
        if place.is_none() {
            self.counts.unseen += 1;
        }
    }
}

/// A frame that was entered at `its` is over where another is entered at `stack`. The stack of a goroutine without a number
/// may have moved in between: there only the same place says so.
fn stack_is_over(context: super::Context, its: u64, stack: u64) -> bool {
    match context.is_reused() {
        false => its <= stack,
        true => its == stack,
    }
}

fn add(attrs: &mut Attrs, more: Attrs) {
    for (name, value) in more.iter() {
        attrs.insert(name.clone(), value.clone());
    }
}

fn put(content: &mut ProbeScope, values: Vec<(Label, AttrValue)>) {
    for (name, value) in values {
        if content.attrs.len() < MAX_PROBE_ATTRS {
            content.attrs.insert(name, value);
        } else {
            content.attrs_left_out += 1;
        }
    }
}
