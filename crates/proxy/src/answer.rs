//! Answers from the library: looks a request up, plays the recorded response, or says what comes closest.

use std::pin::Pin;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use http_body::Body as _;
use hyper_util::rt::TokioIo;
use mimeo_library::{Decision, Miss, Mock, RequestView, Tier};
use mimeo_model::body::media_type::MediaType;
use mimeo_model::headers::FieldChange;
use mimeo_model::{AnsweredBy, Failure, FailureKind, Headers, Method, Phase, Scheme, Version};
use mimeo_transport::head_tap::TapHandle;
use mimeo_transport::protocol::framing::BodyFraming;
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::outgoing_head::OutgoingHead;
use mimeo_transport::protocol::target::{self, Origin};
use mimeo_transport::serve::{Inbound, headers_of};
use serde_json::json;

use crate::body::ProxyBody;
use crate::config::{Mocking, OnMiss};
use crate::pipeline::{Answered, ProxyHandler};
use crate::playback::Playback;
use crate::tap::Capture;
use crate::{outgoing, playback_websocket};

/// Says which tier answered, or `miss`.
const TIER: HeaderName = HeaderName::from_static("x-mimeo-mock");
/// The same where case is kept.
const TIER_FIELD: &str = "X-Mimeo-Mock";
/// Most bytes of a request body that are read to find its answer.
const MAX_BODY: usize = 64 << 20;

/// Answers one request.
pub(crate) async fn answer(
    handler: &ProxyHandler,
    mut inbound: Inbound,
    mocking: &Mocking,
) -> Response<ProxyBody> {
    let tap = inbound.tap.clone();
    let client_side =
        inbound.head.headers.contains("upgrade").then(|| hyper::upgrade::on(&mut inbound.request));
    let body = match collect(&mut inbound).await {
        Ok(body) => body,
        Err(failure) => {
            let capture =
                handler.capture(&inbound.head, &handler.unrouted(), &inbound.head.target, inbound.started);
            return handler.answer_failure(inbound.tap.as_ref(), capture, failure).await;
        }
    };
    let (named, looked_up) = named(handler, &inbound.head);
    let authority = named.as_ref().map(Origin::authority);
    let request = RequestView {
        method: &inbound.head.method,
        authority: authority.as_deref(),
        target: &looked_up,
        headers: &inbound.head.headers,
        body: &body,
    };
    match mocking.library.answer(&request) {
        Decision::Hit { tier, mock } => {
            let recording =
                Recording::begin(handler, &inbound.head, inbound.started, named.as_ref(), &looked_up, &body);
            if mock.response.status == 101 {
                let Some(client_side) = client_side else {
                    let failure =
                        refusal("the recording is of an upgrade, which this request does not ask for");
                    return handler.answer_failure(tap.as_ref(), recording.capture, failure).await;
                };
                let upgrading = upgrade(
                    handler,
                    &inbound.head,
                    tap.as_ref(),
                    client_side,
                    (mock, tier),
                    mocking,
                    recording,
                );
                return Box::pin(upgrading).await;
            }
            if let Some(tap) = &tap {
                tap.decide(false);
            }
            let answered = Answered(tap.clone());
            let mut response = play(mock, mocking, &inbound.head);
            let outgoing_head = head_of(mock, tier, mock.response.headers.clone());
            recording.end(&outgoing_head, mock).await;
            match &tap {
                Some(tap) => tap.send_response(outgoing_head),
                None => *response.headers_mut() = outgoing_head.to_map(),
            }
            drop(answered);
            response
        }
        Decision::Miss(miss) => match &mocking.on_miss {
            OnMiss::Fail => {
                if let Some(tap) = &tap {
                    tap.decide(false);
                }
                let recording = Recording::begin(
                    handler,
                    &inbound.head,
                    inbound.started,
                    named.as_ref(),
                    &looked_up,
                    &body,
                );
                let _answered = Answered(tap);
                let (response, text) = tell(&miss);
                recording.end_with_miss(&response, &text).await;
                response.map(|()| ProxyBody::local(text))
            }
            OnMiss::Forward { departures, .. } => match handler.destination(&inbound.head) {
                Ok(destination) => {
                    let target = String::from_utf8_lossy(&looked_up);
                    let path = target.split('?').next().unwrap_or_default();
                    departures.note(format!("{} {}{path}", inbound.head.method, destination.origin));
                    let collected = (inbound.head.framing != BodyFraming::None).then_some(body);
                    Box::pin(handler.forward(inbound, destination, collected)).await
                }
                Err(failure) => {
                    let capture = handler.capture(
                        &inbound.head,
                        &handler.unrouted(),
                        &inbound.head.target,
                        inbound.started,
                    );
                    handler.answer_failure(inbound.tap.as_ref(), capture, failure).await
                }
            },
        },
    }
}

/// Reads the request body; what is left unread closes the connection.
async fn collect(inbound: &mut Inbound) -> Result<Bytes, Failure> {
    if inbound.head.framing == BodyFraming::None {
        return Ok(Bytes::new());
    }
    let mut whole = BytesMut::new();
    let body = inbound.request.body_mut();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| Failure {
            kind: FailureKind::ClientAborted,
            phase: Phase::Request,
            detail: format!("the request body did not arrive: {error}"),
        })?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > MAX_BODY {
            return Err(refusal("the request body is longer than 64 MiB, the most that is looked up"));
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data.clone());
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}

/// The origin that a request names, and the path and query it asks for.
fn named(handler: &ProxyHandler, head: &RequestHead) -> (Option<Origin>, Bytes) {
    if !head.target.starts_with(b"/")
        && let Ok((origin, rest)) = target::absolute_form(&head.target)
    {
        let rest = if rest.starts_with(b"/") {
            Bytes::copy_from_slice(rest)
        } else {
            Bytes::from([b"/", rest].concat())
        };
        return (Some(origin), rest);
    }
    (handler.intercepted.as_deref().cloned(), head.target.clone())
}

/// The recorded head, under which the tier is named.
fn head_of(mock: &Mock, tier: Tier, fields: Headers) -> OutgoingHead {
    let mut head = OutgoingHead::response(mock.response.reason.clone(), fields).sendable();
    head.add(TIER_FIELD, tier.as_str());
    head
}

/// The recorded body, framed as it was recorded.
fn play(mock: &Mock, mocking: &Mocking, head: &RequestHead) -> Response<ProxyBody> {
    let recorded = &mock.response;
    let length = recorded.headers.get("content-length");
    let streamed = length.is_none() && recorded.body.chunks.len() > 1
        || MediaType::of(recorded.headers.get("content-type")) == MediaType::EventStream;
    let body = if head.method == Method::HEAD || matches!(recorded.status, 204 | 304) {
        ProxyBody::empty()
    } else if streamed {
        let head = mock.timings.total.saturating_sub(mock.timings.receive.unwrap_or_default());
        match Playback::new(&recorded.body, head, mocking.speed) {
            Some(playback) => ProxyBody::Playback(Box::new(playback)),
            None => ProxyBody::empty(),
        }
    } else {
        ProxyBody::local(recorded.body.inline().cloned().unwrap_or_default())
    };
    let is_whole =
        body.size_hint().exact().is_some_and(|length| length > 0 && length == recorded.body.length);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(recorded.status).unwrap_or(StatusCode::OK);
    match length.map(HeaderValue::from_bytes) {
        // The library declares the length of a body that it knows.
        Some(Ok(length)) if !is_whole => {
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
        None if recorded.headers.contains("transfer-encoding") && head.version == Version::Http11 => {
            response.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Some(_) | None => {}
    }
    response
}

async fn upgrade(
    handler: &ProxyHandler,
    head: &RequestHead,
    tap: Option<&TapHandle>,
    client_side: hyper::upgrade::OnUpgrade,
    (mock, tier): (&Mock, Tier),
    mocking: &Mocking,
    recording: Recording,
) -> Response<ProxyBody> {
    let key = head.headers.get("sec-websocket-key").map(playback_websocket::accept_key);
    let Some(key) = key else {
        let failure = refusal("the request has no `Sec-WebSocket-Key`");
        return handler.answer_failure(tap, recording.capture, failure).await;
    };
    if let Some(tap) = tap {
        tap.decide(true);
    }
    let mut response = Response::new(ProxyBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    outgoing::leave_http(response.headers_mut(), HeaderValue::from_static("websocket"));
    let fields = mock.response.headers.map_values(|name, _| match name.len() {
        // Nothing is compressed here, whatever was agreed on when it was recorded.
        24 if name.eq_ignore_ascii_case(b"sec-websocket-extensions") => FieldChange::Drop,
        20 if name.eq_ignore_ascii_case(b"sec-websocket-accept") => {
            FieldChange::Replace(key.clone().into_bytes())
        }
        _ => FieldChange::Keep,
    });
    let outgoing_head = head_of(mock, tier, fields);
    recording.end(&outgoing_head, mock).await;
    if let Some(tap) = tap {
        tap.send_response(outgoing_head);
    }
    let (frames, speed) = (mock.frames.clone(), mocking.speed);
    handler.worker.tasks.spawn(async move {
        if let Ok(client) = client_side.await {
            playback_websocket::play(TokioIo::new(client), frames, speed).await;
        }
    });
    response
}

/// The problem document of a miss: what comes closest, and what differs.
fn tell(miss: &Miss) -> (Response<()>, Bytes) {
    let candidates: Vec<_> = miss
        .candidates
        .iter()
        .map(|candidate| {
            json!({
                "id": candidate.id.to_string(),
                "method": candidate.method,
                "url": candidate.url,
                "status": candidate.status,
                "differences": candidate.differences,
            })
        })
        .collect();
    let mut document = json!({
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no recording answers this request",
        "code": FailureKind::Miss.code(),
        "closest": candidates,
    });
    if !miss.unanswered.is_empty() {
        let recorded = miss
            .unanswered
            .iter()
            .map(|recorded| json!({"id": recorded.id.to_string(), "why": recorded.why.as_str()}));
        document["recordedWithoutAnswer"] = recorded.collect();
    }
    if miss.lost > 0 {
        document["lostByTheRecording"] = json!(miss.lost);
    }
    let body = Bytes::from(format!("{document:#}\n"));
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/problem+json"));
    headers.insert("content-length", HeaderValue::from(body.len()));
    headers.insert("mimeo-error", HeaderValue::from_static(FailureKind::Miss.code()));
    headers.insert(TIER, HeaderValue::from_static("miss"));
    (response, body)
}

/// The record of an answer, where one is kept.
struct Recording {
    capture: Option<Capture>,
}

impl Recording {
    fn begin(
        handler: &ProxyHandler,
        head: &RequestHead,
        started: Instant,
        named: Option<&Origin>,
        target: &Bytes,
        body: &Bytes,
    ) -> Self {
        if handler.worker.config.sink.is_none() {
            return Self { capture: None };
        }
        let local = || {
            let host = head.headers.get_str("host").unwrap_or("localhost");
            let (host, port) = target::host_and_port(host).unwrap_or(("localhost".to_owned(), None));
            Origin { scheme: Scheme::Http, host, port: port.unwrap_or(80) }
        };
        let capture = handler.capture(head, &named.cloned().unwrap_or_else(local), target, started);
        if let Some(capture) = &capture {
            let at = capture.at();
            capture.quietly(|assembly| {
                assembly.answered_by(AnsweredBy::Mock);
                assembly.request_chunk(at, body);
            });
        }
        Self { capture }
    }

    async fn end(self, head: &OutgoingHead, mock: &Mock) {
        let status = StatusCode::from_u16(mock.response.status).unwrap_or(StatusCode::OK);
        if self.capture.is_some() {
            let body = mock.response.body.inline().cloned().unwrap_or_default();
            self.finish(status, head.to_headers(), &body, None).await;
        }
    }

    async fn end_with_miss(self, response: &Response<()>, body: &Bytes) {
        let failure = Failure {
            kind: FailureKind::Miss,
            phase: Phase::Request,
            detail: "no recording answers this request".to_owned(),
        };
        self.finish(response.status(), headers_of(response.headers()), body, Some(failure)).await;
    }

    async fn finish(self, status: StatusCode, headers: Headers, body: &Bytes, failure: Option<Failure>) {
        let Some(capture) = self.capture else { return };
        let at = capture.at();
        let recorded = mimeo_model::Response {
            status: status.as_u16(),
            version: Version::Http11,
            headers,
            ..mimeo_model::Response::default()
        };
        let carrier = capture.carrier();
        let handed = capture.note(|assembly| {
            if let Some(failure) = failure {
                assembly.fail(failure);
            }
            assembly.response_head(at, recorded);
            assembly.response_chunk(at, body);
        });
        capture.hand_over(handed).await;
        carrier.finish().await;
    }
}

fn refusal(detail: &str) -> Failure {
    Failure { kind: FailureKind::Refusal, phase: Phase::Request, detail: detail.to_owned() }
}
