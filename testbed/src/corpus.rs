//! Requests that must be refused, or must not be, as data: `corpus/framing.toml`.

use serde::Deserialize;

use crate::client::{Ended, Heard};
use crate::message::{find, latin1};

/// One input and what must become of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is wrong with it, in words.
    pub name: String,
    /// The line of the catalogue of bad input that it belongs to, such as `H1`.
    pub rule: String,
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// What the client does after it sent them.
    pub then: Then,
    /// The answers that are right.
    pub answers: Vec<Answer>,
    /// How many responses there must be.
    pub responses: Option<usize>,
    /// What the code of the error begins with.
    pub code: Option<String>,
    /// What the upstream gets to see.
    pub upstream: Sees,
    /// What the upstream must never see.
    pub upstream_never: Option<String>,
}

/// What the client does after it sent everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// It listens.
    Wait,
    /// It closes its sending side and listens.
    Finish,
}

/// What a client may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A response with this status.
    Status(u16),
    /// The connection closed without a response.
    Close,
}

/// What an upstream gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sees {
    /// Not a byte.
    Nothing,
    /// At least one request.
    Request,
    /// Nothing, or a request whose body has not ended.
    Unterminated,
    /// Whatever it may be; the case says what it must not be.
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    case: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    rule: String,
    send: Vec<Part>,
    #[serde(default = "wait")]
    then: Then,
    answer: Vec<RawAnswer>,
    responses: Option<usize>,
    code: Option<String>,
    #[serde(default = "nothing")]
    upstream: Sees,
    upstream_never: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Once(String),
    Repeated { repeat: String, times: usize },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawAnswer {
    Status(u16),
    Word(String),
}

fn wait() -> Then {
    Then::Wait
}

fn nothing() -> Sees {
    Sees::Nothing
}

/// The corpus of HTTP/1 framing and heads.
pub fn framing() -> Vec<Case> {
    read(include_str!("../corpus/framing.toml"))
}

fn read(text: &str) -> Vec<Case> {
    let document: Document = toml::from_str(text).unwrap_or_else(|error| panic!("the corpus: {error}"));
    document.case.into_iter().map(Case::from).collect()
}

impl From<Raw> for Case {
    fn from(raw: Raw) -> Self {
        let bytes = raw.send.iter().flat_map(|part| match part {
            Part::Once(text) => unescape(text),
            Part::Repeated { repeat, times } => unescape(repeat).repeat(*times),
        });
        let answers = raw.answer.iter().map(|answer| match answer {
            RawAnswer::Status(status) => Answer::Status(*status),
            RawAnswer::Word(word) if word == "close" => Answer::Close,
            RawAnswer::Word(word) => {
                panic!("the corpus: {}: `{word}` is neither a status nor `close`", raw.name)
            }
        });
        Self {
            bytes: bytes.collect(),
            answers: answers.collect(),
            name: raw.name,
            rule: raw.rule,
            then: raw.then,
            responses: raw.responses,
            code: raw.code,
            upstream: raw.upstream,
            upstream_never: raw.upstream_never,
        }
    }
}

/// Undoes `\r`, `\n`, `\t`, `\\` and `\xNN`; everything else stands for its own UTF-8.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
                std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .unwrap_or_else(|| panic!("the corpus: a bad escape in {text:?}"))
            }
            other => panic!("the corpus: `\\{:?}` is no escape", other.map(char::from)),
        });
    }
    bytes
}

impl Case {
    /// Judges what the client heard and what the upstream received; gives every fault.
    ///
    /// `error_header` is the name of the field that carries the error's code.
    pub fn judge(&self, heard: &Heard, received: &[u8], error_header: &str) -> Result<(), String> {
        let mut faults = Vec::new();
        let answer = match heard.status() {
            Some(status) => Some(Answer::Status(status)),
            None if heard.bytes.is_empty() && heard.ended != Ended::NotYet => Some(Answer::Close),
            None => None,
        };
        if !answer.is_some_and(|answer| self.answers.contains(&answer)) {
            let start = &heard.bytes[..heard.bytes.len().min(200)];
            faults.push(format!(
                "answered {:?} ({:?}), not one of {:?}",
                latin1(start),
                heard.ended,
                self.answers
            ));
        }
        if heard.ended == Ended::NotYet {
            faults.push("the connection stays open".to_owned());
        }
        if let Some(code) = &self.code
            && answer != Some(Answer::Close)
            && !heard.header(error_header).is_some_and(|found| found.starts_with(code.as_str()))
        {
            faults.push(format!("`{error_header}` is {:?}, not {code}", heard.header(error_header)));
        }
        if let Some(wanted) = self.responses
            && heard.statuses().len() != wanted
        {
            faults.push(format!("{} responses, not {wanted}", heard.statuses().len()));
        }
        let seen = latin1(&received[..received.len().min(2_000)]);
        let right = match self.upstream {
            Sees::Nothing => received.is_empty(),
            Sees::Request => find(received, b"\r\n\r\n").is_some(),
            Sees::Unterminated => !is_terminated(received),
            Sees::Any => true,
        };
        if !right {
            faults.push(format!("the upstream should see {:?} and saw {seen:?}", self.upstream));
        }
        if let Some(never) = &self.upstream_never
            && find(received, never.as_bytes()).is_some()
        {
            faults.push(format!("the upstream saw {never:?}: {seen:?}"));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(format!("{} {}: {}", self.rule, self.name, faults.join("; ")))
        }
    }
}

/// Whether a message with a body has all of it.
fn is_terminated(message: &[u8]) -> bool {
    let Some(end) = find(message, b"\r\n\r\n") else { return false };
    let (_, fields) = crate::message::split_head(&message[..end + 2]);
    let body = &message[end + 4..];
    let length =
        crate::message::field(&fields, "content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => body.starts_with(b"0\r\n") || find(body, b"\r\n0\r\n").is_some(),
    }
}
