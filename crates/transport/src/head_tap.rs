//! The tap on one HTTP/1 connection: it judges every message before the HTTP library sees it and keeps
//! the raw heads.
//!
//! The tap lies between the socket and the library. Bytes of a head are held back until the head is
//! complete and judged, and then the library is shown what it needs of it; bytes of a body pass straight
//! through while their end is followed. A refused message reads as the end of the stream, so that earlier
//! responses are still sent, and the refusal itself is written when the connection is shut down. On the way
//! out the head that the library writes gives way to the exact one. Whoever serves the connection holds a
//! [`TapHandle`], takes the heads that came from it in order, and gives it those that go.

mod judge;
mod read;
mod write;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mimeo_model::{Headers, Interim, Method};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::lazy_timer::LazyTimer;
use crate::protocol::chunked::ChunkWalker;
use crate::protocol::head::{Rejection, RequestHead, ResponseHead};
use crate::protocol::outgoing_head::{self, OutgoingHead};

/// Patience with a client.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two pieces of a body.
    pub body: Duration,
    /// Between two requests of one connection.
    pub idle: Duration,
}

impl Default for Patience {
    /// 10 s for a head, 60 s for each piece of a body, 5 min between requests.
    fn default() -> Self {
        Self { head: Duration::from_secs(10), body: Duration::from_mins(1), idle: Duration::from_mins(5) }
    }
}

/// A request head with the instant at which its first byte was read.
#[derive(Debug)]
pub struct TappedRequest {
    /// The head.
    pub head: RequestHead,
    /// When reading began.
    pub started: Instant,
}

/// A response head with what came before it.
#[derive(Debug)]
pub struct TappedResponse {
    /// The head.
    pub head: ResponseHead,
    /// Interim responses before it.
    pub interim: Vec<Interim>,
    /// When the head was complete.
    pub arrived: Instant,
    /// When the last byte was written to the upstream before that.
    pub sent: Option<Instant>,
}

/// The shared end of a tap.
#[derive(Clone)]
pub struct TapHandle(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    requests: VecDeque<TappedRequest>,
    response: Option<TappedResponse>,
    interim: Vec<Interim>,
    trailers: Option<Headers>,
    /// The request on its way, at the client's end of a connection.
    asked: Option<Asked>,
    rejection: Option<Refused>,
    in_flight: usize,
    verdict: Option<Verdict>,
    surplus: bool,
    last_write: Option<Instant>,
    /// Takes the place of the head that the library writes next.
    exact: Option<OutgoingHead>,
    /// The exact head of the response that is being made.
    response_head: Option<OutgoingHead>,
    /// Interim responses to write before the final one.
    announced: BytesMut,
    /// Whether the library may hold bytes that it could not write yet.
    unflushed: bool,
    reader: Option<Waker>,
    flush_waiter: Option<Waker>,
    continue_waiter: Option<Waker>,
    interim_waiter: Option<Waker>,
    /// Interim responses that somebody was told of.
    told: usize,
}

struct Asked {
    method: Method,
    upgrade: bool,
    continued: bool,
}

/// A message that was refused, with the beginning of what was read.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why.
    pub rejection: Rejection,
    /// The first bytes of the refused message, at most 4 KiB.
    pub beginning: Bytes,
    /// When its first byte was read.
    pub started: Instant,
    /// Whether its head was good, so that its request is served, and ends with this fault in its body.
    pub in_body: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Tunnel,
    Http,
}

impl TapHandle {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        // The lock guards plain data that stays valid wherever a panic interrupts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the head of the oldest request not yet taken.
    pub fn take_request(&self) -> Option<TappedRequest> {
        self.lock().requests.pop_front()
    }

    /// Tells the tap that a request is about to be written, so that its response can be framed.
    pub fn ask(&self, method: Method, upgrade: bool) {
        let mut shared = self.lock();
        shared.asked = Some(Asked { method, upgrade, continued: false });
        shared.response = None;
        shared.trailers = None;
        shared.interim.clear();
        shared.told = 0;
    }

    /// Has this head written in place of the library's, which is the next thing that it writes.
    pub fn send_request(&self, head: OutgoingHead) {
        self.lock().exact = Some(head);
    }

    /// Has this head written in place of the library's, once the response that is being made is handed to it.
    pub fn send_response(&self, head: OutgoingHead) {
        self.lock().response_head = Some(head);
    }

    /// Waits until all was written that came before a response. The library must be handed the response when this
    /// is ready, so that its head is the next thing that it writes.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.lock();
        if shared.unflushed || !shared.announced.is_empty() {
            shared.flush_waiter = Some(cx.waker().clone());
            return Poll::Pending;
        }
        shared.exact = shared.response_head.take();
        Poll::Ready(())
    }

    /// Has an interim response written before the final one.
    pub fn send_interim(&self, interim: &Interim) {
        outgoing_head::interim(interim, &mut self.lock().announced);
    }

    /// Takes the next interim response but `100 Continue` that was not taken yet; `None` when there is none now,
    /// and `cx` is woken when one comes.
    pub fn poll_interim(&self, cx: &mut Context<'_>) -> Option<Interim> {
        let mut shared = self.lock();
        loop {
            let Shared { response, interim, told, .. } = &mut *shared;
            let came = response.as_ref().map_or(&*interim, |response| &response.interim);
            let Some(next) = came.get(*told) else { break };
            *told += 1;
            if next.status != 100 {
                return Some(next.clone());
            }
        }
        shared.interim_waiter = Some(cx.waker().clone());
        None
    }

    /// Takes the head of the response that came.
    pub fn take_response(&self) -> Option<TappedResponse> {
        self.lock().response.take()
    }

    /// Takes the trailers of the message that ended.
    pub fn take_trailers(&self) -> Option<Headers> {
        self.lock().trailers.take()
    }

    /// Says that the oldest request was answered in full.
    pub fn answered(&self) {
        let mut shared = self.lock();
        shared.in_flight = shared.in_flight.saturating_sub(1);
        if let Some(waker) = shared.reader.take() {
            waker.wake();
        }
    }

    /// Decides about a request that asked for CONNECT or an upgrade: what follows is a tunnel, or HTTP.
    pub fn decide(&self, tunnel: bool) {
        let mut shared = self.lock();
        shared.verdict = Some(if tunnel { Verdict::Tunnel } else { Verdict::Http });
        if let Some(waker) = shared.reader.take() {
            waker.wake();
        }
    }

    /// The refusal that ended the connection, if one did.
    pub fn refusal(&self) -> Option<Refused> {
        self.lock().rejection.clone()
    }

    /// Whether bytes came that belong to no message, or some of the last one are still to be written; such a
    /// connection must not be used again.
    pub fn has_surplus(&self) -> bool {
        let shared = self.lock();
        shared.surplus || shared.unflushed || shared.rejection.is_some()
    }

    /// Waits for `100 Continue` (true) or for the final response or the end (false), whichever comes first.
    pub fn poll_continue(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut shared = self.lock();
        if let Some(asked) = &shared.asked
            && shared.response.is_none()
            && shared.rejection.is_none()
        {
            if asked.continued {
                return Poll::Ready(true);
            }
            shared.continue_waiter = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(false)
    }
}

/// Which end of the connection the tap listens to.
enum Role {
    /// Requests come in; a refused one is answered with these bytes.
    Server { render: fn(&Rejection) -> Bytes, patience: Patience },
    /// Responses come in.
    Client,
}

enum State {
    Head,
    Undecided,
    Length(u64),
    Chunked(Box<ChunkWalker>),
    UntilClose,
    Opaque,
    Refused,
}

/// An I/O object that looks at what it reads.
pub struct HeadTap<S> {
    io: S,
    role: Role,
    state: State,
    pending: BytesMut,
    released: usize,
    scanned: usize,
    started: Option<Instant>,
    progress: Instant,
    timer: LazyTimer,
    /// What the library is shown of a head.
    shown: BytesMut,
    /// Whether the framing of a body turned out malformed and the library is to be told.
    broken: bool,
    goodbye: Option<write::Goodbye>,
    /// A head that is not written yet in full.
    outgoing: BytesMut,
    shared: TapHandle,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    /// Taps the requests of a connection that was accepted. `already` are bytes read from it before, from `since`
    /// on.
    pub fn server(
        io: S,
        already: BytesMut,
        since: Instant,
        patience: Patience,
        render: fn(&Rejection) -> Bytes,
    ) -> (Self, TapHandle) {
        Self::new(io, already, since, Role::Server { render, patience })
    }

    /// Taps the responses of a connection that was opened.
    pub fn client(io: S) -> (Self, TapHandle) {
        Self::new(io, BytesMut::new(), Instant::now(), Role::Client)
    }

    fn new(io: S, pending: BytesMut, since: Instant, role: Role) -> (Self, TapHandle) {
        let shared = TapHandle(Arc::default());
        let tap = Self {
            io,
            role,
            state: State::Head,
            pending,
            released: 0,
            scanned: 0,
            started: None,
            progress: since,
            timer: LazyTimer::default(),
            shown: BytesMut::new(),
            broken: false,
            goodbye: None,
            outgoing: BytesMut::new(),
            shared: shared.clone(),
        };
        (tap, shared)
    }
}
