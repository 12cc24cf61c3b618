//! What differs between a request and a recorded one, in sentences.

use std::borrow::Cow;
use std::cell::OnceCell;

use mimeo_model::body::media_type::MediaType;
use serde_json::Value;

use crate::compile::Library;
use crate::derive::Mock;
use crate::index::canonical;
use crate::index::exact::Keyed;
use crate::index::selecting::{self, Promise, Selecting};
use crate::request::RequestView;

/// Differences that are told of one recording.
const TOLD: usize = 8;
/// Differences that are looked for in one body.
const LOOKED_FOR: usize = 32;
/// Most characters of a value that are told.
const VALUE: usize = 80;
/// Deepest nesting of JSON that is looked into.
const DEPTH: usize = 32;
/// Longest body, decoded, that is looked into; of a longer one only the first different byte is told.
const MAX_BODY: usize = 256 << 10;
/// Parameters of a query that are looked at.
pub(super) const PARAMETERS: usize = 64;

/// The request that was asked, with what is read out of it at most once.
pub(super) struct Asked<'a> {
    pub(super) keyed: &'a Keyed<'a>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(keyed: &'a Keyed<'a>) -> Self {
        Self { keyed, json: OnceCell::new() }
    }

    fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| json(&self.keyed.request)).as_ref()
    }

    /// Number of places in which the bodies differ, as far as they are looked for.
    pub(super) fn body_distance(&self, recorded: &RequestView<'_>) -> u32 {
        if self.keyed.request.body == recorded.body {
            return 0;
        }
        let mut found = Vec::new();
        body(self, recorded, &mut found);
        found.len() as u32
    }
}

/// Tells what differs, in the order of a message, at most a handful.
pub(super) fn tell(library: &Library, asked: &Asked<'_>, mock: &Mock) -> Vec<String> {
    let request = &asked.keyed.request;
    let recorded = RequestView::of_recorded(&mock.request);
    let mut found = Vec::new();
    if request.method != recorded.method {
        found.push(format!("method: asked {}, recorded {}", request.method, recorded.method));
    }
    if let Some(authority) = request.authority
        && !library.groups.has_one_authority()
        && !authority.eq_ignore_ascii_case(&mock.request.authority)
    {
        found.push(format!("host: asked {}, recorded {}", cut(authority), cut(&mock.request.authority)));
    }
    if request.path() != recorded.path() {
        found.push(format!("path: asked {}, recorded {}", text(request.path()), text(recorded.path())));
    }
    match (asked.keyed.is_websocket(), mock.is_websocket()) {
        (true, false) => found.push("upgrade: asked for a WebSocket, recorded without".to_owned()),
        (false, true) => found.push("upgrade: not asked for, recorded a WebSocket".to_owned()),
        (true, true) | (false, false) => {}
    }
    query(request.query(), recorded.query(), &mut found);
    headers(request, &recorded, mock, &mut found);
    body(asked, &recorded, &mut found);
    if found.len() > TOLD {
        let more = found.len() - TOLD + 1;
        found.truncate(TOLD - 1);
        found.push(format!("and {more} more"));
    }
    if found.is_empty() {
        found
            .push("the request is the same, but this recording is not the one that may answer it".to_owned());
    }
    found
}

fn query(asked: &[u8], kept: &[u8], found: &mut Vec<String>) {
    let (asked, kept): (Vec<_>, Vec<_>) = (parameters(asked).collect(), parameters(kept).collect());
    for parameter in &asked {
        let (name, value) = *parameter;
        match kept.iter().find(|(other, _)| *other == name) {
            None => found.push(format!("query {}: asked {}, not in the recording", text(name), text(value))),
            Some((_, other)) if !kept.contains(parameter) => {
                found.push(format!("query {}: asked {}, recorded {}", text(name), text(value), text(other)));
            }
            Some(_) => {}
        }
    }
    for (name, value) in &kept {
        if !asked.iter().any(|(other, _)| other == name) {
            found.push(format!("query {}: missing, recorded {}", text(name), text(value)));
        }
    }
}

fn headers(request: &RequestView<'_>, recorded: &RequestView<'_>, mock: &Mock, found: &mut Vec<String>) {
    let (asked, kept) = (Selecting::of(request.headers), Selecting::of(recorded.headers));
    let told = |value: Option<&[u8]>| value.map_or_else(|| "none".to_owned(), text);
    if let Some(at) = asked.forbidden_by(&kept, Promise::of_status(mock.response.status)) {
        let (name, asked, kept) = (selecting::NAMES[at], asked.value(at), kept.value(at));
        found.push(format!("header {name}: asked {}, recorded {}", told(asked), told(kept)));
    }
    let content_type = |view: &RequestView<'_>| MediaType::of(view.headers.get("content-type"));
    if request.body != recorded.body && content_type(request) != content_type(recorded) {
        let value = |view: &RequestView<'_>| told(view.headers.get("content-type"));
        found.push(format!("header content-type: asked {}, recorded {}", value(request), value(recorded)));
    }
}

fn body(asked: &Asked<'_>, recorded: &RequestView<'_>, found: &mut Vec<String>) {
    let request = &asked.keyed.request;
    if request.body == recorded.body {
        return;
    }
    if let Some(one) = asked.json()
        && let Some(other) = json(recorded)
    {
        let most = found.len() + LOOKED_FOR;
        json_differences(&mut "$".to_owned(), one, &other, found, most, 0);
        return;
    }
    let (one, other) = (plain(request), plain(recorded));
    if one == other {
        return;
    }
    found.push(match (one.len(), other.len()) {
        (0, kept) => format!("body: none, recorded {kept} bytes"),
        (asked, 0) => format!("body: asked {asked} bytes, none recorded"),
        (asked, kept) => {
            let at = one.iter().zip(&*other).take_while(|(one, other)| one == other).count();
            format!("body: differs from byte {at} on (asked {asked} bytes, recorded {kept})")
        }
    });
}

fn plain<'a>(view: &RequestView<'a>) -> Cow<'a, [u8]> {
    canonical::plain(view, MAX_BODY).unwrap_or(Cow::Borrowed(view.body))
}

fn json(view: &RequestView<'_>) -> Option<Value> {
    if MediaType::of(view.headers.get("content-type")) != MediaType::Json || view.body.len() > MAX_BODY {
        return None;
    }
    serde_json::from_slice(&canonical::plain(view, MAX_BODY)?).ok()
}

fn json_differences(
    path: &mut String,
    asked: &Value,
    kept: &Value,
    found: &mut Vec<String>,
    most: usize,
    depth: usize,
) {
    let length = path.len();
    match (asked, kept) {
        (Value::Object(one), Value::Object(other)) if depth < DEPTH => {
            for (key, value) in one {
                if found.len() >= most {
                    return;
                }
                push_key(path, key);
                match other.get(key) {
                    Some(kept) => json_differences(path, value, kept, found, most, depth + 1),
                    None => found.push(format!("body {path}: asked {}, not in the recording", shown(value))),
                }
                path.truncate(length);
            }
            for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                if found.len() >= most {
                    return;
                }
                push_key(path, key);
                found.push(format!("body {path}: missing, recorded {}", shown(value)));
                path.truncate(length);
            }
        }
        (Value::Array(one), Value::Array(other)) if depth < DEPTH => {
            for (index, (asked, kept)) in one.iter().zip(other).enumerate() {
                if found.len() >= most {
                    return;
                }
                path.extend(["[", &index.to_string(), "]"]);
                json_differences(path, asked, kept, found, most, depth + 1);
                path.truncate(length);
            }
            if one.len() != other.len() && found.len() < most {
                found.push(format!("body {path}: asked {} items, recorded {}", one.len(), other.len()));
            }
        }
        _ if asked == kept => {}
        _ => found.push(format!("body {path}: asked {}, recorded {}", shown(asked), shown(kept))),
    }
}

fn push_key(path: &mut String, key: &str) {
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        path.push('.');
        path.push_str(key);
    } else {
        path.extend(["[", &Value::from(cut(key)).to_string(), "]"]);
    }
}

/// Name and value of the parameters of a query.
pub(super) fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    query
        .split(|byte| *byte == b'&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| match parameter.iter().position(|byte| *byte == b'=') {
            Some(at) => (&parameter[..at], &parameter[at + 1..]),
            None => (parameter, &parameter[..0]),
        })
        .take(PARAMETERS)
}

fn text(bytes: &[u8]) -> String {
    cut(&String::from_utf8_lossy(&bytes[..bytes.len().min(VALUE * 4 + 4)]))
}

/// A value as JSON; of a large one only its size, since all of it would have to be written to show a part.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) if items.len() > VALUE => format!("an array of {} items", items.len()),
        Value::Object(members) if members.len() > VALUE => format!("an object of {} members", members.len()),
        Value::String(text) => Value::from(cut(text)).to_string(),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
