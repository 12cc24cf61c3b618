//! The only sender: drives a plan against a target.
//!
//! One task per request in flight, at most as many as the run's concurrency; they are joined before the run
//! ends. Connections come from the same pool as the proxy's, and exchanges are put together by the same
//! assembly.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http_body::Body as _;
use http_body_util::Full;
use mimeo_compare::{Rules, compare};
use mimeo_model::headers::FieldChange;
use mimeo_model::{
    Clock, Exchange, ExchangeId, Failure, FailureKind, Headers, Method, Phase, Request, Response, Version,
};
use mimeo_rules::detect::aws;
use mimeo_transport::connect::{Connector, Expected, HttpVersions, Lease, Pool, SendError};
use mimeo_transport::head_tap::TapHandle;
use mimeo_transport::protocol::assembly::{Assembly, Captured, Limits};
use mimeo_transport::protocol::head::is_target;
use mimeo_transport::protocol::outgoing_head::{Host, OutgoingHead};
use mimeo_transport::protocol::target::UpstreamUrl;
use mimeo_transport::serve::headers_of;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::plan::{Plan, Planned};
use crate::schedule::{Next, Schedule};
use crate::verdict::{Judged, Outcome, Run};

/// Most bytes kept of an answer's body.
const MAX_BODY: u64 = 64 << 20;

/// How a run is driven.
#[derive(Clone)]
pub struct RunOptions {
    /// Where requests go.
    pub target: UpstreamUrl,
    /// Most requests in flight at once.
    pub concurrency: usize,
    /// Longest wait for an answer, and for each piece of its body.
    pub timeout: Duration,
    /// What counts as a difference.
    pub rules: Rules,
    /// Headers that every request gets, in place of recorded ones of the same name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Turns true when the run should end early.
    pub stop: watch::Receiver<bool>,
}

/// Reads a header that every request is to get; gives back the text when it is none.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let fault = || format!("{name}: {value}");
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| fault())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| fault())?;
    Ok((name, value))
}

/// Drives a plan; `progress` is told of every exchange as it is judged.
pub async fn run(
    plan: Plan,
    connector: Connector,
    options: RunOptions,
    mut progress: impl FnMut(&Judged),
) -> Run {
    let began = Instant::now();
    let mut result =
        Run { target: format!("{}{}", options.target.origin, options.target.base_path), ..Run::default() };
    let Plan { items, skipped } = plan;
    let mut schedule = Schedule::new(items.iter().map(|item| (item.lane, item.due)), options.concurrency);
    let mut items: Vec<Option<Planned>> = items.into_iter().map(Some).collect();
    let pool = Arc::new(Pool::new(connector));
    let options = Arc::new(options);
    let mut stop = options.stop.clone();
    let mut sending = JoinSet::new();
    let mut number = 0;
    loop {
        let wait = match schedule.next(began.elapsed()) {
            Next::Send(index) => {
                if let Some(item) = items.get_mut(index).and_then(Option::take) {
                    for name in &item.without {
                        let given = options
                            .headers
                            .iter()
                            .any(|(given, _)| given.as_str().eq_ignore_ascii_case(name));
                        if !given && !result.without.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                            result.without.push(name.clone());
                        }
                    }
                    let (pool, options) = (pool.clone(), options.clone());
                    sending.spawn(async move {
                        let lane = item.lane;
                        (lane, judge(item, &pool, &options).await)
                    });
                }
                continue;
            }
            Next::WaitUntil(due) => Some(due.saturating_sub(began.elapsed())),
            Next::WaitForEnd => None,
            Next::Done => break,
        };
        let due = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = sending.join_next(), if !sending.is_empty() => {
                // A task that panicked ends the run, as it would have ended a caller.
                let Ok((lane, (recorded, outcome))) = ended else { break };
                schedule.ended(lane);
                number += 1;
                let call = aws::call(&recorded.request);
                let judged = Judged { number, recorded, call, outcome };
                progress(&judged);
                result.judged.push(judged);
            }
            () = due => {}
            _ = stop.wait_for(|stop| *stop) => {
                result.interrupted = true;
                schedule.abandon();
                break;
            }
        }
    }
    for (recorded, reason) in skipped {
        number += 1;
        result.judged.push(Judged {
            number,
            recorded,
            call: None,
            outcome: Outcome::Skipped(reason.as_str()),
        });
    }
    result.took = began.elapsed();
    result
}

async fn judge(item: Planned, pool: &Pool<Full<Bytes>>, options: &RunOptions) -> (Exchange, Outcome) {
    let outcome = match send(&item.recorded.request, pool, options).await {
        Err(failure) => Outcome::Failed(failure),
        Ok(actual) => match (&item.recorded.response, &actual.response) {
            (Some(expected), Some(response)) => {
                let comparison = compare(expected, response, &options.rules);
                Outcome::Answered { actual: Box::new(actual), comparison }
            }
            _ => Outcome::Failed(Failure {
                kind: FailureKind::Closed,
                phase: Phase::Wait,
                detail: "no response came".to_owned(),
            }),
        },
    };
    (item.recorded, outcome)
}

/// Sends one recorded request to the target.
async fn send(
    recorded: &Request,
    pool: &Pool<Full<Bytes>>,
    options: &RunOptions,
) -> Result<Exchange, Failure> {
    let started = Instant::now();
    let started_at = options.clock.now();
    let target = Bytes::from([options.target.base_path.as_bytes(), &recorded.target].concat());
    if !is_target(&target) {
        return Err(failure(
            FailureKind::Refusal,
            Phase::Request,
            "the path has white space or a control character",
        ));
    }
    let body = recorded.body.inline().cloned().unwrap_or_default();
    let mut fresh = false;
    loop {
        let mut lease = pool.checkout(&options.target.origin, HttpVersions::Any, fresh).await?;
        let head = head(recorded, target.clone(), options);
        let request = Request {
            method: recorded.method.clone(),
            scheme: options.target.origin.scheme,
            authority: options.target.origin.authority(),
            target: target.clone(),
            version: if lease.is_http2() { Version::Http2 } else { Version::Http11 },
            headers: head.to_headers(),
            body: mimeo_model::Body::empty(),
            trailers: Headers::new(),
        };
        let id = ExchangeId::new(started_at, std::array::from_fn(|_| fastrand::u8(..)));
        let mut assembly = Assembly::new(id, started_at, 0, request, Limits::whole(MAX_BODY));
        assembly.connected(started.elapsed(), lease.connected);
        assembly.request_chunk(started.elapsed(), &body);
        match exchange(&mut lease, &mut assembly, recorded, &target, head, &body, started, options).await {
            Ok(()) => {
                pool.give_back(lease);
                let (Captured::Whole(exchange) | Captured::End(exchange)) =
                    assembly.finish(started.elapsed())
                else {
                    return Err(failure(FailureKind::Closed, Phase::Receive, "the exchange is not whole"));
                };
                return Ok(*exchange);
            }
            // A kept connection may close just as it is used again.
            Err(fault)
                if lease.connected.reused
                    && !assembly.has_response()
                    && matches!(fault.kind, FailureKind::Closed | FailureKind::Reset)
                    && !fresh =>
            {
                fresh = true;
            }
            Err(fault) => return Err(fault),
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one request's whole state, used once")]
async fn exchange(
    lease: &mut Lease<Full<Bytes>>,
    assembly: &mut Assembly,
    recorded: &Request,
    target: &Bytes,
    head: OutgoingHead,
    body: &Bytes,
    started: Instant,
    options: &RunOptions,
) -> Result<(), Failure> {
    let mut request = http::Request::new(Full::new(body.clone()));
    *request.method_mut() = http::Method::from_bytes(recorded.method.as_str().as_bytes())
        .map_err(|_| failure(FailureKind::Refusal, Phase::Request, "the method cannot be sent"))?;
    match lease.tap() {
        Some(tap) => {
            *request.headers_mut() = length(recorded)
                .map(|length| (CONTENT_LENGTH, HeaderValue::from(length)))
                .into_iter()
                .collect();
            tap.send_request(head);
        }
        None => {
            let uri = std::str::from_utf8(target)
                .ok()
                .and_then(|path| format!("{}{path}", options.target.origin).parse().ok());
            *request.uri_mut() = uri.ok_or_else(|| {
                failure(FailureKind::Refusal, Phase::Request, "the path has a byte that HTTP/2 cannot carry")
            })?;
            *request.headers_mut() = head.to_map();
        }
    }
    let expected = Expected {
        method: recorded.method.clone(),
        upgrade: false,
        patience: options.timeout,
        is_sent: &|| true,
        interim: &|_| {},
    };
    let response = match lease.send(request, expected).await {
        Ok(response) => response,
        Err(SendError::TimedOut) => {
            return Err(failure(FailureKind::Timeout, Phase::Wait, "no answer came in time"));
        }
        Err(SendError::Failed { error, .. }) => {
            let malformed = lease.tap().and_then(TapHandle::refusal);
            return Err(match malformed {
                Some(refused) => failure(FailureKind::Malformed, Phase::Wait, &refused.rejection.detail),
                None => failure(FailureKind::Closed, Phase::Wait, &error.to_string()),
            });
        }
    };
    let tapped = lease.tap().and_then(TapHandle::take_response);
    let (mut arrived, mut head) = (
        started.elapsed(),
        Response {
            status: response.status().as_u16(),
            version: Version::Http2,
            headers: headers_of(response.headers()),
            ..Response::default()
        },
    );
    if let Some(tapped) = tapped {
        arrived = tapped.arrived.saturating_duration_since(started);
        if let Some(sent) = tapped.sent {
            assembly.sent(sent.saturating_duration_since(started));
        }
        head.version = tapped.head.version;
        head.reason = Some(tapped.head.reason);
        head.headers = tapped.head.headers;
        head.interim = tapped.interim;
    }
    assembly.response_head(arrived, head);
    let mut incoming = response.into_body();
    loop {
        let next = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx));
        match tokio::time::timeout(options.timeout, next).await {
            Err(_) => {
                return Err(failure(FailureKind::Timeout, Phase::Receive, "the answer stopped half-way"));
            }
            Ok(Some(Err(error))) => {
                return Err(failure(
                    FailureKind::Closed,
                    Phase::Receive,
                    &format!("the answer broke off: {error}"),
                ));
            }
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => assembly.response_chunk(started.elapsed(), &data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        assembly.response_end(headers_of(&trailers));
                    }
                }
            },
            Ok(None) => return Ok(()),
        }
    }
}

/// The recorded head, as far as it belongs to the request rather than to its connection or its recording.
fn head(recorded: &Request, target: Bytes, options: &RunOptions) -> OutgoingHead {
    let fields = recorded.headers.map_values(|name, value| {
        let left_out = [&b"content-length"[..], b"expect", b"transfer-encoding"]
            .iter()
            .any(|unwanted| name.eq_ignore_ascii_case(unwanted))
            || mimeo_rules::redaction::is_hidden(value)
            || options.headers.iter().any(|(given, _)| name.eq_ignore_ascii_case(given.as_str().as_bytes()));
        if left_out { FieldChange::Drop } else { FieldChange::Keep }
    });
    let host = Host::Replace(options.target.origin.authority().into());
    let mut head = OutgoingHead::request(target, fields).host(host).sendable();
    for (name, value) in &options.headers {
        head.add(name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    }
    if let Some(length) = length(recorded) {
        head.add("Content-Length", length.to_string());
    }
    head
}

/// The length to declare: a body without one would be sent in chunks, which the recording did not.
fn length(recorded: &Request) -> Option<u64> {
    let has_one = !recorded.body.is_empty() || [Method::POST, Method::PUT].contains(&recorded.method);
    has_one.then(|| recorded.body.captured_length())
}

fn failure(kind: FailureKind, phase: Phase, detail: &str) -> Failure {
    Failure { kind, phase, detail: detail.to_owned() }
}
