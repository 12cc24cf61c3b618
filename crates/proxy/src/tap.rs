//! Tees message bodies into the assembly of their exchange.
//!
//! One [`Capture`] is shared by the request body on its way up, the response body on its way down and a
//! tunnel. The exchange is complete when both bodies ended or were dropped, and is then handed to the sink,
//! once. When the sink has no room, the body that noticed waits before it lets its bytes go on: that is the
//! back-pressure of `block`, and memory stays bounded without losing anything.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use mimeo_model::{Failure, FailureKind, Headers, Phase};
use mimeo_transport::head_tap::TapHandle;
use mimeo_transport::protocol::assembly::{Assembly, Captured};
use mimeo_transport::serve::headers_of;

use crate::rescue;
use crate::sink::ExchangeSink;

/// An exchange on its way, shared by whoever carries a part of it.
#[derive(Clone)]
pub(crate) struct Capture {
    state: Arc<Mutex<State>>,
    sink: Arc<dyn ExchangeSink>,
    started: Instant,
}

struct State {
    assembly: Option<Assembly>,
    carriers: u8,
    ended_at: Duration,
}

/// One end of a body or tunnel; the exchange is complete when the last carrier is gone.
pub(crate) struct Carrier {
    capture: Capture,
    open: bool,
}

impl Capture {
    pub(crate) fn new(assembly: Assembly, sink: Arc<dyn ExchangeSink>, started: Instant) -> Self {
        let state = State { assembly: Some(assembly), carriers: 0, ended_at: Duration::ZERO };
        Self { state: Arc::new(Mutex::new(state)), sink, started }
    }

    /// Time since the exchange began.
    pub(crate) fn at(&self) -> Duration {
        self.started.elapsed()
    }

    /// Distance of an instant from the start of the exchange.
    pub(crate) fn at_instant(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.started)
    }

    pub(crate) fn carrier(&self) -> Carrier {
        self.lock().carriers += 1;
        Carrier { capture: self.clone(), open: true }
    }

    /// Notes something and returns what is ready to be handed over.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Assembly)) -> Vec<Captured> {
        let mut state = self.lock();
        match &mut state.assembly {
            Some(assembly) => {
                note(assembly);
                if assembly.has_handed() { assembly.take_handed() } else { Vec::new() }
            }
            None => Vec::new(),
        }
    }

    /// Notes something that hands nothing over.
    pub(crate) fn quietly(&self, note: impl FnOnce(&mut Assembly)) {
        if let Some(assembly) = &mut self.lock().assembly {
            note(assembly);
        }
    }

    /// Offers until the sink took everything.
    pub(crate) async fn hand_over(&self, captured: Vec<Captured>) {
        for item in captured {
            let mut item = item;
            while let Err(back) = self.sink.offer(item) {
                item = back;
                self.sink.room().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while noting leaves an exchange that is incomplete, not one that is unsound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carrier {
    /// Ends this carrier's part; the last one gets the completed exchange.
    fn end(&mut self) -> Vec<Captured> {
        if !std::mem::replace(&mut self.open, false) {
            return Vec::new();
        }
        let at = self.capture.at();
        let mut state = self.capture.lock();
        state.carriers = state.carriers.saturating_sub(1);
        state.ended_at = state.ended_at.max(at);
        if state.carriers > 0 {
            return Vec::new();
        }
        let ended_at = state.ended_at;
        let Some(mut assembly) = state.assembly.take() else { return Vec::new() };
        drop(state);
        assembly.hand_over_rest();
        let mut handed = assembly.take_handed();
        handed.push(assembly.finish(ended_at));
        handed
    }

    /// Ends this carrier's part and waits until the sink took what that completed.
    pub(crate) async fn finish(mut self) {
        let handed = self.end();
        self.capture.hand_over(handed).await;
    }

    pub(crate) fn capture(&self) -> &Capture {
        &self.capture
    }
}

/// A carrier that is dropped cannot wait; what it completes is handed over by a task.
impl Drop for Carrier {
    fn drop(&mut self) {
        let handed = self.end();
        if let Some(rest) = self.capture.offer_all(handed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let capture = self.capture.clone();
            runtime.spawn(async move { capture.hand_over(rest).await });
        }
    }
}

/// Which body a tee carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// Called when a body ended as it should.
pub(crate) type Ended = Box<dyn FnOnce() + Send>;

type Passing = Option<Result<Frame<Bytes>, hyper::Error>>;

/// A body that is captured while it passes.
pub(crate) struct Tee {
    inner: Incoming,
    side: Side,
    carrier: Option<Carrier>,
    tap: Option<TapHandle>,
    ended: Option<Ended>,
    gate: Option<Gate>,
    complete: bool,
    stalled: Option<Stalled>,
}

/// Holds a request body back until the upstream asks for it.
struct Gate {
    upstream: TapHandle,
    patience: Pin<Box<tokio::time::Sleep>>,
    over: Over,
}

/// Tells a body that is held back when the response is over that came in place of `100 Continue`.
#[derive(Clone, Default)]
pub(crate) struct Over(Arc<Mutex<(bool, Option<Waker>)>>);

impl Over {
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = Some(cx.waker().clone());
        if state.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Says so when it is dropped.
pub(crate) struct UntilOver(pub(crate) Over);

impl Drop for UntilOver {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

/// A frame that waits until the sink took what came before it.
struct Stalled {
    waiting: Pin<Box<dyn Future<Output = ()> + Send>>,
    frame: Passing,
}

impl Tee {
    /// Carries `inner`; `tap` belongs to the connection it comes from, `ended` is called after its last byte.
    pub(crate) fn new(
        inner: Incoming,
        side: Side,
        carrier: Option<Carrier>,
        tap: Option<TapHandle>,
        ended: Option<Ended>,
    ) -> Self {
        let mut tee = Self { inner, side, carrier, tap, ended, gate: None, complete: false, stalled: None };
        if tee.inner.is_end_stream() {
            // Nobody polls a body that is empty, so it ends here; dropping its carrier hands it over.
            tee.note_end(Headers::new());
            tee.carrier = None;
        }
        tee
    }

    /// Holds the body back until `100 Continue` comes over the upstream's connection, at most a second. When a
    /// final response comes instead the body is never sent, and ends once the response is `over`.
    pub(crate) fn gated(mut self, upstream: TapHandle, over: Over) -> Self {
        let patience = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
        self.gate = Some(Gate { upstream, patience, over });
        self
    }

    fn note_end(&mut self, trailers: Headers) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        if let Some(ended) = self.ended.take() {
            ended();
        }
        if let Some(carrier) = &self.carrier {
            let at = carrier.capture.at();
            let trailers = self.tap.as_ref().and_then(TapHandle::take_trailers).unwrap_or(trailers);
            carrier.capture.quietly(|assembly| match self.side {
                Side::Request => assembly.request_end(at, trailers),
                Side::Response => assembly.response_end(trailers),
            });
        }
    }

    /// Captures what passes and ends the exchange with its last part.
    fn observe(&mut self, passing: &Passing) -> Vec<Captured> {
        let Some(carrier) = &mut self.carrier else {
            if passing.is_none() || self.inner.is_end_stream() {
                self.note_end(Headers::new());
            }
            return Vec::new();
        };
        let mut handed = Vec::new();
        let mut trailers = Headers::new();
        match passing {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let at = carrier.capture.at();
                    handed = carrier.capture.note(|assembly| match self.side {
                        Side::Request => assembly.request_chunk(at, data),
                        Side::Response => assembly.response_chunk(at, data),
                    });
                } else if let Some(map) = frame.trailers_ref() {
                    trailers = headers_of(map);
                }
            }
            Some(Err(error)) => {
                let failure = rescue::failure_of_body(error, self.side == Side::Request, self.tap.as_ref());
                carrier.capture.quietly(|assembly| assembly.fail(failure));
                self.complete = true;
                handed.extend(carrier.end());
                return handed;
            }
            None => {}
        }
        if passing.is_none() || self.inner.is_end_stream() {
            self.note_end(trailers);
            if let Some(carrier) = &mut self.carrier {
                handed.extend(carrier.end());
            }
        }
        handed
    }
}

impl Capture {
    /// Offers all; gives back what there was no room for.
    fn offer_all(&self, handed: Vec<Captured>) -> Option<Vec<Captured>> {
        let mut rest = handed.into_iter();
        while let Some(item) = rest.next() {
            if let Err(back) = self.sink.offer(item) {
                let mut left = vec![back];
                left.extend(rest);
                return Some(left);
            }
        }
        None
    }
}

impl Body for Tee {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Passing> {
        let tee = self.get_mut();
        if let Some(gate) = &mut tee.gate {
            match gate.upstream.poll_continue(cx) {
                Poll::Ready(false) => {
                    tee.complete = true;
                    tee.carrier = None;
                    ready!(gate.over.poll(cx));
                    // The connection ends with this, since less was sent than declared.
                    return Poll::Ready(None);
                }
                Poll::Ready(true) => {}
                Poll::Pending => ready!(gate.patience.as_mut().poll(cx)),
            }
            tee.gate = None;
        }
        if let Some(stalled) = &mut tee.stalled {
            ready!(stalled.waiting.as_mut().poll(cx));
            return Poll::Ready(tee.stalled.take().and_then(|stalled| stalled.frame));
        }
        let passing = ready!(Pin::new(&mut tee.inner).poll_frame(cx));
        let handed = tee.observe(&passing);
        if handed.is_empty() {
            return Poll::Ready(passing);
        }
        let Some(carrier) = &tee.carrier else { return Poll::Ready(passing) };
        match carrier.capture.offer_all(handed) {
            None => Poll::Ready(passing),
            Some(rest) => {
                let capture = carrier.capture.clone();
                let mut waiting: Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(async move { capture.hand_over(rest).await });
                if waiting.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(passing);
                }
                tee.stalled = Some(Stalled { waiting, frame: passing });
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stalled.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that is dropped before its end was cut off by whoever read it.
impl Drop for Tee {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Some(carrier) = &self.carrier {
            carrier.capture.quietly(|assembly| match self.side {
                // The upstream answered without reading the request; that is no failure.
                Side::Request if assembly.has_response() => {}
                Side::Request | Side::Response => assembly.fail(Failure {
                    kind: FailureKind::ClientAborted,
                    phase: if self.side == Side::Request { Phase::Request } else { Phase::Receive },
                    detail: "the client went away before the message was complete".to_owned(),
                }),
            });
        }
    }
}
