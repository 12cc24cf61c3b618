//! Connections that stop being HTTP: CONNECT and upgrades. Bytes move only after the other side agreed.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mimeo_model::{AnsweredBy, Direction, Failure, FailureKind, Phase, Scheme, Version};
use mimeo_rules::host_glob::HostGlobs;
use mimeo_transport::certificates::LeafCertificates;
use mimeo_transport::head_tap::TapHandle;
use mimeo_transport::protocol::outgoing_head::OutgoingHead;
use mimeo_transport::protocol::target::{self, Origin};
use mimeo_transport::protocol::websocket::{Compression, FrameObserver};
use mimeo_transport::serve::Inbound;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::body::ProxyBody;
use crate::pipeline::ProxyHandler;
use crate::tap::{Capture, Carrier};
use crate::{intercept, outgoing};

/// Bytes read at once.
const BUFFER: usize = 16 << 10;

/// Answers CONNECT: intercepts, or opens an opaque tunnel.
pub(crate) async fn connect(
    handler: &ProxyHandler,
    inbound: Inbound,
    leaves: Option<Arc<LeafCertificates>>,
    passthrough: Arc<HostGlobs>,
) -> Response<ProxyBody> {
    let Inbound { mut request, head, started, tap } = inbound;
    let named = match request.uri().authority() {
        Some(authority) if head.target.is_empty() => target::authority_form(authority.as_str().as_bytes()),
        _ => target::authority_form(&head.target),
    };
    let (host, port) = match named {
        Ok(named) => named,
        Err(error) => {
            let capture = handler.capture(&head, &handler.unrouted(), &head.target, started);
            let detail = format!("the target of CONNECT is not host:port: {error}");
            return handler
                .answer_failure(
                    tap.as_ref(),
                    capture,
                    Failure { kind: FailureKind::Refusal, phase: Phase::Request, detail },
                )
                .await;
        }
    };
    let origin = Arc::new(Origin { scheme: Scheme::Https, host, port });
    let client_side = hyper::upgrade::on(&mut request);
    let worker = handler.worker.clone();
    if let Some(leaves) = leaves
        && !passthrough.matches(&origin.host, origin.port)
    {
        if let Some(tap) = &tap {
            tap.decide(true);
        }
        let handler = handler.clone();
        worker.tasks.spawn(async move {
            if let Ok(client) = client_side.await {
                intercept::serve(handler, TokioIo::new(client), origin, leaves, head, started).await;
            }
        });
        return Response::new(ProxyBody::empty());
    }
    let capture = handler.capture(&head, &origin, &head.target, started);
    let opened = worker.pool.connector().open_tcp(&origin.host, origin.port).await;
    let (upstream, connected) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            return handler.answer_failure(tap.as_ref(), capture, failure).await;
        }
    };
    if let Some(tap) = &tap {
        tap.decide(true);
    }
    let carrier = capture.map(|capture| {
        let at = capture.at();
        capture.quietly(|assembly| assembly.connected(at, connected));
        note_established(&capture);
        capture.carrier()
    });
    worker.tasks.spawn(async move {
        if let Ok(client) = client_side.await {
            opaque(TokioIo::new(client), upstream, carrier, Bytes::new()).await;
        }
    });
    Response::new(ProxyBody::empty())
}

/// Records that a tunnel stands.
pub(crate) fn note_established(capture: &Capture) {
    let at = capture.at();
    let response = mimeo_model::Response {
        status: 200,
        reason: Some(Bytes::from_static(b"OK")),
        version: Version::Http11,
        ..mimeo_model::Response::default()
    };
    capture.quietly(|assembly| {
        assembly.answered_by(AnsweredBy::Proxy);
        assembly.response_head(at, response);
    });
}

/// Carries bytes that nobody here understands; only their number is recorded.
pub(crate) async fn opaque<C, U>(client: C, upstream: U, carrier: Option<Carrier>, first: Bytes)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (client_read, client_write) = tokio::io::split(client);
    let (upstream_read, mut upstream_write) = tokio::io::split(upstream);
    if upstream_write.write_all(&first).await.is_err() {
        return;
    }
    let idle = |_: &[u8]| std::future::ready(());
    // A tunnel ends when its sides do; its faults are the sides' own.
    let ((up, _), (down, _)) =
        tokio::join!(carry(client_read, upstream_write, idle), carry(upstream_read, client_write, idle),);
    if let Some(carrier) = carrier {
        carrier.capture().quietly(|assembly| assembly.tunnelled(up + first.len() as u64, down));
        carrier.finish().await;
    }
}

/// Passes the upstream's `101` on and joins both sides, observing WebSocket frames.
pub(crate) fn switch(
    handler: &ProxyHandler,
    mut response: Response<Incoming>,
    head: OutgoingHead,
    client_side: OnUpgrade,
    tap: &TapHandle,
    carrier: Option<Carrier>,
    wanted: Option<&HeaderValue>,
) -> Response<ProxyBody> {
    let upstream_side = hyper::upgrade::on(&mut response);
    let accepted = response.headers().get(UPGRADE).cloned();
    let compression = Compression::of_response(head.fields());
    let is_websocket =
        accepted.as_ref().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    tap.decide(true);
    let limit = handler.worker.config.limits.body as usize;
    handler.worker.tasks.spawn(async move {
        let (Ok(client), Ok(upstream)) = tokio::join!(client_side, upstream_side) else { return };
        let (client, upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        match carrier {
            Some(carrier) if is_websocket => observed(client, upstream, carrier, compression, limit).await,
            carrier => opaque(client, upstream, carrier, Bytes::new()).await,
        }
    });
    let mut switched = Response::new(ProxyBody::empty());
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    if let Some(protocol) = accepted.as_ref().or(wanted) {
        outgoing::leave_http(switched.headers_mut(), protocol.clone());
    }
    tap.send_response(head);
    switched
}

async fn observed<C, U>(client: C, upstream: U, carrier: Carrier, compression: Compression, limit: usize)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (client_read, client_write) = tokio::io::split(client);
    let (upstream_read, upstream_write) = tokio::io::split(upstream);
    let capture = carrier.capture().clone();
    let (up, down) = {
        let watch = |direction| {
            let observer = std::sync::Mutex::new(FrameObserver::new(direction, compression, limit));
            let capture = capture.clone();
            move |bytes: &[u8]| {
                let at = capture.at();
                let mut found = Vec::new();
                observer
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .feed(at, bytes, |frame| found.push(frame));
                let handed =
                    capture.note(|assembly| found.into_iter().for_each(|frame| assembly.frame(frame)));
                let capture = capture.clone();
                // A frame goes on once the sink took it.
                async move { capture.hand_over(handed).await }
            }
        };
        let (up, down) = (watch(Direction::Send), watch(Direction::Receive));
        tokio::join!(carry(client_read, upstream_write, up), carry(upstream_read, client_write, down),)
    };
    if let Err(error) = up.1.and(down.1) {
        capture.quietly(|assembly| {
            assembly.fail(Failure {
                kind: FailureKind::Reset,
                phase: Phase::Tunnel,
                detail: format!("the connection broke: {error}"),
            });
        });
    }
    carrier.finish().await;
}

/// Carries one direction until its end, then tells the other side; says how many bytes went by.
async fn carry<R, W, F>(
    mut from: R,
    mut to: W,
    mut seen: impl FnMut(&[u8]) -> F,
) -> (u64, std::io::Result<()>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    F: Future<Output = ()>,
{
    let mut buffer = BytesMut::with_capacity(BUFFER);
    let mut total = 0;
    let outcome = loop {
        buffer.clear();
        buffer.reserve(BUFFER);
        match from.read_buf(&mut buffer).await {
            Ok(0) => break Ok(()),
            Ok(_) => {
                seen(&buffer).await;
                total += buffer.len() as u64;
                if let Err(error) = to.write_all(&buffer).await {
                    break Err(error);
                }
                if let Err(error) = to.flush().await {
                    break Err(error);
                }
            }
            Err(error) => break Err(error),
        }
    };
    // Without this the other side would wait for a peer that is gone.
    let told = to.shutdown().await;
    (total, outcome.and(told))
}
