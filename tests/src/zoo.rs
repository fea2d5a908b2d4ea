//! What the server of `bin/zoo.rs` answers, for it and for its test.

/// The ways, in the order of the test, with the bytes of the request's body.
pub const WAYS: [(&str, usize); 30] = [
    ("read_write", 300),
    ("recvfrom_sendto", 70_000),
    ("peek", 900),
    ("truncated", 5_000),
    ("readv_writev", 4_000),
    ("sixty_iovecs", 1_000),
    ("empty_iovecs", 1_000),
    ("many_iovecs", 1_000),
    ("iov_max", 1_000),
    ("preadv2_pwritev2", 3_000),
    ("recvmsg_sendmsg", 9_000),
    ("recvmmsg_sendmmsg", 9_000),
    ("two_hundred_messages", 300),
    ("thousand_messages", 300),
    ("large_write", 300),
    ("huge_write", 300),
    ("sendfile", 300),
    ("splice", 20_000),
    ("dup", 300),
    ("close_range", 300),
    ("shutdown", 300),
    ("forked_child", 300),
    ("forked_away", 300),
    ("passed_on", 300),
    ("fetched", 300),
    ("left_to_a_sleeper", 300),
    ("closed_by_exec", 300),
    ("taken_back", 300),
    ("nonblocking", 200_000),
    ("io_uring", 300),
];

/// A request's body of this many bytes.
pub fn question(length: usize) -> String {
    let (start, end) = (r#"{"model":"m","messages":[{"content":""#, r#""}]}"#);
    let middle = "r".repeat(length.saturating_sub(start.len() + end.len()));
    format!("{start}{middle}{end}")
}

/// Bytes in the middle of the answer's body, by way.
fn middle(way: &str) -> usize {
    match way {
        "large_write" => 1_000_000,
        "huge_write" => 9_000_000,
        _ => 50_000,
    }
}

/// Body of the ways whose end is not captured.
pub fn filler() -> String {
    "f".repeat(100_000)
}

/// The body of an answer: a chat completion with its usage at the end.
pub fn body(way: &str) -> String {
    if matches!(way, "sendfile" | "splice") {
        return filler();
    }
    format!(
        r#"{{"object":"chat.completion","model":"{way}","choices":[{{"index":0,"message":{{"content":"{}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":{},"total_tokens":99}}}}"#,
        "z".repeat(middle(way)),
        way.len()
    )
}

/// The ways whose answer ends with its connection; the others' have a length.
pub const ENDLESS: [&str; 4] = [
    "shutdown",
    "passed_on",
    "left_to_a_sleeper",
    "closed_by_exec",
];

/// The whole answer.
pub fn answer(way: &str) -> Vec<u8> {
    let body = body(way);
    let framing = if ENDLESS.contains(&way) {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}\r\n{body}").into_bytes()
}
