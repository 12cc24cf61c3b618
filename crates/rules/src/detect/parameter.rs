//! Parameters of queries and form bodies (WHATWG URL, section 5.1).

use std::borrow::Cow;

/// The first value of the parameter `name`, decoded; `None` when there is none or the text is not UTF-8.
pub(super) fn parameter<'a>(pairs: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let value = pairs
        .split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    decoded(value)
}

fn decoded(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let escaped = text.get(at + 1..at + 3).and_then(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        });
        let (byte, length) = match (text[at], escaped) {
            (b'%', Some(byte)) => (byte, 3),
            (b'+', _) => (b' ', 1),
            (byte, _) => (byte, 1),
        };
        out.push(byte);
        at += length;
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_is_found_and_decoded() {
        for (pairs, expected) in [
            ("query=a", Some("a")),
            ("queryx=1&query=%7B+a%20%7d&query=b", Some("{ a }")),
            ("query=%zz%4", Some("%zz%4")),
            ("query=%c3%a4", Some("ä")),
            ("query=%ff", None),
            ("query", None),
            ("", None),
        ] {
            assert_eq!(parameter(pairs.as_bytes(), "query").as_deref(), expected, "{pairs}");
        }
    }
}
