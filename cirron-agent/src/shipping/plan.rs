//! Where to ship to, and how: by flags and the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use cirron_ship::cirron::Transport;
use cirron_ship::remove::Remove;
use tracing::level_filters::LevelFilter;

/// What a process of ours ships.
#[derive(Clone, Debug)]
pub struct ShipPlan {
    /// `DIR` of `DIR/spool`.
    pub output_dir: PathBuf,
    /// Cirron.
    pub cirron: Option<Transport>,
    /// Metrics and OTLP.
    pub otel: cirron_otel::destinations::Plan,
    /// What becomes of what was sent.
    pub remove: Remove,
    /// Variables that the file says and the environment does not: the child's environment has them.
    pub variables: Vec<(&'static str, String)>,
}

impl ShipPlan {
    /// Whether there is anywhere to ship to.
    pub fn has_destination(&self) -> bool {
        self.cirron.is_some() || !self.otel.is_empty()
    }

    /// The command line of a process that does it. Keys are in its environment alone.
    pub fn args(&self, part: &str) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["ship", "--part", part, "--output-dir"]
            .map(Into::into)
            .into();
        args.push(self.output_dir.clone().into());
        if let Remove::After(after) = self.remove {
            args.push("--ship-remove".into());
            args.push(format!("after={}ms", after.as_millis().max(1)).into());
        }
        if let Some(address) = self.otel.listen {
            args.push(format!("--metrics-listen={address}").into());
        }
        args
    }
}

/// `-v` as often as it was typed, for a child.
pub fn verbosity() -> &'static [&'static str] {
    match LevelFilter::current() {
        LevelFilter::INFO => &["-v"],
        LevelFilter::DEBUG | LevelFilter::TRACE => &["-vv"],
        _ => &[],
    }
}

/// `never`, `sent` or `after=TIME`.
///
/// # Errors
/// What is none of these.
pub fn parse_remove(text: &str) -> Result<Remove, String> {
    use crate::cli::values::{TIME_FORM, parse_time};
    match text.split_once('=') {
        None if text == "never" => Ok(Remove::Never),
        None if text == "sent" => Ok(Remove::After(std::time::Duration::ZERO)),
        Some(("after", time)) => {
            let time = parse_time(time).ok_or_else(|| format!("{time} is not {TIME_FORM}"))?;
            Ok(Remove::After(time))
        }
        None | Some(_) => Err("not never, sent or after=TIME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn removal_is_never_at_once_or_after_a_time() {
        assert_eq!(parse_remove("never"), Ok(Remove::Never));
        assert_eq!(parse_remove("sent"), Ok(Remove::After(Duration::ZERO)));
        let hour = Duration::from_secs(3600);
        assert_eq!(parse_remove("after=1h"), Ok(Remove::After(hour)));
        for bad in ["", "after", "after=", "after=x", "sent=1s", "always"] {
            assert!(parse_remove(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_child_s_command_line_says_the_same_and_no_key() {
        let key = "secret".to_owned();
        let plan = ShipPlan {
            output_dir: "/out".into(),
            cirron: Some(Transport::Upload(cirron_ship::cirron::Account {
                url: "https://h/x".to_owned(),
                key,
            })),
            otel: cirron_otel::destinations::Plan {
                listen: Some(([127, 0, 0, 1], 9464).into()),
                ..Default::default()
            },
            remove: Remove::After(Duration::from_secs(60)),
            variables: Vec::new(),
        };
        let args = plan.args("keeper");
        let want = "ship --part keeper --output-dir /out --ship-remove after=60000ms --metrics-listen=127.0.0.1:9464";
        assert_eq!(args.join(" ".as_ref()), want);
        assert_eq!(parse_remove("after=60000ms"), Ok(plan.remove));
        assert!(!format!("{plan:?}").contains("secret"), "{plan:?}");
    }
}
