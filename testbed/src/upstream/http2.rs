//! One connection of HTTP/2.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::reply::Reply;
use super::{Received, State, take_body};
use crate::message::{Fields, latin1};
use crate::pattern::Check;

/// Pieces that may wait for the connection.
const PIECES_WAITING: usize = 4;

pub(super) async fn serve<S>(stream: S, connection: usize, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(request, connection, state).await) }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, connection: usize, state: Arc<State>) -> Response<Pieces> {
    let (parts, mut body) = request.into_parts();
    let mut headers = Fields::new();
    if let Some(scheme) = parts.uri.scheme() {
        headers.push((":scheme".to_owned(), scheme.to_string()));
    }
    if let Some(authority) = parts.uri.authority() {
        headers.push((":authority".to_owned(), authority.to_string()));
    }
    headers.extend(fields(&parts.headers));
    let mut received = Received {
        connection,
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        version: "HTTP/2.0".to_owned(),
        headers,
        raw_head: Vec::new(),
        body: Vec::new(),
        body_length: 0,
        body_is_pattern: true,
        trailers: Vec::new(),
        complete: false,
    };
    let mut check = Check::default();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            state.keep_broken(received);
            return Response::new(Pieces(mpsc::channel(1).1));
        };
        match frame.into_data() {
            Ok(data) => take_body(&mut received, &mut check, &data),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    received.trailers = fields(&trailers);
                }
            }
        }
    }
    received.complete = true;
    let reply = state.answer(&received);
    if let Some(gate) = &reply.gate {
        state.gate(gate).pass().await;
    }
    respond(reply, received.method == "HEAD", state)
}

fn respond(reply: Reply, is_head: bool, state: Arc<State>) -> Response<Pieces> {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    let mut response = Response::new(Pieces(pieces));
    *response.status_mut() = http::StatusCode::from_u16(reply.status).expect("a test's status is one");
    *response.headers_mut() = map(&reply.headers);
    if reply.has_body() && !is_head {
        tokio::spawn(async move {
            for piece in reply.body.pieces() {
                if let Some(gate) = &piece.gate {
                    state.gate(gate).pass().await;
                }
                if sender.send(Frame::data(piece.bytes)).await.is_err() {
                    return;
                }
            }
            if !reply.trailers.is_empty() {
                let _ = sender.send(Frame::trailers(map(&reply.trailers))).await;
            }
        });
    }
    response
}

fn fields(map: &HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.to_string(), latin1(value.as_bytes()))).collect()
}

fn map(fields: &Fields) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a test's header name is one");
            (name, HeaderValue::from_str(value).expect("a test's header value is one"))
        })
        .collect()
}

/// A body whose pieces come through a channel.
struct Pieces(mpsc::Receiver<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}
