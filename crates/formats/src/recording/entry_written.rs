//! An exchange as a captured entry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use mimeo_model::body::decoded;
use mimeo_model::{Body, Exchange, Headers, Timestamp};
use serde::{Serialize, Serializer};

use crate::coding;
use crate::failure::FailureOut;
use crate::headers::{self, FieldOut};
use crate::instant::Millis;
use crate::octets::Base64;
use crate::registry::AwsCall;

#[derive(Serialize)]
struct EntryOut<'e> {
    id: String,
    timestamp: String,
    service: &'e str,
    action: &'e str,
    method: &'e str,
    scheme: &'static str,
    host: &'e str,
    path: Cow<'e, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_base64: Option<Base64<'e>>,
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_text: Option<Cow<'e, str>>,
    latency_ms: Millis,
    /// Whole, since readers may take it for an integer; `timestamp` is exact.
    offset_ms: i64,
    request_http_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_version: Option<&'static str>,
    connection: u64,
    request_headers: FirstValues<'e>,
    request_headers_list: Vec<FieldOut<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_headers: Option<Vec<FieldOut<'e>>>,
    request_body: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body_base64: Option<Base64<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body_length: Option<u64>,
    response_body: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body_base64: Option<Base64<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureOut<'e>>,
}

/// Names with their first values, as the documented field has them.
struct FirstValues<'h>(&'h Headers);

impl Serialize for FirstValues<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut first = BTreeMap::new();
        for (name, value) in self.0.iter() {
            first.entry(String::from_utf8_lossy(name)).or_insert_with(|| String::from_utf8_lossy(value));
        }
        out.collect_map(first)
    }
}

/// A body as text and, where text cannot carry it, as bytes.
#[derive(Default)]
struct BodyView<'e> {
    captured: &'e [u8],
    coded: bool,
    decoded: Option<Bytes>,
    length: Option<u64>,
}

impl<'e> BodyView<'e> {
    fn of(body: &'e Body, headers: &Headers) -> Self {
        let captured: &[u8] = body.inline().map_or(&[], |bytes| bytes);
        let coding = coding::applied(headers).filter(|_| !captured.is_empty());
        let decoded = body
            .inline()
            .zip(coding.as_ref())
            .and_then(|(bytes, coding)| decoded::decode(bytes, Some(coding.as_bytes()), coding::SHOWN).ok());
        let length = (captured.len() as u64 != body.length).then_some(body.length);
        Self { captured, coded: coding.is_some(), decoded, length }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.decoded.as_deref().unwrap_or(self.captured)).unwrap_or_default()
    }

    fn bytes(&self) -> Option<Base64<'e>> {
        (self.coded || self.text().as_bytes() != self.captured).then_some(Base64(self.captured))
    }
}

/// Writes an exchange as one line of JSON.
pub(super) fn write(
    exchange: &Exchange,
    call: Option<&AwsCall>,
    began: Timestamp,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let request = &exchange.request;
    let response = exchange.response.as_ref();
    let sent = BodyView::of(&request.body, &request.headers);
    let received =
        response.map(|response| BodyView::of(&response.body, &response.headers)).unwrap_or_default();
    let readable = std::str::from_utf8(&request.target).is_ok();
    let entry = EntryOut {
        id: exchange.id.to_string(),
        timestamp: exchange.started_at.to_string(),
        service: call.map_or("", |call| &call.service),
        action: call.map_or("", |call| &call.action),
        method: request.method.as_str(),
        scheme: request.scheme.as_str(),
        host: &request.authority,
        path: String::from_utf8_lossy(request.path()),
        query: request.query().map(String::from_utf8_lossy),
        target_base64: (!readable).then_some(Base64(&request.target)),
        status_code: response.map_or(0, |response| response.status),
        status_text: response.and_then(|response| response.reason.as_deref()).map(String::from_utf8_lossy),
        latency_ms: Millis(exchange.timings.total),
        offset_ms: exchange.started_at.unix_micros().saturating_sub(began.unix_micros()).div_euclid(1000),
        request_http_version: request.version.as_str(),
        http_version: response.map(|response| response.version.as_str()),
        connection: exchange.connection,
        request_headers: FirstValues(&request.headers),
        request_headers_list: headers::fields(&request.headers),
        response_headers: response.map(|response| headers::fields(&response.headers)),
        request_body: sent.text(),
        request_body_base64: sent.bytes(),
        request_body_length: sent.length,
        response_body: received.text(),
        response_body_base64: received.bytes(),
        response_body_length: received.length,
        encoding: response
            .and_then(|response| response.headers.get("content-encoding"))
            .map(String::from_utf8_lossy),
        failure: exchange.failure.as_ref().map(FailureOut::from),
    };
    serde_json::to_writer(out, &entry)
}

/// What of an exchange the format has no place for.
pub(super) fn left_out(exchange: &Exchange) -> impl Iterator<Item = &'static str> {
    let request = &exchange.request;
    let response = exchange.response.as_ref();
    let bodies = || [Some(&request.body), response.map(|response| &response.body)].into_iter().flatten();
    [
        (bodies().any(|body| body.inline().is_none()), "a body that is kept elsewhere"),
        (bodies().any(|body| !body.chunks.is_empty()), "the instants at which a body's pieces came"),
        (!exchange.frames.is_empty(), "WebSocket frames"),
        (
            !request.trailers.is_empty() || response.is_some_and(|response| !response.trailers.is_empty()),
            "trailer fields",
        ),
        (response.is_some_and(|response| !response.interim.is_empty()), "interim responses"),
    ]
    .into_iter()
    .filter(|(has, _)| *has)
    .map(|(_, what)| what)
}
