//! A sink that checks the rules of [`crate::exchange`] and keeps what came, for comparison.

use std::collections::BTreeMap;

use crate::exchange::{
    AbortedBy, ExchangeEnd, ExchangeEvent, ExchangeId, ExchangeSink, MessageEnd, Role, Sender,
};
use crate::proto::message::{Headers, RequestHead, ResponseHead};
use crate::proto::ws;
use crate::time::MonoNs;

/// One exchange, its body pieces joined: the same whatever the cuts were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeLog {
    /// From `Start`.
    pub role: Option<Role>,
    /// From `Start`.
    pub late: bool,
    /// The request's head.
    pub request: Option<RequestHead>,
    /// Its body.
    pub request_body: Vec<u8>,
    /// Bytes lost of it.
    pub request_lost: u64,
    /// How it ended.
    pub request_end: Option<MessageEnd>,
    /// Statuses of 1xx responses.
    pub informational: Vec<u16>,
    /// `ResponseStart` came.
    pub response_started: bool,
    /// The response's head.
    pub response: Option<ResponseHead>,
    /// Its body.
    pub response_body: Vec<u8>,
    /// Bytes lost of it.
    pub response_lost: u64,
    /// Its trailers.
    pub trailers: Option<Headers>,
    /// WebSocket messages of the client and of the server: bytes, and whether it is whole.
    pub messages: [Vec<(Vec<u8>, bool)>; 2],
    /// What their Close frames said.
    pub closed: [Option<Option<u16>>; 2],
    /// How it ended.
    pub response_end: Option<MessageEnd>,
    /// The client left before the response was over, or aborted it and had said its FIN before.
    pub leaving: bool,
    /// A gap was said, of a known length or not.
    pub holes: bool,
    /// From `End`.
    pub end: Option<ExchangeEnd>,
}

/// Times of one exchange. Not part of the comparison: they are those of the pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Of `Start`.
    pub start: MonoNs,
    /// Of the latest request event.
    pub request: MonoNs,
    /// Of `ResponseStart`.
    pub response_start: Option<MonoNs>,
    /// Of the latest response event.
    pub response: MonoNs,
    /// Of `End`.
    pub end: MonoNs,
}

/// Takes the events of one connection.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    exchanges: BTreeMap<ExchangeId, (ExchangeLog, Times)>,
}

impl Ledger {
    /// The exchanges so far, in the order of their start.
    #[cfg(test)]
    pub(crate) fn exchanges(&self) -> Vec<&ExchangeLog> {
        self.exchanges.values().map(|(log, _)| log).collect()
    }

    /// Their times, in the same order.
    #[cfg(test)]
    pub(crate) fn times(&self) -> Vec<Times> {
        self.exchanges.values().map(|(_, times)| *times).collect()
    }

    /// The exchanges of a connection that has ended.
    ///
    /// # Panics
    /// When an exchange has not ended, or a complete message does not have the length it announced.
    pub(crate) fn finish(self) -> Vec<ExchangeLog> {
        let logs = self.exchanges.into_values().map(|(log, _)| log);
        logs.inspect(ExchangeLog::check).collect()
    }
}

impl ExchangeLog {
    fn web_socket(&mut self, by: Sender, event: ws::Event<'_>) {
        let (messages, closed) = match by {
            Sender::Client => (&mut self.messages[0], &mut self.closed[0]),
            Sender::Server => (&mut self.messages[1], &mut self.closed[1]),
        };
        assert!(closed.is_none(), "{event:?} after Close");
        match event {
            ws::Event::MessageStart { .. } => messages.push((Vec::new(), false)),
            ws::Event::Data(bytes) => {
                if let Some((message, _)) = messages.last_mut() {
                    message.extend_from_slice(bytes);
                }
            }
            ws::Event::MessageEnd { damaged, .. } => {
                if let Some((_, whole)) = messages.last_mut() {
                    *whole = !damaged;
                }
            }
            ws::Event::DataGap(_)
            | ws::Event::OtherGap(_)
            | ws::Event::Lost(_)
            | ws::Event::Passed(_) => self.holes = true,
            ws::Event::Ping | ws::Event::Pong => {}
            ws::Event::Close { code } => *closed = Some(code),
        }
    }

    fn check(&self) {
        let end = self.end.unwrap_or_else(|| panic!("no End: {self:?}"));
        let head_len = |h: &Headers| {
            let chunked = h.get("transfer-encoding").is_some();
            let len = h
                .get_str("content-length")
                .and_then(|v| v.parse::<u64>().ok());
            if chunked { None } else { len }
        };
        let complete = Some(MessageEnd::Complete);
        if let Some(head) = &self.request
            && self.request_end == complete
            && head.method != "CONNECT"
            && let Some(len) = head_len(&head.headers)
        {
            assert_eq!(
                self.request_body.len() as u64 + self.request_lost,
                len,
                "{self:?}"
            );
        }
        let bodiless = self
            .request
            .as_ref()
            .is_none_or(|r| r.method == "HEAD" || r.method == "CONNECT");
        if let Some(head) = &self.response
            && self.response_end == complete
            && !bodiless
            && !matches!(head.status, 100..=199 | 204 | 304)
            && let Some(len) = head_len(&head.headers)
        {
            assert_eq!(
                self.response_body.len() as u64 + self.response_lost,
                len,
                "{self:?}"
            );
        }
        let whole = self.request_end == complete && self.response_end == complete;
        let lost = self.holes || self.late || !whole;
        let lost = lost || self.request.is_none() || self.response.is_none();
        assert_eq!(end.partial, lost, "{self:?}");
        assert!(
            end.aborted_by.is_none()
                || self.response_end != complete
                || self.leaving && end.aborted_by == Some(AbortedBy::Client),
            "{self:?}"
        );
    }
}

impl ExchangeSink for Ledger {
    fn on_event(&mut self, id: ExchangeId, ts: MonoNs, event: ExchangeEvent<'_>) {
        if let ExchangeEvent::Start { role, late } = event {
            assert!(self.exchanges.keys().all(|k| *k < id), "ids grow: {id:?}");
            let log = ExchangeLog {
                role: Some(role),
                late,
                ..ExchangeLog::default()
            };
            let times = Times {
                start: ts,
                ..Times::default()
            };
            self.exchanges.insert(id, (log, times));
            return;
        }
        let (log, times) = self
            .exchanges
            .get_mut(&id)
            .unwrap_or_else(|| panic!("{event:?} first"));
        assert!(log.end.is_none(), "{event:?} after End");
        assert!(ts >= times.start, "{event:?} before Start");
        let request_open = |log: &ExchangeLog| assert!(log.request_end.is_none(), "{event:?}");
        let response_open = |log: &ExchangeLog| assert!(log.response_end.is_none(), "{event:?}");
        match event {
            ExchangeEvent::Start { .. } => {}
            ExchangeEvent::RequestHead(head) => {
                request_open(log);
                assert!(log.request.is_none());
                log.request = Some(head.clone());
            }
            ExchangeEvent::RequestBody(bytes) => {
                request_open(log);
                assert!(!bytes.is_empty());
                log.request_body.extend_from_slice(bytes);
            }
            ExchangeEvent::RequestGap(len) => {
                request_open(log);
                log.holes = true;
                log.request_lost = log.request_lost.saturating_add(len);
            }
            ExchangeEvent::RequestEnd(end) => {
                request_open(log);
                log.request_end = Some(end);
            }
            ExchangeEvent::Informational(head) => {
                assert!(!log.response_started);
                log.informational.push(head.status);
            }
            ExchangeEvent::ResponseStart => {
                response_open(log);
                assert!(!log.response_started);
                log.response_started = true;
                times.response_start = Some(ts);
            }
            ExchangeEvent::ResponseHead(head) => {
                response_open(log);
                assert!(log.response_started && log.response.is_none());
                log.response = Some(head.clone());
            }
            ExchangeEvent::ResponseBody(bytes) => {
                response_open(log);
                assert!(!bytes.is_empty());
                log.response_body.extend_from_slice(bytes);
            }
            ExchangeEvent::ResponseGap(len) => {
                response_open(log);
                log.holes = true;
                log.response_lost = log.response_lost.saturating_add(len);
            }
            ExchangeEvent::ResponseTrailers(fields) => {
                response_open(log);
                log.trailers = Some(fields.clone());
            }
            ExchangeEvent::WebSocket { by, event } => {
                response_open(log);
                log.web_socket(by, event);
            }
            ExchangeEvent::ClientLeaving { .. } => {
                response_open(log);
                log.leaving = true;
                return;
            }
            ExchangeEvent::ClientStayed => {
                assert!(log.leaving, "{event:?} and did not leave");
                log.leaving = false;
                return;
            }
            ExchangeEvent::ResponseEnd(end) => {
                response_open(log);
                log.response_end = Some(end);
            }
            ExchangeEvent::End(end) => {
                log.end = Some(end);
                log.leaving &= end.aborted_by == Some(AbortedBy::Client);
            }
        }
        let last = match event {
            ExchangeEvent::RequestHead(_)
            | ExchangeEvent::RequestBody(_)
            | ExchangeEvent::RequestGap(_)
            | ExchangeEvent::RequestEnd(_)
            | ExchangeEvent::WebSocket {
                by: Sender::Client, ..
            } => &mut times.request,
            ExchangeEvent::Informational(_)
            | ExchangeEvent::ResponseStart
            | ExchangeEvent::ResponseHead(_)
            | ExchangeEvent::ResponseBody(_)
            | ExchangeEvent::ResponseGap(_)
            | ExchangeEvent::ResponseTrailers(_)
            | ExchangeEvent::WebSocket {
                by: Sender::Server, ..
            }
            | ExchangeEvent::ResponseEnd(_) => &mut times.response,
            ExchangeEvent::Start { .. }
            | ExchangeEvent::ClientLeaving { .. }
            | ExchangeEvent::ClientStayed
            | ExchangeEvent::End(_) => {
                assert!(ts >= times.request && ts >= times.response, "End goes back");
                &mut times.end
            }
        };
        assert!(ts >= *last, "{event:?} goes back in time");
        *last = ts;
    }
}
