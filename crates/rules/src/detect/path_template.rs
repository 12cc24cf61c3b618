//! Which segments of a path name a thing rather than a kind of thing, so that requests for many things count as
//! one endpoint.

/// What stands for a segment that names a thing.
const VARIABLE: &str = "{id}";

/// The path with the segments that look like identifiers replaced by `{id}`: numbers, UUIDs, and long runs of
/// hexadecimal digits or of letters mixed with digits. Bytes that are not UTF-8 are shown as U+FFFD.
pub fn path_template(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let mut template = String::with_capacity(path.len());
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            template.push('/');
        }
        template.push_str(if names_a_thing(segment) { VARIABLE } else { segment });
    }
    template
}

fn names_a_thing(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.is_empty() {
        return false;
    }
    let all = |wanted: fn(&u8) -> bool| bytes.iter().all(wanted);
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits == bytes.len()
        || bytes.len() >= 8 && digits > 0 && all(u8::is_ascii_hexdigit)
        || is_uuid(bytes)
        // Random letters and digits have more digits than the version in a word such as `oauth2callback`.
        || bytes.len() >= 12
            && digits >= 3
            && digits < bytes.len()
            && all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_told_from_kinds_of_things() {
        for (path, template) in [
            ("/", "/"),
            ("/users/42", "/users/{id}"),
            ("/users/42/orders/7/", "/users/{id}/orders/{id}/"),
            ("/v1/oauth2callback", "/v1/oauth2callback"),
            ("/x/9b2e7c1a-1d2f-4c3b-8a5e-0f1e2d3c4b5a", "/x/{id}"),
            ("/x/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "/x/{id}"),
            ("/git/5f3e9a1b2c", "/git/{id}"),
            ("/charges/ch_1N2vXq2eZvKYlo2C", "/charges/{id}"),
            ("/added/facade/defaced", "/added/facade/defaced"),
            ("/files/report.pdf", "/files/report.pdf"),
            ("*", "*"),
        ] {
            assert_eq!(path_template(path.as_bytes()), template);
        }
    }
}
