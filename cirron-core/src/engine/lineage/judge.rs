//! Whether the calls that were presumed to be made for a request were: told when it is over.
//!
//! ```text
//!  request ends --no call--> closed
//!     |--each call is certain, or certainly not--> closed, with the verdicts
//!     +--a context on the way may still end--> [held] --it ends, or a second has passed--> closed, with the verdicts
//! ```

use super::node::{Node, Number, Of};
use super::{Connection, Lineage};
use crate::id::Id;
use crate::scope::evidence;
use crate::time::{MS, MonoNs};

/// Event time behind a request's end in which the contexts of its tasks have to end. Under load 50 ms were not enough for one
/// in four; a worker that serves all requests does not end at all.
pub(super) const GRACE_NS: u64 = 1_000 * MS;

/// Of each call: how it is known that the request is its parent, or why that is not known.
type Verdicts = Vec<(Id, Result<&'static str, &'static str>)>;

/// A request of a process whose contexts are known.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) pid: u32,
    pub(super) connection: Connection,
    pub(super) is_answered: bool,
    pub(super) answered_by: Option<Number>,
    /// The outermost context that was made for it and that who answers it descends from, or is.
    pub(super) answered_in: Option<Number>,
    /// None was in progress on its connection before.
    pub(super) is_first: bool,
    pub(super) refused: Option<&'static str>,
    /// Calls, scopes and marks that are presumed to be its, and in which contexts they began.
    pub(super) calls: Vec<(Id, Number)>,
    pub(super) held: Option<Held>,
}

impl Request {
    pub(super) fn new(pid: u32, connection: Connection, is_first: bool) -> Request {
        Request {
            pid,
            connection,
            is_answered: false,
            answered_by: None,
            answered_in: None,
            is_first,
            refused: None,
            calls: Vec::new(),
            held: None,
        }
    }
}

/// The end of a request that waits.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Held {
    pub(super) due: MonoNs,
    /// When it ended.
    pub(in crate::engine) end: MonoNs,
    /// What its end says of others that were presumed to be part of it.
    pub(in crate::engine) doubt: Option<&'static str>,
    /// Of its scope.
    pub(super) bytes: usize,
}

impl Held {
    pub(in crate::engine) fn new(end: MonoNs, doubt: Option<&'static str>, bytes: usize) -> Held {
        Held {
            due: end.plus(GRACE_NS),
            end,
            doubt,
            bytes,
        }
    }
}

/// What is known of one call.
enum Verdict {
    Certain(Result<&'static str, &'static str>),
    /// This context has to end.
    Waits(Number),
}

impl Lineage {
    /// A request is over: nothing that begins now is for it. False: no calls wait for that.
    pub(in crate::engine) fn end(&mut self, id: Id) -> bool {
        let Some(request) = self.requests.get(&id) else {
            return false;
        };
        if let Some(process) = self.processes.get_mut(&request.pid)
            && let Some(open) = process.open.get_mut(&request.connection)
        {
            open.retain(|other| *other != id);
            if open.is_empty() {
                process.open.remove(&request.connection);
            }
        }
        let has_calls = !request.calls.is_empty();
        if !has_calls {
            self.requests.remove(&id);
        }
        has_calls
    }

    /// A request is over, and none of its calls is to be judged.
    pub(in crate::engine) fn leave_out(&mut self, id: Id) {
        if self.end(id) {
            self.forget(id);
        }
    }

    /// The verdicts on a request's calls, with which it is forgotten; `None`: they are not certain yet, and it is held. `held`:
    /// its end. `is_late`: nothing is waited for any more.
    pub(in crate::engine) fn judge(
        &mut self,
        id: Id,
        held: Held,
        is_late: bool,
    ) -> Option<Verdicts> {
        let request = self.requests.get(&id)?;
        let mut verdicts = Verdicts::new();
        for (call, number) in &request.calls {
            match self.verdict(id, *number, held.end) {
                Verdict::Certain(verdict) => verdicts.push((*call, verdict)),
                Verdict::Waits(_) if is_late => {
                    verdicts.push((*call, Err(evidence::OUTLIVES)));
                }
                Verdict::Waits(number) => {
                    let process = self.processes.get_mut(&request.pid);
                    if let Some(node) = process.and_then(|p| p.nodes.get_mut(&number)) {
                        node.awaited_by = Some(id);
                    }
                    if request.held.is_none() {
                        self.hold(id, held);
                    }
                    return None;
                }
            }
        }
        self.forget(id);
        Some(verdicts)
    }

    /// Of a request that waits: its end.
    pub(in crate::engine) fn held(&self, id: Id) -> Option<Held> {
        self.requests.get(&id)?.held
    }

    fn forget(&mut self, id: Id) {
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        self.presumed -= request.calls.len();
        if let Some(held) = request.held {
            self.due.remove(&(held.due, id));
            self.held_bytes -= held.bytes;
        }
        if let Some(process) = self.processes.get_mut(&request.pid) {
            let before = process.nodes.len();
            for (_, number) in request.calls {
                process.let_go(number);
            }
            self.nodes = self.nodes + process.nodes.len() - before;
        }
    }

    fn verdict(&self, id: Id, call_in: Number, end: MonoNs) -> Verdict {
        let lost = Verdict::Certain(Err(evidence::RECORDS_LOST));
        let Some(request) = self.requests.get(&id) else {
            return lost;
        };
        if let Some(why) = self.refusal(request) {
            return Verdict::Certain(Err(why));
        }
        let Some(process) = self.processes.get(&request.pid) else {
            return lost;
        };
        let began = |number| request.answered_by == Some(number);
        let mut waits = None;
        let mut next = call_in;
        loop {
            let Some(node) = process.nodes.get(&next) else {
                return lost;
            };
            let verdict = step(node, request.connection, began(next), end);
            if next == call_in && began(next) && verdict.is_ok() {
                return Verdict::Certain(Ok(process.kind.own()));
            }
            match verdict {
                Err(why) => return Verdict::Certain(Err(why)),
                Ok(Step::Alive) => waits = waits.or(Some(next)),
                Ok(Step::Fine) => {}
            }
            let Some(line) = node.line else {
                return lost;
            };
            if next == call_in && line.request.is_none() {
                return Verdict::Certain(Err(evidence::OTHER_CONTEXT));
            }
            let of_its = |maker: Number| process.nodes.get(&maker)?.line?.request;
            let is_inner = line.is_top || node.maker.and_then(of_its).is_some();
            let is_outermost = line.request.is_some() && !is_inner;
            let leads_to_answer = request.answered_in == Some(next);
            if is_outermost && !request.is_first && !leads_to_answer {
                // What serves the connection may have made it for the one before, behind that one's answer.
                return Verdict::Certain(Err(evidence::OTHER_CONTEXT));
            }
            match node.maker {
                // What answers it, or starts who does, is at work for it, whatever made that.
                _ if line.is_top || began(next) || leads_to_answer => break,
                Some(maker) => next = maker,
                None => return lost,
            }
        }
        match waits {
            Some(number) => Verdict::Waits(number),
            None => Verdict::Certain(Ok(process.kind.descent())),
        }
    }
}

/// A context on the way from a call up to the read of its request.
enum Step {
    Fine,
    /// It has not ended.
    Alive,
}

fn step(
    node: &Node,
    connection: Connection,
    began: bool,
    end: MonoNs,
) -> Result<Step, &'static str> {
    if began {
        return match node.answers {
            Of::One(only) if only == connection => Ok(Step::Fine),
            Of::None | Of::One(_) | Of::Several => Err(evidence::SEVERAL),
        };
    }
    if node.answers != Of::None {
        return Err(evidence::SEVERAL);
    }
    if node.reads == Of::One(connection) {
        return Ok(Step::Fine);
    }
    match node.ended {
        None => Ok(Step::Alive),
        Some(ended) if ended <= end.plus(GRACE_NS) => Ok(Step::Fine),
        Some(_) => Err(evidence::OUTLIVES),
    }
}
