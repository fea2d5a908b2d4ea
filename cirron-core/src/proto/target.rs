//! Request targets (RFC 9112, section 3.2), reduced to a path that may be written down.
//!
//! A target carries secrets in more places than its query: userinfo before a host, matrix
//! parameters, a query or a whole URL that somebody encoded. All of that is left out, at every
//! level of percent-encoding. What stays is the target's own bytes, never decoded ones. A key that
//! is a segment of the path by itself looks like any other segment, and stays.

/// The path of a target, and whether a query followed. The absolute form is reduced to its path;
/// `*` stays, and of the authority form host and port. Empty: what may be shown is not known.
pub(super) fn path_of(method: &str, target: &str) -> (String, bool) {
    let has_query = target
        .split('#')
        .next()
        .is_some_and(|text| text.contains('?'));
    let path = match method {
        "CONNECT" if !target.starts_with('/') => authority(target),
        _ => path(target),
    };
    (path, has_query)
}

/// Host and port of CONNECT.
fn authority(target: &str) -> String {
    let end = end(target);
    let host = units(target)
        .filter(|unit| unit.value == b'@')
        .last()
        .map_or(0, |at| at.end);
    // A password with a question mark, or a query with an at sign: no telling which.
    if host > end {
        return String::new();
    }
    let mut out = String::new();
    push_segment(&target[host..end], false, &mut out);
    out
}

fn path(target: &str) -> String {
    let target = &target[..end(target)];
    let is_plain = |b: u8| !matches!(b, b'%' | b';' | b'@' | b'\\' | b'&');
    if target.starts_with('/') && target.bytes().all(is_plain) {
        return target.to_owned();
    }
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => behind_authority(rest),
        Some(_) | None => target,
    };
    if rest.is_empty() {
        return "/".to_owned();
    }
    let mut out = String::with_capacity(rest.len());
    let mut begin = 0;
    // Two separators stand before what may be an authority: a URL within the path has them.
    let mut separators = 0;
    for unit in units(rest).filter(|unit| matches!(unit.value, b'/' | b'\\')) {
        if unit.start > begin {
            push_segment(&rest[begin..unit.start], separators > 1, &mut out);
            separators = 0;
        }
        out.push_str(&rest[unit.start..unit.end]);
        separators += 1;
        begin = unit.end;
    }
    push_segment(&rest[begin..], separators > 1, &mut out);
    out
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// What follows the authority of an absolute form. A password with a slash in it makes an authority
/// that is none; then it ends behind the at sign.
fn behind_authority(rest: &str) -> &str {
    let slash = |text: &str| {
        units(text)
            .find(|unit| matches!(unit.value, b'/' | b'\\'))
            .map_or(text.len(), |unit| unit.start)
    };
    let end = slash(rest);
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let host = &rest[..end];
    let is_host = host.contains('@')
        || host.ends_with(']')
        || host.rsplit_once(':').is_none_or(|(_, port)| is_port(port));
    let at = units(&rest[end..]).find(|unit| unit.value == b'@' && !is_host);
    match at {
        Some(at) => {
            let host = &rest[end + at.end..];
            &host[slash(host)..]
        }
        None => &rest[end..],
    }
}

/// Where query or fragment begin.
fn end(target: &str) -> usize {
    units(target)
        .find(|unit| matches!(unit.value, b'?' | b'#'))
        .map_or(target.len(), |unit| unit.start)
}

/// Appends a segment without userinfo and without parameters.
fn push_segment(segment: &str, may_be_authority: bool, out: &mut String) {
    let mut parameters = segment.len();
    let mut begin = 0;
    let mut colon = false;
    let last_equals = units(segment)
        .filter(|unit| unit.value == b'=')
        .last()
        .map_or(0, |unit| unit.start);
    for unit in units(segment) {
        match unit.value {
            b':' => colon = true,
            // A host may be named by its user alone; a segment needs a password to be taken for one.
            b'@' if may_be_authority || colon && unit.start < parameters => {
                begin = unit.end;
                parameters = segment.len();
            }
            b';' => parameters = parameters.min(unit.start),
            // A query whose question mark was forgotten.
            b'&' if unit.start < last_equals => {
                parameters = parameters.min(unit.start);
            }
            _ => {}
        }
    }
    out.push_str(&segment[begin..parameters]);
}

/// One byte of a text, or the row of bytes that encodes it.
#[derive(Clone, Copy)]
struct Unit {
    value: u8,
    start: usize,
    end: usize,
}

/// The text's bytes, decoded as often as they were encoded: `%3F`, `%253F` and `%u003F` (which some
/// servers decode) are each `?`.
fn units(text: &str) -> impl Iterator<Item = Unit> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let first = *bytes.get(start)?;
        at += 1;
        if first != b'%' {
            return Some(Unit {
                value: first,
                start,
                end: at,
            });
        }
        while bytes.get(at..at + 2) == Some(b"25") {
            at += 2;
        }
        let wide = bytes.get(at..at + 3);
        if wide.is_some_and(|mark| mark.eq_ignore_ascii_case(b"u00")) {
            at += 3;
        }
        let value = bytes.get(at..at + 2).and_then(|hex| {
            let digit = |b: u8| char::from(b).to_digit(16);
            let &[high, low] = hex else {
                return None;
            };
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        });
        // A character of several bytes is no separator.
        let value = value.filter(u8::is_ascii);
        at += if value.is_some() { 2 } else { 0 };
        Some(Unit {
            value: value.unwrap_or(b'%'),
            start,
            end: at,
        })
    })
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
