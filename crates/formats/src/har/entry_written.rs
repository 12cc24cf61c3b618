//! An exchange as a HAR entry.

use std::borrow::Cow;

use mimeo_model::stream::event;
use mimeo_model::{AnsweredBy, Exchange, GraphqlKind, Headers, Interim, Request, Response, Version};
use serde::Serialize;

use crate::failure::FailureOut;
use crate::har::body::{ExtrasOut, TextOut, View};
use crate::har::cookies::{self, CookieOut, PairOut};
use crate::har::frames::{self, EventOut, FrameOut};
use crate::har::timings::{self, TimingsOut};
use crate::har::url::UrlOut;
use crate::headers::{self, FieldOut};
use crate::instant::Millis;
use crate::octets::Base64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryOut<'e> {
    started_date_time: String,
    time: Millis,
    request: RequestOut<'e>,
    response: ResponseOut<'e>,
    cache: Nothing,
    timings: TimingsOut,
    connection: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_connection")]
    number: u64,
    #[serde(rename = "_resourceType", skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'static str>,
    #[serde(rename = "_answered", skip_serializing_if = "Option::is_none")]
    answered: Option<bool>,
    #[serde(rename = "_answeredBy", skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'static str>,
    #[serde(rename = "_failure", skip_serializing_if = "Option::is_none")]
    failure: Option<FailureOut<'e>>,
    #[serde(rename = "_graphql", skip_serializing_if = "Vec::is_empty")]
    graphql: Vec<GraphqlOut<'e>>,
    #[serde(rename = "_webSocketMessages", skip_serializing_if = "Vec::is_empty")]
    frames: Vec<FrameOut<'e>>,
    #[serde(rename = "_events", skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventOut>,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct GraphqlOut<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'e str>,
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestOut<'e> {
    method: &'e str,
    #[serde(flatten)]
    url: UrlOut<'e>,
    http_version: &'static str,
    cookies: Vec<CookieOut>,
    headers: Vec<FieldOut<'e>>,
    query_string: Vec<PairOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostDataOut<'e>>,
    headers_size: i64,
    body_size: u64,
    #[serde(rename = "_trailers", skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<FieldOut<'e>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostDataOut<'e> {
    mime_type: String,
    params: [PairOut; 0],
    text: TextOut<'e>,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(flatten)]
    extras: ExtrasOut<'e>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseOut<'e> {
    status: u16,
    status_text: Cow<'e, str>,
    http_version: &'static str,
    cookies: Vec<CookieOut>,
    headers: Vec<FieldOut<'e>>,
    content: ContentOut<'e>,
    #[serde(rename = "redirectURL")]
    redirect_url: Cow<'e, str>,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_statusTextBase64", skip_serializing_if = "Option::is_none")]
    exact_status_text: Option<Base64<'e>>,
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<&'e str>,
    #[serde(rename = "_trailers", skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<FieldOut<'e>>,
    #[serde(rename = "_interim", skip_serializing_if = "Vec::is_empty")]
    interim: Vec<InterimOut<'e>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentOut<'e> {
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<i64>,
    mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextOut<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(flatten)]
    extras: Option<ExtrasOut<'e>>,
}

#[derive(Serialize)]
struct InterimOut<'e> {
    status: u16,
    headers: Vec<FieldOut<'e>>,
}

/// Writes an exchange as one line of JSON.
pub(super) fn write(exchange: &Exchange, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let sent = View::of(&exchange.request.body, &exchange.request.headers);
    let received =
        exchange.response.as_ref().map(|response| (response, View::of(&response.body, &response.headers)));
    let events = match &received {
        Some((response, view)) if exchange.is_event_stream() => {
            // The chunks count encoded bytes and tell nothing about the places of decoded ones.
            let chunks = if view.is_verbatim() { &response.body.chunks[..] } else { &[] };
            event::events(view.shown(), chunks).into_iter().map(EventOut::from).collect()
        }
        _ => Vec::new(),
    };
    let websocket = exchange.is_websocket();
    let entry = EntryOut {
        started_date_time: exchange.started_at.to_string(),
        time: Millis(timings::sum(&exchange.timings)),
        request: request(&exchange.request, &sent, websocket),
        response: match &received {
            Some((answer, view)) => response(answer, view),
            None => no_response(exchange),
        },
        cache: Nothing {},
        timings: (&exchange.timings).into(),
        connection: exchange.connection.to_string(),
        id: exchange.id.to_string(),
        number: exchange.connection,
        resource_type: websocket.then_some("websocket"),
        answered: exchange.response.is_none().then_some(false),
        answered_by: match exchange.answered_by {
            AnsweredBy::Upstream => None,
            AnsweredBy::Mock => Some("mock"),
            AnsweredBy::Proxy => Some("proxy"),
        },
        failure: exchange.failure.as_ref().map(FailureOut::from),
        graphql: exchange
            .graphql
            .iter()
            .map(|operation| GraphqlOut {
                name: operation.name.as_deref(),
                kind: match operation.kind {
                    GraphqlKind::Query => "query",
                    GraphqlKind::Mutation => "mutation",
                    GraphqlKind::Subscription => "subscription",
                    GraphqlKind::Persisted => "persisted",
                },
            })
            .collect(),
        frames: exchange.frames.iter().map(|frame| frames::write(frame, exchange.started_at)).collect(),
        events,
    };
    serde_json::to_writer(out, &entry)
}

fn request<'e>(request: &'e Request, view: &'e View<'e>, websocket: bool) -> RequestOut<'e> {
    let body = &request.body;
    let post_data = (!body.is_empty() || body.captured_length() > 0 || !body.chunks.is_empty()).then(|| {
        let text = view.text();
        PostDataOut {
            mime_type: view.mime_type(),
            params: [],
            encoding: encoding(text.as_ref()),
            text: text.unwrap_or(TextOut::Plain("")),
            extras: view.extras(),
        }
    });
    let line = request.method.as_str().len() + 1 + request.target.len() + 1 + "HTTP/1.1\r\n".len();
    RequestOut {
        method: request.method.as_str(),
        url: UrlOut::of(request, websocket),
        http_version: request.version.as_str(),
        cookies: cookies::sent(&request.headers),
        headers: headers::fields(&request.headers),
        query_string: cookies::query(request.query()),
        post_data,
        headers_size: head_size(request.version, line, &request.headers),
        body_size: body.length,
        trailers: headers::fields(&request.trailers),
    }
}

fn response<'e>(response: &'e Response, view: &'e View<'e>) -> ResponseOut<'e> {
    let reason: &[u8] = response.reason.as_deref().unwrap_or_default();
    let status_text = String::from_utf8_lossy(reason);
    // `None` is read from an empty text, so an empty phrase that was there must say so.
    let inexact = response.reason.is_some() && (reason.is_empty() || matches!(status_text, Cow::Owned(_)));
    let text = view.text();
    let line = "HTTP/1.1 200 \r\n".len() + reason.len();
    ResponseOut {
        status: response.status,
        http_version: response.version.as_str(),
        cookies: cookies::set(&response.headers),
        headers: headers::fields(&response.headers),
        content: ContentOut {
            size: if text.is_some() { view.shown().len() as u64 } else { response.body.length },
            compression: view.compression(),
            mime_type: view.mime_type(),
            encoding: encoding(text.as_ref()),
            text,
            extras: Some(view.extras()),
        },
        redirect_url: response.headers.get("location").map(String::from_utf8_lossy).unwrap_or_default(),
        headers_size: head_size(response.version, line, &response.headers),
        body_size: response.body.length as i64,
        exact_status_text: inexact.then_some(Base64(reason)),
        status_text,
        error: None,
        trailers: headers::fields(&response.trailers),
        interim: response.interim.iter().map(interim).collect(),
    }
}

/// What browsers write when there was no answer.
fn no_response(exchange: &Exchange) -> ResponseOut<'_> {
    ResponseOut {
        status: 0,
        status_text: "".into(),
        http_version: exchange.request.version.as_str(),
        cookies: Vec::new(),
        headers: Vec::new(),
        content: ContentOut {
            size: 0,
            compression: None,
            mime_type: "x-unknown".into(),
            text: None,
            encoding: None,
            extras: None,
        },
        redirect_url: "".into(),
        headers_size: -1,
        body_size: -1,
        exact_status_text: None,
        error: exchange.failure.as_ref().map(|failure| failure.detail.as_str()),
        trailers: Vec::new(),
        interim: Vec::new(),
    }
}

fn interim(interim: &Interim) -> InterimOut<'_> {
    InterimOut { status: interim.status, headers: headers::fields(&interim.headers) }
}

fn encoding(text: Option<&TextOut<'_>>) -> Option<&'static str> {
    matches!(text, Some(TextOut::Base64(_))).then_some("base64")
}

/// Bytes of a head in HTTP/1; HTTP/2 compresses heads, and their size is not known.
fn head_size(version: Version, line: usize, headers: &Headers) -> i64 {
    match version {
        Version::Http2 => -1,
        Version::Http10 | Version::Http11 => {
            let fields: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
            (line + fields + 2) as i64
        }
    }
}
