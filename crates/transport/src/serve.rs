//! The server side of one connection: tells HTTP/1 from HTTP/2, taps it, and calls a handler for each
//! request.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mimeo_model::headers::HeadersBuilder;
use mimeo_model::{Headers, Method, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;

use crate::head_tap::{HeadTap, Patience, Refused, TapHandle};
use crate::protocol::framing::BodyFraming;
use crate::protocol::head::{MAX_FIELDS, Rejection, RequestHead};

/// What begins an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request with what the tap knows of it.
pub struct Inbound {
    /// The request as the HTTP library read it; over HTTP/1 it has only the fields that frame it.
    pub request: http::Request<Incoming>,
    /// The head as it was received.
    pub head: RequestHead,
    /// When its first byte was read.
    pub started: Instant,
    /// The tap of an HTTP/1 connection.
    pub tap: Option<TapHandle>,
}

/// Answers requests.
pub trait Handler: Clone + Send + 'static {
    /// Body of the responses.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. Over HTTP/1 the exact head of the response may be given to the tap.
    fn handle(&self, inbound: Inbound) -> impl Future<Output = http::Response<Self::Body>> + Send;

    /// Is told of a message that was refused on its raw head.
    fn refused(&self, refused: Refused);
}

/// How a connection is served.
#[derive(Clone)]
pub struct ServeConfig {
    /// Patience with the client.
    pub patience: Patience,
    /// Makes the raw response that a refused client gets.
    pub render: fn(&Rejection) -> Bytes,
    /// Turns true when no new request should be taken.
    pub stop: watch::Receiver<bool>,
}

/// What a connection speaks, where that is known before its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Its first bytes tell.
    Unknown,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Serves a connection until it ends.
pub async fn serve<S, H>(mut io: S, speaks: Speaks, handler: H, config: ServeConfig)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let mut already = BytesMut::new();
    let mut since = Instant::now();
    let http2 = match speaks {
        Speaks::Http1 => false,
        Speaks::Http2 => true,
        Speaks::Unknown => {
            let mut stop = config.stop.clone();
            tokio::select! {
                found = begins_with_preface(&mut io, &mut already, &mut since, config.patience) => match found {
                    Ok(found) => found,
                    Err(_) => return,
                },
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    };
    if http2 {
        serve_http2(Rewound { io, already }, handler, config).await;
    } else {
        serve_http1(io, already, since, handler, config).await;
    }
}

/// Reads until it is clear whether the connection begins with the preface of HTTP/2; `since` becomes the instant
/// of the first byte.
async fn begins_with_preface<S: AsyncRead + Unpin>(
    io: &mut S,
    already: &mut BytesMut,
    since: &mut Instant,
    patience: Patience,
) -> io::Result<bool> {
    loop {
        let seen = already.len().min(PREFACE.len());
        if already[..seen] != PREFACE[..seen] {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        already.reserve(4 << 10);
        let limit = if seen == 0 { patience.idle } else { patience.head.saturating_sub(since.elapsed()) };
        match tokio::time::timeout(limit, io.read_buf(already)).await {
            Ok(Ok(_)) if seen == 0 && !already.is_empty() => *since = Instant::now(),
            Ok(Ok(0)) => return if seen == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(false) },
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            // The tap tells a slow client what it did.
            Err(_) if seen > 0 => return Ok(false),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

async fn serve_http1<S, H>(io: S, already: BytesMut, since: Instant, handler: H, config: ServeConfig)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let (io, tap) = HeadTap::server(io, already, since, config.patience, config.render);
    let service = {
        let (tap, handler) = (tap.clone(), handler.clone());
        service_fn(move |request: http::Request<Incoming>| {
            let (tap, handler) = (tap.clone(), handler.clone());
            async move {
                let tapped = tap.take_request();
                let (head, started) = match tapped {
                    Some(tapped) => (tapped.head, tapped.started),
                    None => (head_of(&request), Instant::now()),
                };
                let inbound = Inbound { request, head, started, tap: Some(tap.clone()) };
                let response = handler.handle(inbound).await;
                std::future::poll_fn(|cx| tap.poll_turn(cx)).await;
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .max_headers(MAX_FIELDS)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stop = config.stop.clone();
    let mut stopping = pin!(stop.wait_for(|stop| *stop));
    let mut told = false;
    let ended = std::future::poll_fn(|cx| {
        if !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    // The faults of a connection were told to whoever had a request on it.
    let _ = ended.await;
    if let Some(refused) = tap.refusal().filter(|refused| !refused.in_body) {
        handler.refused(refused);
    }
}

async fn serve_http2<S, H>(io: S, handler: H, config: ServeConfig)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let activity = Arc::new(Mutex::new(Activity { requests: 0, since: tokio::time::Instant::now() }));
    let service = {
        let activity = activity.clone();
        service_fn(move |request: http::Request<Incoming>| {
            let (handler, active) = (handler.clone(), Active::new(&activity));
            async move {
                let _active = active;
                let inbound =
                    Inbound { head: head_of(&request), request, started: Instant::now(), tap: None };
                Ok::<_, std::convert::Infallible>(handler.handle(inbound).await)
            }
        })
    };
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(100)
        .max_header_list_size(64 << 10)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Some(Duration::from_mins(1)))
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut stop = config.stop.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
        () = idle(&activity, config.patience.idle) => {}
    }
    // What is being answered is answered to its end.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// What goes on on an HTTP/2 connection.
struct Activity {
    /// Requests without a response.
    requests: usize,
    /// When that changed.
    since: tokio::time::Instant,
}

/// Counts a request while there is no response to it.
struct Active(Arc<Mutex<Activity>>);

impl Active {
    fn new(activity: &Arc<Mutex<Activity>>) -> Self {
        note(activity, |requests| requests + 1);
        Self(activity.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        note(&self.0, |requests| requests - 1);
    }
}

fn note(activity: &Mutex<Activity>, change: impl FnOnce(usize) -> usize) {
    let mut activity = activity.lock().unwrap_or_else(PoisonError::into_inner);
    activity.requests = change(activity.requests);
    activity.since = tokio::time::Instant::now();
}

/// Completes once there was no request for so long. A client that answers pings is no reason to keep it.
async fn idle(activity: &Mutex<Activity>, patience: Duration) {
    loop {
        let (requests, since) = {
            let activity = activity.lock().unwrap_or_else(PoisonError::into_inner);
            (activity.requests, activity.since)
        };
        if requests == 0 && since.elapsed() >= patience {
            return;
        }
        let due = if requests == 0 { since } else { tokio::time::Instant::now() } + patience;
        tokio::time::sleep_until(due).await;
    }
}

/// The head of an HTTP/2 request, whose fields are lower case and whose framing is the stream's.
fn head_of(request: &http::Request<Incoming>) -> RequestHead {
    let version = match request.version() {
        http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_2 => Version::Http2,
        _ => Version::Http11,
    };
    RequestHead {
        method: Method::new(request.method().as_str().as_bytes()).unwrap_or(Method::GET),
        target: match request.uri().path_and_query() {
            Some(target) => Bytes::copy_from_slice(target.as_str().as_bytes()),
            None => Bytes::new(),
        },
        version,
        headers: fields_of(request),
        framing: if request.body().is_end_stream() { BodyFraming::None } else { BodyFraming::UntilClose },
        expects_continue: false,
    }
}

/// The fields of a request as HTTP/1 words them: with the `Host` that `:authority` is, and one `Cookie`
/// (RFC 9113, sections 8.3.1 and 8.2.3).
fn fields_of(request: &http::Request<Incoming>) -> Headers {
    let (map, authority) = (request.headers(), request.uri().authority());
    let mut fields = HeadersBuilder::default();
    if let Some(authority) = authority {
        fields.push(b"host", authority.as_str().as_bytes());
    }
    let mut cookie_passed = false;
    for (name, value) in map {
        if *name == http::header::HOST && authority.is_some() {
            continue;
        }
        if *name != http::header::COOKIE {
            fields.push(name.as_str().as_bytes(), value.as_bytes());
        } else if !std::mem::replace(&mut cookie_passed, true) {
            let crumbs: Vec<_> = map.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
            fields.push(b"cookie", &crumbs.join(&b"; "[..]));
        }
    }
    fields.finish()
}

/// The fields of a header map, in its order.
pub fn headers_of(map: &http::HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// An I/O object whose first bytes were already read.
struct Rewound<S> {
    io: S,
    already: BytesMut,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.already.is_empty() {
            return std::pin::Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let taken = this.already.split_to(this.already.len().min(buf.remaining()));
        buf.put_slice(&taken);
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        data: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.get_mut().io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
