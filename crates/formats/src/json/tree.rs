//! One JSON value as a tree, read without giving up over oddities.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::DEPTH;

/// Most values in one tree; a small text of many tiny values would otherwise fill the memory.
const VALUES: usize = 2_000_000;

/// A JSON value. Numbers keep their text; of equal keys the last one counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// What was unusual and read nevertheless.
#[expect(clippy::struct_excessive_bools, reason = "they are independent findings, not states")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Oddities {
    /// An object has a key twice; the last one counts.
    pub(crate) repeated_key: bool,
    /// A `\u` escape is half of a surrogate pair; it became U+FFFD.
    pub(crate) lone_surrogate: bool,
    /// A string holds bytes that are not UTF-8; they became U+FFFD.
    pub(crate) not_utf8: bool,
    /// A string holds a control character that should have been escaped.
    pub(crate) bare_control: bool,
}

/// What is wrong with a text, and how many bytes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) what: &'static str,
}

/// Whether a key can stand after a dot in a JSONPath.
pub(crate) fn is_plain_name(key: &str) -> bool {
    !key.is_empty()
        && !key.as_bytes()[0].is_ascii_digit()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Reads `text`, which must hold one value and nothing else.
pub(crate) fn parse(text: &[u8], oddities: &mut Oddities) -> Result<Json, Fault> {
    let mut reader = Reader { text, at: 0, values: 0, oddities };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.fault("something follows the end of the value"));
    }
    Ok(value)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    values: usize,
    oddities: &'t mut Oddities,
}

impl Reader<'_> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault { offset: self.at, what }
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.space();
        self.text.get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Result<Json, Fault> {
        self.values += 1;
        if self.values > VALUES {
            return Err(self.fault("more than 2,000,000 values"));
        }
        if depth > DEPTH {
            return Err(self.fault("nested deeper than 128 levels"));
        }
        match self.next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.fault("a value is expected")),
            None => Err(self.fault("the value ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Fault> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("a value is expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let from = self.at;
        while matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.fault("a digit is expected")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Json, Fault> {
        let from = self.at;
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        self.digits()?;
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
        Ok(Json::Number(String::from_utf8_lossy(&self.text[from..self.at]).into_owned()))
    }

    fn list(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::List(items));
                }
                _ => return Err(self.fault("a comma or `]` is expected")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut members = Vec::new();
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            if self.next() != Some(b'"') {
                return Err(self.fault("a key in double quotes is expected"));
            }
            let key = self.string()?;
            if self.next() != Some(b':') {
                return Err(self.fault("a colon is expected after the key"));
            }
            self.at += 1;
            members.push((key, self.value(depth + 1)?));
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    self.oddities.repeated_key |= has_repeated_key(&members);
                    return Ok(Json::Object(members));
                }
                _ => return Err(self.fault("a comma or `}` is expected")),
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(ahead) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return Err(self.fault("the string does not end"));
            };
            self.plain(self.at..self.at + ahead, &mut text);
            self.at += ahead + 1;
            if rest[ahead] == b'"' {
                return Ok(text);
            }
            self.escape(&mut text)?;
        }
    }

    /// Appends a stretch without escapes.
    fn plain(&mut self, range: Range<usize>, text: &mut String) {
        let bytes = &self.text[range];
        self.oddities.bare_control |= bytes.iter().any(|byte| *byte < 0x20);
        let plain = String::from_utf8_lossy(bytes);
        self.oddities.not_utf8 |= matches!(plain, Cow::Owned(_));
        text.push_str(&plain);
    }

    /// Reads what follows a backslash.
    fn escape(&mut self, text: &mut String) -> Result<(), Fault> {
        let Some(&letter) = self.text.get(self.at) else {
            return Err(self.fault("the string does not end"));
        };
        let plain = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                let unit = self.hex()?;
                text.push(self.character(unit)?);
                return Ok(());
            }
            _ => return Err(self.fault("the escape is not one of JSON")),
        };
        self.at += 1;
        text.push(plain);
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        let value = digits
            .iter()
            .try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
            .filter(|_| digits.len() == 4);
        match value {
            Some(value) => {
                self.at += 4;
                Ok(value)
            }
            None => Err(self.fault("four hexadecimal digits are expected")),
        }
    }

    /// The character of a `\u` escape, together with the escape that completes it.
    fn character(&mut self, unit: u32) -> Result<char, Fault> {
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        if unit < 0xdc00 && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        self.oddities.lone_surrogate = true;
        Ok(char::REPLACEMENT_CHARACTER)
    }
}

fn has_repeated_key(members: &[(String, Json)]) -> bool {
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

impl Json {
    /// The member of that name.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The member of that name unless it is `null`.
    pub(crate) fn some(&self, key: &str) -> Option<&Self> {
        self.get(key).filter(|value| **value != Self::Null)
    }

    /// Moves the member of that name out, unless it is `null`.
    pub(crate) fn take(&mut self, key: &str) -> Option<Self> {
        match self {
            Self::Object(members) => members
                .iter_mut()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| std::mem::replace(value, Self::Null))
                .filter(|value| *value != Self::Null),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// A finite number, also when it is written as a string.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// A whole number that is not negative, also when it is written as a string or with a fraction of zero.
    pub(crate) fn whole(&self) -> Option<u64> {
        let (Self::Number(text) | Self::Text(text)) = self else { return None };
        text.trim().parse().ok().or_else(|| {
            let number = self.number()?;
            (number >= 0.0 && number.fract() == 0.0 && number < 9.007_199_254_740_992e15)
                .then_some(number as u64)
        })
    }

    /// Whether it is `true`.
    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Bool(true)
    }

    /// What sort of value it is, with its article.
    pub(crate) fn sort(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> (Result<Json, Fault>, Oddities) {
        let mut oddities = Oddities::default();
        (parse(text, &mut oddities), oddities)
    }

    #[test]
    fn oddities_are_read_and_told() {
        let (value, oddities) = read(br#"{"a": 1e400, "a": -0, "b": "\ud83d x \ud83d\ude42 \udc00"}"#);
        let value = value.expect("it is readable");
        assert_eq!(value.get("a"), Some(&Json::Number("-0".into())));
        assert_eq!(value.get("b").and_then(Json::text), Some("\u{fffd} x 🙂 \u{fffd}"));
        assert_eq!(oddities, Oddities { repeated_key: true, lone_surrogate: true, ..Oddities::default() });

        let (value, oddities) = read(b"\"caf\xe9\nline\"");
        assert_eq!(value, Ok(Json::Text("caf\u{fffd}\nline".into())));
        assert_eq!(oddities, Oddities { not_utf8: true, bare_control: true, ..Oddities::default() });
    }

    #[test]
    fn numbers_out_of_range_keep_their_text_and_give_no_value() {
        let (value, _) = read(b"[1e400, 18446744073709551616, 18446744073709551615, 12.0, \"7\", -1]");
        let value = value.expect("it is readable");
        let whole: Vec<_> = value.list().expect("an array").iter().map(Json::whole).collect();
        assert_eq!(whole, [None, None, Some(u64::MAX), Some(12), Some(7), None]);
        assert_eq!(value.list().expect("an array")[0].number(), None);
    }

    #[test]
    fn faults_carry_their_offset() {
        for (text, offset, what) in [
            ("[1,", 3, "the value ends too early"),
            ("{\"a\" 1}", 5, "a colon is expected after the key"),
            ("\"a\\x\"", 3, "the escape is not one of JSON"),
            ("\"\\u12g4\"", 3, "four hexadecimal digits are expected"),
            ("01x", 2, "something follows the end of the value"),
            ("tru", 0, "a value is expected"),
        ] {
            assert_eq!(read(text.as_bytes()).0, Err(Fault { offset, what }), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(read(deep.as_bytes()).0.map_err(|fault| fault.what), Err("nested deeper than 128 levels"));
    }

    proptest! {
        #[test]
        fn strings_read_as_serde_json_writes_them(text in ".*") {
            let written = serde_json::to_vec(&text).expect("a string has a JSON form");
            prop_assert_eq!(read(&written).0, Ok(Json::Text(text)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn nothing_that_looks_like_json_makes_it_panic(text in "[\\[\\]{}:,\"\\\\u0-9a-f .eE+-]{0,60}") {
            let _ = read(text.as_bytes());
        }
    }
}
