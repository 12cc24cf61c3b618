//! The normal form of JSON (RFC 8259): no white space, keys in order, strings with as few escapes as there may
//! be. Numbers stand as they were written: an identifier that does not fit a float must not meet its neighbour.
//! A key that is there twice stays there twice.

use std::ops::Range;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 128;

/// The document in its normal form; `None` when it is not JSON or nested too deeply.
pub(super) fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    // Only strings hold other than ASCII, and they are copied, so this is all the checking there is to do.
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let mut out = Vec::with_capacity(text.len());
    reader.value(&mut out, 0)?;
    reader.space();
    (reader.at == reader.text.len()).then_some(out)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over white space and gives the byte behind it.
    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.get(self.at).copied()
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        match self.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(out, depth),
            b'[' if depth < MAX_DEPTH => self.array(out, depth),
            b'"' => self.string(out),
            b'-' | b'0'..=b'9' => self.number(out),
            _ => ["true", "false", "null"].iter().find_map(|word| {
                self.text[self.at..].starts_with(word.as_bytes()).then(|| {
                    self.at += word.len();
                    out.extend_from_slice(word.as_bytes());
                })
            }),
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.at += 1;
        out.push(b'[');
        if self.peek()? == b']' {
            self.at += 1;
            out.push(b']');
            return Some(());
        }
        loop {
            self.value(out, depth + 1)?;
            let mark = self.peek()?;
            self.at += 1;
            out.push(mark);
            match mark {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.at += 1;
        let begin = out.len();
        // Of each member the key and the whole, in `out` behind `begin`.
        let mut members: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        if self.peek()? == b'}' {
            self.at += 1;
        } else {
            loop {
                if self.peek()? != b'"' {
                    return None;
                }
                let start = out.len();
                self.string(out)?;
                let key = start..out.len();
                if self.peek()? != b':' {
                    return None;
                }
                self.at += 1;
                out.push(b':');
                self.value(out, depth + 1)?;
                members.push((key, start..out.len()));
                let mark = self.peek()?;
                self.at += 1;
                match mark {
                    b',' => {}
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        members.sort_by(|(one, _), (other, _)| out[one.clone()].cmp(&out[other.clone()]));
        let unordered = out.split_off(begin);
        out.push(b'{');
        for (number, (_, member)) in members.into_iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&unordered[member.start - begin..member.end - begin]);
        }
        out.push(b'}');
        Some(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let start = self.at;
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        let whole = self.digits()?;
        if whole > 1 && self.text[self.at - whole] == b'0' {
            return None;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        out.extend_from_slice(&self.text[start..self.at]);
        Some(())
    }

    /// Steps over at least one digit and tells how many there were.
    fn digits(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        (count > 0).then_some(count)
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Option<()> {
        self.at += 1;
        out.push(b'"');
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
            out.extend_from_slice(&rest[..plain]);
            self.at += plain + 1;
            match rest[plain] {
                b'"' => {
                    out.push(b'"');
                    return Some(());
                }
                b'\\' => self.escape(out)?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let letter = *self.text.get(self.at)?;
        self.at += 1;
        let character = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                match self.character(unit) {
                    Some(character) => character,
                    None => {
                        // Half a pair stands for nothing and stays as it was written.
                        push_unit(unit, out);
                        return Some(());
                    }
                }
            }
            _ => return None,
        };
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            '\0'..='\u{1f}' => push_unit(character as u16, out),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Some(())
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let unit = digits
            .iter()
            .try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))?;
        self.at += 4;
        Some(unit)
    }

    /// The character that begins with `unit`, together with the unit behind it where it takes two.
    fn character(&mut self, unit: u16) -> Option<char> {
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(u32::from(unit));
        }
        let before = self.at;
        let second = self.text[self.at..].starts_with(b"\\u").then(|| {
            self.at += 2;
            self.unit()
        });
        let pair = second.flatten().and_then(|second| char::decode_utf16([unit, second]).next()?.ok());
        if pair.is_none() {
            self.at = before;
        }
        pair
    }
}

fn push_unit(unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn normal(text: &str) -> Option<String> {
        canonical(text.as_bytes()).map(|form| String::from_utf8(form).expect("UTF-8"))
    }

    #[test]
    fn documents_have_one_normal_form() {
        for (given, expected) in [
            (" { \"b\" : [ 1 , 2 ] , \"a\" : { } } ", "{\"a\":{},\"b\":[1,2]}"),
            ("{\"a\":2,\"a\":1}", "{\"a\":2,\"a\":1}"),
            ("[]", "[]"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-0.10e+2", "-0.10e+2"),
            ("\"\\u0041\\/\\u00e4\\ud83d\\ude00\"", "\"A/ä😀\""),
            ("\"\\n\\u000A\\\"\\\\\"", "\"\\u000a\\u000a\\\"\\\\\""),
            ("\"\\ud83d\\u0041\\uDE00\"", "\"\\ud83dA\\ude00\""),
            ("[true,false,null]", "[true,false,null]"),
        ] {
            assert_eq!(normal(given).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn what_is_not_json_has_none() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            "-",
            "1e",
            "\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\\u12\"",
            "nul",
            "1 2",
            "{\"a\" 1}",
            "{\"a\":}",
            "\u{feff}1",
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
        assert_eq!(canonical(b"\"\xff\""), None);
        assert_eq!(normal(&"[".repeat(100_000)), None);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z\"\\\\\n\u{1}ä😀]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-c\"ä]{0,3}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_normal_form_means_the_same_and_is_its_own(value in any_json()) {
            let form = normal(&value.to_string()).expect("JSON");
            let pretty = normal(&format!("{value:#}")).expect("JSON");
            prop_assert_eq!(&form, &pretty);
            let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            prop_assert_eq!(read(&form), read(&value.to_string()));
            prop_assert_eq!(normal(&form), Some(form));
        }

        #[test]
        fn it_is_json_where_another_reader_says_so(text in "[{}\\[\\]\",:0-2eE.+\\-untrlas \\\\]{0,12}") {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(normal(&text).is_some(), is_json, "{}", text);
        }
    }
}
