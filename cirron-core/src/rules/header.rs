//! Which header fields may be written: none that carries credentials.
//!
//! A name is refused when a rule is read. A value of another name that has a scheme of authentication in front is
//! left out when it comes.

/// Words of a name that tell of credentials, with what other words may end in: `x-access-token`, `x-accesstoken`.
const SECRET_ENDINGS: [&str; 15] = [
    "token",
    "secret",
    "password",
    "passwd",
    "cookie",
    "cookie2",
    "authorization",
    "authentication",
    "authenticate",
    "credential",
    "credentials",
    "apikey",
    "jwt",
    "signature",
    "assertion",
];

/// Words that tell of them only where they stand alone.
const SECRET_WORDS: [&str; 11] = [
    "auth",
    "key",
    "session",
    "sessionid",
    "sid",
    "cert",
    "pin",
    "otp",
    "dpop",
    "oidc",
    "csrf",
];

/// Names that have such a word and are known to carry none.
const HARMLESS: [&str; 2] = ["idempotency-key", "x-idempotency-key"];

/// Schemes of `Authorization` (IANA's registry of HTTP authentication schemes, and AWS'), as values begin.
const SCHEMES: [&str; 8] = [
    "bearer ",
    "basic ",
    "digest ",
    "negotiate ",
    "ntlm ",
    "dpop ",
    "hawk ",
    "aws4-hmac-",
];

/// Whether a field of this name, in lower case, may carry credentials.
pub(crate) fn is_secret(name: &str) -> bool {
    let mut words = name.split(['-', '_', '.']);
    let is_secret = |word: &str| {
        SECRET_WORDS.contains(&word) || SECRET_ENDINGS.iter().any(|end| word.ends_with(end))
    };
    !HARMLESS.contains(&name) && words.any(is_secret)
}

/// Whether a value has the form of credentials.
pub(crate) fn carries_credentials(value: &str) -> bool {
    let value = value.trim_start().as_bytes();
    SCHEMES.iter().any(|scheme| {
        let start = value.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_credentials_are_known_and_others_are_not_taken_for_them() {
        for name in [
            "authorization",
            "proxy-authorization",
            "www-authenticate",
            "cookie",
            "set-cookie",
            "x-api-key",
            "api-key",
            "apikey",
            "x-goog-api-key",
            "ocp-apim-subscription-key",
            "x-amz-security-token",
            "x-amz-signature",
            "x-access_token",
            "x-accesstoken",
            "x-csrf-token",
            "x-auth",
            "x-vault-token",
            "x-session-id",
            "x-forwarded-client-cert",
            "x-amzn-oidc-data",
            "dpop",
            "x-jwt-assertion",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "x-tenant",
            "x-request-id",
            "user-agent",
            "content-type",
            "x-ratelimit-remaining-tokens",
            "x-author",
            "x-keyboard",
            "idempotency-key",
            "traceparent",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_value_with_a_scheme_in_front_is_credentials() {
        for value in ["Bearer x", "basic eA==", " DIGEST x", "AWS4-HMAC-SHA256 x"] {
            assert!(carries_credentials(value), "{value}");
        }
        for value in ["", "bearer", "basics", "é", "tenant-7"] {
            assert!(!carries_credentials(value), "{value}");
        }
    }
}
