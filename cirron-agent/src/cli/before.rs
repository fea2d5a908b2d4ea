//! Options that stand before a command, as in `cirron-agent --output-dir out tree`: they are the
//! command's where it has them, and refused where they would do nothing.

use super::lowargs::{CaptureArgs, DirArgs, LoadArgs, OutputArgs, ShipArgs, UsdtArgs};

impl CaptureArgs {
    /// What was given behind a command, else what stands before it.
    pub fn or(self, before: CaptureArgs) -> CaptureArgs {
        CaptureArgs {
            no_children: self.no_children || before.no_children,
            duration: self.duration.or(before.duration),
            output: self.output.or(before.output),
            flush_interval: self.flush_interval.or(before.flush_interval),
            config: self.config.or(before.config),
            chunk_timing: self.chunk_timing || before.chunk_timing,
            net_scopes: self.net_scopes || before.net_scopes,
            tls: self.tls.or(before.tls),
            max_memory: self.max_memory.or(before.max_memory),
            load: self.load.or(before.load),
            no_ship: self.no_ship || before.no_ship,
            ship: self.ship.or(before.ship),
            usdt: self.usdt.or(before.usdt),
            record: self.record.or(before.record),
            summary_json: self.summary_json.or(before.summary_json),
            summary_interval: self.summary_interval.or(before.summary_interval),
        }
    }

    /// Options that were given and are in none of the groups that `command` takes.
    pub fn refuse_all_but(&self, takes: &[Group], command: &str) -> Result<(), String> {
        let CaptureArgs {
            no_children,
            duration,
            output:
                OutputArgs {
                    dir: DirArgs { output_dir },
                    output,
                    spool_max_bytes,
                },
            flush_interval,
            config,
            chunk_timing,
            net_scopes,
            tls,
            max_memory,
            load: LoadArgs { ring_mib },
            no_ship,
            ship:
                ShipArgs {
                    ship_remove,
                    metrics_listen,
                },
            usdt: UsdtArgs { usdt, scope },
            record,
            summary_json,
            summary_interval,
        } = self;
        let given = [
            (*no_children, "--no-children", Group::Capture),
            (duration.is_some(), "--duration", Group::Capture),
            (output_dir.is_some(), "--output-dir", Group::Dir),
            (!output.is_empty(), "--output", Group::Output),
            (
                spool_max_bytes.is_some(),
                "--spool-max-bytes",
                Group::Output,
            ),
            (flush_interval.is_some(), "--flush-interval", Group::Capture),
            (config.is_some(), "--config", Group::Config),
            (*chunk_timing, "--chunk-timing", Group::Capture),
            (*net_scopes, "--net-scopes", Group::Capture),
            (tls.is_some(), "--tls", Group::Capture),
            (max_memory.is_some(), "--max-memory", Group::Capture),
            (ring_mib.is_some(), "--ring-mib", Group::Load),
            (*no_ship, "--no-ship", Group::Capture),
            (ship_remove.is_some(), "--ship-remove", Group::Ship),
            (metrics_listen.is_some(), "--metrics-listen", Group::Ship),
            (!usdt.is_empty(), "--usdt", Group::Probes),
            (!scope.is_empty(), "--scope", Group::Probes),
            (record.is_some(), "--record", Group::Capture),
            (summary_json.is_some(), "--summary-json", Group::Capture),
            (
                summary_interval.is_some(),
                "--summary-interval",
                Group::Capture,
            ),
        ];
        let useless = given
            .iter()
            .find(|(given, _, group)| *given && !takes.contains(group));
        match useless {
            None => Ok(()),
            Some((_, option, _)) => Err(format!("{option} does nothing for `{command}`")),
        }
    }
}

/// Options that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Only of a capture.
    Capture,
    /// `--config`.
    Config,
    /// [`OutputArgs`], but for the directory.
    Output,
    /// [`DirArgs`].
    Dir,
    /// [`LoadArgs`].
    Load,
    /// [`UsdtArgs`].
    Probes,
    /// [`ShipArgs`].
    Ship,
}

impl OutputArgs {
    /// As [`CaptureArgs::or`].
    pub fn or(self, before: OutputArgs) -> OutputArgs {
        OutputArgs {
            dir: self.dir.or(before.dir),
            output: if self.output.is_empty() {
                before.output
            } else {
                self.output
            },
            spool_max_bytes: self.spool_max_bytes.or(before.spool_max_bytes),
        }
    }
}

impl DirArgs {
    /// As [`CaptureArgs::or`].
    pub fn or(self, before: DirArgs) -> DirArgs {
        DirArgs {
            output_dir: self.output_dir.or(before.output_dir),
        }
    }
}

impl LoadArgs {
    /// As [`CaptureArgs::or`].
    pub fn or(self, before: LoadArgs) -> LoadArgs {
        LoadArgs {
            ring_mib: self.ring_mib.or(before.ring_mib),
        }
    }
}

impl ShipArgs {
    /// As [`CaptureArgs::or`].
    pub fn or(self, before: ShipArgs) -> ShipArgs {
        ShipArgs {
            ship_remove: self.ship_remove.or(before.ship_remove),
            metrics_listen: self.metrics_listen.or(before.metrics_listen),
        }
    }
}

impl UsdtArgs {
    /// As [`CaptureArgs::or`].
    pub fn or(self, before: UsdtArgs) -> UsdtArgs {
        UsdtArgs {
            usdt: if self.usdt.is_empty() {
                before.usdt
            } else {
                self.usdt
            },
            scope: if self.scope.is_empty() {
                before.scope
            } else {
                self.scope
            },
        }
    }
}
