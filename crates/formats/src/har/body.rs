//! Bodies: bytes as they travelled in the model, readable text in HAR.

use bytes::Bytes;
use mimeo_model::body::decoded;
use mimeo_model::{Body, Chunk, Content, Headers};
use serde::{Serialize, Serializer};

use crate::coding;
use crate::import::Import;
use crate::instant::{self, Millis};
use crate::json::Json;
use crate::octets::{self, Base64};

/// A body with its readable view, where it has one.
pub(super) struct View<'e> {
    body: &'e Body,
    captured: &'e [u8],
    /// The readable view of a coded body.
    decoded: Option<Bytes>,
    /// Whether the body has a content coding that could not be undone.
    raw: bool,
    charset_is_utf8: bool,
    content_type: &'e [u8],
}

/// What `text` holds.
pub(super) enum TextOut<'v> {
    Plain(&'v str),
    Base64(Base64<'v>),
}

impl Serialize for TextOut<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(text) => out.serialize_str(text),
            Self::Base64(bytes) => bytes.serialize(out),
        }
    }
}

/// The fields that both messages have beside the text, ready to be written.
#[derive(Serialize)]
pub(super) struct ExtrasOut<'v> {
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'static str>,
    #[serde(rename = "_encoded", skip_serializing_if = "Option::is_none")]
    encoded: Option<Base64<'v>>,
    #[serde(rename = "_raw", skip_serializing_if = "std::ops::Not::not")]
    raw: bool,
    #[serde(rename = "_truncated", skip_serializing_if = "Option::is_none")]
    truncated: Option<u64>,
    #[serde(rename = "_chunks", skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<(Millis, u64)>,
}

/// The `charset` parameter of a media type, in lower case.
fn charset(content_type: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    text.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

impl<'e> View<'e> {
    pub(super) fn of(body: &'e Body, headers: &'e Headers) -> Self {
        let captured: &[u8] = body.inline().map_or(&[], |bytes| bytes);
        let (mut decoded, mut raw) = (None, false);
        if let (Some(coding), Some(bytes)) = (coding::applied(headers), body.inline())
            && !bytes.is_empty()
        {
            decoded = decoded::decode(bytes, Some(coding.as_bytes()), coding::SHOWN).ok();
            raw = decoded.is_none();
        }
        let content_type = headers.get("content-type").unwrap_or_default();
        let charset_is_utf8 =
            charset(content_type).is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "utf8"));
        Self { body, captured, decoded, raw, charset_is_utf8, content_type }
    }

    /// The bytes that `text` shows.
    pub(super) fn shown(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or(self.captured)
    }

    /// Whether what is shown is what travelled.
    pub(super) fn is_verbatim(&self) -> bool {
        self.decoded.is_none() && !self.raw
    }

    /// The value of `mimeType`.
    pub(super) fn mime_type(&self) -> String {
        if self.content_type.is_empty() {
            "x-unknown".into()
        } else {
            String::from_utf8_lossy(self.content_type).into_owned()
        }
    }

    /// What `text` holds; none when the bytes are not at hand.
    pub(super) fn text(&self) -> Option<TextOut<'_>> {
        self.body.inline()?;
        let shown = self.shown();
        Some(match std::str::from_utf8(shown) {
            // In any other charset `text` would be taken for the characters those bytes do not stand for.
            Ok(text) if !self.raw && (self.charset_is_utf8 || text.is_ascii()) && !text.contains('\0') => {
                TextOut::Plain(text)
            }
            _ => TextOut::Base64(Base64(shown)),
        })
    }

    /// The difference between the length shown and the length travelled, for a whole coded body.
    pub(super) fn compression(&self) -> Option<i64> {
        let decoded = self.decoded.as_ref().filter(|_| !self.body.is_truncated())?;
        Some(decoded.len() as i64 - self.captured.len() as i64)
    }

    pub(super) fn extras(&self) -> ExtrasOut<'_> {
        ExtrasOut {
            comment: match self.body.content {
                Content::Inline(_) if self.body.is_truncated() => Some("only the beginning was captured"),
                Content::Inline(_) => None,
                Content::Stored { .. } => Some("the body is kept elsewhere and is not part of this file"),
            },
            encoded: self.decoded.is_some().then_some(Base64(self.captured)),
            raw: self.raw,
            truncated: (self.captured.len() as u64 != self.body.length).then_some(self.body.length),
            chunks: self.body.chunks.iter().map(|chunk| (Millis(chunk.at), chunk.end)).collect(),
        }
    }
}

/// Where a body is read from.
pub(super) struct Holder {
    /// JSONPath of the object below the entry.
    pub(super) field: &'static str,
    /// `bodySize` of the message: bytes on the wire, negative or absent when the writer did not know.
    pub(super) body_size: Option<u64>,
}

/// Reads the body out of `content` or `postData`. Where the file has a decoded body under headers that
/// announce a coding, as browsers write it, the headers are corrected.
pub(super) fn read(
    holder: &Holder,
    object: &mut Json,
    headers: &mut Headers,
    import: &mut Import<'_>,
) -> Body {
    let field = holder.field;
    let chunks = chunks(object.get("_chunks"));
    let carried_length = object.get("_truncated").and_then(Json::whole);
    let encoded = match object.get("_encoded").and_then(Json::text).map(octets::decode) {
        Some(None) => {
            import.note("`_encoded` is not base64: the decoded text is taken instead", field);
            None
        }
        Some(encoded) => encoded,
        None => None,
    };
    let finish = |bytes: Bytes| Body {
        length: carried_length.unwrap_or(0).max(bytes.len() as u64),
        content: Content::Inline(bytes),
        chunks,
    };
    if let Some(encoded) = encoded {
        return finish(encoded);
    }
    let size = object.get("size").and_then(Json::whole);
    let text = match object.take("text") {
        Some(Json::Text(text)) => Some(text),
        Some(other) => {
            import.note("`text` is not a string: left out", field);
            drop(other);
            None
        }
        None => None,
    };
    let Some(text) = text else {
        let mut body = finish(Bytes::new());
        if carried_length.is_none() {
            let on_the_wire = holder.body_size.filter(|size| *size > 0).or(size).unwrap_or(0);
            if on_the_wire > 0 {
                import.note("the body is not in the file, only its length", field);
                body.length = on_the_wire;
            }
        }
        return body;
    };
    let encoding = object.get("_encoding").or_else(|| object.get("encoding"));
    let encoding = encoding.and_then(Json::text).unwrap_or_default().to_ascii_lowercase();
    let bytes = match encoding.as_str() {
        "base64" => octets::decode(&text).unwrap_or_else(|| {
            import.note("`text` is not the base64 it is said to be: kept as it stands", field);
            Bytes::from(text)
        }),
        "" | "utf-8" | "utf8" => in_charset(text, headers, field, import),
        _ => {
            import.note("`encoding` is not known, only `base64` is: `text` is kept as it stands", field);
            Bytes::from(text)
        }
    };
    if object.get("_raw").is_some_and(Json::is_true) {
        return finish(bytes);
    }
    if size.is_some_and(|size| size != bytes.len() as u64) && carried_length.is_none() {
        import.note("`size` is not the length of the body: the body counts", field);
    }
    if let Some(coding) = coding::applied(headers)
        && !bytes.is_empty()
        && !coding::is_still_applied(&bytes, &coding, size, holder.body_size)
    {
        import
            .note("the body is decoded but its headers announce a coding: the headers are corrected", field);
        *headers = coding::undone(headers, bytes.len());
    }
    finish(bytes)
}

fn chunks(list: Option<&Json>) -> Vec<Chunk> {
    let read = |chunk: &Json| match chunk.list()? {
        [at, end] => Some(Chunk { at: instant::millis(at.number()?)?, end: end.whole()? }),
        _ => None,
    };
    list.and_then(Json::list).unwrap_or_default().iter().filter_map(read).collect()
}

/// The bytes that a text was on the wire. Writers give characters, whatever the charset was.
fn in_charset(text: String, headers: &Headers, field: &str, import: &mut Import<'_>) -> Bytes {
    if text.is_ascii() {
        return Bytes::from(text);
    }
    match charset(headers.get("content-type").unwrap_or_default()).as_deref() {
        None | Some("utf-8" | "utf8") => {}
        Some("iso-8859-1" | "latin1" | "iso8859-1" | "windows-1252")
            if text.chars().all(|character| u32::from(character) < 0x100) =>
        {
            return text.chars().map(|character| character as u8).collect::<Vec<_>>().into();
        }
        Some(_) => import.note("the body's charset is not UTF-8: its text is kept as UTF-8", field),
    }
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_found_in_media_types() {
        assert_eq!(charset(b"text/html; Charset=\"ISO-8859-1\"").as_deref(), Some("iso-8859-1"));
        assert_eq!(charset(b"text/html"), None);
    }
}
