//! What a file is, told from its first bytes and keys.
//!
//! Knows more formats than can be imported, so that a wrong file is called by its name.

use std::fmt;

use crate::error::Error;
use crate::import::Limits;
use crate::json::Scanner;
use crate::source::Source;

/// What a file was recognised as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An HTTP Archive 1.1 or 1.2.
    Har,
    /// A recording of AWS calls: an object with `entries`, or a bare array of entries.
    Recording,
    /// A Postman collection, version 2 or later.
    Postman,
    /// A Postman collection of the first version.
    PostmanV1,
    /// A Postman environment.
    PostmanEnvironment,
    /// An Insomnia export.
    Insomnia,
    /// An OpenAPI 3 description.
    OpenApi,
    /// A Swagger 2 description.
    Swagger,
    /// A WireMock mapping or several.
    WireMock,
    /// A Pact contract.
    Pact,
    /// A VCR or Betamax cassette.
    Cassette,
    /// A Mimeo segment file.
    Segment,
    /// One JSON document a line.
    JsonLines,
    /// JSON of no known format, with its first keys.
    OtherJson(Vec<String>),
    /// Text that begins like JSON and breaks.
    BrokenJson,
    /// HTML.
    Html,
    /// XML.
    Xml,
    /// Text that is none of the others, YAML perhaps.
    OtherText,
    /// UTF-16 or UTF-32 without a byte order mark.
    WideText,
    /// A ZIP archive.
    Zip,
    /// Compressed by something other than gzip.
    Compressed,
    /// A packet capture.
    PacketCapture,
    /// An image, an executable or other bytes.
    Binary,
    /// Nothing, or only white space.
    Empty,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Har => "a HAR file",
            Self::Recording => "an AWS recording",
            Self::Postman => "a Postman collection",
            Self::PostmanV1 => "a Postman collection of the first version",
            Self::PostmanEnvironment => "a Postman environment",
            Self::Insomnia => "an Insomnia export",
            Self::OpenApi => "an OpenAPI description",
            Self::Swagger => "a Swagger 2 description",
            Self::WireMock => "a WireMock mapping",
            Self::Pact => "a Pact contract",
            Self::Cassette => "a VCR cassette",
            Self::Segment => "a Mimeo segment file",
            Self::JsonLines => "a file of JSON lines",
            Self::OtherJson(keys) if keys.is_empty() => "JSON of no known format",
            Self::OtherJson(keys) => {
                f.write_str("JSON with the keys ")?;
                for (at, key) in keys.iter().enumerate() {
                    write!(f, "{}`{key}`", if at == 0 { "" } else { ", " })?;
                }
                return Ok(());
            }
            Self::BrokenJson => "broken JSON",
            Self::Html => "an HTML page",
            Self::Xml => "an XML document",
            Self::OtherText => "text that is not JSON",
            Self::WideText => "UTF-16 or UTF-32 text without a byte order mark",
            Self::Zip => "a ZIP archive",
            Self::Compressed => "a compressed file that is not gzip",
            Self::PacketCapture => "a packet capture",
            Self::Binary => "a binary file",
            Self::Empty => "empty",
        })
    }
}

impl Kind {
    /// A next step for a person who has such a file.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::PostmanV1 => Some("export it again from Postman as Collection v2.1"),
            Self::WideText => Some("save it as UTF-8"),
            Self::Zip => Some("unpack it first; gzip is unpacked on the way"),
            Self::Compressed => Some("unpack it first, or compress it with gzip"),
            Self::Segment => Some("it belongs to a session: name the session instead of the file"),
            Self::Html => Some("was an error page or a login page saved in the place of the file?"),
            _ => None,
        }
    }

    /// Whether the file may be JSON that only its importer can judge.
    pub(crate) fn may_be_any_json(&self) -> bool {
        matches!(self, Self::OtherJson(_) | Self::BrokenJson | Self::Empty)
    }
}

/// Tells what a file is from its head; `whole` says that the head is all of it.
pub(crate) fn detect(head: &[u8], whole: bool) -> Kind {
    let Some(first) = head.iter().find(|byte| !byte.is_ascii_whitespace()) else {
        return if whole { Kind::Empty } else { Kind::OtherText };
    };
    if let Some(kind) = by_magic(head) {
        return kind;
    }
    match first {
        b'{' | b'[' if is_wide(head) => Kind::WideText,
        b'{' | b'[' => by_keys(head),
        b'<' => {
            let start = String::from_utf8_lossy(&head[..head.len().min(512)]).to_ascii_lowercase();
            if start.contains("<html") || start.contains("<!doctype html") { Kind::Html } else { Kind::Xml }
        }
        _ if is_wide(head) => Kind::WideText,
        _ if is_binary(head) => Kind::Binary,
        _ => by_lines(head),
    }
}

fn by_magic(head: &[u8]) -> Option<Kind> {
    [
        (&b"PK\x03\x04"[..], Kind::Zip),
        (b"PK\x05\x06", Kind::Zip),
        (b"\x28\xb5\x2f\xfd", Kind::Compressed),
        (b"BZh", Kind::Compressed),
        (b"\xfd7zXZ\0", Kind::Compressed),
        (b"7z\xbc\xaf\x27\x1c", Kind::Compressed),
        (b"\xd4\xc3\xb2\xa1", Kind::PacketCapture),
        (b"\xa1\xb2\xc3\xd4", Kind::PacketCapture),
        (b"\x0a\x0d\x0d\x0a", Kind::PacketCapture),
        (b"MIMEOSEG", Kind::Segment),
    ]
    .into_iter()
    .find(|(magic, _)| head.starts_with(magic))
    .map(|(_, kind)| kind)
}

/// Half or more of the bytes of ASCII text in UTF-16 and UTF-32 are zero, at every other place.
fn is_wide(head: &[u8]) -> bool {
    let head = &head[..head.len().min(64) & !1];
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    head.len() >= 4 && (zeros(0) * 4 >= head.len() || zeros(1) * 4 >= head.len())
}

fn is_binary(head: &[u8]) -> bool {
    let sample = &head[..head.len().min(1024)];
    let odd = sample.iter().filter(|byte| **byte < 9 || (14..32).contains(*byte)).count();
    sample.contains(&0) || odd * 10 > sample.len() || {
        // A character cut by the end of the sample is no sign of anything.
        std::str::from_utf8(sample).is_err_and(|error| error.error_len().is_some()) && odd > 0
    }
}

fn by_lines(head: &[u8]) -> Kind {
    let text = String::from_utf8_lossy(&head[..head.len().min(4096)]).into_owned();
    for line in text.lines() {
        match line.split(':').next().map(str::trim) {
            Some("openapi") => return Kind::OpenApi,
            Some("swagger") => return Kind::Swagger,
            Some("http_interactions" | "interactions") => return Kind::Cassette,
            _ => {}
        }
    }
    Kind::OtherText
}

/// The keys of the first object, as far as the head goes, and what comes after the document.
fn by_keys(mut head: &[u8]) -> Kind {
    let text = head;
    let mut seen = Seen::default();
    let outcome = Source::open(&mut head, &Limits::default()).and_then(|source| {
        let mut scanner = Scanner::new(source);
        seen.document(&mut scanner)?;
        if scanner.peek()? == Some(b'{') {
            seen.lines = true;
        }
        Ok(())
    });
    let has = |key: &str| seen.keys.iter().any(|seen| seen == key);
    let contains = |needle: &[u8]| memchr::memmem::find(text, needle).is_some();
    let looks_like_call = has("status_code") || has("statusCode") || has("service") && has("action");
    if seen.lines {
        return Kind::JsonLines;
    }
    if has("log") {
        return Kind::Har;
    }
    if seen.list {
        return if looks_like_call || seen.keys.is_empty() && outcome.is_ok() {
            Kind::Recording
        } else if has("request") && has("response") && !has("startedDateTime") {
            Kind::WireMock
        } else {
            other(seen.keys, outcome.is_err())
        };
    }
    if has("openapi") {
        Kind::OpenApi
    } else if has("swagger") {
        Kind::Swagger
    } else if has("info") && (has("item") || contains(b"schema.getpostman.com")) {
        Kind::Postman
    } else if has("order") && has("requests") {
        Kind::PostmanV1
    } else if has("_postman_variable_scope") {
        Kind::PostmanEnvironment
    } else if has("_type") && has("resources") {
        Kind::Insomnia
    } else if has("mappings") || has("request") && has("response") && !has("startedDateTime") {
        Kind::WireMock
    } else if has("interactions") && (has("consumer") || has("provider")) {
        Kind::Pact
    } else if has("interactions") || has("http_interactions") {
        Kind::Cassette
    } else if has("entries") || has("entry_count") {
        Kind::Recording
    } else {
        other(seen.keys, outcome.is_err())
    }
}

fn other(mut keys: Vec<String>, breaks: bool) -> Kind {
    if breaks && keys.is_empty() {
        return Kind::BrokenJson;
    }
    keys.truncate(6);
    Kind::OtherJson(keys.into_iter().map(|key| key.chars().take(40).collect()).collect())
}

/// What the head of a JSON file shows.
#[derive(Default)]
struct Seen {
    keys: Vec<String>,
    list: bool,
    lines: bool,
}

impl Seen {
    fn document(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Error> {
        if scanner.enter_object()? {
            return self.members(scanner);
        }
        if scanner.enter_list()? {
            self.list = true;
            while scanner.next_element()?.is_some() {
                if self.keys.is_empty() && scanner.enter_object()? {
                    self.members(scanner)?;
                } else {
                    scanner.skip()?;
                }
            }
        }
        Ok(())
    }

    fn members(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Error> {
        while let Some(key) = scanner.next_key()? {
            if self.keys.len() < 200 {
                self.keys.push(key);
            }
            scanner.skip()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_their_names() {
        for (head, kind) in [
            (&br#"{"log": {"version": "1.2", "entries": ["#[..], Kind::Har),
            (br#"{"id": "rec-1", "entries": [{"id": "#, Kind::Recording),
            (br#"[{"id":"test-1","service":"s3","action":"GetObject"}]"#, Kind::Recording),
            (b"[]", Kind::Recording),
            (br#"{"info": {"name": "x"}, "item": []}"#, Kind::Postman),
            (
                br#"{"info": {"schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json", "#,
                Kind::Postman,
            ),
            (br#"{"id": "1", "name": "x", "order": [], "requests": []}"#, Kind::PostmanV1),
            (br#"{"openapi": "3.1.0", "info": {}, "paths": {}}"#, Kind::OpenApi),
            (b"openapi: 3.0.0\ninfo:\n  title: x\n", Kind::OpenApi),
            (br#"{"swagger": "2.0"}"#, Kind::Swagger),
            (br#"{"request": {"method": "GET"}, "response": {"status": 200}}"#, Kind::WireMock),
            (br#"{"mappings": []}"#, Kind::WireMock),
            (br#"{"consumer": {}, "provider": {}, "interactions": []}"#, Kind::Pact),
            (b"{\"a\": 1}\n{\"a\": 2}\n", Kind::JsonLines),
            (br#"{"a": 1, "b": 2}"#, Kind::OtherJson(vec!["a".into(), "b".into()])),
            (b"{oops", Kind::BrokenJson),
            (b"<!DOCTYPE html><html>", Kind::Html),
            (b"<?xml version=\"1.0\"?><a/>", Kind::Xml),
            (b"hello there", Kind::OtherText),
            (b"{\0\"\0l\0o\0g\0\"\0", Kind::WideText),
            (b"\0{\0\"\0l\0o\0g\0\"", Kind::WideText),
            (b"PK\x03\x04rest", Kind::Zip),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Binary),
            (b"\x7fELF\x02\x01\x01\0", Kind::Binary),
            (b"MIMEOSEG\0\x01", Kind::Segment),
            (b" \r\n\t ", Kind::Empty),
            (b"", Kind::Empty),
        ] {
            assert_eq!(detect(head, true), kind, "{}", String::from_utf8_lossy(head));
        }
    }
}
