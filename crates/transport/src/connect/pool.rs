//! Connections kept for the next request. One pool belongs to one worker thread, so that a request never
//! hops between threads.
//!
//! HTTP/1 connections are leased to one request at a time and come back after the response's last byte;
//! HTTP/2 connections are shared. Each HTTP connection is driven by a task that ends with it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mimeo_model::{Failure, Interim, Method};

use crate::connect::{Connector, HttpVersions, Opened};
use crate::head_tap::{HeadTap, TapHandle};
use crate::lazy_timer::LazyTimer;
use crate::protocol::assembly::Connected;
use crate::protocol::head::MAX_FIELDS;
use crate::protocol::target::Origin;

/// Most idle connections to one origin.
const MAX_IDLE: usize = 256;
/// How long an idle connection is kept. Shorter than what servers commonly grant.
const IDLE: Duration = Duration::from_secs(55);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A pool of connections whose requests have bodies of type `B`.
pub struct Pool<B> {
    connector: Connector,
    origins: Mutex<Origins<B>>,
}

type Origins<B> = HashMap<Arc<Origin>, PerOrigin<B>, RandomState>;

struct PerOrigin<B> {
    idle: Vec<Idle<B>>,
    shared: Option<http2::SendRequest<B>>,
    speaks_http2: Option<bool>,
    opening: Arc<tokio::sync::Mutex<()>>,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    tap: TapHandle,
    timer: LazyTimer,
    since: Instant,
}

/// A connection to send one request on.
pub struct Lease<B> {
    connection: Connection<B>,
    /// How the connection came to be.
    pub connected: Connected,
    origin: Arc<Origin>,
    timer: LazyTimer,
}

enum Connection<B> {
    Http1 { sender: http1::SendRequest<B>, tap: TapHandle },
    Http2 { sender: http2::SendRequest<B> },
}

/// What is known of the response to come.
pub struct Expected<'a> {
    /// Method of the request.
    pub method: Method,
    /// Whether the request asks for an upgrade.
    pub upgrade: bool,
    /// Longest wait for the response once the request was sent.
    pub patience: Duration,
    /// Whether the request was sent in full.
    pub is_sent: &'a (dyn Fn() -> bool + Send + Sync),
    /// Is told of each interim response but `100 Continue`.
    pub interim: &'a (dyn Fn(Interim) + Send + Sync),
}

/// Why a request got no response.
pub enum SendError<B> {
    /// The connection failed.
    Failed {
        /// The fault as the HTTP library tells it.
        error: hyper::Error,
        /// The request, when no byte of it was sent.
        unsent: Option<Box<http::Request<B>>>,
    },
    /// No response came in time.
    TimedOut,
}

impl<B> Pool<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// An empty pool.
    pub fn new(connector: Connector) -> Self {
        Self { connector, origins: Mutex::default() }
    }

    /// The connector, for tunnels.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Hands out a kept connection, or opens one. `fresh` asks for one that no one used before.
    pub async fn checkout(
        &self,
        origin: &Arc<Origin>,
        versions: HttpVersions,
        fresh: bool,
    ) -> Result<Lease<B>, Failure> {
        if !fresh && let Some(lease) = self.kept(origin, versions).await {
            return Ok(lease);
        }
        // Boxed, so that the many requests that find a connection have no room for the opening of one.
        Box::pin(self.open(origin, versions, fresh)).await
    }

    async fn open(
        &self,
        origin: &Arc<Origin>,
        versions: HttpVersions,
        fresh: bool,
    ) -> Result<Lease<B>, Failure> {
        let began = Instant::now();
        let opening = {
            let mut origins = self.lock();
            let per = origins.entry(origin.clone()).or_default();
            // Where HTTP/2 is possible one connection is opened and shared.
            (versions == HttpVersions::Any && per.speaks_http2 != Some(false)).then(|| per.opening.clone())
        };
        let _turn = match &opening {
            Some(opening) => {
                let turn = opening.lock().await;
                if !fresh && let Some(mut lease) = self.kept(origin, versions).await {
                    lease.connected.blocked = Some(began.elapsed());
                    return Ok(lease);
                }
                Some(turn)
            }
            None => None,
        };
        let opened = self.connector.open(origin, versions).await?;
        self.start(origin, versions, opened).await
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain(|_, per| {
            per.idle.retain(|idle| now - idle.since < IDLE && !idle.sender.is_closed());
            if per.shared.as_ref().is_some_and(http2::SendRequest::is_closed) {
                per.shared = None;
            }
            !per.idle.is_empty() || per.shared.is_some() || Arc::strong_count(&per.opening) > 1
        });
    }

    /// Number of idle HTTP/1 connections.
    pub fn idle(&self) -> usize {
        self.lock().values().map(|per| per.idle.len()).sum()
    }

    /// Takes back a connection whose response was read to its end.
    pub fn give_back(&self, lease: Lease<B>) {
        let Connection::Http1 { sender, tap } = lease.connection else { return };
        if sender.is_closed() || tap.has_surplus() {
            return;
        }
        let mut origins = self.lock();
        let per = origins.entry(lease.origin).or_default();
        if per.idle.len() < MAX_IDLE {
            per.idle.push(Idle { sender, tap, timer: lease.timer, since: Instant::now() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Origins<B>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn kept(&self, origin: &Arc<Origin>, versions: HttpVersions) -> Option<Lease<B>> {
        loop {
            let mut idle = {
                let mut origins = self.lock();
                let per = origins.get_mut(origin)?;
                if versions == HttpVersions::Any
                    && let Some(sender) = per.shared.as_ref().filter(|sender| !sender.is_closed())
                {
                    let connected = Connected { reused: true, ..Connected::default() };
                    let connection = Connection::Http2 { sender: sender.clone() };
                    let timer = LazyTimer::default();
                    return Some(Lease { connection, connected, origin: origin.clone(), timer });
                }
                per.idle.pop()?
            };
            if idle.since.elapsed() >= IDLE || idle.tap.has_surplus() {
                continue;
            }
            if !idle.sender.is_ready() && idle.sender.ready().await.is_err() {
                continue;
            }
            let connected = Connected { reused: true, ..Connected::default() };
            let connection = Connection::Http1 { sender: idle.sender, tap: idle.tap };
            return Some(Lease { connection, connected, origin: origin.clone(), timer: idle.timer });
        }
    }

    async fn start(
        &self,
        origin: &Arc<Origin>,
        versions: HttpVersions,
        opened: Opened,
    ) -> Result<Lease<B>, Failure> {
        let failed = |error: hyper::Error| Failure {
            kind: mimeo_model::FailureKind::Malformed,
            phase: mimeo_model::Phase::Connect,
            detail: format!("{} did not begin to speak HTTP: {error}", origin.authority()),
        };
        let connection = if opened.http2 {
            let (sender, driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20)
                .max_header_list_size(64 << 10)
                .handshake(TokioIo::new(opened.io))
                .await
                .map_err(failed)?;
            tokio::spawn(async move {
                // Whoever has a request on the connection is told of its end by that request.
                let _ = driver.await;
            });
            Connection::Http2 { sender }
        } else {
            let (io, tap) = HeadTap::client(opened.io);
            let (sender, driver) = http1::Builder::new()
                .max_headers(MAX_FIELDS)
                .handshake(TokioIo::new(io))
                .await
                .map_err(failed)?;
            tokio::spawn(async move {
                // As above.
                let _ = driver.with_upgrades().await;
            });
            Connection::Http1 { sender, tap }
        };
        if versions == HttpVersions::Any {
            let mut origins = self.lock();
            let per = origins.entry(origin.clone()).or_default();
            per.speaks_http2 = Some(opened.http2);
            if let Connection::Http2 { sender } = &connection {
                per.shared = Some(sender.clone());
            }
        }
        let timer = LazyTimer::default();
        Ok(Lease { connection, connected: opened.connected, origin: origin.clone(), timer })
    }
}

impl<B> Default for PerOrigin<B> {
    fn default() -> Self {
        Self { idle: Vec::new(), shared: None, speaks_http2: None, opening: Arc::default() }
    }
}

impl<B> Lease<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Whether the connection speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self.connection, Connection::Http2 { .. })
    }

    /// The tap of an HTTP/1 connection.
    pub fn tap(&self) -> Option<&TapHandle> {
        match &self.connection {
            Connection::Http1 { tap, .. } => Some(tap),
            Connection::Http2 { .. } => None,
        }
    }

    /// Sends a request and waits for the head of its response.
    pub async fn send(
        &mut self,
        request: http::Request<B>,
        expected: Expected<'_>,
    ) -> Result<http::Response<Incoming>, SendError<B>> {
        let Expected { method, upgrade, patience, is_sent, interim } = expected;
        let mut due = tokio::time::Instant::now() + patience;
        let timer = &mut self.timer;
        let mut was_sent = is_sent();
        let mut finish = |cx: &mut std::task::Context<'_>| {
            while timer.poll_due(due, cx).is_ready() {
                if was_sent {
                    return Poll::Ready(());
                }
                // The clock starts when the request was seen to be sent; a slow upload is not a slow answer.
                was_sent = is_sent();
                due = tokio::time::Instant::now() + patience;
            }
            Poll::Pending
        };
        let sent = match &mut self.connection {
            Connection::Http1 { sender, tap } => {
                tap.ask(method, upgrade);
                let mut sending = pin!(sender.try_send_request(request));
                std::future::poll_fn(|cx| {
                    let polled = sending.as_mut().poll(cx);
                    while let Some(found) = tap.poll_interim(cx) {
                        interim(found);
                    }
                    match polled {
                        Poll::Ready(sent) => Poll::Ready(Some(sent)),
                        Poll::Pending => finish(cx).map(|()| None),
                    }
                })
                .await
            }
            Connection::Http2 { sender } => {
                let mut sending = pin!(sender.try_send_request(request));
                std::future::poll_fn(|cx| match sending.as_mut().poll(cx) {
                    Poll::Ready(sent) => Poll::Ready(Some(sent)),
                    Poll::Pending => finish(cx).map(|()| None),
                })
                .await
            }
        };
        match sent {
            None => Err(SendError::TimedOut),
            Some(sent) => sent.map_err(|mut fault| SendError::Failed {
                unsent: fault.take_message().map(Box::new),
                error: fault.into_error(),
            }),
        }
    }
}
