//! A session as a value: which process the requests below it are of.

use cirron_spool::rows::{Scalar, SpanRow};

use crate::request::{MAX_FACTS, MAX_TEXT_BYTES, kept, whole};

/// The root scope of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The process.
    pub pid: Option<u64>,
    /// The executable's name.
    pub executable: Option<String>,
    /// `cirron.target`: the rule that chose the process.
    pub target: Option<String>,
    /// `cirron.deployment_id`.
    pub deployment: Option<String>,
    /// `cirron.workspace_id`.
    pub workspace: Option<String>,
    /// `service.name`.
    pub service: Option<String>,
    /// Wall clock.
    pub start_ns: u64,
    /// `None` while open.
    pub end_ns: Option<u64>,
    /// All its attributes, in the file's order.
    pub attrs: Vec<(String, Scalar<'static>)>,
}

impl Session {
    /// Of its row.
    pub fn new(row: &SpanRow<'_>) -> Session {
        let text = |name| {
            let value = row.attrs.get(name)?;
            Some(value.kept(MAX_TEXT_BYTES).to_string())
        };
        Session {
            id: row.id.0.to_string(),
            pid: row.attrs.get("pid").and_then(whole),
            executable: text("process.executable.name"),
            target: text("cirron.target"),
            deployment: text("cirron.deployment_id"),
            workspace: text("cirron.workspace_id"),
            service: text("service.name"),
            start_ns: row.start_ns,
            end_ns: row.end_ns,
            attrs: kept(&row.attrs, MAX_FACTS).0,
        }
    }

    /// An attribute.
    pub fn attr(&self, name: &str) -> Option<&Scalar<'static>> {
        self.attrs
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// Whether a row is a session's.
    pub fn is_one(row: &SpanRow<'_>) -> bool {
        row.parent_id.is_none() && row.name.0 == "cirron.session"
    }
}
