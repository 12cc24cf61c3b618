//! Fields that belong to one connection and are not forwarded (RFC 9110, section 7.6.1).

use mimeo_model::Headers;

/// Whether the field is hop-by-hop by its name alone.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let candidates: &[&[u8]] = match name.len() {
        2 => &[b"te"],
        7 => &[b"upgrade", b"trailer"],
        10 => &[b"connection", b"keep-alive"],
        16 => &[b"proxy-connection"],
        17 => &[b"transfer-encoding"],
        _ => return false,
    };
    candidates.iter().any(|candidate| name.eq_ignore_ascii_case(candidate))
}

/// Tells the fields of one message that stay on its connection, those that its `Connection` names included.
///
/// `TE: trailers` is forwarded, since it says what the client can take in the end, and so is `Trailer`, which
/// announces fields that are forwarded.
pub(crate) struct HopByHop<'a> {
    named: Vec<&'a [u8]>,
}

impl<'a> HopByHop<'a> {
    pub(crate) fn of(headers: &'a Headers) -> Self {
        if !headers.contains("connection") {
            return Self { named: Vec::new() };
        }
        let usual = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"keep-alive")
                || name.eq_ignore_ascii_case(b"close")
                || is_hop_by_hop(name)
        };
        let named = headers
            .get_all("connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !usual(name))
            .collect();
        Self { named }
    }

    pub(crate) fn stays(&self, name: &[u8], value: &[u8]) -> bool {
        if name.eq_ignore_ascii_case(b"te") {
            return !value.eq_ignore_ascii_case(b"trailers");
        }
        if name.eq_ignore_ascii_case(b"trailer") {
            return false;
        }
        is_hop_by_hop(name) || self.named.iter().any(|named| name.eq_ignore_ascii_case(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connection_s_own_fields_stay() {
        let headers: Headers = [
            ("host", "x"),
            ("Connection", "keep-alive, X-Hop"),
            ("keep-alive", "5"),
            ("a", "1"),
            ("x-hop", "1"),
            ("TE", "trailers"),
            ("te", "gzip"),
            ("Trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "kept for whoever asked"),
        ]
        .into_iter()
        .collect();
        let hops = HopByHop::of(&headers);
        let forwarded: Vec<_> = headers
            .iter()
            .filter(|(name, value)| !hops.stays(name, value))
            .map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            forwarded.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(),
            [
                ("host", "x"),
                ("a", "1"),
                ("TE", "trailers"),
                ("Trailer", "x-sum"),
                ("proxy-authorization", "kept for whoever asked"),
            ]
        );
    }
}
