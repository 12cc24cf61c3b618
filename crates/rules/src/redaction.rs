//! Hides credentials before anything reaches the disk.
//!
//! A hidden value becomes `[REDACTED:` with twelve digits of a keyed hash and `]`: equal values stay
//! recognisable as equal, and nothing leads back. What a mock needs around a secret stays: the scheme of
//! `Authorization`, the names of cookies, the attributes of `Set-Cookie`.

pub mod floor;

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use mimeo_model::headers::FieldChange;
use mimeo_model::{Exchange, Headers};
use sha2::Sha256;

/// How a hidden value begins.
pub const MARK: &str = "[REDACTED:";

/// Hides the values of credential headers.
#[derive(Clone)]
pub struct Redactor {
    keyed: Hmac<Sha256>,
}

impl Redactor {
    /// A redactor whose fingerprints are made under `key`.
    pub fn new(key: [u8; 32]) -> Self {
        // Shorter than a block of the hash, the key is padded with zeros (RFC 2104, section 2).
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(&key);
        Self { keyed: Hmac::new(&block.into()) }
    }

    /// Hides the credentials of an exchange: header fields, trailers and interim responses of both sides.
    pub fn redact(&self, exchange: &mut Exchange) {
        self.redact_headers(&mut exchange.request.headers);
        self.redact_headers(&mut exchange.request.trailers);
        if let Some(response) = &mut exchange.response {
            self.redact_headers(&mut response.headers);
            self.redact_headers(&mut response.trailers);
            for interim in &mut response.interim {
                self.redact_headers(&mut interim.headers);
            }
        }
    }

    /// Hides the credentials among header fields; a list without any is left untouched.
    pub fn redact_headers(&self, headers: &mut Headers) {
        if !headers.iter().any(|(name, _)| floor::is_credential(name)) {
            return;
        }
        *headers = headers.map_values(|name, value| {
            if floor::is_credential(name) {
                FieldChange::Replace(self.hide(name, value))
            } else {
                FieldChange::Keep
            }
        });
    }

    fn hide(&self, name: &[u8], value: &[u8]) -> Vec<u8> {
        if name.eq_ignore_ascii_case(b"set-cookie") {
            let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
            let mut hidden = self.hide_pair(&value[..end]);
            hidden.extend_from_slice(&value[end..]);
            return hidden;
        }
        if name.eq_ignore_ascii_case(b"cookie") {
            let pairs: Vec<_> =
                value.split(|byte| *byte == b';').map(|pair| self.hide_pair(pair.trim_ascii())).collect();
            return pairs.join(&b"; "[..]);
        }
        if name.to_ascii_lowercase().ends_with(b"authorization")
            && let Some(space) = value.iter().position(|byte| *byte == b' ')
            && value[..space].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        {
            let rest = value[space + 1..].trim_ascii();
            // The scope of an AWS signature tells which service was called and is no secret.
            if let Some(signed) = value.starts_with(b"AWS4-").then(|| self.hide_signature(rest)).flatten() {
                return [&value[..=space], &signed].concat();
            }
            return [&value[..=space], &self.fingerprint(rest)].concat();
        }
        self.fingerprint(value)
    }

    /// Hides the access key and the signature of an AWS `Authorization` (Signature Version 4).
    fn hide_signature(&self, rest: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(rest).ok()?;
        let mut parts = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, value) = part.split_once('=')?;
            let hidden = match name {
                "Credential" => {
                    let (key, scope) = value.split_once('/')?;
                    [&self.fingerprint(key.as_bytes()), &b"/"[..], scope.as_bytes()].concat()
                }
                "SignedHeaders" => value.as_bytes().to_vec(),
                _ => self.fingerprint(value.as_bytes()),
            };
            parts.push([name.as_bytes(), b"=", &hidden].concat());
        }
        Some(parts.join(&b", "[..]))
    }

    fn hide_pair(&self, pair: &[u8]) -> Vec<u8> {
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => [&pair[..=at], &self.fingerprint(&pair[at + 1..])].concat(),
            None => self.fingerprint(pair),
        }
    }

    fn fingerprint(&self, secret: &[u8]) -> Vec<u8> {
        // What is hidden already stays, so that hiding twice is hiding once.
        if secret.is_empty() || secret.starts_with(MARK.as_bytes()) && secret.len() == MARK.len() + 13 {
            return secret.to_vec();
        }
        let mut mac = self.keyed.clone();
        mac.update(secret);
        let digest = mac.finalize().into_bytes();
        let mut text = MARK.to_owned();
        for byte in &digest[..6] {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push(']');
        text.into_bytes()
    }
}

/// Whether a value holds a hidden secret.
pub fn is_hidden(value: &[u8]) -> bool {
    value.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hide(name: &str, value: &str) -> String {
        let mut headers: Headers = [("Host", "a"), (name, value)].into_iter().collect();
        Redactor::new([7; 32]).redact_headers(&mut headers);
        assert_eq!(headers.get_str("host"), Some("a"));
        headers.get_str(name).expect("kept").to_owned()
    }

    #[test]
    fn what_a_mock_needs_around_a_secret_stays() {
        let token = hide("Authorization", "Bearer s3cret");
        assert!(token.starts_with("Bearer [REDACTED:") && token.ends_with(']'), "{token}");
        let cookie = hide("set-cookie", "sid=abc; Path=/; HttpOnly");
        assert!(cookie.starts_with("sid=[REDACTED:") && cookie.ends_with("]; Path=/; HttpOnly"), "{cookie}");
        let sent = hide("Cookie", "sid=abc; theme=dark");
        let value = |text: &str, name: &str| {
            text.split("; ").find_map(|pair| pair.strip_prefix(name).map(str::to_owned)).expect("there")
        };
        assert_eq!(value(&cookie, "sid="), value(&sent, "sid="), "equal values stay equal");
        assert!(is_hidden(hide("X-Api-Key", "k").as_bytes()));
        let signed = hide(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=ab12",
        );
        assert!(
            signed.contains("/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=[REDACTED:")
        );
        assert!(!signed.contains("AKID") && !signed.contains("ab12"), "{signed}");
    }

    #[test]
    fn a_list_without_credentials_is_left_as_it_is() {
        let mut headers: Headers = [("Host", "a"), ("Accept", "*/*")].into_iter().collect();
        let before = headers.clone();
        Redactor::new([7; 32]).redact_headers(&mut headers);
        assert_eq!(headers, before);
    }

    proptest! {
        #[test]
        fn no_secret_survives_and_hiding_twice_is_hiding_once(
            secret in "[A-Za-z0-9+/]{8,40}",
            place in prop::sample::select(floor::CREDENTIALS.to_vec()),
        ) {
            let forms = [secret.clone(), format!("Bearer {secret}"), format!("a={secret}; b={secret}")];
            for value in forms {
                let mut headers: Headers = [(place, value.as_str())].into_iter().collect();
                let redactor = Redactor::new([1; 32]);
                redactor.redact_headers(&mut headers);
                let hidden = headers.get_str(place).expect("kept").to_owned();
                // An attribute of `Set-Cookie` is no secret.
                let looked_at = if place == "set-cookie" { hidden.split(';').next().unwrap_or_default() } else { &hidden };
                prop_assert!(!looked_at.contains(&secret), "{}", hidden);
                let mut again = headers.clone();
                redactor.redact_headers(&mut again);
                prop_assert_eq!(again, headers);
            }
        }
    }
}
