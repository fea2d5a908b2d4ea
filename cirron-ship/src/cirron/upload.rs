//! A POST for each batch to the platform's ingest route: the SDK's `IngestClient`.
//!
//! What the answers mean is the SDK's too ([`judge`]), with two departures: `Retry-After` is heeded at 5xx as at 429, and a
//! batch is tried until it is there, where the SDK ends at six tries and leaves it in the spool for good.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use flate2::{Compression, GzBuilder};

use super::{Account, VERSION};
use crate::batch::Batch;
use crate::destination::{Destination, Outcome, Reason};
use crate::http::{Answer, Http, Post};

/// Bytes from which a body is compressed: the SDK's `GZIP_MIN_BYTES`.
pub const GZIP_MIN_BYTES: usize = 1024;

/// How hard: of a batch of 4 MiB level 6 leaves as little as the SDK's 9, in a third of the time.
const LEVEL: u32 = 6;

/// Uploads.
pub struct Upload<H> {
    account: Account,
    bearer: String,
    name: String,
    http: H,
}

impl<H: Http> Upload<H> {
    /// To an account.
    pub fn new(account: Account, http: H) -> Upload<H> {
        Upload {
            bearer: format!("Bearer {}", account.key),
            name: format!("cirron-{:016x}", fnv1a(account.url.as_bytes())),
            account,
            http,
        }
    }
}

/// A number of a place, for its name: another place is another name. Of no use against an adversary, and stable.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl<H: Http> Destination for Upload<H> {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        without_user(&self.account.url)
    }

    fn send(&mut self, batch: &Batch, now: SystemTime) -> Outcome {
        let mut headers = vec![
            ("Authorization", self.bearer.as_str()),
            ("Content-Type", "application/json"),
            ("X-Cirron-SDK-Version", VERSION),
            ("X-Cirron-Batch-Id", batch.id()),
        ];
        let compressed = (batch.body().len() >= GZIP_MIN_BYTES).then(|| gzip(batch.body()));
        if compressed.is_some() {
            headers.push(("Content-Encoding", "gzip"));
        }
        let body = compressed.as_deref().unwrap_or(batch.body());
        let post = Post {
            url: &self.account.url,
            headers: &headers,
            body,
        };
        match self.http.post(&post) {
            Ok(answer) => judge(&answer, body.len() as u64, now),
            Err(why) => Outcome::Retry { after: None, why },
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let out = Vec::with_capacity(body.len() / 8);
    let mut to = GzBuilder::new()
        .mtime(0)
        .write(out, Compression::new(LEVEL));
    let written = to.write_all(body);
    // A vector takes everything.
    written.and_then(|()| to.finish()).unwrap_or_default()
}

/// What an answer means for a batch of this number of bytes.
pub fn judge(answer: &Answer, bytes: u64, now: SystemTime) -> Outcome {
    let give_up = |reason| Outcome::GiveUp {
        reason,
        why: match reason {
            Reason::NotAllowed => format!("{}; check CIRRON_API_KEY", answer.status),
            Reason::Damaged | Reason::Refused | Reason::TooLarge | Reason::Unexpected => {
                answer.status.to_string()
            }
        },
    };
    match answer.status {
        200..300 => Outcome::Sent { bytes },
        400 => give_up(Reason::Refused),
        413 => give_up(Reason::TooLarge),
        401 | 403 => give_up(Reason::NotAllowed),
        429 | 500..600 => Outcome::Retry {
            after: answer
                .retry_after
                .as_deref()
                .and_then(|text| retry_after(text, now)),
            why: answer.status.to_string(),
        },
        _ => give_up(Reason::Unexpected),
    }
}

/// `Retry-After`: seconds, or a date of HTTP. What is neither says nothing.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// A URL for people: a name and a password in it are left out.
pub fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::Read as _;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::testing::Spool;

    /// Keeps what was posted.
    #[derive(Default)]
    struct Kept(Vec<(String, Headers, Vec<u8>)>);

    type Headers = Vec<(String, String)>;

    impl Http for Kept {
        fn post(&mut self, post: &Post<'_>) -> Result<Answer, String> {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let headers = post.headers.iter().map(own).collect();
            self.0
                .push((post.url.to_owned(), headers, post.body.to_vec()));
            match self.0.len() {
                3 => Err("refused".to_owned()),
                _ => Ok(Answer {
                    status: 200,
                    retry_after: None,
                }),
            }
        }
    }

    fn account(url: &str) -> Account {
        Account {
            url: url.to_owned(),
            key: "k".to_owned(),
        }
    }

    #[test]
    fn a_batch_is_posted_as_the_sdk_posts_it() {
        let spool = Spool::new();
        let large = format!(
            r#"{{"batch_id":"02","spans":["{}"]}}"#,
            "x".repeat(GZIP_MIN_BYTES)
        );
        let mut upload = Upload::new(account("http://h/api/traces"), Kept::default());
        for text in [r#"{"batch_id":"01"}"#, &large, &large] {
            let batch = Batch::read(&spool.place, &spool.put(1, text.as_bytes())).unwrap();
            let outcome = upload.send(&batch, SystemTime::now());
            let is_sent = matches!(outcome, Outcome::Sent { .. });
            assert_eq!(is_sent, upload.http.0.len() != 3, "{outcome:?}");
        }
        let (url, headers, body) = &upload.http.0[0];
        assert_eq!(url, "http://h/api/traces");
        assert_eq!(body, br#"{"batch_id":"01"}"#);
        let want = [
            ("Authorization", "Bearer k"),
            ("Content-Type", "application/json"),
            ("X-Cirron-SDK-Version", VERSION),
            ("X-Cirron-Batch-Id", "01"),
        ];
        let has: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(has, want);
        let (_, headers, body) = &upload.http.0[1];
        assert_eq!(headers.last().unwrap().1, "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, large);
        // The same bytes each time: nothing of the clock is in them.
        assert_eq!(body, &upload.http.0[2].2);
    }

    #[test]
    fn answers_mean_what_they_mean_to_the_sdk() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let judge = |status, retry_after: Option<&str>| {
            let retry_after = retry_after.map(str::to_owned);
            judge(
                &Answer {
                    status,
                    retry_after,
                },
                9,
                now,
            )
        };
        for status in [200, 202, 204] {
            assert_eq!(judge(status, None), Outcome::Sent { bytes: 9 });
        }
        for (status, want) in [
            (400, Reason::Refused),
            (413, Reason::TooLarge),
            (401, Reason::NotAllowed),
            (403, Reason::NotAllowed),
            (404, Reason::Unexpected),
            (308, Reason::Unexpected),
        ] {
            let outcome = judge(status, None);
            let given_up = matches!(&outcome, Outcome::GiveUp { reason, .. } if *reason == want);
            assert!(given_up, "{outcome:?}");
        }
        for (status, text, want) in [
            (429, None, None),
            (429, Some("7"), Some(7.0)),
            (429, Some(" 1.5 "), Some(1.5)),
            (429, Some("-3"), Some(0.0)),
            (429, Some("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10.0)),
            (429, Some("Sun, 06 Nov 1994 08:49:27 GMT"), Some(0.0)),
            (429, Some("soon"), None),
            (429, Some("nan"), Some(0.0)),
            (503, Some("2"), Some(2.0)),
            (500, None, None),
        ] {
            let outcome = judge(status, text);
            let Outcome::Retry { after, .. } = outcome else {
                panic!("{status}: {outcome:?}");
            };
            assert_eq!(
                after,
                want.map(Duration::from_secs_f64),
                "{status} {text:?}"
            );
        }
    }

    #[test]
    fn another_place_is_another_name_and_no_password_is_shown() {
        let upload = |url| Upload::new(account(url), Kept::default());
        assert_ne!(upload("https://a/x").name(), upload("https://b/x").name());
        assert_eq!(upload("https://a/x").name(), upload("https://a/x").name());
        assert_eq!(upload("https://u:p@a:1/x@y").place(), "https://a:1/x@y");
    }
}
