//! The normal form of multipart bodies: clients draw a new boundary for every request (RFC 2046, section 5.1).

use memchr::memmem;

/// What stands for every boundary.
const BOUNDARY: &[u8] = b"boundary";

/// The body with its boundary replaced; `None` when it is not multipart or names no boundary.
pub(super) fn canonical(content_type: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let delimiter = [b"--", boundary(content_type)?].concat();
    let mut out = Vec::with_capacity(body.len());
    let mut copied = 0;
    for at in memmem::find_iter(body, &delimiter) {
        // Only what begins a line is a delimiter.
        if at > 0 && body[at - 1] != b'\n' || at < copied {
            continue;
        }
        out.extend_from_slice(&body[copied..at]);
        out.extend_from_slice(b"--");
        out.extend_from_slice(BOUNDARY);
        copied = at + delimiter.len();
    }
    out.extend_from_slice(&body[copied..]);
    Some(out)
}

fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let mut pieces = content_type.split(|byte| *byte == b';');
    let essence = pieces.next()?.trim_ascii();
    if !essence.get(..10)?.eq_ignore_ascii_case(b"multipart/") {
        return None;
    }
    let value = pieces.find_map(|piece| {
        let (name, value) = piece.trim_ascii().split_at_checked(9)?;
        name.eq_ignore_ascii_case(b"boundary=").then_some(value)
    })?;
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_delimiters_are_replaced() {
        let body = b"--x\r\n\r\na --x b\r\n--x--\r\n";
        let expected = b"--boundary\r\n\r\na --x b\r\n--boundary--\r\n";
        for content_type in ["multipart/form-data; boundary=x", "Multipart/Mixed; a=b; Boundary=\"x\""] {
            assert_eq!(canonical(content_type.as_bytes(), body).as_deref(), Some(&expected[..]));
        }
        for content_type in
            ["text/plain; boundary=x", "multipart/form-data", "multipart/form-data; boundary="]
        {
            assert_eq!(canonical(content_type.as_bytes(), body), None);
        }
    }
}
