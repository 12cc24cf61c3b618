//! The normal form of paths, queries and form bodies.

use std::borrow::Cow;

/// Parameters in order of their names, without empty ones, percent-encoding normalised.
pub(super) fn query(query: &[u8]) -> Cow<'_, [u8]> {
    let plain = !query.contains(&b'%');
    let mut last: &[u8] = b"";
    let mut sorted = true;
    if !query.is_empty() {
        for parameter in query.split(|byte| *byte == b'&') {
            let name = name(parameter);
            sorted &= !parameter.is_empty() && name >= last;
            last = name;
        }
    }
    if plain && sorted {
        return Cow::Borrowed(query);
    }
    let parameters = query.split(|byte| *byte == b'&').map(escapes);
    Cow::Owned(join(parameters.collect()))
}

/// As [`query`], with a plus sign for the space that it stands for (WHATWG URL, section 5.1).
pub(super) fn form(body: &[u8]) -> Vec<u8> {
    let spaced = |parameter: &[u8]| {
        let mut out = Vec::with_capacity(parameter.len());
        for byte in parameter {
            match byte {
                b'+' => out.extend_from_slice(b"%20"),
                byte => out.push(*byte),
            }
        }
        Cow::Owned(escapes(&out).into_owned())
    };
    join(body.split(|byte| *byte == b'&').map(spaced).collect())
}

fn join(mut parameters: Vec<Cow<'_, [u8]>>) -> Vec<u8> {
    parameters.retain(|parameter| !parameter.is_empty());
    parameters.sort_by(|one, other| name(one).cmp(name(other)));
    parameters.join(&b'&')
}

fn name(parameter: &[u8]) -> &[u8] {
    parameter.split(|byte| *byte == b'=').next().unwrap_or_default()
}

/// The text with escapes in upper case and without those of unreserved characters (RFC 3986, section 6.2.2). A
/// text with a sign that begins no escape is left as it is.
pub(super) fn escapes(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'%' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        let Some(byte) = text.get(at + 1..at + 3).and_then(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        }) else {
            return Cow::Borrowed(text);
        };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                text[at + 1].to_ascii_uppercase(),
                text[at + 2].to_ascii_uppercase(),
            ]);
        }
        at += 3;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_stand_in_order_of_their_names() {
        for (given, expected) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("b=2&a=1&b=1", "a=1&b=2&b=1"),
            ("a-b=1&a=2", "a=2&a-b=1"),
            ("&b&&a=&", "a=&b"),
            ("q=%7eme%2f%c3", "q=~me%2F%C3"),
            ("q=100%&p=%4", "p=%4&q=100%"),
        ] {
            assert_eq!(String::from_utf8_lossy(&query(given.as_bytes())), expected, "{given}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(text in "([a-c=&+]|%|%2[05f]|%4[1a]){0,16}") {
            let once = query(text.as_bytes()).into_owned();
            prop_assert_eq!(query(&once).into_owned(), once);
            let once = form(text.as_bytes());
            prop_assert_eq!(form(&once), once);
            let once = escapes(text.as_bytes()).into_owned();
            prop_assert_eq!(escapes(&once).into_owned(), once);
        }

        #[test]
        fn the_order_of_names_does_not_matter(mut pairs in prop::collection::vec("[a-f]=[0-9]", 0..8)) {
            pairs.sort();
            pairs.dedup_by_key(|pair| pair.as_bytes()[0]);
            let forward = pairs.join("&");
            pairs.reverse();
            let backward = pairs.join("&");
            prop_assert_eq!(query(forward.as_bytes()), query(backward.as_bytes()));
        }
    }
}
