//! How one exchange ends, and what is said of it.

use super::super::open::{Exchange, Response, Upgrade};
use super::super::{AbortedBy, ExchangeEnd, ExchangeEvent, ExchangeSink};
use crate::proto::message::MessageEnd;
use crate::time::MonoNs;

/// Why no more of an exchange is read: it says how its messages end that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exchange) enum Unfinished {
    /// No more can come.
    CutOff,
    /// Nobody knows whether more came: a hole, or we gave it up. So of a response that has not begun.
    Lost,
    /// More came that is no HTTP of this connection: its request was cut off, what is known of a response ended
    /// there.
    NotHttp,
    /// Its own protocol said so.
    Complete,
}

impl From<MessageEnd> for Unfinished {
    fn from(end: MessageEnd) -> Unfinished {
        match end {
            MessageEnd::Complete => Unfinished::Complete,
            MessageEnd::Aborted => Unfinished::CutOff,
            MessageEnd::Lost => Unfinished::Lost,
        }
    }
}

impl Unfinished {
    fn request(self) -> MessageEnd {
        match self {
            Unfinished::CutOff | Unfinished::NotHttp => MessageEnd::Aborted,
            Unfinished::Lost => MessageEnd::Lost,
            Unfinished::Complete => MessageEnd::Complete,
        }
    }

    fn response(self) -> MessageEnd {
        match self {
            Unfinished::CutOff => MessageEnd::Aborted,
            Unfinished::Lost | Unfinished::NotHttp => MessageEnd::Lost,
            Unfinished::Complete => MessageEnd::Complete,
        }
    }
}

impl Exchange {
    /// Both messages have ended.
    pub(in crate::exchange) fn is_over(&self) -> bool {
        self.request.is_some() && self.is_answered()
    }

    /// Both have, and nothing is waited for.
    pub(in crate::exchange) fn is_settled(&self) -> bool {
        self.is_over() && self.verdict_due().is_none()
    }

    /// Ends it, whatever it lacks. `by`: who ended it, if it did not end by itself.
    pub(in crate::exchange) fn finish(
        mut self,
        ts: MonoNs,
        why: Unfinished,
        by: Option<AbortedBy>,
        sink: &mut dyn ExchangeSink,
    ) {
        // One that is over waited only for whether its client was there.
        let ts = match self.is_over() {
            true => self.last,
            false => ts.max(self.last),
        };
        self.end_request(ts, why.request(), sink);
        match self.response {
            Response::Open => self.end_response(ts, why.response(), sink),
            Response::Waiting if why == Unfinished::Lost => {
                self.end_response(ts, why.response(), sink);
            }
            Response::Waiting | Response::Done(_) => {}
        }
        self.end(ts, by, sink);
    }

    /// The last event. `by`: as in [`Exchange::finish`].
    pub(in crate::exchange) fn end(
        mut self,
        ts: MonoNs,
        by: Option<AbortedBy>,
        sink: &mut dyn ExchangeSink,
    ) {
        let complete = Some(MessageEnd::Complete);
        let whole =
            self.request == complete && self.response == Response::Done(MessageEnd::Complete);
        let aborted = match self.response {
            Response::Done(MessageEnd::Complete) => self.was_written_to_nobody(),
            Response::Done(MessageEnd::Lost) => false,
            Response::Done(MessageEnd::Aborted) | Response::Waiting | Response::Open => true,
        };
        let by = if self.has_left() {
            Some(AbortedBy::Client)
        } else {
            by
        };
        let lost = Some(MessageEnd::Lost);
        let loses = self.partial
            || self.request == lost
            || self.response == Response::Done(MessageEnd::Lost);
        let end = ExchangeEnd {
            aborted_by: by.filter(|_| aborted),
            upgraded: match self.upgrades {
                // It is HTTP still.
                Upgrade::No | Upgrade::Http2 => false,
                Upgrade::Tunnel | Upgrade::WebSocket(_) => true,
            },
            partial: self.partial || !whole,
            cut: !loses && !whole,
            unread: self.unread,
        };
        let ts = ts.max(self.last);
        self.emit(ts, ExchangeEvent::End(end), sink);
    }
}
