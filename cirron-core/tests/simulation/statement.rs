//! Calls of a protocol that nobody reads, each of which has the id of its request in its length: for suites that judge what
//! `net.client` scopes are part of.

use cirron_core::engine::{Engine, EngineConfig, ProcessFacts};
use cirron_core::id::SequentialIds;
use cirron_core::rules::{Rules, flags_layer};
use cirron_core::scope::{AttrValue, Span};
use cirron_core::testing::records::TGID;

/// Length of the statement of number 0: longer than the numbers are apart, so that no two are as long as another one.
const BASE: u64 = 16_384;

/// What a server answers.
pub(crate) const ANSWER: &str = "\u{1}pong";

/// An engine; `net`: it measures such connections.
pub(crate) fn engine(net: bool) -> Engine {
    let config = EngineConfig {
        rules: Rules::read(flags_layer(false, net)).unwrap(),
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(config, Box::new(SequentialIds::default()));
    if net {
        engine.handle_process(ProcessFacts {
            tgid: TGID,
            ..ProcessFacts::default()
        });
    }
    engine
}

/// What is written for a request; of `u64::MAX`, for none.
pub(crate) fn statement(number: u64) -> String {
    let len = match number {
        u64::MAX => BASE - 1,
        number => BASE + number,
    };
    "\0".repeat(usize::try_from(len).unwrap())
}

/// Of a `net.client`: whether it has statements of that request alone.
pub(crate) fn is_of(span: &Span, number: u64) -> bool {
    let sent = match span.attrs.get("cirron.net.bytes_sent") {
        Some(AttrValue::Int(sent)) => u64::try_from(*sent).unwrap(),
        other => panic!("{other:?}"),
    };
    sent > 0 && sent.is_multiple_of(BASE + number)
}
