//! User names and passwords in URLs (RFC 3986, section 3.2.1).

/// Header fields whose value is a URL or holds one, lower case.
const WITH_URLS: [&str; 9] = [
    "content-location",
    "destination",
    "host",
    "link",
    "location",
    "origin",
    "referer",
    "refresh",
    "x-forwarded-host",
];

/// Whether the value of the header `name` is a URL or holds one.
pub(super) fn names_a_url(name: &[u8]) -> bool {
    WITH_URLS.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// The value of the header `name` without user names and passwords; `None` when there are none.
pub(super) fn without_in_field(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    if name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"x-forwarded-host") {
        let at = value.iter().rposition(|byte| *byte == b'@')?;
        return Some(value[at + 1..].to_vec());
    }
    without(value)
}

/// The text with `user:password@` taken out of every authority in it, which is what follows `://`, or `//` at the
/// beginning; `None` when there is none.
pub(super) fn without(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'@') {
        return None;
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    let mut mark: &[u8] = if text.starts_with(b"//") { b"//" } else { b"://" };
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        let (before, authority) = rest.split_at(at + mark.len());
        kept.extend_from_slice(before);
        mark = b"://";
        let end = authority.iter().position(|byte| ends_authority(*byte)).unwrap_or(authority.len());
        match authority[..end].iter().rposition(|byte| *byte == b'@') {
            Some(sign) => {
                found = true;
                rest = &authority[sign + 1..];
            }
            None => rest = authority,
        }
    }
    kept.extend_from_slice(rest);
    found.then_some(kept)
}

fn ends_authority(byte: u8) -> bool {
    matches!(byte, b'/' | b'?' | b'#' | b'\\' | b'"' | b'<' | b'>') || byte.is_ascii_whitespace()
}
