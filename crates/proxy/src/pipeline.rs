//! The list of steps for one request, top to bottom.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use mimeo_model::{
    AnsweredBy, Body, ExchangeId, Failure, FailureKind, Headers, Method, Phase, Request, Scheme, Version,
};
use mimeo_transport::connect::{Expected, HttpVersions, SendError};
use mimeo_transport::head_tap::{Refused, TapHandle, TappedResponse};
use mimeo_transport::protocol::assembly::Assembly;
use mimeo_transport::protocol::framing::BodyFraming;
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::outgoing_head::OutgoingHead;
use mimeo_transport::protocol::target::Origin;
use mimeo_transport::serve::{Handler, Inbound, headers_of};

use crate::body::ProxyBody;
use crate::config::{Mode, OnMiss};
use crate::outgoing::{self, Announcement, Destination};
use crate::tap::{Capture, Carrier, Ended, Over, Side, Tee, UntilOver};
use crate::worker::WorkerState;
use crate::{answer, forward, rescue, reverse, tunnel};

/// Answers the requests of one client connection.
#[derive(Clone)]
pub(crate) struct ProxyHandler {
    pub(crate) worker: Arc<WorkerState>,
    /// Number of the client connection.
    pub(crate) connection: u64,
    pub(crate) client: SocketAddr,
    /// Origin of the tunnel that was intercepted to get here.
    pub(crate) intercepted: Option<Arc<Origin>>,
}

impl Handler for ProxyHandler {
    type Body = ProxyBody;

    // Boxed, because a tunnel that is intercepted serves requests with this same handler. The box is as large as
    // what the request needs, and a request that is carried on does not need what an answer does.
    #[allow(refining_impl_trait, reason = "the box breaks the cycle of future types")]
    fn handle(&self, inbound: Inbound) -> Pin<Box<dyn Future<Output = Response<ProxyBody>> + Send>> {
        self.worker.counters.request();
        let handler = self.clone();
        let is_connect = inbound.head.method == Method::CONNECT && self.intercepted.is_none();
        match &self.worker.config.mode {
            Mode::Forward { intercept, passthrough } if is_connect => {
                let (leaves, passthrough) = (intercept.clone(), passthrough.clone());
                Box::pin(async move { tunnel::connect(&handler, inbound, leaves, passthrough).await })
            }
            Mode::Mock(mocking) if is_connect && mocking.intercept.is_some() => {
                let (leaves, passthrough) = (mocking.intercept.clone(), Arc::default());
                Box::pin(async move { tunnel::connect(&handler, inbound, leaves, passthrough).await })
            }
            Mode::Mock(mocking) => {
                let mocking = mocking.clone();
                Box::pin(async move { answer::answer(&handler, inbound, &mocking).await })
            }
            Mode::Forward { .. } | Mode::Reverse { .. } => match self.destination(&inbound.head) {
                Ok(destination) => Box::pin(async move { handler.forward(inbound, destination, None).await }),
                Err(failure) => Box::pin(async move { handler.refuse(inbound, failure).await }),
            },
        }
    }

    fn refused(&self, refused: Refused) {
        self.worker.counters.refused();
        self.record_refused(&refused);
    }
}

impl ProxyHandler {
    /// Answers a request that has no destination.
    async fn refuse(&self, inbound: Inbound, failure: Failure) -> Response<ProxyBody> {
        let capture = self.capture(&inbound.head, &self.unrouted(), &inbound.head.target, inbound.started);
        self.answer_failure(inbound.tap.as_ref(), capture, failure).await
    }

    pub(crate) fn destination(&self, head: &RequestHead) -> Result<Destination, Failure> {
        match (&self.intercepted, &self.worker.config.mode) {
            (Some(origin), _) => forward::intercepted(head, origin),
            (None, Mode::Reverse { upstream, preserve_host }) => {
                reverse::destination(head, upstream, *preserve_host)
            }
            (None, Mode::Mock(mocking)) => match &mocking.on_miss {
                OnMiss::Forward { upstream, .. } if head.target.starts_with(b"/") => {
                    reverse::destination(head, upstream, false)
                }
                OnMiss::Forward { .. } | OnMiss::Fail => forward::destination(head),
            },
            (None, Mode::Forward { .. }) => forward::destination(head),
        }
    }

    /// What stands in the record of a request that named no upstream.
    pub(crate) fn unrouted(&self) -> Arc<Origin> {
        match (&self.intercepted, &self.worker.config.mode) {
            (Some(origin), _) => origin.clone(),
            (None, Mode::Reverse { upstream, .. }) => upstream.origin.clone(),
            (None, Mode::Forward { .. } | Mode::Mock(_)) => {
                Arc::new(Origin { scheme: Scheme::Http, host: "unknown".to_owned(), port: 80 })
            }
        }
    }

    /// Carries one request to its upstream and the response back. A body that was read already is `collected`.
    pub(crate) async fn forward(
        &self,
        inbound: Inbound,
        destination: Destination,
        collected: Option<Bytes>,
    ) -> Response<ProxyBody> {
        let Inbound { mut request, head, started, tap } = inbound;
        let worker = &self.worker;
        // The exchange begins; from here on everything that happens belongs to it.
        let capture = self.capture(&head, &destination.origin, &destination.target, started);
        let mut response_carrier = capture.as_ref().map(Capture::carrier);

        // An upgrade needs HTTP/1.1 on both sides and is decided by the upstream alone.
        let upgrade = outgoing::wanted_upgrade(request.headers(), request.version());
        let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let versions = if upgrade.is_some() { HttpVersions::Http1 } else { HttpVersions::Any };

        // The request body is captured while the upstream reads it.
        let request_done = Arc::new(AtomicBool::new(head.framing == BodyFraming::None));
        let (parts, incoming) = request.into_parts();
        let mut body = Some(match collected {
            None => Self::request_body(incoming, &head, capture.as_ref(), tap.clone(), &request_done),
            Some(bytes) => {
                request_done.store(true, Ordering::Relaxed);
                if let Some(capture) = &capture {
                    let at = capture.at();
                    let handed = capture.note(|assembly| assembly.request_chunk(at, &bytes));
                    capture.hand_over(handed).await;
                }
                ProxyBody::local(bytes)
            }
        });
        let mut framing = outgoing::framing(parts.headers);
        if let Some(upgrade) = &upgrade {
            outgoing::leave_http(&mut framing, upgrade.clone());
        }
        let is_chunked = match head.framing {
            BodyFraming::Chunked => true,
            // The body of an HTTP/2 request, which may come without its length.
            BodyFraming::UntilClose => !framing.contains_key(http::header::CONTENT_LENGTH),
            BodyFraming::None | BodyFraming::Length(_) | BodyFraming::Tunnel => false,
        };
        if is_chunked {
            outgoing::send_in_chunks(&mut framing);
        }
        let mut fresh = false;
        let over = Over::default();
        let (lease, response) = loop {
            let leased = worker.pool.checkout(&destination.origin, versions, fresh).await;
            let mut lease = match leased {
                Ok(lease) => lease,
                Err(failure) => return self.fail_unsent(tap.as_ref(), response_carrier, failure).await,
            };
            if let Some(capture) = &capture {
                let (at, how) = (capture.at(), lease.connected);
                capture.quietly(|assembly| assembly.connected(at, how));
            }
            let announcement = worker.config.announce.then(|| Announcement {
                client: self.client.ip(),
                scheme: if self.intercepted.is_some() { Scheme::Https } else { Scheme::Http },
            });
            let outgoing_head = outgoing::head(&head, &destination, announcement.as_ref());
            let outgoing_body = match (body.take(), lease.tap()) {
                (Some(ProxyBody::Tee(tee)), Some(upstream_tap)) if head.expects_continue => {
                    ProxyBody::Tee(Box::new(tee.gated(upstream_tap.clone(), over.clone())))
                }
                (Some(body), _) => body,
                (None, _) => ProxyBody::empty(),
            };
            let mut outgoing_request = http::Request::new(outgoing_body);
            *outgoing_request.method_mut() = parts.method.clone();
            match lease.tap() {
                Some(upstream_tap) => {
                    *outgoing_request.headers_mut() = framing.clone();
                    upstream_tap.send_request(outgoing_head);
                }
                None => {
                    let Some(uri) = outgoing::http2_uri(&destination, &outgoing_head) else {
                        let failure = Failure {
                            kind: FailureKind::Refusal,
                            phase: Phase::Request,
                            detail: "the request target has a byte that HTTP/2 cannot carry".to_owned(),
                        };
                        return self.fail_unsent(tap.as_ref(), response_carrier, failure).await;
                    };
                    *outgoing_request.uri_mut() = uri;
                    *outgoing_request.headers_mut() = outgoing_head.to_map();
                }
            }
            let expected = Expected {
                method: head.method.clone(),
                upgrade: upgrade.is_some(),
                patience: worker.config.response_timeout,
                is_sent: &|| request_done.load(Ordering::Relaxed),
                interim: &|interim| {
                    // HTTP/1.0 has none (RFC 9110, section 15.2), and the library sends none over HTTP/2.
                    if let Some(tap) = tap.as_ref().filter(|_| head.version == Version::Http11) {
                        tap.send_interim(&interim);
                    }
                },
            };
            match lease.send(outgoing_request, expected).await {
                Ok(response) => break (lease, response),
                Err(SendError::Failed { error, unsent }) => {
                    let malformed =
                        tap.as_ref().and_then(TapHandle::refusal).filter(|refused| refused.in_body);
                    if let Some(refused) = malformed {
                        let failure = rescue::failure_of_refusal(&refused.rejection);
                        let code = refused.rejection.code;
                        return self.fail_with(tap.as_ref(), response_carrier, failure, code).await;
                    }
                    let failure = rescue::failure_of_send(&error, lease.tap());
                    let stale = lease.connected.reused
                        && matches!(failure.kind, FailureKind::Closed | FailureKind::Reset);
                    let resend = match unsent {
                        Some(unsent) if stale => Some(unsent.into_body()),
                        // A kept connection that closed under a request which can be sent twice.
                        None if stale
                            && head.framing == BodyFraming::None
                            && head.method.is_idempotent()
                            && upgrade.is_none() =>
                        {
                            Some(ProxyBody::empty())
                        }
                        Some(_) | None => None,
                    };
                    let Some(resend) = resend else {
                        return self.fail_unsent(tap.as_ref(), response_carrier, failure).await;
                    };
                    body = Some(resend);
                    fresh = true;
                }
                Err(SendError::TimedOut) => {
                    let failure = Failure {
                        kind: FailureKind::Timeout,
                        phase: Phase::Wait,
                        detail: format!(
                            "no response within {} s",
                            worker.config.response_timeout.as_secs_f64()
                        ),
                    };
                    return self.fail_unsent(tap.as_ref(), response_carrier, failure).await;
                }
            }
        };

        // The response head is recorded as it came over the wire.
        let tapped = lease.tap().and_then(TapHandle::take_response);
        let upstream_tap = lease.tap().cloned();
        let outgoing_head = match &tapped {
            Some(tapped) => {
                OutgoingHead::response(Some(tapped.head.reason.clone()), tapped.head.headers.clone())
            }
            None => OutgoingHead::response(None, headers_of(response.headers())),
        };
        if let Some(carrier) = &response_carrier {
            let capture = carrier.capture();
            let handed = note_response(capture, tapped, &response);
            capture.hand_over(handed).await;
        }

        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let (Some(client_side), Some(tap)) = (client_side, &tap) {
                return tunnel::switch(
                    self,
                    response,
                    outgoing_head,
                    client_side,
                    tap,
                    response_carrier.take(),
                    upgrade.as_ref(),
                );
            }
            let failure = Failure {
                kind: FailureKind::Malformed,
                phase: Phase::Wait,
                detail: "the upstream switched protocols though nobody asked for it".to_owned(),
            };
            return self.fail_unsent(tap.as_ref(), response_carrier, failure).await;
        }
        if let (Some(tap), Some(_)) = (&tap, &upgrade) {
            tap.decide(false);
        } else if let Some(tap) = &tap
            && head.headers.contains("upgrade")
        {
            tap.decide(false);
        }

        let client_tap = tap.clone();
        // After its last byte the connection serves the next request, unless the request is still being sent.
        let (answered, over) = (Answered(tap), UntilOver(over));
        let pool_owner = worker.clone();
        let ended: Ended = Box::new(move || {
            drop((answered, over));
            if request_done.load(Ordering::Relaxed) {
                pool_owner.pool.give_back(lease);
            }
        });
        let (mut parts, incoming) = response.into_parts();
        parts.headers = match &client_tap {
            Some(client_tap) => {
                client_tap.send_response(outgoing_head);
                outgoing::framing(parts.headers)
            }
            None => outgoing_head.to_map(),
        };
        parts.version = http::Version::HTTP_11;
        let tee = Tee::new(incoming, Side::Response, response_carrier, upstream_tap, Some(ended));
        Response::from_parts(parts, ProxyBody::Tee(Box::new(tee)))
    }

    fn request_body(
        incoming: Incoming,
        head: &RequestHead,
        capture: Option<&Capture>,
        tap: Option<TapHandle>,
        done: &Arc<AtomicBool>,
    ) -> ProxyBody {
        if head.framing == BodyFraming::None {
            return ProxyBody::empty();
        }
        let done = done.clone();
        let ended: Ended = Box::new(move || done.store(true, Ordering::Relaxed));
        ProxyBody::Tee(Box::new(Tee::new(
            incoming,
            Side::Request,
            capture.map(Capture::carrier),
            tap,
            Some(ended),
        )))
    }

    /// Begins to record an exchange.
    pub(crate) fn capture(
        &self,
        head: &RequestHead,
        origin: &Origin,
        target: &Bytes,
        started: Instant,
    ) -> Option<Capture> {
        let config = &self.worker.config;
        let sink = config.sink.as_ref()?;
        let request = Request {
            method: head.method.clone(),
            scheme: origin.scheme,
            authority: origin.authority(),
            target: target.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: Body::empty(),
            trailers: Headers::new(),
        };
        let started_at = config.clock.now();
        let [random @ .., _, _, _, _, _, _] = fastrand::u128(..).to_ne_bytes();
        let id = ExchangeId::new(started_at, random);
        let assembly = Assembly::new(id, started_at, self.connection, request, config.limits);
        Some(Capture::new(assembly, sink.clone(), started))
    }

    fn fail_unsent<'a>(
        &'a self,
        tap: Option<&'a TapHandle>,
        carrier: Option<Carrier>,
        failure: Failure,
    ) -> Answering<'a> {
        let code = failure.kind.code();
        self.fail_with(tap, carrier, failure, code)
    }

    /// Answers with a failure under a code that says more than its kind.
    fn fail_with<'a>(
        &'a self,
        tap: Option<&'a TapHandle>,
        carrier: Option<Carrier>,
        failure: Failure,
        code: &'static str,
    ) -> Answering<'a> {
        Box::pin(async move {
            if let Some(tap) = tap {
                tap.decide(false);
            }
            if failure.kind.is_upstream() {
                self.worker.counters.failure();
            }
            let (response, body) = local_problem(&failure, code);
            if let Some(carrier) = carrier {
                record_local(carrier, failure, &response, &body).await;
            }
            if let Some(tap) = tap {
                tap.answered();
            }
            response.map(|()| ProxyBody::local(body))
        })
    }

    /// Answers with a failure that no upstream had a part in.
    pub(crate) fn answer_failure<'a>(
        &'a self,
        tap: Option<&'a TapHandle>,
        capture: Option<Capture>,
        failure: Failure,
    ) -> Answering<'a> {
        self.fail_unsent(tap, capture.map(|capture| capture.carrier()), failure)
    }

    fn record_refused(&self, refused: &Refused) {
        let failure = rescue::failure_of_refusal(&refused.rejection);
        if failure.kind == FailureKind::ClientAborted && refused.beginning.is_empty() {
            return;
        }
        let (method, target) = refused_line(&refused.beginning);
        let head = RequestHead {
            method,
            target,
            version: Version::Http11,
            headers: Headers::new(),
            framing: BodyFraming::None,
            expects_continue: false,
        };
        let Some(capture) = self.capture(&head, &self.unrouted(), &head.target, refused.started) else {
            return;
        };
        let status = StatusCode::from_u16(refused.rejection.status).unwrap_or(StatusCode::BAD_REQUEST);
        let (response, body) = rescue::problem(status, refused.rejection.code, &refused.rejection.detail);
        let carrier = capture.carrier();
        note_local(&carrier, failure, &response, &body);
    }
}

/// An answer that few requests need, boxed so that the others have no room for it.
type Answering<'a> = Pin<Box<dyn Future<Output = Response<ProxyBody>> + Send + 'a>>;

/// Tells the tap that a response was sent, whatever became of it.
pub(crate) struct Answered(pub(crate) Option<TapHandle>);

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(tap) = &self.0 {
            tap.answered();
        }
    }
}

fn local_problem(failure: &Failure, code: &str) -> (Response<()>, Bytes) {
    let status = match failure.kind {
        FailureKind::Refusal if failure.detail.starts_with("CONNECT") => StatusCode::METHOD_NOT_ALLOWED,
        FailureKind::Refusal if failure.detail.starts_with("the request body is longer") => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        kind => rescue::status_of(kind),
    };
    rescue::problem(status, code, &failure.detail)
}

async fn record_local(carrier: Carrier, failure: Failure, response: &Response<()>, body: &Bytes) {
    note_local(&carrier, failure, response, body);
    carrier.finish().await;
}

fn note_local(carrier: &Carrier, failure: Failure, response: &Response<()>, body: &Bytes) {
    let capture = carrier.capture();
    let at = capture.at();
    let recorded = mimeo_model::Response {
        status: response.status().as_u16(),
        reason: response.status().canonical_reason().map(|reason| Bytes::from_static(reason.as_bytes())),
        version: Version::Http11,
        headers: headers_of(response.headers()),
        ..mimeo_model::Response::default()
    };
    capture.quietly(|assembly| {
        assembly.answered_by(AnsweredBy::Proxy);
        assembly.fail(failure);
        if !assembly.has_response() {
            assembly.response_head(at, recorded);
            assembly.response_chunk(at, body);
        }
    });
}

fn note_response(
    capture: &Capture,
    tapped: Option<TappedResponse>,
    response: &Response<Incoming>,
) -> Vec<mimeo_transport::protocol::assembly::Captured> {
    let (recorded, arrived, sent) = match tapped {
        Some(tapped) => (
            mimeo_model::Response {
                status: tapped.head.status,
                reason: Some(tapped.head.reason),
                version: tapped.head.version,
                headers: tapped.head.headers,
                interim: tapped.interim,
                ..mimeo_model::Response::default()
            },
            capture.at_instant(tapped.arrived),
            tapped.sent,
        ),
        None => (
            mimeo_model::Response {
                status: response.status().as_u16(),
                version: Version::Http2,
                headers: headers_of(response.headers()),
                ..mimeo_model::Response::default()
            },
            capture.at(),
            None,
        ),
    };
    capture.note(|assembly| {
        if let Some(sent) = sent {
            assembly.sent(capture.at_instant(sent));
        }
        assembly.response_head(arrived, recorded);
    })
}

/// What can be told of the request line of a refused message.
fn refused_line(beginning: &[u8]) -> (Method, Bytes) {
    let line = beginning.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    let method = parts.next().filter(|token| token.len() <= 64).and_then(Method::new);
    let target = parts.next().filter(|target| target.starts_with(b"/"));
    (
        method.unwrap_or(Method::GET),
        target.map_or(Bytes::from_static(b"/"), |target| {
            Bytes::copy_from_slice(&target[..target.len().min(1 << 10)])
        }),
    )
}
