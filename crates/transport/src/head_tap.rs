//! The tap on one HTTP/1 connection: it judges every message before the HTTP library sees it and keeps
//! the raw heads.
//!
//! The tap lies between the socket and the library. Bytes of a head are held back until the head is
//! complete and judged; bytes of a body pass straight through while their end is followed. A refused
//! message reads as the end of the stream, so that earlier responses are still sent, and the refusal
//! itself is written when the connection is shut down. Whoever serves the connection holds a
//! [`TapHandle`] and takes the heads from it in order.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use mimeo_model::{Headers, Interim, Method};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::exact_target::{self, Outgoing};
use crate::protocol::chunked::ChunkWalker;
use crate::protocol::framing::{self, BodyFraming};
use crate::protocol::head::{self, MAX_HEAD, Rejection, RequestHead, ResponseHead};

/// Most interim responses before a final one.
const MAX_INTERIM: usize = 32;
/// Most bytes read ahead while it is undecided whether the connection becomes a tunnel.
const MAX_READ_AHEAD: usize = 64 << 10;
/// How long and how much is read after a refusal, so that its text is not lost to a reset.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 256 << 10);

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
    /// Replaces the target of the request that is written next.
    exact_target: Option<Bytes>,
    reader: Option<Waker>,
    continue_waiter: Option<Waker>,
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
    }

    /// Has the next request written with this target, in place of the one the HTTP library writes.
    pub fn send_target(&self, target: Bytes) {
        self.lock().exact_target = Some(target);
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

    /// Whether bytes came that belong to no message; such a connection must not be used again.
    pub fn has_surplus(&self) -> bool {
        let shared = self.lock();
        shared.surplus || shared.rejection.is_some()
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
    timer: Option<Pin<Box<Sleep>>>,
    goodbye: Option<Goodbye>,
    outgoing: Outgoing,
    shared: TapHandle,
}

enum Goodbye {
    Write(Bytes),
    Shut,
    Drain(Pin<Box<Sleep>>, usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    /// Taps the requests of a connection that was accepted. `already` are bytes read from it before.
    pub fn server(
        io: S,
        already: BytesMut,
        patience: Patience,
        render: fn(&Rejection) -> Bytes,
    ) -> (Self, TapHandle) {
        Self::new(io, already, Role::Server { render, patience })
    }

    /// Taps the responses of a connection that was opened.
    pub fn client(io: S) -> (Self, TapHandle) {
        Self::new(io, BytesMut::new(), Role::Client)
    }

    fn new(io: S, pending: BytesMut, role: Role) -> (Self, TapHandle) {
        let shared = TapHandle(Arc::default());
        let tap = Self {
            io,
            role,
            state: State::Head,
            pending,
            released: 0,
            scanned: 0,
            started: None,
            progress: Instant::now(),
            timer: None,
            goodbye: None,
            outgoing: Outgoing::default(),
            shared: shared.clone(),
        };
        (tap, shared)
    }

    /// Looks at `pending` and releases what may pass; false when more bytes are needed.
    fn advance(&mut self) -> bool {
        match &mut self.state {
            State::Head => self.advance_head(),
            State::Length(left) => {
                let taken = (self.pending.len() as u64).min(*left);
                *left -= taken;
                self.released = taken as usize;
                if *left == 0 {
                    self.message_ended(None);
                }
                taken > 0
            }
            State::Chunked(walker) => match walker.walk(&self.pending) {
                Ok(taken) => {
                    self.released = taken;
                    if walker.is_done() {
                        let trailers = Bytes::copy_from_slice(walker.trailers());
                        match head::trailers(&trailers) {
                            Ok(fields) => self.message_ended((!fields.is_empty()).then_some(fields)),
                            Err(rejection) => {
                                self.refuse(rejection);
                                return true;
                            }
                        }
                    }
                    self.released > 0
                }
                Err(rejection) => {
                    self.refuse(rejection);
                    true
                }
            },
            State::UntilClose | State::Opaque => {
                self.released = self.pending.len();
                self.released > 0
            }
            State::Undecided => match self.shared.lock().verdict.take() {
                Some(Verdict::Tunnel) => {
                    self.state = State::Opaque;
                    true
                }
                Some(Verdict::Http) => {
                    self.state = State::Head;
                    true
                }
                None => false,
            },
            State::Refused => false,
        }
    }

    fn advance_head(&mut self) -> bool {
        if self.scanned == 0 {
            // RFC 9112, section 2.2: an empty line before a request line is skipped.
            while self.pending.starts_with(b"\r\n") {
                self.pending.advance(2);
            }
            let Some(first) = self.pending.first() else { return false };
            if let Some(rejection) = self.judge_first(*first) {
                self.refuse(rejection);
                return true;
            }
            if self.started.is_none() {
                self.started = Some(self.progress);
            }
        }
        let end = head::find_end(&self.pending, self.scanned);
        if end.unwrap_or(self.pending.len()) > MAX_HEAD {
            self.refuse(Rejection::new(
                431,
                "head.too_large",
                format!("the head is longer than {MAX_HEAD} bytes"),
            ));
            return true;
        }
        let Some(end) = end else {
            self.scanned = self.pending.len();
            return false;
        };
        self.scanned = 0;
        let raw = Bytes::copy_from_slice(&self.pending[..end]);
        let judged = match self.role {
            Role::Server { .. } => self.take_request_head(&raw),
            Role::Client => self.take_response_head(&raw),
        };
        match judged {
            Ok(state) => {
                let end = self.hold_odd_target(&raw, end);
                self.released = end;
                self.state = state;
                self.started = None;
                if self.pending.len() > end && matches!(self.state, State::Head) {
                    self.note_surplus();
                }
            }
            Err(rejection) => self.refuse(rejection),
        }
        true
    }

    /// Gives the HTTP library a placeholder for a target that it cannot hold; gives the head's new end.
    fn hold_odd_target(&mut self, raw: &Bytes, end: usize) -> usize {
        let Role::Server { .. } = self.role else { return end };
        let held = {
            let shared = self.shared.lock();
            let target = shared.requests.back().map(|request| &request.head.target);
            target
                .filter(|target| !exact_target::is_plain(target))
                .and_then(|target| exact_target::with_placeholder(raw, target))
        };
        let Some(mut held) = held else { return end };
        let end_of_held = held.len();
        held.extend_from_slice(&self.pending[end..]);
        self.pending = held;
        end_of_held
    }

    /// A first byte that cannot begin a message says what the peer speaks instead.
    fn judge_first(&self, first: u8) -> Option<Rejection> {
        match self.role {
            Role::Server { .. } if first == 0x16 => Some(Rejection::new(
                400,
                "request.tls",
                "this port speaks plain HTTP, not HTTPS: use an http:// address",
            )),
            Role::Server { .. } if !first.is_ascii_graphic() => {
                Some(Rejection::new(400, "framing.request_line", "the bytes are not an HTTP request"))
            }
            Role::Client if first != b'H' => {
                Some(Rejection::new(502, "framing.status_line", "the bytes are not an HTTP response"))
            }
            Role::Server { .. } | Role::Client => None,
        }
    }

    fn take_request_head(&mut self, raw: &Bytes) -> Result<State, Rejection> {
        let head = head::request(raw)?;
        let state = if head.method == Method::CONNECT || head.headers.contains("upgrade") {
            match head.framing {
                BodyFraming::None => State::Undecided,
                framing => body_state(framing),
            }
        } else {
            body_state(head.framing)
        };
        let started = self.started.take().unwrap_or(self.progress);
        let mut shared = self.shared.lock();
        shared.in_flight += 1;
        shared.verdict = None;
        shared.requests.push_back(TappedRequest { head, started });
        Ok(state)
    }

    fn take_response_head(&mut self, raw: &Bytes) -> Result<State, Rejection> {
        let head = head::response(raw)?;
        let mut shared = self.shared.lock();
        let Some(asked) = &mut shared.asked else {
            return Err(Rejection::new(502, "framing.unasked", "a response came that nobody asked for"));
        };
        if (100..200).contains(&head.status) && head.status != 101 {
            asked.continued |= head.status == 100;
            if head.status == 100
                && let Some(waker) = shared.continue_waiter.take()
            {
                waker.wake();
            }
            if shared.interim.len() == MAX_INTERIM {
                return Err(Rejection::new(
                    502,
                    "framing.interim",
                    format!("more than {MAX_INTERIM} interim responses came"),
                ));
            }
            shared.interim.push(Interim { status: head.status, headers: head.headers });
            return Ok(State::Head);
        }
        if head.status == 101 && !asked.upgrade {
            return Err(Rejection::new(502, "framing.upgrade", "an upgrade came that nobody asked for"));
        }
        let framing = framing::of_response(&asked.method, &head)?;
        let ended = matches!(framing, BodyFraming::None | BodyFraming::Length(0));
        if ended {
            shared.asked = None;
        }
        let interim = std::mem::take(&mut shared.interim);
        let sent = shared.last_write;
        shared.response = Some(TappedResponse { head, interim, arrived: self.progress, sent });
        if let Some(waker) = shared.continue_waiter.take() {
            waker.wake();
        }
        Ok(body_state(framing))
    }

    fn message_ended(&mut self, trailers: Option<Headers>) {
        self.state = State::Head;
        let mut shared = self.shared.lock();
        shared.trailers = trailers;
        shared.asked = None;
        drop(shared);
        if self.pending.len() > self.released {
            self.note_surplus();
        }
    }

    /// Bytes after the end of a response belong to nothing, unless only an interim response ended.
    fn note_surplus(&self) {
        if matches!(self.role, Role::Client) {
            let mut shared = self.shared.lock();
            shared.surplus |= shared.asked.is_none();
        }
    }

    fn refuse(&mut self, rejection: Rejection) {
        // Within a body the request was already handed on, and whoever serves it answers.
        if let (Role::Server { render, .. }, State::Head) = (&self.role, &self.state) {
            self.goodbye = Some(Goodbye::Write(render(&rejection)));
        }
        let beginning = Bytes::copy_from_slice(&self.pending[..self.pending.len().min(4 << 10)]);
        let in_body = !matches!(self.state, State::Head);
        self.pending.clear();
        self.released = 0;
        self.state = State::Refused;
        let started = self.started.take().unwrap_or(self.progress);
        let mut shared = self.shared.lock();
        shared.rejection = Some(Refused { rejection, beginning, started, in_body });
        if let Some(waker) = shared.continue_waiter.take() {
            waker.wake();
        }
    }

    /// Bytes of a body with nothing pending go straight into the reader's buffer.
    fn poll_read_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending => return self.poll_patience(cx),
            Poll::Ready(outcome) => outcome?,
        }
        let came = buf.filled().len() - before;
        if came == 0 {
            return Poll::Ready(Ok(()));
        }
        self.progress = Instant::now();
        let taken = match &mut self.state {
            State::Length(left) => {
                let taken = (came as u64).min(*left);
                *left -= taken;
                taken as usize
            }
            State::Chunked(walker) => match walker.walk(&buf.filled()[before..]) {
                Ok(taken) => taken,
                Err(rejection) => {
                    buf.set_filled(before);
                    self.refuse(rejection);
                    return Poll::Ready(Err(refused_mid_body()));
                }
            },
            State::Head | State::Undecided | State::UntilClose | State::Opaque | State::Refused => came,
        };
        if taken < came {
            self.pending.extend_from_slice(&buf.filled()[before + taken..]);
            buf.set_filled(before + taken);
        }
        let ended = match &self.state {
            State::Length(left) => (*left == 0).then_some(None),
            State::Chunked(walker) if walker.is_done() => {
                match head::trailers(&Bytes::copy_from_slice(walker.trailers())) {
                    Ok(fields) => Some((!fields.is_empty()).then_some(fields)),
                    Err(rejection) => {
                        buf.set_filled(before);
                        self.refuse(rejection);
                        return Poll::Ready(Err(refused_mid_body()));
                    }
                }
            }
            _ => None,
        };
        if let Some(trailers) = ended {
            self.message_ended(trailers);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the wait of a client that takes too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Role::Server { patience, .. } = &self.role else { return Poll::Pending };
        let limit = match &self.state {
            State::Head if self.pending.is_empty() => {
                if self.shared.lock().in_flight > 0 {
                    return Poll::Pending;
                }
                patience.idle
            }
            State::Head => patience.head,
            State::Length(_) | State::Chunked(_) => patience.body,
            State::Undecided | State::UntilClose | State::Opaque | State::Refused => return Poll::Pending,
        };
        let due = tokio::time::Instant::from_std(self.progress_or_start() + limit);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        // The timer is left alone while there is progress and looked at again when it fires.
        while timer.as_mut().poll(cx).is_ready() {
            if tokio::time::Instant::now() < due {
                timer.as_mut().reset(due);
                continue;
            }
            return match &self.state {
                State::Head if self.pending.is_empty() => Poll::Ready(Ok(())),
                State::Head => {
                    self.refuse(Rejection::new(408, "head.timeout", "the head did not arrive in time"));
                    Poll::Ready(Ok(()))
                }
                _ => Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the body did not arrive in time",
                ))),
            };
        }
        Poll::Pending
    }

    /// A head is timed from its first byte, all else from the last progress.
    fn progress_or_start(&self) -> Instant {
        match (&self.state, self.started) {
            (State::Head, Some(started)) => started,
            _ => self.progress,
        }
    }
}

fn body_state(framing: BodyFraming) -> State {
    match framing {
        BodyFraming::None | BodyFraming::Length(0) => State::Head,
        BodyFraming::Length(length) => State::Length(length),
        BodyFraming::Chunked => State::Chunked(Box::default()),
        BodyFraming::UntilClose => State::UntilClose,
        BodyFraming::Tunnel => State::Opaque,
    }
}

fn refused_mid_body() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the body's framing is malformed")
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for HeadTap<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        loop {
            if tap.released > 0 {
                let taken = tap.released.min(buf.remaining());
                buf.put_slice(&tap.pending[..taken]);
                tap.pending.advance(taken);
                tap.released -= taken;
                return Poll::Ready(Ok(()));
            }
            if matches!(tap.state, State::Refused) {
                let mut shared = tap.shared.lock();
                if shared.in_flight == 0 || matches!(tap.role, Role::Client) {
                    return match tap.role {
                        Role::Client => Poll::Ready(Err(refused_mid_body())),
                        Role::Server { .. } => Poll::Ready(Ok(())),
                    };
                }
                shared.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let was_body = matches!(tap.state, State::Length(_) | State::Chunked(_));
            if !tap.pending.is_empty() || matches!(tap.state, State::Undecided) {
                if tap.advance() {
                    if was_body && matches!(tap.state, State::Refused) {
                        return Poll::Ready(Err(refused_mid_body()));
                    }
                    continue;
                }
            } else if !matches!(tap.state, State::Head) {
                return tap.poll_read_body(cx, buf);
            }
            if matches!(tap.state, State::Undecided) {
                tap.shared.lock().reader = Some(cx.waker().clone());
                if tap.pending.len() >= MAX_READ_AHEAD {
                    return Poll::Pending;
                }
            }
            match poll_read_pending(&mut tap.io, &mut tap.pending, cx) {
                Poll::Pending => return tap.poll_patience(cx),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(0)) => {
                    // A head cut short by the end of the stream is nobody's message.
                    if !tap.pending.is_empty() && matches!(tap.state, State::Head) {
                        let detail = "the connection ended within a head";
                        tap.refuse(Rejection::new(400, "head.incomplete", detail));
                        continue;
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => tap.progress = Instant::now(),
            }
        }
    }
}

/// Reads into spare room of `pending`, which stays small between messages.
fn poll_read_pending<S: AsyncRead + Unpin>(
    io: &mut S,
    pending: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = [std::mem::MaybeUninit::<u8>::uninit(); 8 << 10];
    let mut buf = ReadBuf::uninit(&mut room);
    ready!(Pin::new(io).poll_read(cx, &mut buf))?;
    pending.extend_from_slice(buf.filled());
    Poll::Ready(Ok(buf.filled().len()))
}

impl<S: AsyncRead + AsyncWrite + Unpin> HeadTap<S> {
    fn take_exact_target(&self) -> Option<Bytes> {
        match self.role {
            Role::Client => self.shared.lock().exact_target.take(),
            Role::Server { .. } => None,
        }
    }

    fn note_write(&self, outcome: &Poll<io::Result<usize>>) {
        if matches!(self.role, Role::Client) && matches!(outcome, Poll::Ready(Ok(_))) {
            self.shared.lock().last_write = Some(Instant::now());
        }
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.goodbye {
                None => return Pin::new(&mut self.io).poll_shutdown(cx),
                Some(Goodbye::Write(text)) if text.is_empty() => self.goodbye = Some(Goodbye::Shut),
                Some(Goodbye::Write(text)) => {
                    let written = ready!(Pin::new(&mut self.io).poll_write(cx, text))?;
                    text.advance(written);
                }
                Some(Goodbye::Shut) => {
                    ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                    self.goodbye = Some(Goodbye::Drain(Box::pin(tokio::time::sleep(LINGER.0)), 0));
                }
                Some(Goodbye::Drain(timer, drained)) => {
                    let mut sink = [std::mem::MaybeUninit::<u8>::uninit(); 8 << 10];
                    let mut buf = ReadBuf::uninit(&mut sink);
                    let over = match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) => {
                            *drained += buf.filled().len();
                            buf.filled().is_empty() || *drained > LINGER.1
                        }
                        Poll::Ready(Err(_)) => true,
                        Poll::Pending => {
                            ready!(timer.as_mut().poll(cx));
                            true
                        }
                    };
                    if over {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadTap<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let tap = self.get_mut();
        ready!(tap.outgoing.poll_write_out(&mut tap.io, cx))?;
        if let Some(target) = tap.take_exact_target() {
            tap.outgoing.take(data, &target);
            // What cannot be written now is written before anything else.
            let _ = tap.outgoing.poll_write_out(&mut tap.io, cx)?;
            return Poll::Ready(Ok(data.len()));
        }
        let outcome = Pin::new(&mut tap.io).poll_write(cx, data);
        tap.note_write(&outcome);
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.outgoing.is_empty() || self.shared.lock().exact_target.is_some() {
            let first = data.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write(cx, first);
        }
        let tap = self.get_mut();
        let outcome = Pin::new(&mut tap.io).poll_write_vectored(cx, data);
        tap.note_write(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        ready!(tap.outgoing.poll_write_out(&mut tap.io, cx))?;
        Pin::new(&mut tap.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_goodbye(cx)
    }
}
