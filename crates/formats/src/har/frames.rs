//! WebSocket frames in the list that Chrome made customary, and the two lists of server-sent events.

use bytes::Bytes;
use mimeo_model::stream::Event;
use mimeo_model::{Body, Chunk, Content, Direction, Frame, Opcode, Timestamp};
use serde::Serialize;

use crate::har::body::TextOut;
use crate::import::Import;
use crate::instant::{self, Millis};
use crate::json::Json;
use crate::octets::{self, Base64};

/// A frame, ready to be written.
#[derive(Serialize)]
pub(super) struct FrameOut<'f> {
    r#type: &'static str,
    /// Seconds since the epoch.
    time: f64,
    opcode: u8,
    data: TextOut<'f>,
    #[serde(rename = "_at")]
    at: Millis,
    #[serde(rename = "_fin", skip_serializing_if = "Option::is_none")]
    fin: Option<bool>,
    #[serde(rename = "_compressed", skip_serializing_if = "std::ops::Not::not")]
    compressed: bool,
    #[serde(rename = "_length", skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(rename = "_base64", skip_serializing_if = "std::ops::Not::not")]
    base64: bool,
}

/// A frame of an exchange that began at `started`, ready to be written.
pub(super) fn write(frame: &Frame, started: Timestamp) -> FrameOut<'_> {
    let text = matches!(frame.opcode, Opcode::Text | Opcode::Continuation)
        .then(|| std::str::from_utf8(&frame.payload).ok())
        .flatten();
    FrameOut {
        r#type: match frame.direction {
            Direction::Send => "send",
            Direction::Receive => "receive",
        },
        time: started.plus(frame.at).unix_micros() as f64 / 1e6,
        opcode: frame.opcode.bits(),
        // Chrome gives binary messages as base64 without saying so.
        base64: text.is_none() && frame.opcode != Opcode::Binary,
        data: text.map_or(TextOut::Base64(Base64(&frame.payload)), TextOut::Plain),
        at: Millis(frame.at),
        fin: (!frame.fin).then_some(false),
        compressed: frame.compressed,
        length: (frame.length != frame.payload.len() as u64).then_some(frame.length),
    }
}

/// Reads the frames of an exchange that began at `started`.
pub(super) fn read(list: Option<Json>, started: Timestamp, import: &mut Import<'_>) -> Vec<Frame> {
    let Some(Json::List(list)) = list else { return Vec::new() };
    list.into_iter().filter_map(|message| frame(message, started, import)).collect()
}

fn frame(mut message: Json, started: Timestamp, import: &mut Import<'_>) -> Option<Frame> {
    const FIELD: &str = "_webSocketMessages";
    let direction = match message.get("type").and_then(Json::text) {
        Some("send" | "request") => Direction::Send,
        Some("receive" | "response") => Direction::Receive,
        _ => {
            import.note("a WebSocket message says neither `send` nor `receive`: left out", FIELD);
            return None;
        }
    };
    let opcode = message.get("opcode").and_then(Json::whole).unwrap_or(1);
    if opcode > 15 {
        import.note("a WebSocket message has no valid opcode: left out", FIELD);
        return None;
    }
    let opcode = Opcode::from_bits(opcode as u8);
    let in_base64 = message.get("_base64").is_some_and(Json::is_true) || opcode == Opcode::Binary;
    let payload = match message.take("data") {
        Some(Json::Text(text)) if in_base64 => octets::decode(&text).unwrap_or_else(|| {
            import.note("a binary WebSocket message is not base64: kept as it stands", FIELD);
            Bytes::from(text)
        }),
        Some(Json::Text(text)) => Bytes::from(text),
        _ => Bytes::new(),
    };
    let number = |key| message.get(key).and_then(Json::number);
    let at = number("_at").and_then(instant::millis).or_else(|| {
        let at = Timestamp::from_unix_micros((number("time")? * 1e6).round() as i64);
        Some(at.since(started))
    });
    Some(Frame {
        at: at.unwrap_or_default(),
        direction,
        opcode,
        fin: message.get("_fin") != Some(&Json::Bool(false)),
        compressed: message.get("_compressed").is_some_and(Json::is_true),
        length: message.get("_length").and_then(Json::whole).unwrap_or(0).max(payload.len() as u64),
        payload,
    })
}

/// A server-sent event, ready to be written.
#[derive(Serialize)]
pub(super) struct EventOut {
    at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
}

impl From<Event> for EventOut {
    fn from(event: Event) -> Self {
        Self { at: Millis(event.at), id: event.id, event: event.event, data: event.data, retry: event.retry }
    }
}

/// Chrome leaves the body of an event stream out and lists its events; this makes the body again.
pub(super) fn body_of_events(list: &Json, started: Timestamp) -> Option<Body> {
    let (mut text, mut chunks) = (String::new(), Vec::new());
    for message in list.list()? {
        let part = |key| message.get(key).and_then(Json::text).filter(|part| !part.is_empty());
        for (name, value) in [("id", part("eventId")), ("event", part("eventName"))] {
            // Chrome names every event; `message` is the name of those that have none.
            if let Some(value) = value.filter(|value| *value != "message") {
                text.extend([name, ": ", &value.replace(['\r', '\n'], " "), "\n"]);
            }
        }
        for line in part("data").unwrap_or_default().split('\n') {
            text.extend(["data: ", line.trim_end_matches('\r'), "\n"]);
        }
        text.push('\n');
        let time = message.get("time").and_then(Json::number).unwrap_or_default();
        let at = Timestamp::from_unix_micros((time * 1e6).round() as i64).since(started);
        chunks.push(Chunk { at, end: text.len() as u64 });
    }
    let bytes = Bytes::from(text);
    (!bytes.is_empty()).then(|| Body { length: bytes.len() as u64, content: Content::Inline(bytes), chunks })
}
