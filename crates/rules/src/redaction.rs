//! Hides credentials before anything reaches the disk.
//!
//! A hidden value becomes `[REDACTED:` with twelve digits of a keyed hash and `]`: equal values stay
//! recognisable as equal, and nothing leads back. What a mock needs around a secret stays: the scheme of
//! `Authorization`, the names of cookies, the attributes of `Set-Cookie`. User names and passwords in URLs are
//! taken out rather than hidden: nothing that reads a URL would understand the mark.

pub mod floor;
mod userinfo;
mod value;

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use mimeo_model::headers::FieldChange;
use mimeo_model::{Exchange, Headers};
use sha2::Sha256;

/// How a hidden value begins.
pub const MARK: &str = "[REDACTED:";

/// Digits of the keyed hash that follow [`MARK`].
const DIGITS: usize = 12;

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

    /// Hides the credentials of an exchange: header fields, trailers and interim responses of both sides, and
    /// what stands before the host in a URL.
    pub fn redact(&self, exchange: &mut Exchange) {
        strip_userinfo(exchange);
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
        let mut hidden = Vec::with_capacity(value.len() + MARK.len() + DIGITS + 1);
        for part in value::parts(name, value) {
            match part {
                value::Part::Plain(text) => hidden.extend_from_slice(text),
                value::Part::Secret(secret) => self.fingerprint(secret, &mut hidden),
            }
        }
        hidden
    }

    /// Appends what stands for a secret. What is hidden already stays, so that hiding twice is hiding once.
    fn fingerprint(&self, secret: &[u8], hidden: &mut Vec<u8>) {
        if secret.is_empty() || is_mark(secret) {
            hidden.extend_from_slice(secret);
            return;
        }
        let mut mac = self.keyed.clone();
        mac.update(secret);
        let digest = mac.finalize().into_bytes();
        let mut text = String::with_capacity(MARK.len() + DIGITS + 1);
        text.push_str(MARK);
        for byte in &digest[..DIGITS / 2] {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push(']');
        hidden.extend_from_slice(text.as_bytes());
    }
}

/// Takes user name and password out of every URL that an exchange names: its authority, an absolute-form
/// target, and the header fields that carry URLs (RFC 9110, section 4.2.4, has them sent nowhere). They are never
/// kept, not even where credentials are.
pub fn strip_userinfo(exchange: &mut Exchange) {
    let request = &mut exchange.request;
    if let Some(at) = request.authority.rfind('@') {
        request.authority.drain(..=at);
    }
    // The usual target is a path, in which nothing is an authority.
    if !request.target.starts_with(b"/")
        && let Some(target) = userinfo::without(&request.target)
    {
        request.target = target.into();
    }
    strip_from_headers(&mut request.headers);
    if let Some(response) = &mut exchange.response {
        strip_from_headers(&mut response.headers);
    }
}

fn strip_from_headers(headers: &mut Headers) {
    let concerned =
        |name: &[u8], value: &[u8]| memchr::memchr(b'@', value).is_some() && userinfo::names_a_url(name);
    if !headers.iter().any(|(name, value)| concerned(name, value)) {
        return;
    }
    *headers = headers.map_values(|name, value| match userinfo::without_in_field(name, value) {
        Some(stripped) if concerned(name, value) => FieldChange::Replace(stripped),
        Some(_) | None => FieldChange::Keep,
    });
}

/// Whether a value holds a hidden secret.
pub fn is_hidden(value: &[u8]) -> bool {
    value.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

/// Whether the whole of `text` stands for a secret.
fn is_mark(text: &[u8]) -> bool {
    text.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_suffix(b"]")).is_some_and(|digits| {
        digits.len() == DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests;
