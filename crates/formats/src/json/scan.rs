//! Walks a JSON file of any size; only the value being cut out is in memory.
//!
//! Outside of cut values the grammar is strict, since there is nothing to be gained from guessing where
//! an entry begins. Inside, only strings and brackets are followed, so that a value which turns out to be
//! broken costs itself and not the rest of the file.

use std::fmt::Write;
use std::ops::Range;

use crate::error::Error;
use crate::json::DEPTH;
use crate::json::tree::{self, Json, Oddities};
use crate::source::Source;

/// Longest key, in bytes as written.
const KEY: usize = 64 << 10;

/// A place in a text, counted from 1; columns are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    /// The place `offset` bytes into `text`, which begins here.
    pub(crate) fn within(self, text: &[u8], offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        match memchr::memrchr(b'\n', before) {
            Some(at) => Self { line: self.line + lines, column: (before.len() - at) as u64 },
            None => Self { line: self.line, column: self.column + before.len() as u64 },
        }
    }
}

/// One step of a JSONPath.
enum Step {
    Key(String),
    Index(u64),
}

/// A value cut out of the file; its text stays readable until the scanner moves on.
pub(crate) struct Taken {
    range: Range<usize>,
    /// Where it begins.
    pub(crate) place: Place,
    /// Why its text is not at hand.
    pub(crate) refused: Option<Refused>,
}

/// Why a value was passed over instead of being cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooLarge,
    TooDeep,
}

/// A cursor in a file.
pub(crate) struct Scanner<'r> {
    source: Source<'r>,
    at: usize,
    /// Up to where lines are counted, and what that place is called.
    counted: usize,
    place: Place,
    path: Vec<Step>,
    /// Whether the container that was entered last has not given anything yet.
    fresh: bool,
}

impl<'r> Scanner<'r> {
    pub(crate) fn new(source: Source<'r>) -> Self {
        let place = Place { line: 1, column: 1 };
        Self { source, at: 0, counted: 0, place, path: Vec::new(), fresh: false }
    }

    /// JSONPath (RFC 9535) of the value at the cursor.
    pub(crate) fn path(&self) -> String {
        self.path.iter().fold("$".to_owned(), |mut path, step| {
            match step {
                Step::Key(key) if tree::is_plain_name(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Key(key) => {
                    let _ = write!(path, "[{key:?}]");
                }
                Step::Index(index) => {
                    let _ = write!(path, "[{index}]");
                }
            }
            path
        })
    }

    /// The place of the cursor.
    pub(crate) fn place(&mut self) -> Place {
        self.place = self.place.within(&self.source.buffer[self.counted..self.at], self.at - self.counted);
        self.counted = self.at;
        self.place
    }

    /// A fault at the cursor: the text is no JSON.
    pub(crate) fn syntax(&mut self, what: impl Into<String>) -> Error {
        let Place { line, column } = self.place();
        Error::Syntax { path: self.path(), line, column, what: what.into() }
    }

    /// A fault at the cursor: the value is not what it should be.
    pub(crate) fn shape(&mut self, what: impl Into<String>, accepted: &'static str) -> Error {
        let Place { line, column } = self.place();
        Error::Shape { path: self.path(), line, column, what: what.into(), accepted }
    }

    fn truncated(&mut self) -> Error {
        self.at = self.source.buffer.len();
        let Place { line, column } = self.place();
        Error::Truncated { path: self.path(), line, column, imported: 0 }
    }

    /// Forgets what lies before `from` and reads more; `false` at the end of the file.
    fn more(&mut self, from: usize) -> Result<bool, Error> {
        if self.counted < from {
            let text = &self.source.buffer[self.counted..from];
            self.place = self.place.within(text, text.len());
            self.counted = from;
        }
        self.source.discard(from);
        self.counted -= from;
        self.at -= from;
        if !self.source.ended {
            self.source.fill()?;
        }
        Ok(!self.source.ended)
    }

    /// The next byte that is not white space, not consumed.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, Error> {
        loop {
            while let Some(byte) = self.source.buffer.get(self.at) {
                if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                    return Ok(Some(*byte));
                }
                self.at += 1;
            }
            if !self.more(self.at)? {
                return Ok(None);
            }
        }
    }

    fn required(&mut self) -> Result<u8, Error> {
        match self.peek()? {
            Some(byte) => Ok(byte),
            None => Err(self.truncated()),
        }
    }

    /// What sort of value stands at the cursor, with its article.
    pub(crate) fn sort(&mut self) -> Result<&'static str, Error> {
        Ok(match self.required()? {
            b'{' => "an object",
            b'[' => "an array",
            b'"' => "a string",
            b'n' => "null",
            b't' | b'f' => "a boolean",
            b'-' | b'0'..=b'9' => "a number",
            _ => "no JSON value",
        })
    }

    /// Steps into the object at the cursor; `false`, and no step, when there is something else.
    pub(crate) fn enter_object(&mut self) -> Result<bool, Error> {
        self.enter(b'{', Step::Key(String::new()))
    }

    /// Steps into the array at the cursor; `false`, and no step, when there is something else.
    pub(crate) fn enter_list(&mut self) -> Result<bool, Error> {
        self.enter(b'[', Step::Index(0))
    }

    fn enter(&mut self, bracket: u8, step: Step) -> Result<bool, Error> {
        if self.required()? != bracket {
            return Ok(false);
        }
        self.at += 1;
        self.path.push(step);
        self.fresh = true;
        Ok(true)
    }

    /// The next key of the object that was entered last; the cursor then stands before its value. `None`
    /// leaves the object.
    pub(crate) fn next_key(&mut self) -> Result<Option<String>, Error> {
        if self.leaves(b'}')? {
            return Ok(None);
        }
        if self.required()? != b'"' {
            return Err(self.syntax("a key in double quotes is expected"));
        }
        let taken = self.take(KEY)?;
        let key = match self.parse(&taken, &mut Oddities::default())? {
            Json::Text(key) => key,
            _ => String::new(),
        };
        if self.required()? != b':' {
            return Err(self.syntax("a colon is expected after the key"));
        }
        self.at += 1;
        if let Some(step) = self.path.last_mut() {
            *step = Step::Key(key.clone());
        }
        Ok(Some(key))
    }

    /// Moves to the next element of the array that was entered last and tells its index. `None` leaves the
    /// array.
    pub(crate) fn next_element(&mut self) -> Result<Option<u64>, Error> {
        let first = self.fresh;
        if self.leaves(b']')? {
            return Ok(None);
        }
        self.required()?;
        Ok(match self.path.last_mut() {
            Some(Step::Index(index)) => {
                *index += u64::from(!first);
                Some(*index)
            }
            _ => None,
        })
    }

    /// Passes the comma between two members; `true` when the container ends instead.
    fn leaves(&mut self, closing: u8) -> Result<bool, Error> {
        let first = std::mem::replace(&mut self.fresh, false);
        match self.required()? {
            byte if byte == closing => {
                self.at += 1;
                self.path.pop();
                return Ok(true);
            }
            b',' if !first => self.at += 1,
            _ if first => {}
            _ => return Err(self.syntax(format!("a comma or `{}` is expected", char::from(closing)))),
        }
        Ok(false)
    }

    /// Fails unless only white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.syntax("something follows the end of the document")),
        }
    }

    /// Passes over the value at the cursor.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        let taken = self.take(KEY)?;
        if taken.refused.is_none() && !matches!(self.text(&taken).first(), Some(b'{' | b'[')) {
            self.parse(&taken, &mut Oddities::default())?;
        }
        Ok(())
    }

    /// The text of a value that was just cut out.
    pub(crate) fn text(&self, taken: &Taken) -> &[u8] {
        if taken.refused.is_some() { &[] } else { &self.source.buffer[taken.range.clone()] }
    }

    /// Reads a value that was just cut out; a fault in it is a fault of the file.
    pub(crate) fn parse(&mut self, taken: &Taken, oddities: &mut Oddities) -> Result<Json, Error> {
        let text = self.text(taken);
        match tree::parse(text, oddities) {
            Ok(json) => Ok(json),
            Err(fault) => {
                let Place { line, column } = taken.place.within(text, fault.offset);
                Err(Error::Syntax { path: self.path(), line, column, what: fault.what.to_owned() })
            }
        }
    }

    /// Cuts out the value at the cursor when its text is at most `limit` bytes long.
    pub(crate) fn take(&mut self, limit: usize) -> Result<Taken, Error> {
        let first = self.required()?;
        let place = self.place();
        let scalar = !matches!(first, b'{' | b'[' | b'"');
        let mut refused = None;
        let mut start = self.at;
        let mut at = start;
        let (mut in_string, mut escaped) = (false, false);
        let mut open = Brackets::default();
        let end = loop {
            let Some(&byte) = self.source.buffer.get(at) else {
                if at - start > limit {
                    // The rest is only followed to its end.
                    refused = Some(Refused::TooLarge);
                }
                let kept = if refused.is_some() { at } else { start };
                self.at = kept;
                let more = self.more(kept)?;
                at -= kept;
                start = 0;
                if more {
                    continue;
                }
                if scalar {
                    break at;
                }
                return Err(self.truncated());
            };
            if in_string {
                if std::mem::replace(&mut escaped, false) {
                    at += 1;
                    continue;
                }
                match memchr::memchr2(b'"', b'\\', &self.source.buffer[at..]) {
                    None => at = self.source.buffer.len(),
                    Some(ahead) => {
                        at += ahead + 1;
                        escaped = self.source.buffer[at - 1] == b'\\';
                        in_string = escaped;
                        if !in_string && open.depth == 0 {
                            break at;
                        }
                    }
                }
                continue;
            }
            match byte {
                b'"' if !scalar => in_string = true,
                b'{' | b'[' if !scalar => {
                    open.push(byte);
                    if open.depth > DEPTH {
                        refused = refused.or(Some(Refused::TooDeep));
                    }
                }
                b'}' | b']' if !scalar => {
                    if !open.pop(byte) {
                        self.at = at;
                        return Err(self.syntax(format!("`{}` closes what is not open", char::from(byte))));
                    }
                    if open.depth == 0 {
                        break at + 1;
                    }
                }
                b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n' if scalar => break at,
                _ => {}
            }
            at += 1;
        };
        self.at = end;
        if end - start > limit {
            refused = Some(Refused::TooLarge);
        }
        if end == start && refused.is_none() {
            return Err(self.syntax("a value is expected"));
        }
        Ok(Taken { range: start..end, place, refused })
    }
}

/// The open brackets; beyond [`DEPTH`] they are only counted.
#[derive(Default)]
struct Brackets {
    depth: usize,
    /// One bit a level, set for an object.
    objects: u128,
}

impl Brackets {
    fn push(&mut self, bracket: u8) {
        if self.depth < DEPTH {
            let bit = 1 << self.depth;
            self.objects = if bracket == b'{' { self.objects | bit } else { self.objects & !bit };
        }
        self.depth += 1;
    }

    fn pop(&mut self, bracket: u8) -> bool {
        let Some(depth) = self.depth.checked_sub(1) else { return false };
        self.depth = depth;
        depth >= DEPTH || (self.objects >> depth & 1 == 1) == (bracket == b'}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Limits;

    /// Gives a byte at a time, so that every value crosses the edge of a buffer.
    struct Dribble<'a>(&'a [u8]);

    impl std::io::Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn cut(text: &str, limit: usize) -> Result<Vec<Result<String, Refused>>, Error> {
        let mut reader = Dribble(text.as_bytes());
        let mut scanner = Scanner::new(Source::open(&mut reader, &Limits::default())?);
        let mut cut = Vec::new();
        assert!(scanner.enter_list()?);
        while scanner.next_element()?.is_some() {
            let taken = scanner.take(limit)?;
            cut.push(match taken.refused {
                Some(refused) => Err(refused),
                None => Ok(String::from_utf8_lossy(scanner.text(&taken)).into_owned()),
            });
        }
        scanner.finish()?;
        Ok(cut)
    }

    #[test]
    fn values_are_cut_where_they_end() {
        let values = ["1", "\"a]\\\"\"", "{\"b\": [1, \"}\"]}", "[]", "null", "-0.5e+3"];
        let text = format!(" [ {} ] ", values.join(" ,\n"));
        let cut = cut(&text, 100).expect("it is an array");
        assert_eq!(cut, values.map(|value| Ok(value.to_owned())));
    }

    #[test]
    fn large_and_deep_values_are_passed_over() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let text = format!("[1, \"{}\", {deep}, 2]", "x".repeat(30_000));
        let expected =
            [Ok("1".to_owned()), Err(Refused::TooLarge), Err(Refused::TooDeep), Ok("2".to_owned())];
        assert_eq!(cut(&text, 25_000).expect("it is an array"), expected);
    }

    #[test]
    fn faults_name_their_place() {
        for (text, expected) in [
            ("[1,\n 2", "$[1] (line 2, column 3): the file ends here, in the middle of a value"),
            ("[1 2]", "$[0] (line 1, column 4): a comma or `]` is expected"),
            ("[1,]", "$[1] (line 1, column 4): a value is expected"),
            ("[{\"a\": [}]", "$[0] (line 1, column 9): `}` closes what is not open"),
            ("[] x", "$ (line 1, column 4): something follows the end of the document"),
            ("[\"ab", "$[0] (line 1, column 5): the file ends here, in the middle of a value"),
        ] {
            let error = cut(text, 100).expect_err("it is broken");
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }
}
