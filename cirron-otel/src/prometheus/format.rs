//! Which format a scraper asks for, and all series in it.

use super::figures::Figure;
use super::{protobuf, text};
use crate::metrics::Metrics;

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Plain,
    /// `application/openmetrics-text; version=1.0.0`: with exemplars, units, beginnings.
    OpenMetrics,
    /// `io.prometheus.client`'s messages: with native histograms as well.
    Protobuf,
}

impl Format {
    /// As a scraper's `Accept` asks for it: what it likes best of what there is, the plain one where it names none.
    pub fn asked(accept: Option<&str>) -> Format {
        let mut best = (Format::Plain, 0.0);
        for item in accept.unwrap_or_default().split(',') {
            if let Some((format, liked)) = one(item)
                && liked > best.1
            {
                best = (format, liked);
            }
        }
        best.0
    }

    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A format of a list, and how much it is liked: from 0 to 1.
fn one(item: &str) -> Option<(Format, f64)> {
    let mut parts = item.split(';').map(str::trim);
    let kind = parts.next()?;
    let (mut liked, mut is_delimited, mut is_family) = (1.0, false, false);
    for part in parts {
        let (name, value) = part.split_once('=')?;
        match (name.trim(), value.trim().trim_matches('"')) {
            ("q", value) => liked = value.parse().ok()?,
            ("encoding", value) => is_delimited = value == "delimited",
            ("proto", value) => is_family = value == "io.prometheus.client.MetricFamily",
            _ => {}
        }
    }
    let format = match kind {
        "application/openmetrics-text" => Format::OpenMetrics,
        "application/vnd.google.protobuf" if is_delimited && is_family => Format::Protobuf,
        "text/plain" => Format::Plain,
        _ => return None,
    };
    Some((format, liked))
}

/// All series and figures.
pub fn write(format: Format, metrics: &Metrics, figures: &[Figure]) -> Vec<u8> {
    match format {
        Format::Plain => text::write(false, metrics, figures).into_bytes(),
        Format::OpenMetrics => text::write(true, metrics, figures).into_bytes(),
        Format::Protobuf => protobuf::write(metrics, figures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_likes_best() {
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                      application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let last = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,\
                    application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.2";
        for (accept, want) in [
            (native, Format::Protobuf),
            (last, Format::OpenMetrics),
            (
                "application/openmetrics-text; version=1.0.0,text/plain;q=0.5",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                Format::Plain,
            ),
            ("text/html,*/*", Format::Plain),
            ("application/openmetrics-text;q=x", Format::Plain),
        ] {
            assert_eq!(Format::asked(Some(accept)), want, "{accept}");
        }
        assert_eq!(Format::asked(None), Format::Plain);
    }
}
