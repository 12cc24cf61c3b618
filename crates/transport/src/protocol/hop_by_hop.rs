//! Fields that belong to one connection and are not forwarded (RFC 9110, section 7.6.1).

use http::header::{HeaderMap, HeaderName};

/// Whether the field is hop-by-hop by its name alone.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" | "te" | "trailer"
    )
}

/// Takes the hop-by-hop fields out of `headers`, those that `Connection` names included.
///
/// `TE: trailers` stays, since it says what the client can take in the end, and so does `Trailer`, which
/// announces fields that are forwarded. The order of the rest is kept.
pub fn strip(headers: &mut HeaderMap) {
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(http::header::CONNECTION) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            if let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) {
                named.push(name);
            }
        }
    }
    let leaves = |name: &HeaderName, value: &http::HeaderValue| {
        if name == http::header::TE && value.as_bytes().eq_ignore_ascii_case(b"trailers") {
            return false;
        }
        name != http::header::TRAILER && is_hop_by_hop(name)
            || named.contains(name) && name != http::header::TE && name != http::header::TRAILER
    };
    if !headers.iter().any(|(name, value)| leaves(name, value)) {
        return;
    }
    // Removing from a header map moves its last field into the hole, so the rest is moved over in order.
    let old = std::mem::replace(headers, HeaderMap::with_capacity(headers.len()));
    let mut current = None;
    for (name, value) in old {
        current = name.or(current);
        if let Some(name) = &current
            && !leaves(name, &value)
        {
            headers.append(name.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connection_s_own_fields_go_and_the_rest_keeps_its_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "x"),
            ("connection", "keep-alive, X-Hop"),
            ("keep-alive", "5"),
            ("a", "1"),
            ("x-hop", "1"),
            ("b", "2"),
            ("a", "3"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "kept for whoever asked"),
            ("c", "4"),
        ] {
            headers.append(name, value.parse().expect("valid"));
        }
        strip(&mut headers);
        let left: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().expect("ascii")))
            .collect();
        assert_eq!(
            left,
            [
                "host=x",
                "a=1",
                "a=3",
                "b=2",
                "te=trailers",
                "proxy-authorization=kept for whoever asked",
                "c=4"
            ]
        );
    }
}
