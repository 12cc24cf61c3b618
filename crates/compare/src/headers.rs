//! Headers that matter to a client.
//!
//! A list of what is compared, not of what is ignored: what a server, a proxy or a cache adds for itself is
//! endless.

use mimeo_model::Headers;

use crate::{Difference, Kind, shown};

/// Lower-case names of the compared headers.
pub(crate) const COMPARED: [&str; 15] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "content-range",
    "accept-ranges",
    "cache-control",
    "location",
    "allow",
    "www-authenticate",
    "link",
    "vary",
    "access-control-allow-origin",
    "retry-after",
    "upgrade",
];

pub(crate) fn differences(expected: &Headers, actual: &Headers, found: &mut Vec<Difference>) {
    for name in COMPARED {
        let values = |headers: &Headers| {
            let values: Vec<String> =
                headers.get_all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        push(name, values(expected).as_deref(), values(actual).as_deref(), found);
    }
    // A cookie's value is the server's affair, that it is set is the client's.
    let cookies = |headers: &Headers| {
        let mut names: Vec<String> = headers
            .get_all("set-cookie")
            .map(|value| {
                let name = value.split(|byte| *byte == b'=').next().unwrap_or_default();
                String::from_utf8_lossy(name).trim().to_owned()
            })
            .collect();
        names.sort_unstable();
        (!names.is_empty()).then(|| names.join(", "))
    };
    push("set-cookie", cookies(expected).as_deref(), cookies(actual).as_deref(), found);
}

fn push(name: &str, expected: Option<&str>, actual: Option<&str>, found: &mut Vec<Difference>) {
    let kind = match (expected, actual) {
        (None, None) => return,
        (Some(one), Some(other)) if same(name, one, other) => return,
        (Some(_), Some(_)) => Kind::Changed,
        (Some(_), None) => Kind::Missing,
        (None, Some(_)) => Kind::Extra,
    };
    found.push(Difference {
        place: format!("header {name}"),
        kind,
        expected: expected.map(shown),
        actual: actual.map(shown),
    });
}

/// Media types and their parameters compare without regard to case and white space.
fn same(name: &str, one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace(' ', "");
    matches!(name, "content-type" | "cache-control" | "vary" | "content-encoding")
        && plain(one) == plain(other)
}
