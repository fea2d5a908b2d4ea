//! The rules while the engine runs: other ones, and what is wrong in targets' `CONFIG`.

use super::Engine;
use crate::rules::{Problem, Rules};

impl Engine {
    /// Other rules: for exchanges that begin from now on.
    pub fn handle_rules(&mut self, rules: Rules) {
        self.shared.sessions.set_rules(rules);
        self.keep_within_budget();
    }

    /// What is wrong in targets' `CONFIG`, each with the process, since the last time. It is not taken; the rest is.
    pub fn take_config_problems(&mut self) -> Vec<(u32, Problem)> {
        self.shared.sessions.take_problems()
    }
}
