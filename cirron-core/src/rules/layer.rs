//! The layers of rules, and what they are for one process.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::keys::RULES;
use super::rule::Rule;
use super::schema::{self, Problem, Step};
use super::section::others;

/// The key of a target's `CONFIG` that the SDK's decorator honours, and we do.
pub const CHUNK_TIMING: &str = "stream_chunk_timing";

/// The key of a target's `CONFIG` with rules of ours: a table as the agent's file is.
pub const CONFIG_KEY: &str = "cirron";

/// What each byte of a target's rules takes as JSON that was read, as it came, about.
const BYTES_PER_CONFIG_BYTE: usize = 6;

/// Layers of rules, the first asked first.
#[derive(Clone, Default)]
pub struct Rules {
    layers: Vec<Layer>,
    /// Those of a process of which nothing else is asked.
    general: Option<Arc<ProcessRules>>,
    /// A rule asks for a name of the process.
    asks_process: bool,
}

#[derive(Clone)]
struct Layer {
    source: Value,
    rules: Vec<Arc<Rule>>,
}

/// The rules of a process, the first asked first. There is at least one.
#[derive(Debug)]
pub(crate) struct ProcessRules {
    list: Vec<Arc<Rule>>,
    own_bytes: usize,
}

impl Rules {
    /// Of these layers, each a table with `rules`, the first asked first.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub fn read(layers: impl IntoIterator<Item = Value>) -> Result<Rules, Vec<Problem>> {
        let mut configured = Rules::default();
        let mut problems = Vec::new();
        for (number, source) in layers.into_iter().enumerate() {
            // The agent's own file has more, which others read.
            let (rules, wrong) = schema::read(number, &source, &others());
            problems.extend(wrong);
            let rules: Vec<Arc<Rule>> = rules.into_iter().map(Arc::new).collect();
            configured.asks_process |= rules.iter().any(|rule| rule.when.asks_process());
            configured.layers.push(Layer { source, rules });
        }
        configured.general = configured.rules_of((None, None), Vec::new(), 0);
        match problems.is_empty() {
            true => Ok(configured),
            false => Err(problems),
        }
    }

    /// One layer that asks for `chunk_ms` marks of all streams, and for nothing else.
    pub fn of_chunk_timing() -> Rules {
        Rules::read(flags_layer(true, false)).unwrap_or_default()
    }

    /// The layers as they were given.
    pub fn layers(&self) -> impl Iterator<Item = &Value> {
        self.layers.iter().map(|layer| &layer.source)
    }

    /// Number of its rules.
    pub fn rule_count(&self) -> usize {
        self.layers.iter().map(|layer| layer.rules.len()).sum()
    }

    /// What holds for a process of which nothing is known.
    pub(crate) fn general(&self) -> Option<&Arc<ProcessRules>> {
        self.general.as_ref()
    }

    /// What holds for a process with this executable, which a rule of targets calls so, and this `CONFIG`, and what of that
    /// is wrong.
    pub(crate) fn for_process(
        &self,
        names: (Option<&str>, Option<&str>),
        config: Option<&str>,
    ) -> (Option<Arc<ProcessRules>>, Vec<Problem>) {
        let (own, problems) = config.map_or_else(Default::default, |text| {
            read_config(self.layers.len(), text)
        });
        if own.is_empty() && !self.asks_process {
            return (self.general.clone(), problems);
        }
        let bytes = config.map_or(0, |text| text.len() * BYTES_PER_CONFIG_BYTE);
        let own = own.into_iter().map(Arc::new).collect();
        (self.rules_of(names, own, bytes), problems)
    }

    fn rules_of(
        &self,
        (executable, target): (Option<&str>, Option<&str>),
        own: Vec<Arc<Rule>>,
        own_bytes: usize,
    ) -> Option<Arc<ProcessRules>> {
        let bytes = own.len() * size_of::<Rule>() + own_bytes;
        let all = self
            .layers
            .iter()
            .flat_map(|layer| layer.rules.iter().cloned());
        let its = |rule: &Arc<Rule>| rule.when.is_met_by_process(executable, target);
        let list: Vec<Arc<Rule>> = all.chain(own).filter(its).collect();
        if list.is_empty() {
            return None;
        }
        let own_bytes = bytes + list.capacity() * size_of::<Arc<Rule>>();
        Some(Arc::new(ProcessRules { list, own_bytes }))
    }
}

impl PartialEq for Rules {
    /// The same was written.
    fn eq(&self, other: &Rules) -> bool {
        self.layers().eq(other.layers())
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.layers()).finish()
    }
}

impl ProcessRules {
    pub(super) fn list(&self) -> &[Arc<Rule>] {
        &self.list
    }

    /// Whether connections as a client that carry no HTTP are scopes.
    pub(crate) fn wants_net_scopes(&self) -> bool {
        let mut wanting = self.list.iter().filter_map(|rule| {
            let wanted = rule.then.net_scopes?;
            rule.when.is_met_by_connection().then_some(wanted)
        });
        wanting.next().unwrap_or(false)
    }

    /// Bytes that they hold, with rules that no other process has, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.own_bytes
    }

    /// ProcessRules that say nothing but that there are `chunk_ms` points.
    #[cfg(test)]
    pub(crate) fn with_chunk_timing() -> Arc<ProcessRules> {
        let configured = Rules::of_chunk_timing();
        Arc::clone(configured.general().expect("rules"))
    }
}

/// What flags say: `chunk_ms` marks of all streams (`--chunk-timing`), scopes of connections that carry no HTTP
/// (`--net-scopes`); `None`: nothing.
pub fn flags_layer(chunk_timing: bool, net_scopes: bool) -> Option<Value> {
    let flags = [("chunk_timing", chunk_timing), ("net_scopes", net_scopes)];
    let given = flags.into_iter().filter(|(_, given)| *given);
    let rule: Map<String, Value> = given.map(|(key, on)| (key.into(), on.into())).collect();
    (!rule.is_empty()).then(|| json!({ RULES: [rule] }))
}

/// The rules in a target's `CONFIG`, as [`wanted_config`] keeps it. The SDK's own key is the last of them.
fn read_config(layer: usize, text: &str) -> (Vec<Rule>, Vec<Problem>) {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else {
        return Default::default();
    };
    let (mut rules, mut problems) = match map.get(CONFIG_KEY) {
        Some(ours) => schema::read(layer, ours, &[]),
        None => Default::default(),
    };
    for problem in &mut problems {
        problem.at.insert(0, Step::Key(CONFIG_KEY.into()));
    }
    match map.get(CHUNK_TIMING).map(Value::as_bool) {
        None => {}
        Some(Some(wanted)) => {
            let mut rule = Rule::default();
            rule.then.chunk_timing = Some(wanted);
            rules.push(rule);
        }
        Some(None) => problems.push(Problem {
            layer,
            at: vec![Step::Key(CHUNK_TIMING.into())],
            is_key: false,
            what: "this value is not taken".into(),
            fix: "it is true or false".into(),
        }),
    }
    (rules, problems)
}

/// What is looked at of a target's `CONFIG`; `None`: nothing in it is ours. The rest may hold secrets, and so may a
/// value that has not the form of ours: it is replaced by a null, which says that it was there.
pub fn wanted_config(text: &str) -> Option<String> {
    let Ok(Value::Object(mut map)) = serde_json::from_str::<Value>(text) else {
        return None;
    };
    let mut kept = Map::new();
    if let Some(value) = map.remove(CHUNK_TIMING) {
        let value = value.as_bool().map_or(Value::Null, Value::Bool);
        kept.insert(CHUNK_TIMING.into(), value);
    }
    if let Some(value) = map.remove(CONFIG_KEY) {
        let value = if value.is_object() {
            value
        } else {
            Value::Null
        };
        kept.insert(CONFIG_KEY.into(), value);
    }
    (!kept.is_empty()).then(|| Value::Object(kept).to_string())
}
