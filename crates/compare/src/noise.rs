//! Values that are known to vary between two runs of the same request.
//!
//! Cautious: both sides must be instants, or both random identifiers under a name that says so. What is passed
//! over is listed with its reason, and [`crate::Rules::strict_values`] turns it off.

use crate::{Difference, Kind};

/// Why a difference is passed over, when it is.
pub(crate) fn reason(difference: &Difference) -> Option<&'static str> {
    let (Kind::Changed, Some(expected), Some(actual)) =
        (difference.kind, &difference.expected, &difference.actual)
    else {
        return None;
    };
    let (expected, actual) = (expected.trim_matches('"'), actual.trim_matches('"'));
    if is_instant(expected) && is_instant(actual) {
        return Some("both are instants");
    }
    let name = difference.place.rsplit(['.', '\'', ' ']).find(|part| !part.is_empty() && *part != "]")?;
    let name = name.to_ascii_lowercase().replace(['_', '-'], "");
    let varies = ["requestid", "traceid", "spanid", "correlationid", "transactionid", "nonce"];
    if varies.contains(&name.as_str()) && is_random(expected) && is_random(actual) {
        return Some("both are identifiers of one request");
    }
    None
}

/// RFC 3339 with a time, or an HTTP date.
fn is_instant(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    let rfc_3339 = digits(0..4)
        && bytes.get(4) == Some(&b'-')
        && digits(5..7)
        && bytes.get(7) == Some(&b'-')
        && digits(8..10)
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '))
        && digits(11..13)
        && bytes.get(13) == Some(&b':')
        && digits(14..16);
    rfc_3339 || text.len() == 29 && text.ends_with(" GMT") && digits(5..7) && digits(12..16)
}

/// Letters, digits and hyphens, at least eight with a digit among them.
fn is_random(text: &str) -> bool {
    text.len() >= 8
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_digit())
}
