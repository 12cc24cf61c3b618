//! Header fields as both formats write them: a list of names and values.
//!
//! Whatever a file says, a field that could break the framing of a message does not get past this room.

use std::borrow::Cow;

use mimeo_model::Headers;
use mimeo_model::headers::HeadersBuilder;
use serde::Serialize;

use crate::import::Import;
use crate::json::Json;
use crate::octets::{self, Base64};

/// Most bytes of one message's fields that are read; the model holds less than 4 GiB.
const MOST: usize = 16 << 20;

/// A field, ready to be written.
#[derive(Serialize)]
pub(crate) struct FieldOut<'h> {
    name: Cow<'h, str>,
    value: Cow<'h, str>,
    /// The exact value when it is not UTF-8.
    #[serde(rename = "_base64", skip_serializing_if = "Option::is_none")]
    exact: Option<Base64<'h>>,
}

/// The fields, ready to be written.
pub(crate) fn fields(headers: &Headers) -> Vec<FieldOut<'_>> {
    headers
        .iter()
        .map(|(name, value)| FieldOut {
            name: String::from_utf8_lossy(name),
            value: String::from_utf8_lossy(value),
            exact: std::str::from_utf8(value).is_err().then_some(Base64(value)),
        })
        .collect()
}

/// Whether a name is a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether bytes can stand in a head without ending a line of it.
pub(crate) fn stays_in_line(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// Reads fields from a list of `{name, value}` objects, or from an object of names to values or lists of
/// values. HTTP/2's pseudo-header fields are left out; they are told elsewhere.
pub(crate) fn read(list: Option<&Json>, field: &str, import: &mut Import<'_>) -> Headers {
    let mut out = HeadersBuilder::default();
    let mut room = MOST;
    let mut push = |name: &str, value: &Json, exact: Option<&Json>, import: &mut Import<'_>| {
        if name.starts_with(':') {
            return;
        }
        if !is_token(name) {
            import.note("a header field has no valid name: left out", field);
            return;
        }
        let exact = exact.and_then(Json::text).and_then(octets::decode);
        let text = match value {
            Json::Text(text) | Json::Number(text) => text.as_str(),
            Json::Bool(true) => "true",
            Json::Bool(false) => "false",
            Json::Null => "",
            Json::List(_) | Json::Object(_) => {
                import.note("a header field's value is no text: left out", field);
                return;
            }
        };
        if !matches!(value, Json::Text(_)) {
            import.note("a header field's value is not a string: read as text", field);
        }
        if let Some(exact) = exact.filter(|exact| stays_in_line(exact)) {
            if let Some(left) = room.checked_sub(name.len() + exact.len()) {
                room = left;
                out.push(name.as_bytes(), &exact);
            }
            return;
        }
        // Browsers join the values of repeated fields with line feeds.
        for line in text.split('\n') {
            let cleaned: Cow<'_, str> = if stays_in_line(line.as_bytes()) {
                line.into()
            } else {
                import.note("a header field's value holds CR or NUL: taken out", field);
                line.replace(['\r', '\0'], "").into()
            };
            let Some(left) = room.checked_sub(name.len() + cleaned.len()) else {
                import.note("the header fields are larger than 16 MiB: the rest is left out", field);
                return;
            };
            room = left;
            out.push(name.as_bytes(), cleaned.as_bytes());
        }
    };
    match list {
        None | Some(Json::Null) => {}
        Some(Json::List(items)) => {
            for item in items {
                let name = item.get("name").and_then(Json::text).unwrap_or_default();
                push(name, item.get("value").unwrap_or(&Json::Null), item.get("_base64"), import);
            }
        }
        Some(Json::Object(members)) => {
            for (name, value) in members {
                for value in value.list().unwrap_or(std::slice::from_ref(value)) {
                    push(name, value, None, import);
                }
            }
        }
        Some(_) => import.note("the header fields are not a list: left out", field),
    }
    out.finish()
}

/// A copy with a field at the end.
pub(crate) fn and(headers: &Headers, name: &str, value: &str) -> Headers {
    headers.iter().chain([(name.as_bytes(), value.as_bytes())]).collect()
}
