//! Puts an exchange together from its parts as they go by.
//!
//! A state machine without a clock: every part comes with its distance from the start of the exchange.
//! Short exchanges are handed over once, whole. An exchange that is large, or that lasts, is opened early
//! and handed over piece by piece, so that memory stays bounded and a long-lived stream is seen, and kept,
//! while it runs.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mimeo_model::body::media_type::MediaType;
use mimeo_model::{
    AnsweredBy, Body, Chunk, Content, Exchange, ExchangeId, Failure, Frame, Headers, Request, Response,
    Timestamp, Timings,
};

/// Bounds of what is kept of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes kept of each body and of each WebSocket payload.
    pub body: u64,
    /// Most bytes of one body that wait in memory before the exchange is opened.
    pub inline: usize,
    /// How long a body of unknown length may take before the exchange is opened; the longest duration there is
    /// never opens one, so that it is always handed over whole.
    pub live_after: Duration,
}

impl Limits {
    /// Bounds under which an exchange is always handed over whole.
    pub fn whole(body: u64) -> Self {
        Self { body, inline: usize::MAX, live_after: Duration::MAX }
    }
}

impl Default for Limits {
    /// 10 MiB a body, 64 KiB in memory, one second.
    fn default() -> Self {
        Self { body: 10 << 20, inline: 64 << 10, live_after: Duration::from_secs(1) }
    }
}

/// Most arrival times kept of one body; later pieces count to the last one.
const MAX_CHUNKS: usize = 65_536;
/// Pieces up to this size are copied together, so that the read buffer they lie in can be used again.
const COPIED: usize = 16 << 10;

/// What the assembly hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Captured {
    /// A complete exchange.
    Whole(Box<Exchange>),
    /// The beginning of an exchange whose parts follow; bodies are empty so far.
    Open {
        /// What is known of it.
        exchange: Box<Exchange>,
        /// Whether its parts should be seen as they come, rather than kept as a large body.
        live: bool,
    },
    /// A part of an opened exchange.
    Part {
        /// The exchange it belongs to.
        id: ExchangeId,
        /// The part.
        part: Part,
    },
    /// The end of an opened exchange: all that is known, without the bytes handed over as parts.
    End(Box<Exchange>),
}

/// A part of an opened exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the request body.
    RequestBody(Piece),
    /// Bytes of the response body.
    ResponseBody(Piece),
    /// A WebSocket frame.
    Frame(Frame),
}

/// Bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first byte in the body.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// When they came.
    pub at: Duration,
}

impl Captured {
    /// Bytes of memory that this holds, roughly.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 512;
        FIXED
            + match self {
                Self::Whole(exchange) | Self::End(exchange) | Self::Open { exchange, .. } => {
                    let inline = |body: &Body| body.inline().map_or(0, Bytes::len) + body.chunks.len() * 24;
                    let fields = |headers: &Headers| headers.text_len() + headers.len() * 16;
                    let frames: usize = exchange.frames.iter().map(|frame| frame.payload.len() + 96).sum();
                    inline(&exchange.request.body)
                        + fields(&exchange.request.headers)
                        + exchange
                            .response
                            .as_ref()
                            .map_or(0, |response| inline(&response.body) + fields(&response.headers))
                        + frames
                }
                Self::Part { part: Part::RequestBody(piece) | Part::ResponseBody(piece), .. } => {
                    piece.bytes.len()
                }
                Self::Part { part: Part::Frame(frame), .. } => frame.payload.len(),
            }
    }
}

/// How the upstream connection came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connected {
    /// Waiting for a connection to become free.
    pub blocked: Option<Duration>,
    /// Resolving the name.
    pub dns: Option<Duration>,
    /// Opening the TCP connection.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// Whether the connection had served an earlier exchange.
    pub reused: bool,
}

/// An exchange in the making.
pub struct Assembly {
    limits: Limits,
    exchange: Exchange,
    request_body: Accumulator,
    response_body: Accumulator,
    open: Option<bool>,
    connected_at: Duration,
    sent_at: Option<Duration>,
    answered_at: Option<Duration>,
    handed: Vec<Captured>,
}

impl Assembly {
    /// Begins with the head of a request.
    pub fn new(
        id: ExchangeId,
        started_at: Timestamp,
        connection: u64,
        request: Request,
        limits: Limits,
    ) -> Self {
        Self {
            limits,
            exchange: Exchange {
                id,
                started_at,
                connection,
                request,
                response: None,
                failure: None,
                timings: Timings::default(),
                frames: Vec::new(),
                answered_by: AnsweredBy::Upstream,
                graphql: Vec::new(),
            },
            request_body: Accumulator::default(),
            response_body: Accumulator::default(),
            open: None,
            connected_at: Duration::ZERO,
            sent_at: None,
            answered_at: None,
            handed: Vec::new(),
        }
    }

    /// The exchange's identifier.
    pub fn id(&self) -> ExchangeId {
        self.exchange.id
    }

    /// Whether a response head came.
    pub fn has_response(&self) -> bool {
        self.exchange.response.is_some()
    }

    /// Whether a failure was noted.
    pub fn has_failed(&self) -> bool {
        self.exchange.failure.is_some()
    }

    /// Bytes of the request body went by.
    pub fn request_chunk(&mut self, at: Duration, bytes: &Bytes) {
        self.request_body.push(at, bytes, self.limits.body);
        self.sent_at = Some(at);
        self.hand_over(at, Side::Request);
    }

    /// The request ended, with these trailers.
    pub fn request_end(&mut self, at: Duration, trailers: Headers) {
        self.sent_at = Some(at);
        self.exchange.request.trailers = trailers;
    }

    /// A connection to the upstream is there.
    pub fn connected(&mut self, at: Duration, how: Connected) {
        self.connected_at = at;
        let timings = &mut self.exchange.timings;
        (timings.blocked, timings.dns, timings.connect, timings.tls, timings.reused) =
            (how.blocked, how.dns, how.connect, how.tls, how.reused);
    }

    /// The request's last byte was written.
    pub fn sent(&mut self, at: Duration) {
        self.sent_at = Some(at);
    }

    /// Who answers, when it is not the upstream.
    pub fn answered_by(&mut self, who: AnsweredBy) {
        self.exchange.answered_by = who;
    }

    /// The head of the final response came; its body is empty so far.
    pub fn response_head(&mut self, at: Duration, response: Response) {
        self.answered_at = Some(at);
        let may_open = self.limits.live_after < Duration::MAX;
        let live = may_open && response.status == 101
            || may_open
                && matches!(
                    MediaType::of(response.headers.get("content-type")),
                    MediaType::EventStream | MediaType::JsonLines
                )
                && !response.headers.contains("content-length");
        self.exchange.response = Some(response);
        if live && self.open.is_none() {
            self.open(true);
        }
    }

    /// Bytes of the response body went by.
    pub fn response_chunk(&mut self, at: Duration, bytes: &Bytes) {
        self.response_body.push(at, bytes, self.limits.body);
        self.hand_over(at, Side::Response);
    }

    /// The response ended, with these trailers.
    pub fn response_end(&mut self, trailers: Headers) {
        if let Some(response) = &mut self.exchange.response {
            response.trailers = trailers;
        }
    }

    /// A tunnel ended that carried this many bytes up and down, none of which are kept.
    pub fn tunnelled(&mut self, up: u64, down: u64) {
        self.request_body.length = up;
        self.response_body.length = down;
    }

    /// A WebSocket frame went by.
    pub fn frame(&mut self, frame: Frame) {
        match self.open {
            Some(_) => self.handed.push(Captured::Part { id: self.exchange.id, part: Part::Frame(frame) }),
            None => self.exchange.frames.push(frame),
        }
    }

    /// Something went wrong; the first failure is kept.
    pub fn fail(&mut self, failure: Failure) {
        self.exchange.failure.get_or_insert(failure);
    }

    /// Takes what is ready to be handed over.
    pub fn take_handed(&mut self) -> Vec<Captured> {
        std::mem::take(&mut self.handed)
    }

    /// Whether something is ready to be handed over.
    pub fn has_handed(&self) -> bool {
        !self.handed.is_empty()
    }

    /// Ends the exchange `at` its last event. Call [`Self::take_handed`] before.
    pub fn finish(mut self, at: Duration) -> Captured {
        let timings = &mut self.exchange.timings;
        timings.total = at;
        let sent = self.sent_at.unwrap_or(self.connected_at).max(self.connected_at);
        if self.exchange.answered_by == AnsweredBy::Upstream {
            if self.sent_at.is_some() || self.answered_at.is_some() {
                timings.send = Some(sent.saturating_sub(self.connected_at));
            }
            if let Some(answered) = self.answered_at {
                timings.wait = Some(answered.saturating_sub(sent));
            }
        }
        timings.receive = self.answered_at.map(|answered| at.saturating_sub(answered));
        let opened = self.open.is_some();
        self.exchange.request.body = self.request_body.finish(opened);
        if let Some(response) = &mut self.exchange.response {
            response.body = self.response_body.finish(opened);
        }
        if opened { Captured::End(Box::new(self.exchange)) } else { Captured::Whole(Box::new(self.exchange)) }
    }

    fn hand_over(&mut self, at: Duration, side: Side) {
        if self.open.is_none() {
            let large =
                self.request_body.waiting_length.max(self.response_body.waiting_length) > self.limits.inline;
            let lasting = matches!(side, Side::Response)
                && self
                    .answered_at
                    .is_some_and(|answered| at.saturating_sub(answered) > self.limits.live_after)
                && self
                    .exchange
                    .response
                    .as_ref()
                    .is_some_and(|response| !response.headers.contains("content-length"));
            if lasting || large {
                self.open(lasting);
            }
            return;
        }
        // A lasting stream is handed over as it comes, a large body in batches.
        let batch = if self.open == Some(true) { 0 } else { self.limits.inline };
        self.hand_waiting(side, batch);
    }

    fn open(&mut self, live: bool) {
        self.open = Some(live);
        self.handed.push(Captured::Open { exchange: Box::new(self.exchange.clone()), live });
        for frame in std::mem::take(&mut self.exchange.frames) {
            self.frame(frame);
        }
        self.hand_waiting(Side::Request, 0);
        self.hand_waiting(Side::Response, 0);
    }

    fn hand_waiting(&mut self, side: Side, batch: usize) {
        let body = match side {
            Side::Request => &mut self.request_body,
            Side::Response => &mut self.response_body,
        };
        if body.waiting_length == 0 || body.waiting_length < batch {
            return;
        }
        for piece in body.take_waiting() {
            let part = match side {
                Side::Request => Part::RequestBody(piece),
                Side::Response => Part::ResponseBody(piece),
            };
            self.handed.push(Captured::Part { id: self.exchange.id, part });
        }
    }

    /// Hands over the last pieces of an opened exchange; call it before [`Self::take_handed`] at the end.
    pub fn hand_over_rest(&mut self) {
        if self.open.is_some() {
            self.hand_waiting(Side::Request, 0);
            self.hand_waiting(Side::Response, 0);
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Request,
    Response,
}

/// The bytes of one body on their way.
#[derive(Default)]
struct Accumulator {
    waiting: Vec<Piece>,
    copied: BytesMut,
    copied_from: (u64, Duration),
    waiting_length: usize,
    kept: u64,
    length: u64,
    chunks: Vec<Chunk>,
}

impl Accumulator {
    fn push(&mut self, at: Duration, bytes: &Bytes, limit: u64) {
        if bytes.is_empty() {
            return;
        }
        let kept = usize::try_from(limit.saturating_sub(self.kept)).unwrap_or(usize::MAX).min(bytes.len());
        if kept > 0 {
            if kept <= COPIED {
                if self.copied.is_empty() {
                    self.copied_from = (self.length, at);
                }
                self.copied.extend_from_slice(&bytes[..kept]);
            } else {
                self.settle_copied();
                self.waiting.push(Piece { offset: self.length, bytes: bytes.slice(..kept), at });
            }
            self.kept += kept as u64;
            self.waiting_length += kept;
        }
        self.length += bytes.len() as u64;
        if self.chunks.len() == MAX_CHUNKS {
            self.chunks.pop();
        }
        self.chunks.push(Chunk { at, end: self.length });
    }

    fn settle_copied(&mut self) {
        if !self.copied.is_empty() {
            let (offset, at) = self.copied_from;
            self.waiting.push(Piece { offset, bytes: self.copied.split().freeze(), at });
        }
    }

    fn take_waiting(&mut self) -> Vec<Piece> {
        self.settle_copied();
        self.waiting_length = 0;
        std::mem::take(&mut self.waiting)
    }

    fn finish(mut self, opened: bool) -> Body {
        let content = if opened {
            Bytes::new()
        } else if self.waiting.is_empty() {
            self.copied.freeze()
        } else {
            let mut pieces = self.take_waiting();
            if pieces.len() == 1 {
                pieces.swap_remove(0).bytes
            } else {
                let mut whole = BytesMut::with_capacity(self.kept as usize);
                for piece in &pieces {
                    whole.extend_from_slice(&piece.bytes);
                }
                whole.freeze()
            }
        };
        // One piece says nothing that the timings do not say.
        if self.chunks.len() == 1 {
            self.chunks.clear();
        }
        Body { content: Content::Inline(content), length: self.length, chunks: self.chunks }
    }
}

#[cfg(test)]
mod tests {
    use mimeo_model::{Method, Scheme, Version};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn request() -> Request {
        Request {
            method: Method::POST,
            scheme: Scheme::Http,
            authority: "a".into(),
            target: Bytes::from_static(b"/"),
            version: Version::Http11,
            headers: Headers::new(),
            body: Body::empty(),
            trailers: Headers::new(),
        }
    }

    fn assembly(limits: Limits) -> Assembly {
        let id = ExchangeId::new(Timestamp::from_unix_micros(0), [0; 10]);
        Assembly::new(id, Timestamp::from_unix_micros(0), 1, request(), limits)
    }

    fn response(fields: &[(&str, &str)]) -> Response {
        Response { status: 200, headers: fields.iter().copied().collect(), ..Response::default() }
    }

    #[test]
    fn a_short_exchange_is_handed_over_once_with_its_timings() {
        let mut assembly = assembly(Limits::default());
        assembly.connected(3 * MS, Connected { dns: Some(MS), connect: Some(MS), ..Connected::default() });
        assembly.request_chunk(4 * MS, &Bytes::from_static(b"in"));
        assembly.request_end(5 * MS, Headers::new());
        assembly.response_head(9 * MS, response(&[]));
        assembly.response_chunk(10 * MS, &Bytes::from_static(b"ou"));
        assembly.response_chunk(11 * MS, &Bytes::from_static(b"t"));
        assembly.response_end(Headers::new());
        assert!(!assembly.has_handed());
        let Captured::Whole(exchange) = assembly.finish(12 * MS) else { panic!("whole") };
        assert_eq!(exchange.request.body.inline().map(|bytes| &bytes[..]), Some(&b"in"[..]));
        let body = exchange.response.expect("answered").body;
        assert_eq!(body.inline().map(|bytes| &bytes[..]), Some(&b"out"[..]));
        assert_eq!(body.chunks, [Chunk { at: 10 * MS, end: 2 }, Chunk { at: 11 * MS, end: 3 }]);
        let timings = exchange.timings;
        assert_eq!(
            (timings.send, timings.wait, timings.receive, timings.total),
            (Some(2 * MS), Some(4 * MS), Some(3 * MS), 12 * MS)
        );
    }

    #[test]
    fn a_large_body_is_opened_and_cut_at_the_limit() {
        let limits = Limits { body: 250_000, inline: 64 << 10, ..Limits::default() };
        let mut assembly = assembly(limits);
        assembly.response_head(MS, response(&[("Content-Length", "300000")]));
        let mut whole = Vec::new();
        for index in 0..300_u32 {
            let piece = Bytes::from(vec![index as u8; 1000]);
            whole.extend_from_slice(&piece);
            assembly.response_chunk(MS, &piece);
        }
        assembly.hand_over_rest();
        let handed = assembly.take_handed();
        assert!(matches!(&handed[0], Captured::Open { live: false, .. }));
        let mut captured = Vec::new();
        for item in &handed[1..] {
            let Captured::Part { part: Part::ResponseBody(piece), .. } = item else { panic!("{item:?}") };
            assert_eq!(piece.offset, captured.len() as u64);
            captured.extend_from_slice(&piece.bytes);
        }
        assert_eq!(captured, &whole[..250_000]);
        let Captured::End(exchange) = assembly.finish(MS) else { panic!("end") };
        let body = exchange.response.expect("answered").body;
        assert_eq!((body.length, body.captured_length()), (300_000, 0));
    }

    #[test]
    fn an_event_stream_is_handed_over_as_it_comes() {
        let mut assembly = assembly(Limits::default());
        assembly.response_head(MS, response(&[("Content-Type", "text/event-stream")]));
        assert!(matches!(&assembly.take_handed()[..], [Captured::Open { live: true, .. }]));
        assembly.response_chunk(2 * MS, &Bytes::from_static(b"data: 1\n\n"));
        assert_eq!(assembly.take_handed().len(), 1);
    }

    #[test]
    fn a_body_of_unknown_length_that_lasts_is_opened() {
        let mut assembly = assembly(Limits::default());
        assembly.response_head(MS, response(&[]));
        assembly.response_chunk(2 * MS, &Bytes::from_static(b"a"));
        assert!(!assembly.has_handed());
        assembly.response_chunk(2000 * MS, &Bytes::from_static(b"b"));
        let handed = assembly.take_handed();
        assert!(matches!(&handed[0], Captured::Open { live: true, .. }));
        assert_eq!(handed.len(), 2);
    }
}
