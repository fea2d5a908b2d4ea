use super::*;

fn shown(method: &str, target: &str) -> String {
    path_of(method, target).0
}

#[test]
fn ordinary_targets_stay_as_they_are() {
    for path in [
        "/v1/chat/completions",
        "/",
        "*",
        "//v1/models",
        "/v1beta/models/gemini-2.0-flash:streamGenerateContent",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude-3@20240620:rawPredict",
        "/model/us.amazon.nova%3A0/invoke",
        "/@scope/a@1",
        "/R&D/x",
        "/caf%C3%A9/\u{e9}",
        "/100%/x%2",
        "/a%25b",
        "/a%u00",
        "/a%u00e9/b",
        "/a%u00zz",
    ] {
        assert_eq!(shown("POST", path), path);
    }
    assert_eq!(shown("CONNECT", "example.com:443"), "example.com:443");
    assert_eq!(shown("CONNECT", "[::1]:443"), "[::1]:443");
    assert_eq!(shown("CONNECT", "/chat"), "/chat");
}

#[test]
fn only_a_real_question_mark_is_a_query() {
    for (target, has_query) in [
        ("/a?b", true),
        ("/a", false),
        ("/a#b?c", false),
        ("/a%3Fb", false),
    ] {
        assert_eq!(path_of("GET", target), ("/a".to_owned(), has_query));
    }
}

/// Each of these has `s3cret` in a place that is not the path.
const SECRETIVE: [(&str, &str, &str); 47] = [
    ("GET", "/v1/models?key=s3cret", "/v1/models"),
    ("GET", "/v1/models#s3cret", "/v1/models"),
    ("GET", "/v1/models%3Fkey=s3cret", "/v1/models"),
    ("GET", "/v1/models%3fkey%3ds3cret", "/v1/models"),
    ("GET", "/v1/models%253Fkey=s3cret", "/v1/models"),
    ("GET", "/v1/models%25253Fkey=s3cret", "/v1/models"),
    ("GET", "/v1/models%u003Fkey=s3cret", "/v1/models"),
    ("GET", "/v1/models%25U003fkey=s3cret", "/v1/models"),
    ("GET", "/v1/models%u003btoken=s3cret", "/v1/models"),
    ("GET", "/v1/models%23s3cret", "/v1/models"),
    ("GET", "/v1/models%2523s3cret", "/v1/models"),
    ("GET", "/v1/models;token=s3cret", "/v1/models"),
    ("GET", "/v1/models%3Btoken=s3cret", "/v1/models"),
    ("GET", "/v1/models%253btoken=s3cret", "/v1/models"),
    ("GET", "/v1;jsessionid=s3cret/models;x=1", "/v1/models"),
    ("GET", "/v1;s3cret/models", "/v1/models"),
    ("GET", "/v1/models&key=s3cret", "/v1/models"),
    ("GET", "/v1/models%26key%3Ds3cret", "/v1/models"),
    ("GET", "http://user:s3cret@h:8000/v1/models", "/v1/models"),
    ("GET", "HTTPS://s3cret@h/v1?x", "/v1"),
    ("GET", "http://user:s3cret@h", "/"),
    ("GET", "http://user:s3cret@h?x=1", "/"),
    ("GET", "http://user:p?s3cret@h/v1", "/"),
    ("GET", "http://user:p/s3cret@h/v1", "/v1"),
    ("GET", "http://user:s3cret@h\\v1", "\\v1"),
    ("GET", "http:\\\\user:s3cret@h\\v1", "http:\\\\h\\v1"),
    ("GET", "http:/user:s3cret@h/v1", "http:/h/v1"),
    ("GET", "user:s3cret@h/v1", "h/v1"),
    ("GET", "user:s3cret@h:80", "h:80"),
    ("GET", "//user:s3cret@h/v1", "//h/v1"),
    ("GET", "//s3cret@h/v1", "//h/v1"),
    ("GET", "/\\user:s3cret@h/v1", "/\\h/v1"),
    (
        "GET",
        "/proxy/https://user:s3cret@h/v1",
        "/proxy/https://h/v1",
    ),
    ("GET", "/proxy/https://s3cret@h/v1", "/proxy/https://h/v1"),
    (
        "GET",
        "/proxy/https%3A%2F%2Fuser%3As3cret%40h%2Fv1%3Fkey%3Ds3cret",
        "/proxy/https%3A%2F%2Fh%2Fv1",
    ),
    (
        "GET",
        "/proxy/https%253A%252F%252Fs3cret%2540h%252Fv1",
        "/proxy/https%253A%252F%252Fh%252Fv1",
    ),
    (
        "GET",
        "/proxy/https%3a%5c%5cs3cret%40h",
        "/proxy/https%3a%5c%5ch",
    ),
    ("GET", "/proxy//us;er:s3cret@h/v1", "/proxy//h/v1"),
    ("GET", "/a;to=user:s3cret@h/v1", "/a/v1"),
    ("GET", "/user:s3cret@h;x/v1", "/h/v1"),
    ("CONNECT", "user:s3cret@h:443", "h:443"),
    ("CONNECT", "s3cret@h:443", "h:443"),
    ("CONNECT", "user%3As3cret%40h:443", "h:443"),
    ("CONNECT", "user:p/s3cret@h:443", "h:443"),
    ("CONNECT", "user:p?s3cret@h:443", ""),
    ("CONNECT", "h:443?s3cret", "h:443"),
    ("CONNECT", "/chat;s3cret?s3cret", "/chat"),
];

#[test]
fn nothing_secret_stays() {
    for (method, target, want) in SECRETIVE {
        assert_eq!(shown(method, target), want, "{target}");
        assert!(target.contains("s3cret") && !want.contains("s3cret"));
    }
}

proptest::proptest! {
    /// What stays is made of the target's own bytes, and cleaning it again changes nothing.
    #[test]
    fn any_text_gives_a_clean_one(target in "[/a:@;%235?#\\\\F&=\u{e9}]{0,24}") {
        for method in ["GET", "CONNECT"] {
            let clean = shown(method, &target);
            proptest::prop_assert!(units(&clean).all(|u| !matches!(u.value, b'?' | b'#' | b';')), "{clean}");
            proptest::prop_assert!(clean.len() <= target.len().max(1));
        }
    }
}
