//! Who controls a pod, and what made that: as far as the pod says it.
//!
//! A pod names its controller (`ownerReferences`), and not what is above it. A ReplicaSet of a Deployment is named after
//! that and the hash of its template, which the pod has as a label; a CronJob's Job after the minute for which it was
//! made. Where these do not agree nobody is named.

use std::collections::BTreeMap;

use crate::about::{Owner, text};

/// The label with the hash of a Deployment's template.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// From the minute that a Job was made for to its pod's creation: a CronJob that was late (`startingDeadlineSeconds`)
/// or whose pod failed and was made again is one of hours; what a person calls `report-20240101` is years away.
const MAX_MINUTES: u64 = 24 * 60;

/// The controller of this kind and name. `created`: when the pod was, as RFC 3339.
pub(super) fn owner(
    (kind, name): (&str, &str),
    labels: &BTreeMap<String, String>,
    created: Option<&str>,
) -> Option<Owner> {
    let name = text(name)?;
    Some(match kind {
        "ReplicaSet" => Owner::ReplicaSet {
            deployment: deployment(&name, labels).map(str::to_owned),
            name,
        },
        "StatefulSet" => Owner::StatefulSet(name),
        "DaemonSet" => Owner::DaemonSet(name),
        "Job" => Owner::Job {
            cron_job: cron_job(&name, created).map(str::to_owned),
            name,
        },
        _ => Owner::Other(text(kind)?, name),
    })
}

fn deployment<'n>(replica_set: &'n str, labels: &BTreeMap<String, String>) -> Option<&'n str> {
    let hash = labels.get(TEMPLATE_HASH)?;
    let name = replica_set.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    (!hash.is_empty() && !name.is_empty()).then_some(name)
}

fn cron_job<'n>(job: &'n str, created: Option<&str>) -> Option<&'n str> {
    let (name, minute) = job.rsplit_once('-')?;
    let minute: u64 = minute.parse().ok()?;
    let created = minutes(created?)?;
    (!name.is_empty() && minute.abs_diff(created) <= MAX_MINUTES).then_some(name)
}

/// Minutes since 1970 of `YYYY-MM-DDThh:mm:ssZ`, the form that Kubernetes writes.
fn minutes(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let is_utc = time.len() == 20 && time.ends_with('Z') && time.get(10..11) == Some("T");
    if !is_utc {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute) = (number(11..13)?, number(14..16)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March: then the day that some have stands at the end.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // From the first of March of the year 0 to 1970.
    Some((days.checked_sub(719_468)? * 24 + hour) * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_minutes_since_1970() {
        for (time, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-02T01:02:03Z", Some(24 * 60 + 62)),
            ("2000-02-29T00:00:00Z", Some(951_782_400 / 60)),
            ("2026-11-28T12:34:56Z", Some(1_795_869_240 / 60)),
            ("2026-11-28T12:34:56+01:00", None),
            ("2026-13-28T12:34:56Z", None),
            ("", None),
        ] {
            assert_eq!(minutes(time), want, "{time}");
        }
    }

    #[test]
    fn what_made_the_controller_is_named_where_two_things_say_so() {
        let labels: BTreeMap<String, String> =
            [("pod-template-hash".to_owned(), "7d4b9c".to_owned())].into();
        let of = |kind, name, labels: &BTreeMap<_, _>, created| {
            owner((kind, name), labels, created).map(|owner| match owner {
                Owner::ReplicaSet { deployment, .. } => deployment,
                Owner::Job { cron_job, .. } => cron_job,
                Owner::StatefulSet(_) | Owner::DaemonSet(_) | Owner::Other(..) => None,
            })
        };
        let named = |name: &str| Some(Some(name.to_owned()));
        let none = BTreeMap::new();
        assert_eq!(
            of("ReplicaSet", "llama-7d4b9c", &labels, None),
            named("llama")
        );
        assert_eq!(of("ReplicaSet", "llama-7d4b9d", &labels, None), Some(None));
        assert_eq!(of("ReplicaSet", "llama-7d4b9c", &none, None), Some(None));
        assert_eq!(of("ReplicaSet", "7d4b9c", &labels, None), Some(None));
        // 29 931 154 minutes: 2026-11-28T12:34:00Z.
        let created = Some("2026-11-28T12:34:56Z");
        assert_eq!(of("Job", "eval-29931154", &none, created), named("eval"));
        assert_eq!(of("Job", "eval-29931000", &none, created), named("eval"));
        for name in ["eval-20261128", "eval-1", "eval", "-29931154", "eval-x2x"] {
            assert_eq!(of("Job", name, &none, created), Some(None), "{name}");
        }
        assert_eq!(of("Job", "eval-29931154", &none, None), Some(None));
        assert_eq!(
            owner(("RayCluster", "r"), &none, None),
            Some(Owner::Other("RayCluster".into(), "r".into()))
        );
    }
}
