//! Which parts of a credential header's value are the secret.
//!
//! What is not known to be harmless counts as secret: an unknown scheme, an unknown attribute of a cookie.

/// A part of a value; the parts in order make the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// It may be kept.
    Plain(&'a [u8]),
    /// It must be hidden.
    Secret(&'a [u8]),
}

use Part::{Plain, Secret};

/// Schemes that `Authorization` may begin with in clear (IANA's registry, and those that services made up),
/// lower case. Any other first word may be the secret itself.
const SCHEMES: [&str; 30] = [
    "api-key",
    "apikey",
    "aws",
    "aws4-ecdsa-p256-sha256",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "bot",
    "client-id",
    "concealed",
    "digest",
    "dpop",
    "geniekey",
    "gnap",
    "googlelogin",
    "hawk",
    "hmac",
    "hoba",
    "jwt",
    "key",
    "mutual",
    "negotiate",
    "ntlm",
    "oauth",
    "privatetoken",
    "sharedaccesssignature",
    "sharedkey",
    "signature",
    "splunk",
    "token",
];

/// Attributes of `Set-Cookie` (RFC 6265, section 4.1.2, its successors and one of Chromium), lower case.
const ATTRIBUTES: [&str; 9] =
    ["domain", "expires", "httponly", "max-age", "partitioned", "path", "priority", "samesite", "secure"];

/// Splits the value of the credential header `name`.
pub(super) fn parts<'a>(name: &[u8], value: &'a [u8]) -> Vec<Part<'a>> {
    if name.eq_ignore_ascii_case(b"set-cookie") {
        set_cookie(value)
    } else if name.eq_ignore_ascii_case(b"cookie") {
        cookie(value)
    } else if name.to_ascii_lowercase().ends_with(b"authorization") {
        authorization(value)
    } else {
        vec![Secret(value)]
    }
}

/// `name=value; name=value`: the names stay.
fn cookie(value: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for (number, pair) in value.split(|byte| *byte == b';').enumerate() {
        if number > 0 {
            parts.push(Plain(b"; "));
        }
        push_pair(pair.trim_ascii(), &mut parts);
    }
    parts
}

/// `name=value; attribute; attribute=value`: the name and the known attributes stay.
fn set_cookie(value: &[u8]) -> Vec<Part<'_>> {
    let mut pieces = value.split(|byte| *byte == b';');
    let mut parts = Vec::new();
    push_pair(pieces.next().unwrap_or_default(), &mut parts);
    for piece in pieces {
        parts.push(Plain(b";"));
        let attribute = piece.trim_ascii();
        let indent = piece.len() - piece.trim_ascii_start().len();
        parts.push(Plain(&piece[..indent]));
        if attribute.is_empty() || is_attribute(attribute) {
            parts.push(Plain(attribute));
        } else {
            push_pair(attribute, &mut parts);
        }
    }
    parts
}

fn is_attribute(text: &[u8]) -> bool {
    let (name, value) = split_at_equals(text).unwrap_or((text, b""));
    let known = ATTRIBUTES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    // Several cookies folded into one field would hide behind an attribute's value.
    known && !value.contains(&b'=')
}

fn push_pair<'a>(pair: &'a [u8], parts: &mut Vec<Part<'a>>) {
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => parts.extend([Plain(&pair[..=at]), Secret(&pair[at + 1..])]),
        None => parts.push(Secret(pair)),
    }
}

/// `Scheme secret`: a known scheme stays, and of a signature of AWS what was called.
fn authorization(value: &[u8]) -> Vec<Part<'_>> {
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return vec![Secret(value)] };
    let (scheme, rest) = (&value[..space], value[space + 1..].trim_ascii());
    if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes())) {
        return vec![Secret(value)];
    }
    let mut parts = vec![Plain(&value[..=space])];
    match scheme.starts_with(b"AWS4-").then(|| signature(rest)).flatten() {
        Some(signed) => parts.extend(signed),
        None => parts.push(Secret(rest)),
    }
    parts
}

/// The parameters of AWS Signature Version 4: the scope of the credential tells which service was called and the
/// signed headers are only names; access key and signature are hidden.
fn signature(parameters: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    for (number, parameter) in parameters.split(|byte| *byte == b',').enumerate() {
        if number > 0 {
            parts.push(Plain(b", "));
        }
        let (name, value) = split_at_equals(parameter.trim_ascii())?;
        parts.extend([Plain(name), Plain(b"=")]);
        match name {
            b"Credential" => {
                let slash = value.iter().position(|byte| *byte == b'/')?;
                if !is_scope(&value[slash..]) {
                    return None;
                }
                parts.extend([Secret(&value[..slash]), Plain(&value[slash..])]);
            }
            b"SignedHeaders" if value.iter().all(|byte| is_name(*byte) || *byte == b';') => {
                parts.push(Plain(value));
            }
            b"SignedHeaders" | b"Signature" => parts.push(Secret(value)),
            _ => return None,
        }
    }
    Some(parts)
}

/// `/20260101/us-east-1/s3/aws4_request`, without a region in version 4A.
fn is_scope(text: &[u8]) -> bool {
    text.ends_with(b"/aws4_request")
        && matches!(text.split(|byte| *byte == b'/').count(), 4 | 5)
        && text.iter().all(|byte| is_name(*byte) || *byte == b'/')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn split_at_equals(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..at], &text[at + 1..]))
}
